#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 400 s.
# Three guests at once, one of them with two programs: all exact, each recorded by itself; a client for each
# guest, and two nodes of one client.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

SECONDS_OF_IT=6
[ "$XARING_TEST" != quick ] || SECONDS_OF_IT=3
PROGRAMS=('debian player 1' 'pv player 2' 'pvh one 3' 'pvh two 4')
FIGURE=''

# plays NAME ID NUMBER: with as much in its buffer as there can be, half a second, for each start of a program keeps the
# one emulated processor of its guest longer than from one quantum to the next, and five domains share two.
plays() {
	guest_spawn "$1" "$2" "/payload/tests/lib/coded-player -b 24000 $3"
}

# is_whole NAME ID NUMBER: from the first frame that was recorded to the last one nothing is missing, repeated,
# changed, or somebody else's.
is_whole() {
	player_said "$SESSION/$3.json"
	guest_judge "$1-$2" "$3" "$SESSION/$3.f32"
	unnoticed_check "$1, $2"
	check_number "$1, $2: gaps, jumps, and frames that are repeated, damaged, or of others" $((GAPS + JUMPS + TWICE + WRONG)) -eq 0
	check_number "$1, $2: frames" "$CODED" -gt $((SECONDS_OF_IT * 47500))
	until_the_end_check "$1, $2"
	FIGURE+="${FIGURE:+, }$CODED"
}

all_are_recorded() {
	[ "$(grep -c ' hears ' "$TAP_LOG")" -eq ${#PROGRAMS[@]} ]
}

session_need
guest_need debian debian
guest_need pv pv
guest_need pvh pvh

# The start of a program is most of the work: it is over before anything is recorded.
# shellcheck disable=SC2086
for each in "${PROGRAMS[@]}"; do plays $each; done
check "two programs of pvh have two nodes" wait_for 60 guest_nodes_are pvh 2
for each in debian pv; do check "$each has one" wait_for 20 guest_nodes_are $each 1; done
for each in debian pv pvh; do check "a client is called $each" client_exists $each; done
check_number "clients of pvh" "$(clients | grep -cx pvh)" -eq 1

tap_guests 1='xen.debian.playback.*' 2='xen.pv.playback.*' 3='xen.pvh.playback.1' 4='xen.pvh.playback.2'
wait_or_die 20 "the recorder: sound of all" all_are_recorded
tap_go_on "$SESSION/4.f32" $((SECONDS_OF_IT * 1000))
tap_end
for each in "${PROGRAMS[@]}"; do
	read -r name id number <<<"$each"
	guest_stop "$name" "$id" "$SESSION/$number.json"
done
# shellcheck disable=SC2086
for each in "${PROGRAMS[@]}"; do is_whole $each; done
figure "frames heard, of $SECONDS_OF_IT s: $FIGURE"
check_end
