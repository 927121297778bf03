#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that record, each in its own way, several at once, and while others play: what the microphone hears reaches
# all of them, frame by frame. One that reads too late is told so, and goes on.
set -u
SESSION_RATE=48000 SESSION_QUANTUM=1024
SESSION_VMS='work play'
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"
# shellcheck source=tests/lib/mic.sh
. "$XARING_SOURCE/tests/lib/mic.sh"

# The number of the frames that the microphone hears.
ROOM=9
SECOND=$((48000 * 8)) # in bytes, of two channels of floats

# in_time TEXT COMMAND...: the command records while the microphone is recorded as well: again, five times at most, when
# the graph was late, or the microphone itself has not heard all. IS_WHOLE is set when it has in the end.
IS_WHOLE='' JUDGED=0
in_time() {
	local text=$1 try
	shift
	IS_WHOLE=''
	for try in 1 2 3 4 5 6; do
		"$@"
		room_was_whole && IS_WHOLE=1 && return
		note "$text, attempt $try: the graph was late ($(late_nodes))"
	done
}

room_was_whole() {
	VERDICT=$SESSION/verdict-mic.json
	"$TOOLS/sound-check" coded $ROOM 48000 "$SESSION/mic.f32" >"$VERDICT"
	! graph_was_late && verdict_holds '.gaps + .jumps + .repeated + .damaged + .half == 0'
}

# heard_check TEXT FILE: between its silence at both ends nothing is missing, repeated, changed, or of others. What is
# missing proves nothing where the graph was late.
heard_check() {
	VERDICT=$SESSION/verdict.json
	"$TOOLS/sound-check" coded $ROOM 48000 "$2" >"$VERDICT"
	check "$1: $(verdict '"\(.coded) frames, \(.repeated) repeated, \(.foreign) foreign, \(.damaged + .half) damaged"')" \
		verdict_holds '.coded > 24000 and .repeated + .foreign + .damaged + .half == 0'
	[ -n "$IS_WHOLE" ] || return
	check_number "$1: gaps and jumps" "$(verdict '.gaps + .jumps')" -eq 0
	JUDGED=$((JUDGED + 1))
}

# once NAME VM COMMAND...: a second and a half.
once() {
	local name=$1 vm=$2 file=$SESSION/$1.f32
	shift 2
	tap_start "test-mic:FL,FR:$SESSION/mic.f32"
	record_start "$vm" "$file" "$@"
	let_record "$file" $((SECOND * 3 / 2))
	record_ends "$name" "$file"
	tap_stop
}

# records NAME VM COMMAND...
records() {
	in_time "$1" once "$@"
	heard_check "$1" "$SESSION/$1.f32"
	check "$1: no node is left" wait_for 5 node_is_gone "xen.$2.capture.1"
}

PLAIN=(arecord -q -D xen -t raw -f FLOAT_LE -c 2 -r 48000)

# As programs ask for it that tests/apps does not run.
programs() {
	records arecord-mmap work "${PLAIN[@]}" -M
	records arecord-nonblock work "${PLAIN[@]}" -N
	records arecord-small work "${PLAIN[@]}" --period-size=256 --buffer-size=4096
	records arecord-large work "${PLAIN[@]}" --period-size=12000 --buffer-size=48000
	# shellcheck disable=SC2016
	records mmap work sh -c 'exec "$0" -R /dev/fd/3 -f FLOAT -m mmap 3>&1 >/dev/null' "$TOOLS/coded-player"
}

# Two programs of one VM and one of another record, while a program of each plays.
together() {
	local pids=() vm name
	tap_start "test-mic:FL,FR:$SESSION/mic.f32" "xen.work.playback.1:FL,FR:$SESSION/1.f32" \
		"xen.play.playback.1:FL,FR:$SESSION/2.f32"
	player_start work 1 -f FLOAT -b 16384
	pids+=("$PLAYER_PID")
	player_start play 2 -f FLOAT -b 16384
	pids+=("$PLAYER_PID")
	for name in work-one work-two play-one; do
		vm=${name%-*}
		record_start "$vm" "$SESSION/$name.f32" "${PLAIN[@]}"
		pids+=("$RECORD_PID")
	done
	for name in work-one work-two play-one; do let_record "$SESSION/$name.f32" $((2 * SECOND)); done
	check "work records with two nodes" node_exists xen.work.capture.2
	kill "${pids[@]}"
	wait "${pids[@]}"
	tap_stop
}

