#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Boots a kernel under QEMU with the sound cards that need no hardware, snd-dummy and snd-aloop, and runs
# checks of the ALSA suite on them. The kernel is the one that tests/xen/run keeps.
#
#   emulate-cards.sh BUILD FOLDER MARK SECONDS
#
# FOLDER/checks has a line "PCM PROGRAM CHECK" for each. Prints what each program says, followed by a line
# "MARK PCM PROGRAM CHECK CODE". Exits with 77, and the reason, when there is no kernel or no emulator.
set -u
SOURCE=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/debian.sh
. "$SOURCE/tests/lib/debian.sh"

BUILD=$1 FOLDER=$2 MARK=$3 SECONDS_EACH=$4
ROOT=$FOLDER/root
MODULES="soundcore snd snd-timer snd-pcm snd-hrtimer snd-dummy snd-aloop"
TIME_LIMIT=1800

skip() {
	echo "$*"
	exit 77
}

die() {
	echo "$*"
	tail -n 20 "$FOLDER/console" 2>/dev/null
	exit 1
}

find_kernel() {
	local kernel
	for kernel in "$(cache_folder)"/xen/bookworm-packages-*/kernel; do
		KERNEL=$(echo "$kernel"/boot/vmlinuz-*)
		MODULE_TREE=$(echo "$kernel"/lib/modules/*)
		[ ! -e "$KERNEL" ] || [ ! -d "$MODULE_TREE" ] || return 0
	done
	return 1
}

copy_modules() {
	local module
	mkdir -p "$ROOT/modules"
	for module in $MODULES; do
		find "$MODULE_TREE/kernel/sound" -name "$module.ko" -exec cp {} "$ROOT/modules" \;
	done
}

# copy_program FILE: with its libraries, to the paths that they have here.
copy_program() {
	local library
	cp "$1" "$ROOT/tests/"
	for library in $(ldd "$1" | grep -o '/[^ ]*'); do
		mkdir -p "$ROOT$(dirname "$library")"
		cp -Ln "$library" "$ROOT$library" 2>/dev/null || [ -e "$ROOT$library" ] || return
	done
}

copy_programs() {
	local program
	mkdir -p "$ROOT/tests"
	while read -r program; do
		copy_program "$BUILD/tests/alsa/$program" || return
	done < <(cut -d ' ' -f 2 "$FOLDER/checks" | sort -u)
	strip "$ROOT"/tests/* 2>/dev/null
	cp "$FOLDER/checks" "$ROOT/checks"
}

write_init() {
	cat >"$ROOT/init" <<-END
		#!/bin/sh
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		mount -t devtmpfs dev /dev
		ip link set lo up
		for module in $MODULES; do insmod /modules/\$module.ko; done
		echo $MARK begin
		while read -r pcm program check; do
		    XARING_TEST_PCM=\$pcm XARING_TEST_CHECK=\$check \
		        timeout -s KILL $SECONDS_EACH /tests/\$program </dev/null >/tmp/said 2>&1
		    code=\$?
		    cut -c -200 /tmp/said | head -n 60
		    echo "$MARK \$pcm \$program \$check \$code"
		done </checks
		echo $MARK end
		poweroff -f
	END
	chmod +x "$ROOT/init"
}

make_root() {
	mkdir -p "$ROOT"/{bin,proc,sys,dev,tmp,etc/alsa/conf.d,usr/share}
	cp "$BUSYBOX" "$ROOT/bin/busybox" && ln -s busybox "$ROOT/bin/sh" &&
		cp -r /usr/share/alsa "$ROOT/usr/share/" && copy_modules && copy_programs && write_init &&
		(cd "$ROOT" && find . | cpio -o -H newc --quiet | gzip -1) >"$FOLDER/initrd.gz"
}

# Time is counted in instructions, as in tests/xen/run: nothing there is late.
boot() {
	timeout --foreground -k 10 "$TIME_LIMIT" qemu-system-x86_64 -accel tcg,thread=single \
		-icount shift=0,sleep=off -rtc clock=vm -m 512 -smp 1 -display none -no-reboot -net none \
		-serial "file:$FOLDER/console" -monitor none -kernel "$KERNEL" -initrd "$FOLDER/initrd.gz" \
		-append "console=ttyS0 quiet panic=-1 tsc=reliable" </dev/null >"$FOLDER/emulator" 2>&1
	grep -aq "^$MARK end" "$FOLDER/console"
}

main() {
	local tool
	BUSYBOX=$(command -v busybox) || skip "busybox-static is not installed"
	for tool in qemu-system-x86_64 cpio; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
	find_kernel || skip "there is no kernel to boot: tests/xen/run --build gets one"
	make_root || die "the root for the kernel could not be made"
	boot || die "the kernel did not come to the end of its checks"
	sed "0,/^$MARK begin/d; /^$MARK end/,\$d" "$FOLDER/console"
}

main
