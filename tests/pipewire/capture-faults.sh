#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whatever goes away while a program records, the program notices nothing: frames come in real time, silent as long as
# nothing is heard, and the microphone is heard again when it can be. How long a sound takes from the microphone to the
# program, and what a VM costs that does nothing.
set -u
SESSION_RATE=48000 SESSION_QUANTUM=1024
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"
# shellcheck source=tests/lib/mic.sh
. "$XARING_SOURCE/tests/lib/mic.sh"

ROOM=9
NODE=xen.work.capture.1
SECOND=$((48000 * 8)) # in bytes, of two channels of floats
FILE=
PERIOD=480
UNPLUGGED=$(level_count 50)
BEHIND_MS=200
AHEAD_MS=$((2 * SESSION_QUANTUM * 1000 / SESSION_RATE))

# A room whose frames nobody has heard before: those that an older part of the test has heard would be taken for
# repeated ones.
ROOM_FIRST=0
room_starts() {
	room_file "$SESSION/room.au" $ROOM $ROOM_FIRST $((60 * 48000))
	ROOM_FIRST=$((ROOM_FIRST + 60 * 48000))
	mic_hears "$SESSION/room.au"
}

program_starts() {
	FILE=$SESSION/recorded.f32
	record_start work "$SESSION/recorded.json" "$TOOLS/coded-player" -R "$FILE" -f FLOAT -p $PERIOD -b 9600 \
		-l "$SESSION/recorded.log"
}

# Its words at its end, and what it has recorded.
program_ends() {
	kill "$RECORD_PID"
	wait "$RECORD_PID"
	VERDICT=$SESSION/verdict.json
	"$TOOLS/sound-check" coded $ROOM 48000 "$FILE" >"$VERDICT"
}

said() {
	jq -r "$1" "$SESSION/recorded.json"
}

# unnoticed_check TEXT FAULTS: how many there were. What is not delivered any more is waited for, for three quanta, before
# silence is made of it, and what comes then has its delay again: the clock stands still for as long. Where the graph goes
# on with another clock its first cycle may come at once after the last one of before, and a fault has two such changes.
# An overrun while the machine stood still for the length of the buffer is nobody's fault.
unnoticed_check() {
	check_number "$1: errors that the program has seen" "$(said .errors)" -eq 0
	if [ "$(said '.xruns > 0 and .stalled_ms > 100')" = true ]; then
		note "$1: the machine stood still for $(said .stalled_ms) ms"
	else
		check_number "$1: xruns" "$(said .xruns)" -eq 0
		check_number "$1: ms behind real time" "$(behind_ms "$SESSION/recorded.log")" -le $((BEHIND_MS * $2))
		check_number "$1: ms behind real time" "$(behind_ms "$SESSION/recorded.log")" -ge $((-100 - AHEAD_MS * $2))
	fi
	# Half of a frame is heard until the second channel of the room is linked.
	check "$1: nothing is heard twice, or damaged" verdict_holds '.repeated + .foreign + .damaged == 0'
}

# The last half second of the recording is not silent.
is_heard() {
	local tail=$SESSION/tail.f32
	[ -s "$FILE" ] || return
	tail -c $((SECOND / 2)) "$FILE" >"$tail"
	bounds "$tail"
	[ "$LAST" -gt 0 ]
}

# fault TEXT FAULTS COMMAND...: while a program records.
fault() {
	local text=$1 faults=$2
	shift 2
	program_starts
	wait_or_die 10 "$text: sound before" is_heard
	let_record "$FILE" $((SECOND / 2))
	"$@"
	if wait_for 10 is_heard_anew; then pass "$text: it is heard afterwards"; else fail "$text: it is heard afterwards"; fi
	let_record "$FILE" $SECOND
	program_ends
	unnoticed_check "$text" "$faults"
}

# What has been recorded since the fault.
is_heard_anew() {
	local tail=$SESSION/tail.f32
	[ "$(recorded "$FILE")" -gt $((SINCE + SECOND / 2)) ] || return
	is_heard
}

