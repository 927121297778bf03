# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Playing, recording and judging, for the end-to-end tests. Sourced after session.sh.

# shellcheck source=tests/lib/tried.sh
. "${BASH_SOURCE[0]%/*}/tried.sh"

# noise FILE FORMAT CHANNELS FRAMES [SEED]: raw pseudo-random samples.
noise() {
	"$TOOLS/sound-make" noise "$2" "$3" "$4" "${5:-1}" >"$1"
}

# raw_to_wav FILE.raw FORMAT CHANNELS RATE FILE.wav: the same samples, for programs that want a header.
raw_to_wav() {
	local encoding=signed bits
	case $2 in
	S16) bits=16 ;;
	S24_3) bits=24 ;;
	S32) bits=32 ;;
	FLOAT) bits=32 encoding=floating-point ;;
	esac
	sox -V1 -D -t raw -e $encoding -b $bits -c "$3" -r "$4" "$1" "$5"
}

# ALSA's name of a format.
alsa_format() {
	case $1 in
	U8) echo U8 ;;
	S24_3) echo S24_3LE ;;
	*) echo "$1_LE" ;;
	esac
}

# hear FILE COMMAND...: records what the sink hears while the command runs, and a bit longer.
hear() {
	local res
	hear_on "$@"
	res=$?
	tap_stop
	return "$res"
}

# hear_on FILE COMMAND...: the same; the recorder goes on.
hear_on() {
	local file=$1 res
	shift
	tap_sink "$file"
	"$@" >"$SESSION/log/player" 2>&1 </dev/null
	res=$?
	tap_go_on "$file" 200
	[ "$res" -eq 0 ] || note "exit code $res: $(tail -n 3 "$SESSION/log/player")"
	return "$res"
}

# is_exact FORMAT CHANNELS PLAYED RECORDED [RAMP]: the last line of the comparison is in RESULT.
is_exact() {
	local log=$SESSION/log/exact res
	"$TOOLS/sound-check" exact "$@" >"$log"
	res=$?
	RESULT=$(tail -n 1 "$log")
	return "$res"
}

# graph_give_time ATTEMPT: cycles twice as long as in the attempt before, up to a tenth of a second; 0: as they were.
# Exactness does not depend on it, as long as there are several of them in what a program has in its buffer.
graph_give_time() {
	local quantum=$((SESSION_QUANTUM << $1))
	while [ $quantum -gt $((SESSION_RATE / 10)) ]; do quantum=$((quantum / 2)); done
	[ "$1" -gt 0 ] || quantum=0
	pw-metadata -n settings 0 clock.force-quantum $quantum >/dev/null
}

# exact_tried TEXT FORMAT CHANNELS PLAYED COMMAND...: the sink must hear PLAYED, frame by frame; tried, and returns what
# that does. A program that fails is not tried again. RAMP frames may follow when the program lets the stream run dry at
# its end.
exact_tried() {
	local format=$2 channels=$3 played=$4 command=("${@:5}") code=0 res
	RESULT=''
	tried exact_play exact_is_over "$1"
	res=$?
	[ $code -eq 0 ] || res=1
	return $res
}

exact_play() {
	hear_on "$SESSION/heard.f32" "${command[@]}"
	code=$?
}

exact_is_over() {
	[ "$code" -ne 0 ] || is_exact "$format" "$channels" "$played" "$SESSION/heard.f32" "${RAMP:-0}"
}

# exact_judged TEXT RESULT_OF_EXACT_TRIED
exact_judged() {
	if [ "$2" -eq 0 ]; then
		pass "$1: $RESULT"
	else
		[ -z "$RESULT" ] || head -n 5 "$SESSION/log/exact"
		fail "$1: ${RESULT:-not played}"
	fi
}

# exact_check TEXT FORMAT CHANNELS PLAYED COMMAND...
exact_check() {
	exact_tried "$@"
	exact_judged "$1" $?
}

# end_player PID: one that is left when a test fails would disturb those after it.
end_player() {
	! jobs -rp | grep -qx "$1" || kill "$1"
}

# player_start VM NUMBER [ARGUMENT...]: coded-player in that VM, in the background. Its number is in
# PLAYER_PID, its log in player-VM.log, its summary at the end in player-VM.json.
player_start() {
	local vm=$1 number=$2
	shift 2
	XARING_SOCKET=$(vm_socket "$vm") "$TOOLS/coded-player" -l "$SESSION/player-$vm.log" "$@" \
		"$number" >"$SESSION/player-$vm.json" 2>>"$SESSION/log/player-$vm" </dev/null &
	PLAYER_PID=$!
	at_exit end_player "$PLAYER_PID"
}

