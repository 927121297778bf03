# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What programs of guests play, what dom0 hears of it, and what is made of that. Sourced by lib.sh.

# ---- players ----

# guest_player NAME NUMBER [ARGUMENT...]: coded-player in the guest, as the process "player".
guest_player() {
	local name=$1 number=$2
	shift 2
	at_exit "[ \$CHECK_FAILED -eq 0 ] || GUEST_SECONDS=5 guest_signal $name player KILL"
	guest_spawn "$name" player "/payload/tests/lib/coded-player -l /tmp/player.log $* $number"
}

# guest_silence NAME ID [ARGUMENT...]: aplay in the guest, which plays zeros until it is ended.
guest_silence() {
	guest_spawn "$1" "$2" "aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000 ${*:3} /dev/zero"
}

# guest_written NAME: the frames that its player has written.
guest_written() {
	guest_run "$1" "tail -n 1 /tmp/player.log | cut -d' ' -f3"
}

# guest_has_written NAME FRAMES
guest_has_written() {
	local last
	last=$(guest_written "$1")
	[ -n "$last" ] && [ "$last" -ge "$2" ]
}

# guest_stop NAME ID FILE: ends what was spawned, which has run until now; what it said goes to FILE.
guest_stop() {
	local code
	GUEST_SECONDS=60 guest_run "$1" "[ ! -e /tmp/$2.rc ] || exit 120
		kill -TERM \$(cat /tmp/$2.pid)
		$(result_of "$2")" >"$3"
	code=$?
	check_number "$1: $2 runs until now (120: it does not), and ends with" $code -eq 0
	[ $code -eq 0 ] || tail -n 5 "$3"
}

# plays_once NAME [ARGUMENT...]: a short play by the ordinary user of a guest; what it says is in SAID. Returns
# its exit code.
plays_once() {
	local name=$1
	shift
	SAID=$(guest_user "$name" "head -c 96000 /dev/zero | aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000 $* 2>&1")
}

# ---- the recorder ----

# tap_guests FILE=PATTERN...: records nodes by name, each into SESSION/FILE.f32; returns when it may begin.
tap_guests() {
	local each taps=()
	for each in "$@"; do taps+=("${each#*=}:FL,FR:$SESSION/${each%%=*}.f32"); done
	tap_start "${taps[@]}"
}

# The recorder's end. How many cycles it missed, or read too late, is in MISSED.
tap_end() {
	tap_stop
	MISSED=$(grep -c -e ' lost ' -e ' late sound-tap' "$TAP_LOG")
	! graph_was_late || note "dom0's graph was late: $MISSED cycles missed by the recorder; $(late_nodes)"
}

