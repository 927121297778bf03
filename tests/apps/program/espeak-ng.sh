# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# It makes its own sound.
KIND=alsa PACKAGE=espeak-ng

play() {
	guest espeak-ng "Every frame of this is heard in dom zero"
}

try() {
	sounds 1 -40
}
