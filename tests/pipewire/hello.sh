#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A PipeWire that says hello and hangs up is tried now and then, and does not fill the log.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

hellos() {
	grep -c hello "$SESSION/log/hello"
}

session_open
session_start
"$XARING_BUILD/tests/pipewire/hello" "$SESSION/hello" "$XDG_RUNTIME_DIR/pipewire-0" \
	>"$SESSION/log/hello" 2>&1 </dev/null &
HELLO_PID=$!
at_exit 'end_process "$HELLO_PID"'
wait_or_die 5 "the socket of the one that says hello" test -S "$SESSION/hello"
# shellcheck disable=SC2034
SESSION_PIPEWIRE=$SESSION/hello
daemon_start
player_start work 1 -p 1024 -b 8192
wait_or_die 10 "a second of play into the void" player_has_written work 48000
check "it is tried" test "$(hellos)" -ge 2
before=$(hellos) begin=$(now_ns)
wait_or_die 10 "three seconds more" player_has_written work 192000
seconds=$((($(now_ns) - begin) / 1000000000 + 1))
check_number "connections in $seconds s" $(($(hellos) - before)) -le $((5 * seconds))
check_number "lines of the log that say linked" \
	"$(grep -c 'linked to PipeWire' "$SESSION/log/xaring-pw")" -le 25
check_end
