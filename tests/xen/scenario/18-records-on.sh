#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 500 s.
# A guest records on while it is moved to this same host, while the backend's service is restarted, and while dom0's
# PipeWire is: what it hears afterwards is what the microphone hears then, and nothing of before is heard again.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh
# shellcheck source=tests/lib/mic.sh
. /payload/tests/lib/mic.sh
# shellcheck source=tests/xen/machine/lib-records.sh
. /payload/tests/xen/machine/lib-records.sh

ROOM_SECONDS=60
ROOM_FIRST=0

# Frames that nobody has heard before.
room_starts() {
	room_file "$SESSION/room.au" $ROOM $ROOM_FIRST $((ROOM_SECONDS * 48000))
	ROOM_FIRST=$((ROOM_FIRST + ROOM_SECONDS * 48000))
	mic_hears "$SESSION/room.au"
}

# Instead of ssh, the shell; what receives is this host.
moved() {
	local id
	id=$(guest_id walker)
	xl migrate -s '' walker 'exec xl migrate-receive' >"$SESSION/log/migrate" 2>&1 </dev/null
	check "it is moved" test $? -eq 0 || check_end
	check "it is another domain" wait_for 10 guest_is_another walker "$id"
}

new_backend() {
	local began
	began=$(now_ns)
	systemctl restart xaring-pw
	check "the backend is up again" wait_for 20 unit_is_up_after "$began"
}

new_pipewire() {
	local pipewire
	pipewire=$(pgrep -u alice -x pipewire)
	as_alice systemctl --user restart pipewire
	check "PipeWire is another process" test "$(pgrep -u alice -x pipewire)" != "$pipewire"
	wait "$ROOM_PID" 2>/dev/null
	session_need_again
	mic_add
	room_starts
}

session_need
guest_destroy walker
# Of a PV guest the emulated Xen cannot log what it writes.
guest_start walker pvh
microphone allow walker
mic_add
at_exit mic_remove
room_starts
heard_after walker "a move" moved
heard_after walker "a second move" moved
heard_after walker "a new backend" new_backend
heard_after walker "a new PipeWire" new_pipewire
room_ends
guest_destroy walker
figure "$(printf '%s, ' "${FIGURES[@]}")"
check_end
