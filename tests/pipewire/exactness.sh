#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every frame that an application plays reaches the sink unchanged, once and in order, and none is
# lost at the end. Argument: the rate of stream and graph.
set -u
SESSION_RATE=$1
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# An odd number, so that the end falls into a period and into a quantum.
FRAMES=$((SESSION_RATE * 6 / 10 + 1))
[ "${XARING_TEST:-normal}" != quick ] || FRAMES=$((SESSION_RATE * 2 / 10 + 1))

# cell FORMAT CHANNELS
cell() {
	local file=$SESSION/$1-$2.raw
	noise "$file" "$1" "$2" "$FRAMES" "$2"
	exact_check "$1, $2 channels, $SESSION_RATE Hz" "$1" "$2" "$file" \
		as_vm work aplay -q -D xen -t raw -f "$(alsa_format "$1")" -c "$2" \
		-r "$SESSION_RATE" "$file"
}

session_open
session_dbus_start
pipewire_start
wireplumber_start
for channels in MONO FL,FR FL,FR,RL,RR,FC,LFE; do
	# The sink has the stream's channels: nothing is mixed up or down.
	SESSION_CHANNELS=$channels
	sink_add
	[ -n "$DAEMON_PID" ] || daemon_start
	for format in S16 S24 S24_3 S32 FLOAT U8; do
		cell $format "$(wc -w <<<"${channels//,/ }")"
	done
	sink_remove
done
check_end
