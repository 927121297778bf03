#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# xaringctl against the real daemon, WirePlumber and programs: what is shown is so, what is said happens, what
# is wrong is said with the next step.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="work personal"
CTL=$XARING_BUILD/pw-backend/ctl/xaringctl

# ctl ARGUMENT...: what it prints is in $SESSION/out and err, its exit code in CODE.
ctl() {
	timeout 20 "$CTL" "$@" >"$SESSION/out" 2>"$SESSION/err" </dev/null
	CODE=$?
	return $CODE
}

# says CODE TEXT ARGUMENT...: the command ends so, and TEXT is in what it prints.
says() {
	local code=$1 text=$2
	shift 2
	ctl "$@"
	check "xaringctl $*: exit code $code" test $CODE -eq "$code"
	check "xaringctl $*: says \"$text\"" grep -qF -- "$text" "$SESSION/out" "$SESSION/err" ||
		cat "$SESSION/out" "$SESSION/err"
}

# field EXPRESSION ARGUMENT...: of what it prints as JSON.
field() {
	local expression=$1
	shift
	ctl "$@" --json && jq -r "$expression" "$SESSION/out"
}

field_is() {
	[ "$(field "${@:2}")" = "$1" ]
}

# becomes VALUE EXPRESSION ARGUMENT...: within 10 s.
becomes() {
	check "$2 of xaringctl ${*:3} becomes $1" wait_for 10 field_is "$@" ||
		note "it is $(field "${@:2}")"
}

# happened EXPRESSION: an event was printed, as JSON, of which that is true.
happened() {
	jq -e -s "map(select($1)) | length > 0" "$SESSION/events" >/dev/null 2>&1
}

happens() {
	check "monitor: $1" wait_for 10 happened "$1"
}

volume_is() {
	[ "$(wpctl get-volume "$(node_id xen.work.playback.1)")" = "$1" ]
}

monitors_start() {
	"$CTL" monitor --json >"$SESSION/events" 2>>"$SESSION/log/monitor" </dev/null &
	MONITOR_PID=$!
	at_exit "end_process $MONITOR_PID"
	"$CTL" monitor >"$SESSION/lines" 2>>"$SESSION/log/monitor" </dev/null &
	LINES_PID=$!
	at_exit "end_process $LINES_PID"
}

# A monitor says nothing before something happens: both of them are there once they have told of this.
monitors_listen() {
	ctl mic allow personal --until-shutdown && ctl mic ask personal
	[ -s "$SESSION/events" ] && [ -s "$SESSION/lines" ]
}

work_records() {
	XARING_SOCKET=$(vm_socket work) arecord -q -D xen -t raw -f cd /dev/null \
		>>"$SESSION/log/arecord" 2>&1 </dev/null &
	RECORD_PID=$!
	at_exit "end_process $RECORD_PID"
}

# ---- what is shown ----

shown() {
	says 0 "personal" list
	field_is 2 length list
	check "list: both VMs" test $? -eq 0
	becomes idle '.[0].state' list
	player_start work 1 -p 1024 -b 8192
	becomes active .state status work
	becomes running '.streams[0].state' status work
	becomes 100 '.streams[0].volume.percent' status work
	check "status: the node is there" node_exists "$(field '.streams[0].node' status work)"
	becomes true '.streams[0].latency_ms | . > 10 and . < 200' status work
	becomes null '.volume' status personal
	says 0 "playback 1" list
	says 0 "S32_LE 2ch 48000 Hz" status work
	happens '.event == "stream-opens" and .vm == "work" and .stream.direction == "playback"'
}

top_shown() {
	says 0 "work" top --batch --count 2
	check "top: two times" test "$(grep -c '^VM ' "$SESSION/out")" -eq 2
	ctl top --json --count 2
	check "top --json: an array a time" test "$(jq -c length "$SESSION/out" | sort -u)" = 2
	says 2 "needs a terminal" top
	# A terminal of its own, in which somebody mutes, sorts and ends it.
	: >"$SESSION/screen"
	keys | TERM=xterm timeout 60 script -qfec "stty cols 120 rows 24; $CTL top" "$SESSION/screen" >/dev/null
	check "top: q ends it" test "${PIPESTATUS[1]}" -eq 0
	check "top: s sorts" grep -q 'streams   q quit' "$SESSION/screen"
	check "top: all keys are named" grep -q 'q quit  s sort  up/down choose  m mute' "$SESSION/screen"
	check "top: m mutes" test -e "$SESSION/was-muted"
	check "top: m lets it be heard" muted_is false
}

# By name work is the second, by what runs it is the first, and that is the one that is chosen.
keys() {
	wait_for 10 grep -q 'by name' "$SESSION/screen"
	printf s
	wait_for 10 grep -q 'streams   q quit' "$SESSION/screen"
	printf m
	wait_for 10 muted_is true && : >"$SESSION/was-muted"
	printf m
	wait_for 10 muted_is false
	printf q
}

muted_is() {
	volume_is "Volume: 0.45$([ "$1" = false ] || echo ' [MUTED]')"
}

# ---- volume ----

volumes() {
	says 0 "40%" volume work 40%
	check "PipeWire has it" wait_for 5 volume_is "Volume: 0.40"
	says 0 "45%" volume work +5%
	says 0 "40%" volume work -5%
	says 0 "muted" volume work mute
	check "PipeWire has that" wait_for 5 volume_is "Volume: 0.40 [MUTED]"
	says 0 "45%" volume work 5%+
	says 0 "45%" volume work unmute
	becomes 45 .volume.percent status work
	becomes false .volume.muted volume work
	says 1 "plays nothing just now" volume personal 50%
	says 2 "151% is refused: 0% to 150%" volume work 151%
}

