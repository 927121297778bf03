# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# PipeWire of the guest with its own clients, those of PulseAudio, and those of JACK.
KIND=pipewire PACKAGE=pipewire SERVER=pipewire EACH=1
# shellcheck source=tests/apps/servers.sh
. "$APPS/servers.sh"

setup() {
	pulse_client
	asks_when_recording pipewire_begins
}

pw_play() {
	play() {
		hurry
		padded "$SOUND" && guest pw-play padded.wav
	}
	record() {
		guest timeout -s INT "$RECORD_S.3" pw-record --format f32 "$RECORDING"
		[ $? -eq 124 ]
	}
	client pw-play
	plays
	records
	check "who has recorded has no node" wait_for 2 node_is_gone "xen.$GUEST_VM.capture.1"
}

# A client that is stopped for a while. It is a child of the shell: nsenter stops with its own.
stopped() {
	play() {
		hurry
		padded "$SOUND" && guest sh -c 'pw-play padded.wav; exit $?'
	}
	pause() {
		guest pkill -STOP -x pw-play
	}
	resume() {
		guest pkill -CONT -x pw-play
	}
	client pw-play-stopped
	controls
	unset -f pause resume
}

pacat() {
	pulse_client
	client pacat pulseaudio-utils
	plays
	records
}

jack() {
	play() {
		hurry
		# What jack-stdin gives before it has connected its ports nobody hears.
		guest sh -c 'sox -V1 -D "$0" -t raw -e float -b 32 - pad 0.3 0.2 |
			pw-jack jack-stdin -q -e floating-point -b 32 "Xen audio:playback_FL" "Xen audio:playback_FR"' "$SOUND"
	}
	record() {
		guest sh -c 'pw-jack jack-stdout -q -d "$0" -e floating-point -b 32 "Xen microphone:capture_FL" \
			"Xen microphone:capture_FR" >jack.raw
			sox -V1 -D -t raw -e float -b 32 -r 48000 -c 2 jack.raw -e float "$1"' "$RECORD_S" "$RECORDING"
	}
	client jack jack-stdio
	plays
	records
	result remark "by jack-stdio, from the moment on at which it has connected its ports"
}

try() {
	pw_play
	corked
	pacat
	jack
	[ "$XARING_TEST" != long ] || stopped
	suspends
}
