# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The images that a run boots: hypervisor and kernel, the root of dom0, the root of the Debian guest,
# and the small guests' initramfs. Sourced after install.sh and debian.sh. Needs XARING_SOURCE.
#
# What is kept holds Debian's packages only, nothing of the project: its packages are installed in a copy of the
# roots for each run (disks.sh). Kept in $CACHE/xen, in folders whose names are a hash of what they are made of:
#   RELEASE-packages-HASH   roots as tar files, kernel, hypervisor: of the package lists
#   RELEASE-images-HASH     what is booted: of that, and of the scripts in image/

PACKAGES_XEN_HOST="qemu-system-x86 mmdebstrap e2fsprogs cpio busybox-static kmod xz-utils zstd"

XEN_DIR=$XARING_SOURCE/tests/xen
CACHE=$(cache_folder)/xen

PACKAGES_ROOT="systemd systemd-sysv dbus libpam-systemd udev kmod util-linux procps
	xenstore-utils alsa-utils"
# As a desktop's dom0: PipeWire and WirePlumber are the user's services, by their packages. A start of jq
# itself takes most of a second in the emulator.
PACKAGES_DOM0="dbus-user-session pipewire pipewire-bin pipewire-alsa wireplumber gojq iproute2
	init-system-helpers e2fsprogs libjson-c5 libncursesw6"
PACKAGES_GUEST="dbus-user-session"

# What Xen is called in a release.
xen_version() {
	case $1 in
	bookworm) echo 4.17 ;;
	trixie) echo 4.20 ;;
	*) return 1 ;;
	esac
}

# packages_of ROOT RELEASE: separated by commas.
packages_of() {
	local xen list
	xen=$(xen_version "$2")
	case $1 in
	dom0) list="$PACKAGES_ROOT $PACKAGES_DOM0 xen-utils-$xen" ;;
	guest) list="$PACKAGES_ROOT $PACKAGES_GUEST" ;;
	esac
	# shellcheck disable=SC2086
	echo $list | tr ' ' ','
}

packages_key() {
	{
		packages_of dom0 "$1"
		packages_of guest "$1"
		cat "$XEN_DIR/image/download-kernel"
		declare -f make_root unpack_kernel extract_kernel
	} | hash_of
}

images_key() {
	{
		packages_key "$1"
		cat "$XEN_DIR"/image/{root.sh,start}
		declare -f make_images settle_root make_start make_small copy_programs add_modules
		echo "$MODULES_DOM0 $MODULES_GUEST $MODULES_SMALL"
	} | hash_of
}

MODULES_DOM0="virtio_pci virtio_blk crc32c_generic ext4 xen-blkback xen-evtchn xen-gntdev xen-gntalloc
	xen-privcmd xenfs autofs4 loop"
MODULES_GUEST="xen-blkfront crc32c_generic ext4 xen-evtchn xen-gntalloc xenfs xen-privcmd autofs4"
MODULES_SMALL="xen-evtchn xen-gntalloc xenfs"

# make_root NAME RELEASE FOLDER: NAME.tar in the folder. The one of dom0 brings the kernel along.
make_root() {
	local name=$1 release=$2 dir=$3 options=() line
	while read -r line; do options+=(--aptopt="$line"); done < <(apt_settings)
	[ "$name" != dom0 ] || options+=(--customize-hook="$XEN_DIR/image/download-kernel")
	mirrors "$release" | as_root mmdebstrap --variant=minbase --format=tar \
		--include="$(packages_of "$name" "$release")" --aptopt='Apt::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' "${options[@]}" \
		"$release" "$dir/$name.tar" - >"$dir/$name.log" 2>&1 && return
	tail -n 20 "$dir/$name.log"
	return 1
}

# extract_kernel BZIMAGE: the ELF file in it. Decompressing it costs nothing here, and ten seconds of every
# guest's start in an emulator. Offsets are those of the kernel's boot protocol.
extract_kernel() {
	local sectors offset length tool
	sectors=$(od -An -t u1 -j $((0x1f1)) -N 1 "$1")
	offset=$(od -An -t u4 -j $((0x248)) -N 4 "$1")
	length=$(od -An -t u4 -j $((0x24c)) -N 4 "$1")
	offset=$(((sectors + 1) * 512 + offset))
	case $(od -An -t x1 -j $offset -N 4 "$1" | tr -d ' ') in
	fd377a58) tool=xz ;;
	28b52ffd) tool=zstd ;;
	1f8b*) tool=gzip ;;
	*) return 1 ;;
	esac
	# The last four bytes are the size.
	tail -c +$((offset + 1)) "$1" | head -c $((length - 4)) | $tool -dc
}

