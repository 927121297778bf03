#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 600 s.
# A guest writes what it likes into its part of xenstore: everything is refused, costs the backend little, and
# the log less; another guest's stream stays exact; and nothing is left of the guest once it is gone.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

FLOOD_S=3
[ "$XARING_TEST" != quick ] || FLOOD_S=2
[ "$XARING_TEST" != long ] || FLOOD_S=30
# Of limited-log.c: a burst, and one in so many seconds.
LINES_BURST=20
LINES_REFILL_S=6
GROWTH_KIB=8192

HEAD='version=1 version-min=1 features=0 epoch=9f31c07e5d22a846 direction=0'
SHAPE='format=2 rate=48000 channels=2 buffer=4096 period=1024 name=bad'
DATA=3e9,3ea,3eb,3ec,3ed,3ee,3ef,3f0

# put NUMBER TEXT: publishes it, as root of the guest.
put() {
	guest_run bad "xenstore-write data/xaring/stream/$1 $(quoted "$2")"
}

remove_streams() {
	guest_run bad 'xenstore-rm $(for each in $(xenstore-list data/xaring/stream); do echo data/xaring/stream/$each; done)'
}

# The guest's own daemon tidies up what it does not know: it is stopped where it would.
daemon() {
	guest_run bad "kill -$1 \$(pidof xaring-guestd)"
}

# refused WHAT NUMBER [REASON]: the backend answers; whatever the reason is, when none is given.
refused() {
	check "$1: refused" wait_for 20 answer_is "$BAD" "$2" "${3:-}"
	note "$1: $(answer_to "$BAD" "$2")"
}

many_are_refused() {
	answer_is "$BAD" 10000 $REASON_MESSAGE || log_has "$mark" 'vm bad publishes too much'
}

# The resident memory of both processes, in KiB.
rss_kib() {
	cat "/proc/$BROKER/status" "/proc/$WORKER/status" | awk '/^VmRSS/ { sum += $2 } END { print sum }'
}

# In ms, of the broker: what it costs is asked of the one that reads xenstore.
cpu_ms() {
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print int(($12 + $13) * 1000 / hz) }' "/proc/$BROKER/stat"
}

# grown_check WHAT RSS
grown_check() {
	check_number "$1: KiB more of memory" $(($(rss_kib) - $2)) -le $GROWTH_KIB
}

no_node_of_bad() {
	local nodes
	nodes=$(xenstore-ls -f) && ! grep -qE "^/local/domain/${BAD}[/ ]|$BAD_UUID" <<<"$nodes"
}

session_need
guest_need pv pv
guest_destroy bad
mapped=$(mapped_grants)
guest_start bad pv
BAD=$(guest_id bad)
BAD_UUID=$(xenstore-read "/local/domain/$BAD/vm")
BROKER=$(broker_pid)
WORKER=$(worker_of_broker)
xenstored=oxenstored
! grep -q xenstored=c /proc/cmdline || xenstored=xenstored
check "the store is $xenstored" pidof $xenstored

tap_guests pv='xen.pv.playback.1'
guest_player pv 1 -b 16384
heard_or_die pv
tap_go_on "$SESSION/pv.f32" 1000
rss=$(rss_kib)
mark=$(log_mark)
marked=$SECONDS

# ---- one at a time ----

daemon STOP
put 1 ''
refused "an empty text" 1 $REASON_MESSAGE
put 2 "$HEAD $SHAPE control=3e8 data=$DATA more=$(head -c 1700 /dev/zero | tr '\0' a)"
refused "a text that is too long" 2 $REASON_MESSAGE
put 3 "$HEAD ${SHAPE/rate=48000/rate=many} control=3e8 data=$DATA"
refused "a rate that is no number" 3 $REASON_MESSAGE
put 4 "$HEAD ${SHAPE/rate=48000/rate=-1} control=3e8 data=$DATA"
refused "a number with a sign" 4 $REASON_MESSAGE
put 5 "$HEAD $SHAPE control=7ffffff0 data=7ffffff1,7ffffff2,7ffffff3,7ffffff4,7ffffff5,7ffffff6,7ffffff7,7ffffff8"
refused "references that nobody has granted" 5
put 6 "$HEAD $SHAPE control=3e8"
refused "no data pages" 6 $REASON_MESSAGE
put abc "$HEAD $SHAPE control=3e8 data=$DATA"
put -1 "$HEAD $SHAPE control=3e8 data=$DATA"
put 99999999999 "$HEAD $SHAPE control=3e8 data=$DATA"
guest_run bad 'xenstore-write data/xaring/kick many data/xaring/token ""'
# The backend has seen those when it answers this.
put 7 "$HEAD $SHAPE control=3e8 data=$DATA,$DATA"
refused "more data pages than the shape has" 7
for each in abc -1 99999999999; do check "a name that is none, $each, has no answer" test -z "$(answer_to "$BAD" $each)"; done
check "the broker is the same" test "$(broker_pid)" = "$BROKER"
check "so is the worker" test "$(worker_of_broker)" = "$WORKER"

# ---- pages of a stream that is really there ----

remove_streams
daemon CONT
guest_silence bad player --buffer-size=4096
check "the guest itself can still play" wait_for 20 guest_is_heard bad
text=$(for each in $(published "$BAD"); do xenstore-read "/local/domain/$BAD/data/xaring/stream/$each"; done 2>/dev/null |
	grep 'name=aplay' | head -n 1)
