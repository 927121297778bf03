# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Builds the packages, and the tools of the tests, in a root of the release that they are for. Sourced after debs.sh.

# build_tools: what is taken into the machine, in TOOLS_DIR.
build_tools() {
	# shellcheck disable=SC2034
	TOOLS_DIR=$BUILD_ROOT/srv/tools/build/tests
	say "building the tools"
	copy_sources "$BUILD_ROOT/srv/tools"
	bare_build_tools "$BUILD_ROOT" /srv/tools tests/lib/sound-{tap,make,check} \
		tests/lib/{coded-player,page-scan} tests/xen/{xen-agent,grant-count,graph,clock-probe,libdeliver-once.so}
}

build_all() {
	build_root && build_debs && build_tools
}
