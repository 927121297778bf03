#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the packages in a copy of the root that is kept for that (tests/lib/debs.sh); installs, uses, upgrades and
# removes them in a bare one, which is booted. What apt fetches is kept, see tests/lib/bare.sh. BARE_RELEASE=trixie does
# it on Debian 13.
# With XARING_TEST=long the unit tests run in the build, and the libraries are built for i386 as well and
# installed beside those of this machine.
# shellcheck disable=SC2016
set -u
XARING_SOURCE=${XARING_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/install.sh
. "$XARING_SOURCE/tests/lib/install.sh"
# shellcheck source=tests/lib/debian.sh
. "$XARING_SOURCE/tests/lib/debian.sh"
# shellcheck source=tests/lib/bare.sh
. "$XARING_SOURCE/tests/lib/bare.sh"
# shellcheck source=tests/lib/debs.sh
. "$XARING_SOURCE/tests/lib/debs.sh"
# shellcheck source=tests/lib/booted.sh
. "$XARING_SOURCE/tests/lib/booted.sh"

LIBRARIES="libxaring0 libasound2-plugin-xen"
GUEST="xaring-guest xaring-guest-default"
ALL="$LIBRARIES libxaring-dev $GUEST xaring-backend"
PLAYER=player
LEVEL=${XARING_TEST:-normal}
[ "$LEVEL" = long ] || NO_CHECK="DEB_BUILD_OPTIONS=nocheck DEB_BUILD_PROFILES=nocheck"
APT='apt-get -q -y -o Dpkg::Use-Pty=0'

# ---- building ----

say() {
	note "$@"
}

# make_build_root ROOT [i386]
make_build_root() {
	build_root "${@:2}" && as_root cp -a --reflink=auto "$BUILD_ROOT" "$1"
}

# build ROOT: all packages, and those of a later version, in ROOT/packages/first and next.
build() {
	bare_inside "$1" bash -ec "
		export DEBIAN_FRONTEND=noninteractive ${NO_CHECK:-}
		cd /srv/xaring
		$APT update
		$APT install --no-install-recommends lintian
		dpkg-buildpackage -us -uc -b
		mkdir -p /packages/first /packages/next
		mv ../*.deb ../*.changes ../*.buildinfo /packages/first/
		rm debian/files
		sed -i '1s/([^)]*)/($NEXT_VERSION)/' debian/changelog
		dpkg-buildpackage -us -uc -b -nc
		mv ../*.deb /packages/next/
		for folder in /packages/*; do
			cd \$folder
			dpkg-scanpackages --multiversion . >Packages
		done
	" >"$BARE_WORK/build.log" 2>&1 && return
	tail -n 30 "$BARE_WORK/build.log" | bare_quote
	return 1
}

deb() {
	echo "$BUILD/packages/first/${1}_${VERSION}_${2:-$(dpkg --print-architecture)}.deb"
}

field() {
	dpkg-deb -f "$(deb "$@")" "$FIELD"
}

# contents PACKAGE ARCHITECTURE: mode, owner and path of each file.
contents() {
	dpkg-deb -c "$(deb "$@")" | awk '{ print $1, $2, $6, $7, $8 }'
}

# Nobody else may write what is installed, and nothing gets a privilege by being executed.
odd_modes() {
	contents "$@" | grep -vE '^(drwxr-xr-x|-rw-r--r--|lrwxrwxrwx) root/root ' |
		grep -vE '^-rwxr-xr-x root/root \./usr/bin/'
}

judge_package() {
	local package=$1 architecture
	case $package in
	xaring-guest-default) architecture=all ;;
	*) architecture=$(dpkg --print-architecture) ;;
	esac
	check "$package is built" test -s "$(deb "$package" "$architecture")" || return
	odd_modes "$package" "$architecture" >"$BARE_WORK/odd"
	check "$package: modes and owners" test ! -s "$BARE_WORK/odd"
	cat "$BARE_WORK/odd"
}

# needs PACKAGE FILE: the libraries that it names.
needs() {
	rm -rf "$BUILD/srv/unpacked"
	dpkg-deb -x "$(deb "$1")" "$BUILD/srv/unpacked"
	find "$BUILD/srv/unpacked" -name "$2" -type f -exec readelf -dW {} + |
		sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

judge_packages() {
	local package
	for package in $ALL; do judge_package "$package"; done
	for package in $LIBRARIES libxaring-dev; do
		check "$package can be there for several architectures" \
			test "$(FIELD=Multi-Arch field "$package")" = same
	done
	check "xaring-guest recommends its default" \
		test "$(FIELD=Recommends field xaring-guest)" = xaring-guest-default
	check "accounts are made without adduser" \
		test "$(FIELD=Depends field xaring-backend | grep -c adduser)" = 0
	for package in "libxaring0 libxaring.so.*" "libasound2-plugin-xen libasound_module_pcm_xen.so"; do
		# shellcheck disable=SC2086
		needs ${package% *} "${package#* }" >"$BARE_WORK/needs"
		check "${package% *} needs the C library" grep -q '^libc\.so' "$BARE_WORK/needs"
		check "${package% *} needs no library of Xen" sh -c "! grep libxen '$BARE_WORK/needs'"
	done
	bare_inside "$BUILD" sh -c 'lintian --fail-on error /packages/first/*.changes' \
		>"$BARE_WORK/lintian" 2>/dev/null
	check "lintian finds no error" test $? -eq 0
	bare_quote <"$BARE_WORK/lintian"
}

# ---- the machine ----

# on TEXT COMMAND...: as bare_on; shows what was said when it fails.
on() {
	local text=$1
	shift
	bare_on "$@" >"$BARE_WORK/on" 2>&1
	check "$text" test $? -eq 0 || tail -n 20 "$BARE_WORK/on" | bare_quote
}

# offer first|next: what apt of the machine finds.
offer() {
	as_root rm -rf "$MACHINE/srv/packages"
	as_root cp -r "$BUILD/packages/$1" "$MACHINE/srv/packages"
	bare_on $APT -o Dir::Etc::SourceList=/etc/apt/sources.list.d/xaring.list \
		-o Dir::Etc::SourceParts=- -o APT::Get::List-Cleanup=0 update >"$BARE_WORK/on" 2>&1
}

make_machine() {
	bare_unpack "$MACHINE" &&
		as_root cp -r "$BUILD/var/lib/apt/lists" "$MACHINE/var/lib/apt/" &&
		bare_inside "$MACHINE" bash -ec "
			export DEBIAN_FRONTEND=noninteractive
			$APT install --no-install-recommends systemd systemd-sysv dbus dbus-user-session \
				libpam-systemd procps alsa-utils
			useradd -m -s /bin/bash $PLAYER
			echo 'deb [trusted=yes] file:/srv/packages ./' >/etc/apt/sources.list.d/xaring.list
			mkdir -p /srv/xaring/build/tests
		" >"$BARE_WORK/machine.log" 2>&1 &&
		as_root cp -r "$BUILD/srv/xaring/tests" "$MACHINE/srv/xaring/" &&
		as_root cp -r "$BUILD/srv/xaring/debian" "$MACHINE/srv/xaring/" &&
		as_root cp -r "$BUILD/srv/xaring/build/tests/lib" "$MACHINE/srv/xaring/build/tests/" && return
	tail -n 20 "$BARE_WORK/machine.log" | bare_quote
	return 1
}

# What our packages bring along is there first, so that the comparison afterwards is of ours alone.
install_others() {
	local others
	others=$(bare_on $APT -s install $ALL pipewire wireplumber | sed -n 's/^Inst \([^ ]*\) .*/\1/p' |
		grep -vxF "$(tr ' ' '\n' <<<"$ALL")")
	# shellcheck disable=SC2086
	bare_on $APT install --no-install-recommends $others >"$BARE_WORK/on" 2>&1 ||
		{ tail -n 20 "$BARE_WORK/on" | bare_quote && return 1; }
}

