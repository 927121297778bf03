# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# It makes its own sound.
KIND=alsa PACKAGE=espeak-ng

play() {
	guest espeak-ng "All of this is heard"
}

try() {
	sounds 0.9 2.2 -40
}
