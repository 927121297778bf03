# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scenarios of daemons that come and go, of policy and of hostile guests need besides lib.sh, which
# is sourced before.

# Of enum xaring_reason.
REASON_MESSAGE=2 REASON_POLICY=8

# ---- the backend ----

# worker_is_new PID: another one than that.
worker_is_new() {
	local pid
	pid=$(worker_of_broker)
	[ -n "$pid" ] && [ "$pid" != "$1" ]
}

# unit_ns WHAT: when that was with the backend's unit last, in ns of CLOCK_MONOTONIC. WHAT is ActiveEnter,
# ActiveExit, ExecMainStart and what else systemd knows.
unit_ns() {
	echo $(($(systemctl show -P "$1TimestampMonotonic" xaring-pw) * 1000))
}

# unit_is_up_after NS
unit_is_up_after() {
	local said
	said=$(systemctl show -p ActiveState,ActiveEnterTimestampMonotonic xaring-pw)
	[[ $said == *ActiveState=active* && $said =~ Monotonic=([0-9]+) ]] && [ $((BASH_REMATCH[1] * 1000)) -gt "$1" ]
}

# rules_reload: the backend has read them afterwards, and says so in one line.
rules_reload() {
	local mark
	mark=$(log_mark)
	systemctl reload xaring-pw
	check "the backend has read ${1:-its rules again}" wait_for 10 log_has "$mark" 'the rules were read again'
}

# rule TEXT: in a file of its own, until the scenario ends or rule_remove.
RULE=/etc/pipewire/xaring-pw.conf.d/50-scenario.conf
rule() {
	mkdir -p "${RULE%/*}"
	echo "xaring.rules = [ $1 ]" >"$RULE"
	at_exit rule_remove
	rules_reload "$1"
}

rule_remove() {
	[ -e "$RULE" ] || return 0
	rm -f "$RULE"
	rules_reload
}

# ---- the log of the backend ----

# What it says goes there as it is said: journalctl takes a second to start in the emulator.
BACKEND_LOG=/t/backend.log

# Says where the log ends now, in lines.
log_mark() {
	wc -l <"$BACKEND_LOG"
}

# log_since MARK: what the backend has said since, all of it.
log_since() {
	journalctl -q --sync
	tail -n "+$(($1 + 1))" "$BACKEND_LOG"
}

# log_count MARK PATTERN
log_count() {
	log_since "$1" | grep -cE "$2"
}

# log_has MARK PATTERN: so far.
log_has() {
	tail -n "+$(($1 + 1))" "$BACKEND_LOG" | grep -qE "$2"
}

# one_stream_check NAME WHEN: of a VM that may have one stream only (boot-dom0), while it plays.
one_stream_check() {
	plays_once "$1"
	note "$SAID"
	check "$1: a second stream is refused $2" grep -q 'stream number 2 of this machine is refused' <<<"$SAID"
}

# ---- xenstore ----

published() {
	xenstore-list "/local/domain/$1/data/xaring/stream" 2>/dev/null
}

answer_to() {
	xenstore-read "/local/domain/$1/data/xaring/stream/$2/answer" 2>/dev/null
}

# answer_is DOMID NUMBER [REASON]
answer_is() {
	# shellcheck disable=SC2053
	[[ $(answer_to "$1" "$2") == reason=${3:-*}\ * ]]
}