# player_has_written VM FRAMES
player_has_written() {
	local last
	last=$(grep '^w' "$SESSION/player-$1.log" 2>/dev/null | tail -n 1 | cut -d' ' -f3)
	[ -n "$last" ] && [ "$last" -ge "$2" ]
}

# judge VM NUMBER RECORDED [GAIN]: reads the frame code into VERDICT (JSON).
judge() {
	VERDICT=$SESSION/verdict-$1.json
	"$TOOLS/sound-check" coded "$2" "$SESSION_RATE" "$3" "$SESSION/player-$1.log" "${4:-1}" >"$VERDICT"
}

verdict() {
	jq -r "$1" "$VERDICT"
}

verdict_holds() {
	jq -e "$1" "$VERDICT" >/dev/null
}

summary() {
	jq -r "$2" "$SESSION/player-$1.json"
}

# now_ns: CLOCK_MONOTONIC.
now_ns() {
	"$TOOLS/sound-make" now
}

# late_times PATTERN: when the recorder said that, in ns, as a list of JSON.
late_times() {
	echo "[$(awk -v "what=$1" '$0 ~ what {printf "%s%s", sep, $1; sep = ","}' "$TAP_LOG")]"
}

# For jq, of a verdict with the times $stalls and $nodes: the gaps that the graph made, "stall" or "node" for each. It
# stood still, or it went on for a cycle or two without the worker's node, which would have ended its sound with a ramp,
# had that been dry (pump.h). The recorder tells of it within a second.
# shellcheck disable=SC2016,SC2034
LATE_GAPS_JQ='def during($a; $b): map(select(. > $a.end_ns - 2e8 and . < $b.begin_ns + 1e9)) != [];
	def late_gaps: .runs as $runs | [range(1; $runs | length) | $runs[. - 1] as $a | $runs[.] as $b |
		select($b.silent_before > 0) |
		if $stalls | during($a; $b) then "stall"
		elif $b.silent_before <= 4096 and $a.ramp_after == 0 and ($nodes | during($a; $b))
		then "node" else empty end];'

# judge_late FILTER: jq of VERDICT, with these.
judge_late() {
	jq -r --argjson stalls "$(late_times ' lost | late graph')" --argjson nodes "$(late_times ' late xen')" \
		"$LATE_GAPS_JQ $1" "$VERDICT"
}

# So many gaps may be of a node of a VM that was late, which the machine can make it, or we.
LATE_MAX=3

# untouched_check TEXT VM NUMBER RECORDED: no gap that the graph has not made, nothing repeated, nobody else in it, and
# nothing skipped but by the recorder itself.
untouched_check() {
	local late nodes
	judge "$2" "$3" "$4"
	read -r late nodes < <(judge_late 'late_gaps | "\(length) \(map(select(. == "node")) | length)"')
	check "$1: $(verdict '"\(.coded) frames, \(.repeated) repeated, \(.foreign) foreign, \(.damaged) damaged"')" \
		verdict_holds '.coded > 0 and .repeated == 0 and .foreign == 0 and .damaged + .half == 0'
	[ "$late" -eq 0 ] || note "$1: $late gaps of the graph ($(late_nodes))"
	check_number "$1: gaps, but those of the graph" $(($(verdict .gaps) - late)) -eq 0
	check_number "$1: gaps of those without the worker's node" "$nodes" -le $LATE_MAX
	jumps_check "$1"
}

# jumps_check TEXT: a jump without a gap must be a cycle that the recorder missed.
jumps_check() {
	local missed
	missed=$(grep -c ' lost ' "$TAP_LOG")
	[ "$missed" -eq 0 ] || note "$1: the recorder missed cycles, $missed times"
	check_number "$1: jumps" "$(verdict .jumps)" -le "$missed"
}

# latency_check TEXT AFTER BEFORE BUFFER: in ms, and in frames: that of before, or what a full buffer is, and a cycle on
# each side of it. How long after the begin of a cycle its program writes is its scheduler's matter, and was so before.
latency_check() {
	check_real "$1: latency afterwards (ms, before $3)" "$2" '<=' "$(awk -v before="$3" \
		-v full=$((($4 + 2 * SESSION_QUANTUM) * 1000000 / SESSION_RATE)) \
		'BEGIN { print (before * 1.05 > full / 1000 ? before * 1.05 : full / 1000) }')"
}

# Descriptors and memfd mappings of the daemon's two processes.
resources() {
	local worker fds maps
	worker=$(worker_pid)
	fds=$(find "/proc/$DAEMON_PID/fd" "/proc/$worker/fd" -type l 2>/dev/null | wc -l)
	maps=$(cat "/proc/$DAEMON_PID/maps" "/proc/$worker/maps" 2>/dev/null | grep -c 'memfd:xaring')
	echo "$fds $maps"
}

resources_are() {
	[ "$(resources)" = "$1" ]
}
