# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=pulse PACKAGE=pulseaudio SERVER=pulseaudio
# shellcheck source=tests/apps/servers.sh
. "$APPS/servers.sh"

# With a device that is no card PulseAudio says that a stream is drained when the device's buffer, of 100 ms, has the
# last of it.
EARLY_MS=250

setup() {
	pulseaudio_begins
}

play() {
	hurry
	guest paplay "$SOUND"
}

record() {
	guest timeout -s INT "$RECORD_S.3" parecord --latency-msec=50 --file-format=wav --format=float32le \
		--rate=48000 --channels=2 "$RECORDING"
	[ $? -eq 124 ]
}

# With a pause, at which its stream is corked: what it plays goes on where it was.
mpv() {
	play() {
		hurry
		guest mpv --no-terminal --no-video --ao=pulse --input-ipc-client=fd://0 "$SOUND"
	}
	pause() {
		guest_keys '{"command":["set_property","pause",true]}\n'
	}
	resume() {
		guest_keys '{"command":["set_property","pause",false]}\n'
	}
	client mpv mpv
	controls
}

try() {
	client pacat pulseaudio-utils
	server_plays
	records
	suspends
	# And wakes up.
	NAME=$SERVER/pacat
	server_plays
	mpv
}
