# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest, as far as a program can see: a root of its own, which it cannot write, its own processes, network and
# name, no sound card, and the socket of the VM in the place where xaring-guestd has it. Sourced after session.sh and
# roots.sh. One is open at a time. Programs run in it as the user with the number 1000, who is in the group audio, in
# his home, GUEST_HOME_INSIDE, which is GUEST_HOME outside.
# shellcheck disable=SC2016

GUEST_VM=guest GUEST_USER=user
GUEST_HOME_INSIDE=/home/$GUEST_USER
GUEST_PID='' GUEST_HOLDER='' GUEST_KEYS=''
# More variables for programs, of the form NAME=VALUE.
GUEST_ENV=()

# The first process of the guest. Where /proc is still the one outside, its number outside is there.
guest_script() {
	cat <<-'END'
		root=$1 home=$2 socket=$3 inside=$4
		read -r pid rest </proc/self/stat
		mount --bind "$root" "$root" && mount -o remount,bind,ro "$root" && cd "$root" &&
		mount -t proc proc proc &&
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
		mkdir -p run/xaring run/user/1000 && touch run/xaring/socket &&
		chown 1000:1000 run/user/1000 && chmod 0700 run/user/1000 &&
		mount --bind "$socket" run/xaring/socket &&
		mount --bind "$home" ".$inside" &&
		hostname guest || exit
		exec chroot . sh -c 'ip link set lo up && echo "$0" >&3 && exec 3>&- && exec sleep infinity' "$pid"
	END
}

# guest_open KIND: with an empty home; guest_root() must have been there.
guest_open() {
	local folder=$SESSION/guest
	GUEST_HOME=$folder/home GUEST_ROOT=$BARE_WORK/guest-$1/root
	as_root rm -rf "$folder"
	mkdir -p "$GUEST_HOME"
	as_root chown 1000:1000 "$GUEST_HOME"
	mkfifo "$folder/keys"
	as_root unshare --mount --pid --net --uts --ipc --fork --kill-child --propagation private bash -c \
		"$(guest_script)" - "$GUEST_ROOT" "$GUEST_HOME" "$(vm_socket $GUEST_VM)" $GUEST_HOME_INSIDE \
		3>"$folder/pid" >"$SESSION/log/guest" 2>&1 </dev/null &
	GUEST_HOLDER=$!
	wait_or_die 10 "a guest" test -s "$folder/pid"
	GUEST_PID=$(cat "$folder/pid")
	# It is open at both ends, so that no program sees an end.
	exec {GUEST_KEYS}<>"$folder/keys"
}

guest_close() {
	[ -n "$GUEST_HOLDER" ] || return 0
	as_root kill -9 "$GUEST_PID" 2>/dev/null
	wait "$GUEST_HOLDER" 2>/dev/null
	exec {GUEST_KEYS}>&-
	GUEST_HOLDER='' GUEST_PID=''
}

# guest_enter SETPRIV_OPTION... -- COMMAND...: before others of this machine, for a guest has processors of its own.
guest_enter() {
	as_root nice -n -15 nsenter --target "$GUEST_PID" --mount --pid --net --uts --ipc --root --wd /usr/bin/setpriv "$@"
}

# guest COMMAND...: as the user. XARING_DEBUG has the plugin say what a program asks of it.
guest() {
	guest_enter --reuid=1000 --regid=1000 --init-groups -- /usr/bin/env -i -C $GUEST_HOME_INSIDE \
		HOME=$GUEST_HOME_INSIDE USER=$GUEST_USER LOGNAME=$GUEST_USER LANG=C.UTF-8 TERM=xterm \
		PATH=/usr/local/bin:/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/1000 XARING_DEBUG=1 "${GUEST_ENV[@]}" "$@"
}

# ctl ARGUMENT...: dom0's xaringctl.
ctl() {
	"$XARING_BUILD/pw-backend/ctl/xaringctl" --socket "$SESSION/xaring/control" "$@"
}

# guest_keys TEXT: what a program reads that was started with guest_start.
guest_keys() {
	printf '%b' "$1" >&"$GUEST_KEYS"
}

# guest_start LOG FUNCTION...: in the background, until guest_wait; what it says is in LOG. GUEST_PROGRAM.
guest_start() {
	"${@:2}" >"$1" 2>&1 <&"$GUEST_KEYS" &
	GUEST_PROGRAM=$!
}

guest_has_ended() {
	is_gone_or_zombie "$GUEST_PROGRAM"
}

# guest_wait SECONDS: the exit code of what was started; 124 when the time is over, and then it is ended.
guest_wait() {
	local late=''
	wait_for "$1" guest_has_ended || { late=1 && guest_kill KILL; }
	wait "$GUEST_PROGRAM"
	set -- $?
	[ -z "$late" ] || return 124
	return "$1"
}

# guest_kill SIGNAL: to all that the user has running in the guest.
guest_kill() {
	guest_enter --reuid=1000 --regid=1000 --init-groups -- sh -c 'kill -s "$0" -- -1' "$1" 2>/dev/null
}

# guest_file FILE [NAME]: is in the user's home from now on.
guest_file() {
	as_root install -o 1000 -g 1000 -m 0644 "$1" "$GUEST_HOME/${2:-${1##*/}}"
}

# guest_write NAME: what comes on standard input is that file in the user's home.
guest_write() {
	as_root mkdir -p "$(dirname "$GUEST_HOME/$1")"
	as_root tee "$GUEST_HOME/$1" >/dev/null && as_root chown -R 1000:1000 "$GUEST_HOME"
}

# version_of PACKAGE: as it is installed in the guest, without what Debian adds.
version_of() {
	as_root chroot "$GUEST_ROOT" dpkg-query -W -f '${Version}\n' "$1" 2>/dev/null | head -n 1 |
		sed 's/^[0-9]*://; s/[-+].*//'
}
