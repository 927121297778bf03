# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A Debian root that is booted: systemd is its first process, with units, users and sessions, but with no
# kernel and no devices of its own. Sourced after bare.sh.
# shellcheck disable=SC2016

BARE_INIT='' BARE_PID=''

# Tells whether processes can be put into groups of their own, which systemd needs.
bare_can_boot() {
	local hierarchy
	hierarchy=$(find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -name cgroup.procs -printf '%h\n' -quit 2>/dev/null)
	[ -n "$hierarchy" ] && as_root mkdir "$hierarchy/xaring-bare-try" 2>/dev/null &&
		as_root rmdir "$hierarchy/xaring-bare-try"
}

# bare_boot ROOT: systemd and dbus must be installed there. Returns when it runs; one at a time. It ends
# with this script. A script is in a root that was not booted by itself: bare_on.
bare_boot() {
	local group=xaring-bare.$$
	rm -f "$BARE_WORK/init"
	at_exit "bare_halt $group"
	as_root bash -c '
		for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
			# A group of the oldest kind has no real-time priority before it is given some.
			[ ! -e "$hierarchy/cpu.rt_runtime_us" ] || continue
			[ -e "$hierarchy/cgroup.procs" ] && mkdir "$hierarchy/$3" || continue
			for limit in cpuset.cpus cpuset.mems; do
				[ ! -e "$hierarchy/$limit" ] || cat "$hierarchy/$limit" >"$hierarchy/$3/$limit"
			done
			echo $$ >"$hierarchy/$3/cgroup.procs"
		done
		exec unshare --mount --pid --fork --kill-child --cgroup --ipc --uts --propagation private \
			bash -c "$4" - "$1" "$2" "$5"
	' - "$1" "$BARE_WORK/archives" "$group" "$(bare_boot_script)" "$BARE_WORK/init" </dev/null \
		>"$BARE_WORK/boot" 2>&1 &
	BARE_PID=$!
	wait_for 30 test -s "$BARE_WORK/init" || return
	BARE_INIT=$(cat "$BARE_WORK/init")
	wait_for 60 bare_is_up
}

# Its own /dev, so that nothing of the machine is reached; its own view of the groups.
bare_boot_script() {
	cat <<'END'
root=$1 archives=$2
# The number that this process has outside.
read -r pid rest </proc/self/stat
mount --bind "$root" "$root" && cd "$root" &&
mount -t proc proc proc &&
mount -t sysfs -o ro sysfs sys &&
mount -t tmpfs -o mode=0755 tmpfs dev || exit
for name in null zero full random urandom tty; do
	touch dev/$name && mount --bind /dev/$name dev/$name
done
mkdir dev/shm dev/pts
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts &&
mount -t tmpfs -o mode=1777 tmpfs dev/shm &&
mount -t tmpfs -o mode=1777 tmpfs tmp &&
mount -t tmpfs -o mode=0755 tmpfs run &&
mount --bind "$archives" var/cache/apt/archives || exit
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
	mount -t cgroup2 cgroup2 sys/fs/cgroup
else
	mount -t tmpfs -o mode=0755 tmpfs sys/fs/cgroup
	while IFS=: read -r number names rest; do
		case ,$names, in
		*,cpu,*) [ ! -e /sys/fs/cgroup/cpu/cpu.rt_runtime_us ] || continue ;;
		esac
		case $number:$names in
		0:) folder=unified ;;
		*) folder=${names#name=} ;;
		esac
		mkdir "sys/fs/cgroup/$folder"
		case $names in
		'') mount -t cgroup2 cgroup2 "sys/fs/cgroup/$folder" ;;
		name=*) mount -t cgroup -o "none,$names" cgroup "sys/fs/cgroup/$folder" ;;
		*) mount -t cgroup -o "$names" cgroup "sys/fs/cgroup/$folder" ;;
		esac
	done </proc/self/cgroup
fi
hostname machine
echo "$pid" >"$3"
pivot_root . mnt && umount -l /mnt &&
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
END
}

# bare_on COMMAND...: in the booted root, as root.
bare_on() {
	as_root nsenter --all --target "$BARE_INIT" env -i HOME=/root LANG=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		DEBIAN_FRONTEND=noninteractive XARING_TEST_BARE=booted "$@" </dev/null
}

bare_is_up() {
	bare_on systemctl is-system-running 2>/dev/null | grep -qxE 'running|degraded'
}

# bare_halt GROUP: with its first process all of it ends.
bare_halt() {
	local folder
	[ -z "$BARE_INIT" ] || as_root kill -9 "$BARE_INIT" 2>/dev/null
	wait "$BARE_PID"
	BARE_INIT=''
	for folder in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
		[ ! -d "$folder" ] || as_root find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null
	done
}