# The user's PipeWire has a sink that can be listened to, and nothing else.
configure_sound() {
	as_root mkdir -p "$MACHINE/etc/pipewire/pipewire.conf.d" "$MACHINE/etc/pipewire/xaring-pw.conf.d"
	as_root tee "$MACHINE/etc/pipewire/pipewire.conf.d/10-test.conf" >/dev/null <<-END
		context.properties = {
		    default.clock.quantum = 2048
		    default.clock.min-quantum = 2048
		    vm.overrides = { default.clock.min-quantum = 2048 }
		}
		context.objects = [
		    { factory = adapter
		        args = { factory.name = support.null-audio-sink node.name = speaker
		            media.class = Audio/Sink audio.position = [ FL FR ] object.linger = true } }
		]
	END
}

# There is no screen at which somebody could be seen.
name_player() {
	echo "xaring.properties = { audio.user = $PLAYER }" |
		as_root tee "$MACHINE/etc/pipewire/xaring-pw.conf.d/test.conf" >/dev/null
	bare_on systemctl restart xaring-pw.service
}

id_of_player() {
	sed -n "s/^$PLAYER:x:\([0-9]*\):.*/\1/p" "$MACHINE/etc/passwd"
}

as_player() {
	bare_on runuser -u $PLAYER -- env XDG_RUNTIME_DIR="/run/user/$(id_of_player)" \
		DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$(id_of_player)/bus" "$@"
}

