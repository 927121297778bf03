#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One VM attacks through its shared pages while the real xaring-pw runs: its streams are shut, it
# stays alive, the other VM's stream is exact, and afterwards the VM may play again.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="work hostile"
# As enum xaring_reason.
REASON_COUNTER=12 REASON_WORD=13 REASON_UNSETTLED=14
SECONDS_EACH=$(level_count 60)
[ "$SECONDS_EACH" -ge 3 ] || SECONDS_EACH=3

# attack NAME SECONDS [REASON]: with a reason, the time is a deadline for two refusals.
attack() {
	local out=$SESSION/attack.json
	as_vm hostile "$XARING_BUILD/tests/pipewire/hostile-guest" "$1" "$2" ${3:+2} >"$out" </dev/null
	note "$1: $(cat "$out")"
	check_number "$1: streams that were shut" "$(jq .refused "$out")" -ge 1
	[ -z "${3:-}" ] || check_number "$1: reason" "$(jq .reason "$out")" -eq "$3"
	check "$1: the daemon lives" kill -0 "$DAEMON_PID"
	check_number "$1: the worker is the same" "$(worker_pid)" -eq "$WORKER"
}

recovers() {
	exact_check "the attacker plays again" S16 2 "$SESSION/noise.raw" as_vm hostile aplay -q \
		-D xen -t raw -f S16_LE -c 2 -r 48000 "$SESSION/noise.raw"
}

# Nothing that a VM does writes more about it than 10 lines a minute, after a burst of 20: once by the
# broker, once by the worker, and a few when it comes and goes.
lines_check() {
	local lines=$SESSION/lines
	sink_remove
	as_vm hostile "$XARING_BUILD/tests/pipewire/hostile-guest" visit 30 80 >"$lines" </dev/null
	note "visit: $(cat "$lines")"
	check_number "streams without a sink" "$(jq .links "$lines")" -eq 80
	grep 'vm hostile' "$SESSION/log/xaring-pw" >"$lines"
	check_number "lines about a broken protocol beside the broker's" \
		"$(grep -c 'broke the protocol' "$lines")" -eq 0
	check_number "lines of no sink" "$(grep -c 'nothing to play to' "$lines")" -ge 1
	check_number "lines of the attacker" "$(wc -l <"$lines")" -le $((50 + SECONDS / 3))
}

session_open
session_start
daemon_start
WORKER=$(worker_pid)
noise "$SESSION/noise.raw" S16 2 48001
tap_start "xen.work.playback.*:FL,FR:$SESSION/work.f32"
# The attack takes both processors; half a second of buffer is what music players have.
player_start work 1 -p 4096 -b 24000
wait_or_die 10 "sound of work" player_has_written work 24000
attack counter 20 $REASON_COUNTER
attack word 20 $REASON_WORD
# Takes 256 cycles in a row, in each of which the attacker must have had a processor.
[ "${XARING_TEST:-normal}" = quick ] || attack unsettled 40 $REASON_UNSETTLED
attack future 20 $REASON_COUNTER
attack flood "$SECONDS_EACH"
kill "$PLAYER_PID"
wait "$PLAYER_PID"
tap_stop
untouched_check "the other VM" work 1 "$SESSION/work.f32"
check_number "the other VM: xruns" "$(summary work .xruns)" -eq 0
recovers
lines_check
note "lines in the log: $(wc -l <"$SESSION/log/xaring-pw")"
check_end
