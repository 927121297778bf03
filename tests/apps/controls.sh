# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# How a program is judged that can be paused, and can go to another place of what it plays. Sourced after plays.sh. Its
# file has pause() and resume(), or seek_to SECONDS, or all three.

# In the long run it pauses for so long that the graph does not run the node any more.
PAUSE_LASTS_MS=600
[ "$XARING_TEST" != long ] || PAUSE_LASTS_MS=3500
# Where it is sent, in seconds, and how far from there it may begin, in ms; more for a reason (SEEK_SKIPS).
SEEK_TO=8 SEEK_MS=50
# What may be missing or heard twice at a pause, in ms: none, but for a program that does not pause the device, and then
# for a reason (PAUSE_DROPS).
PAUSE_MS=0

# reads_words: for a program of ours on Debian's libraries: it does what it reads.
reads_words() {
	pause() {
		guest_keys 'pause\n'
	}
	resume() {
		guest_keys 'play\n'
	}
	seek_to() {
		guest_keys "seek $1\n"
	}
}

# reads_json: for mpv.
reads_json() {
	pause() {
		guest_keys '{"command":["set_property","pause",true]}\n'
	}
	resume() {
		guest_keys '{"command":["set_property","pause",false]}\n'
	}
}

# heard_frames: from the first that is not silent to the last.
heard_frames() {
	local first last count
	read -r first last count < <("$TOOLS/sound-check" bounds 2 "$HEARD")
	echo $((last - first))
}

heard_more_than() {
	[ "$(heard_frames)" -ge "$1" ]
}

# hear_more: another moment of it.
hear_more() {
	wait_for 15 heard_more_than $(($(heard_frames) + SESSION_RATE * 2 / 3)) || note "it plays no further"
}

# conduct: some of it, a pause, some more, and the rest from another place on.
conduct() {
	hear_more
	if can pause; then
		pause
		tap_go_on "$HEARD" "$PAUSE_LASTS_MS"
		resume
		hear_more
	fi
	! can seek_to || seek_to $SEEK_TO
}

# Lines "JUMP SILENT OTHER" for each place between two pieces: how many frames of the sound are left out there, negative
# when some are heard again, how long it is silent, and frames of nobody, as ramps are.
seams() {
	awk '$1 == "piece" { if (end) print $2 - end, $5, $6; end = $2 + $3 }' <<<"$PIECES"
}

# pause_seam: of the longest silence, which is that of the pause: what is left out there.
pause_seam() {
	seams | awk -v least=$((SESSION_RATE * 2 / 5)) '$2 > least && $2 > max { max = $2; jump = $1 } END { print jump }'
}

# seek_target: the first frame after a jump of some seconds.
seek_target() {
	awk -v least=$((SESSION_RATE * 3)) '$1 == "piece" { if (end && $2 - end > least) { print $2; exit } end = $2 + $3 }' \
		<<<"$PIECES"
}

pause_is_right() {
	local jump
	jump=$(pause_seam)
	[ -n "$jump" ] && [ "${jump#-}" -le $((PAUSE_MS * SESSION_RATE / 1000)) ]
}

seek_is_right() {
	local target off
	target=$(seek_target)
	off=$((${target:-0} - SEEK_TO * SESSION_RATE))
	[ "${off#-}" -le $((SEEK_MS * SESSION_RATE / 1000)) ]
}

# stray_seams: places that neither the pause nor the seeking explains.
stray_seams() {
	local expected=0
	! can pause || expected=$((expected + 1))
	! can seek_to || expected=$((expected + 1))
	echo $(($(seams | awk '$1 != 0 || $2 > 0 || $3 > 0' | wc -l) - expected))
}

# From its first frame on.
begins_right() {
	[ "$(column 1 | head -n 1)" = 0 ]
}

is_conducted() {
	begins_right && { ! can pause || pause_is_right; } && { ! can seek_to || seek_is_right; } &&
		[ "$(stray_seams)" -le 0 ] && [ "$(others)" -le $RAMP_MAX ] && end_is_right
}

pause_check() {
	local how="pauses the device" text
	asked_for paused || how=${PAUSE_DROPS:-it does not pause the device}
	text="pauses: $(pause_seam) frames left out; $how"
	check "$text" pause_is_right || { show_pieces && return; }
	result pauses "$(deviation "$(pause_seam)")"
	asked_for paused || result remark "$how"
}

seek_check() {
	check "seeks: to $SEEK_TO s, is at frame $(seek_target)" seek_is_right || return
	result seeks "$(deviation $(($(seek_target) - SEEK_TO * SESSION_RATE)))"
	result remark "${SEEK_SKIPS:-}"
}

# controls: pausing, seeking, and the end after that.
controls() {
	tried 'perform long conduct' is_conducted
	! can pause || pause_check
	! can seek_to || seek_check
	check "paused and sought: begins at frame $(column 1 | head -n 1)" begins_right
	check_number "paused and sought: other seams" "$(stray_seams)" -le 0
	check_number "paused and sought: frames in one place that are of nobody" "$(others)" -le $RAMP_MAX
	check "paused and sought: ends, exit code $PLAY_CODE" test "$PLAY_CODE" -eq 0
	check "paused and sought: $(missing_at_end) frames missing at its end" end_is_right
	is_conducted || show_pieces
	free_check
}
