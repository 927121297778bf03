# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=pulse PACKAGE=pulseaudio SERVER=pulseaudio
# shellcheck source=tests/apps/servers.sh
. "$APPS/servers.sh"

# With a device that is no card PulseAudio says that a stream is drained when the device's buffer, of 100 ms, has the
# last of it.
EARLY_MS=250

setup() {
	pulse_client
	asks_when_recording pulseaudio_begins
}

try() {
	client pacat pulseaudio-utils
	plays
	records
	suspends
	corked
}
