#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The units are understood by systemd, and confine what they start.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1
need systemd-analyze

dir=$(mktemp -d "${TMPDIR:-/tmp}/xaring-test.XXXXXX") || exit 1
at_exit "rm -rf '$dir'"
mkdir "$dir/system" "$dir/user" "$dir/run"

# place UNIT FOLDER [NAME]: as installed; but the program need not be there.
place() {
	sed 's@^ExecStart=.*@ExecStart=/bin/true@' "conf/systemd/$1.in" >"$dir/$2/${3:-$1}"
}

# understood UNIT
understood() {
	systemd-analyze verify --man=no --recursive-errors=no "$dir/system/$1" 2>&1 |
		none "systemd understands $1"
}

# exposed UNIT TENTHS: 25 stands for an exposure of 2.5, of 10.
exposed() {
	systemd-analyze security --no-pager --offline=yes --threshold="$2" "$dir/system/$1" \
		>"$dir/report" 2>&1
	check "$1 is exposed by $2 tenths at most" test $? -eq 0
	grep -E 'Overall' "$dir/report"
}

place xaring-pw.service system
place xaring-pw-user.service user xaring-pw.service
place xaring-notify.service user
place xaring-guestd.service system
place xaring-guestd.socket system

understood xaring-pw.service
understood xaring-guestd.service
understood xaring-guestd.socket
for unit in xaring-pw xaring-notify; do
	XDG_RUNTIME_DIR=$dir/run systemd-analyze verify --user --man=no --recursive-errors=no \
		"$dir/user/$unit.service" 2>&1 | none "systemd understands the user's unit $unit"
done
exposed xaring-pw.service 20
exposed xaring-guestd.service 10
check_end
