#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What one VM plays is in its own pages, and never in those that another one records into: while both run, after the
# first one has ended, and in pages that are made then. What is looked into is the memory of the programs.
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

ROOM=9
SECOND=$((48000 * 8)) # in bytes, of two channels of floats
ALL=1000              # words of a canary or of the room: far fewer than there are in one quantum
OTHERS=()

# The same samples in both formats, so that they are the same words wherever the graph could carry them.
canary_make() {
	noise "$SESSION/canary.S16" S16 2 $((4 * 48000)) 77
	"$TOOLS/sound-make" floats S16 <"$SESSION/canary.S16" >"$SESSION/canary.FLOAT"
	fifteen_times "$SESSION/canary.S16" >"$SESSION/played.S16"
	fifteen_times "$SESSION/canary.FLOAT" >"$SESSION/played.FLOAT"
}

fifteen_times() {
	cat "$1"{,,,,,,,,,,,,,,}
}

room_make() {
	room_file "$SESSION/room.au" $ROOM 0 $((60 * 48000))
	head -c $((20 * SECOND)) "$SESSION/room.au" >"$SESSION/room.first"
}

# words FILE PID...: how many of its words are in the pages of those programs.
words() {
	"$TOOLS/page-scan" words "$SESSION/$1" "${@:2}"
}

has_words() {
	[ "$(words "$@")" -ge "$ALL" ]
}

canary_plays() {
	local vm=$1 format=$2
	XARING_SOCKET=$(vm_socket "$vm") aplay -q -D xen -t raw -f "$(alsa_format "$format")" -c 2 -r 48000 \
		"$SESSION/played.$format" >>"$SESSION/log/aplay" 2>&1 </dev/null &
	PLAYER_PID=$!
	at_exit end_player $PLAYER_PID
}

# The first VM plays the canary in both formats, and records.
first_starts() {
	canary_plays work S16
	S16_PID=$PLAYER_PID
	canary_plays work FLOAT
	FLOAT_PID=$PLAYER_PID
	arecord_start work FLOAT 2 "$SESSION/work.f32"
	FIRST_PID=$RECORD_PID
}

# others_start NAME...: programs of the second VM that record in the format that is named.
others_start() {
	local format
	for format in "$@"; do
		arecord_start play "$format" 2 "$SESSION/play.$format.${#OTHERS[@]}"
		OTHERS+=("$RECORD_PID")
	done
}

# What the scanner finds where it is: in the pages of what plays, and the room in those of what records.
scanner_finds() {
	local format pid
	for format in S16 FLOAT; do
		pid=${format}_PID
		check "the pages of what plays $format have its words" wait_for 5 has_words "canary.$format" "${!pid}"
	done
	check "the pages of what records have those of the room" wait_for 5 has_words room.first "${OTHERS[1]}"
	check "so have those of the first VM" wait_for 5 has_words room.first "$FIRST_PID"
}

# clean_check TEXT: of all programs of the second VM.
clean_check() {
	local format
	for format in S16 FLOAT; do
		check_number "$1: words of the canary in $format" "$(words "canary.$format" "${OTHERS[@]}")" -eq 0
	done
}

# Four times within what the ring holds, so that nothing is missed.
both_run() {
	local i
	for i in 1 2 3 4; do
		let_record "$SESSION/play.FLOAT.1" $((SECOND / 2))
		clean_check "both run, look $i"
	done
	check "it plays until here" kill -0 "$S16_PID" "$FLOAT_PID"
}

first_ends() {
	kill "$S16_PID" "$FLOAT_PID" "$FIRST_PID"
	wait "$S16_PID" "$FLOAT_PID" "$FIRST_PID"
	wait_or_die 5 "the end of the first VM's nodes" node_is_gone xen.work.capture.1
	let_record "$SESSION/play.FLOAT.1" $((SECOND / 2))
	clean_check "the first one has ended"
}

# With the microphone denied nothing covers what would be in new pages.
pages_are_new() {
	local old=${#OTHERS[@]}
	mic_rule deny
	others_start FLOAT S16 FLOAT S16
	let_record "$SESSION/play.S16.$((old + 3))" $((SECOND / 8))
	clean_check "new pages"
	check_number "new pages: words of any sound" "$("$TOOLS/page-scan" sound "${OTHERS[@]:old}")" -eq 0
}

# What the second VM has heard, from its first sample to the end: of the room and of nobody else.
heard_check() {
	VERDICT=$SESSION/verdict.json
	"$TOOLS/sound-check" coded $ROOM 48000 "$SESSION/play.FLOAT.1" >"$VERDICT"
	check "heard: $(verdict '"\(.coded) frames, \(.foreign) foreign, \(.damaged + .half) damaged"')" \
		verdict_holds '.coded > 48000 and .foreign + .damaged + .half == 0'
}

session_open
session_start
pages_can_be_seen
daemon_start
mic_add
mic_rule allow
canary_make
room_make
mic_hears "$SESSION/room.au"
others_start S16 FLOAT
first_starts
wait_or_die 10 "a link of the second VM" capture_is_linked xen.play.capture.2
scanner_finds
both_run
first_ends
pages_are_new
kill "${OTHERS[@]}"
wait "${OTHERS[@]}"
heard_check
check_end
