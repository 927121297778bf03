# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The guests' roots: Debian with the programs installed, kept, and the project's packages in a layer above it that is
# thrown away. Sourced after debs.sh. Needs WORK, and BARE_WORK of bare_open().
# Kept in $APPS_CACHE as RELEASE-KIND-HASH, of the list of packages.
# shellcheck disable=SC2016,SC2034

APPS_CACHE=$(cache_folder)/apps

# What each guest has, whatever its kind.
PACKAGES_EVERY="alsa-utils dbus iproute2 kmod procps"

# A kind of guest is a list of packages; a program says which kind it needs (KIND).
PACKAGES_alsa="sox libsox-fmt-alsa mpv ffmpeg mpd mpc mplayer gstreamer1.0-tools gstreamer1.0-alsa
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good python3-pyaudio
	python3-gst-1.0 libopenal1
	espeak-ng fluidsynth timgm6mb-soundfont"
# Sound servers, with clients of each protocol that they speak.
PACKAGES_pipewire="pipewire pipewire-bin wireplumber libspa-0.2-modules pipewire-pulse pulseaudio-utils pipewire-jack
	jack-stdio mpv sox"
PACKAGES_pulse="pulseaudio pulseaudio-utils mpv"
PACKAGES_browser="pipewire pipewire-bin wireplumber libspa-0.2-modules pipewire-pulse pulseaudio-utils firefox-esr
	chromium python3"
PACKAGES_i386="alsa-utils:i386"

# packages_for KIND: of this release.
packages_for() {
	local list=PACKAGES_$1 every=$PACKAGES_EVERY
	# Two packages of the same programs cannot be there at once.
	[ "$1" != i386 ] || every=${every/alsa-utils/}
	printf '%s\n' $every ${!list}
}

# add_i386 ROOT: a library must be of the same version for both architectures, and a mirror that has i386 need not have
# its updates. So all of this root is of the release as it came out.
add_i386() {
	bare_inside "$1" bash -ec '
		export DEBIAN_FRONTEND=noninteractive
		dpkg --add-architecture i386
		sed -i "/ $0 /!d" /etc/apt/sources.list
		printf "Package: *\nPin: release n=$0\nPin-Priority: 1001\n" >/etc/apt/preferences.d/release
		apt-get -q update
		apt-get -q -y -o Dpkg::Use-Pty=0 --allow-downgrades dist-upgrade
	' "$BARE_RELEASE"
}

# prepare_guest_root KIND ROOT
prepare_guest_root() {
	[ "$1" != i386 ] || add_i386 "$2" || return
	# shellcheck disable=SC2046
	bare_inside "$2" bash -ec '
		export DEBIAN_FRONTEND=noninteractive
		apt-get -q update
		apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
		useradd -m -u 1000 -s /bin/bash -G audio user
	' - $(packages_for "$1")
}

# kept_root KIND: sets KEPT_ROOT.
kept_root() {
	local name=$APPS_CACHE/$BARE_RELEASE-$1 key
	key=$({ packages_for "$1"; declare -f prepare_guest_root add_i386; } | hash_of)
	KEPT_ROOT=$name-$key
	mkdir -p "$APPS_CACHE"
	keep_root "$name" "$key" '' prepare_guest_root "$1"
}

# layer_on ROOT FOLDER: what is written to the folder's root does not reach the root below; where the kernel has no
# overlayfs it is a copy.
layer_on() {
	mkdir -p "$2"/{root,upper,work}
	if as_root mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root" 2>/dev/null; then
		at_exit "as_root umount -l '$2/root'"
	else
		as_root cp -aT --reflink=auto "$1" "$2/root"
	fi
}

# guest_debs KIND: the files of the packages that such a guest gets.
guest_debs() {
	local package
	build_root && build_debs || return
	GUEST_DEBS=()
	for package in $DEBS_GUEST; do GUEST_DEBS+=("$DEBS/${package}_"*.deb); done
	[ "$1" = i386 ] || return 0
	build_root i386 && build_debs i386 || return
	GUEST_DEBS+=("$DEBS"/{libxaring0,libasound2-plugin-xen}_*.deb)
}

guest_root_is_ready() {
	[ -e "$BARE_WORK/guest-$1/ready" ]
}

# guest_root KIND: makes a root with the programs and the project. Sets GUEST_ROOT.
guest_root() {
	local folder=$BARE_WORK/guest-$1
	GUEST_ROOT=$folder/root
	kept_root "$1" && guest_debs "$1" && layer_on "$KEPT_ROOT" "$folder" &&
		as_root mkdir -p "$GUEST_ROOT/srv/debs" && as_root cp "${GUEST_DEBS[@]}" "$GUEST_ROOT/srv/debs/" || return
	bare_inside "$GUEST_ROOT" sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
		install --no-install-recommends /srv/debs/*.deb' >"$WORK/guest.log" 2>&1 && touch "$folder/ready" && return
	tail -n 20 "$WORK/guest.log"
	return 1
}
