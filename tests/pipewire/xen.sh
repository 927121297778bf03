#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Guests of Xen, from an application behind xaring-guestd to the sink of dom0's PipeWire. Only xenstore
# and the grant devices are not the real ones (lib/xen.sh); tests/xen has those.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"
# shellcheck source=tests/lib/xen.sh
. "$XARING_SOURCE/tests/lib/xen.sh"

[ -x "$XARING_BUILD/libxaring/guestd/xaring-guestd" ] || skip "built without Xen"

# play NAME FILE [ARGUMENT...]
play() {
	local vm=$1 file=$2
	shift 2
	as_vm "$vm" aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000 "$@" "$file"
}

# prop CLIENT KEY
client_prop() {
	pw-dump | jq -r --arg name "$1" --arg key "$2" '[.[] | select(.type ==
		"PipeWire:Interface:Client" and .info.props["application.name"] == $name)][0]
		.info.props[$key] // "none"'
}

expect_prop() {
	local value
	value=$(client_prop "$1" "$2")
	check "client $1: $2 = $value" test "$value" = "$3"
}

guest_is_exact() {
	noise "$SESSION/noise.raw" S16 2 50001
	exact_check "what a guest plays" S16 2 "$SESSION/noise.raw" play work "$SESSION/noise.raw"
	expect_prop work xen.domain.name work
	expect_prop work xen.domain.id 3
	expect_prop work xen.domain.kind guest
	expect_prop work xaring.transport xen
	expect_prop work application.id org.xaring.vm.work
	wait_for 5 grants_are work "0 0" || fail "grants of work: $(grants work)"
}

# VMs of sockets go on as they were; but the machine itself is none unless it is asked for.
sockets_are_served() {
	check "no socket of a VM that nobody asked for" test ! -e "$SESSION/xaring/socket"
	exact_check "a VM of a socket, beside the guests" S16 2 "$SESSION/noise.raw" \
		env XARING_SOCKET="$SESSION/xaring/vm/here" timeout 60 \
		aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000 "$SESSION/noise.raw"
}

without_xen_there_is_the_machine() {
	end_process "$DAEMON_PID"
	check "a backend that was stopped has taken its node away" eval '! backend_is_there'
	in_domain 0 "$XARING_BUILD/pw-backend/xaring-pw" --runtime-dir "$SESSION/xaring" --no-xen \
		--pipewire "$XDG_RUNTIME_DIR/pipewire-0" >"$SESSION/log/no-xen" 2>&1 </dev/null &
	DAEMON_PID=$!
	check "--no-xen: there is the socket of the machine" wait_for 10 test -S "$SESSION/xaring/socket"
	wait_or_die 10 "--no-xen: a worker" grep -q ready "$SESSION/log/no-xen"
	check "--no-xen: guests are not told of a backend" eval '! backend_is_there'
}

# A crash of dom0's daemon: its next start finds the streams that run.
broker_restarts() {
	kill_hard "$DAEMON_PID"
	xen rm /local/domain/0/data/xaring/backend >/dev/null
	xen_daemon_start
	tap_go_on "$SESSION/heard.f32" 1500
}

restarts_are_survived() {
	tap_start "xen.work.playback.*:FL,FR:$SESSION/heard.f32"
	player_start work 1 -p 1024 -b 8192
	wait_or_die 10 "sound" player_has_written work 96000
	# Nothing that plays needs xenstore.
	xen down >/dev/null
	wait_or_die 10 "sound without xenstore" player_has_written work 192000
	xen up >/dev/null
	broker_restarts
	kill "$PLAYER_PID"
	wait "$PLAYER_PID"
	tap_stop
	judge work 1 "$SESSION/heard.f32"
	check_number "restart of the broker: gaps" "$(verdict .gaps)" -eq 1
	check_number "restart of the broker: frames repeated" "$(verdict .repeated)" -eq 0
	check_number "restart of the broker: damaged frames" "$(verdict .damaged+.half)" -eq 0
	check_number "errors that the application saw" "$(summary work .errors)" -eq 0
	latency_check "restart of the broker" "$(verdict '.runs[-1].latency_ms')" "$(verdict '.runs[0].latency_ms')" 8192
}

