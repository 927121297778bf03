#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 400 s.
# Three guests at once, one of them with two programs: all exact, each recorded by itself; a client for each
# guest, and two nodes of one client.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

FRAMES=480000
[ "$XARING_TEST" != quick ] || FRAMES=144000
PROGRAMS=('debian player 1' 'pv player 2' 'pvh one 3' 'pvh two 4')
FIGURE=''

# plays NAME ID NUMBER [ARGUMENT...]: with half a second in its buffer, for each start of a program keeps the one
# emulated processor of its guest longer than from one quantum to the next.
plays() {
	guest_spawn "$1" "$2" "/payload/tests/lib/coded-player -b 24000 ${*:4} $3"
}

# ends NAME ID NUMBER
ends() {
	check "$1, $2: the program ends well" guest_wait "$1" "$2" $((FRAMES / 48000 + 60))
}

# is_whole NAME ID NUMBER
is_whole() {
	whole_check "$1, $2" "$3" "$SESSION/$3.f32" $((FRAMES - 1))
	FIGURE+="${FIGURE:+, }$(verdict .coded)"
}

session_need
guest_need debian debian
guest_need pv pv
guest_need pvh pvh

# Nothing else runs in dom0 meanwhile.
tap_guests 1='xen.debian.playback.*' 2='xen.pv.playback.*' 3='xen.pvh.playback.1' 4='xen.pvh.playback.2'
# shellcheck disable=SC2086
for each in "${PROGRAMS[@]}"; do plays $each -n $FRAMES; done
# shellcheck disable=SC2086
for each in "${PROGRAMS[@]}"; do ends $each; done
tap_end
# shellcheck disable=SC2086
for each in "${PROGRAMS[@]}"; do is_whole $each; done

# shellcheck disable=SC2086
for each in "${PROGRAMS[@]}"; do plays $each; done
check "two programs of pvh have two nodes" wait_for 60 guest_nodes_are pvh 2
for each in debian pv pvh; do check "a client is called $each" client_exists $each; done
check_number "clients of pvh" "$(clients | grep -cx pvh)" -eq 1
for each in "${PROGRAMS[@]}"; do
	# shellcheck disable=SC2086
	set -- $each
	guest_signal "$1" "$2" KILL
done
figure "frames heard in one piece: $FIGURE of $FRAMES"
check_end