sound_node_exists() {
	as_player pw-cli ls Node 2>/dev/null | grep -qF "node.name = \"$1\""
}

sound_node_is_gone() {
	as_player pw-cli ls Node >"$BARE_WORK/nodes" 2>/dev/null && ! grep -qF "node.name = \"$1\"" "$BARE_WORK/nodes"
}

log_in() {
	bare_on loginctl enable-linger $PLAYER && wait_for 30 sound_node_exists speaker
}

# Everything that is there, but what changes by itself and what is not the packages'.
everything() {
	as_root find "$MACHINE" -xdev \( -path '*/var/lib/apt' -o -path '*/var/lib/dpkg' -o -path '*/var/log' \
		-o -path '*/var/cache' -o -path '*/home' -o -path '*/srv' -o -path '*/root' -o -path '*/tmp' \
		-o -path '*/var/lib/systemd/*' \) -prune -o -printf '%y %m %U:%G %P %l\n' | sort -k 4
}

# is_state STATE COMMAND...: what systemctl answers.
is_state() {
	test "$(bare_on systemctl "${@:2}")" = "$1"
}

process_of() {
	bare_on systemctl show --value -p MainPID "$1"
}

# Of which version the running program is: what was removed from the disk is an old one.
runs_installed_program() {
	local program
	program=$(bare_on readlink "/proc/$(process_of xaring-pw.service)/exe")
	test "$program" = /usr/bin/xaring-pw
}

version_is() {
	local package
	for package in $ALL; do
		test "$(bare_on dpkg-query -W -f '${Version}' "$package")" = "$1" || return
	done
}

is_installed() {
	test "$(bare_on dpkg-query -W -f '${db:Status-Status}' "$1")" = installed
}

no_unit_failed() {
	bare_on systemctl list-units --failed --plain --no-legend >"$BARE_WORK/failed"
	bare_quote <"$BARE_WORK/failed"
	test ! -s "$BARE_WORK/failed"
}

link_leads() {
	test -L "$MACHINE$1" && bare_on test -r "$1"
}

heard() {
	local code text
	bare_on /srv/xaring/tests/packages/heard.sh $PLAYER "$@" >"$BARE_WORK/heard" 2>&1
	code=$?
	text=$(sed -nE '/heard/s/^ *[0-9.]+ [a-zA-Z]* *//p' "$BARE_WORK/heard")
	check "${text:-heard}" test $code -eq 0
}

backend_works() {
	check "$1: xaring-pw is enabled" is_state enabled is-enabled xaring-pw.service
	check "$1: xaring-pw runs" wait_for 10 is_state active is-active xaring-pw.service
	check "$1: it runs from what is installed" runs_installed_program
}

# A manager forgets of a unit that has ended how it did.
notify_has_said() {
	bare_on journalctl -q -b -o cat | grep -q "$1"
}

