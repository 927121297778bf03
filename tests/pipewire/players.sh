#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that people use: aplay in its three ways, sox, speaker-test and mpv.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

FRAMES=48001

play_aplay() {
	local options
	for options in "" "-M" "-N" "-M -N"; do
		# shellcheck disable=SC2086
		exact_check "aplay $options" S16 2 "$SESSION/noise.raw" \
			as_vm work aplay -q -D xen $options "$SESSION/noise.wav"
	done
}

play_plug() {
	printf 'pcm.plugged { type plug slave.pcm "xen" }\n' >>"$ALSA_CONFIG_PATH"
	exact_check "aplay through plug" S16 2 "$SESSION/noise.raw" \
		as_vm work aplay -q -D plugged "$SESSION/noise.wav"
}

play_sox() {
	exact_check "sox" S16 2 "$SESSION/noise.raw" as_vm work sox -V1 -q -D \
		"$SESSION/noise.wav" -b 16 -t alsa xen
}

play_mpv() {
	# It does not drain: it waits until everything is played, and that ends in a ramp.
	RAMP=96 exact_check "mpv" S16 2 "$SESSION/noise.raw" as_vm work mpv --no-config --no-terminal \
		--no-video --ao=alsa --audio-device=alsa/xen --volume=100 --gapless-audio=no \
		"$SESSION/noise.wav"
}

# It makes its own signal: every channel must be heard, and at the level of a sine.
play_speaker_test() {
	local file=$SESSION/sine.f32
	check "speaker-test plays and ends" hear "$file" as_vm work speaker-test -D xen -c 2 \
		-t sine -f 440 -l 1 -F S16_LE -r 48000
	check_real "speaker-test: level (dB)" "$("$TOOLS/sound-check" level 2 "$file")" '>' -30
}

session_open
session_start
daemon_start
noise "$SESSION/noise.raw" S16 2 $FRAMES
raw_to_wav "$SESSION/noise.raw" S16 2 48000 "$SESSION/noise.wav"
play_aplay
play_plug
play_sox
play_mpv
[ "${XARING_TEST:-normal}" = quick ] || play_speaker_test
check_end
