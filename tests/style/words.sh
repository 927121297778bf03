#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Nothing in the tree depends on the machine that it was written on, or is left for later.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1

# Written in pieces, so that this file does not find itself.
HOME_OF_SOMEBODY='(/hom''e/[a-z]|/wor''k/|/mn''t/[a-z])'
LATER='\b(TO''DO|FIX''ME|XX''X|HA''CK)\b'

tree | grep -v '^debian/copyright$' | xargs grep -nIE "$HOME_OF_SOMEBODY" |
	none "no path of a certain machine"
tree | xargs grep -nIE "$LATER" | none "nothing is left for later"
tree '*.[ch]' '*.sh' '*.build' '*.py' '*.conf' '*.in' 'tests/all' 'tests/demo' 'tests/bench' 'tests/pictures' |
	xargs grep -nIE 'https?://' | grep -v 'http:/[/]127\.0\.0\.1:' | none "no address of a server in code"
check_end
