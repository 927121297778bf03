#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 700 s.
# The guest's daemon is killed, and restarted, while a program plays: no gap, the next one knows the stream,
# new ones open, and the next restore works.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh
# shellcheck source=tests/xen/machine/lib-restore.sh
. /payload/tests/xen/machine/lib-restore.sh

# What a new daemon gives a program that does not come back, and more.
UNKNOWN_MS=12000

# gone_and_back NAME COMMAND FILE MS: what is published, and what dom0 has mapped, stay as they are for so long.
gone_and_back() {
	local name=$1 daemon new streams mapped id
	id=$(guest_id "$name")
	daemon=$(guest_daemon "$name")
	streams=$(published "$id")
	mapped=$(mapped_grants)
	guest_run "$name" "$2"
	check "$name: another daemon after: $2" wait_for 20 guest_daemon_is_new "$name" "$daemon"
	new=$(guest_daemon "$name")
	guest_silence "$name" second
	check "$name: new streams open" wait_for 20 guest_nodes_are "$name" 2
	guest_signal "$name" second KILL
	tap_go_on "$3" "$4"
	check "$name: the stream is known to the new one" test "$(published "$id")" = "$streams"
	check "$name: its pages are those of before: $mapped" wait_for 5 mapped_grants_are "$mapped"
	check "$name: the daemon is the new one still" test -n "$new" -a "$(guest_daemon "$name")" = "$new"
}

no_gap_check() {
	nothing_wrong_check "$1"
	check_number "$1: gaps" "$GAPS" -eq 0
}

session_need
guest_need pv pv
guest_need debian debian

tap_guests debian='xen.debian.playback.1'
guest_player debian 1 -b 16384
heard_or_die debian
tap_go_on "$SESSION/debian.f32" 1000
# shellcheck disable=SC2016
gone_and_back debian 'kill -9 $(pidof xaring-guestd)' "$SESSION/debian.f32" $UNKNOWN_MS
gone_and_back debian 'systemctl restart xaring-guestd' "$SESSION/debian.f32" 2000
player_ends debian 1 "$SESSION/debian.f32"
no_gap_check debian
# As in a guest that has never had them: no reboot. Most of a minute in the emulator.
if [ "$XARING_TEST" = long ]; then
	GUEST_SECONDS=180 guest_run debian 'export DEBIAN_FRONTEND=noninteractive
		dpkg --purge xaring-guest-default xaring-guest && modprobe -r xen_gntalloc &&
			dpkg -i /payload/debs/guest/xaring-guest*.deb' >"$SESSION/log/install" 2>&1
	check "debian: its packages are installed anew" test $? -eq 0
	guest_spawn debian second 'aplay -q -t raw -f S16_LE -c 2 -r 48000 /dev/zero'
	check "debian: and its default device is heard" wait_for 20 guest_is_heard debian
	guest_signal debian second KILL
fi

tap_guests pv='xen.pv.playback.1'
guest_player pv 2 -b 16384
heard_or_die pv
tap_go_on "$SESSION/pv.f32" 1000
# shellcheck disable=SC2016
gone_and_back pv 'kill -9 $(pidof xaring-guestd)' "$SESSION/pv.f32" 2000
tap_end
frames=$(stat -c %s "$SESSION/pv.f32")
guest_judge pv 2 "$SESSION/pv.f32"
no_gap_check pv
until_the_end_check pv

tap_sink "$SESSION/restored.f32"
daemon=$(guest_daemon pv)
save_and_restore pv
check "pv: it is heard again" wait_for 30 guest_is_heard pv
tap_go_on "$SESSION/restored.f32" 2000
check "pv: the daemon is the same" test "$(guest_daemon pv)" = "$daemon"
player_ends pv 2 "$SESSION/restored.f32"
nothing_wrong_check pv 16384
gaps_check pv 1
back_check pv "$RESUMED" "$RESUMED" 3000
figure "3 daemons without a gap in $((frames / 8 / 48000)) s and more; heard $BACK_MS ms after the next restore"
check_end