# unpack_kernel FOLDER: xen, vmlinux, version, and the modules as busybox can load them.
unpack_kernel() {
	local dir=$1 deb
	as_root tar -C "$dir" -xf "$dir/dom0.tar" ./debs || return
	for deb in "$dir"/debs/*.deb; do as_root dpkg-deb -x "$deb" "$dir/kernel"; done
	[ -d "$dir/kernel/lib" ] || as_root ln -s usr/lib "$dir/kernel/lib"
	as_root find "$dir/kernel/lib/modules/" -name '*.ko.xz' -exec xz -d {} +
	basename "$dir"/kernel/lib/modules/* >"$dir/version"
	as_root depmod -b "$dir/kernel" "$(cat "$dir/version")"
	extract_kernel "$dir"/kernel/boot/vmlinuz-* >"$dir/vmlinux" &&
		zcat "$dir"/kernel/boot/xen-*-amd64*.gz >"$dir/xen" && as_root rm -r "$dir/debs"
}

# modules_for NAME...: their files and those of what they need, in the order of loading.
modules_for() {
	local version name
	version=$(cat "$PACKAGES/version")
	for name in "$@"; do
		modprobe -d "$PACKAGES/kernel" -S "$version" --show-depends "$name" || return
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}

# add_modules ROOT NAME...: for modprobe.
add_modules() {
	local root=$1 version file files
	version=$(cat "$PACKAGES/version")
	shift
	files=$(modules_for "$@") || return
	for file in $files; do
		as_root install -D -m 0644 "$file" "$root/lib/modules/$version/${file#*/lib/modules/*/}"
	done
	as_root cp "$PACKAGES/kernel/lib/modules/$version"/modules.{builtin*,order} \
		"$root/lib/modules/$version/"
	as_root depmod -b "$root" "$version"
}

# make_start FILE NAME...: the initramfs that loads those modules and mounts the root.
make_start() {
	local file=$1 dir=$WORK/start modules module
	shift
	rm -rf "$dir"
	mkdir -p "$dir/bin" "$dir/modules"
	modules=$(modules_for "$@") || return
	for module in $modules; do
		cp "$module" "$dir/modules/" && basename "$module" >>"$dir/modules/list"
	done
	cp "$(command -v busybox)" "$dir/bin/busybox"
	install -m 0755 "$XEN_DIR/image/start" "$dir/init"
	(cd "$dir" && find . | cpio -o -H newc -R 0:0 --quiet) >"$file"
}

# settle_root NAME MODULE...: the root in the folder, as it will be booted.
settle_root() {
	local root=$IMAGES.new/$1
	mkdir -p "$root"
	as_root tar -C "$root" --exclude=./debs -xf "$PACKAGES/$1.tar" &&
		add_modules "$root" "${@:2}" &&
		as_root "$XEN_DIR/image/root.sh" "$root" "$1"
}

# Copies programs of a root, with the libraries that they need, to where they are there.
copy_programs() {
	local root=$1 to=$2 file
	shift 2
	for file in "$@"; do
		echo "$file"
		as_root chroot "$root" ldd "$file" 2>/dev/null | grep -oE '/[^ ]+'
	done | sort -u | while read -r file; do
		install -D -m 0755 "$root$file" "$to$file"
	done
}

# make_small FILE: the initramfs of small guests, without what the project brings: programs and libraries
# of the Debian guest's root, in which it was just unpacked.
make_small() {
	local file=$1 root=$IMAGES.new/guest dir=$WORK/small modules module each
	rm -rf "$dir"
	mkdir -p "$dir"/{bin,sbin,proc,sys,dev,tmp,run,root,modules,etc,usr/share} || return
	for each in lib lib64 bin sbin; do
		rm -rf "${dir:?}/$each"
		mkdir -p "$dir/usr/$each"
		ln -s "usr/$each" "$dir/$each"
	done
	copy_programs "$root" "$dir" /usr/bin/{aplay,setpriv} \
		/usr/bin/xenstore-{read,write,rm,list,exists} \
		/usr/lib/x86_64-linux-gnu/libsystemd.so.0
	cp -r "$root/usr/share/alsa" "$dir/usr/share/"
	cp "$(command -v busybox)" "$dir/bin/busybox"
	# shellcheck disable=SC2086
	modules=$(modules_for $MODULES_SMALL) || return
	for module in $modules; do
		cp "$module" "$dir/modules/" && basename "$module" >>"$dir/modules/list"
	done
	printf '%s\n' root:x:0:0::/root:/bin/sh user:x:1000:1000::/tmp:/bin/sh >"$dir/etc/passwd"
	printf '%s\n' root:x:0: audio:x:29: user:x:1000: >"$dir/etc/group"
	(cd "$dir" && find . | cpio -o -H newc -R 0:0 --quiet) >"$file"
}

# make_packages RELEASE: sets PACKAGES, the folder with the roots and the kernel.
make_packages() {
	local release=$1 name job jobs=()
	PACKAGES=$CACHE/$release-packages-$(packages_key "$release")
	! is_fresh "$PACKAGES" || return 0
	say "making the roots of $release: some minutes, the first time in a month"
	as_root rm -rf --one-file-system "$CACHE/$release"-packages-*
	mkdir -p "$PACKAGES.new"
	for name in dom0 guest; do
		make_root $name "$release" "$PACKAGES.new" &
		jobs+=($!)
	done
	for job in "${jobs[@]}"; do wait "$job" || return; done
	unpack_kernel "$PACKAGES.new" && mv "$PACKAGES.new" "$PACKAGES"
}

# make_images RELEASE: sets PACKAGES and IMAGES, the folder with xen, vmlinux, the roots dom0 and guest, dom0.cpio,
# guest.cpio and small.cpio.
make_images() {
	local release=$1
	make_packages "$release" || return
	IMAGES=$CACHE/$release-images-$(images_key "$release")
	! is_fresh "$IMAGES" || return 0
	say "making the images of $release"
	as_root rm -rf --one-file-system "$CACHE/$release"-images-*
	mkdir -p "$IMAGES.new"
	# shellcheck disable=SC2086
	cp "$PACKAGES"/{xen,vmlinux} "$IMAGES.new/" &&
		make_start "$IMAGES.new/dom0.cpio" virtio_pci virtio_blk crc32c_generic ext4 &&
		make_start "$IMAGES.new/guest.cpio" xen-blkfront crc32c_generic ext4 &&
		settle_root dom0 $MODULES_DOM0 &&
		settle_root guest $MODULES_GUEST &&
		make_small "$IMAGES.new/small.cpio" &&
		mv "$IMAGES.new" "$IMAGES"
}
