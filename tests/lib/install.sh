# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Installs Debian packages that are missing, as root or with sudo. Sourced.
# shellcheck disable=SC2034

# shellcheck source=tests/lib/as-root.sh
. "${BASH_SOURCE[0]%/*}/as-root.sh"

PACKAGES_BUILD="gcc libc6-dev meson ninja-build pkg-config libasound2-dev libpipewire-0.3-dev
	libseccomp-dev libjson-c-dev libncurses-dev libxen-dev libcmocka-dev"
PACKAGES_SESSION="pipewire pipewire-bin libspa-0.2-modules wireplumber dbus alsa-utils sox jq"

# Prints those of the packages that are not installed.
missing_packages() {
	local package
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			echo "$package"
	done
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
		-o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" </dev/null
}

# install_missing LOG PACKAGE...: 0 when all of them are there at the end.
install_missing() {
	local log=$1 missing
	shift
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "Missing: ${missing[*]}. Only apt-get is known here: install them by hand."
		return 1
	fi
	if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
		echo "Missing: ${missing[*]}. To install them run this as root, or as a user who can" \
			"sudo without a password; or:  sudo apt-get install ${missing[*]}"
		return 1
	fi
	echo "Installing ${#missing[@]} packages: ${missing[*]}"
	# The lists may be absent or old: they are fetched when the first attempt fails.
	apt_install "${missing[@]}" >"$log" 2>&1 && return 0
	as_root apt-get -q update </dev/null >>"$log" 2>&1
	apt_install "${missing[@]}" >>"$log" 2>&1 && return 0
	tail -n 20 "$log"
	echo "apt-get could not install them; its output is in $log"
	return 1
}
