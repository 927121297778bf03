# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# It makes its own sound, without end unless told.
KIND=alsa PACKAGE=alsa-utils

play() {
	guest speaker-test -c 2 -t sine -s 1
}

try() {
	sounds 4 6 -30
}
