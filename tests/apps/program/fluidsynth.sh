# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# It makes its own sound, of notes.
KIND=alsa PACKAGE=fluidsynth
CUTS="closes the device without draining"

# A second of the note 69: 960 ticks.
setup() {
	printf 'MThd\0\0\0\6\0\0\0\1\1\340MTrk\0\0\0\15\0\220\105\144\207\100\200\105\0\0\377\57\0' >"$SESSION/note.mid"
	guest_file "$SESSION/note.mid"
}

play() {
	guest fluidsynth -a alsa -m alsa_seq -n -i /usr/share/sounds/sf2/TimGM6mb.sf2 note.mid
}

try() {
	sounds 3 5 -60
}
