#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# When a VM may not record any more: the last sample that it gets, after `xaringctl mic deny` and when the time of
# `mic allow --for` is over; and what it has not read until then, which is not in its pages any more, whether its
# program runs or not, and whatever ends the stream.
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

NODE=xen.work.capture.1
SECOND=$((48000 * 8)) # in bytes, of two channels of floats
FILE=
FOR_S=2
BOUND_MS=$((SESSION_QUANTUM * 1000 / SESSION_RATE + 50))

# ctl ARGUMENT...: SAID_NS is when that was said.
ctl() {
	SAID_NS=$(now_ns)
	timeout 20 "$XARING_BUILD/pw-backend/ctl/xaringctl" "$@" >>"$SESSION/log/ctl" 2>&1 </dev/null ||
		fail "xaringctl $*: $(tail -n 1 "$SESSION/log/ctl")"
}

# ---- the last sample ----

# measured COMMAND...: the command records while the microphone is recorded as well: again, five times at most, when
# the graph was late.
measured() {
	local try
	for try in 1 2 3 4 5 6; do
		tap_start "test-mic:FL,FR:$SESSION/mic.f32"
		FILE=$SESSION/$1.f32
		arecord_start work FLOAT 2 "$FILE"
		"$@"
		record_ends "$1" "$FILE"
		tap_stop
		graph_was_late || return
		note "$1, attempt $try: the graph was late ($(late_nodes))"
	done
}

denied() {
	ctl mic allow work
	wait_or_die 10 "a link" capture_is_linked $NODE
	let_record "$FILE" "$SECOND"
	ctl mic deny work
	let_record "$FILE" $((SECOND / 2))
}

# second_is FROM_MS TO_MS: where the clock of the wall is in its second.
second_is() {
	local ms=$((10#${EPOCHREALTIME#*[.,]} / 1000))
	[ "$ms" -ge "$1" ] && [ "$ms" -lt "$2" ]
}

# A program of another VM comes, which has the broker look anew when the time is over: late in a second, while the time
# began early in one.
expired() {
	wait_or_die 5 "the begin of a second" second_is 0 200
	ctl mic allow work --for ${FOR_S}s
	wait_or_die 5 "the end of a second" second_is 700 900
	as_vm play arecord -q -D xen -t raw -f cd -d 1 /dev/null
	let_record "$FILE" $(((FOR_S + 1) * SECOND))
}

last_samples() {
	measured denied
	bounds "$FILE"
	check_number "xaringctl mic deny: ms that were heard before" $(((LAST - FIRST) / 48)) -ge 500
	revoked_check "xaringctl mic deny" "$FILE" "$SAID_NS"
	measured expired
	bounds "$FILE"
	check_number "xaringctl mic allow --for ${FOR_S}s: ms that were heard" $(((LAST - FIRST) / 48)) -ge $((FOR_S * 1000 - 500))
	revoked_check "the end of its time" "$FILE" $((SAID_NS + FOR_S * 1000000000))
}

# ---- what was not read ----

# has_sound [WORDS]: more than so many of them are in the pages of the program.
has_sound() {
	[ "$("$TOOLS/page-scan" sound "$RECORD_PID")" -gt "${1:-0}" ]
}

stays_silent() {
	! wait_for 1 has_sound
}

# A program that has read until now, and does not while it hears several quanta more.
stops_reading() {
	ctl mic allow work
	arecord_start work FLOAT 2 "$SESSION/stopped.f32"
	wait_or_die 10 "sound before it is stopped" has_sound
	kill -STOP "$RECORD_PID"
	at_exit stopped_ends
	wait_or_die 5 "unread frames" has_sound $((SESSION_QUANTUM * 8))
}

# silent_check TEXT MS: the pages of the program are silent so long after SAID_NS.
silent_check() {
	local ms
	ms=$("$TOOLS/page-scan" silent "$RECORD_PID" "$SAID_NS" 10000)
	check_number "$1: ms until its pages are silent" "$ms" -le "$2"
}

# Without going on, as a program has to that is told to end.
stopped_ends() {
	! jobs -p | grep -qx "$RECORD_PID" || kill_hard "$RECORD_PID" 2>/dev/null
}

unread_when_denied() {
	stops_reading
	ctl mic deny work
	silent_check "denied, unread" $BOUND_MS
	check "denied: they stay so" stays_silent
	stopped_ends
}

unread_when_disconnected() {
	stops_reading
	ctl disconnect work
	silent_check "its stream was ended, unread" $BOUND_MS
	stopped_ends
	ctl connect work
}

# Its pages are left to the worker alone, which ends.
# It may take a while to get to that: the broker is gone before its worker does anything.
unread_when_the_broker_dies() {
	local worker
	worker=$(worker_pid)
	stops_reading
	SAID_NS=$(now_ns)
	kill -STOP "$worker"
	kill_hard "$DAEMON_PID"
	kill -CONT "$worker"
	silent_check "the broker was killed, unread" 1000
	stopped_ends
	daemon_start
}

# Several that die young, one after the other, are followed by the next one later and later.
worker_dies() {
	local pid i
	for i in 1 2 3 4 5; do
		wait_or_die 10 "a worker" worker_is_there
		pid=$(worker_pid)
		kill -9 "$pid"
		wait_or_die 5 "its end" is_gone "$pid"
	done
}

worker_is_there() {
	[ -n "$(worker_pid)" ]
}

# What is decided while there is no worker holds for the next one, and for what the last one has left.
unread_without_a_worker() {
	stops_reading
	worker_dies
	check "there is no worker" test -z "$(worker_pid)"
	check "what it has left is still there" has_sound
	ctl mic deny work
	wait_or_die 10 "the next worker" worker_is_there
	SAID_NS=$(now_ns)
	silent_check "denied without a worker, unread" 2000
	check "denied without a worker: they stay so" stays_silent
	stopped_ends
}

session_open
session_start
daemon_start
export XARING_CONTROL=$SESSION/xaring/control
mic_add
noise "$SESSION/noise.raw" S16 2 $((60 * 48000)) 7
raw_to_wav "$SESSION/noise.raw" S16 2 48000 "$SESSION/noise.wav"
mic_hears "$SESSION/noise.wav"
last_samples
pages_can_be_seen
unread_when_denied
unread_when_disconnected
unread_when_the_broker_dies
unread_without_a_worker
check_end
