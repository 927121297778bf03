#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 400 s.
# What dom0's microphone hears arrives in a guest exactly, in graphs of several rates, in one channel and in two, as
# integers and as floats; and two guests play and record at once, all of it exact. What one of them plays is never in
# pages that the other one records into.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh
# shellcheck source=tests/lib/mic.sh
. /payload/tests/lib/mic.sh
# shellcheck source=tests/xen/machine/lib-records.sh
. /payload/tests/xen/machine/lib-records.sh

RATES="16000 44100 48000"
[ "$XARING_TEST" != quick ] || RATES=16000
FRAMES=16001
SILENCE=8000
# Of what a guest plays, looked for in the pages of the other one: two seconds of before, and two of what comes.
WORDS_BEFORE=96000 WORDS=192000
NOISE="noise S16"
EXACT=0
FIGURE=''

# graph_rate RATE: of the whole graph, or 0: as it likes.
graph_rate() {
	pw-metadata -n settings 0 clock.force-rate "$1" >/dev/null
}

# noise_file CHANNELS: with silence on both sides, so that its begin and its end are in the recording.
noise_file() {
	{
		au_header S16 "$SESSION_RATE" "$1"
		head -c $((SILENCE * $1 * 2)) /dev/zero
		"$TOOLS/sound-make" $NOISE "$1" $FRAMES 3
		head -c $((SILENCE * $1 * 2)) /dev/zero
	} >"$SESSION/noise.au"
}

# guest_compares FORMAT CHANNELS: what it has recorded, with the same noise. The result is in SAID.
guest_compares() {
	SAID=$(GUEST_SECONDS=60 guest_run pv "cd /payload/tests/lib
		./sound-make $NOISE $2 $FRAMES 3 >/tmp/noise.raw
		./sound-make floats $1 </tmp/heard.raw >/tmp/heard.floats
		./sound-check exact S16 $2 /tmp/noise.raw /tmp/heard.floats | tail -n 1")
	note "$SAID"
	[[ $SAID == "exact: $FRAMES of $FRAMES frames" ]]
}

# exact FORMAT CHANNELS
exact() {
	local text="$SESSION_RATE Hz, $1, $2 channels"
	noise_file "$2"
	guest_spawn pv recorder "/tmp/arecord -q -D xen -t raw -f $(alsa_format "$1") -c $2 -r $SESSION_RATE --buffer-size=8192 /tmp/heard.raw"
	wait_or_die 10 "$text: a link" capture_is_linked xen.pv.capture.1
	mic_hears "$SESSION/noise.au"
	wait "$ROOM_PID"
	let_guest_record pv /tmp/heard.raw $((SESSION_RATE / 4))
	guest_signal pv recorder TERM
	guest_wait pv recorder 10
	check "$text" guest_compares "$1" "$2" && EXACT=$((EXACT + 1))
	check "$text: no node is left" wait_for 5 has_no_node pv
}

# at_rate RATE: the microphone is of that rate.
at_rate() {
	local SESSION_RATE=$1 MIC_CHANNELS=FL,FR
	graph_rate "$1"
	mic_add
	exact FLOAT 2
	[ "$XARING_TEST" != long ] || exact S16 2
	mic_remove
	MIC_CHANNELS=MONO
	mic_add
	exact S16 1
	[ "$XARING_TEST" != long ] || exact FLOAT 1
	mic_remove
}

# both NAME NUMBER: plays and records, both as floats.
both() {
	guest_player "$1" "$2" -f FLOAT -b 24000
	recorder "$1"
}

# words NAME OTHER NUMBER: how many frames of what OTHER plays now, with that number, are in the pages of the programs of
# that one. A ring holds a second.
words() {
	local from
	from=$(guest_written "$2")
	[ "$from" -gt $WORDS_BEFORE ] || from=$WORDS_BEFORE
	guest_run "$1" "cd /payload/tests/lib
		./sound-make coded FLOAT $3 $((from - WORDS_BEFORE)) $WORDS >/tmp/words
		./page-scan words /tmp/words \$(cat /tmp/player.pid /tmp/recorder.pid)"
}

# While both run.
strangers_check() {
	check_number "pv: its own frames in its pages" "$(words pv pv 1)" -ge 8192
	check_number "pv: frames of pvh in its pages" "$(words pv pvh 2)" -eq 0
	check_number "pvh: its own frames in its pages" "$(words pvh pvh 2)" -ge 8192
	check_number "pvh: frames of pv in its pages" "$(words pvh pv 1)" -eq 0
}

# both_end NAME NUMBER: what it has played and recorded is exact, from the first frame to the last one.
both_end() {
	guest_stop "$1" recorder "$SESSION/records-$1.json"
	judged "$1" "records-$1"
	check_number "$1 records: gaps and jumps" "$(verdict '.gaps + .jumps')" -eq 0
	check_number "$1 records: frames" "$(verdict .coded)" -ge 96000
	unnoticed_check "$1 records"
	FIGURE+=", $1: $(verdict .coded)"
	guest_stop "$1" player "$SESSION/plays-$1.json"
	player_said "$SESSION/plays-$1.json"
	unnoticed_check "$1 plays"
	guest_judge "$1" "$2" "$SESSION/$1.f32"
	check_number "$1 plays: gaps, jumps, and frames that are repeated, damaged, or of others" $((GAPS + JUMPS + TWICE + WRONG)) -eq 0
	check_number "$1 plays: frames" "$CODED" -ge 96000
	FIGURE+=" and $CODED"
}

together() {
	mic_add
	room_file "$SESSION/room.au" $ROOM 0 $((60 * 48000))
	mic_hears "$SESSION/room.au"
	both pv 1
	both pvh 2
	for each in pv pvh; do
		heard_or_die $each
		check "$each: it records" wait_for 10 has_node $each
	done
	tap_guests pv='xen.pv.playback.*' pvh='xen.pvh.playback.*'
	tap_go_on "$SESSION/pvh.f32" 3000
	strangers_check
	tap_end
	both_end pv 1
	both_end pvh 2
	room_ends
}

session_need
guest_need pv pv
guest_need pvh pvh
# The small guests have aplay only, which is the same program.
guest_run pv 'ln -sf "$(command -v aplay)" /tmp/arecord'
microphone allow pv pvh
at_exit graph_rate 0
for rate in $RATES; do at_rate "$rate"; done
graph_rate 0
at_exit mic_remove
together
figure "exact: $EXACT recordings; two guests at once, frames recorded and played$FIGURE"
check_end
