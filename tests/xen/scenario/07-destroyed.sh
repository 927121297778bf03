#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 600 s.
# A guest that plays is destroyed: nothing of it is left after two seconds. Guests that reboot in a loop, and
# a new one that gets the old name, inherit volume and policy, and nothing else.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

REBOOTS=2
[ "$XARING_TEST" != long ] || REBOOTS=5

# destroyed NAME MAPPED: while it plays.
destroyed() {
	local began took
	began=${EPOCHREALTIME/./}
	xl destroy "$1"
	check "$1: no dead domain is left" wait_for 10 no_zombies
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	check_number "$1: ms until then" $took -le 2000
	check "$1: dom0 has let go of its pages" wait_for 5 mapped_grants_are "$2"
	check "$1: its node is gone" wait_for 5 guest_is_silent "$1"
	FIGURE="gone after $took ms"
}

session_need
guest_destroy loop
mapped=$(mapped_grants)
guest_start loop pv 'on_reboot = "restart"'
guest_player loop 1 -b 8192
heard_or_die loop
guest_set_volume loop 0.5 125
used=$(($(mapped_grants) - mapped))
for ((round = 1; round <= REBOOTS; round++)); do
	id=$(guest_id loop)
	xl reboot loop
	wait_or_die 60 "reboot $round" guest_is_another loop "$id"
	check "no dead domain is left by reboot $round" wait_for 5 no_zombies
	check "no page of the old one is mapped" mapped_grants_are "$mapped"
	guest_await loop 120
	guest_player loop 1 -b 8192
	check "it plays after reboot $round" wait_for 20 guest_is_heard loop
	check "one node" guest_nodes_are loop 1
	check "its volume is remembered" wait_for 5 guest_volume_is loop 125
	check_number "pages are mapped for it" $(($(mapped_grants) - mapped)) -eq $used
done
one_stream_check loop "after reboots"
destroyed loop "$mapped"
guest_start loop pv
guest_player loop 2 -b 8192
check "a new guest with the old name plays" wait_for 20 guest_is_heard loop
check "its volume is that of the name" wait_for 5 guest_volume_is loop 125
one_stream_check loop "of a new guest"
guest_set_volume loop 1.0 1000
tap_sink "$SESSION/new.f32"
tap_go_on "$SESSION/new.f32" 1000
tap_end
guest_judge loop 2 "$SESSION/new.f32"
nothing_wrong_check "a new guest"
until_the_end_check "a new guest"
destroyed loop "$mapped"
figure "$REBOOTS reboots, destroyed: $FIGURE"
check_end
