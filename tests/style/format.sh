#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clang-format has nothing to change.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1
need clang-format

tree '*.[ch]' | xargs clang-format --dry-run 2>&1 |
	sed -n 's/: warning: code should be clang-formatted.*//p' |
	none "clang-format has nothing to change"
tree | grep -vE '\.(png|wav|raw|bin)$|/corpus/' | xargs grep -nIE '[[:blank:]]+$' |
	none "no blanks at the end of a line"
check_end
