#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Inside the booted root: what the user plays to the installed device is heard, frame by frame.
# heard.sh USER [DEVICE]
# shellcheck disable=SC2119
export XARING_SOURCE=/srv/xaring XARING_BUILD=/srv/xaring/build
XDG_RUNTIME_DIR=/run/user/$(id -u "$1")
export XDG_RUNTIME_DIR
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

FRAMES=96000

# What fills the sound's buffers goes first, whatever the limits of this machine are: a busy one would look
# like a fault of ours.
fill_first() {
	local pid task
	for pid in $(pgrep -x 'pipewire|xaring-worker'); do
		for task in "/proc/$pid/task"/*; do
			[ "${task##*/}" = "$pid" ] || chrt -f -p 88 "${task##*/}" 2>/dev/null
		done
	done
}

play() {
	runuser -u "$1" -- aplay -q ${2:+-D "$2"} -t raw -f S16_LE -c 2 -r 48000 "$SESSION/noise.raw"
}

session_here
unset ALSA_CONFIG_PATH
SESSION_SINK=speaker
chmod 0755 "$SESSION"
fill_first
noise "$SESSION/noise.raw" S16 2 $FRAMES
exact_check "heard: aplay ${2:+-D $2}" S16 2 "$SESSION/noise.raw" play "$@"
check_end
