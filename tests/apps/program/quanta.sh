# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Quanta of the guest's PipeWire against those of dom0: neither side need know the other's.
KIND=pipewire PACKAGE=pipewire SERVER=pipewire
# shellcheck source=tests/apps/servers.sh
. "$APPS/servers.sh"

OURS="256 1024" DOM0="2048"
[ "$XARING_TEST" != long ] || { OURS="64 128 256 512 1024 2048" && DOM0="64 256 1024 2048"; }

setup() {
	pipewire_begins
}

play() {
	hurry
	padded "$SOUND" && guest pw-play --latency="$QUANTUM" padded.wav
}

# with_quanta GUEST DOM0
with_quanta() {
	local try
	QUANTUM=$1
	guest pw-metadata -n settings 0 clock.force-quantum "$1" >/dev/null
	pw-metadata -n settings 0 clock.force-quantum "$2" >/dev/null
	for try in 1 2 3 4 5 6; do
		perform noise
		tap_stop
		is_whole && break
		note "quantum $1, of dom0 $2, attempt $try: $(count_pieces) pieces ($(late_nodes))"
	done
	check "quantum $1, of dom0 $2: all of $(frames_of "$PLAYED") frames are exact" is_whole || show_pieces
}

try() {
	local ours theirs
	at_exit 'pw-metadata -n settings 0 clock.force-quantum 0 >/dev/null'
	for theirs in $DOM0; do
		for ours in $OURS; do with_quanta "$ours" "$theirs"; done
	done
}
