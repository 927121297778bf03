# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Roots that are kept from run to run, and the project's packages, built in such a root of the release that they are
# for. Sourced after bare.sh, in the tree; who sources it has say(). Needs WORK, a folder for logs.
# Kept in $BUILD_CACHE:
#   RELEASE-build-HASH   a root to build in; -i386 follows the release for that architecture
#   RELEASE-debs-HASH    the packages of those sources
# shellcheck disable=SC2016

BUILD_CACHE=$(cache_folder)/build

# Packages that dom0 and the guests get. Others that are built are for developers.
# shellcheck disable=SC2034
DEBS_DOM0="libxaring0 xaring-backend" DEBS_GUEST="libxaring0 libasound2-plugin-xen xaring-guest xaring-guest-default"

# keep_root NAME KEY ARCHITECTURE COMMAND...: makes the root NAME-KEY, which COMMAND... ROOT prepares, unless it is there
# and fresh. Those of other keys are not needed any more. ARCHITECTURE is empty for this machine's own.
keep_root() {
	local name=$1 root=$1-$2 architecture=$3
	! is_fresh "$root" || return 0
	say "making the root ${root##*/}: some minutes, the first time in a month"
	as_root rm -rf --one-file-system "$name"-????????????{,.new}
	# shellcheck disable=SC2086
	bare_make_tarball $architecture && bare_unpack "$root.new" $architecture &&
		"${@:4}" "$root.new" >"$WORK/root.log" 2>&1 && as_root mv "$root.new" "$root" &&
		as_root touch "$root" && return
	tail -n 20 "$WORK/root.log"
	return 1
}

# copy_sources FOLDER: what is in git, with what is not committed yet, and what is new but not ignored.
copy_sources() {
	as_root mkdir -p "$1"
	git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
		tar --null -T - --ignore-failed-read -cf - 2>/dev/null | as_root tar -C "$1" --no-same-owner -xf -
}

prepare_build_root() {
	copy_sources "$1/srv/packages" && bare_inside "$1" bash -ec '
		export DEBIAN_FRONTEND=noninteractive
		apt-get -q update
		apt-get -q -y install --no-install-recommends build-essential libcmocka-dev
		apt-get -q -y build-dep --no-install-recommends /srv/packages
		rm -r /srv/packages
	'
}

# build_root [i386]: sets BUILD_ROOT, with everything that a build needs installed.
build_root() {
	local name=$BUILD_CACHE/$BARE_RELEASE-build key
	[ -z "${1:-}" ] || name=$BUILD_CACHE/$BARE_RELEASE-$1-build
	key=$(sed -n '/^Build-Depends/,/^$/p' debian/control | hash_of)
	BUILD_ROOT=$name-$key
	mkdir -p "$BUILD_CACHE"
	keep_root "$name" "$key" "${1:-}" prepare_build_root
}

# Everything that ends up in packages.
packages_hash() {
	git -c safe.directory='*' ls-files -z --cached --others --exclude-standard -- . ':!tests' ':!*.md' |
		xargs -0 cat 2>/dev/null | hash_of
}

# build_debs_in ROOT FOLDER: the folder comes to be when all of them are built.
build_debs_in() {
	local root=$1 debs=$2 place=/srv/debs.$$
	copy_sources "$root$place/packages" && bare_inside "$root" bash -ec '
		cd "$0"
		export DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$(nproc)" DEB_BUILD_PROFILES=nocheck
		dpkg-buildpackage -us -uc -b
	' "$place/packages" >"$WORK/build.log" 2>&1 &&
		rm -rf "$debs.new" && mkdir "$debs.new" && cp "$root$place"/*.deb "$debs.new/" && mv "$debs.new" "$debs"
	set -- $?
	as_root rm -rf "$root$place"
	return "$1"
}

# build_debs [i386]: sets DEBS, the folder with all packages of these sources. Needs build_root before.
build_debs() {
	local name=$BUILD_CACHE/$BARE_RELEASE${1:+-$1}-debs
	DEBS=$name-$(packages_hash)
	[ ! -d "$DEBS" ] || return 0
	say "building the packages${1:+ of $1}"
	# Of other sources: another run may still be at those of today.
	find "$BUILD_CACHE" -maxdepth 1 -name "${name##*/}-*" -mtime +0 -exec rm -rf {} +
	build_debs_in "$BUILD_ROOT" "$DEBS" && return
	tail -n 20 "$WORK/build.log"
	return 1
}
