#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A guest with a PipeWire of its own, whose clock is not that of dom0 (lib/clock-drift.c). As long as the device `xen`
# drives the guest's graph, that runs as fast as dom0's: every frame arrives, and what is buffered stays as it is.
# Where something else drives it PipeWire resamples, and nothing is missing either.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"
# shellcheck source=tests/lib/mic.sh
. "$XARING_SOURCE/tests/lib/mic.sh"
# shellcheck source=tests/lib/xen.sh
. "$XARING_SOURCE/tests/lib/xen.sh"
# shellcheck source=tests/lib/guest-server.sh
. "$XARING_SOURCE/tests/lib/guest-server.sh"

[ -x "$XARING_BUILD/libxaring/guestd/xaring-guestd" ] || skip "built without Xen"
# Quantum of the guest's graph.
QUANTUM=256

# ---- two machines ----

# drift PPM: dom0's clock from now on.
drift() {
	DOM0=(env CLOCK_DRIFT_PPM="$1" CLOCK_DRIFT_FROM="$(now_ns)"
		LD_PRELOAD="$TOOLS/libclock-drift.so")
	SESSION_AS=("${DOM0[@]}")
}

# in_dom0 COMMAND...: with its clock, a function of this shell.
in_dom0() {
	local -x CLOCK_DRIFT_PPM CLOCK_DRIFT_FROM LD_PRELOAD
	eval "${DOM0[1]} ${DOM0[2]} ${DOM0[3]}"
	"$@"
}

machines_start() {
	drift "$PPM"
	session_open
	session_start
	xen_open
	guest_create work 3
	guest_boot work
	in_dom0 xen_daemon_start
	mic_add
	mic_rule allow
	# Its messages say what it makes of a clock that it follows.
	PIPEWIRE_DEBUG=2,spa.alsa:4 guest_server_start "$(vm_socket work)" $QUANTUM
}

# ---- what is buffered ----

# delays_start: the profiler of the guest's graph, into the file delays: a line for each cycle, whose third word is how
# long it was, in us, until what was played then left the guest's buffer.
delays_start() {
	(cd "$SESSION/guest-server" && exec "${GUEST[@]}" pw-profiler -o delays) >/dev/null 2>&1 </dev/null &
	PROFILER_PID=$!
	at_exit end_player $PROFILER_PID
}

delays_end() {
	kill -INT "$PROFILER_PID"
	wait "$PROFILER_PID"
}

# delay_at_end: the median of the last quarter, in frames.
delay_at_end() {
	awk 'NF > 10 && $3 > 0 { print $3 }' "$SESSION/guest-server/delays" |
		awk '{ all[NR] = $1 } END { for (i = int(NR * 3 / 4) + 1; i <= NR; i++) print all[i] }' |
		sort -n | awk '{ all[NR] = $1 } END { printf "%d\n", all[int((NR + 1) / 2)] * 48 / 1000 }'
}

# ---- playing ----

play_once() {
	delays_start
	in_dom0 tap_sink "$SESSION/heard.f32"
	guest timeout $((PLAY_S + 20)) "${URGENT[@]}" pw-play --latency=$QUANTUM "$SESSION/played.au" \
		>"$SESSION/log/play" 2>&1 </dev/null
	PLAY_CODE=$?
	tap_go_on "$SESSION/heard.f32" 500
	delays_end
	VERDICT=$SESSION/verdict.json
	"$TOOLS/sound-check" coded 4 48000 "$SESSION/heard.f32" >"$VERDICT"
}

# plays: every frame, and at the end as many are buffered as at the begin.
plays() {
	local frames=$((PLAY_S * 48000))
	coded_file "$SESSION/played.au" 4 $frames
	tried play_once "is_whole $frames"
	check "$PPM ppm: $(verdict .coded) of $frames frames played, exact" is_whole $frames
	check_number "$PPM ppm: exit code" "$PLAY_CODE" -eq 0
	# A cycle, and the head-room of the snippet: 200 ppm would be 40 frames more or less after five seconds.
	check_between "$PPM ppm: frames buffered at the end" "$(delay_at_end)" $((QUANTUM + 256 - 16)) $((QUANTUM + 256 + 16))
}

# ---- recording ----

record_once() {
	in_dom0 tap_start "test-mic:FL,FR:$SESSION/mic.f32"
	guest_records 5 --latency=$QUANTUM
}

records() {
	local frames=$((RECORD_S * 48000))
	coded_file "$SESSION/room.au" 5 $frames
	tried record_once "is_whole $frames"
	check "$PPM ppm: $(verdict .coded) of $frames frames recorded, exact" is_whole $frames
}

# ---- as a follower ----

# constant_file FILE SECONDS: every sample is a half, whatever resamples it; so what is silent is a gap.
constant_file() {
	local i
	printf '\0\0\0?%.0s' {1..96000} >"$SESSION/second.raw"
	{
		au_header FLOAT 48000 2
		for ((i = 0; i < $2; i++)); do cat "$SESSION/second.raw"; done
	} >"$1"
}

