#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is installed is what the manual pages and the README name, and the device works from there;
# so does the build before it is installed, with the commands of the README.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# option NAME: of the build.
option() {
	meson introspect --buildoptions "$XARING_BUILD" |
		jq -r --arg name "$1" '.[] | select(.name == $name) | .value'
}

# as_usr: paths as they are with --prefix=/usr and libraries in /usr/lib.
as_usr() {
	sed -E "s|^$PREFIX/|/usr/|; s|^/usr/${LIBDIR#"$PREFIX"/}/|/usr/lib/|"
}

installed() {
	find "$ROOT" \( -type f -o -type l \) -printf '/%P\n' | as_usr | sort
}

# Sections FILES of the manual pages.
files_sections() {
	local page
	for page in "$XARING_SOURCE"/man/*.scd; do
		sed -n '/^# FILES/,/^# [^F]/p' "$page"
	done
}

# Whole files below /usr that a section FILES is about, and the links it says they have.
documented() {
	local line
	files_sections | grep '^_/' | while read -r line; do
		grep -oE '_/usr/[^_*]+_' <<<"$line" | tr -d _
		[[ $line == *", linked in _"* ]] &&
			echo "$(sed -E 's|.*, linked in _([^_]+)_.*|\1|' <<<"$line")/$(basename \
				"$(sed -E 's|^_([^_]+)_.*|\1|' <<<"$line")")"
	done
}

# What every package of this kind has, and no section FILES lists.
usual() {
	local page
	(cd "$XARING_SOURCE/libxaring/include" && printf '/usr/include/%s\n' xaring/*.h)
	printf '/usr/lib/libxaring.so%s\n' '' .0 ".$VERSION"
	echo /usr/lib/pkgconfig/xaring.pc
	printf '/usr/lib/alsa-lib/libasound_module_%s_xen.so\n' ctl pcm
	printf '/usr/%s\n' {bin,share/bash-completion/completions}/{xaring-pw,xaringctl}
	[ ! -e "$XARING_BUILD/libxaring/guestd/xaring-guestd" ] ||
		printf '/usr/%s\n' {bin,share/bash-completion/completions}/xaring-guestd \
			lib/systemd/system/xaring-guestd.{service,socket}
	[ "$(option systemd)" = disabled ] || printf '/usr/lib/systemd/%s/xaring-pw.service\n' system user
	[ ! -e "$XARING_BUILD/pw-backend/notify/xaring-notify" ] ||
		printf '/usr/%s\n' {bin,share/bash-completion/completions}/xaring-notify \
			lib/systemd/user/xaring-notify.service
	for page in "$XARING_BUILD"/man/*.[1-9]; do
		echo "/usr/share/man/man${page##*.}/${page##*/}"
	done
}

