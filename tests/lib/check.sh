# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What every test script needs: waiting with a deadline, saying what held, cleaning up.
# Sourced. A script ends with check_end, which exits 1 when anything failed.

set -u
# shellcheck source=tests/lib/as-root.sh
. "${BASH_SOURCE[0]%/*}/as-root.sh"

CHECK_FAILED=0
CHECK_STARTED=${EPOCHREALTIME/./}
CHECK_AT_EXIT=()

# check_say WORD TEXT: with the seconds since the script began.
check_say() {
	local ms=$(((${EPOCHREALTIME/./} - CHECK_STARTED) / 1000))
	printf '%4d.%03d %-7s %s\n' $((ms / 1000)) $((ms % 1000)) "$1" "$2"
}

pass() {
	check_say ok "$*"
}

fail() {
	check_say FAILED "$*"
	CHECK_FAILED=$((CHECK_FAILED + 1))
}

note() {
	check_say '' "$*"
}

# check TEXT COMMAND...: says TEXT, and whether the command succeeded; returns that.
check() {
	local text=$1
	shift
	if "$@"; then pass "$text"; else fail "$text" && return 1; fi
}

# check_number TEXT NUMBER TEST NUMBER: for example  check_number "gaps" 1 -le 1
check_number() {
	if [ -n "$2" ] && test "$2" "$3" "$4" 2>/dev/null; then
		pass "$1: $2"
	else
		fail "$1: ${2:-nothing}, but should be $3 $4"
	fi
}

# check_real TEXT NUMBER OPERATOR NUMBER: the same with fractions, and < <= > >=.
check_real() {
	if [ -n "$2" ] && awk -v a="$2" -v b="$4" "BEGIN { exit !(a $3 b) }"; then
		pass "$1: $2"
	else
		fail "$1: ${2:-nothing}, but should be $3 $4"
	fi
}

# check_between TEXT NUMBER LOW HIGH: the same for two bounds, which hold themselves.
check_between() {
	if [ -n "$2" ] && awk -v a="$2" -v low="$3" -v high="$4" 'BEGIN { exit !(low <= a && a <= high) }'; then
		pass "$1: $2, between $3 and $4"
	else
		fail "$1: ${2:-nothing}, but should be between $3 and $4"
	fi
}

# wait_for SECONDS COMMAND...: tries the command until it succeeds; 1 when the time is over.
wait_for() {
	local until=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$until" ] || return 1
		sleep 0.02
	done
}

# wait_or_die SECONDS TEXT COMMAND...: a condition without which the rest makes no sense.
wait_or_die() {
	local seconds=$1 text=$2
	shift 2
	wait_for "$seconds" "$@" && return
	fail "$text did not happen within $seconds s"
	check_end
}

# The full count in the long run, a tenth of it in the normal one, a fiftieth in the quick one.
level_count() {
	local n
	case ${XARING_TEST:-normal} in
	long) n=$1 ;;
	quick) n=$(($1 / 50)) ;;
	*) n=$(($1 / 10)) ;;
	esac
	echo $((n > 0 ? n : 1))
}

is_gone() {
	! kill -0 "$1" 2>/dev/null
}

# Ends a child and collects it: first politely, after 5 s with -9.
end_process() {
	[ -n "${1:-}" ] || return 0
	kill "$1" 2>/dev/null
	wait_for 5 is_gone_or_zombie "$1" || kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

is_gone_or_zombie() {
	local state
	state=$(sed -n 's/^State:\s*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ]
}

# What is to be done at the end, last first.
at_exit() {
	CHECK_AT_EXIT+=("$*")
}

check_clean() {
	local i
	trap - EXIT
	for ((i = ${#CHECK_AT_EXIT[@]} - 1; i >= 0; i--)); do
		eval "${CHECK_AT_EXIT[i]}"
	done
	CHECK_AT_EXIT=()
}
trap check_clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

check_end() {
	if [ "$CHECK_FAILED" -gt 0 ]; then
		check_say '' "$CHECK_FAILED failed"
		exit 1
	fi
	exit 0
}

# A reason why this machine cannot run the test, or the rest of it.
skip() {
	[ "$CHECK_FAILED" -eq 0 ] || check_end
	check_say '' "skipped: $*"
	exit 77
}