# A sink that is driven by the guest's own clock, with a higher priority than the device's.
driver_add() {
	guest pw-cli create-node adapter '{ factory.name=support.null-audio-sink node.name=own-clock media.class=Audio/Sink
		object.linger=true priority.driver=9000 priority.session=1 audio.rate=48000 audio.position=[FL FR] }' >/dev/null
	wait_or_die 10 "the guest's own driver" guest_has_port own-clock:playback_FR
}

guest_has_port() {
	guest pw-link -i 2>/dev/null | grep -qx "$1"
}

# follow_once: the device is linked while the other one drives already, and so begins as a follower.
follow_once() {
	local channel
	: >"$SESSION/log/guest-pipewire"
	in_dom0 tap_sink "$SESSION/heard.f32"
	"${GUEST[@]}" "${URGENT[@]}" pw-play --latency=$QUANTUM --target=own-clock "$SESSION/constant.au" \
		>"$SESSION/log/follow" 2>&1 </dev/null &
	PLAYER_PID=$!
	at_exit end_player $PLAYER_PID
	wait_or_die 10 "the guest's player" guest_is_linked own-clock:playback_FR
	for channel in FL FR; do guest pw-link "pw-play:output_$channel" "xen_output:playback_$channel"; done
	wait $PLAYER_PID
	tap_go_on "$SESSION/heard.f32" 300
	read -r FIRST LAST _ < <("$TOOLS/sound-check" bounds 2 "$SESSION/heard.f32")
	HOLES=$("$TOOLS/sound-check" holes 2 "$SESSION/heard.f32")
}

guest_is_linked() {
	guest pw-link -l 2>/dev/null | grep -A1 -x "$1" | grep -q 'pw-play:'
}

# follow_errors: how far from its target PipeWire found what was buffered, in frames, each 3 s that it resampled.
follow_errors() {
	grep -a 'follower:1 match:1 rate:' "$SESSION/log/guest-pipewire" | sed 's/.* err:-\?\([0-9]*\).*/\1/'
}

has_resampled() {
	[ -n "$(follow_errors)" ]
}

has_no_hole() {
	[ "$HOLES" -eq 0 ]
}

follows() {
	constant_file "$SESSION/constant.au" $FOLLOW_S
	driver_add
	tried follow_once has_no_hole
	check_number "$PPM ppm, as a follower: silent frames between the first and the last of $((LAST - FIRST + 1))" \
		"$HOLES" -eq 0
	check_number "$PPM ppm, as a follower: frames heard" $((LAST - FIRST + 1)) -ge $(((FOLLOW_S - 1) * 48000))
	check "$PPM ppm, as a follower: PipeWire resamples" has_resampled
	# It settles within a minute or so; beyond a cycle PipeWire would begin anew. Without resampling as much as this comes
	# together in the long run only.
	[ $FOLLOW_S -lt 60 ] ||
		check_number "$PPM ppm, as a follower: frames of latency more or less than PipeWire wants, at the end" \
			"$(follow_errors | tail -n 1)" -le $((QUANTUM * 3 / 4))
	check_number "$PPM ppm, as a follower: how often PipeWire began anew, but for the first time" \
		$(($(grep -ac ', resync' "$SESSION/log/guest-pipewire") - 1)) -le 0
}

# ---- the clock itself ----

# Between two looks at this machine's clock, one at dom0's.
drift_check() {
	local before there after from=${DOM0[2]#*=}
	before=$(now_ns)
	there=$(in_dom0 now_ns)
	after=$(now_ns)
	check_between "$PPM ppm: dom0's clock, in us before ours" $(((there - before) / 1000)) \
		$(((before - from) / 1000 * PPM / 1000000 - 1)) $(((after - before + (after - from) / 1000000 * PPM) / 1000 + 1))
}

# ---- one drift, or all ----

levels() {
	ALL=(200)
	PLAY_S=8 RECORD_S=3 FOLLOW_S=8
	case ${XARING_TEST:-normal} in
	long) ALL=(-200 -100 100 200) PLAY_S=30 RECORD_S=15 FOLLOW_S=60 ;;
	quick) PLAY_S=5 RECORD_S=2 FOLLOW_S=5 ;;
	esac
}

# Each has a session of its own.
try_all() {
	local ppm
	for ppm in "${ALL[@]}"; do check "a drift of $ppm ppm" "$0" "$ppm"; done
	check_end
}

levels
[ $# -gt 0 ] || try_all
PPM=$1
# A real-time priority keeps a busy machine from being taken for a fault of ours.
URGENT=()
! chrt -f 20 true 2>/dev/null || URGENT=(chrt -f 20)
machines_start
# What a cycle, and the head-room of the snippet, leave to a late one.
if [ ${#URGENT[@]} -gt 0 ]; then witness_starts 5 chrt -f -p 20; else witness_starts 5; fi
plays
records
follows
drift_check
check_end
