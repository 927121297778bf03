# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A microphone in the private session, what it hears, and programs of VMs that record. Sourced after sound.sh.

# ---- dom0 ----

# mic_add: with the channels MIC_CHANNELS. WirePlumber 0.4.13 dies when a microphone that it would suspend is taken away
# before that.
MIC_CHANNELS=FL,FR
MIC_TITLE=test-mic
mic_add() {
	pw-cli create-node adapter "{ factory.name=support.null-audio-sink node.name=test-mic
		node.description=\"$MIC_TITLE\" media.class=Audio/Source/Virtual object.linger=true audio.rate=$SESSION_RATE
		audio.position=[${MIC_CHANNELS//,/ }] session.suspend-timeout-seconds=0 }" >/dev/null
	wait_or_die 10 "the microphone" node_exists test-mic
}

mic_remove() {
	pw-cli destroy "$(node_id test-mic)" >/dev/null
	wait_or_die 10 "the microphone's end" node_is_gone test-mic
}

# number_bytes NUMBER: 32 bits in this machine's order, for printf.
number_bytes() {
	printf '\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24))
}

# au_header FORMAT RATE CHANNELS: Sun's, with the bytes in this machine's order, of sound whose length is not known.
AU_S16=3 AU_FLOAT=6
au_header() {
	local encoding=AU_$1
	# shellcheck disable=SC2059
	printf "dns.$(number_bytes 24)$(number_bytes $((0xffffffff)))$(number_bytes "${!encoding}")$(number_bytes "$2")$(number_bytes "$3")"
}

# room_file FILE.au NUMBER FIRST FRAMES: frames that say who they are (frame-code.h), as floats in two channels.
room_file() {
	{
		au_header FLOAT 48000 2
		"$TOOLS/sound-make" coded FLOAT "$2" "$3" "$4"
	} >"$1"
}

# The main thread of pw-cat gives the sound, and PipeWire makes others of its threads real-time ones only: on a busy
# machine the room would have gaps.
room_hurries() {
	as_root chrt -f -p 20 "$ROOM_PID" 2>/dev/null
}

# room_plays FILE [TARGET]: in the background; without a target nothing hears it yet. ROOM_PID.
room_plays() {
	pw-cat -p --target "${2:-0}" --latency=$SESSION_QUANTUM "$1" >>"$SESSION/log/room" 2>&1 </dev/null &
	ROOM_PID=$!
	at_exit end_player $ROOM_PID
	wait_or_die 10 "the sound of the room" node_exists pw-cat
	room_hurries
}

# The microphone hears the room, from the moment on at which all channels are linked.
mic_hears_room() {
	local channel
	for channel in ${MIC_CHANNELS//,/ }; do pw-link "pw-cat:output_$channel" "test-mic:input_$channel"; done
}

# mic_hears FILE
mic_hears() {
	room_plays "$1"
	mic_hears_room
}

room_ends() {
	end_player "$ROOM_PID"
	wait "$ROOM_PID" 2>/dev/null
}

rules_read() {
	grep -c 'rules were read' "$SESSION/log/xaring-pw"
}

# rules_were_read TIMES
rules_were_read() {
	[ "$(rules_read)" -ge "$1" ]
}

# mic_rule allow|deny [KEY]: of one VM, or of all. MIC_RULE_NS is when that was said.
mic_rule() {
	local conf=$SESSION/conf/xaring-pw.conf.d/microphone.conf before
	mkdir -p "${conf%/*}"
	echo "xaring.rules = [ { matches = [ { xaring.key = \"${2:-~.*}\" } ] actions = { policy = { microphone = $1 } } } ]" \
		>"$conf"
	before=$(rules_read)
	MIC_RULE_NS=$(now_ns)
	kill -HUP "$DAEMON_PID"
	wait_or_die 5 "the rule of microphones: $1" rules_were_read $((before + 1))
}

# capture_is_linked NODE
capture_is_linked() {
	pw-link -l 2>/dev/null | grep -q "$1:input"
}

# ---- VMs ----

# record_start VM FILE COMMAND...: a program that records, in the background, until record_ends. RECORD_PID.
record_start() {
	local vm=$1 file=$2
	shift 2
	# The background empties it when it comes to that: what an attempt before has left would be taken for this one's.
	: >"$file"
	XARING_SOCKET=$(vm_socket "$vm") "$@" >"$file" 2>"$file.log" </dev/null &
	RECORD_PID=$!
	at_exit end_player $RECORD_PID
}

# arecord_start VM FORMAT CHANNELS FILE [ARGUMENT...]: with a second in its buffer, for no machine is that late.
arecord_start() {
	local vm=$1 format=$2 channels=$3 file=$4
	shift 4
	record_start "$vm" "$file" arecord -q -D xen -t raw -f "$(alsa_format "$format")" -c "$channels" \
		-r "$SESSION_RATE" --period-size=480 --buffer-size="$SESSION_RATE" "$@"
}

# record_ends TEXT FILE [PID]: arecord says in one way or the other that it was told to end, by where it slept.
record_ends() {
	local pid=${3:-$RECORD_PID}
	kill "$pid"
	wait "$pid"
	check "$1: the program has seen no error" not_grep -vE 'Aborted by signal|read error: Interrupted system call' "$2.log" || cat "$2.log"
}

not_grep() {
	! grep -q "$@"
}

# recorded FILE: bytes.
recorded() {
	stat -c %s "$1" 2>/dev/null || echo 0
}

has_recorded() {
	[ "$(recorded "$1")" -ge "$2" ]
}

# let_record FILE BYTES: so much more.
let_record() {
	wait_or_die 20 "a recording that goes on" has_recorded "$1" $(($(recorded "$1") + $2))
}

# Whether page-scan can look into programs of the same user; the test is left out where it cannot.
pages_can_be_seen() {
	"$TOOLS/page-scan" sound "$PIPEWIRE_PID" >/dev/null
	[ $? -ne 77 ] || skip "this user may not read the memory of his programs"
}

# ---- what was recorded ----

# behind_ms LOG: how much less has come than real time has passed, by the log of coded-player, in ms.
behind_ms() {
	awk -v "rate=$SESSION_RATE" '$1 == "w" { if (!first) { first = $2; from = $3 } last = $2; to = $3 }
		END { if (last > first) printf "%d", (last - first) / 1e6 - (to - from) * 1e3 / rate }' "$1"
}

# bounds FILE: into FIRST, LAST and COUNT; a stereo recording of floats.
bounds() {
	read -r FIRST LAST COUNT < <("$TOOLS/sound-check" bounds 2 "$1")
}

# moment FILE FRAME: when the microphone heard what is there in that recording, in ns.
moment() {
	"$TOOLS/sound-check" moment 2 "$SESSION_RATE" "$1" "$2" "$SESSION/mic.f32"
}

# frames_after FILE FRAME NS: how many frames after that time the microphone heard what is there in that recording.
frames_after() {
	local ns
	ns=$(moment "$1" "$2") && echo $(((ns - $3) * SESSION_RATE / 1000000000))
}

# revoked_check TEXT FILE NS: nothing that the microphone heard later than a quantum and 50 ms after that time is in the
# recording, of which bounds() has told.
revoked_check() {
	local before
	before=$(frames_after "$2" $((LAST - 15)) "$3")
	check_number "$1: frames from then to the last sample" "${before:+$((before + 15))}" \
		-le $((SESSION_QUANTUM + SESSION_RATE / 20))
}
