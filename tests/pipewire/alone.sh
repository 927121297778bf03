#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Without a backend, or with one that does not answer, an application plays into the void in real
# time and sees no error; when the backend comes, so does the sound. And two backends by mistake.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# plays_in_real_time TEXT: a second and a half into the void.
plays_in_real_time() {
	local begin took
	begin=$(now_ns)
	as_vm work aplay -q -D xen "$SESSION/noise.wav" >"$SESSION/log/aplay" 2>&1 </dev/null
	check_number "$1: exit code" $? -eq 0
	took=$((($(now_ns) - begin) / 1000000))
	check_number "$1: time for 1500 ms (ms)" $took -ge 1450
	check_number "$1: time for 1500 ms (ms)" $took -le 2400
	check "$1: aplay says nothing" test ! -s "$SESSION/log/aplay"
}

heard_something() {
	[ "$(judge work 1 "$SESSION/heard.f32" && verdict .coded)" -gt 0 ]
}

# The backend comes while an application is playing.
late_backend() {
	local up
	tap_sink "$SESSION/heard.f32"
	player_start work 1 -p 1024 -b 8192
	wait_or_die 10 "a second of play into the void" player_has_written work 48000
	daemon_start
	up=$(now_ns)
	wait_or_die 5 "sound" heard_something
	tap_go_on "$SESSION/heard.f32" 500
	kill "$PLAYER_PID"
	wait "$PLAYER_PID"
	check_number "a late backend: exit code of the application" $? -eq 0
	tap_stop
	judge work 1 "$SESSION/heard.f32"
	check_number "a late backend: sound after (ms)" \
		"$(jq --argjson up "$up" '([.runs[0].begin_ns - $up, 0] | max) / 1000000 | floor' \
			"$VERDICT")" -le 1000
	# What was written before is gone: only what was in the buffer may still be heard.
	check_number "a late backend: first frame heard" "$(verdict '.runs[0].first')" -ge 40000
	check_number "a late backend: errors" "$(summary work .errors)" -eq 0
	check_number "a late backend: repeated" "$(verdict .repeated)" -eq 0
	check_number "a late backend: gaps once it plays" "$(verdict .gaps)" -eq 0
}

second_daemon() {
	"$XARING_BUILD/pw-backend/xaring-pw" --runtime-dir "$SESSION/xaring" --config-dir \
		"$SESSION/conf" --vm work >"$SESSION/log/second" 2>&1 </dev/null
	check_number "a second xaring-pw: exit code" $? -eq 3
	check "a second xaring-pw: $(tail -n 1 "$SESSION/log/second")" \
		grep -q "another one is running (pid $DAEMON_PID)" "$SESSION/log/second"
	check "the first one is untouched" test -S "$(vm_socket work)"
	plays_in_real_time "with the first one"
}

silent_backend() {
	kill -STOP "$DAEMON_PID"
	plays_in_real_time "a backend that does not answer"
	kill -CONT "$DAEMON_PID"
}

clean_end() {
	local worker
	worker=$(worker_pid)
	kill "$DAEMON_PID"
	wait "$DAEMON_PID"
	check_number "SIGTERM: exit code of xaring-pw" $? -eq 0
	check "SIGTERM: the worker is gone" wait_for 5 is_gone "$worker"
	check "SIGTERM: the socket is gone" test ! -e "$(vm_socket work)"
	DAEMON_PID=''
}

session_open
session_start
noise "$SESSION/noise.raw" S16 2 72000
raw_to_wav "$SESSION/noise.raw" S16 2 48000 "$SESSION/noise.wav"
plays_in_real_time "no backend"
mkdir -p "$SESSION/xaring/vm"
late_backend
second_daemon
silent_backend
kill_hard "$DAEMON_PID"
plays_in_real_time "a socket that nobody serves any more"
daemon_start
exact_check "a backend after that" S16 2 "$SESSION/noise.raw" \
	as_vm work aplay -q -D xen "$SESSION/noise.wav"
clean_end
plays_in_real_time "after its end"
check_end
