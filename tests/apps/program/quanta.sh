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

# dom0_was_late: a cycle began late, or what is not of a guest was late in it.
dom0_was_late() {
	grep ' late ' "$TAP_LOG" | grep -qv -e ' late xen\.' -e ' late guest'
}

# with_quanta GUEST DOM0: where the machine is too late for such a quantum in each attempt, there is nothing to judge.
with_quanta() {
	local text="quantum $1, of dom0 $2"
	QUANTUM=$1
	guest pw-metadata -n settings 0 clock.force-quantum "$1" >/dev/null
	pw-metadata -n settings 0 clock.force-quantum "$2" >/dev/null
	tried "perform noise" is_whole
	if ! is_whole && dom0_was_late; then
		check_say skipped "$NAME: $text: this machine was too late for dom0's graph in five attempts"
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
