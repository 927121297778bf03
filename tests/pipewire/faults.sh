#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A part of dom0 goes away and comes back while an application plays. The application never sees an
# error, its position goes on, the sound is back within a second of the part being back, at the
# latency from before, and nothing old is heard. Argument: pipewire, wireplumber, sink, broker or
# worker. 50 rounds in the long run.
set -u
FAULT=$1
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

ROUNDS=$(level_count 50)
BACK_MS=1000
# The longest that a period of the application may be late: records are called stale after 100 ms,
# and a new attach may rest as long again.
ADVANCE_MS=300
UP=()

fault_pipewire() {
	kill_hard "$PIPEWIRE_PID"
	wait_or_die 10 "wireplumber: its end" is_gone_or_zombie "$WIREPLUMBER_PID"
	wait "$WIREPLUMBER_PID" 2>/dev/null
	pipewire_start
	wireplumber_start
	sink_add
}

# The nodes of sound cards are WirePlumber's and end with it. Ours would stay, and WirePlumber 0.4
# does not take such a one over.
fault_wireplumber() {
	kill_hard "$WIREPLUMBER_PID"
	sink_remove
	wireplumber_start
	sink_add
}

fault_sink() {
	sink_remove
	sink_add
}

fault_broker() {
	kill_hard "$DAEMON_PID"
	daemon_start
}

fault_worker() {
	local old
	old=$(worker_pid)
	kill -9 "$old"
	wait_or_die 10 "a new worker" has_other_worker "$old"
}

has_other_worker() {
	local now
	now=$(worker_pid)
	[ -n "$now" ] && [ "$now" != "$1" ]
}

one_round() {
	"fault_$FAULT"
	UP+=("$(now_ns)")
	# Long enough to see that it stays, and to take the latency.
	wait_or_die 20 "round $1: the recorder again" tap_runs_beyond "$(now_ns)" "$SESSION/heard.f32"
	tap_go_on "$SESSION/heard.f32" 1500
}

# How long after each return of the service the first run that goes on beyond it began, in ms.
back_ms() {
	jq --argjson up "$1" '[.runs[] | select(.end_ns > $up)] | if length == 0 then 99999 else
		([.[0].begin_ns - $up, 0] | max / 1000000 | floor) end' "$VERDICT"
}

# The latency of the longest run between that return and the next one. A cycle that the graph goes on without the worker's
# node makes what was written before it later by as much: a short run may be all of it.
latency_after() {
	jq --argjson up "$1" --argjson next "$2" '[.runs[] | select(.end_ns > $up and .begin_ns < $next)] |
		if length == 0 then 99999 else max_by(.frames).latency_ms end' "$VERDICT"
}

check_rounds() {
	local i before
	before=$(verdict '.runs[0].latency_ms')
	note "latency before: $before ms"
	for i in "${!UP[@]}"; do
		check_number "round $((i + 1)): back after (ms)" "$(back_ms "${UP[i]}")" -le $BACK_MS
		latency_check "round $((i + 1))" "$(latency_after "${UP[i]}" "${UP[i + 1]:-9e18}")" "$before" 8192
	done
	[ "$CHECK_FAILED" -eq 0 ] || note "$(verdict '.runs[] | "run of \(.frames) frames, \(.silent_before) silent before, \(.latency_ms) ms"')"
}

# PipeWire makes and breaks the links of the two channels one after the other: where they go and
# come, a cycle or two may have one of them only.
half_allowed() {
	case $FAULT in
	broker | worker) echo 0 ;;
	*) echo $((ROUNDS * 2 * 1024)) ;;
	esac
}

check_application() {
	check_number "errors that the application saw" "$(summary work .errors)" -eq 0
	check_number "xruns that it saw" "$(summary work .xruns)" -eq 0
	check_real "longest time without progress (ms)" "$(summary work .longest_ms)" '<' $ADVANCE_MS
	check_number "frames repeated, or older than what was heard" "$(verdict .repeated)" -eq 0
	check_number "frames of somebody else" "$(verdict .foreign)" -eq 0
	check_number "damaged frames" "$(verdict .damaged)" -eq 0
	check_number "frames of one channel only" "$(verdict .half)" -le "$(half_allowed)"
	jumps_check "the recording"
	note "$(verdict '"\(.runs | length) runs, \(.gaps) gaps, \(.lost) frames lost at them"')"
}

session_open
session_start
daemon_start
tap_sink "$SESSION/heard.f32"
player_start work 1 -p 1024 -b 8192
wait_or_die 10 "sound" player_has_written work 48000
for ((round = 1; round <= ROUNDS; round++)); do one_round "$round"; done
kill "$PLAYER_PID"
wait "$PLAYER_PID"
check_number "exit code of the application" $? -eq 0
tap_stop
judge work 1 "$SESSION/heard.f32"
check_rounds
check_application
check_end
