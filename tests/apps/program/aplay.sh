# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=alsa-utils

play() {
	guest aplay "$SOUND"
}

record() {
	guest arecord -f dat -d "$RECORD_S" "$RECORDING"
}
