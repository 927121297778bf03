#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The judges must be able to say no: recordings with known damage are put before them.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
TOOLS=$XARING_BUILD/tests/lib
WORK=$(mktemp -d) || exit 1
at_exit "rm -rf '$WORK'"
cd "$WORK" || exit 1

coded() {
	"$TOOLS/sound-make" coded FLOAT "$@"
}

silence() {
	head -c $(($1 * 8)) /dev/zero
}

holds() {
	jq -e "$1" verdict >/dev/null || { cat verdict && return 1; }
}

# expect TEXT JQ-CONDITION: about the file "recorded", as VM 3 at 48 kHz.
expect() {
	"$TOOLS/sound-check" coded 3 48000 recorded >verdict
	check "$1" holds "$2"
}

{ silence 100; coded 3 7 5000; silence 100; } >recorded
expect "one run is one run" \
	'.coded == 5000 and .gaps == 0 and .lost == 0 and .repeated == 0 and .runs[0].first == 7'
{ coded 3 0 5000; silence 100; coded 3 5000 100; } >recorded
expect "a gap without loss" '.gaps == 1 and .lost == 0 and .repeated == 0'
{ coded 3 0 5000; coded 3 5003 100; } >recorded
expect "three frames lost without a gap" '.gaps == 0 and .jumps == 1 and .skipped == 3 and .lost == 0'
{ coded 3 0 5000; silence 10; coded 3 5007 2000; } >recorded
expect "seven frames lost at a gap" '.gaps == 1 and .lost == 7 and .skipped == 0'
{ coded 3 0 5000; silence 10; coded 3 4000 2000; } >recorded
expect "a thousand frames repeated" '.gaps == 1 and .repeated == 1000'
{ coded 3 0 5000; coded 4 0 50; coded 3 5000 100; } >recorded
expect "fifty frames of another VM" '.foreign == 50 and .foreign_vm == 4'
{ coded 3 0 5000; head -c 800 /dev/urandom; coded 3 5000 100; } >recorded
expect "a ramp's worth of damage after a run is a ramp" '.ramp == 100 and .damaged == 0'
{ silence 10; head -c 8000 /dev/urandom; coded 3 5000 100; } >recorded
expect "noise is damage" '.damaged == 1000'
half() { printf '\0\0\0\x3f\0\0\0\0%.0s' $(seq "$1"); }
{ coded 3 0 5000; half 300; silence 10; coded 3 5300 100; } >recorded
expect "frames of one channel only" '.half == 300 and .damaged == 0 and .gaps == 1 and .lost == 300'
{ coded 3 4294967000 1000; } >recorded
expect "the index wraps" '(.runs | length) == 1 and .coded == 1000'

for format in S24 S24_3 S32 FLOAT; do
	"$TOOLS/sound-make" coded $format 5 1000 300 >played
	{ silence 50; "$TOOLS/sound-make" coded FLOAT 5 1000 300; silence 50; } >recorded
	check "$format stands for the same floats" "$TOOLS/sound-check" exact $format 2 played recorded
done

exact() {
	"$TOOLS/sound-check" exact FLOAT 2 played recorded
}

is_refused() {
	! exact
}

# exact: FLOAT stands for itself, so recordings are made of what was played.
"$TOOLS/sound-make" noise FLOAT 2 5000 9 >played
{ silence 64; cat played; silence 64; } >recorded
check "exact: equal frames" exact
{ silence 64; head -c 24000 played; silence 1; tail -c +24001 played; } >recorded
check "exact: one frame inserted is noticed" is_refused
{ silence 64; head -c 24000 played; tail -c +24009 played; } >recorded
check "exact: one frame lost is noticed" is_refused
{ silence 64; head -c 39992 played; silence 64; } >recorded
check "exact: the last frame lost is noticed" is_refused
{ silence 64; tail -c +9 played; } >recorded
check "exact: the first frame lost is noticed" is_refused
{ silence 64; cat played; tail -c 80 played; } >recorded
check "exact: an end that is played twice is noticed" is_refused
{ silence 64; head -c 24000 played; printf 'abcd'; tail -c +24005 played; } >recorded
check "exact: one changed sample is noticed" is_refused
silence 64 >recorded
check "exact: silence is noticed" is_refused
check_end
