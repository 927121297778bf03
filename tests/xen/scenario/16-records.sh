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

# The number of the frames that the microphone hears, and how long it does.
ROOM=9 ROOM_SECONDS=60
FIGURES=()

microphone() {
	rule "{ matches = [ { xaring.key = pv } ] actions = { policy = { microphone = $1 } } }"
}

# capture_nodes: those that guest has in dom0, as lines of the graph, into the array NODES.
capture_nodes() {
	local line
	NODES=()
	graph_read
	for line in "${GRAPH_LINES[@]}"; do
		[[ $line != node$'\t'*$'\t'"xen.pv.capture."* ]] || NODES+=("$line")
	done
}

has_node() {
	capture_nodes
	[[ ${NODES[*]} == *$'\trunning'* ]]
}

has_no_node() {
	capture_nodes
	[ ${#NODES[@]} -eq 0 ]
}

# recorder [ARGUMENT...]: a program of the guest that records into /tmp/heard.f32. One that is left fills the guest.
recorder() {
	at_exit "[ \$CHECK_FAILED -eq 0 ] || GUEST_SECONDS=5 guest_signal pv recorder KILL"
	guest_spawn pv recorder "/payload/tests/lib/coded-player -R /tmp/heard.f32 -f FLOAT -b 24000 $*"
}

# judged NAME: what the guest has recorded, when its program has ended: VERDICT, and what the program said.
judged() {
	VERDICT=$SESSION/verdict-$1.json
	# Some seconds of sound take as many to be read, there.
	GUEST_SECONDS=120 guest_run pv "/payload/tests/lib/sound-check coded $ROOM 48000 /tmp/heard.f32" >"$VERDICT"
	check "$1: what was recorded is judged" test -s "$VERDICT"
	player_said "$SESSION/$1.json"
	note "$1: $(verdict '"\(.coded) frames heard, \(.gaps) gaps, \(.jumps) jumps, \(.silent) silent"')"
	check_number "$1: errors that the program has seen" "$PLAYER_ERRORS" -eq 0
	check_number "$1: frames of others" "$(verdict .foreign)" -eq 0
	check_number "$1: frames that are heard twice, or damaged" "$(verdict '.repeated + .damaged')" -eq 0
}

# microphone_is STATE: as a user of the guest is told.
microphone_is() {
	local said
	said=$(guest_user pv xaring-guestd --status)
	grep -qE "^$1 +microphone" <<<"$said"
}

# let_guest_record SECONDS: so much more; waited for in the guest, for each look at it would take dom0 a quarter of a second.
let_guest_record() {
	GUEST_SECONDS=$((30 + $1)) guest_run pv "end=\$((\$(stat -c %s /tmp/heard.f32) + $1 * 384000))
		until [ \$(stat -c %s /tmp/heard.f32) -ge \$end ]; do sleep 0.2; done"
	check "it records" test $? -eq 0 || check_end
}

# The end of what was recorded, in frames of silence.
silence_at_end() {
	verdict '.recorded - (.runs[-1] | .at + .frames)'
}

denied() {
	recorder -n 96000
	guest_wait pv recorder 30 "$SESSION/denied.json"
	check "denied: its program ends well" test $? -eq 0
	judged denied
	check_number "denied: frames" "$(verdict .recorded)" -eq 96000
	check_number "denied: silent frames" "$(verdict .silent)" -eq 96000
	unnoticed_check denied
	check "denied: no node" has_no_node
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
	recorder
	let_guest_record 1
	check "denied: no node" has_no_node
	microphone allow
	check "allowed: a node" wait_for 5 has_node
	let_guest_record 2
	microphone deny
	check "revoked: no node" wait_for 3 has_no_node
	let_guest_record 1
	guest_stop pv recorder "$SESSION/allowed.json"
	judged allowed
	check_number "allowed: frames heard" "$(verdict .coded)" -ge 72000
	check_number "revoked: silent frames at the end" "$(silence_at_end)" -ge 24000
	check_number "allowed: gaps and jumps" "$(verdict '.gaps + .jumps')" -eq 0
	unnoticed_check allowed
	FIGURES+=("$(verdict .coded) frames exact")
}

# heard_after TEXT COMMAND...: of one that records.
heard_after() {
	local text=$1
	shift
	recorder
	check "$text: a node" wait_for 10 has_node
	let_guest_record 1
	"$@"
	check "$text: a node afterwards" wait_for 30 has_node
	let_guest_record 1
	guest_stop pv recorder "$SESSION/$text.json"
	judged "$text"
	check_number "$text: frames heard" "$(verdict .coded)" -ge 48000
	check_number "$text: frames of silence at the end" "$(silence_at_end)" -lt 24000
	FIGURES+=("heard after $text")
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
microphone allow
check "allowed: --status says so" wait_for 5 microphone_is allowed
heard_after "a new worker" new_worker
heard_after "a new daemon" new_guestd
heard_after "a restore" save_and_restore pv
room_ends
figure "$(printf '%s, ' "${FIGURES[@]}")"
check_end
