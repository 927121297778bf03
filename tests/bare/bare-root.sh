#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs tests/demo and tests/all --quick in a bare Debian 12: as root, and as an ordinary user who
# can sudo. The unpacked root is removed at the end; its tar file and the packages are kept in
# ${XDG_CACHE_HOME:-/var/cache}/xaring (not root: ~/.cache/xaring).
# shellcheck disable=SC2317,SC2016
set -u
SOURCE=${XARING_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
# shellcheck source=tests/lib/check.sh
. "$SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/install.sh
. "$SOURCE/tests/lib/install.sh"
# shellcheck source=tests/lib/debian.sh
. "$SOURCE/tests/lib/debian.sh"

CACHE=$(cache_folder)
TARBALL=$CACHE/bookworm-minbase.tar
TREE_USER=tester

check_possible() {
	[ -z "${XARING_TEST_BARE:-}" ] || skip "this is the bare root already"
	command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"
	[ -n "$(mirrors bookworm)" ] || skip "apt of this machine knows no mirror of Debian 12"
	[ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null || skip "neither root nor sudo"
	as_root unshare --mount --pid --fork mount -t tmpfs none /mnt 2>/dev/null ||
		skip "this machine does not let root mount"
}

make_tarball() {
	local options=() line
	! is_fresh "$TARBALL" || return 0
	mkdir -p "$CACHE"
	while read -r line; do options+=(--aptopt="$line"); done < <(apt_settings)
	mirrors bookworm | as_root mmdebstrap --variant=minbase --format=tar --include=ca-certificates \
		"${options[@]}" bookworm "$TARBALL.new" - >"$LOG" 2>&1 || { tail "$LOG"; return 1; }
	as_root mv "$TARBALL.new" "$TARBALL"
}

unpack() {
	as_root tar -C "$BARE" --numeric-owner -xf "$TARBALL" || return
	as_root cp -L /etc/resolv.conf /etc/hosts "$BARE/etc/" 2>/dev/null
	apt_settings | as_root tee "$BARE/etc/apt/apt.conf.d/90machine" >/dev/null
	as_root mkdir -p "$CACHE/archives/partial"
}

# copy_tree FOLDER: a fresh checkout, with what is not committed yet on top.
copy_tree() {
	as_root mkdir -p "$BARE$1"
	if ! git -C "$SOURCE" rev-parse --git-dir >/dev/null 2>&1; then
		tar -C "$SOURCE" --exclude='./build*' -cf - . | as_root tar -C "$BARE$1" -xf -
		return
	fi
	as_root git -c safe.directory='*' clone -q --depth 1 "file://$SOURCE" "$BARE$1" || return
	git -C "$SOURCE" ls-files -z | tar -C "$SOURCE" --null -T - --ignore-failed-read -cf - |
		as_root tar -C "$BARE$1" --no-same-owner -xf -
}

# Programs of its own in the root: mounts and processes end with the first one.
inside() {
	as_root unshare --mount --pid --fork --kill-child --propagation private bash -c '
		root=$1 cache=$2
		shift 2
		mount -t proc proc "$root/proc" &&
		mount --rbind /dev "$root/dev" &&
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" &&
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp" &&
		mount -t tmpfs -o mode=0755 tmpfs "$root/run" && mkdir "$root/run/systemd" &&
		mount --bind "$cache/archives" "$root/var/cache/apt/archives" || exit 99
		exec chroot "$root" /usr/bin/env -i HOME=/root CI=true LANG=C.UTF-8 \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			XARING_TEST_BARE=inside "$@"
	' - "$BARE" "$CACHE" "$@" </dev/null
}

# run_inside TEXT LAST-LINE COMMAND...: shows what it says; it must succeed with that last line.
run_inside() {
	local text=$1 last=$2 log res
	log=$(mktemp "$WORK/log.XXXXXX")
	shift 2
	inside "$@" 2>&1 | tee "$log" | sed -u 's/^/          | /'
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
	tail -v -n 40 "$out"/*/failed/*.log "$out"/*.log 2>/dev/null | sed 's/^/          | /'
}

add_user() {
	inside bash -c "apt-get -q update && apt-get -q -y install --no-install-recommends sudo &&
		useradd -m -s /bin/bash $TREE_USER && chown -R $TREE_USER: /home/$TREE_USER &&
		echo '$TREE_USER ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/tester" >"$LOG" 2>&1
}

main() {
	check_possible
	WORK=$(mktemp -d /var/tmp/xaring-bare.XXXXXX) || exit 1
	BARE=$WORK/root LOG=$WORK/log
	at_exit "as_root rm -rf --one-file-system '$WORK'"
	mkdir "$BARE"
	check "the bare root is made" make_tarball
	[ -s "$TARBALL" ] || check_end
	check "it is unpacked" unpack
	check "the tree is copied for root" copy_tree /root/xaring
	check "the tree is copied for a user" copy_tree /home/$TREE_USER/xaring
	run_inside "tests/demo as root" '^exact: ([1-9][0-9]*) of \1 frames$' /root/xaring/tests/demo
	check "an ordinary user can sudo" add_user
	as_user "tests/all --quick as a user" '^[0-9]+ passed, 0 failed, [0-9]+ skipped$' \
		/home/$TREE_USER/xaring/tests/all --quick
	[ "$CHECK_FAILED" -eq 0 ] || show_failures
	as_user "tests/demo as a user" '^exact: ([1-9][0-9]*) of \1 frames$' \
		/home/$TREE_USER/xaring/tests/demo
	check_end
}

main
