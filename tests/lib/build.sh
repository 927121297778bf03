# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Builds what scripts for people need. Sourced. Needs XARING_BUILD (the build folder) and XARING_SOURCE (the tree).

# build_targets TARGET...: into XARING_BUILD, which is configured first if need be. When that fails, it says so and ends.
build_targets() {
	local log=$XARING_BUILD.log/build
	mkdir -p "${log%/*}"
	cd "$XARING_SOURCE" || exit 1
	echo "Building into $XARING_BUILD"
	[ -e "$XARING_BUILD/build.ninja" ] ||
		meson setup "$XARING_BUILD" -Dtests=enabled -Dalsa=enabled -Dpipewire=enabled \
			>"$log" 2>&1 &&
		ninja -C "$XARING_BUILD" "$@" >>"$log" 2>&1 && return
	tail -n 20 "$log"
	echo "The build failed: $log"
	exit 1
}