# Nobody is at a screen here, so it may not speak to xaring-pw; under its unit it finds that out.
try_notify() {
	as_player systemctl --user daemon-reload
	as_player timeout 20 systemctl --user start --wait xaring-notify.service
	check "who is not at the screen is not asked, which is no failure" test $? -eq 0
	check "the program itself has found that out" wait_for 10 notify_has_said 'nothing to do here: '
}

try_backend() {
	on "apt install xaring-backend" $APT install xaring-backend libasound2-plugin-xen
	backend_works "installed"
	check "a user's own backend is left to the user" \
		is_state disabled --global is-enabled xaring-pw.service
	check "questions are for everybody at the screen" \
		is_state enabled --global is-enabled xaring-notify.service
	check "its socket is there" wait_for 10 bare_on test -S /run/xaring/socket
	check "with nobody to hear it, its worker has an account of its own" \
		bare_on sh -c 'pgrep -u xaring -x xaring-worker >/dev/null'
	check "it plays to a user" name_player
	heard xen
	try_notify
	on "debian/tests/plays" /srv/xaring/debian/tests/plays
	on "apt install --reinstall" $APT install --reinstall xaring-backend $LIBRARIES
	backend_works "reinstalled"
}

DEFAULT_LINKS="/etc/alsa/conf.d/98-xen-default.conf /etc/pipewire/pipewire.conf.d/50-xen.conf
	/etc/pulse/default.pa.d/xen.pa"

# The first line of what aplay says about the default device.
default_is_xen() {
	as_player timeout 20 aplay -v -d 1 /dev/zero 2>&1 | grep -q 'xaring'
}

default_is_not_xen() {
	! default_is_xen
}

# Without Xen it is left alone; but under its unit it can start, and say what is missing.
try_guest_daemon() {
	local unit res
	for unit in xaring-guestd.service xaring-guestd.socket; do
		check "$unit is enabled" is_state enabled is-enabled $unit
		check "$unit waits for Xen" is_state inactive is-active $unit
	done
	bare_on sh -c "$(guest_daemon_anyway)" >"$BARE_WORK/on" 2>&1
	check "xaring-guestd starts under its unit" wait_for 20 is_state active is-active xaring-guestd.service
	as_player xaring-guestd --status >"$BARE_WORK/status" 2>&1
	res=$?
	check "anybody is told what is missing: $(grep -m 1 -i xen "$BARE_WORK/status" | xargs)" test $res -eq 1
	bare_on systemctl stop xaring-guestd.service xaring-guestd.socket
	bare_on sh -c 'rm -r /run/systemd/system/xaring-guestd.*.d; systemctl daemon-reload'
}

# Without the conditions, and the devices that are not there.
guest_daemon_anyway() {
	cat <<-'END'
		for unit in xaring-guestd.service xaring-guestd.socket; do
			mkdir -p /run/systemd/system/$unit.d
			printf '[Unit]\nConditionPathExists=\n' >/run/systemd/system/$unit.d/test.conf
		done
		printf '[Service]\nBindPaths=\n' >>/run/systemd/system/xaring-guestd.service.d/test.conf
		systemctl daemon-reload
		systemctl start xaring-guestd.service
	END
}

try_guest() {
	local link
	# What PipeWire of the guest plays would come back to it: here both are one machine.
	bare_on systemctl stop xaring-pw.service
	check "the default device is another one" default_is_not_xen
	on "apt install xaring-guest" $APT install xaring-guest
	check "its default comes along" is_installed xaring-guest-default
	for link in $DEFAULT_LINKS; do check "$link leads somewhere" link_leads "$link"; done
	check "ALSA's default device is xen" default_is_xen
	check "the running PipeWire has it" wait_for 20 sound_node_exists xen_output
	try_guest_daemon
	check "no unit has failed" no_unit_failed
	on "apt remove xaring-guest-default" $APT remove xaring-guest-default
	for link in $DEFAULT_LINKS; do check "$link is gone" bare_on test ! -L "$link"; done
	check "the default device is the old one" default_is_not_xen
	check "the running PipeWire has it no more" wait_for 20 sound_node_is_gone xen_output
	check "xaring-guest stays" is_installed xaring-guest
	on "apt install xaring-guest-default" $APT install xaring-guest-default libxaring-dev
	check "the running PipeWire has it again" wait_for 20 sound_node_exists xen_output
	on "apt install --reinstall of a guest's" $APT install --reinstall $GUEST
	check "ALSA's default device is xen still" default_is_xen
}

