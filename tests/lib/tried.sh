# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What is tried again where the machine was late, and only there. Sourced by sound.sh.

# witness_starts LATE_MS [COMMAND...]: a shell to which the command, given its number, gives the priority of the guest's
# programs; as root when that takes it. It says in the recorder's log when it was late: so late that what plays would
# have run dry.
witness_starts() {
	local late_ms=$1
	shift
	exec {NOTHING}<> <(:)
	witness "$late_ms" &
	WITNESS=$!
	[ $# -eq 0 ] || "$@" $WITNESS >/dev/null 2>&1 || as_root "$@" $WITNESS >/dev/null
	at_exit end_process $WITNESS
}

witness() {
	local none due
	while :; do
		due=$((${EPOCHREALTIME/./} + 10000 + $1 * 1000))
		read -r -t 0.01 -u "$NOTHING" none
		[ "${EPOCHREALTIME/./}" -le $due ] || echo "$(now_ns) late guest" >>"$SESSION/log/tap"
	done
}

# was_late_until NS: the graph, or until then the guest; the worker's node is another matter.
was_late_until() {
	awk -v ns="$1" '$2 == "lost" || ($2 == "late" && $3 !~ /^xen\./ && ($3 != "guest" || $1 <= ns)) { late = 1 }
		END { exit !late }' "$TAP_LOG"
}

# worker_was_late: the graph went on without its node. That happens to each node of a busy machine, but not in attempt
# after attempt.
WORKER_LATE_MAX=3
worker_was_late() {
	grep -q ' late xen\.' "$TAP_LOG" && [ $((WORKER_LATE += 1)) -le $WORKER_LATE_MAX ]
}

# tried PERFORMANCE JUDGE [TEXT]: five times at most, as long as the graph or the guest was late and the judge is not
# content. 0: he is; 1: he is not, and nothing was late; 2: something was late each time. With GIVE_TIME the graph has
# more of it in each attempt.
tried() {
	local try ended res=2 WORKER_LATE=0
	for try in 1 2 3 4 5; do
		$1
		ended=$(now_ns)
		if $2; then
			res=0
		else
			# Of a node that was late the recorder tells within a second or two.
			wait_for 3 was_late_until "$ended"
		fi
		tap_stop
		[ $res -ne 0 ] || break
		was_late_until "$ended" || worker_was_late || { res=1 && break; }
		note "${3:+$3: }late in attempt $try: $(late_nodes)"
		[ -z "${GIVE_TIME:-}" ] || graph_give_time "$try"
	done
	[ -z "${GIVE_TIME:-}" ] || graph_give_time 0
	return $res
}
