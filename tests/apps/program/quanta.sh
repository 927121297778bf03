# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Quanta of the guest's PipeWire against those of dom0: neither side need know the other's.
KIND=pipewire PACKAGE=pipewire SERVER=pipewire EACH=1
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

# peer_is_whole QUANTUM: PipeWire's own player of this machine, in dom0 with that quantum.
peer_is_whole() (
	pw-metadata -n settings 0 clock.force-quantum "$1" >/dev/null
	tap_sink "$HEARD.peer"
	pw-play --target "$SESSION_SINK" --latency="$1" "$PLAYED.wav" >"$PLAY_LOG" 2>&1 </dev/null
	tap_go_on "$HEARD.peer" 300
	tap_stop
	[ "$("$TOOLS/sound-pieces" 2 "$PLAYED.f32" "$HEARD.peer" | grep -c '^piece')" -eq 1 ]
)

# peers_are_whole QUANTUM: as often as a guest is tried.
peers_are_whole() {
	local try
	for try in 1 2 3 4 5; do peer_is_whole "$1" || return; done
}

# dom0_quantum: that of most cycles.
dom0_quantum() {
	cut -d' ' -f3 "$HEARD.times" | sort | uniq -c | sort -n | awk 'END { print $2 }'
}

# look_at_quantum: that of the guest's sink while it plays: pw-top needs a terminal.
look_at_quantum() {
	GUEST_QUANTUM=$(guest timeout -k 1 4 env TERM=vt100 script -qec "timeout --foreground 1.5 pw-top" /dev/null </dev/null |
		sed 's/\x1b\[[0-9]*C/ /g; s/\x1b[^a-zA-Z]*[a-zA-Z]/\n/g' |
		awk '/^R .* xen_outpu/ && $3 > 0 { quantum = $3 } END { print quantum }')
}

# with_quanta GUEST DOM0: where PipeWire's own player is heard without a gap at the smaller one, the guest has to be.
with_quanta() {
	local text="quantum $1, of dom0 $2" smaller=$(($1 < $2 ? $1 : $2))
	QUANTUM=$1
	guest pw-metadata -n settings 0 clock.force-quantum "$1" >/dev/null
	pw-metadata -n settings 0 clock.force-quantum "$2" >/dev/null
	# To be looked at takes more than a small quantum has.
	perform noise look_at_quantum
	tap_stop
	tried 'perform noise' is_whole
	check_number "$text: that of the guest" "$GUEST_QUANTUM" -eq "$1"
	check_number "$text: that of dom0" "$(dom0_quantum)" -eq "$2"
	if ! is_whole && ! peers_are_whole $smaller; then
		check_say skipped "$NAME: $text: this machine is too late for PipeWire's own player as well"
	else
		check "$text: all of $(frames_of "$PLAYED") frames are exact" is_whole || show_pieces
	fi
}

try() {
	local ours theirs
	at_exit 'pw-metadata -n settings 0 clock.force-quantum 0 >/dev/null'
	for theirs in $DOM0; do
		for ours in $OURS; do with_quanta "$ours" "$theirs"; done
	done
}
