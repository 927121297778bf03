# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# How a program that plays is judged. Sourced after guest.sh and show.sh. A program's file has play(), which plays the
# file SOUND of the user's home, and ends when that is over.

PLAY_LOG=$WORK/program.log
# Ramps of the backend where a stream runs dry or is stopped, in frames.
RAMP_MAX=256
# Of a sound a program that cuts its end may never write so much: what does not fill its last period.
WITHHELD_MAX=2048
# What was thrown away is told by time: dom0's cycle may come so much later than it was due, in frames.
CYCLE_LATE=240
# How long a program may take to end after its last frame was heard; it may be asked for more by a program's file.
END_MS=700
# A whole sound that is heard a bit before dom0's graph has recorded it.
EARLY_MS=150

# make_sounds: noise.* for playing once, long.* for pausing and seeking, in the session: .raw, .wav, and .f32 as it is
# in dom0's graph.
make_sounds() {
	local name frames
	for name in noise:$((SESSION_RATE * 2)) long:$((SESSION_RATE * 9)); do
		frames=${name#*:} name=$SESSION/${name%:*}
		noise "$name.raw" S16 2 "$frames" "$frames"
		raw_to_wav "$name.raw" S16 2 "$SESSION_RATE" "$name.wav"
		"$TOOLS/sound-make" floats S16 <"$name.raw" >"$name.f32"
	done
}

frames_of() {
	echo $(($(stat -c %s "$1.f32") / 8))
}

# timed_play: and the moment of its end.
timed_play() {
	local res
	play
	res=$?
	now_ns >"$SESSION/guest/ended"
	return $res
}

# perform NAME [FUNCTION]: the program plays the sound once while dom0 listens, and the function does something
# meanwhile. Sets HEARD, PIECES (of sound-pieces), PLAY_CODE.
perform() {
	SOUND=$1.wav PLAYED=$SESSION/$1 HEARD=$SESSION/heard.f32
	[ -e "$GUEST_HOME/$SOUND" ] || guest_file "$PLAYED.wav"
	tap_sink "$HEARD"
	guest_start "$PLAY_LOG" timed_play
	[ -z "${2:-}" ] || "$2"
	guest_wait 40
	PLAY_CODE=$?
	tap_go_on "$HEARD" 300
	PIECES=$("$TOOLS/sound-pieces" 2 "$PLAYED.f32" "$HEARD")
}

# ---- what was heard ----

# column N: of the pieces.
column() {
	awk -v n="$1" '$1 == "piece" { print $(n + 1) }' <<<"$PIECES"
}

count_pieces() {
	grep -c '^piece' <<<"$PIECES"
}

# The frame after the last one that was heard.
heard_end() {
	awk '$1 == "piece" { end = $2 + $3 } END { print end + 0 }' <<<"$PIECES"
}

# others: how many frames at most are in one place that are neither silent nor of the sound.
others() {
	awk '{ n = $1 == "end" ? $3 : $6 } n > max { max = n } END { print max + 0 }' <<<"$PIECES"
}

# heard_ns FRAME: when a frame of the recording was in the graph.
heard_ns() {
	awk -v "frame=$1" -v "rate=$SESSION_RATE" '$1 > frame { exit } { at = $1; ns = $2 }
		END { printf "%.0f\n", ns + (frame - at) * 1e9 / rate }' "$HEARD.times"
}

# stopped_with N: of what the plugin has said when the stream was stopped last: 1: frames that were thrown away by
# that, 2: how many the program had written since it prepared the stream.
stopped_with() {
	sed -nE 's/.*: stopped, ([0-9]+) of ([0-9]+) frames are not played.*/\1 \2/p' "$PLAY_LOG" |
		tail -n 1 | cut -d' ' -f"$1"
}

unplayed() {
	local frames
	frames=$(stopped_with 1)
	echo "${frames:-0}"
}

# withheld: how many frames at the end of the sound the program has not even written, as far as is known.
withheld() {
	local written frames
	written=$(stopped_with 2) frames=$(frames_of "$PLAYED")
	[ -n "$written" ] || written=$frames
	written=$((written < frames ? frames - written : 0))
	echo $((written < WITHHELD_MAX ? written : WITHHELD_MAX))
}

asked_for() {
	grep -qE "xaring\[[0-9]+\]: $1," "$PLAY_LOG"
}

# missing_at_end: how many frames of the sound were not heard.
missing_at_end() {
	echo $(($(frames_of "$PLAYED") - $(heard_end)))
}

# end_is_right: the last frame was heard; or the program is known to cut its end (CUTS says why), and not more is
# missing than it has thrown away, or never written, itself.
end_is_right() {
	local missing
	missing=$(missing_at_end)
	[ "$missing" -eq 0 ] || { [ -n "${CUTS:-}" ] && [ "$missing" -le $(($(unplayed) + $(withheld) + CYCLE_LATE)) ]; }
}

# What is neither silent nor of the sound is a ramp, which comes after it.
is_whole() {
	[ "$(count_pieces)" -eq 1 ] && [ "$(column 1)" -eq 0 ] && [ "$(column 5)" -eq 0 ] &&
		[ "$(others)" -le $RAMP_MAX ] && end_is_right
}

# ---- checks ----

show_pieces() {
	[ -n "$PIECES" ] && head -n 8 <<<"$PIECES" | bare_quote
	show_log
}

exact_frames() {
	awk '$1 == "piece" { n += $3 } END { print n + 0 }' <<<"$PIECES"
}

exact_frames_check() {
	check "plays: $(exact_frames) of $(frames_of "$PLAYED") frames exact, in $(count_pieces) pieces" is_whole ||
		{ show_pieces && return 1; }
	result plays exact
}

# Says how the program ends what it plays.
end_check() {
	local missing how
	missing=$(missing_at_end)
	if [ "$missing" -gt 0 ]; then
		how="cuts its end: $missing frames missing, it threw away $(unplayed), and did not write $(withheld)"
	elif asked_for drains; then
		how="drains" && result ends drains
	else
		how="waits until all is played" && result ends waits
	fi
	# How much it is differs from run to run.
	[ -z "${CUTS:-}" ] || { result ends "may cut its end" && result remark "$CUTS"; }
	check "ends: exit code $PLAY_CODE, $how" test "$PLAY_CODE" -eq 0 || show_log
}

# time_check: from the first frame heard to the last real time has passed, and the program has ended soon afterwards,
# and not before. Of a sound in one piece.
time_check() {
	local at frames first last ended
	at=$(column 3) frames=$(column 2)
	first=$(heard_ns "$at") last=$(heard_ns $((at + frames))) ended=$(cat "$SESSION/guest/ended")
	check_between "real time: of what $frames frames take, in %" \
		"$(awk -v ns=$((last - first)) -v frames="$frames" -v "rate=$SESSION_RATE" \
			'BEGIN { printf "%.2f", ns * rate / frames / 1e7 }')" 99 101
	[ -n "${CUTS:-}" ] ||
		check_between "ends so many ms after its last frame" $(((ended - last) / 1000000)) -$EARLY_MS "$END_MS"
}

# Of either direction, with a node or without.
has_no_stream() {
	[ "$(ctl list --json | jq --arg vm "$GUEST_VM" '[.[] | select(.vm == $vm) | .streams[]] | length')" = 0 ]
}

free_check() {
	check "frees its stream" wait_for 5 has_no_stream
}

# reference: when something is wrong, the same program plays to a device that keeps what it is given, and needs no
# time: what is wrong there as well is the program's.
reference() {
	local pieces config=$GUEST_HOME/.asoundrc
	[ ! -e "$config" ] || as_root mv "$config" "$config.kept"
	guest_write .asoundrc <<-END
		pcm.given { type file slave.pcm "null" file "$GUEST_HOME_INSIDE/given.f32" format raw }
		pcm.!default { type plug slave { pcm given format FLOAT_LE channels 2 rate 48000 } }
	END
	guest_start "$WORK/reference.log" play
	guest_wait 20
	as_root rm "$config"
	[ ! -e "$config.kept" ] || as_root mv "$config.kept" "$config"
	pieces=$("$TOOLS/sound-pieces" 2 "$PLAYED.f32" "$GUEST_HOME/given.f32" 2>/dev/null)
	note "to a file, without Xen: $(PIECES=$pieces exact_frames) of $(frames_of "$PLAYED") frames exact"
}

# plays [NAME]: once, the whole sound, frame by frame.
plays() {
	tried "perform ${1:-noise}" is_whole
	if exact_frames_check; then time_check; else reference; fi
	end_check
	free_check
}

# measured: of what was heard, LENGTH in seconds, from the first frame that is not silent to the last, and LEVEL in dB.
measured() {
	local first last count
	read -r first last count < <("$TOOLS/sound-check" bounds 2 "$HEARD")
	LENGTH=$(awk -v n=$((last - first)) -v "rate=$SESSION_RATE" 'BEGIN { printf "%.2f", n / rate }')
	LEVEL=$("$TOOLS/sound-check" level 2 "$HEARD")
}

# is_between LEAST MOST DB
is_between() {
	measured
	awk "BEGIN { exit !($LENGTH >= $1 && $LENGTH <= $2 && $LEVEL > $3) }"
}

# sounds LEAST MOST DB [NAME]: for what makes its own sound: how many seconds it is heard, and how loud.
sounds() {
	tried "perform ${4:-noise}" "is_between $1 $2 $3"
	check "sounds: $LENGTH seconds, between $1 and $2, at $LEVEL dB, more than $3" is_between "$1" "$2" "$3" &&
		result plays yes
	end_of_sound_check
	free_check
}

# Of a sound that nobody knows: nothing was thrown away.
end_of_sound_check() {
	local how=waits thrown
	thrown=$(unplayed)
	! asked_for drains || how=drains
	check "ends: exit code $PLAY_CODE, $how" test "$PLAY_CODE" -eq 0 || show_log
	if [ -n "${CUTS:-}" ]; then
		note "cuts its end: $thrown frames thrown away by itself"
		result ends "may cut its end" && result remark "$CUTS"
	else
		check "frames thrown away at its end: $thrown" test "$thrown" -le $((SESSION_RATE / 20)) && result ends "$how"
	fi
}
