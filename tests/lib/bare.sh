# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Debian roots with nothing in them: made, kept, unpacked and entered. Sourced after check.sh,
# install.sh and debian.sh. Needs XARING_SOURCE (the tree). Tar files and packages are kept in
# ${XDG_CACHE_HOME:-/var/cache}/xaring (not root: ~/.cache/xaring).
# shellcheck disable=SC2016

BARE_CACHE=$(cache_folder)
BARE_RELEASE=${BARE_RELEASE:-bookworm}

bare_possible() {
	[ -z "${XARING_TEST_BARE:-}" ] || skip "this is the bare root already"
	command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"
	[ -n "$(mirrors $BARE_RELEASE)" ] || skip "apt of this machine knows no mirror of Debian"
	[ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null || skip "neither root nor sudo"
	as_root unshare --mount --pid --fork mount -t tmpfs none /mnt 2>/dev/null ||
		skip "this machine does not let root mount"
}

# The folder BARE_WORK for roots and logs, which is removed at the end.
bare_open() {
	BARE_WORK=$(mktemp -d /var/tmp/xaring-bare.XXXXXX) || exit 1
	at_exit "as_root rm -rf --one-file-system '$BARE_WORK'"
	bare_open_archives
}

# What apt fetches goes to BARE_WORK/archives: it locks that folder, and does not wait for another test.
bare_open_archives() {
	as_root mkdir -p "$BARE_WORK/archives/partial" "$BARE_CACHE/archives"
	bare_copy_archives "$BARE_CACHE/archives" "$BARE_WORK/archives"
	# What was fetched is there for the next test.
	at_exit "bare_copy_archives '$BARE_WORK/archives' '$BARE_CACHE/archives'"
}

# bare_copy_archives FROM TO: as links where both are on one disk.
bare_copy_archives() {
	local how
	for how in --link --reflink=auto; do
		as_root find "$1" -maxdepth 1 -name '*.deb' -exec cp $how -n -t "$2" {} + 2>/dev/null && return
	done
}

# bare_tarball [ARCHITECTURE]: the path of the tar file.
bare_tarball() {
	echo "$BARE_CACHE/$BARE_RELEASE-minbase${1:+-$1}.tar"
}

# bare_make_tarball [ARCHITECTURE]: this machine's own, or another one that it can run. Of that only the
# release itself is used: mirrors that have it need not have its updates.
bare_make_tarball() {
	local tarball options=() line
	tarball=$(bare_tarball "$@")
	! is_fresh "$tarball" || return 0
	mkdir -p "$BARE_CACHE"
	while read -r line; do options+=(--aptopt="$line"); done < <(apt_settings)
	[ $# -eq 0 ] || options+=(--architectures="$1" --skip=check/qemu)
	mirrors $BARE_RELEASE | grep -E "${1:+ $BARE_RELEASE }" |
		as_root mmdebstrap --variant=minbase --format=tar --include=ca-certificates \
			"${options[@]}" $BARE_RELEASE "$tarball.new" - >"$BARE_WORK/log" 2>&1 ||
		{ tail "$BARE_WORK/log"; return 1; }
	as_root mv "$tarball.new" "$tarball"
}

# bare_unpack ROOT [ARCHITECTURE]
bare_unpack() {
	mkdir -p "$1"
	as_root tar -C "$1" --numeric-owner -xf "$(bare_tarball "${@:2}")" || return
	as_root cp -L /etc/resolv.conf /etc/hosts "$1/etc/" 2>/dev/null
	apt_settings | as_root tee "$1/etc/apt/apt.conf.d/90machine" >/dev/null
	# It does not outlive the test: nothing need be safe on the disk.
	echo force-unsafe-io | as_root tee "$1/etc/dpkg/dpkg.cfg.d/unsafe-io" >/dev/null
}

# bare_copy_tree ROOT FOLDER: a fresh checkout, with what is not committed yet on top.
bare_copy_tree() {
	as_root mkdir -p "$1$2"
	if ! git -C "$XARING_SOURCE" rev-parse --git-dir >/dev/null 2>&1; then
		tar -C "$XARING_SOURCE" --exclude='./build*' -cf - . | as_root tar -C "$1$2" -xf -
		return
	fi
	as_root git -c safe.directory='*' clone -q --depth 1 "file://$XARING_SOURCE" "$1$2" || return
	git -C "$XARING_SOURCE" ls-files -z |
		tar -C "$XARING_SOURCE" --null -T - --ignore-failed-read -cf - |
		as_root tar -C "$1$2" --no-same-owner -xf -
}

# bare_inside ROOT COMMAND...: programs of its own in the root: mounts and processes end with the
# first one.
bare_inside() {
	as_root unshare --mount --pid --fork --kill-child --propagation private bash -c '
		root=$1 archives=$2
		shift 2
		mount -t proc proc "$root/proc" &&
		mount --rbind /dev "$root/dev" &&
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" &&
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp" &&
		mount -t tmpfs -o mode=0755 tmpfs "$root/run" && mkdir "$root/run/systemd" &&
		mount --bind "$archives" "$root/var/cache/apt/archives" || exit 99
		exec chroot "$root" /usr/bin/env -i HOME=/root CI=true LANG=C.UTF-8 \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			XARING_TEST_BARE=inside "$@"
	' - "$1" "$BARE_WORK/archives" "${@:2}" </dev/null
}

# bare_build_tools ROOT FOLDER TARGET...: builds those of the sources in that folder of the root.
bare_build_tools() {
	bare_inside "$1" bash -ec '
		cd "$0"
		[ -e build/build.ninja ] || meson setup build -Dauto_features=disabled -Dalsa=enabled \
			-Dpipewire=enabled -Dtests=enabled
		ninja -C build "$@"
	' "${@:2}" >"$BARE_WORK/tools.log" 2>&1 && return
	tail -n 20 "$BARE_WORK/tools.log" | bare_quote
	return 1
}

# Lines of something else's output, set off from our own.
bare_quote() {
	sed -u 's/^/          | /'
}
