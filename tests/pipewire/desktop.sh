#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Guests have no say in dom0's quantum and rate: eight of them with periods from 64 to 4096 frames
# and rates from 8 to 192 kHz leave the graph as it is, although it would go down to 32 frames.
set -u
SESSION_QUANTUM=1024 SESSION_QUANTUM_MIN=32 SESSION_QUANTUM_MAX=8192
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="vm1 vm2 vm3 vm4 vm5 vm6 vm7 vm8"
PERIODS=(64 128 256 512 1024 2048 4096 333)
RATES=(48000 8000 44100 192000 48000 96000 22050 48000)

have_all_nodes() {
	[ "$(pw-dump 2>/dev/null | jq '[.[] | select(.type == "PipeWire:Interface:Node" and
		.info.state == "running" and (.info.props["node.name"] // "" | startswith("xen.")))] |
		length')" = 8 ]
}

session_open
session_start
daemon_start
tap_sink "$SESSION/heard.f32"
players=()
for i in 0 1 2 3 4 5 6 7; do
	player_start "vm$((i + 1))" $((i + 1)) -r "${RATES[i]}" -p "${PERIODS[i]}" \
		-b $((PERIODS[i] * 4))
	players+=("$PLAYER_PID")
done
wait_or_die 10 "eight running nodes" have_all_nodes
begin=$(now_ns)
tap_go_on "$SESSION/heard.f32" 3000
kill "${players[@]}"
wait "${players[@]}"
tap_stop
awk -v begin="$begin" '$2 > begin { print $3 }' "$SESSION/heard.f32.times" | sort | uniq -c \
	>"$SESSION/quanta"
check "the quantum was 1024 in all cycles: $(tr -s ' \n' ' ' <"$SESSION/quanta")(count, frames)" \
	grep -qE '^ *[0-9]+ 1024$' "$SESSION/quanta"
check_number "different quanta" "$(wc -l <"$SESSION/quanta")" -eq 1
for i in 1 2 3 4 5 6 7 8; do
	check_number "vm$i: errors" "$(summary "vm$i" .errors)" -eq 0
done
check_end
