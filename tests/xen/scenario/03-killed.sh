#!/bin/bash
# SPDX-License-Identifier: MIT
# A program is killed while it plays: its stream is gone within a second, and all its pages come back, in
# the guest and in dom0.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

session_need
guest_need pv pv
guest_need pvh pvh

# The pages that gntalloc of the guest still gives.
free_pages() {
	guest_run "$1" /payload/tests/xen/grant-count
}

pages_are_free() {
	[ "$(free_pages "$1")" = "$2" ]
}

stream_is_gone() {
	local streams
	streams=$(xenstore-list "/local/domain/$1/data/xaring/stream") && [ -z "$streams" ] && guest_is_silent "$2"
}

# killed NAME
killed() {
	local name=$1 id free mapped used began took
	id=$(guest_id "$name")
	wait_for 5 stream_is_gone "$id" "$name"
	mapped=$(mapped_grants)
	free=$(free_pages "$name")
	guest_player "$name" 1 -b 8192
	heard_or_die "$name"
	used=$((free - $(free_pages "$name")))
	check_number "$name: pages in use" $used -gt 0
	check_number "$name: pages that dom0 has mapped" $(($(mapped_grants) - mapped)) -eq $used
	began=${EPOCHREALTIME/./}
	guest_signal "$name" player KILL
	check "$name: the stream is gone" wait_for 10 stream_is_gone "$id" "$name"
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	check_number "$name: ms until then" $took -le $((1000 + SLACK_MS))
	check "$name: dom0's pages are back: $mapped" wait_for 5 mapped_grants_are "$mapped"
	check "$name: the guest's pages are back: $free" wait_for 5 pages_are_free "$name" "$free"
	FIGURE+="${FIGURE:+, }$name: $used pages, gone after $took ms"
}

FIGURE=''
killed pv
killed pvh
figure "$FIGURE"
check_end
