#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 600 s.
# A guest that plays is saved and goes on at once, and is moved to this same host: one gap each time, and it
# keeps name, volume and policy.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

session_need
guest_destroy mover
# Of a PV guest the emulated Xen cannot log what it writes.
guest_start mover pvh
guest_player mover 1 -b 16384
heard_or_die mover
guest_set_volume mover 1.0 1000
tap_sink "$SESSION/saved.f32"
tap_go_on "$SESSION/saved.f32" 2000
id=$(guest_id mover)
xl save -c mover /t/mover.save >"$SESSION/log/save" 2>&1
check "it is saved" test $? -eq 0 || check_end
rm -f /t/mover.save
check "it is the same domain" test "$(guest_id mover)" = "$id"
check "it is heard" wait_for 30 guest_is_heard mover
tap_go_on "$SESSION/saved.f32" 2000
player_ends mover 1 "$SESSION/saved.f32"
nothing_wrong_check mover
gaps_check mover 1
saved_ms=$LONGEST_MS

# Its slider, at half the volume: an eighth, since it is cubic.
guest_player mover 2 -b 16384
heard_or_die mover
guest_set_volume mover 0.5 125
one_stream_check mover "before"
uuid=$(xenstore-read "/local/domain/$id/vm")
tap_sink "$SESSION/moved.f32"
tap_go_on "$SESSION/moved.f32" 2000
mark=$(log_mark)
# Instead of ssh, the shell; what receives is this host.
xl migrate -s '' mover 'exec xl migrate-receive' >"$SESSION/log/migrate" 2>&1 </dev/null
check "it is moved" test $? -eq 0 || check_end
MOVED=$(now_ns)
check "it is another domain" wait_for 10 guest_is_another mover "$id"
id=$(guest_id mover)
check "its UUID is that of before" test "$(xenstore-read "/local/domain/$id/vm")" = "$uuid"
check "no dead domain is left" wait_for 5 no_zombies
check "it is heard" wait_for 30 guest_is_heard mover
check "by a client with its name" client_exists mover
check "one node" guest_nodes_are mover 1
check_number "VMs with a name of the way" "$(log_count "$mark" 'vm .*--(incoming|migratedaway) is domain')" -eq 0
check "its volume is that of before" wait_for 5 guest_volume_is mover 125
one_stream_check mover "after"
tap_go_on "$SESSION/moved.f32" 2000
player_ends mover 2 "$SESSION/moved.f32" 8
nothing_wrong_check mover 16384
check_number "gaps" "$GAPS" -ge 1
gaps_check mover 1
# xl itself returns when the guest has been running for a while.
back_ms=$((($(verdict '.runs[-1].begin_ns') - MOVED) / 1000000))
check_number "ms from the end of xl to sound" $back_ms -le 3000
guest_destroy mover
figure "longest gap of a save: $saved_ms ms, of a move: $LONGEST_MS ms; heard $back_ms ms after xl's end"
check_end
