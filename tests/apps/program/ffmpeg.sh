# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=ffmpeg

play() {
	guest ffmpeg -nostdin -hide_banner -loglevel warning -i "$SOUND" -f alsa default
}

record() {
	guest ffmpeg -nostdin -hide_banner -loglevel warning -f alsa -i default -t "$RECORD_S" "$RECORDING"
}
