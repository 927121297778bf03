#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The benchmark itself: what it prints is what it says it prints. Its figures are not judged here.

. "$XARING_SOURCE/tests/lib/check.sh" || exit 1
OUT=$(mktemp)
at_exit 'rm -f "$OUT"'

measure() {
	python3 "$XARING_SOURCE/tests/benchmarks/main.py" --no-build --quick "$@" >"$OUT" 2>/dev/null
}

measure --json --only ring-one --only copies
STATUS=$?
check "a list of objects" jq -e 'type == "array" and length > 5' "$OUT" >/dev/null
check "each with name, ours, peer, ratio, bound, held" jq -e \
	'all(has("name") and has("ours") and has("peer") and has("ratio") and has("bound") and
	(.held | type == "boolean"))' "$OUT" >/dev/null
check "held says whether the bound was" jq -e \
	'map(select(.bound != null and .ratio != null and .quartiles == null)) |
	all(.held == (.ratio <= .bound))' "$OUT" >/dev/null
check_number "exit code" "$STATUS" -eq "$(jq 'if all(.held) then 0 else 1 end' "$OUT")"

measure --only copies
check "the table has a line for each" grep -q '^allocations per period, pump ' "$OUT"
measure --only nonsense
check_number "exit code for a figure that does not exist" $? -eq 2
check_end
