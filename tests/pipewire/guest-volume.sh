#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The volume of the guest's own, by real mixers: amixer sets it and programs are so loud, frame by frame; alsamixer's
# keys move it; who watches is told; dom0's slider stays as it was, other VMs as loud as they were; and it is kept
# across a restart.
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
QUIETER='-' LEAVE='\x1b'
ENOUGH=12000

mixer() {
	as_vm work amixer -D xen "$@" 2>>"$SESSION/log/amixer"
}

# shows VOLUME on|off
shows() {
	mixer sget Master >"$SESSION/master"
	grep -qF "Mono: Playback $1 [$1%]" "$SESSION/master" && grep -qF "[$2]" "$SESSION/master"
}

default_shows() {
	as_vm work amixer sget Master | grep -qF "$1"
}

dom0_has() {
	"$CTL" status work --json >"$SESSION/status" &&
		jq -e "$1" "$SESSION/status" >/dev/null
}

# dom0_sees VOLUME MUTED
dom0_sees() {
	check "dom0 sees $1% in the guest, muted: $2" wait_for 5 \
		dom0_has ".volume_in_guest == {percent: $1, muted: $2}"
	check "and its own slider as it was" dom0_has '.volume == {percent: 100, muted: false}'
}

# record: what is heard for half a second, from here on.
record() {
	tap_sink "$SESSION/heard.f32"
	tap_go_on "$SESSION/heard.f32" 500
	tap_stop
}

# is_heard VM NUMBER GAIN: all of it is so loud that multiplied by that it is what was played.
is_heard() {
	record
	judge "$1" "$2" "$SESSION/heard.f32" "$3"
	verdict_holds ".coded > $ENOUGH and .damaged + .repeated == 0"
}

# heard_at TEXT VM NUMBER GAIN: once what was written before has been played.
heard_at() {
	if wait_for 5 is_heard "${@:2}"; then
		pass "$1: $(verdict '"\(.coded) frames, \(.damaged) damaged"')"
	else
		fail "$1: $(verdict '"\(.coded) frames, \(.damaged) damaged, \(.repeated) repeated"')"
	fi
}

is_silent() {
	local first last count
	record
	read -r first last count < <("$TOOLS/sound-check" bounds 2 "$SESSION/heard.f32")
	[ "$first $last" = '0 0' ] && [ "$count" -gt $ENOUGH ]
}

watcher_starts() {
	as_vm work stdbuf -oL amixer -D xen sevents >"$SESSION/events" 2>&1 </dev/null &
	WATCHER_PID=$!
	at_exit "end_process $WATCHER_PID"
	wait_or_die 10 "amixer sevents: it is ready" grep -q 'Ready' "$SESSION/events"
}

alsamixer_keys() {
	as_vm work "$XARING_SOURCE/tests/lib/on-terminal" Master "$1" alsamixer -D xen -V all \
		>"$SESSION/log/alsamixer" 2>&1
}

session_open
# As where the package that makes it the default is installed.
echo "<$XARING_SOURCE/conf/asound.conf.d/98-xen-default.conf>" >>"$ALSA_CONFIG_PATH"
session_start
daemon_start
export XARING_CONTROL=$SESSION/xaring/control
check "at first it is all of it" shows 100 on
player_start work 1 -f FLOAT -b 8192
WORK_PID=$PLAYER_PID
wait_or_die 10 "sound" player_has_written work 24000
dom0_sees 100 false
watcher_starts

check "amixer sets it" mixer -q sset Master 50%
check "and shows it" shows 50 on
check "as the default mixer, too" default_shows '[50%]'
dom0_sees 50 false
heard_at "an eighth of the amplitude" work 1 8
check "who watches is told" wait_for 5 grep -q "'Master'" "$SESSION/events"

check "amixer mutes it" mixer -q sset Master mute
check "and shows it" shows 50 off
dom0_sees 50 true
check "nothing is heard" wait_for 5 is_silent
check "amixer unmutes it" mixer -q sset Master unmute
heard_at "and it is heard again" work 1 8

mixer -q sset Master 100%
check "alsamixer ends well" alsamixer_keys "$QUIETER$QUIETER$QUIETER$LEAVE"
check "and its keys have moved it" shows 97 on
mixer -q sset Master 100%
heard_at "all of it is exact" work 1 1

mixer -q sset Master 25% mute
end_process "$DAEMON_PID"
daemon_start
check "it is kept across a restart" shows 25 off
dom0_sees 25 true
check "and nothing is heard" wait_for 5 is_silent
player_start personal 2 -f FLOAT -b 8192
heard_at "another VM is as loud as ever" personal 2 1
kill "$PLAYER_PID" "$WORK_PID"
wait "$PLAYER_PID" "$WORK_PID"
check_end
