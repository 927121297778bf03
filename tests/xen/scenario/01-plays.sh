#!/bin/bash
# SPDX-License-Identifier: MIT
# An ordinary user of a Debian guest runs aplay: exact at dom0's sink, by a client that has the VM's name,
# with a volume of its own.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

FRAMES=240000
[ "$XARING_TEST" != quick ] || FRAMES=144000

guest_has_slider() {
	guest_look debian
	[[ ${NODES[0]} == *$'\tStream/Output/Audio\t'* ]]
}

# The slider is moved there and back before anything is judged by it.
slider_check() {
	check "its node is a stream of its own" guest_has_slider
	guest_set_volume debian 0.5 125
	guest_set_volume debian 1.0 1000
}

status() {
	guest_user debian xaring-guestd --status >"$SESSION/status"
}

# status_says PATTERN
status_says() {
	status
	grep -qE "$1" "$SESSION/status"
}

# mute NUMBER: 1 or 0.
mute() {
	wpctl set-mute "$(guest_node debian)" "$1"
}

session_need
guest_need debian debian
guest_run debian "/payload/tests/lib/sound-make noise S16 2 $FRAMES 1 >/tmp/noise.raw"
noise "$SESSION/played.raw" S16 2 $FRAMES 1

guest_silence debian first
heard_or_die debian
check "a client has the VM's name" wait_for 5 client_exists debian
slider_check
check "--status finds nothing broken" wait_for 5 status
mute 1
check "--status says that it is muted" wait_for 5 status_says '^broken +mute'
mute 0
check "and that it is not" wait_for 5 status
guest_signal debian first TERM
check "aplay's end is its node's end" wait_for 5 guest_is_silent debian

tap_sink "$SESSION/heard.f32"
guest_spawn debian player "aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000 /tmp/noise.raw"
check "aplay succeeds" guest_wait debian player $((FRAMES / 48000 + 40)) "$SESSION/aplay"
cat "$SESSION/aplay"
tap_go_on "$SESSION/heard.f32" 200
tap_end
check "what it played is heard" is_exact S16 2 "$SESSION/played.raw" "$SESSION/heard.f32"
cat "$SESSION/log/exact"
figure "$RESULT"
check_end
