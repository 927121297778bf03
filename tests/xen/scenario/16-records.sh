#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 400 s.
# A guest records: silence, and without a node in dom0, while it may not; what dom0's microphone hears, frame by frame,
# as soon as it may, over a restore, a new worker and a new daemon of its own; and silence again. A user of the guest
# who is not of its group audio does not record at all.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh
# shellcheck source=tests/xen/machine/lib-restore.sh
. /payload/tests/xen/machine/lib-restore.sh
# shellcheck source=tests/lib/mic.sh
. /payload/tests/lib/mic.sh
# shellcheck source=tests/xen/machine/lib-records.sh
. /payload/tests/xen/machine/lib-records.sh

# So long the microphone hears something.
ROOM_SECONDS=60

# microphone_is STATE: as a user of the guest is told.
microphone_is() {
	local said
	said=$(guest_user pv xaring-guestd --status)
	grep -qE "^$1 +microphone" <<<"$said"
}

denied() {
	recorder pv -n 96000
	guest_wait pv recorder 30 "$SESSION/denied.json"
	check "denied: its program ends well" test $? -eq 0
	judged pv denied
	check_number "denied: frames" "$(verdict .recorded)" -eq 96000
	check_number "denied: silent frames" "$(verdict .silent)" -eq 96000
	unnoticed_check denied
	check "denied: no node" has_no_node pv
}

# What dom0 allows does not matter: it is the guest that says no.
stranger() {
	local said
	said=$(GUEST_GROUPS=--clear-groups guest_user pv \
		"/payload/tests/lib/coded-player -R /tmp/stranger.f32 -f FLOAT -b 24000 -n 24000 2>&1; echo code \$?")
	note "a user without the group: $said"
	check "a user without the group audio: the reason" grep -q "recording is refused: members of the group audio" \
		<<<"$said"
	check "a user without the group audio: an error" grep -q '^code [1-9]' <<<"$said"
}

# From a microphone that hears the room already.
allowed() {
	recorder pv
	let_guest_record pv /tmp/heard.f32 $BYTES_S
	check "denied: no node" has_no_node pv
	microphone allow pv
	check "allowed: a node" wait_for 5 has_node pv
	let_guest_record pv /tmp/heard.f32 $((2 * BYTES_S))
	microphone deny pv
	check "revoked: no node" wait_for 3 has_no_node pv
	let_guest_record pv /tmp/heard.f32 $BYTES_S
	guest_stop pv recorder "$SESSION/allowed.json"
	judged pv allowed
	check_number "allowed: frames heard" "$(verdict .coded)" -ge 72000
	check_number "revoked: silent frames at the end" "$(silence_at_end)" -ge 24000
	check_number "allowed: gaps and jumps" "$(verdict '.gaps + .jumps')" -eq 0
	unnoticed_check allowed
	FIGURES+=("$(verdict .coded) frames exact")
}

new_worker() {
	local worker
	worker=$(worker_of_broker)
	kill -9 "$worker"
	wait_or_die 10 "another worker" worker_is_new "$worker"
}

new_guestd() {
	local daemon
	daemon=$(guest_daemon pv)
	guest_run pv "kill -9 $daemon"
	wait_or_die 20 "another daemon" guest_daemon_is_new pv "$daemon"
}

session_need
guest_need pv pv
mic_add
at_exit mic_remove
denied
check "denied: --status says so" wait_for 5 microphone_is denied
stranger
room_file "$SESSION/room.au" $ROOM 0 $((ROOM_SECONDS * 48000))
mic_hears "$SESSION/room.au"
allowed
microphone allow pv
check "allowed: --status says so" wait_for 5 microphone_is allowed
heard_after pv "a new worker" new_worker
heard_after pv "a new daemon" new_guestd
heard_after pv "a restore" save_and_restore pv
room_ends
figure "$(printf '%s, ' "${FIGURES[@]}")"
check_end