SINCE=0
from_now() {
	SINCE=$(recorded "$FILE")
}

mic_comes_back() {
	mic_add
	wait_or_die 10 "the microphone: a link" capture_is_linked $NODE
	mic_hears_room
}

unplugged() {
	local i
	for ((i = 0; i < UNPLUGGED; i++)); do
		mic_remove
		let_record "$FILE" $((SECOND / 5))
		mic_comes_back
		let_record "$FILE" $((SECOND / 5))
	done
	from_now
}

worker_killed() {
	kill -9 "$(worker_pid)"
	from_now
}

broker_killed() {
	kill_hard "$DAEMON_PID"
	daemon_start
	from_now
}

pipewire_killed() {
	kill_hard "$PIPEWIRE_PID"
	kill_hard "$WIREPLUMBER_PID"
	wait "$ROOM_PID" 2>/dev/null
	pipewire_start
	wireplumber_start
	sink_add
	mic_add
	room_starts
	from_now
}

# How long it takes from the microphone to the program: from when a sound was in the room, a quantum before the cycle
# with which it came into the graph, to when the read returned that brought it. Where the microphone itself was late
# there is nothing to measure.
latency() {
	local try bound_us=$(((2 * SESSION_QUANTUM * 4 + 5 * PERIOD + 64) * 250000 / 48000))
	for try in 1 2 3 4 5 6; do
		latency_once
		if ! graph_was_late && [ ${#LATENCIES[@]} -gt 0 ]; then
			note "latency: ${LATENCIES[0]}, ${LATENCIES[${#LATENCIES[@]} / 2]}, ${LATENCIES[-1]} us (least, median, most)"
			check_number "latency: most, in us" "${LATENCIES[-1]}" -le $bound_us
			return
		fi
		note "latency, attempt $try: the graph was late ($(late_nodes))"
	done
	fail "latency: the graph was late in all attempts"
}

# Into LATENCIES, in us, sorted.
latency_once() {
	tap_start "test-mic:FL,FR:$SESSION/mic.f32"
	program_starts
	wait_or_die 10 "latency: sound" is_heard
	let_record "$FILE" $((2 * SECOND))
	program_ends
	tap_stop
	"$TOOLS/sound-check" coded $ROOM 48000 "$SESSION/mic.f32" >"$SESSION/verdict-mic.json"
	mapfile -t LATENCIES < <(latencies | sort -n)
}

# latencies: of each read in us, by the number of its last frame.
latencies() {
	local first at begin
	# The longest run: which frame is where, and when the microphone heard the first one.
	read -r first at < <(verdict '.runs | max_by(.frames) | "\(.first) \(.at)"')
	begin=$(jq -r --argjson first "$first" '.runs[] | select(.first <= $first and .last >= $first) |
		.begin_ns + ($first - .first) * 1e9 / 48000 | floor' "$SESSION/verdict-mic.json" | head -n 1)
	[ -n "$begin" ] || return
	awk -v "at=$at" -v "begin=$begin" -v "quantum=$SESSION_QUANTUM" '$1 == "w" && $3 > at + 24000 {
		printf "%d\n", ($2 - (begin + ($3 - 1 - at - quantum) * 1e9 / 48000)) / 1000 }' "$SESSION/recorded.log"
}

# wakeups PID: of all its threads so far.
wakeups() {
	awk '/^voluntary_ctxt_switches/ {n += $2} END {print n}' /proc/"$1"/task/*/status
}

# Nothing records, nothing plays; the VM is connected.
idle() {
	local before worker
	worker=$(worker_pid)
	before=$(wakeups "$worker")
	wait_for 10 false
	check_number "idle: wake-ups of the worker in 10 s" $(($(wakeups "$worker") - before)) -le 10
}

session_open
session_start
daemon_start
mic_add
mic_rule allow
room_starts
latency
fault "microphone taken away $UNPLUGGED times" $UNPLUGGED unplugged
fault "worker killed" 1 worker_killed
fault "broker killed" 1 broker_killed
fault "PipeWire killed" 1 pipewire_killed
room_ends
idle
check_end
