# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Builds the packages, and the tools of the tests, in a root of the release that they are for. Sourced after
# images.sh and bare.sh. Needs WORK (a folder of the run). The root is kept in $CACHE.

# Packages that dom0 and the guests get. Others that are built are for developers.
DEBS_DOM0="libxaring0 xaring-backend"
DEBS_GUEST="libxaring0 libasound2-plugin-xen xaring-guest xaring-guest-default"

# build_root RELEASE: sets BUILD_ROOT, with everything that a build needs installed.
build_root() {
	BUILD_ROOT=$CACHE/$1-build-$(sed -n '/^Build-Depends/,/^$/p' debian/control | hash_of)
	! is_fresh "$BUILD_ROOT" || return 0
	say "making a root of $1 to build in"
	as_root rm -rf --one-file-system "$CACHE/$1"-build-*
	bare_make_tarball && bare_unpack "$BUILD_ROOT.new" &&
		copy_sources "$BUILD_ROOT.new/srv/packages" &&
		bare_inside "$BUILD_ROOT.new" bash -ec '
			export DEBIAN_FRONTEND=noninteractive
			apt-get -q update
			apt-get -q -y install --no-install-recommends build-essential libcmocka-dev
			apt-get -q -y build-dep --no-install-recommends /srv/packages
		' >"$WORK/build-root.log" 2>&1 && as_root mv "$BUILD_ROOT.new" "$BUILD_ROOT" && return
	tail -n 20 "$WORK/build-root.log"
	return 1
}

# copy_sources FOLDER: what is in git, with what is not committed yet, and what is new but not ignored.
copy_sources() {
	as_root mkdir -p "$1"
	git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
		tar --null -T - --ignore-failed-read -cf - 2>/dev/null | as_root tar -C "$1" --no-same-owner -xf -
}

# Everything that ends up in packages.
packages_hash() {
	git -c safe.directory='*' ls-files -z --cached --others --exclude-standard -- . ':!tests' ':!*.md' |
		xargs -0 cat 2>/dev/null | hash_of
}

# build_debs: into WORK/debs, unless those that are there are of these sources.
build_debs() {
	local key
	key=$(packages_hash)
	[ "$(cat "$WORK/debs/key" 2>/dev/null)" != "$key" ] || return 0
	say "building the packages"
	rm -rf "$WORK/debs"
	mkdir -p "$WORK/debs"
	as_root rm -rf "$BUILD_ROOT/srv/packages"
	copy_sources "$BUILD_ROOT/srv/packages"
	bare_inside "$BUILD_ROOT" bash -ec '
		rm -f /srv/*.deb
		cd /srv/packages
		export DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$(nproc)" DEB_BUILD_PROFILES=nocheck
		dpkg-buildpackage -us -uc -b
	' >"$WORK/build.log" 2>&1 || return
	cp "$BUILD_ROOT"/srv/*.deb "$WORK/debs/" && echo "$key" >"$WORK/debs/key"
}

# build_tools: what is taken into the machine, in TOOLS_DIR.
build_tools() {
	TOOLS_DIR=$BUILD_ROOT/srv/tools/build/tests
	say "building the tools"
	copy_sources "$BUILD_ROOT/srv/tools"
	bare_build_tools "$BUILD_ROOT" /srv/tools tests/lib/sound-{tap,make,check} \
		tests/lib/{coded-player,page-scan} tests/xen/{xen-agent,grant-count,graph,clock-probe,libdeliver-once.so}
}

# build_all RELEASE
build_all() {
	build_root "$1" || return
	build_debs || { tail -n 20 "$WORK/build.log" && return 1; }
	build_tools
}
