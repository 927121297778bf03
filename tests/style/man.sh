#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The manual pages can be made and shown, and refer to pages that exist.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1
need scdoc
need man

for page in man/*.scd; do
	check "${page##*/} can be made" sh -c "scdoc < '$page' > /dev/null"
	scdoc <"$page" | LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -E UTF-8 -l - 2>&1 >/dev/null |
		none "${page##*/} can be shown without a warning"
	head -n 1 "$page" | grep -qxF "$(basename "$page" .scd | sed -E 's/\.([0-9])$/(\1)/')" &&
		pass "${page##*/} has its own title" || fail "${page##*/} has its own title"
done

grep -ohE '\*xaring[a-z.-]*\*\([0-9]\)' man/*.scd | tr -d '*' | sort -u |
	sed -E 's/\(([0-9])\)/.\1.scd/' | grep -v guestd | while read -r file; do
	[ -f "man/$file" ] || echo "$file"
done | none "every page of ours that is referred to exists"
check_end