# Killed with -9 in the guest, and the whole guest destroyed: pages are given back.
ends_give_back() {
	player_start work 1 -p 1024 -b 8192
	wait_or_die 10 "sound" player_has_written work 48000
	check "a playing stream has pages: $(grants work)" test "$(grants work)" != "0 0"
	kill_hard "$PLAYER_PID"
	check "an application that was killed: pages given back in 1 s" \
		wait_for 1 grants_are work "0 0"

	player_start play 2 -p 1024 -b 8192
	wait_or_die 10 "sound" player_has_written play 48000
	xen destroy 4 >/dev/null
	check "a domain that was destroyed: none of its pages is mapped after 2 s" \
		wait_for 2 nothing_is_mapped play
	check "its client has gone" wait_for 2 client_is_gone play
	kill_hard "$PLAYER_PID"
}

nothing_is_mapped() {
	local counts
	counts=$(grants "$1")
	[ "${counts#* }" = 0 ]
}

client_is_gone() {
	[ "$(client_prop "$1" xen.domain.name)" = none ]
}

policy_is_told() {
	mkdir -p "$SESSION/conf/xaring-pw.conf.d"
	cat >"$SESSION/conf/xaring-pw.conf.d/50-rules.conf" <<-END
		xaring.rules = [ { matches = [ { xen.domain.name = "work" xaring.transport = xen } ]
		                   actions = { policy = { playback = false } } } ]
	END
	kill -HUP "$DAEMON_PID"
	wait_or_die 10 "the new rules" grep -q "rules were read again" "$SESSION/log/xaring-pw"
	play work "$SESSION/noise.raw" >"$SESSION/log/refused" 2>&1 </dev/null
	check_number "a guest that may not play: exit code of aplay" $? -ne 0
	check "and it is told why" grep -qi "not allowed\|not permitted\|polic" "$SESSION/log/refused"
	check "and so is dom0's log" grep -q "vm work stream .*polic" "$SESSION/log/xaring-pw"
}

# ctl ARGUMENT...: xaringctl, of this backend.
ctl() {
	XARING_CONTROL=$SESSION/xaring/control timeout 20 "$XARING_BUILD/pw-backend/ctl/xaringctl" "$@"
}

# twins_are FIELD VALUE: both of them, in JSON.
twins_are() {
	[ "$(ctl list --json | jq --arg value "$2" "[.[] | select(.vm == \"twin_1\" and $1 == \$value)] | length")" = 2 ]
}

# Two names that make one key: what is said of it is said of both, since nobody could mean the second one.
two_of_one_key() {
	guest_create left 5
	guest_create right 6
	xen write /local/domain/5/name "twin 1" >/dev/null
	xen write /local/domain/6/name twin_1 >/dev/null
	guest_boot left
	guest_boot right
	play left /dev/zero >/dev/null 2>&1 </dev/null &
	at_exit end_process $!
	play right /dev/zero >/dev/null 2>&1 </dev/null &
	at_exit end_process $!
	check "two VMs of one key play" wait_for 10 twins_are .state active
	ctl mic allow twin_1 --until-shutdown >/dev/null
	check "both are allowed to record" wait_for 5 twins_are .microphone.state allowed
	ctl mic deny twin_1 >/dev/null
	check "both are denied" wait_for 5 twins_are .microphone.state denied
	ctl disconnect twin_1 >/dev/null
	check "both are disconnected" wait_for 5 twins_are .state disconnected
}

session_open
session_start
xen_open
guest_create work 3
guest_create play 4
guest_boot work
xen_daemon_start --vm here
guest_boot play
guest_is_exact
sockets_are_served
restarts_are_survived
ends_give_back
two_of_one_key
policy_is_told
without_xen_there_is_the_machine
check_end
