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
}

note() {
	check_say '' "$NAME: $*"
}

# results_begin: what was found out of this program before does not count any more.
results_begin() {
	touch "$RESULTS"
	sed -i "\\|	$NAME	|d" "$RESULTS"
}

# result COLUMN TEXT: for docs/programs.md; the columns are those of the table: plays, pauses, seeks, ends, records,
# remark. The last one of a column counts, but of remarks all are shown.
result() {
	printf '%s\t%s\t%s\t%s\n' "$RELEASE" "$NAME" "$1" "$2" >>"$RESULTS"
}

# deviation FRAMES: in words for the table, which are to be the same in each run.
deviation() {
	local ms=$((${1#-} * 1000 / SESSION_RATE))
	if [ "$1" -eq 0 ]; then
		echo exact
	elif [ $ms -le 5 ]; then
		echo "with a fade"
	else
		echo "$(((ms + 50) / 1000)).$(((ms + 50) / 100 % 10)) s left out"
	fi
}

# show_log: what the program has said, when something failed.
show_log() {
	tail -n 15 "$PLAY_LOG" | cut -c -200 | bare_quote
}
