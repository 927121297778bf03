# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# How a program that records is judged. Sourced after plays.sh and mic.sh. Its file has record(), which records the file
# RECORDING of the user's home for RECORD_S seconds, and ends.

RECORD_S=2 RECORDING=recorded.wav
RECORD_LOG=$WORK/record.log

make_room() {
	{
		au_header S16 "$SESSION_RATE" 2
		"$TOOLS/sound-make" noise S16 2 $((SESSION_RATE * 8)) 77 | tee "$SESSION/room.raw"
	} >"$SESSION/room.au"
	"$TOOLS/sound-make" floats S16 <"$SESSION/room.raw" >"$SESSION/room.f32"
}

timed_record() {
	local res
	now_ns >"$SESSION/guest/began"
	record
	res=$?
	now_ns >"$SESSION/guest/ended"
	return $res
}

capture_is_linked_here() {
	capture_is_linked "xen.$GUEST_VM.capture.1"
}

# take: the program records, and hears silence, and then the room.
take() {
	as_root rm -f "$GUEST_HOME/$RECORDING"
	tap_start "test-mic:FL,FR:$SESSION/mic.f32"
	guest_start "$RECORD_LOG" timed_record
	wait_for 10 capture_is_linked_here || note "it does not record"
	mic_hears "$SESSION/room.au"
	guest_wait 20
	RECORD_CODE=$?
	room_ends
	recorded_floats
	ROOM_PIECES=$("$TOOLS/sound-pieces" 2 "$SESSION/room.f32" "$SESSION/mic.f32")
	PIECES=$("$TOOLS/sound-pieces" 2 "$SESSION/room.f32" "$SESSION/recorded.f32")
}

# What was recorded, as floats.
recorded_floats() {
	: >"$SESSION/recorded.f32"
	as_root cat "$GUEST_HOME/$RECORDING" 2>/dev/null |
		sox -V0 -D --ignore-length -t wav - -t raw -e float -b 32 "$SESSION/recorded.f32" 2>/dev/null
}

# is_one_piece PIECES: and nothing else in it but silence.
is_one_piece() {
	[ "$(grep -c '^piece' <<<"$1")" -eq 1 ] && awk '{ n += $1 == "end" ? $3 : $6 } END { exit n > 0 }' <<<"$1"
}

# The first frame that the microphone heard.
room_begin() {
	awk '$1 == "piece" { print $2; exit }' <<<"$ROOM_PIECES"
}

# Silence that follows the last piece.
silent_end() {
	awk '$1 == "end" { print $2 }' <<<"$PIECES"
}

# From the first frame that the microphone heard, since the program has recorded before that; and to its end.
took_room() {
	is_one_piece "$PIECES" && [ "$(column 2)" -ge $((SESSION_RATE / 2)) ] && [ "$(column 1)" = "$(room_begin)" ] &&
		[ "$(silent_end)" -eq 0 ] && [ "$RECORD_CODE" -eq 0 ]
}

# if_room_is_whole JUDGE: a microphone that has not heard all itself is the graph's matter.
if_room_is_whole() {
	is_one_piece "$ROOM_PIECES" || echo "$(now_ns) late microphone" >>"$TAP_LOG"
	"$1"
}

# records: everything that the microphone heard, frame by frame.
records() {
	local ms frames
	tried take 'if_room_is_whole took_room'
	check "records: $(column 2 | head -n 1) frames exact, in $(count_pieces) pieces" took_room || {
		head -n 5 <<<"$PIECES" | bare_quote
		tail -n 5 "$RECORD_LOG" | bare_quote
	}
	! took_room || result records exact
	frames=$(($(stat -c %s "$SESSION/recorded.f32") / 8))
	ms=$((($(cat "$SESSION/guest/ended") - $(cat "$SESSION/guest/began")) / 1000000))
	check_between "records: frames in $RECORD_S s" $frames $((RECORD_S * SESSION_RATE * 99 / 100)) \
		$(((RECORD_S * 1000 + RECORD_MORE_MS) * SESSION_RATE / 1000))
	check_between "records: ms that it took" "$ms" $((RECORD_S * 990)) $((RECORD_S * 1010 + START_MS))
	check "records: exit code $RECORD_CODE" test "$RECORD_CODE" -eq 0
	free_check
}

# How long a program may take to begin and end, and how much more it may write than it was asked for.
START_MS=2000 RECORD_MORE_MS=100

# ---- both at once ----

# loop_room: a program plays what it records, until it is ended.
loop_room() {
	HEARD=$SESSION/heard.f32
	tap_start "test-mic:FL,FR:$SESSION/mic.f32" "$SESSION_SINK:$SESSION_CHANNELS:$HEARD"
	guest_start "$PLAY_LOG" play
	wait_for 10 capture_is_linked_here || note "it does not record"
	mic_hears "$SESSION/room.au"
	tap_go_on "$HEARD" 3000
	room_ends
	guest_kill INT
	guest_wait 10
	PLAY_CODE=$?
	ROOM_PIECES=$("$TOOLS/sound-pieces" 2 "$SESSION/room.f32" "$SESSION/mic.f32")
	PIECES=$("$TOOLS/sound-pieces" 2 "$SESSION/room.f32" "$HEARD")
}

# All but what was in its buffers when it was ended, in the middle: with a ramp.
looped_room() {
	[ "$(count_pieces)" -eq 1 ] && [ "$(column 1)" = "$(room_begin)" ] && [ "$(others)" -le $RAMP_MAX ] &&
		[ "$(column 2)" -ge $(($(PIECES=$ROOM_PIECES column 2 | head -n 1) - SESSION_RATE / 2)) ]
}

# loops: what the microphone hears comes out again, frame by frame.
loops() {
	tried loop_room 'if_room_is_whole looped_room'
	if check "loops: $(column 2 | head -n 1) frames exact, in $(count_pieces) pieces" looped_room; then
		result plays exact && result records exact
	else
		show_pieces
	fi
	check "ends: exit code $PLAY_CODE" test "$PLAY_CODE" -eq 0
	free_check
}
