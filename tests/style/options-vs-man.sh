#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The options that a program lists, those of its manual page and those of its completion are the same.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1

version=$(sed -nE "s/^ *version: '([0-9.]+)',.*/\1/p" meson.build | head -n 1)

of_help() {
	"$1" --help | grep -oE -- '(^|[^a-z-])--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u
}

of_manual() {
	sed -n '/^# OPTIONS/,/^# [^O]/p' "man/$1".[18].scd | sed -nE 's/^\*(--[a-z-]+)\*.*/\1/p' | sort -u
}

of_completion() {
	grep -oE -- '--[a-z][a-z-]+' "conf/bash-completion/$1" | sort -u
}

# compare PROGRAM: a file of the build.
compare() {
	local program=$1 name=${1##*/}
	check "$name --help succeeds" "$program" --help
	check_number "options of $name" "$(of_help "$program" | wc -l)" -ge 4
	diff <(of_help "$program") <(of_manual "$name") |
		none "--help and the manual page of $name list the same options"
	diff <(of_help "$program") <(of_completion "$name") |
		none "--help and the completion of $name list the same options"
	"$program" --version | grep -qF "$version" && pass "$name --version says $version" ||
		fail "$name --version says $version"
}

found=0
for program in pw-backend/xaring-pw pw-backend/ctl/xaringctl pw-backend/notify/xaring-notify \
	libxaring/guestd/xaring-guestd; do
	if [ -e "$XARING_BUILD/$program" ]; then
		compare "$XARING_BUILD/$program"
		found=$((found + 1))
	else
		note "${program##*/} is not built"
	fi
done
[ "$found" -gt 0 ] || skip "no program is built"
check_end
