#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a VM records, in a graph at the rate that is the argument: silence in real time while it may not, what a
# microphone hears, frame by frame, while it may, and never anything else.
set -u
SESSION_RATE=$1 SESSION_QUANTUM=1024
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"
# shellcheck source=tests/lib/mic.sh
. "$XARING_SOURCE/tests/lib/mic.sh"

NODE=xen.work.capture.1
SECOND=$SESSION_RATE

# ---- what is shown ----

denied() {
	local file=$SESSION/denied.f32
	as_vm work "$TOOLS/coded-player" -R "$file" -f FLOAT -r "$SECOND" -n $((3 * SECOND)) -l "$SESSION/denied.log" \
		>"$SESSION/denied.json"
	check "denied: the program ends well" test $? -eq 0
	bounds "$file"
	check_number "denied: frames" "$COUNT" -eq $((3 * SECOND))
	check_number "denied: the last that is not silent" "$LAST" -eq 0
	check_number "denied: xruns" "$(jq .xruns "$SESSION/denied.json")" -eq 0
	check_number "denied: ms behind real time" "$(behind_ms "$SESSION/denied.log")" -le 25
	check_number "denied: ms behind real time" "$(behind_ms "$SESSION/denied.log")" -ge -25
	check "denied: no node" node_is_gone $NODE
}

# once FORMAT CHANNELS: records while the microphone is silent, then hears noise, and is silent again.
once() {
	local file=$SESSION/recorded
	arecord_start work "$1" "$2" "$file"
	wait_or_die 10 "$1, $2 channels: a link" capture_is_linked $NODE
	tap_start "test-mic:$MIC_CHANNELS:$SESSION/mic.f32"
	mic_hears "$SESSION/noise-$2.wav"
	wait "$ROOM_PID"
	let_record "$file" $((SECOND / 5))
	record_ends "$1, $2 channels" "$file"
	tap_stop
	"$TOOLS/sound-make" floats "$1" <"$file" >"$file.f32"
	is_exact S16 "$2" "$SESSION/noise-$2.raw" "$file.f32"
}

# mic_was_late TEXT CHANNELS: it proves nothing when the microphone itself did not hear all of it in time.
mic_was_late() {
	local result=$RESULT
	if graph_was_late; then
		note "$1: the graph was late ($(late_nodes))"
	elif ! is_exact S16 "$2" "$SESSION/noise-$2.raw" "$SESSION/mic.f32"; then
		note "$1: the microphone itself heard: $RESULT"
	else
		RESULT=$result
		return 1
	fi
}

exact() {
	local text="$1, $2 channels" try res
	for try in 1 2 3 4 5 6; do
		once "$@"
		res=$?
		[ $res -ne 0 ] || break
		mic_was_late "$text, attempt $try" "$2" || break
	done
	exact_judged "$text" $res
	check "$text: no node is left" wait_for 5 node_is_gone $NODE
}

# Sound of the room for as long as the rest takes.
endless_noise() {
	noise "$SESSION/long.raw" S16 2 $((60 * SECOND)) 7
	raw_to_wav "$SESSION/long.raw" S16 2 "$SESSION_RATE" "$SESSION/long.wav"
}

# mixer_says VALUE: what a mixer shows that is opened now, in the VM.
mixer_says() {
	ALSA_CONFIG_PATH=$XARING_BUILD/conf/uninstalled.conf XARING_SOCKET=$(vm_socket work) \
		amixer -D xen cget name='Capture Switch' | grep -q "values=$1\$"
}

# What is said is of this VM and no other.
mixers() {
	mic_rule deny
	check "denied: a mixer says so" mixer_says off
	mic_rule allow personal
	check "another VM is allowed: a mixer says that it is denied" mixer_says off
	mic_rule allow work
	check "allowed: a mixer says so" mixer_says on
	check "a mixer has no node" node_is_gone $NODE
	mic_rule deny
	check "revoked: a mixer says so" mixer_says off
}

