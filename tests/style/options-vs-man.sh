#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The options that xaring-pw lists, those of its manual page and those of its completion are the same.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1

BACKEND=$XARING_BUILD/pw-backend/xaring-pw
need_file "$BACKEND"

of_help() {
	"$BACKEND" --help | grep -oE -- '(^|[^a-z-])--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u
}

of_manual() {
	sed -n '/^# OPTIONS/,/^# [^O]/p' man/xaring-pw.8.scd | sed -nE 's/^\*(--[a-z-]+)\*.*/\1/p' | sort -u
}

of_completion() {
	grep -oE -- '--[a-z][a-z-]+' conf/bash-completion/xaring-pw | sort -u
}

check "--help succeeds" "$BACKEND" --help
check_number "options" "$(of_help | wc -l)" -ge 6
diff <(of_help) <(of_manual) | none "--help and xaring-pw(8) list the same options"
diff <(of_help) <(of_completion) | none "--help and the completion list the same options"
version=$(sed -nE "s/^ *version: '([0-9.]+)',.*/\1/p" meson.build | head -n 1)
"$BACKEND" --version | grep -qF "$version" && pass "--version says $version" ||
	fail "--version says $version"
check_end
