#!/bin/bash
# SPDX-License-Identifier: MIT
# A program is killed while it plays: its stream is gone within a second, and all its pages come back, in
# the guest and in dom0. Where the guest's daemon stands still it is not heard any more all the same.
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
	check_number "$name: ms until then" $took -le 1000
	check "$name: dom0's pages are back: $mapped" wait_for 5 mapped_grants_are "$mapped"
	check "$name: the guest's pages are back: $free" wait_for 5 pages_are_free "$name" "$free"
	FIGURE+="${FIGURE:+, }$name: $used pages, gone after $took ms"
}

# killed_unseen NAME: while its daemon stands still. dom0 learns it from the kernel of the guest alone, which clears a
# byte of the control page.
killed_unseen() {
	local name=$1 daemon id began took
	id=$(guest_id "$name")
	daemon=$(guest_daemon "$name")
	guest_player "$name" 1 -b 8192
	heard_or_die "$name"
	guest_run "$name" "kill -STOP $daemon"
	began=${EPOCHREALTIME/./}
	guest_signal "$name" player KILL
	check "$name: without its daemon: the stream is not heard" wait_for 10 guest_is_silent "$name"
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	check_number "$name: without its daemon: ms until then" $took -le 1000
	check "$name: its node in xenstore is there" test -n "$(xenstore-list "/local/domain/$id/data/xaring/stream")"
	guest_run "$name" "kill -CONT $daemon"
	check "$name: it is gone as soon as the daemon goes on" wait_for 10 stream_is_gone "$id" "$name"
	FIGURE+=", without its daemon after $took ms"
}

FIGURE=''
killed pv
killed_unseen pv
killed pvh
figure "$FIGURE"
check_end
