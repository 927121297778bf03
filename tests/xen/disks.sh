# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The disks of a run: dom0.ext4 and guest.ext4, which are made once, are Debian with the project's packages installed,
# servers.ext4 is a guest with sound servers, for the scenario that has such guests, payload.ext4 has the packages and the scenarios, out.ext4 takes what they leave.
# Sourced after images.sh and debs.sh, which say where everything is. Needs WORK (a folder of the run), and for what is
# of one machine MACHINE (its folder).

PACKAGES_SERVERS="pipewire pipewire-bin pipewire-pulse wireplumber pulseaudio pulseaudio-utils"

# make_root_disk NAME BASE MB DEBIAN PACKAGE...: of the root BASE, with packages of DEBIAN (a list) and then the
# project's. They are installed as in any root that does not run; the next boot starts their services. An image that is
# there is used again when it is of the same.
# shellcheck disable=SC2016
make_root_disk() {
	local name=$1 base=$2 size_mb=$3 debian=$4 root=$WORK/$1 package key
	shift 4
	key="$IMAGES $DEBS $base $size_mb $debian $*"
	[ "$(cat "$WORK/$name.key" 2>/dev/null)" != "$key" ] || return 0
	say "installing the project in $name"
	rm -f "$WORK/$name.key" "$WORK/$name.ext4"
	as_root rm -rf --one-file-system "$root"
	as_root cp -a --reflink=auto "$IMAGES/$base" "$root" && as_root mkdir "$root/srv/debs" || return
	for package in "$@"; do as_root cp "$DEBS/${package}_"*.deb "$root/srv/debs/" || return; done
	# shellcheck disable=SC2086
	bare_inside "$root" sh -ec '
		export DEBIAN_FRONTEND=noninteractive
		[ $# -eq 0 ] || { apt-get -q update && apt-get -q -y install --no-install-recommends "$@"; }
		dpkg -i /srv/debs/*.deb
	' - $debian >"$WORK/$name.log" 2>&1 || { tail -n 20 "$WORK/$name.log" && return 1; }
	as_root rm -r "$root/srv/debs"
	as_root mke2fs -q -t ext4 -O ^has_journal -L "$name" -d "$root" -E root_owner=0:0 "$WORK/$name.ext4" \
		"${size_mb}M" >/dev/null && as_root rm -rf --one-file-system "$root" && echo "$key" >"$WORK/$name.key"
}

make_root_disks() {
	# shellcheck disable=SC2086
	make_root_disk dom0 dom0 1500 '' $DEBS_DOM0 && make_root_disk guest guest 1000 '' $DEBS_GUEST || return
	! has_servers || make_root_disk servers guest 1500 "$PACKAGES_SERVERS" $DEBS_GUEST
}

add_programs() {
	mkdir -p "$PAYLOAD/tests/lib" "$PAYLOAD/tests/xen"
	cp tests/lib/*.sh "$PAYLOAD/tests/lib/" &&
		cp -r tests/xen/{lib.sh,machine,scenario} "$PAYLOAD/tests/xen/" &&
		cp "$TOOLS_DIR"/lib/{sound-tap,sound-check,sound-make,coded-player,page-scan} "$PAYLOAD/tests/lib/" &&
		cp "$TOOLS_DIR"/xen/{xen-agent,grant-count,graph,clock-probe} "$PAYLOAD/tests/xen/"
}

add_packages() {
	local package
	mkdir -p "$PAYLOAD"/debs/{dom0,guest}
	for package in $DEBS_DOM0; do cp "$DEBS/${package}_"*.deb "$PAYLOAD/debs/dom0/" || return; done
	for package in $DEBS_GUEST; do cp "$DEBS/${package}_"*.deb "$PAYLOAD/debs/guest/" || return; done
}

# The small guests' initramfs: Debian's part, and behind it the project's.
add_small() {
	local dir=$MACHINE/small deb
	mkdir -p "$dir/payload"
	for deb in "$PAYLOAD"/debs/guest/*.deb; do dpkg-deb -x "$deb" "$dir" || return; done
	rm -rf "$dir"/usr/share/{doc,man}
	cp -r "$PAYLOAD/tests" "$dir/payload/" && cp tests/xen/machine/init "$dir/init" || return
	{
		cat "$IMAGES/small.cpio"
		(cd "$dir" && find . | cpio -o -H newc -R 0:0 --quiet)
	} >"$PAYLOAD/boot/small.cpio"
}

# make_disks SCENARIO...: or the word shell; of one machine, in its folder MACHINE.
make_disks() {
	PAYLOAD=$MACHINE/payload
	rm -rf "$MACHINE"
	mkdir -p "$PAYLOAD/boot"
	cp "$IMAGES"/{vmlinux,guest.cpio} "$PAYLOAD/boot/"
	echo "$*" >"$PAYLOAD/scenarios"
	echo "$XARING_TEST" >"$PAYLOAD/level"
	[ -z "$KEEP" ] || touch "$PAYLOAD/keep"
	add_programs && add_packages && add_small || return
	mke2fs -q -t ext4 -O ^has_journal -L payload -d "$PAYLOAD" "$MACHINE/payload.ext4" 400M >/dev/null &&
		mke2fs -q -t ext4 -O ^has_journal -L out "$MACHINE/out.ext4" 1G >/dev/null
}
