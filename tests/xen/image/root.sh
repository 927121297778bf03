#!/bin/sh
# SPDX-License-Identifier: MIT
# Settles an unpacked root: root.sh FOLDER NAME, where NAME is dom0 or guest. What differs from a fresh
# installation: people log in by themselves, what only costs time in an emulator is off, and the disk
# with the project is looked for at boot.
set -eu
root=$1 name=$2
etc=$root/etc

unit() {
	mkdir -p "$etc/systemd/system/$(dirname "$1")"
	cat >"$etc/systemd/system/$1"
}

user() {
	chroot "$root" useradd -m -s /bin/bash -u "$2" "$1"
}

everybody() {
	echo "$name" >"$etc/hostname"
	echo "127.0.0.1 localhost $name" >"$etc/hosts"
	printf '%s\n' Storage=volatile RuntimeMaxUse=32M >>"$etc/systemd/journald.conf"
	echo force-unsafe-io >"$etc/dpkg/dpkg.cfg.d/unsafe-io"
	chroot "$root" passwd -q -d root
	ln -sf /usr/share/zoneinfo/UTC "$etc/localtime"
	for each in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
		fstrim.timer dpkg-db-backup.timer systemd-random-seed.service systemd-pstore.service \
		systemd-update-utmp.service systemd-update-utmp-runlevel.service man-db.timer xendomains.service \
		systemd-networkd-wait-online.service systemd-hwdb-update.service \
		modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service \
		modprobe@fuse.service modprobe@dm_mod.service modprobe@loop.service \
		kmod-static-nodes.service ldconfig.service systemd-binfmt.service \
		proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount; do
		ln -sf /dev/null "$etc/systemd/system/$each"
	done
	mkdir -p "$etc/systemd/system-generators"
	for each in bless-boot cryptsetup debug gpt-auto hibernate-resume integritysetup rc-local run system-update \
		veritysetup; do
		ln -sf /dev/null "$etc/systemd/system-generators/systemd-$each-generator"
	done
	# No device of an emulated machine is worth a database of hardware; few are of use to anybody.
	rm -f "$root/usr/lib/udev/hwdb.bin" "$etc/udev/hwdb.bin"
	unit systemd-udev-trigger.service.d/few.conf <<-END
		[Service]
		ExecStart=
		ExecStart=udevadm trigger --action=add --subsystem-match=block --subsystem-match=misc
		ExecStart=udevadm trigger --action=add --sysname-match=hvc*
	END
	unit payload.service <<-END
		[Unit]
		Description=The disk with what is tested
		After=xen.service systemd-logind.service
		[Service]
		Type=exec
		ExecStartPre=/bin/mkdir -p /payload
		ExecStartPre=/bin/mount -o ro LABEL=payload /payload
		ExecStart=/payload/tests/xen/machine/boot-$name
		KillMode=process
		TimeoutStartSec=infinity
		[Install]
		WantedBy=multi-user.target
	END
	mkdir -p "$etc/systemd/system/multi-user.target.wants"
	ln -sf ../payload.service "$etc/systemd/system/multi-user.target.wants/"
}

# autologin TERMINAL USER
autologin() {
	unit "$1.d/autologin.conf" <<-END
		[Service]
		ExecStart=
		ExecStart=-/sbin/agetty --autologin $2 --noclear --keep-baud - linux
	END
}

# alice sits at the machine; bob logs in on the second terminal when a scenario asks for it.
dom0() {
	user alice 1000
	user bob 1001
	autologin getty@tty1.service alice
	autologin getty@tty2.service bob
	autologin serial-getty@hvc0.service root
	mkdir -p "$etc/systemd/logind.conf.d" "$etc/security/limits.d" "$etc/pipewire/pipewire.conf.d"
	# Nobody but those who are asked to log in, and nothing that logs out late.
	printf '[Login]\nNAutoVTs=0\nReserveVT=0\n' >"$etc/systemd/logind.conf.d/test.conf"
	# What RTKit does elsewhere.
	printf '%s - rtprio 95\n%s - nice -19\n%s - memlock 4194304\n' @users @users @users \
		>"$etc/security/limits.d/sound.conf"
	chroot "$root" usermod -a -G users alice
	chroot "$root" usermod -a -G users bob
	cat >"$etc/pipewire/pipewire.conf.d/test.conf" <<-END
		context.properties = {
		    default.clock.rate = 48000
		    default.clock.allowed-rates = [ 48000 ]
		    default.clock.quantum = 2048
		    default.clock.min-quantum = 2048
		    default.clock.max-quantum = 2048
		    vm.overrides = { default.clock.min-quantum = 2048 }
		}
		context.objects = [
		    { factory = adapter
		        args = {
		            factory.name     = support.null-audio-sink
		            node.name        = test-sink
		            node.description = "Test Sink"
		            media.class      = Audio/Sink
		            object.linger    = true
		            audio.rate       = 48000
		            audio.position   = [ FL FR ]
		        }
		    }
		]
	END
	# Debian has both kinds of xenstored; the kernel line says when it is not to be the usual one.
	cat >>"$etc/default/xen" <<-'END'
		grep -q 'xenstored=c' /proc/cmdline && XENSTORED=$(echo /usr/lib/xen-*/bin/xenstored)
	END
	ln -s gojq "$root/usr/bin/jq"
	# The consoles of guests become files.
	echo 'XENCONSOLED_ARGS="--log=guest"' >>"$etc/default/xen"
	echo 'autoballoon="off"' >"$etc/xen/xl.conf"
	mkdir -p "$root/var/log/xen/console"
	printf '%s\n' xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xen-blkback \
		>"$etc/modules-load.d/xen.conf"
}

guest() {
	user user 1000
}

everybody
"$name"