together_check() {
	local name
	in_time "together" together
	for name in work-one work-two play-one; do heard_check "together, $name" "$SESSION/$name.f32"; done
	for name in work play; do
		check_number "together, $name: xruns of what plays" "$(summary "$name" .xruns)" -eq 0
		check_number "together, $name: errors of what plays" "$(summary "$name" .errors)" -eq 0
	done
	[ -n "$IS_WHOLE" ] || return
	untouched_check "together, played by work" work 1 "$SESSION/1.f32"
	untouched_check "together, played by play" play 2 "$SESSION/2.f32"
}

# echo_once NAME COMMAND...: it plays what it records. What it says is in NAME, its exit code in ECHO_CODE.
echo_once() {
	local name=$1 file=$SESSION/echo.f32
	shift
	tap_start "test-mic:FL,FR:$SESSION/mic.f32" "xen.work.playback.1:FL,FR:$file"
	record_start work "$SESSION/$name" "$@"
	wait_or_die 10 "the echo of $name" grep -q "hears xen.work" "$TAP_LOG"
	tap_go_on "$file" 2500
	kill "$RECORD_PID"
	wait "$RECORD_PID"
	ECHO_CODE=$?
	tap_stop
}

echoes() {
	in_time "the echo of $1" echo_once "$@"
	heard_check "the echo of $1" "$SESSION/echo.f32"
}

one_process() {
	echoes alsaloop alsaloop -C xen -P xen -f S32_LE -c 2 -r 48000 -t 100000 --sync=0
	check "alsaloop has seen no error" not_grep -i error "$SESSION/alsaloop.log"
	[ -x "$XARING_BUILD/tests/pipewire/echo-portaudio" ] || { note "PortAudio is not installed here" && return; }
	# It fails an assertion of its own where no other device is configured.
	ALSA_CONFIG_PATH=/usr/share/alsa/alsa.conf:$ALSA_CONFIG_PATH echoes portaudio \
		"$XARING_BUILD/tests/pipewire/echo-portaudio" 1024
	check_number "PortAudio: its end" "$ECHO_CODE" -eq 0
	check_number "PortAudio: times that it lost frames" "$(cat "$SESSION/portaudio")" -eq 0
}

# It is stopped for longer than its buffer lasts.
too_late() {
	local file=$SESSION/late.f32
	record_start work "$file" "${PLAIN[@]}" --period-size=480 --buffer-size=4800
	let_record "$file" $SECOND
	kill -STOP "$RECORD_PID"
	wait_for 1 false
	kill -CONT "$RECORD_PID"
	let_record "$file" $SECOND
	kill "$RECORD_PID"
	wait "$RECORD_PID"
	check_number "too late: overruns that the program is told of" "$(grep -c overrun "$file.log")" -eq 1
	VERDICT=$SESSION/verdict.json
	"$TOOLS/sound-check" coded $ROOM 48000 "$file" >"$VERDICT"
	check "too late: nothing is heard twice, or damaged" verdict_holds '.repeated + .foreign + .damaged + .half == 0'
	check_number "too late: frames heard" "$(verdict .coded)" -ge 90000
	check_number "too late: ms that are missing" "$(verdict '[.runs as $r | range(1; $r | length) |
		$r[.].first - $r[. - 1].first - $r[. - 1].frames] | (add // 0) / 48 | floor')" -ge 800
}

session_open
session_start
daemon_start
mic_add
mic_rule allow
room_file "$SESSION/room.au" $ROOM 0 $((120 * 48000))
mic_hears "$SESSION/room.au"
programs
together_check
one_process
too_late
[ $JUDGED -gt 0 ] || [ "$CHECK_FAILED" -gt 0 ] || skip "the graph was late in all attempts"
check_end
