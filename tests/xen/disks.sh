# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The disks of a run: payload.ext4 has what is tested and the scenarios, out.ext4 takes what they leave.
# Sourced after images.sh and build.sh, which say where everything is. Needs WORK (a folder of the run).

add_programs() {
	mkdir -p "$PAYLOAD/tests/lib" "$PAYLOAD/tests/xen"
	cp tests/lib/*.sh "$PAYLOAD/tests/lib/" &&
		cp -r tests/xen/{lib.sh,machine,scenario} "$PAYLOAD/tests/xen/" &&
		cp "$TOOLS_DIR"/lib/{sound-tap,sound-check,sound-make,coded-player} "$PAYLOAD/tests/lib/" &&
		cp "$TOOLS_DIR"/xen/{xen-agent,grant-count,graph,clock-probe} "$PAYLOAD/tests/xen/"
}

add_packages() {
	local package
	mkdir -p "$PAYLOAD"/debs/{dom0,guest}
	for package in $DEBS_DOM0; do cp "$WORK/debs/${package}_"*.deb "$PAYLOAD/debs/dom0/" || return; done
	for package in $DEBS_GUEST; do cp "$WORK/debs/${package}_"*.deb "$PAYLOAD/debs/guest/" || return; done
}

# The small guests' initramfs: Debian's part, and behind it the project's.
add_small() {
	local dir=$WORK/small deb
	rm -rf "$dir"
	mkdir -p "$dir/payload"
	for deb in "$PAYLOAD"/debs/guest/*.deb; do dpkg-deb -x "$deb" "$dir" || return; done
	rm -rf "$dir"/usr/share/{doc,man}
	cp -r "$PAYLOAD/tests" "$dir/payload/" && cp tests/xen/machine/init "$dir/init" || return
	{
		cat "$IMAGES/small.cpio"
		(cd "$dir" && find . | cpio -o -H newc -R 0:0 --quiet)
	} >"$PAYLOAD/boot/small.cpio"
}

# make_payload SCENARIO...: or the word shell.
make_payload() {
	PAYLOAD=$WORK/payload
	rm -rf "$PAYLOAD"
	mkdir -p "$PAYLOAD/boot"
	cp "$IMAGES"/{vmlinux,guest.cpio} "$PAYLOAD/boot/"
	echo "$*" >"$PAYLOAD/scenarios"
	echo "$XARING_TEST" >"$PAYLOAD/level"
	[ -z "$KEEP" ] || touch "$PAYLOAD/keep"
	add_programs && add_packages && add_small || return
	rm -f "$WORK"/{payload,out}.ext4
	mke2fs -q -t ext4 -O ^has_journal -L payload -d "$PAYLOAD" "$WORK/payload.ext4" 400M >/dev/null &&
		mke2fs -q -t ext4 -O ^has_journal -L out "$WORK/out.ext4" 1G >/dev/null
}
