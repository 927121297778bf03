# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What is needed to make roots of a Debian release by mmdebstrap: the mirrors and settings of this
# machine's apt, and a folder that keeps what was made. Sourced after install.sh.

# The folder in which roots, images and packages are kept from run to run.
cache_folder() {
	if [ -n "${XDG_CACHE_HOME:-}" ]; then
		echo "$XDG_CACHE_HOME/xaring"
	elif [ "$(id -u)" -eq 0 ]; then
		echo /var/cache/xaring
	else
		echo "$HOME/.cache/xaring"
	fi
}

# The release of this machine, such as bookworm.
own_release() {
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# mirrors RELEASE: the machine's own mirror of Debian, in the form that sources.list takes. Suites of
# another release are on the same mirror.
mirrors() {
	local own
	own=$(own_release)
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
		sort -u | sed -n "s/^\([^ ]*\) $own\([^ ]*\)\$/deb \1 $1\2 main/p"
}

# Proxies and the like, so that the root reaches the mirror in the way this machine does.
apt_settings() {
	apt-config dump | grep -E '^Acquire::(http|https|ftp|Check-|Force|Retries)' | grep -v ' "";$'
}

# is_fresh FILE: it is there, and young enough for its packages to be still on the mirror.
is_fresh() {
	[ -n "$(find "$1" -maxdepth 0 -mtime -30 2>/dev/null)" ]
}

hash_of() {
	sha256sum | cut -c1-12
}
