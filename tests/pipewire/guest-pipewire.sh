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

# All 24 bits of floats.
plays() {
	local try
	noise "$SESSION/played.raw" FLOAT 2 240000
	# pw-play of 0.3.65 gives the last quantum to no ALSA device, so silence is last.
	{ cat "$SESSION/played.raw" && head -c 65536 /dev/zero; } >"$SESSION/padded.raw"
	raw_to_wav "$SESSION/padded.raw" FLOAT 2 48000 "$SESSION/played.wav"
	# The guest's graph is driven by a timer: a machine that has no time for it makes a gap of its own.
	for try in 1 2 3 4 5; do
		hear "$SESSION/heard.f32" guest timeout 60 pw-play "$SESSION/played.wav" &&
			is_exact FLOAT 2 "$SESSION/played.raw" "$SESSION/heard.f32" && break
		note "attempt $try: $(tr '\n' ' ' <"$SESSION/log/exact")"
	done
	check "pw-play in the guest arrives: $RESULT" is_exact FLOAT 2 "$SESSION/played.raw" "$SESSION/heard.f32"
}

# record_once: two seconds of the room, in the middle of what is recorded.
record_once() {
	local recorder
	tap_start "test-mic:FL,FR:$SESSION/mic.f32"
	"${GUEST[@]}" pw-record --format f32 "$SESSION/recorded.wav" >"$SESSION/log/pw-record" 2>&1 </dev/null &
	recorder=$!
	wait_or_die 10 "a recorder in dom0" capture_is_linked xen.work.capture.1
	mic_hears "$SESSION/room.au"
	wait "$ROOM_PID"
	tap_go_on "$SESSION/mic.f32" 300
	kill -INT $recorder
	wait $recorder
	tap_stop
	sox -V1 -D "$SESSION/recorded.wav" -t raw -e floating-point -b 32 "$SESSION/recorded.f32"
}

records() {
	local try filter='.coded > 90000 and .gaps + .jumps + .repeated + .foreign + .damaged + .half == 0'
	room_file "$SESSION/room.au" 5 0 96000
	VERDICT=$SESSION/verdict.json
	for try in 1 2 3 4 5; do
		record_once
		"$TOOLS/sound-check" coded 5 48000 "$SESSION/recorded.f32" >"$VERDICT"
		verdict_holds "$filter" && break
		note "attempt $try: $(verdict '"\(.coded) frames, \(.gaps) gaps, \(.jumps) jumps"')"
	done
	check "pw-record in the guest: $(verdict .coded) frames of the room, exact" verdict_holds "$filter"
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
plays
check "who only plays has no recorder in dom0" node_is_gone xen.work.capture.1
records
# Not at once, or the last quantum would be lost: WirePlumber suspends a sink that idles for 5 s.
check "an idle guest has no node" wait_for 15 node_is_gone xen.work.playback.1
check_end
