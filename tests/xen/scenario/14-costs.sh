#!/bin/bash
# SPDX-License-Identifier: MIT
# What a stream costs besides its sound: a few operations of xenstore when it is opened, and nothing while it
# plays; and how well a guest knows dom0's clock.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

STEADY_S=10
[ "$XARING_TEST" != long ] || STEADY_S=60
OPERATIONS_MAX=10
# Kept by oxenstored only.
ACCESS_LOG=/var/log/xen/xenstored-access.log
PROBE=/payload/tests/xen/clock-probe
CLOCK_MAX_US=1000

# operations ID: that the guest has made. What carries the test's own commands is not counted. The log leaves out
# reads, which would slow down everything; with access-log-read-ops in oxenstored.conf there are none.
operations() {
	grep -E "[[:space:]]D$1[[:space:]]" $ACCESS_LOG | grep -vcE 'data/test|[[:space:]]w (event|notfired)|endconn|newconn'
}

# fired: event channels in dom0, whoever serves them, and how often each has been notified: but for those of OTHERS,
# and consoles, on which a kernel says something now and then.
OTHERS=$SESSION/others
fired() {
	awk 'FILENAME != "/proc/interrupts" { other[$2] = 1; next }
		/evtchn:|xen-dyn.*-(event|lateeoi)/ && !/xenconsoled/ && !($1 in other) {
			sum = 0
			for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i
			print sum, $1, $NF
		}' "$OTHERS" /proc/interrupts
}

# notifications BEFORE AFTER: of two such files.
notifications() {
	awk 'NR == FNR { sum -= $1; next } { sum += $1 } END { print sum + 0 }' "$1" "$2"
}

event_channels() {
	find "/proc/$(broker_pid)/fd" "/proc/$(worker_of_broker)/fd" -lname '*evtchn*' | wc -l
}

# word KIND FILE [FIELD]: of the last line of that kind.
word() {
	awk -v kind="$1" -v field="${3:-2}" '$1 == kind { last = $field } END { print last }' "$2"
}

# true_offset BEFORE AFTER PROBE: dom0's clock minus the guest's, in ns, by the counter that both have read.
true_offset() {
	awk '$1 == "pair" { ns[++n] = $2; ticks[n] = $3 }
		END { printf "%.0f\n", ns[1] + (ticks[3] - ticks[1]) * (ns[2] - ns[1]) / (ticks[2] - ticks[1]) - ns[3] }' "$@"
}

session_need
guest_destroy clock
# Guests that are there, one with a disk, have nothing to do with it.
: >"$OTHERS"
fired >"$OTHERS.new"
mv "$OTHERS.new" "$OTHERS"
guest_start clock pv
id=$(guest_id clock)

! pidof oxenstored >/dev/null || check "oxenstored logs what it is asked" test -e $ACCESS_LOG
[ ! -e $ACCESS_LOG ] || before=$(operations "$id")
tap_sink "$SESSION/steady.f32"
fired >"$SESSION/fired.0"
guest_silence clock player
heard_or_die clock
tap_go_on "$SESSION/steady.f32" 1000
if [ -e $ACCESS_LOG ]; then
	opened=$(($(operations "$id") - before))
	check_number "operations of xenstore to open a stream, without reads" $opened -gt 0
	check_number "operations of xenstore to open a stream, without reads" $opened -le $OPERATIONS_MAX
fi
fired >"$SESSION/fired.1"
check_number "notifications meanwhile" "$(notifications "$SESSION/fired.0" "$SESSION/fired.1")" -gt 0
tap_go_on "$SESSION/steady.f32" $((STEADY_S * 1000))
fired >"$SESSION/fired.2"
fired=$(notifications "$SESSION/fired.1" "$SESSION/fired.2")
[ "$fired" -eq 0 ] || diff "$SESSION/fired.1" "$SESSION/fired.2"
check_number "notifications in $STEADY_S s" "$fired" -eq 0
check_number "event channels of the backend" "$(event_channels)" -eq 0
guest_signal clock player KILL
check "it is over" wait_for 10 guest_is_silent clock
tap_end

tap_guests probe='xen.clock.playback.*'
$PROBE pair >"$SESSION/dom0.before"
GUEST_SECONDS=60 guest_run clock "$PROBE play 15" >"$SESSION/probe"
check "its frame was taken" test $? -eq 0
tap_end
$PROBE pair >"$SESSION/dom0.after"
$PROBE cycle "$SESSION/probe.f32" >"$SESSION/cycle"
check "and heard" test $? -eq 0
# The record's time of that cycle has the stream's secret in it.
secret=$(($(word heard "$SESSION/probe") - $(word cycle "$SESSION/cycle")))
estimate_ns=$(($(word offset "$SESSION/probe") - secret))
truth_ns=$(true_offset "$SESSION/dom0.before" "$SESSION/dom0.after" "$SESSION/probe")
error_us=$(((estimate_ns - truth_ns) / 1000))
width_us=$(($(word offset "$SESSION/probe" 3) / 1000))
note "clocks: $truth_ns ns apart, the guest says $estimate_ns ns, in an interval of $width_us us"
check_number "us of error of the guest's idea of dom0's clock" ${error_us#-} -le $CLOCK_MAX_US
guest_destroy clock
figure "${opened:-no log of} operations (without reads) to open a stream; $fired notifications in $STEADY_S s; clock: $error_us us of" \
	"error, known to $width_us us"
check_end
