#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every frame that an application plays reaches the sink unchanged, once and in order, and none is
# lost at the end. What is resampled comes without denormals. Argument: the rate of stream and graph.
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
	GIVE_TIME=1 exact_check "$1, $2 channels, $SESSION_RATE Hz" "$1" "$2" "$file" \
		as_vm work aplay -q -D xen -t raw -f "$(alsa_format "$1")" -c "$2" \
		-r "$SESSION_RATE" "$file"
}

# words FILE REGEX: how many of its words, in hexadecimal, match.
words() {
	od -An -v -w4 -tx4 "$1" | grep -cE "^ $2\$"
}

# Half of them, and then a sound, so that it is seen that they were played.
denormals() {
	local played=$SESSION/denormals.raw heard=$SESSION/heard.f32
	# shellcheck disable=SC2059
	{
		printf '\0\0\100\0%.0s' {1..20000}
		printf '\0\0\0\077%.0s' {1..20000}
	} >"$played"
	check_number "denormals played" "$(words "$played" '00400000')" -eq 20000
	hear "$heard" as_vm work aplay -q -D xen -t raw -f FLOAT_LE -c 2 -r $((SESSION_RATE * 2 / 3)) \
		"$played"
	check_number "denormals: exit code" $? -eq 0
	check_number "denormals: the sound behind them, samples" "$(words "$heard" '3[ef].*')" -ge 10000
	check_number "denormals heard" \
		"$(($(words "$heard" '[08]0[0-7].*') - $(words "$heard" '[08]0000000')))" -eq 0
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
	[ $channels != FL,FR ] || denormals
	sink_remove
done
check_end
