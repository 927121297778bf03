#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the README and the manual pages say to someone who hears nothing: the words of aplay -v, the
# lines of XARING_DEBUG, the real-time priority of the worker.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# A fifth of a second, with what aplay says in log/aplay.
aplay_v() {
	as_vm work aplay -v -D xen "$SESSION/noise.wav" >"$SESSION/log/aplay" 2>&1 </dev/null
}

# documented WORDS: they are in the README's table, and in xaring-pcm(7).
documented() {
	grep -q "^| .*\*$1\*" "$XARING_SOURCE/README.md" &&
		sed -n '/^# DIAGNOSTICS/,$p' "$XARING_SOURCE/man/xaring-pcm.7.scd" | grep -q "\*$1\*"
}

# says TEXT WORDS: the third line of aplay -v.
says() {
	aplay_v
	check_number "$1: exit code of aplay -v" $? -eq 0
	check "$1: $(sed -n 3p "$SESSION/log/aplay")" \
		test "$(sed -nE '3s/^([^:]*: [^,]*(, no backend)?),.*/\1/p' "$SESSION/log/aplay")" = \
		"$(vm_socket work): $2"
	check "$1: README and xaring-pcm(7) say what \"$2\" means" documented "$2"
}

# Words of the program that no page explains: a new one must get its line.
all_documented() {
	local words count=0
	while read -r words; do
		check "\"$words\" is explained" documented "$words"
		count=$((count + 1))
	done < <(sed -n "/^static const char \*describe_link/,/^}/p" \
		"$XARING_SOURCE/libxaring/src/client.c" | grep -oE '"[a-z, ]+"' | tr -d '"')
	check_number "states of a link" $count -ge 5
}

debug_lines() {
	grep -cE '^xaring\[[0-9]+\]: ' "$1"
}

# link_lost VALUE FILE: an application with XARING_DEBUG=VALUE outlives the end of the broker.
link_lost() {
	local pid
	export XARING_DEBUG=$1
	player_start work 1
	pid=$PLAYER_PID
	unset XARING_DEBUG
	wait_or_die 10 "half a second of play" player_has_written work 24000
	kill -9 "$DAEMON_PID"
	wait "$DAEMON_PID" 2>/dev/null
	wait_or_die 10 "a second of play without the broker" player_has_written work 72000
	kill "$pid"
	wait "$pid"
	cp "$SESSION/log/player-work" "$2"
	: >"$SESSION/log/player-work"
}

check_debug() {
	link_lost 1 "$SESSION/log/debug"
	check_number "XARING_DEBUG=1: lines on standard error" "$(debug_lines "$SESSION/log/debug")" -ge 1
	check "XARING_DEBUG=1: it tells of the lost link" \
		grep -qF "link to $(vm_socket work) lost" "$SESSION/log/debug"
	daemon_start
	wait_or_die 10 "the worker" has_worker
	link_lost 0 "$SESSION/log/quiet"
	check_number "XARING_DEBUG=0: lines" "$(debug_lines "$SESSION/log/quiet")" -eq 0
}

has_worker() {
	[ -n "$(worker_pid)" ]
}

# Class and priority of each thread of the worker.
priorities() {
	ps -T -o comm=,cls=,rtprio= -p "$(worker_pid)"
}

# may_run_in_real_time: as the worker would ask for it.
may_run_in_real_time() {
	chrt -f 88 true 2>/dev/null
}

data_thread_runs_at_88() {
	priorities | awk '$2 == "FF" && $3 == 88 { found++ } END { exit found != 1 }'
}

check_priority() {
	local man
	man=$(grep -oE 'real-time priority [0-9]+' "$XARING_SOURCE/man/xaring-pw.8.scd")
	check "xaring-pw(8) says: $man" test "$man" = "real-time priority 88"
	wait_or_die 10 "the worker" has_worker
	if may_run_in_real_time; then
		check "one thread of the worker runs with it" wait_for 5 data_thread_runs_at_88
		check_number "and the other ones do not" "$(priorities | grep -c TS)" -ge 1
	else
		note "no right to real-time priority here (chrt -f 88 fails): not tried"
	fi
	note "$(priorities | tr -s ' ' | paste -sd ';')"
}

# The broker waits longer and longer before it starts a worker again that dies young.
worker_is_awaited() {
	local pid
	grep -qE 'the next one is started in (1600|3200|5000) ms' \
		"$SESSION/log/xaring-pw" && return
	pid=$(worker_pid)
	[ -z "$pid" ] || kill -9 "$pid"
	false
}

check_without_worker() {
	wait_or_die 30 "a worker that dies again and again" worker_is_awaited
	says "a broker without a worker" "linked, no backend"
	wait_or_die 10 "the worker" has_worker
}

# A refusal comes before there is a third line: the message is all there is.
check_refused() {
	mkdir -p "$SESSION/conf/xaring-pw.conf.d"
	cat >"$SESSION/conf/xaring-pw.conf.d/50-policy.conf" <<-END
		xaring.rules = [ { matches = [ { xaring.key = work } ]
		    actions = { policy = { playback = false } } } ]
	END
	kill -HUP "$DAEMON_PID"
	wait_or_die 5 "a refusal" is_refused
	check "a refusal: $(grep -o "xen: .* is refused" "$SESSION/log/aplay")" \
		grep -q "xen: .* is refused$" "$SESSION/log/aplay"
	rm "$SESSION/conf/xaring-pw.conf.d/50-policy.conf"
	kill -HUP "$DAEMON_PID"
	wait_or_die 5 "the end of refusals" is_played
}

is_refused() {
	! aplay_v
}

is_played() {
	aplay_v
}

session_open
session_start
noise "$SESSION/noise.raw" S16 2 9600
raw_to_wav "$SESSION/noise.raw" S16 2 48000 "$SESSION/noise.wav"
all_documented
says "no server" "not connected"
daemon_start
wait_or_die 10 "the worker" has_worker
says "with everything" linked
check_priority
kill -STOP "$DAEMON_PID"
says "a broker that does not answer" "no answer"
kill -CONT "$DAEMON_PID"
check_without_worker
check_refused
check_debug
check_end
