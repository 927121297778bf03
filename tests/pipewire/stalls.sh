#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An application is stopped for 10 ms to 5 s: at most one gap each, nothing repeated, afterwards the
# latency from before; and another VM does not notice. 100 stalls in the long run.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="work personal"
STALLS=$(level_count 100)
BEGIN=() END=()

# 10 ms to 5 s, evenly on a scale of ratios.
length() {
	awk -v i="$1" -v n="$STALLS" 'BEGIN {
		printf "%.4f", 0.01 * exp(log(500) * (n > 1 ? i / (n - 1) : 0.5)) }'
}

stall() {
	BEGIN+=("$(now_ns)")
	kill -STOP "$1"
	# The stall itself: nothing is waited for.
	sleep "$2"
	kill -CONT "$1"
	END+=("$(now_ns)")
	tap_go_on "$SESSION/work.f32" 700
}

# The gaps between the begin of this stall and 600 ms after its end.
gaps_of() {
	jq --argjson from "${BEGIN[$1]}" --argjson to $((END[$1] + 600000000)) \
		'[.runs[] | select(.begin_ns > $from and .begin_ns < $to and .silent_before > 0)] | length' \
		"$VERDICT"
}

latency_of() {
	jq --argjson at $((END[$1] + 600000000)) \
		'[.runs[] | select(.end_ns > $at)][0].latency_ms // 99999' "$VERDICT"
}

check_stalls() {
	local i before
	before=$(verdict '.runs[0].latency_ms')
	note "latency before: $before ms"
	for ((i = 0; i < STALLS; i++)); do
		check_number "stall $((i + 1)) of $(length $i) s: gaps" "$(gaps_of $i)" -le 1
		latency_check "stall $((i + 1))" "$(latency_of $i)" "$before" 4096
	done
	check_number "frames repeated" "$(verdict .repeated)" -eq 0
	check_number "frames lost" "$(verdict .lost)" -eq 0
	jumps_check "the recording"
	check_number "damaged frames" "$(verdict .damaged+.half)" -eq 0
	check_number "errors that the application saw" "$(summary work .errors)" -eq 0
	note "the application saw $(summary work .xruns) xruns"
}

session_open
session_start
daemon_start
tap_start "xen.work.playback.*:FL,FR:$SESSION/work.f32" \
	"xen.personal.playback.*:FL,FR:$SESSION/personal.f32"
player_start personal 2 -p 1024 -b 24000
other=$PLAYER_PID
wait_or_die 10 "sound of personal" player_has_written personal 24000
player_start work 1 -p 1024 -b 4096
stalled=$PLAYER_PID
wait_or_die 10 "sound of work" player_has_written work 48000
for ((i = 0; i < STALLS; i++)); do stall "$stalled" "$(length $i)"; done
kill "$stalled" "$other"
wait "$stalled" "$other"
tap_stop
judge work 1 "$SESSION/work.f32"
check_stalls
untouched_check "the other VM" personal 2 "$SESSION/personal.f32"
check_end
