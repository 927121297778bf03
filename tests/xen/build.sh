# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Builds the project and the tests' tools for a release. Sourced after install.sh and debian.sh. Needs
# XARING_SOURCE, and WORK: a folder of the run.

# copy_tree FOLDER: what is in git, with what is not committed yet, and what is new but not ignored.
copy_tree() {
	mkdir -p "$1"
	git -c safe.directory='*' -C "$XARING_SOURCE" ls-files -z --cached --others --exclude-standard |
		tar -C "$XARING_SOURCE" --null -T - --ignore-failed-read -cf - 2>/dev/null |
		tar -C "$1" --no-same-owner -xf -
}

# build_tools TREE: the programs that a run takes into the machine, in TREE/build.
build_tools() {
	[ -e "$1/build/build.ninja" ] ||
		meson setup "$1/build" "$1" --prefix=/usr --sysconfdir=/etc --libdir=lib/x86_64-linux-gnu \
			-Dtests=enabled || return
	ninja -C "$1/build"
}
