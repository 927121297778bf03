#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 400 s.
# Three guests at once, one of them with two programs: all exact, each recorded by itself; a client for each
# guest, and two nodes of one client.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

MS=10000
[ "$XARING_TEST" != quick ] || MS=3000
PROGRAMS=('debian player 1' 'pv player 2' 'pvh one 3' 'pvh two 4')
FIGURE=''

session_need
guest_need debian debian
guest_need pv pv
guest_need pvh pvh

two_nodes() {
	[ "$(nodes '^xen\.pvh\.' | wc -l)" -eq 2 ]
}

# plays NAME ID NUMBER
plays() {
	guest_spawn "$1" "$2" "/payload/tests/lib/coded-player -b 8192 $3"
}

# ends NAME ID NUMBER: all that it has written is heard.
ends() {
	guest_signal "$1" "$2" TERM
	check "$1, $2: the program ends well" guest_wait "$1" "$2" 60
}

# is_whole NAME ID NUMBER
is_whole() {
	local written
	guest_fetch "$1" "/tmp/$2.out" "$SESSION/$2-$1.json"
	written=$(tail -n 1 "$SESSION/$2-$1.json" | jq .written)
	whole_check "$1, $2" "$3" "$SESSION/$3.f32" $((written - 1))
	FIGURE+="${FIGURE:+, }$(verdict .coded) of $written"
}

tap_guests 1='xen.debian.playback.*' 2='xen.pv.playback.*' 3='xen.pvh.playback.1' 4='xen.pvh.playback.2'
plays debian player 1
plays pv player 2
plays pvh one 3
check "the first program of pvh has a node" wait_for 60 guest_is_heard pvh
plays pvh two 4
check "two programs of pvh have two nodes" wait_for 60 two_nodes
for each in debian pv pvh; do check "a client is called $each" client_exists $each; done
check_number "clients of pvh" "$(clients | grep -cx pvh)" -eq 1
for number in 1 2 3 4; do tap_go_on "$SESSION/$number.f32" $MS; done
# shellcheck disable=SC2086
for each in "${PROGRAMS[@]}"; do ends $each; done
tap_end
# shellcheck disable=SC2086
for each in "${PROGRAMS[@]}"; do is_whole $each; done
figure "frames heard in one piece: $FIGURE"
check_end
