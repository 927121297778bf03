#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest is saved and restored while streams are opened, written and drained, and in the middle of a drain.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-restore.sh
. /payload/tests/xen/machine/lib-restore.sh

ROUNDS=1
[ "$XARING_TEST" != long ] || ROUNDS=5

# Short plays, one after the other, so that a save finds one that opens, writes or drains.
busy() {
	local name=$1 before round
	guest_run "$name" '/payload/tests/lib/sound-make coded S32 9 0 24000 >/tmp/short.raw'
	GUEST_USER=root guest_spawn "$name" busy 'sh -c "while aplay -q -D xen -t raw -f S32_LE -c 2 -r 48000 --buffer-size=16384 /tmp/short.raw; do echo played; done"'
	for ((round = 1; round <= ROUNDS; round++)); do
		before=$(guest_run "$name" "wc -l </tmp/busy.out")
		save_and_restore "$name"
		check "$name: short plays go on" wait_for 30 plays_on "$name" "$before"
		check "$name: and are heard" wait_for 10 guest_is_heard "$name"
	done
	check "$name: none of them failed" guest_runs "$name" busy
	guest_run "$name" "kill -TERM -\$(cat /tmp/busy.pid)"
}

plays_on() {
	[ "$(guest_run "$1" "wc -l </tmp/busy.out")" -gt $(($2 + 2)) ]
}

# save_prepare NAME: all of a save that is slow is done; xl waits for somebody who reads.
save_prepare() {
	mkfifo "/t/$1.pipe"
	xl save "$1" "/t/$1.pipe" >>"$SESSION/log/xl" 2>&1 &
	SAVER=$!
}

# save_now NAME FILE MS: the guest is suspended, and its memory is read so many ms of the recording FILE later.
save_now() {
	{ tap_go_on "$2" "$3" >&2 && cat; } <"/t/$1.pipe" >"/t/$1.save"
	wait $SAVER
	check "$1 is saved" test $? -eq 0
	rm "/t/$1.pipe"
}

# Almost four seconds, in one buffer.
DRAIN_FRAMES=31000 DRAIN_RATE=8000

# drained NAME: saved and restored after the last write. dom0 plays all of it while the guest sleeps, before
# anything of the guest is read, and the guest's clock does not count that: so a drain that lasted less than
# the sound was interrupted. Not exact: dom0 makes 48 kHz of it.
drained() {
	local name=$1 drain_ms all_ms=$((DRAIN_FRAMES * 1000 / DRAIN_RATE)) id
	id=$(guest_id "$name")
	tap_sink "$SESSION/drain.f32"
	save_prepare "$name"
	guest_player "$name" 3 -f S24_3 -r $DRAIN_RATE -b 32000 -n $DRAIN_FRAMES
	check "$name: what it has in its buffer is heard" wait_for 5 guest_is_heard "$name"
	save_now "$name" "$SESSION/drain.f32" $((all_ms + 500))
	resume "$name" "$id"
	check "$name: the program that drains ends well" guest_wait "$name" player 60 "$SESSION/player.json"
	tap_go_on "$SESSION/drain.f32" 500
	tap_end
	guest_judge "$name" 3 "$SESSION/drain.f32"
	drain_ms=$(tail -n 1 "$SESSION/player.json" | jq '.drain_ms | floor')
	HEARD_MS=$(verdict '(.recorded - .silent) / 48 | floor')
	note "$name: heard $HEARD_MS of $all_ms ms, drained for $drain_ms ms"
	check_number "$name: it was saved in its drain, which lasted (ms)" "$drain_ms" -lt $all_ms
	check_number "$name: all of it was heard (ms)" "$HEARD_MS" -ge $((all_ms - 50))
	check_number "$name: and nothing else (ms)" "$HEARD_MS" -le $((all_ms + 100))
}

session_need
guest_need pv pv
busy pv
drained pv
figure "heard $HEARD_MS of $((DRAIN_FRAMES * 1000 / DRAIN_RATE)) ms of what was in the buffer"
check_end
