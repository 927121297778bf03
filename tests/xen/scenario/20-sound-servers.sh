#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 3000 s.
# In the long run only.
# Three guests at once, each playing and recording for ten minutes: one with a PipeWire of its own, one with PulseAudio,
# one whose programs use ALSA. No stream has more xruns than dom0's graph itself counts in that time.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh
# shellcheck source=tests/lib/mic.sh
. /payload/tests/lib/mic.sh
# shellcheck source=tests/xen/machine/lib-records.sh
. /payload/tests/xen/machine/lib-records.sh

MINUTES=1
[ "$XARING_TEST" != long ] || MINUTES=10
GUESTS=(pipewire pulse plain)
FRAMES=$((MINUTES * 60 * 48000))
PACAT='--raw --format=float32le --rate=48000 --channels=2'
GUEST_SECONDS=60

# Of the guest's user, in the session that systemd has begun for her.
IN_SESSION='env XDG_RUNTIME_DIR=/run/user/1000'

# server_start NAME OTHER: the guest's user logs in, and the units of her session start the server. Both are installed;
# the units of the other one are masked. She sits at no screen, so she records as one of the group audio. It is waited
# for in the guest, where a look costs less.
server_start() {
	guest_run "$1" "systemctl --global --quiet mask $2
		usermod -a -G audio user
		loginctl enable-linger user"
	GUEST_SECONDS=200 guest_user "$1" "$IN_SESSION sh -c 'until pactl info 2>/dev/null | grep -q \"Default Source: xen_input\"; do sleep 1; done'"
	check "$1: its user has a sound server with a microphone" test $? -eq 0 && return
	guest_run "$1" 'journalctl -q --no-pager -b _UID=1000 | tail -n 30'
	check_end
}

# through_server NAME NUMBER: what plays knows no end, what records ends by itself.
through_server() {
	guest_spawn "$1" player "$IN_SESSION sh -c \"/payload/tests/lib/sound-make coded FLOAT $2 0 4000000000 |
		pacat -p $PACAT\""
	guest_spawn "$1" recorder "$IN_SESSION sh -c \"parec $PACAT | head -c $((FRAMES * 8)) | wc -c\""
}

through_alsa() {
	guest_spawn "$1" player "/payload/tests/lib/coded-player -f FLOAT -b 24000 $2"
	guest_spawn "$1" recorder "/payload/tests/lib/coded-player -R /dev/null -f FLOAT -b 24000 -n $FRAMES"
}

all_play_and_record() {
	local name
	for name in "${GUESTS[@]}"; do guest_is_heard "$name" && has_node "$name" || return; done
}

# xruns NAME: of all its streams, as the backend has counted them.
xruns() {
	xaringctl list --json | jq --arg name "$1" '[.[] | select(.domain == $name) | .streams[].xruns] | add'
}

session_need
guest_destroy debian
mic_add
at_exit mic_remove
microphone allow "${GUESTS[@]}"
guest_create pipewire pipewire
guest_create pulse pulse
guest_start plain pv
for each in pipewire pulse; do guest_await $each 200; done
server_start pipewire 'pulseaudio.socket pulseaudio.service'
server_start pulse 'pipewire.socket pipewire.service pipewire-pulse.socket pipewire-pulse.service wireplumber.service'
through_server pipewire 1
through_server pulse 2
through_alsa plain 3
check "all of them play and record" wait_for 60 all_play_and_record

# Ten minutes of sound are more than there is memory: what is recorded meanwhile is thrown away.
ln -s /dev/null "$SESSION/none.f32"
tap_sink "$SESSION/none.f32"
declare -A before
for each in "${GUESTS[@]}"; do before[$each]=$(xruns "$each"); done
began=$EPOCHSECONDS
for each in "${GUESTS[@]}"; do
	guest_wait "$each" recorder $((MINUTES * 90 + 60)) "$SESSION/$each.recorded"
	check "$each: its recorder ends well" test $? -eq 0
done
took=$((EPOCHSECONDS - began))
for each in pipewire pulse; do
	check "$each: all has been recorded" grep -qx "$((FRAMES * 8))" "$SESSION/$each.recorded"
done
tap_stop
late=$(grep -c -e ' late graph' -e ' lost ' "$TAP_LOG")
for each in "${GUESTS[@]}"; do
	count=$(($(xruns "$each") - before[$each]))
	check_number "$each: xruns in $MINUTES minutes, dom0's graph: $late" $count -le "$late"
	check_number "$each: its streams are those of before" $count -ge 0
	FIGURES+=("$each $count")
done
# A recorder of PulseAudio gets two seconds at once.
check_between "seconds that it took" $took $((MINUTES * 60 * 99 / 100)) $((MINUTES * 60 * 101 / 100 + 3))

# What they play then is as they made it, and nobody else's.
tap_guests pipewire='xen.pipewire.playback.*' pulse='xen.pulse.playback.*' plain='xen.plain.playback.*'
tap_go_on "$SESSION/plain.f32" 5000
tap_end
number=0
for each in "${GUESTS[@]}"; do
	number=$((number + 1))
	guest_judge "$each" $number "$SESSION/$each.f32"
	nothing_wrong_check "$each"
	gaps_check "$each"
	guest_signal "$each" player TERM
	guest_destroy "$each"
done
figure "xruns in $MINUTES minutes: $(printf '%s, ' "${FIGURES[@]}")dom0's graph $late"
check_end
