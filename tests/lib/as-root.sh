# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by check.sh and by install.sh: a script may have only one of them.

# as_root COMMAND...: with sudo, which asks for nothing, where we are not root.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}
