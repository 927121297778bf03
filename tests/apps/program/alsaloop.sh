# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# It plays what it records, until it is ended; without --sync=0 it resamples, as if there were two clocks.
KIND=alsa PACKAGE=alsa-utils

play() {
	guest alsaloop -C default -P default -f S16_LE -c 2 -r 48000 -t 200000 --sync=0
}

try() {
	loops
	result remark "with --sync=0, for it resamples otherwise"
}