# Files that a command of the README or of a manual page links.
linked_by_hand() {
	cat "$XARING_SOURCE/README.md" "$XARING_SOURCE"/man/*.scd |
		sed -nE 's|.*\bln -s (/usr/[^ ]+) .*|\1|p' | sort -u
}

install_tree() {
	ROOT=$SESSION/root
	DESTDIR=$ROOT meson install -C "$XARING_BUILD" --no-rebuild >"$SESSION/log/install" 2>&1
	check_number "meson install: exit code" $? -eq 0
}

check_list() {
	local file
	check_number "files that the sections FILES name" "$(documented | wc -l)" -ge 6
	diff <({ documented; usual; } | sort) <(installed) >"$SESSION/diff"
	check "what is installed is what is documented (<) and the other way round (>)" \
		test ! -s "$SESSION/diff"
	cat "$SESSION/diff"
	check_number "files that the README links" "$(linked_by_hand | wc -l)" -ge 3
	linked_by_hand | while read -r file; do
		installed | grep -qxF "$file" || echo "$file"
	done >"$SESSION/absent"
	check "each of them is installed: $(tr '\n' ' ' <"$SESSION/absent")" test ! -s "$SESSION/absent"
}

# What changes a machine by being there is one link only.
check_quiet() {
	check "/etc gets one link" test "$(cd "$ROOT/etc" && find . ! -type d)" = \
		./alsa/conf.d/60-xen.conf
	check "that leads to an installed file" test -f "$ROOT$(readlink "$ROOT/etc/alsa/conf.d/60-xen.conf")"
	check "the backend that is installed starts" env LD_LIBRARY_PATH="$ROOT$LIBDIR" \
		"$ROOT$PREFIX/bin/xaring-pw" --version
}

check_units() {
	local unit
	while read -r unit; do
		check "${unit#"$ROOT"} starts the program that is installed" \
			test -x "$ROOT$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")"
	done < <(find "$ROOT" -name '*.service')
}

# A program that is built on the installed library.
check_library() {
	local flags
	cat >"$SESSION/user.c" <<-END
		#include <xaring/client.h>
		#include <xaring/server.h>

		int main(void)
		{
			struct xaring_client *client;
			int res = xaring_client_create("/nobody", "user", &client);

			if (res == 0)
				xaring_client_close(client);
			return res < 0;
		}
	END
	flags=$(PKG_CONFIG_SYSROOT_DIR=$ROOT PKG_CONFIG_LIBDIR=$ROOT$LIBDIR/pkgconfig \
		pkg-config --cflags --libs xaring)
	# shellcheck disable=SC2086
	check "a program builds with pkg-config xaring: $flags" \
		"${CC:-cc}" -o "$SESSION/user" "$SESSION/user.c" $flags
	check "and runs" env LD_LIBRARY_PATH="$ROOT$LIBDIR" "$SESSION/user"
}

# alsa_root: ALSA's own files, with the installed links in the place of the machine's.
alsa_root() {
	local link
	mkdir -p "$SESSION/alsa" "$SESSION/conf.d"
	cp -r /usr/share/alsa/. "$SESSION/alsa/"
	sed -i "s|\"/etc/alsa/conf.d\"|\"$SESSION/conf.d\"|" "$SESSION/alsa/alsa.conf"
	check "alsa.conf reads the folder of the links" grep -qF "$SESSION/conf.d" \
		"$SESSION/alsa/alsa.conf"
	for link in "$ROOT"/etc/alsa/conf.d/*; do
		ln -s "$ROOT$(readlink "$link")" "$SESSION/conf.d/"
	done
}

# from_root COMMAND...: with what is installed, and no server.
from_root() {
	env -u ALSA_CONFIG_PATH ALSA_CONFIG_DIR="$SESSION/alsa" ALSA_PLUGIN_DIR="$ROOT$LIBDIR/alsa-lib" \
		LD_LIBRARY_PATH="$ROOT$LIBDIR" XARING_SOCKET="$SESSION/nobody" timeout -k 5 60 "$@"
}

# description PCM: what aplay -L says of it.
description() {
	from_root aplay -L 2>/dev/null | awk -v pcm="$1" '$0 == pcm { found = 1; next }
		/^[^ ]/ { found = 0 } found' | sed 's/^ *//' | head -n 1
}

# plays_into_the_void PCM: one second takes one.
plays_into_the_void() {
	local begin took
	begin=$(now_ns)
	from_root aplay -q -D "$1" -d 1 -t raw -f cd "$SESSION/noise.raw" >"$SESSION/log/aplay" 2>&1 </dev/null
	check_number "-D $1: exit code" $? -eq 0
	took=$((($(now_ns) - begin) / 1000000))
	check_number "-D $1: time for a second (ms)" $took -ge 950
	check_number "-D $1: time for a second (ms)" $took -le 2000
	check "-D $1: aplay says nothing$(sed 's/^/: /' "$SESSION/log/aplay")" test ! -s "$SESSION/log/aplay"
}

maps_installed() {
	grep -qF "$ROOT$LIBDIR/alsa-lib/libasound_module_pcm_xen.so" "/proc/$1/maps" &&
		grep -qF "$ROOT$LIBDIR/libxaring.so" "/proc/$1/maps"
}

# timeout would be what is looked at otherwise.
check_loaded() {
	local pid
	env -u ALSA_CONFIG_PATH ALSA_CONFIG_DIR="$SESSION/alsa" ALSA_PLUGIN_DIR="$ROOT$LIBDIR/alsa-lib" \
		LD_LIBRARY_PATH="$ROOT$LIBDIR" XARING_SOCKET="$SESSION/nobody" \
		aplay -q -D xen -d 60 -t raw -f cd /dev/zero >"$SESSION/log/loaded" 2>&1 </dev/null &
	pid=$!
	check "what is loaded is what was installed" wait_for 10 maps_installed $pid
	end_process $pid
}

