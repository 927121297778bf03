#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo itself, with a short file: in a session of its own, and in one that is running. With
# speech, and on a bare machine, it is run by tests/bare.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"

is_exact() {
	tail -n 1 "$SESSION/demo.log" | grep -qE '^exact: ([1-9][0-9]*) of \1 frames$'
}

# demo TEXT ARGUMENT...
demo() {
	local text=$1 before=$CHECK_FAILED
	shift
	"$XARING_SOURCE/tests/demo" "$@" >"$SESSION/demo.log" 2>&1 </dev/null
	check_number "$text: exit code" $? -eq 0
	check "$text: last line" is_exact
	[ "$CHECK_FAILED" -eq "$before" ] || cat "$SESSION/demo.log"
}

session_open
session_start
sox -V1 -R -n -r 44100 -c 2 "$SESSION/music.flac" synth 3 pluck C2 pluck G3
rm -f "$XARING_SOURCE/build-demo/heard.png"
demo "in a session of its own" "$SESSION/music.flac"
check "the spectrogram is there" test -s "$XARING_SOURCE/build-demo/heard.png"
demo "in a running session" --here "$SESSION/music.flac"
"$XARING_SOURCE/tests/demo" --nonsense >/dev/null 2>&1
check_number "an unknown option: exit code" $? -eq 2
"$XARING_SOURCE/tests/demo" /nowhere/at-all.wav >/dev/null 2>&1
check_number "a file that is not there: exit code" $? -eq 2
check_end
