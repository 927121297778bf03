# SPDX-License-Identifier: MIT
# shellcheck shell=bash
KIND=alsa PACKAGE=mplayer

play() {
	guest mplayer -slave -quiet -noconsolecontrols -nolirc "$SOUND"
}

pause() {
	guest_keys 'pause\n'
}

resume() {
	guest_keys 'pause\n'
}

seek_to() {
	guest_keys "seek $1 2\n"
}