check_device() {
	alsa_root
	check "aplay -L: xen is \"$(description xen)\"" test "$(description xen)" = \
		"Sound of the host (xaring)"
	check "installing does not change the default device: \"$(description default)\"" \
		test -z "$(description default | grep xaring)"
	check_loaded
	plays_into_the_void xen
}

check_default() {
	ln -s "$ROOT/usr/share/alsa/alsa.conf.d/98-xen-default.conf" "$SESSION/conf.d/"
	check "98-xen-default.conf: default is \"$(description default)\"" \
		test "$(description default)" = "Default: sound of the host (xaring)"
	plays_into_the_void default
	from_root aplay -v -D default -d 1 -t raw -f cd "$SESSION/noise.raw" >"$SESSION/log/aplay" 2>&1 </dev/null
	check "-D default plays to xen" grep -q "^$SESSION/nobody: not connected" "$SESSION/log/aplay"
	if [ -e /usr/share/alsa/alsa.conf.d/99-pipewire-default.conf ]; then
		ln -s /usr/share/alsa/alsa.conf.d/99-pipewire-default.conf "$SESSION/conf.d/"
		check "PipeWire's default comes before it: \"$(description default)\"" \
			test -z "$(description default | grep xaring)"
	else
		note "PipeWire's ALSA plugin is not installed: its default is not tried"
	fi
}

# ---- the README's "By hand" ----

shows_work() {
	wpctl status >"$SESSION/status" 2>/dev/null
	sed -n '/Clients:/,/^$/p' "$SESSION/status" | grep -q '[0-9]\. work ' &&
		sed -n '/Streams:/,/^$/p' "$SESSION/status" | grep -q '[0-9]\. work'
}

check_uninstalled() {
	local pid here=()
	# What the README adds for root.
	[ "$(id -u)" -ne 0 ] || here=(--pipewire "$XDG_RUNTIME_DIR/pipewire-0")
	raw_to_wav "$SESSION/noise.raw" S16 2 44100 "$SESSION/music.wav"
	cd "$XARING_SOURCE" || exit 1
	"$XARING_BUILD/pw-backend/xaring-pw" --runtime-dir "$XDG_RUNTIME_DIR/xaring" \
		--config-dir conf/pipewire --vm work --vm personal "${here[@]}" >"$SESSION/log/xaring-pw" 2>&1 </dev/null &
	DAEMON_PID=$!
	wait_or_die 10 "xaring-pw: a socket" test -S "$XDG_RUNTIME_DIR/xaring/vm/work"
	cd "$XARING_BUILD/.." || exit 1
	ALSA_CONFIG_PATH=$(basename "$XARING_BUILD")/conf/uninstalled.conf timeout -k 5 60 \
		aplay -q -D "xen:SOCKET=$XDG_RUNTIME_DIR/xaring/vm/work" "$SESSION/music.wav" \
		>"$SESSION/log/uninstalled" 2>&1 </dev/null &
	pid=$!
	check "before installing: wpctl status has the client and the stream work" wait_for 5 shows_work
	wait $pid
	check_number "before installing: exit code of aplay" $? -eq 0
	check "before installing: aplay says nothing" test ! -s "$SESSION/log/uninstalled"
	ALSA_CONFIG_PATH=$XARING_BUILD/conf/uninstalled.conf aplay -L >"$SESSION/list" 2>/dev/null
	check "before installing: aplay -L has xen" grep -qx xen "$SESSION/list"
}

command -v meson >/dev/null || skip "meson is not installed"
session_open
PREFIX=$(option prefix)
LIBDIR=$PREFIX/$(option libdir)
VERSION=$(meson introspect --projectinfo "$XARING_BUILD" | jq -r .version)
noise "$SESSION/noise.raw" S16 2 132300
install_tree
check_list
check_quiet
check_units
check_library
check_device
check_default
session_start
check_uninstalled
check_end
