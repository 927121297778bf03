#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The benchmark itself: what it prints is what it says it prints. Its figures are not judged here.

. "$XARING_SOURCE/tests/lib/check.sh" || exit 1
OUT=$(mktemp)
at_exit 'rm -f "$OUT"'

holds() {
	jq -e "$@" "$OUT" >/dev/null
}

measure() {
	python3 "$XARING_SOURCE/tests/benchmarks/main.py" --no-build --quick "$@" >"$OUT" 2>/dev/null
}

measure --json --only ring-one --only copies
STATUS=$?
check "a list of objects" holds 'type == "array" and length > 5'
check "each with name, ours, peer, ratio, bound, held" holds \
	'all(has("name") and has("ours") and has("peer") and has("ratio") and has("bound") and
	(.held | type == "boolean"))'
check "held says whether the bound was" holds \
	'map(select(.bound != null and .ratio != null and .quartiles == null)) |
	all(.held == (.ratio <= .bound))'
check_number "exit code" "$STATUS" -eq "$(jq 'if all(.held) then 0 else 1 end' "$OUT")"

measure --only copies
check "the table has a line for each" grep -q '^allocations per period, pump ' "$OUT"
measure --only nonsense
check_number "exit code for a figure that does not exist" $? -eq 2
check_end
