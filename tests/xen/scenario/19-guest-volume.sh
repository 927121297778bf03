#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 300 s.
# The volume of a Debian guest's own: a member of its group audio sets it with amixer and another user may not; what
# its programs play is so loud, frame by frame; dom0's xaringctl shows it beside dom0's own, which is as it was; and
# the guest's daemon keeps it.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

amixer() {
	guest_user debian "amixer -D xen $* 2>&1"
}

shows() {
	amixer sget Master >"$SESSION/master"
	grep -qF "$1" "$SESSION/master"
}

dom0_has() {
	xaringctl status debian --json >"$SESSION/status" && jq -e "$1" "$SESSION/status" >/dev/null
}

not_a_member() {
	! GUEST_GROUPS=--clear-groups amixer -q sset Master 10% >"$SESSION/refused"
}

session_need
guest_need debian debian
at_exit amixer -q sset Master 100%
check "it is set" amixer -q sset Master 50%
check "and shown" shows '[50%]'
check "who is not in the group may not" not_a_member
check "and is told why" grep -q 'members of the group audio may' "$SESSION/refused"
check "it is as before" shows '[50%]'

guest_player debian 1 -f FLOAT -b 24000
heard_or_die debian
tap_sink "$SESSION/heard.f32"
tap_go_on "$SESSION/heard.f32" 1500
check "dom0 sees both" wait_for 5 dom0_has \
	'.volume_in_guest == {percent: 50, muted: false} and .volume == {percent: 100, muted: false}'
player_ends debian 1 "$SESSION/heard.f32" 8
nothing_wrong_check debian
check_number "frames of an eighth of the amplitude" "$CODED" -ge 48000
quiet=$CODED

guest_run debian "systemctl restart xaring-guestd"
check "another daemon has kept it" wait_for 10 shows '[50%]'
figure "$quiet frames at an eighth of the amplitude, kept by the next daemon"
check_end
