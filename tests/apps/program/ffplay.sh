# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=ffmpeg
CUTS="SDL closes the device without draining"

play() {
	guest ffplay -hide_banner -loglevel warning -nodisp -autoexit "$SOUND"
}
