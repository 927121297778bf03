#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Buffers and periods of applications against one quantum of dom0, which is the argument. Neither
# side may need to know the other's.
set -u
SESSION_QUANTUM=$1
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# Of so short cycles a busy machine misses some in every second or two: less is played at a time.
FRAMES=72001
[ "$SESSION_QUANTUM" -gt 256 ] || FRAMES=24001
ATTEMPTS=6

# The same sound by PipeWire's own player in our place: where it is late in more than one attempt, the machine is.
peer_is_late() {
	local try late=0
	for ((try = 0; try < ATTEMPTS; try++)); do
		hear "$SESSION/peer.f32" "$SESSION/urgent" pw-cat -p --latency="$SESSION_QUANTUM" "$SESSION/noise.wav" || return 1
		graph_was_late || continue
		late=$((late + 1))
		note "PipeWire's own player: the graph was late in attempt $((try + 1)) ($(late_nodes))"
	done
	[ $late -gt 1 ]
}

# shape PERIOD BUFFER [OPTION]: where the graph is late whoever plays there is nothing to judge.
shape() {
	local text="period $1, buffer $2 ${3:-}" res
	exact_tried "$text" S16 2 "$SESSION/noise.raw" as_vm work "$SESSION/urgent" aplay \
		-q -D xen ${3:+"$3"} -t raw -f S16_LE -c 2 -r 48000 --period-size="$1" \
		--buffer-size="$2" "$SESSION/noise.raw"
	res=$?
	if [ $res -eq 2 ] && peer_is_late; then
		skip "this machine is too late for a quantum of $SESSION_QUANTUM, whoever plays"
	fi
	exact_judged "$text" $res
}

# A real-time priority keeps a busy machine from being taken for a fault of ours.
make_urgent() {
	local prefix=''
	! chrt -r 5 true 2>/dev/null || prefix='chrt -r 5'
	printf '#!/bin/sh\nexec %s "$@"\n' "$prefix" >"$SESSION/urgent"
	chmod +x "$SESSION/urgent"
}

# Too small to be exact here: it must still end in real time, and say how often it ran dry.
tiny() {
	local begin end took xruns
	begin=$(now_ns)
	as_vm work "$SESSION/urgent" aplay -D xen -t raw -f S16_LE -c 2 -r 48000 --period-size=64 \
		--buffer-size=128 "$SESSION/noise.raw" >"$SESSION/log/tiny" 2>&1 </dev/null
	check_number "period 64, buffer 128: exit code" $? -eq 0
	end=$(now_ns)
	took=$(((end - begin) / 1000000))
	xruns=$(grep -c 'underrun' "$SESSION/log/tiny")
	note "period 64, buffer 128: $xruns xruns counted, $took ms for $((FRAMES / 48)) ms"
	check_number "it does not end early (ms)" $took -ge $((FRAMES / 48 - 20))
	check_number "it ends in real time (ms)" $took -le $((FRAMES / 48 + 700 + xruns * 50))
}

session_open
session_start
daemon_start
make_urgent
noise "$SESSION/noise.raw" S16 2 $FRAMES
raw_to_wav "$SESSION/noise.raw" S16 2 48000 "$SESSION/noise.wav"
shape 256 512
shape 256 512 -M
shape 256 1024
shape 512 1024
shape 1024 4096
shape 1000 3000
shape 6000 24000
shape 8000 24000 -N
tiny
check_end
