#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each public header can be included alone, in C and in C++; protocol.h also in their old forms.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1

CC=${CC:-cc}
CXX=${CXX:-c++}
need "${CC%% *}"
need "${CXX%% *}"
STRICT=(-fsyntax-only -Wall -Wextra -Wundef -Wshadow -Werror -Ilibxaring/include)

# compiles HEADER COMPILER FLAG...
compiles() {
	local header=$1
	shift
	# Twice, for the guard.
	printf '#include <%s>\n#include <%s>\n' "$header" "$header" | "$@" "${STRICT[@]}" -
}

for file in libxaring/include/xaring/*.h; do
	header=xaring/${file##*/}
	# shellcheck disable=SC2086
	{
		check "$header in C" compiles "$header" $CC -x c -std=c11 -pedantic-errors -Wstrict-prototypes
		check "$header in C++" compiles "$header" $CXX -x c++ -std=c++17
	}
done
# shellcheck disable=SC2086
{
	check "protocol.h in C90" compiles xaring/protocol.h $CC -x c -ansi -pedantic
	check "protocol.h in C++98" compiles xaring/protocol.h $CXX -x c++ -std=c++98 -pedantic
}

sed -nE "s@.*'include/(xaring/[a-z]+\.h)'.*@\1@p" libxaring/meson.build | sort |
	diff - <(cd libxaring/include && printf '%s\n' xaring/*.h | sort) |
	none "every public header is installed"
check_end
