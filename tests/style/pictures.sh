#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each picture that a page shows is there, small, and shown; and so are the pages that pages refer to.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1

# targets: what the pages of the tree refer to within it, as paths from its top.
targets() {
	local page target
	tree '*.md' | while read -r page; do
		grep -oE '\]\([^)# ]+' "$page" | sed 's/^](//' | grep -vE '^[a-z]+:' | while read -r target; do
			realpath -m --relative-to=. "$(dirname "$page")/$target"
		done
	done
}

check_number "references to pictures" "$(targets | grep -c '\.png$')" -ge 3
targets | while read -r file; do
	[ -e "$file" ] || echo "$file"
done | none "what a page refers to is there"
tree 'docs/pictures/*' | grep -vxFf <(targets) | none "each picture is shown by a page"
tree 'docs/pictures/*' | while read -r file; do
	[ "$(stat -c %s "$file")" -le 60000 ] || echo "$file"
done | none "no picture has more than 60000 bytes"
check_end