# As those of session.sh, without a process for each look.
tap_runs_beyond() {
	local lines last
	mapfile -t -s "$TAP_LINES" lines <"$2.times"
	[ ${#lines[@]} -gt 0 ] || return 1
	TAP_LINES=$((TAP_LINES + ${#lines[@]} - 1))
	# The last line may be incomplete.
	last=${lines[-1]}
	last=${last#* }
	[ "${last%% *}" -ge "$1" ] 2>/dev/null
}

tap_go_on() {
	local until
	TAP_LINES=0
	until=$(($(now_ns) + $2 * 1000000))
	wait_or_die $((20 + $2 / 1000)) "sound-tap: more sound" tap_runs_beyond "$until" "$1"
}

# ---- what is in dom0's graph ----

# That it has a node is not enough: the graph has to ask that for sound.
guest_is_heard() {
	guest_look "$1"
	[[ ${NODES[*]} == *$'\trunning\t'* ]]
}

guest_is_silent() {
	guest_look "$1"
	[ ${#NODES[@]} -eq 0 ]
}

# guest_nodes_are NAME COUNT: and all of them are asked for sound.
guest_nodes_are() {
	local each
	guest_look "$1"
	[ ${#NODES[@]} -eq "$2" ] || return
	for each in "${NODES[@]}"; do [[ $each == *$'\trunning\t'* ]] || return; done
}

# heard_or_die NAME: what guest says plays to dom0; what is broken is said by the guest itself.
heard_or_die() {
	if wait_for 20 guest_is_heard "$1"; then
		pass "$1: it plays, as a node of dom0"
		return
	fi
	fail "$1: no node of it plays in dom0"
	guest_user "$1" xaring-guestd --status
	check_end
}

# ---- what was heard ----

# guest_judge NAME NUMBER RECORDED [GAIN [LOG]]: of a recording that has ended. VERDICT is what sound-check says; of
# that, CODED, GAPS, JUMPS and LONGEST_MS, of a gap; TWICE, the frames that are heard again; WRONG, those of others or damaged;
# SILENT_AT_END, in frames; and HEARD_UNTIL, in ns. With the player's LOG runs have their latency. LATE_GAPS are those
# that dom0's graph made, NODE_GAPS those of them in which it went on without the worker's node (sound.sh).
guest_judge() {
	VERDICT=$SESSION/verdict-$1.json
	"$TOOLS/sound-check" coded "$2" "$SESSION_RATE" "$3" "${5:-/dev/null}" "${4:-1}" >"$VERDICT"
	read -r CODED GAPS JUMPS TWICE WRONG LONGEST_MS SILENT_AT_END HEARD_UNTIL LATE_GAPS NODE_GAPS < <(judge_late '
		late_gaps as $late | .runs as $runs | ($runs[-1] // {at: 0, frames: 0, end_ns: 0}) as $last |
		([0, $runs[1:][].silent_before] | max / 48 | floor) as $longest |
		"\(.coded) \(.gaps) \(.jumps) \(.repeated) \(.foreign + .damaged) \($longest)" +
		" \(.recorded - $last.at - $last.frames) \($last.end_ns) \($late | length)" +
		" \($late | map(select(. == "node")) | length)"')
	note "$1: $CODED frames heard, $GAPS gaps ($LATE_GAPS of dom0's graph), $JUMPS jumps, $TWICE frames heard twice, $WRONG wrong ones"
}

# player_said FILE: at its end, into PLAYER_ERRORS and PLAYER_XRUNS.
player_said() {
	read -r PLAYER_ERRORS PLAYER_XRUNS < <(tail -n 1 "$1" | jq -r '"\(.errors) \(.xruns)"')
}

# player_ends NAME NUMBER FILE [GAIN]: it is the one that was started, is heard until now, ends well, and has seen no
# error.
player_ends() {
	local said=$SESSION/player-$1.json now
	now=$(now_ns)
	guest_stop "$1" player "$said"
	tap_go_on "$3" 200
	tap_end
	guest_judge "$@"
	player_said "$said"
	check_number "$1: errors that its program has seen" "$PLAYER_ERRORS" -eq 0
	check "$1: it is heard until then" test "$HEARD_UNTIL" -ge "$now"
}

# unnoticed_check NAME [NUMBER]: by its program, which has ended.
unnoticed_check() {
	check_number "$1: xruns of its program" "$PLAYER_XRUNS" -le "${2:-0}"
}

# nothing_wrong_check NAME [TWICE_MAX]: but for gaps. A jump without a gap is a cycle that the recorder missed. What dom0
# plays while a guest's memory is being saved, at most what is in the buffer, is in what is saved, and heard again.
nothing_wrong_check() {
	check_number "$1: frames heard" "$CODED" -gt 0
	check_number "$1: frames that are heard twice" "$TWICE" -le "${2:-0}"
	check_number "$1: frames of others, or damaged" "$WRONG" -eq 0
	check_number "$1: jumps, where the recorder missed $MISSED cycles" "$JUMPS" -le "$MISSED"
}

# gaps_check TEXT [NUMBER]: what takes much of an emulated processor, a flood or a save, makes dom0's graph itself too
# late: gaps more than that number may be heard then, and only then.
gaps_check() {
	check_number "$1: gaps, but $LATE_GAPS of dom0's graph" $((GAPS - LATE_GAPS)) -le "${2:-0}"
	check_number "$1: gaps of these without the worker's node" "$NODE_GAPS" -le $LATE_MAX
}

# until_the_end_check TEXT: the recording has ended before the program did.
until_the_end_check() {
	check_number "$1: frames of silence at the end" "$SILENT_AT_END" -lt 4096
}

# back_check TEXT DOWN UP MS: what was gone at DOWN is heard so many ms after UP. Both in ns; when it was is in BACK_MS.
back_check() {
	local heard
	heard=$(verdict "[.runs[] | select(.begin_ns > $2) | .begin_ns][0] // empty")
	BACK_MS=$(((${heard:-0} - $3) / 1000000))
	check "$1: it is heard afterwards" test -n "$heard"
	check_number "$1: ms until it is heard" $BACK_MS -le "$4"
}
