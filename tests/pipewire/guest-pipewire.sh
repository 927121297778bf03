#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A guest with a PipeWire of its own, on the snippet that is shipped: its sink is the device `xen`,
# what its programs play arrives frame by frame, and when it idles nothing of it is left in dom0.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS=work
GUEST_PIPEWIRE='' GUEST_WIREPLUMBER=''

# guest COMMAND...: in the guest's session. What is to be ended by its number is started with GUEST itself.
guest() {
	"${GUEST[@]}" "$@"
}

guest_answers() {
	guest pw-cli info 0 >/dev/null 2>&1
}

guest_has_sink() {
	guest wpctl inspect @DEFAULT_AUDIO_SINK@ 2>/dev/null | grep -q 'node.name = "xen_output"'
}

guest_start() {
	GUEST=(env XDG_RUNTIME_DIR="$SESSION/guest/run" XDG_CONFIG_HOME="$SESSION/guest/config"
		XDG_STATE_HOME="$SESSION/guest/state" XARING_SOCKET="$(vm_socket work)")
	mkdir -p "$SESSION/guest/config/pipewire/pipewire.conf.d"
	mkdir -m 0700 "$SESSION/guest/run"
	ln -s "$XARING_SOURCE/conf/pipewire/50-xen.conf" "$SESSION/guest/config/pipewire/pipewire.conf.d/"
	cp -r "$XDG_CONFIG_HOME/wireplumber" "$SESSION/guest/config/"
	"${GUEST[@]}" pipewire >"$SESSION/log/guest-pipewire" 2>&1 </dev/null &
	GUEST_PIPEWIRE=$!
	at_exit 'end_process "$GUEST_PIPEWIRE"'
	wait_or_die 10 "the guest's PipeWire: an answer" guest_answers
	"${GUEST[@]}" wireplumber >"$SESSION/log/guest-wireplumber" 2>&1 </dev/null &
	GUEST_WIREPLUMBER=$!
	at_exit 'end_process "$GUEST_WIREPLUMBER"'
	wait_or_die 10 "the guest's sink as its default" guest_has_sink
}

# Without a backend as well: PipeWire opens the device while it starts, and ends when that fails.
session_open
session_start
guest_start
pass "the guest's PipeWire starts without a backend, its default sink is xen_output"
daemon_start

# pw-play of 0.3.65 gives the last quantum to no ALSA device, so silence is last.
noise "$SESSION/played.raw" S16 2 240000
{ cat "$SESSION/played.raw" && head -c 32768 /dev/zero; } >"$SESSION/padded.raw"
raw_to_wav "$SESSION/padded.raw" S16 2 48000 "$SESSION/played.wav"
# The guest's graph is driven by a timer: a machine that has no time for it makes a gap of its own.
for try in 1 2 3; do
	hear "$SESSION/heard.f32" guest timeout 60 pw-play "$SESSION/played.wav" &&
		is_exact S16 2 "$SESSION/played.raw" "$SESSION/heard.f32" && break
	note "attempt $try: $(tr '\n' ' ' <"$SESSION/log/exact")"
done
check "pw-play in the guest arrives: $RESULT" \
	is_exact S16 2 "$SESSION/played.raw" "$SESSION/heard.f32"
# Not at once, or the last quantum would be lost: WirePlumber suspends a sink that idles for 5 s.
check "an idle guest has no node" wait_for 15 node_is_gone xen.work.playback.1
check_end
