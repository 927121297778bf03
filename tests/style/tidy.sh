#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clang-tidy has nothing to say: checks and budgets of functions are in .clang-tidy.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1
need clang-tidy
need_file "$XARING_BUILD/compile_commands.json"

[ "${XARING_TEST:-normal}" != quick ] || skip "takes minutes; the normal and the long run do it"

sources() {
	tree 'libxaring/*.c' 'alsa-plugin/*.c' 'pw-backend/*.c' | while read -r file; do
		grep -q "/$file\"\|\"\.\./$file\"" "$XARING_BUILD/compile_commands.json" && echo "$file"
	done
}

check_number "source files that are compiled" "$(sources | wc -l)" -ge 5
# Flags that this clang does not know, or knows under another name, are no finding.
sources | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p "$XARING_BUILD" \
	--extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument \
	--extra-arg=-ftrivial-auto-var-init=pattern \
	--extra-arg=-include --extra-arg="$XARING_SOURCE/tests/style/tidy.h" 2>/dev/null |
	sed "s@^$XARING_SOURCE/@@; s@^[^ ]*/\\.\\./@@" |
	none "clang-tidy has nothing to say"
check_end
