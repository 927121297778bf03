#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every file that somebody wrote says under which licence it is, and every C file what it is for.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1

tree | grep -vE '\.(md|txt|wav|raw|png)$|^LICENSE$|^\.(clang|editor|git)|/corpus/|^debian/(changelog|(tests/)?control|copyright|compat|source/|.*\.(install|docs|links|lintian-overrides|manpages)$)' |
	while read -r file; do
		head -n 5 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
	done | none "every source file has its SPDX line in the first five"

tree '*.[ch]' | while read -r file; do
	sed -n '2,3p' "$file" | grep -qE "^/\*|^ \* |^#include \"$(basename "$file" .c)\.h\"" || echo "$file"
done | none "every C file, or its header, begins with what it is responsible for"

tree | xargs grep -lE '^#!' | while read -r file; do
	[ -x "$file" ] || echo "$file"
done | none "every script can be executed"
check_end
