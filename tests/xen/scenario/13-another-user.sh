#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 500 s.
# The person at dom0's screen logs out and another one logs in while a guest plays: nobody hears it meanwhile,
# then the other one does; and back, in the long run.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

# The user whose session is active on the seat.
active_user() {
	local session
	session=$(loginctl show-seat seat0 -P ActiveSession)
	[ -z "$session" ] || loginctl show-session "$session" -P Name
}

active_user_is() {
	[ "$(active_user)" = "$1" ]
}

session_on() {
	local session
	for session in $(loginctl list-sessions --no-legend | awk '{ print $1 }'); do
		[ "$(loginctl show-session "$session" -P TTY)" != "$1" ] || echo "$session"
	done | head -n 1
}

has_session_on() {
	[ -n "$(session_on "$1")" ]
}

user_is_gone() {
	! loginctl show-user "$1" >/dev/null 2>&1 && ! pgrep -u "$1" -x pipewire >/dev/null
}

# The user's PipeWire, for everything that asks one from here on.
listen_to() {
	XDG_RUNTIME_DIR=/run/user/$(id -u "$1")
}

# log_out USER TERMINAL: nobody logs in there again.
log_out() {
	systemctl stop "getty@$2"
	loginctl terminate-user "$1"
	check "$1 is logged out" wait_for 30 user_is_gone "$1"
}

# log_in USER TERMINAL: and that terminal is the one that is seen.
log_in() {
	systemctl start "getty@$2"
	check "$1 logs in" wait_for 30 has_session_on "$2"
	loginctl activate "$(session_on "$2")"
	check "$1 is at the seat" wait_for 10 active_user_is "$1"
	listen_to "$1"
	session_need_again
}

# As it was, whatever has happened, for those that follow.
restore() {
	[ -z "${IS_LAST:-}" ] || return 0
	systemctl stop getty@tty2
	loginctl terminate-user bob 2>/dev/null
	systemctl start getty@tty1
	wait_for 30 has_session_on tty1
	loginctl activate "$(session_on tty1)"
	listen_to alice
	session_need_again
}

# The program plays on meanwhile, in real time: a second of sound at least.
plays_on_check() {
	local before
	before=$(guest_written pv)
	check "$1: it plays on" wait_for 10 guest_has_written pv $((before + 48000))
}

worker_runs_as() {
	[ "$(stat -c %U "/proc/$(worker_of_broker)" 2>/dev/null)" = "$1" ]
}

# heard_by_check USER FILE
heard_by_check() {
	check "$1 hears it" wait_for 20 guest_is_heard pv
	check "the worker has an account of its own" worker_runs_as xaring
	tap_sink "$2"
	tap_go_on "$2" 3000
	tap_end
	guest_judge pv 1 "$2"
	nothing_wrong_check "$1"
	check_number "$1: gaps, once it is heard" "$GAPS" -eq 0
	until_the_end_check "$1"
}

session_need
check "alice is at the seat" wait_for 10 active_user_is alice
guest_need pv pv
broker=$(broker_pid)
guest_player pv 1 -b 8192
heard_or_die pv

at_exit restore
log_out alice tty1
plays_on_check "nobody is logged in"
log_in bob tty2
ready=${EPOCHREALTIME/./}
check "it is heard by bob" wait_for 20 guest_is_heard pv
bob_ms=$(((${EPOCHREALTIME/./} - ready) / 1000))
heard_by_check bob "$SESSION/bob.f32"
check "alice's PipeWire is not there" test ! -S /run/user/1000/pipewire-0

FIGURE="heard $bob_ms ms after bob's sink was there"

if [ "$XARING_TEST" = long ]; then
	log_out bob tty2
	log_in alice tty1
	ready=${EPOCHREALTIME/./}
	check "it is heard by alice" wait_for 20 guest_is_heard pv
	FIGURE+=", $(((${EPOCHREALTIME/./} - ready) / 1000)) ms after alice's"
	heard_by_check alice "$SESSION/alice.f32"
fi
check "the broker is the same" test "$(broker_pid)" = "$broker"
guest_stop pv player "$SESSION/player"
check "its program has seen no error" test "$(tail -n 1 "$SESSION/player" | jq .errors)" = 0
figure "$FIGURE"
check_end
