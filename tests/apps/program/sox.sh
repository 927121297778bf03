# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=sox

play() {
	guest play -q "$SOUND"
}

record() {
	guest rec -q -r 48000 -c 2 -b 16 "$RECORDING" trim 0 "$RECORD_S"
}
