# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A program of another architecture, with that one's plugin beside the guest's own.
KIND=i386 PACKAGE=alsa-utils

play() {
	guest aplay "$SOUND"
}

record() {
	guest arecord -f dat -d "$RECORD_S" "$RECORDING"
}