try_upgrade() {
	local before
	bare_on systemctl start xaring-pw.service
	before=$(process_of xaring-pw.service)
	check "a later version is offered" offer next
	on "apt upgrade" $APT upgrade
	check "all packages are of the later version" version_is "$NEXT_VERSION"
	backend_works "upgraded"
	check "xaring-pw was restarted" test "$(process_of xaring-pw.service)" != "$before"
}

try_purge() {
	on "apt purge" $APT purge $ALL
	as_root rm "$MACHINE/etc/pipewire/xaring-pw.conf.d/test.conf"
	everything >"$BARE_WORK/after"
	diff "$BARE_WORK/before" "$BARE_WORK/after" >"$BARE_WORK/left"
	check "nothing is left behind, and nothing is missing" test $? -eq 0
	bare_quote <"$BARE_WORK/left"
	check "no unit has failed" no_unit_failed
	check "xaring-pw is gone" test "$(process_of xaring-pw.service)" = 0
	check "nothing of it runs" bare_on sh -c '! pgrep -x "xaring-.*"'
}

# Programs of two architectures in one guest: dpkg compares the files that both packages have.
try_i386() {
	local root=$BARE_WORK/i386 package
	if ! bare_make_tarball i386; then
		note "not on i386: the mirror does not have it"
		return
	fi
	check "there is one of i386 to build in" make_build_root "$root" i386 || return
	check "the tree is copied" bare_copy_tree "$root" /srv/xaring
	check "dpkg-buildpackage on i386" build "$root"
	bare_on dpkg --add-architecture i386
	for package in $LIBRARIES; do
		as_root cp "$root/packages/first/${package}_${VERSION}_i386.deb" \
			"$BUILD/packages/first/${package}_${VERSION}_$(dpkg --print-architecture).deb" \
			"$MACHINE/srv/"
	done
	on "the libraries of both are there" sh -c 'dpkg --force-depends -i /srv/lib*.deb'
	for package in $LIBRARIES; do
		check "$package: $(bare_on dpkg-query -W -f '${Architecture} ' "$package")" \
			test "$(bare_on dpkg-query -W -f '${db:Status-Status} ' "$package")" = "installed installed "
	done
}

main() {
	cd "$XARING_SOURCE" || exit 1
	bare_possible
	bare_can_boot || skip "systemd cannot be started here: groups of processes cannot be made"
	bare_open
	WORK=$BARE_WORK
	BUILD=$BARE_WORK/build MACHINE=$BARE_WORK/machine
	VERSION=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$XARING_SOURCE/debian/changelog")
	NEXT_VERSION=$VERSION+next
	check "the bare root is made" bare_make_tarball
	[ -s "$(bare_tarball)" ] || check_end
	check "there is one to build in" make_build_root "$BUILD"
	check "the tree is copied" bare_copy_tree "$BUILD" /srv/xaring
	check "dpkg-buildpackage" build "$BUILD"
	[ "$CHECK_FAILED" -eq 0 ] || check_end
	judge_packages
	check "the tools that listen are built" \
		bare_build_tools "$BUILD" /srv/xaring tests/lib/sound-{tap,make,check}
	check "another root is made" make_machine
	check "it is booted" bare_boot "$MACHINE"
	[ "$CHECK_FAILED" -eq 0 ] || check_end
	check "the packages are offered" offer first
	check "what they depend on is installed" install_others
	configure_sound
	check "a user is logged in, with PipeWire" log_in
	everything >"$BARE_WORK/before"
	try_backend
	try_guest
	try_upgrade
	try_purge
	[ "$LEVEL" != long ] || try_i386
	check_end
}

main