# From one that is denied to one that is allowed and back, while a program records.
toggled() {
	local file=$SESSION/toggled.f32 allowed_ns denied_ns
	mic_rule deny
	tap_start "test-mic:FL,FR:$SESSION/mic.f32"
	mic_hears "$SESSION/long.wav"
	arecord_start work FLOAT 2 "$file"
	let_record "$file" $((4 * SECOND))
	check "denied: no node" node_is_gone $NODE
	mic_rule allow
	allowed_ns=$MIC_RULE_NS
	let_record "$file" $((12 * SECOND))
	mic_rule deny
	denied_ns=$MIC_RULE_NS
	check "revoked: no node" wait_for 2 node_is_gone $NODE
	let_record "$file" $((6 * SECOND))
	record_ends "toggled" "$file"
	room_ends
	tap_stop
	bounds "$file"
	check_number "ms from the permission to the first sample" $((($(moment "$file" "$FIRST") - allowed_ns) / 1000000)) -ge 0
	check_number "ms from the permission to the first sample" $((($(moment "$file" "$FIRST") - allowed_ns) / 1000000)) -le 1000
	revoked_check "revoked" "$file" "$denied_ns"
}

# What plays is not for the guest, whoever links it.
monitor() {
	local file=$SESSION/monitor.f32
	mic_rule allow
	mic_remove
	arecord_start work FLOAT 2 "$file"
	let_record "$file" $((4 * SECOND))
	room_plays "$SESSION/long.wav" "$SESSION_SINK"
	wait_or_die 5 "the node" node_exists $NODE
	# The session manager may have done that by itself, for there is nothing else to hear.
	pw-link $SESSION_SINK:monitor_FL $NODE:input_FL 2>/dev/null
	pw-link $SESSION_SINK:monitor_FR $NODE:input_FR 2>/dev/null
	check "the monitor is linked to it" capture_is_linked $NODE
	let_record "$file" $((8 * SECOND))
	room_ends
	record_ends "a monitor" "$file"
	bounds "$file"
	check_number "a monitor: the last frame that is not silent" "$LAST" -eq 0
	mic_add
}

# Taken away while a program records, and given back.
unplugged() {
	local file=$SESSION/unplugged.f32
	arecord_start work FLOAT 2 "$file"
	wait_or_die 10 "unplugged: a link" capture_is_linked $NODE
	mic_hears "$SESSION/long.wav"
	let_record "$file" $((8 * SECOND))
	mic_remove
	let_record "$file" $((8 * SECOND))
	mic_add
	wait_or_die 10 "plugged in again: a link" capture_is_linked $NODE
	mic_hears_room
	let_record "$file" $((8 * SECOND))
	room_ends
	record_ends "unplugged" "$file"
	bounds "$file"
	check_number "plugged in again: it is heard until the end (frames of silence)" $((COUNT - LAST)) -le "$SECOND"
}

make_noise() {
	local channels raw
	for channels in 1 2; do
		raw=$SESSION/noise-$channels.raw
		{
			head -c $((SECOND * channels)) /dev/zero
			"$TOOLS/sound-make" noise S16 $channels 48001 3
			head -c $((SECOND * channels)) /dev/zero
		} >"$raw"
		raw_to_wav "$raw" S16 $channels "$SESSION_RATE" "$SESSION/noise-$channels.wav"
	done
}

all_exact() {
	exact FLOAT 2
	exact S16 2
	mic_remove
	MIC_CHANNELS=MONO mic_add
	MIC_CHANNELS=MONO exact S16 1
	MIC_CHANNELS=MONO exact FLOAT 1
	mic_remove
	mic_add
}

session_open
session_start
daemon_start
mic_add
make_noise
[ "$SECOND" -ne 48000 ] || denied
[ "$SECOND" -ne 48000 ] || mixers
mic_rule allow
all_exact
# The rest does not depend on the rate.
[ "$SECOND" -eq 48000 ] || check_end
endless_noise
toggled
monitor
unplugged
check_end