control=$(sed -n 's/.*control=\([0-9a-f]*\).*/\1/p' <<<"$text")
data=$(sed -n 's/.*data=\([0-9a-f,]*\).*/\1/p' <<<"$text")
check "its offer is known: $control, $data" test -n "$control" -a -n "$data"
daemon STOP
# A data page, which dom0 may only read, as control page; and the control page as data.
put 40 "$HEAD $SHAPE control=${data%%,*} data=$control,${data#*,}"
# Twice the same page, and the pages of another stream: all its own, so nobody else has anything of it.
put 41 "$HEAD $SHAPE control=$control data=$(sed "s/[0-9a-f]*/$control/g" <<<"$data")"
put 42 "$HEAD $SHAPE control=$control data=$data"
refused "a control page that may not be written" 40
tap_go_on "$SESSION/pv.f32" 2000
note "the same page for everything: $(answer_to "$BAD" 41); pages of another stream: $(answer_to "$BAD" 42)"
check "the broker is the same" test "$(broker_pid)" = "$BROKER"
check "so is the worker" test "$(worker_of_broker)" = "$WORKER"
remove_streams
check "a stream that is taken out of xenstore while it plays is over" wait_for 10 guest_is_silent bad
guest_signal bad player KILL

# ---- a thousand ----

there=$(GUEST_SECONDS=120 guest_run bad "$AGENT fill data/xaring/stream 10000 1000 nonsense
	# Room for what says so.
	xenstore-rm $(printf 'data/xaring/stream/%d ' {10100..10119})")
there=$((there - 20))
check_number "nodes that the guest could make" "$there" -gt 200
# oxenstored cannot list so many, and then none is known.
check "the guest is told, or the log" wait_for 30 many_are_refused
grown_check "a thousand nodes" "$rss"
GUEST_SECONDS=60 guest_run bad 'xenstore-rm data/xaring/stream'

# ---- without a pause ----

cpu=$(cpu_ms)
began=${EPOCHREALTIME/./}
GUEST_SECONDS=$((FLOOD_S + 20)) guest_run bad "end=\$((\$(date +%s) + $FLOOD_S)) i=0
	while [ \$(date +%s) -lt \$end ]; do
		xenstore-write data/xaring/stream/1 bad\$i data/xaring/stream/2 '$HEAD $SHAPE control=3e8 data=$DATA' data/xaring/kick \$i
		xenstore-rm data/xaring/stream/2
		i=\$((i + 1))
	done 2>/dev/null
	echo \$i" >"$SESSION/rounds"
took_ms=$(((${EPOCHREALTIME/./} - began) / 1000))
cpu=$((($(cpu_ms) - cpu) * 100 / took_ms))
rounds=$(tail -n 1 "$SESSION/rounds")
check_number "rounds of writing in $took_ms ms" "${rounds:-0}" -gt 10
check_number "% of a processor meanwhile" $cpu -le $FLOOD_CPU_PERCENT
grown_check "a flood" "$rss"
growth=$(($(rss_kib) - rss))
check "the broker is the same" test "$(broker_pid)" = "$BROKER"
check "so is the worker" test "$(worker_of_broker)" = "$WORKER"
said=$(log_count "$mark" 'vm bad ')
check_number "lines in dom0's log about the guest" "$said" -le $((LINES_BURST + (SECONDS - marked) / LINES_REFILL_S + 1))
check_number "but some" "$said" -gt 0

# ---- deaf ----

# It does not read what it watches. oxenstored keeps some thousand events for it, and does not answer those any
# more who cause others: the backend must not be one of them for long. The one that is written in C answers all.
# An answer that took a second or two, as in an emulator after all that, has nine times as long of rest.
guest_run bad 'xenstore-write data/xaring/stream/61 nonsense'
check "the guest hears of answers" wait_for 30 answer_is "$BAD" 61
xl pause bad
node=/local/domain/$BAD/data/xaring/stream
events=()
for ((i = 0; i < 250; i++)); do events+=("$node/61/other" "$i"); done
for ((i = 0; i < 12; i++)); do xenstore-write "${events[@]}"; done
mark=$(log_mark)
began=$SECONDS
xenstore-write "$node/62" nonsense
if pidof oxenstored >/dev/null; then
	check "the backend sees who does not read" \
		wait_for 40 log_has "$mark" "vm bad \\(domain $BAD\\) does not read what it watches"
else
	check "the guest is answered" wait_for 10 answer_is "$BAD" 62
fi
deaf_s=$((SECONDS - began))
guest_silence pv second
check "the other guest opens another stream" wait_for 20 guest_nodes_are pv 2
guest_signal pv second KILL
check "the broker is the same" test "$(broker_pid)" = "$BROKER"

# ---- and gone ----

tap_go_on "$SESSION/pv.f32" 1000
# Otherwise the toolstack is not answered any more, either, when it removes what the guest watches.
xl unpause bad
guest_destroy bad
check "no dead domain is left" wait_for 5 no_zombies
check "nothing of it is left in xenstore" wait_for 5 no_node_of_bad
check "nothing of it is left in PipeWire" wait_for 5 guest_is_silent bad
player_ends pv 1 "$SESSION/pv.f32"
nothing_wrong_check "the other guest"
gaps_check "the other guest"
check "no page is mapped more than before" wait_for 5 mapped_grants_are "$mapped"
figure "$there nodes, $rounds rounds in $((took_ms / 1000)) s: $said lines, $cpu % of a processor, $growth KiB; who is deaf costs $deaf_s s"
check_end
