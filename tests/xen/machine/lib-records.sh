# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Guests that record. Sourced after lib.sh, lib-more.sh and mic.sh; every NAME is that of a guest.

# The number of the frames that the microphone hears.
ROOM=9

# A second of stereo floats.
BYTES_S=384000

# microphone allow|deny NAME...: by the rules.
microphone() {
	local state=$1 name matches=''
	shift
	for name in "$@"; do matches+="{ xaring.key = $name } "; done
	rule "{ matches = [ $matches] actions = { policy = { microphone = $state } } }"
}

# capture_nodes NAME: those that it has in dom0, as lines of the graph, into the array NODES.
capture_nodes() {
	local line
	NODES=()
	graph_read
	for line in "${GRAPH_LINES[@]}"; do
		[[ $line != node$'\t'*$'\t'"xen.$1.capture."* ]] || NODES+=("$line")
	done
}

has_node() {
	capture_nodes "$1"
	[[ ${NODES[*]} == *$'\trunning'* ]]
}

has_no_node() {
	capture_nodes "$1"
	[ ${#NODES[@]} -eq 0 ]
}

# recorder NAME [ARGUMENT...]: a program that records into /tmp/heard.f32. One that is left fills the guest.
recorder() {
	at_exit "[ \$CHECK_FAILED -eq 0 ] || GUEST_SECONDS=5 guest_signal $1 recorder KILL"
	guest_spawn "$1" recorder "/payload/tests/lib/coded-player -R /tmp/heard.f32 -f FLOAT -b 24000 ${*:2}"
}

# let_guest_record NAME FILE BYTES: so much more; waited for in the guest, since a look at it costs dom0 more.
let_guest_record() {
	guest_run "$1" "end=\$((\$(stat -c %s $2) + $3))
		until [ \$(stat -c %s $2) -ge \$end ]; do sleep 0.1; done"
	check "$1 records" test $? -eq 0 || check_end
}

# judged NAME TEXT: what it has recorded, when its program has ended and what that said is in SESSION/TEXT.json: VERDICT.
judged() {
	VERDICT=$SESSION/verdict-$2.json
	GUEST_SECONDS=120 guest_run "$1" "/payload/tests/lib/sound-check coded $ROOM 48000 /tmp/heard.f32" >"$VERDICT"
	check "$2: what was recorded is judged" test -s "$VERDICT"
	player_said "$SESSION/$2.json"
	note "$2: $(verdict '"\(.coded) frames heard, \(.gaps) gaps, \(.jumps) jumps, \(.silent) silent"')"
	check_number "$2: errors that the program has seen" "$PLAYER_ERRORS" -eq 0
	check_number "$2: frames of others" "$(verdict .foreign)" -eq 0
	check_number "$2: frames that are heard twice, or damaged" "$(verdict '.repeated + .damaged')" -eq 0
}

# The end of what was recorded, in frames of silence.
silence_at_end() {
	verdict '.recorded - (.runs[-1] | .at + .frames)'
}

# heard_after NAME TEXT COMMAND...: of one that records. What it has heard is a part of the figure.
FIGURES=()
heard_after() {
	local name=$1 text=$2
	shift 2
	recorder "$name"
	check "$text: a node" wait_for 10 has_node "$name"
	let_guest_record "$name" /tmp/heard.f32 $BYTES_S
	"$@"
	check "$text: a node afterwards" wait_for 30 has_node "$name"
	let_guest_record "$name" /tmp/heard.f32 $BYTES_S
	guest_stop "$name" recorder "$SESSION/$text.json"
	judged "$name" "$text"
	check_number "$text: frames heard" "$(verdict .coded)" -ge 48000
	check_number "$text: frames of silence at the end" "$(silence_at_end)" -lt 24000
	FIGURES+=("heard after $text")
}
