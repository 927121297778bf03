#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo itself, with a short file: in a session of its own, and in one that is running. With
# speech, and on a bare machine, it is run by tests/bare.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"

not_grep() {
	! grep -q "$@"
}

is_exact() {
	tail -n 1 "$SESSION/demo.log" | grep -qE '^exact: ([1-9][0-9]*) of \1 frames$'
}

# counts_all PARTS: the last line is the sum of what was said of each VM that was heard, and of the recording.
counts_all() {
	awk -v parts="$1" '/^ .*: exact: / { n++; sum += $(NF - 1) } { last = $2 }
		END { exit !(n == parts && sum == last) }' "$SESSION/demo.log"
}

# says TEXT PATTERN
says() {
	check "$1" grep -qE "$2" "$SESSION/demo.log"
}

# What a person sees of the recording: each decision is typed, and shown by a list after it.
shows_recording() {
	says "recording: nobody has decided about others" '^untrusted +idle +- +- +undecided$'
	says "recording: nobody has decided" '^personal +active +- +- +asked$'
	says "recording: it is allowed" '^\$ xaringctl mic allow personal$'
	says "recording: and says so" '^personal +active +- +- +allowed$'
	says "recording: it is denied" '^\$ xaringctl mic deny personal$'
	says "recording: and says that" '^personal +active +- +- +denied$'
	says "recording: silence before" 'ok +undecided: all [1-9][0-9]{4,} frames are silent'
	says "recording: sound" 'ok +allowed: frames heard, of 3 s: [1-9][0-9]{4,}$'
	says "recording: silence after" 'ok +denied: frames of silence: [1-9][0-9]{4,}$'
}

# demo TEXT PARTS ARGUMENT...
demo() {
	local text=$1 parts=$2 before=$CHECK_FAILED
	shift 2
	"$XARING_SOURCE/tests/demo" "$@" >"$SESSION/demo.log" 2>&1 </dev/null
	check_number "$text: exit code" $? -eq 0
	check "$text: last line" is_exact
	check "$text: it is the sum of $parts parts" counts_all "$parts"
	[ "$CHECK_FAILED" -eq "$before" ] || cat "$SESSION/demo.log"
}

session_open
session_start
sox -V1 -R -n -r 44100 -c 2 "$SESSION/music.flac" synth 3 pluck C2 pluck G3
rm -f "$XARING_SOURCE/build-demo/heard.png"
demo "in a session of its own" 4 "$SESSION/music.flac"
check "the spectrogram is there" test -s "$XARING_SOURCE/build-demo/heard.png"
shows_recording
demo "in a running session" 3 --here "$SESSION/music.flac"
says "in a running session: no VM records" 'no VM records here: your microphone is left alone'
check "in a running session: nothing is decided" not_grep 'xaringctl mic' "$SESSION/demo.log"
"$XARING_SOURCE/tests/demo" --nonsense >/dev/null 2>&1
check_number "an unknown option: exit code" $? -eq 2
"$XARING_SOURCE/tests/demo" /nowhere/at-all.wav >/dev/null 2>&1
check_number "a file that is not there: exit code" $? -eq 2
check_end
