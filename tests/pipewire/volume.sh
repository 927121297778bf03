#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every VM has a slider and a mute switch of its own, and they are remembered: over a restart of the
# stream, of xaring-pw and of WirePlumber.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="work personal untrusted"
declare -A PLAYERS=()

vm_node() {
	pw-dump 2>/dev/null | jq -r --arg prefix "xen.$1.playback." '[.[] | select(.type == "PipeWire:Interface:Node" and
		(.info.props["node.name"] // "" | startswith($prefix))) | .id][0] // empty'
}

vm_is_silent() {
	[ -z "$(vm_node "$1")" ]
}

vm_volume() {
	wpctl get-volume "$(vm_node "$1")"
}

# The node is there, and WirePlumber has given it its links.
vm_plays() {
	[ -n "$(vm_node "$1")" ] && pw-link -l 2>/dev/null | grep -q "xen\\.$1\\.playback"
}

volume_is() {
	[ "$(vm_volume "$1" 2>/dev/null)" = "$2" ]
}

# What a sound server made of it is said when one does not play.
await_players() {
	local vm
	for vm in $SESSION_VMS; do
		wait_for 10 vm_plays "$vm" && continue
		fail "a playing node of $vm did not happen within 10 s"
		wpctl status
		pw-link -l
		tail -n 30 "$SESSION"/log/*
		check_end
	done
}

start_players() {
	local vm number=0
	for vm in $SESSION_VMS; do
		number=$((number + 1))
		player_start "$vm" $number -p 1024 -b 8192
		PLAYERS[$vm]=$PLAYER_PID
	done
	await_players
}

stop_players() {
	local vm
	kill "${PLAYERS[@]}"
	for vm in $SESSION_VMS; do
		wait "${PLAYERS[$vm]}"
		wait_or_die 10 "the end of the node of $vm" vm_is_silent "$vm"
	done
}

# check_volumes TEXT
check_volumes() {
	check "$1: work is at 0.40" wait_for 5 volume_is work "Volume: 0.40"
	check "$1: personal is muted" wait_for 5 volume_is personal "Volume: 1.00 [MUTED]"
	check "$1: untrusted is as it was" wait_for 5 volume_is untrusted "Volume: 1.00"
}

# One VM is muted: it is silent, the others are heard, and exactly so.
check_mute() {
	local vm level
	for vm in $SESSION_VMS; do taps+=("xen.$vm.playback.*:FL,FR:$SESSION/$vm.f32"); done
	tap_start "${taps[@]}"
	tap_go_on "$SESSION/untrusted.f32" 1000
	tap_stop
	# The code has a level of -4.7 dB, and silence would be quiet enough as well.
	level=$("$TOOLS/sound-check" level 2 "$SESSION/work.f32")
	check_real "work: level at 0.40 (-23.9 dB), not louder" "$level" '<' -27
	check_real "work: level at 0.40 (-23.9 dB), not quieter" "$level" '>' -30
	check_real "personal is silent (dB)" \
		"$("$TOOLS/sound-check" level 2 "$SESSION/personal.f32")" '<=' -200
	untouched_check "untrusted" untrusted 3 "$SESSION/untrusted.f32"
}

taps=()
session_open
STATE=$XDG_STATE_HOME/wireplumber/restore-stream
session_start
daemon_start
start_players
wpctl set-volume "$(vm_node work)" 0.4
wpctl set-mute "$(vm_node personal)" 1
check_volumes "at once"
check_mute
# WirePlumber writes its memory a second later.
wait_or_die 10 "WirePlumber to write down work" grep -q 'org.xaring.vm.work' "$STATE"
wait_or_die 10 "WirePlumber to write down personal" grep -q 'org.xaring.vm.personal' "$STATE"

stop_players
start_players
check_volumes "after a restart of the streams"

stop_players
end_process "$DAEMON_PID"
daemon_start
start_players
check_volumes "after a restart of xaring-pw"

kill_hard "$DAEMON_PID"
daemon_start
await_players
check_volumes "after a crash of xaring-pw, while playing"

kill_hard "$WIREPLUMBER_PID"
sink_remove
wireplumber_start
sink_add
await_players
check_volumes "after a restart of WirePlumber, while playing"
stop_players
start_players
check_volumes "after that, with new streams"
stop_players
check_end
