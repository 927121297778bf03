#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How a VM looks in PipeWire: the properties that mixers show, that WirePlumber remembers by, and
# those that must never be there. And what configuration may change of it.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="work personal"

# prop NODE KEY: of the node, or "none".
prop() {
	jq -r --arg name "$1" --arg key "$2" '[.[] | select(.type == "PipeWire:Interface:Node" and
		.info.props["node.name"] == $name)][0].info.props[$key] // "none"' "$SESSION/dump"
}

# client_prop NAME KEY: of the client with that application.name.
client_prop() {
	jq -r --arg name "$1" --arg key "$2" '[.[] | select(.type == "PipeWire:Interface:Client" and
		.info.props["application.name"] == $name)][0].info.props[$key] // "none"' "$SESSION/dump"
}

# expect NODE KEY VALUE
expect() {
	local value
	value=$(prop "$1" "$2")
	check "$1: $2 = $value" test "$value" = "$3"
}

rules() {
	cat >>"$SESSION/conf/xaring-pw.conf.d/50-rules.conf" <<-END
		xaring.rules = [
		    { matches = [ { xen.domain.name = "work" } ]
		      actions = { update-props = {
		          application.icon-name = "briefcase"
		          xaring.color = "#3465a4"
		          node.latency = 512/48000
		      } }
		    }
		]
	END
}

check_work() {
	local node=xen.work.playback.1
	expect $node application.name work
	expect $node application.id org.xaring.vm.work
	expect $node node.description work
	expect $node media.type Audio
	expect $node media.category Playback
	expect $node media.class Stream/Output/Audio
	expect $node xen.domain.name work
	expect $node xaring.key work
	expect $node application.icon-name briefcase
	expect $node xaring.color '#3465a4'
	expect $node node.latency 512/48000
	expect $node media.role none
	expect $node pipewire.access none
	expect $node target.object none
	expect $node node.rate none
	expect $node media.name aplay
}

check_personal() {
	local node=xen.personal.playback.1
	expect $node application.name personal
	expect $node application.id org.xaring.vm.personal
	expect $node application.icon-name computer
	expect $node node.latency 1024/48000
	expect $node node.max-latency 2048/48000
	expect $node xaring.color none
}

check_clients() {
	local vm
	for vm in $SESSION_VMS; do
		check "client $vm: application.id" test "$(client_prop "$vm" application.id)" = \
			"org.xaring.vm.$vm"
	done
}

have_nodes() {
	node_exists xen.work.playback.1 && node_exists xen.personal.playback.1
}

session_open
mkdir -p "$SESSION/conf/xaring-pw.conf.d"
rules
session_start
daemon_start
noise "$SESSION/noise.raw" S16 2 480000
XARING_SOCKET=$(vm_socket work) aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000 \
	"$SESSION/noise.raw" </dev/null &
first=$!
# The text of a guest is cleaned: it may not bring control characters into a list of dom0.
XARING_SOCKET=$(vm_socket personal) aplay -q -D "xen:NAME='a
b'" -t raw -f S16_LE -c 2 -r 48000 "$SESSION/noise.raw" </dev/null &
second=$!
wait_or_die 10 "the nodes" have_nodes
pw-dump >"$SESSION/dump"
check_work
check_personal
check_clients
note "media.name of a name with a line feed: $(prop xen.personal.playback.1 media.name)"
check "no control character reaches media.name" \
	test "$(prop xen.personal.playback.1 media.name | wc -l)" -eq 1
kill $first $second
check_end
