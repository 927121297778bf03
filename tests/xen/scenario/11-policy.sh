#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 400 s.
# What the rules do not allow is refused with a reason that the guest sees, and one line in dom0's log: a VM,
# streams, pages. Dom0 itself and a domain without a name are refused without any rule; and the guest's kernel has
# a limit of its own.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

POLICY='by the policy of the backend, playing or recording is refused'
OFFER='version=1 version-min=1 features=0 epoch=9f31c07e5d22a846 direction=0 format=2 rate=48000
	channels=2 buffer=4096 period=1024 name=aplay control=3e8 data=3e9,3ea,3eb,3ec,3ed,3ee,3ef,3f0'
OFFER=$(tr -s '\n\t' '  ' <<<"$OFFER" | sed 's/ $//')
REFUSED=0
# A control page, and the ring of a buffer of S16 in two channels.
FITTING_PAGES=9 FITTING_FRAMES=4096

# refused_check WHAT TEXT: a play in pv fails with that text, and one line of the log has it as well.
#
# A program waits 150 ms for the backend's word, for which a busy dom0 is too slow at times: the refusal then
# comes while it plays, and it ends like any other.
refused_check() {
	local mark code
	mark=$(log_mark)
	plays_once pv
	code=$?
	note "$SAID"
	check "$1: aplay says why" grep -qE "xen: $2" <<<"$SAID"
	if grep -q 'the stream goes on without sound' <<<"$SAID"; then
		note "$1: the refusal came too late for aplay's start"
	else
		check_number "$1: aplay's exit code" $code -ne 0
	fi
	check "$1: dom0's log says it, too" wait_for 5 log_has "$mark" "vm pv .*$2"
	# systemd may still have something to say of the reload.
	check_number "$1: lines in dom0's log" "$(log_since "$mark" | grep -c '^xaring-pw: ')" -eq 1
	log_since "$mark"
	REFUSED=$((REFUSED + 1))
}

streams_are_gone() {
	[ -z "$(published "$(guest_id pv)")" ]
}

allow() {
	rule "{ matches = [ { xen.domain.name = pv } ] actions = { policy = { $1 } } }"
}

log_has_twice() {
	[ "$(log_count "$@")" -ge 2 ]
}

session_need
guest_need pv pv
wait_for 5 streams_are_gone

allow 'playback = false'
refused_check "a VM that may not play" "$POLICY"
check "and it has nothing in dom0's PipeWire" guest_is_silent pv

allow 'max-streams = 1'
guest_player pv 1 -b 8192
heard_or_die pv
refused_check "a second stream" 'stream number 2 of this machine is refused: 1 is accepted'
check "the first one is heard" guest_is_heard pv

# While it plays.
allow 'playback = false'
check "a VM that is forbidden is silent" wait_for 5 guest_is_silent pv
check "its program goes on" guest_runs pv player
said=$(guest_user pv xaring-guestd --status)
note "$said"
check "--status says why" grep -qE "^broken +policy +$POLICY" <<<"$said"
rule_remove
check "it is heard when it may play again" wait_for 20 guest_is_heard pv
guest_signal pv player KILL
wait_for 5 streams_are_gone

allow 'max-pages = 4'
refused_check "too many pages" 'total [0-9]+ pages of this machine is refused: 2 to 4 are accepted'

rule_remove

# ---- the guest's kernel ----

# Of which the backend hears nothing: the guest's daemon says what is left, and a buffer that fits plays.
gntalloc=/sys/module/xen_gntalloc/parameters/limit
limit=$(guest_run pv cat $gntalloc)
at_exit "guest_run pv 'echo $limit >$gntalloc'"
guest_run pv "echo $FITTING_PAGES >$gntalloc"
plays_once pv "--buffer-size=$((4 * FITTING_FRAMES))"
check_number "more than gntalloc has: aplay's exit code" $? -ne 0
note "$SAID"
check "aplay says what there is" grep -q "total [0-9]* pages of this machine is refused: 2 to $FITTING_PAGES are accepted" <<<"$SAID"
guest_silence pv fitting "--buffer-size=$FITTING_FRAMES"
check "what fits is heard" wait_for 20 guest_is_heard pv
guest_signal pv fitting KILL
wait_for 5 streams_are_gone
guest_run pv "echo $limit >$gntalloc"
REFUSED=$((REFUSED + 1))

# ---- dom0 ----

mark=$(log_mark)
at_exit 'xenstore-rm /local/domain/0/data/xaring/stream 2>/dev/null'
xenstore-write /local/domain/0/data/xaring/stream/1 "$OFFER"
check "dom0 itself is refused" wait_for 10 answer_is 0 1 $REASON_POLICY
note "its answer: $(answer_to 0 1)"
check "the log says it" wait_for 5 log_has "$mark" "vm Domain-0 stream 1: $POLICY"
check_number "lines about it" "$(log_count "$mark" 'Domain-0.*refused')" -eq 1
check "dom0 is no client of PipeWire" test "$(clients | grep -c Domain-0)" -eq 0
xenstore-rm /local/domain/0/data/xaring/stream

# ---- a domain without a name ----

id=$(guest_id pv)
guest_player pv 1 -b 8192
heard_or_die pv
# Commands reach a guest by its name only.
GUEST_USER=root guest_spawn pv nameless 'sh -c "until xenstore-exists data/go; do sleep 0.2; done
	head -c 96000 /dev/zero | aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000"'
mark=$(log_mark)
xenstore-rm "/local/domain/$id/name"
check "the one that played is silent" wait_for 10 guest_is_silent pv
check "the log calls it domain-$id" wait_for 10 log_has "$mark" "vm domain-$id stream [0-9]*: $POLICY"
xenstore-write "/local/domain/$id/data/go" 1
check "a new stream is refused as well" wait_for 20 log_has_twice "$mark" "vm domain-$id stream [0-9]*: $POLICY"
xenstore-write "/local/domain/$id/name" pv
check "with its name it is heard" wait_for 20 guest_is_heard pv
check "the program has noticed nothing" guest_runs pv player
guest_wait pv nameless 20 "$SESSION/nameless"
cat "$SESSION/nameless"
check "the nameless one was told why" grep -q "xen: $POLICY" "$SESSION/nameless"
guest_stop pv player "$SESSION/player"
figure "$REFUSED limits, dom0 and a nameless domain: refused, and why"
check_end
