#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs tests/demo in a bare Debian 12, as root and as an ordinary user who can sudo, and in the long run
# tests/all --quick as well: who runs tests/all on a clean machine has seen that already. The unpacked root is removed at the end; its tar file and the packages are kept, see
# tests/lib/bare.sh.
# shellcheck disable=SC2317,SC2016
set -u
XARING_SOURCE=${XARING_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/install.sh
. "$XARING_SOURCE/tests/lib/install.sh"
# shellcheck source=tests/lib/debian.sh
. "$XARING_SOURCE/tests/lib/debian.sh"
# shellcheck source=tests/lib/bare.sh
. "$XARING_SOURCE/tests/lib/bare.sh"

TREE_USER=tester

# run_inside TEXT LAST-LINE COMMAND...: shows what it says; it must succeed with that last line.
run_inside() {
	local text=$1 last=$2 log res
	log=$(mktemp "$BARE_WORK/log.XXXXXX")
	shift 2
	bare_inside "$BARE" "$@" 2>&1 | tee "$log" | bare_quote
	res=${PIPESTATUS[0]}
	check "$text: exit code 0" test "$res" -eq 0
	check "$text: last line \"$(tail -n 1 "$log")\"" grep -qE "$last" <(tail -n 1 "$log")
}

as_user() {
	run_inside "$1" "$2" runuser -u $TREE_USER -- env HOME=/home/$TREE_USER "${@:3}"
}

# The root is removed at the end: what its failed tests said is shown here.
show_failures() {
	local out=$BARE/home/$TREE_USER/xaring/build-tests
	tail -v -n 40 "$out"/*/failed/*.log "$out"/*.log 2>/dev/null | bare_quote
}

add_user() {
	bare_inside "$BARE" bash -c "apt-get -q update &&
		apt-get -q -y install --no-install-recommends sudo &&
		useradd -m -s /bin/bash $TREE_USER && chown -R $TREE_USER: /home/$TREE_USER &&
		echo '$TREE_USER ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/tester" >"$BARE_WORK/log" 2>&1
}

quick_run() {
	as_user "tests/all --quick as a user" '^[0-9]+ passed, 0 failed, [0-9]+ skipped$' \
		/home/$TREE_USER/xaring/tests/all --quick
	[ "$CHECK_FAILED" -eq 0 ] || show_failures
}

main() {
	bare_possible
	bare_open
	BARE=$BARE_WORK/root
	check "the bare root is made" bare_make_tarball
	[ -s "$(bare_tarball)" ] || check_end
	check "it is unpacked" bare_unpack "$BARE"
	check "the tree is copied for root" bare_copy_tree "$BARE" /root/xaring
	check "the tree is copied for a user" bare_copy_tree "$BARE" /home/$TREE_USER/xaring
	run_inside "tests/demo as root" '^exact: ([1-9][0-9]*) of \1 frames$' /root/xaring/tests/demo
	check "an ordinary user can sudo" add_user
	[ "${XARING_TEST:-}" != long ] || quick_run
	as_user "tests/demo as a user" '^exact: ([1-9][0-9]*) of \1 frames$' \
		/home/$TREE_USER/xaring/tests/demo
	check_end
}

main
