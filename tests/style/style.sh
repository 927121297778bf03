# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the style tests share: which files the tree has, and reporting of lines that break a rule.
# Sourced. Needs XARING_SOURCE (the tree) and XARING_BUILD (the build folder).

. "$XARING_SOURCE/tests/lib/check.sh" || exit 1
cd "$XARING_SOURCE" || exit 1
# The end of a pipe counts what failed, so it belongs to this shell.
shopt -s lastpipe

# tree [PATTERN]...: files under version control, or without it all files outside build folders.
tree() {
	{
		if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; then
			git ls-files
		else
			find . \( -path ./.git -o -path './build*' \) -prune -o -type f -printf '%P\n'
		fi
	} | matching "$@" | while read -r file; do
		# Removed and not yet committed.
		[ -f "$file" ] && echo "$file"
	done
}

# matching [PATTERN]...: the lines of standard input that match one of the shell patterns.
matching() {
	local line pattern
	while read -r line; do
		[ $# -eq 0 ] && echo "$line"
		for pattern in "$@"; do
			# shellcheck disable=SC2053
			[[ $line == $pattern ]] && echo "$line" && break
		done
	done
}

# none TEXT: holds when standard input is empty, and shows what is there otherwise.
none() {
	local found
	found=$(cat)
	if [ -z "$found" ]; then
		pass "$1"
	else
		fail "$1:"
		printf '%s\n' "$found"
	fi
}

# need COMMAND: the test is left out without it.
need() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# need_file FILE: the test is left out without this part of the build.
need_file() {
	[ -e "$1" ] || skip "${1#"$XARING_BUILD/"} is not built"
}
