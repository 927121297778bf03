#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What update-props may change and what it may not, and that a user's own folder changes how a VM
# looks and never what it may do.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="work"
NODE=xen.work.playback.1
OTHER_SINK=other-sink

# prop KEY: of the node, or "none".
prop() {
	pw-dump 2>/dev/null | jq -r --arg name "$NODE" --arg key "$1" '[.[] |
		select(.type == "PipeWire:Interface:Node" and .info.props["node.name"] == $name)][0]
		.info.props[$key] | if . == null then "none" else tostring end'
}

# expect TEXT KEY VALUE
expect() {
	local value
	value=$(prop "$2")
	check "$1: $2 = $value" test "$value" = "$3"
}

# rule FILE KEY=VALUE...: into that folder of fragments.
rule() {
	local file=$1 pair
	shift
	mkdir -p "$(dirname "$file")"
	{
		echo 'xaring.rules = [ { matches = [ { xen.domain.name = "work" } ] actions = {'
		echo 'update-props = {'
		for pair in "$@"; do echo "    ${pair%%=*} = \"${pair#*=}\""; done
		echo '} } } ]'
	} >"$file"
}

# Names of the sinks that the node is linked to.
linked_to() {
	pw-dump 2>/dev/null | jq -r --arg name "$NODE" '
		(map(select(.type == "PipeWire:Interface:Node")) |
			map({key: (.id | tostring), value: .info.props["node.name"]}) | from_entries) as $names |
		[.[] | select(.type == "PipeWire:Interface:Link") |
			select($names[.info["output-node-id"] | tostring] == $name) |
			$names[.info["input-node-id"] | tostring]] | unique | join(" ")'
}

is_linked_to() {
	[ "$(linked_to)" = "$1" ]
}

play_start() {
	XARING_SOCKET=${1:-$(vm_socket work)} aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000 /dev/zero \
		>"$SESSION/log/aplay" 2>&1 </dev/null &
	PLAY_PID=$!
	wait_or_die 10 "the node" node_exists $NODE
}

stop_all() {
	end_process "$PLAY_PID"
	end_process "$DAEMON_PID"
	DAEMON_PID=''
	wait_or_die 10 "the node's end" node_is_gone $NODE
}

# refused KEY VALUE: the log says so, with both, and what is accepted instead.
refused() {
	local line
	line=$(grep -F "update-props $1 = \"$2\" is refused" "$SESSION/log/xaring-pw" | head -n 1)
	check "the log: ${line:-nothing about $1}" grep -q 'vm work: .* accepted are .*node.latency' <<<"$line"
}

refusals() {
	rule "$SESSION/conf/xaring-pw.conf.d/50-looks.conf" media.role=Music application.id=org.other \
		node.name=other pipewire.access=unrestricted xaring.key=other media.class=Audio/Sink \
		application.icon-name=briefcase media.icon-name=audio-card \
		"node.description=The Office" state.restore-props=false node.max-latency=1024/48000
	daemon_start
	play_start
	refused media.role Music
	refused application.id org.other
	refused node.name other
	refused pipewire.access unrestricted
	refused xaring.key other
	refused media.class Audio/Sink
	check_number "each is refused once" "$(grep -c 'is refused' "$SESSION/log/xaring-pw")" -eq 6
	expect "refused" media.role none
	expect "refused" application.id org.xaring.vm.work
	expect "refused" pipewire.access none
	expect "refused" xaring.key work
	expect "refused" media.class Stream/Output/Audio
	expect "accepted beside them" application.icon-name briefcase
	expect "accepted beside them" media.icon-name audio-card
	expect "accepted beside them" node.description "The Office"
	expect "accepted beside them" state.restore-props false
	expect "accepted beside them" node.max-latency 1024/48000
	expect "what was not named" application.name work
	check "without target.object: linked to the default sink" wait_for 5 is_linked_to $SESSION_SINK
	stop_all
}

target() {
	pw-cli create-node adapter "{ factory.name=support.null-audio-sink node.name=$OTHER_SINK
		media.class=Audio/Sink object.linger=true audio.position=[FL FR] }" >/dev/null
	wait_or_die 10 "the other sink" node_exists $OTHER_SINK
	check "the other sink is not the default" sink_is_default
	rule "$SESSION/conf/xaring-pw.conf.d/50-looks.conf" target.object=$OTHER_SINK
	daemon_start
	play_start
	check "target.object: linked to the sink that it names" wait_for 5 is_linked_to $OTHER_SINK
	stop_all
}

# Without --config-dir. The main file is the user's too: the build's own folders hold none.
user_folder() {
	local dir=$XDG_CONFIG_HOME/pipewire run=$SESSION/xaring-user
	mkdir -p "$dir/xaring-pw.conf.d"
	cp "$XARING_SOURCE/conf/pipewire/xaring-pw.conf" "$dir/"
	rule "$dir/xaring-pw.conf.d/50-looks.conf" application.icon-name=user-home
	cat >"$dir/xaring-pw.conf.d/60-policy.conf" <<-END
		xaring.properties = { pipewire.socket = "$SESSION/nowhere" }
		xaring.vms = [ { name = intruder } ]
		xaring.rules = [ { matches = [ { xaring.key = "~.*" } ]
		    actions = { policy = { playback = false max-streams = 1 } } } ]
	END
	: >"$SESSION/log/xaring-pw"
	# Root would follow the seat; and what is configured would count more.
	PIPEWIRE_RUNTIME_DIR=$XDG_RUNTIME_DIR \
		"$XARING_BUILD/pw-backend/xaring-pw" --runtime-dir "$run" --vm work \
		>>"$SESSION/log/xaring-pw" 2>&1 </dev/null &
	DAEMON_PID=$!
	wait_or_die 10 "xaring-pw: the socket" test -S "$run/vm/work"
	play_start "$run/vm/work"
	expect "the user's folder" application.icon-name user-home
	check "the user's policy does not count: it plays" wait_for 5 is_linked_to $SESSION_SINK
	check "the user's VMs do not count" test ! -e "$run/vm/intruder"
	check "the program has no error" test ! -s "$SESSION/log/aplay"
	stop_all
}

# The same policy in the folder that the broker reads, so that the test above could have failed.
system_folder() {
	mv "$XDG_CONFIG_HOME/pipewire/xaring-pw.conf.d" "$SESSION/conf-user.d"
	rm -rf "$XDG_CONFIG_HOME/pipewire/xaring-pw.conf" "$SESSION/conf/xaring-pw.conf.d"
	mkdir -p "$SESSION/conf/xaring-pw.conf.d"
	grep -v pipewire.socket "$SESSION/conf-user.d/60-policy.conf" \
		>"$SESSION/conf/xaring-pw.conf.d/60-policy.conf"
	daemon_start
	check "the same in the broker's folder counts: its VM" wait_for 5 test -S "$(vm_socket intruder)"
	as_vm work aplay -q -D xen -d 1 -t raw -f S16_LE -c 2 -r 48000 /dev/zero \
		>"$SESSION/log/aplay" 2>&1 </dev/null
	check_number "the same in the broker's folder counts: exit code of aplay" $? -ne 0
}

session_open
session_start
refusals
target
user_folder
system_folder
check_end
