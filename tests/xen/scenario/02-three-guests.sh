#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 400 s.
# Three guests at once, one of them with two programs: all exact, each recorded by itself; a client for each
# guest, and two nodes of one client.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

FRAMES=480000
[ "$XARING_TEST" != quick ] || FRAMES=144000

session_need
guest_need debian debian
guest_need pv pv
guest_need pvh pvh

# plays NAME ID NUMBER: a program that is stopped by its end.
plays() {
	guest_spawn "$1" "$2" "/payload/tests/lib/coded-player -n $FRAMES -b 8192 $3"
}

two_nodes() {
	[ "$(nodes '^xen\.pvh\.' | wc -l)" -eq 2 ]
}

tap_guests debian='xen.debian.playback.*' pv='xen.pv.playback.*' one='xen.pvh.playback.1' two='xen.pvh.playback.2'
plays debian player 1
plays pv player 2
plays pvh one 3
check "the first program of pvh has a node" wait_for 20 guest_is_heard pvh
plays pvh two 4
check "two programs of pvh have two nodes" wait_for 20 two_nodes
for each in debian pv pvh; do check "a client is called $each" client_exists $each; done
check_number "clients of pvh" "$(clients | grep -cx pvh)" -eq 1
for each in 'debian player' 'pv player' 'pvh one' 'pvh two'; do
	# shellcheck disable=SC2086
	check "the program ends by itself: $each" guest_wait $each $((FRAMES / 48000 + 60))
done
tap_end
whole_check "debian" 1 "$SESSION/debian.f32" $((FRAMES - 1)) && figure_1=$(verdict .coded)
whole_check "pv" 2 "$SESSION/pv.f32" $((FRAMES - 1)) && figure_2=$(verdict .coded)
whole_check "pvh, one" 3 "$SESSION/one.f32" $((FRAMES - 1)) && figure_3=$(verdict .coded)
whole_check "pvh, two" 4 "$SESSION/two.f32" $((FRAMES - 1)) && figure_4=$(verdict .coded)
figure "frames heard in one piece: $figure_1, $figure_2, $figure_3, $figure_4 of $FRAMES"
check_end
