#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An application is killed with -9 and started again: its node and everything that it held is
# given back, nothing of it is heard twice, and another VM does not notice. 100 times in the long run.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="work personal"
KILLS=$(level_count 100)
STEP=10000000 # the first index of each round, so that old frames would show

work_nodes() {
	pw-dump 2>/dev/null | jq '[.[] | select(.type == "PipeWire:Interface:Node" and
		(.info.props["node.name"] // "" | startswith("xen.work.")))] | length'
}

work_has_no_node() {
	[ "$(work_nodes)" = 0 ]
}

one_kill() {
	local first=$(($1 * STEP))
	player_start work 1 -p 1024 -b 8192 -i $first
	wait_or_die 10 "kill $1: sound" player_has_written work $((first + 24000))
	kill_hard "$PLAYER_PID"
	wait_for 5 work_has_no_node || fail "kill $1: its node is still there"
	wait_for 5 resources_are "$IDLE" || fail "kill $1: held $(resources), before $IDLE"
}

# One gap after each round.
check_kills() {
	check_number "gaps" "$(verdict .gaps)" -eq "$KILLS"
	jumps_check "the recording"
	check_number "frames repeated" "$(verdict .repeated)" -eq 0
	check_number "damaged frames" "$(verdict .damaged+.half)" -eq 0
	check_number "frames of somebody else" "$(verdict .foreign)" -eq 0
}

session_open
session_start
daemon_start
tap_start "xen.work.playback.*:FL,FR:$SESSION/work.f32" \
	"xen.personal.playback.*:FL,FR:$SESSION/personal.f32"
player_start personal 2 -p 1024 -b 24000
other=$PLAYER_PID
wait_or_die 10 "sound of personal" player_has_written personal 48000
# The first stream loads and opens what stays: what is held is counted after it.
IDLE=
player_start work 1 -p 1024 -b 8192 -n 24000
wait "$PLAYER_PID"
wait_or_die 10 "an idle VM" work_has_no_node
IDLE=$(resources)
note "descriptors and mappings before: $IDLE"
for ((round = 1; round <= KILLS; round++)); do one_kill "$round"; done
pass "$KILLS kills: node, descriptors and mappings were given back"
kill "$other"
wait "$other"
tap_stop
judge work 1 "$SESSION/work.f32"
check_kills
untouched_check "the other VM" personal 2 "$SESSION/personal.f32"
check_end
