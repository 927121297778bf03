#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The units are understood by systemd, and confine what they start.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1
need systemd-analyze

SYSTEM=$XARING_BUILD/conf/xaring-pw.service
USER_UNIT=$XARING_BUILD/conf/xaring-pw-user.service
need_file "$SYSTEM"

dir=$(mktemp -d "${TMPDIR:-/tmp}/xaring-test.XXXXXX") || exit 1
at_exit "rm -rf '$dir'"
mkdir "$dir/system" "$dir/user" "$dir/run"
# The program need not be installed for that.
sed 's@^ExecStart=.*@ExecStart=/bin/true@' "$SYSTEM" >"$dir/system/xaring-pw.service"
sed 's@^ExecStart=.*@ExecStart=/bin/true@' "$USER_UNIT" >"$dir/user/xaring-pw.service"

systemd-analyze verify --man=no --recursive-errors=no "$dir/system/xaring-pw.service" 2>&1 |
	none "systemd understands the system's unit"
XDG_RUNTIME_DIR=$dir/run systemd-analyze verify --user --man=no --recursive-errors=no \
	"$dir/user/xaring-pw.service" 2>&1 | none "systemd understands the user's unit"

# 25 stands for an exposure of 2.5, of 10.
systemd-analyze security --no-pager --offline=yes --threshold=25 "$dir/system/xaring-pw.service" \
	>"$dir/report" 2>&1
check "the system's unit is exposed by 2.5 at most" test $? -eq 0
grep -E 'Overall' "$dir/report"
check_end