# What is new is as loud as what was there.
volume_inherited() {
	wait_or_die 10 "WirePlumber to write down work" grep -q 'org.xaring.vm.work' \
		"$XDG_STATE_HOME/wireplumber/restore-stream"
	kill "$PLAYER_PID"
	wait "$PLAYER_PID"
	happens '.event == "stream-closes" and .vm == "work"'
	wait_or_die 10 "the end of the node" node_is_gone xen.work.playback.1
	player_start work 1 -p 1024 -b 8192
	becomes 45 .volume.percent status work
}

# ---- the microphone ----

microphones() {
	becomes denied .microphone.state status work
	says 0 "undecided" status work
	work_records
	happens '.event == "microphone" and .vm == "work" and .microphone.state == "asked"'
	check "monitor: the same for people" wait_for 5 grep -q 'work asks for the microphone' "$SESSION/lines"
	says 0 "work: microphone allowed once" mic allow work --once
	happens '.event == "microphone" and .vm == "work" and .microphone.state == "allowed"'
	end_process "$RECORD_PID"
	becomes denied .microphone.state status work
	says 0 "allowed until" mic allow work --for 1s
	check "it says the second" grep -qE 'until [0-9-]{10} [0-9:]{8}$' "$SESSION/out"
	becomes null .microphone.decision status work
	says 0 "microphone denied" mic deny work --for 1h
	happens '.event == "microphone" and .vm == "work" and .microphone.span == "for" and .microphone.decision == "deny"'
	says 0 "microphone allowed" mic allow work
	says 0 "microphone denied until-shutdown" mic deny personal --until-shutdown
	becomes always .microphone.span status work
	says 2 "--for 5 is refused: 1s to 366d" mic allow work --for 5
}

kept() {
	end_process "$DAEMON_PID"
	says 1 "xaring-pw does not run" list
	check "all ways to it are named" grep -q 'systemctl --user enable --now xaring-pw; .* or \$XARING_CONTROL$' \
		"$SESSION/err"
	daemon_start
	becomes allowed .microphone.state status work
	becomes null .microphone.decision status personal
	says 0 "work: microphone undecided" mic ask work
}

ruled() {
	mkdir -p "$SESSION/conf/xaring-pw.conf.d"
	echo "xaring.rules = [ { matches = [ { xaring.key = work } ] actions = { policy = { microphone = deny" \
		"playback = false } } } ]" \
		>"$SESSION/conf/xaring-pw.conf.d/microphone.conf"
	kill -HUP "$DAEMON_PID"
	becomes deny .microphone.rule status work
	says 1 "the rules say microphone = deny for work" mic allow work
	says 0 "denied by rule" list
	says 0 "playback     denied by rule" status work
}

# What the pages say of a mixer that looks at the microphone.
mixer_seen() {
	ALSA_CONFIG_PATH=$XARING_BUILD/conf/uninstalled.conf as_vm personal amixer -D xen \
		cget name='Capture Switch' >>"$SESSION/log/amixer" 2>&1
	happens '.event == "stream-opens" and .vm == "personal" and .stream.direction == "capture"'
	happens '.event == "stream-closes" and .vm == "personal" and .stream.direction == "capture"'
}

# ---- the rest ----

disconnected() {
	becomes active .state status work
	says 0 "work: disconnected" disconnect work
	becomes disconnected .state status work
	happens '.event == "vm-disconnected" and .vm == "work"'
	becomes 0 '.streams | length' status work
	as_vm work aplay -q -D xen -t raw -f cd -d 1 /dev/zero >>"$SESSION/log/aplay" 2>&1
	check "disconnected: a program that starts is refused" test $? -ne 0
	check "disconnected: the log says how it is taken back" wait_for 5 \
		grep -q 'it is disconnected, and xaringctl connect work takes that back' "$SESSION/log/xaring-pw"
	says 0 "work: connected" connect work
	becomes idle .state status work
	happens '.event == "vm-connected" and .vm == "work"'
}

refused() {
	says 0 "if there is one and you are" --help
	says 1 "there is no VM wrok" status wrok
	check "the names of those that there are" grep -q 'There are: work, personal' "$SESSION/err"
	says 2 "VM 'The Third' is refused: 1 to 63 of" mic allow "The Third"
	says 2 "VM '' is refused: 1 to 63 of" status ""
	says 0 "       xaringctl mic ask VM" mic --help
	says 2 "the command lst is refused: list, status" lst
	says 2 "at most 107 bytes are accepted" --socket "$(printf "%0120d" 0)" list
}

strangers() {
	if [ "$(id -u)" -ne 0 ]; then
		note "not root: strangers are not tried"
		return
	fi
	chmod 0711 "$SESSION"
	XARING_CONTROL=$SESSION/xaring/control timeout 10 setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$CTL" list >"$SESSION/out" 2>"$SESSION/err"
	check "a stranger: exit code 1" test $? -eq 1
	check "a stranger is told who may" grep -q 'members of the group "xaring" are accepted' "$SESSION/err"
	check "and what to do" grep -q 'usermod -aG xaring' "$SESSION/err"
}

# Without PipeWire all but volumes is known.
without_pipewire() {
	end_process "$WIREPLUMBER_PID"
	end_process "$PIPEWIRE_PID"
	says 0 "personal" list
	says 1 "cannot be asked: " volume work 50%
	says 0 "work" top --batch --count 1
}

session_open
session_start
daemon_start
export XARING_CONTROL=$SESSION/xaring/control
monitors_start
wait_or_die 10 "monitors" monitors_listen
shown
volumes
top_shown
volume_inherited
mixer_seen
microphones
disconnected
refused
strangers
kill "$PLAYER_PID"
wait "$PLAYER_PID"
kept
ruled
without_pipewire
check_end
