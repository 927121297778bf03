#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A guest with a PipeWire of its own, on the snippet that is shipped: sink and microphone are the device `xen`, what its
# programs play and record arrives frame by frame, and when it idles nothing of it is left in dom0.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"
# shellcheck source=tests/lib/mic.sh
. "$XARING_SOURCE/tests/lib/mic.sh"

# shellcheck source=tests/lib/guest-server.sh
. "$XARING_SOURCE/tests/lib/guest-server.sh"

# shellcheck disable=SC2034
SESSION_VMS=work

play_once() {
	hear_on "$SESSION/heard.f32" guest timeout 60 pw-play "$SESSION/played.wav"
	PLAY_CODE=$?
}

is_played() {
	[ $PLAY_CODE -eq 0 ] && is_exact FLOAT 2 "$SESSION/played.raw" "$SESSION/heard.f32"
}

# All 24 bits of floats.
plays() {
	noise "$SESSION/played.raw" FLOAT 2 240000
	# pw-play of 0.3.65 gives the last quantum to no ALSA device, so silence is last.
	{ cat "$SESSION/played.raw" && head -c 65536 /dev/zero; } >"$SESSION/padded.raw"
	raw_to_wav "$SESSION/padded.raw" FLOAT 2 48000 "$SESSION/played.wav"
	tried play_once is_played
	check "pw-play in the guest arrives: $RESULT" is_played
}

record_once() {
	tap_start "test-mic:FL,FR:$SESSION/mic.f32"
	guest_records 5
}

# Two seconds of the room, in the middle of what is recorded.
records() {
	coded_file "$SESSION/room.au" 5 96000
	tried record_once "is_whole 96000"
	check "pw-record in the guest: $(verdict .coded) of 96000 frames of the room, exact" is_whole 96000
	# Who looks at dom0's desktop must not see a recorder where nothing is recorded.
	check "who has stopped recording has no node" wait_for 1 node_is_gone xen.work.capture.1
}

# Without a backend as well: PipeWire opens the device while it starts, and ends when that fails.
session_open
session_start
guest_server_start "$(vm_socket work)"
pass "the guest's PipeWire starts without a backend, its defaults are xen_output and xen_input"
mic_add
daemon_start
mic_rule allow
# As its programs, which have no priority.
witness_starts 5
plays
check "who only plays has no recorder in dom0" node_is_gone xen.work.capture.1
records
# Not at once, or the last quantum would be lost: WirePlumber suspends a sink that idles for 5 s.
check "an idle guest has no node" wait_for 15 node_is_gone xen.work.playback.1
check_end
