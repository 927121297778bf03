#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 600 s.
# Guests are saved and restored while they play: the same program goes on, is heard within three seconds of
# the resume, and exact from there; no process ends, and no kernel complains.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

# In a row: the guest of each kind.
ROUNDS_PV=3 ROUNDS_PVH=2
[ "$XARING_TEST" != quick ] || ROUNDS_PV=1 ROUNDS_PVH=1
[ "$XARING_TEST" != long ] || ROUNDS_PVH=3
LONGEST_MS=0

# same_number FILE DOMID: what was saved there becomes that domain. xl keeps the configuration behind its
# header (xl.h, struct save_file_header) as JSON, with its length.
same_number() {
	python3 - "$1" "$2" <<-'END'
		import json, struct, sys
		with open(sys.argv[1], "r+b") as file:
		    file.seek(48)
		    length, = struct.unpack("=I", file.read(4))
		    config = json.loads(file.read(length).rstrip(b"\0"))
		    config["c_info"]["domid"] = int(sys.argv[2])
		    text = json.dumps(config, separators=(",", ":")).encode()
		    assert len(text) < length
		    file.seek(52)
		    file.write(text.ljust(length - 1) + b"\0")
	END
}

# resume NAME DOMID [same]: restores what was saved of that domain, with the same number again or, as usual,
# another one. RESUMED is when the guest runs again.
resume() {
	check "$1: no dead domain is left" wait_for 2 no_zombies
	[ "${3:-}" != same ] || same_number "/t/$1.save" "$2"
	LIBXL_DOMID_REUSE_TIMEOUT=0 xl restore -p "/t/$1.save" >>"$SESSION/log/xl" 2>&1
	check "$1 is restored" test $? -eq 0
	rm -f "/t/$1.save"
	if [ "${3:-}" = same ]; then
		check_number "$1: the number of its domain" "$(guest_id "$1")" -eq "$2"
	else
		check_number "$1: the number of its domain" "$(guest_id "$1")" -ne "$2"
	fi
	RESUMED=$(now_ns)
	xl unpause "$1"
}

# save_and_restore NAME [same]
save_and_restore() {
	local id
	id=$(guest_id "$1")
	xl save "$1" "/t/$1.save" >>"$SESSION/log/xl" 2>&1
	check "$1 is saved" test $? -eq 0
	resume "$1" "$id" "${2:-}"
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

# restored NAME NUMBER ROUNDS: with one program, which waits in a write whenever it is not writing; the last
# time as the same domain.
restored() {
	local name=$1 number=$2 rounds=$3 daemon round resumed=() back_ms which=''
	daemon=$(guest_daemon "$name")
	tap_sink "$SESSION/$name.f32"
	guest_player "$name" "$number" -b 8192
	heard_or_die "$name"
	tap_go_on "$SESSION/$name.f32" 2000
	for ((round = 1; round <= rounds; round++)); do
		[ "$round" -lt "$rounds" ] || which=same
		save_and_restore "$name" $which
		resumed+=("$RESUMED")
		check "$name: it is heard again, round $round" wait_for 30 guest_is_heard "$name"
		tap_go_on "$SESSION/$name.f32" 4000
	done
	check "$name: the program still runs" guest_runs "$name" player
	check "$name: so does the daemon" test "$(guest_daemon "$name")" = "$daemon"
	guest_signal "$name" player TERM
	check "$name: the program ends well" guest_wait "$name" player 30
	tap_go_on "$SESSION/$name.f32" 200
	tap_end
	guest_judge "$name" "$number" "$SESSION/$name.f32"
	check "$name: $(verdict '"\(.coded) frames, \(.gaps) gaps, \(.jumps) jumps, \(.repeated) repeated, " +
		"\(.damaged) damaged, \(.foreign) foreign"')" \
		verdict_holds ".gaps >= $rounds and .jumps + .repeated + .damaged + .foreign == 0"
	for RESUMED in "${resumed[@]}"; do
		back_ms=$(verdict "([.runs[] | select(.begin_ns > $RESUMED) | .begin_ns][0] - $RESUMED) / 1000000 | floor")
		check_number "$name: ms from the resume to sound" "$back_ms" -le $((3000 + SLACK_MS))
		[ "$back_ms" -le "$LONGEST_MS" ] || LONGEST_MS=$back_ms
	done
	GAPS+="${GAPS:+, }$name $(verdict '[.runs[1:][].silent_before] | max / 48 | floor') ms"
}

# Almost four seconds, in one buffer.
DRAIN_FRAMES=31000 DRAIN_RATE=8000

# drained NAME: saved and restored after the last write. dom0 plays all of it while the guest sleeps, before
# anything of the guest is read, and the guest's clock does not count that: so a drain that lasted less than
# the sound was interrupted. Not exact: dom0 makes 48 kHz of it.
drained() {
	local name=$1 drain_ms all_ms=$((DRAIN_FRAMES * 1000 / DRAIN_RATE)) heard_ms id
	id=$(guest_id "$name")
	tap_sink "$SESSION/drain.f32"
	save_prepare "$name"
	guest_player "$name" 3 -f S24_3 -r $DRAIN_RATE -b 32000 -n $DRAIN_FRAMES
	check "$name: what it has in its buffer is heard" wait_for 5 guest_is_heard "$name"
	save_now "$name" "$SESSION/drain.f32" $((all_ms + 500))
	resume "$name" "$id"
	check "$name: the program that drains ends well" guest_wait "$name" player 60
	tap_go_on "$SESSION/drain.f32" 500
	tap_end
	guest_judge "$name" 3 "$SESSION/drain.f32"
	drain_ms=$(tail -n 1 "$SESSION/player-$name.json" | jq '.drain_ms | floor')
	heard_ms=$(verdict '(.recorded - .silent) / 48 | floor')
	note "$name: heard $heard_ms of $all_ms ms, drained for $drain_ms ms"
	check_number "$name: it was saved in its drain, which lasted (ms)" "$drain_ms" -lt $all_ms
	check_number "$name: all of it was heard (ms)" "$heard_ms" -ge $((all_ms - 50))
	check_number "$name: and nothing else (ms)" "$heard_ms" -le $((all_ms + 100))
}

# Short plays, one after the other, so that a save finds one that opens, writes or drains.
busy() {
	local name=$1 before
	guest_run "$name" '/payload/tests/lib/sound-make coded S32 9 0 24000 >/tmp/short.raw'
	GUEST_USER=root guest_spawn "$name" busy 'sh -c "while aplay -q -D xen -t raw -f S32_LE -c 2 -r 48000 --buffer-size=16384 /tmp/short.raw; do echo played; done"'
	for each in 1 2; do
		before=$(guest_run "$name" "wc -l </tmp/busy.out")
		save_and_restore "$name"
		check "$name: short plays go on" wait_for 30 plays_on "$name" "$before"
	done
	check "$name: none of them failed" guest_runs "$name" busy
	guest_run "$name" "kill -TERM -\$(cat /tmp/busy.pid)"
}

plays_on() {
	[ "$(guest_run "$1" "wc -l </tmp/busy.out")" -gt $(($2 + 2)) ]
}

GAPS=''
session_need
guest_need pv pv
guest_need pvh pvh
restored pv 1 $ROUNDS_PV
restored pvh 2 $ROUNDS_PVH
busy pv
drained pv
figure "$((ROUNDS_PV + ROUNDS_PVH)) restores, heard at most $LONGEST_MS ms after the resume; longest gaps: $GAPS"
check_end
