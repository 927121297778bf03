# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the suite says of a program: checks with its name before them, and results for the table. Sourced after check.sh.

# Each line of a check begins with the program's name, for there are many.
pass() {
	check_say ok "$NAME: $*"
}

fail() {
	check_say FAILED "$NAME: $*"
	CHECK_FAILED=$((CHECK_FAILED + 1))
	result remark "FAILED: $*"
}

note() {
	check_say '' "$NAME: $*"
}

# results_begin NAME PACKAGE: what is said from now on is of this one; what was found out before does not count any more.
results_begin() {
	NAME=$1
	touch "$RESULTS"
	sed -i "\\|	$NAME	|d" "$RESULTS"
	result version "$(version_of "$2")"
}

# result COLUMN TEXT: for docs/programs.md; the columns are those of the table: plays, pauses, seeks, ends, records,
# remark. The last one of a column counts, but of remarks all are shown.
result() {
	printf '%s\t%s\t%s\t%s\n' "$RELEASE" "$NAME" "$1" "$2" >>"$RESULTS"
}

# deviation FRAMES: in words for the table, which are to be the same in each run.
deviation() {
	local ms=$((${1#-} * 1000 / SESSION_RATE)) what="left out"
	[ "$1" -ge 0 ] || what="heard twice"
	if [ "$1" -eq 0 ]; then
		echo exact
	elif [ $ms -le 5 ]; then
		echo "with a fade"
	elif [ $ms -lt 50 ]; then
		echo "some ms $what"
	else
		echo "$(((ms + 50) / 1000)).$(((ms + 50) / 100 % 10)) s $what"
	fi
}

# show_log: what the program has said, when something failed.
show_log() {
	tail -n 15 "$PLAY_LOG" | cut -c -200 | bare_quote
}
