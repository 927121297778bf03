# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Guests of Xen on a machine without it: fake-xenstored is xenstore and the toolstack, fake-grants the
# devices, and each guest is a xaring-guestd. Everything else is real. Sourced after session.sh.

XENSTORED_PID='' GRANTS_PID=''
declare -A GUESTD_PIDS=() GUEST_DOMIDS=()

# xen COMMAND...: as the toolstack, see fake-xenstored.c. Prints the answer.
xen() {
	"$XARING_BUILD/tests/fake-xenstored" "$SESSION/xen" "$@"
}

# in_domain DOMID COMMAND...: becomes the command, as a program of that domain.
in_domain() {
	local domid=$1
	shift
	XENSTORED_PATH=$SESSION/xen/$domid FAKE_DOMID=$domid FAKE_GRANTS=$FAKE_GRANTS \
		LD_PRELOAD=$XARING_BUILD/tests/libfake-grants-preload.so${LD_PRELOAD:+:$LD_PRELOAD} \
		ASAN_OPTIONS=verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS} exec "$@"
}

xen_open() {
	mkdir "$SESSION/xen"
	"$XARING_BUILD/tests/fake-xenstored" "$SESSION/xen" >"$SESSION/log/xenstored" 2>&1 </dev/null &
	XENSTORED_PID=$!
	"$XARING_BUILD/tests/fake-grants" serve >"$SESSION/grants" 2>>"$SESSION/log/grants" </dev/null &
	GRANTS_PID=$!
	at_exit xen_close
	wait_or_die 10 "fake-xenstored: its word" grep -q ready "$SESSION/log/xenstored"
	wait_or_die 10 "fake-grants: its word" test -s "$SESSION/grants"
	FAKE_GRANTS=$(<"$SESSION/grants")
	export FAKE_GRANTS
}

xen_close() {
	local pid
	for pid in "${GUESTD_PIDS[@]}"; do end_process "$pid"; done
	end_process "$DAEMON_PID"
	end_process "$XENSTORED_PID"
	end_process "$GRANTS_PID"
}

# guest_create NAME DOMID: the domain, without anything in it.
guest_create() {
	GUEST_DOMIDS[$1]=$2
	xen create "$2" "$1" "$(printf '%08x-0000-4000-8000-0000000000aa' "$2")" >/dev/null
}

# guest_boot NAME: its guestd.
guest_boot() {
	mkdir -p "$SESSION/guest/$1"
	in_domain "${GUEST_DOMIDS[$1]}" "$XARING_BUILD/libxaring/guestd/xaring-guestd" \
		--runtime-dir "$SESSION/guest/$1" >>"$SESSION/log/guestd-$1" 2>&1 </dev/null &
	GUESTD_PIDS[$1]=$!
	wait_or_die 10 "guestd of $1: its socket" test -S "$(vm_socket "$1")"
}

# In the place of session.sh's: programs of a guest talk to its guestd.
vm_socket() {
	echo "$SESSION/guest/$1/socket"
}

backend_is_there() {
	xen read /local/domain/0/data/xaring/backend 2>/dev/null | grep -q version
}

# xen_daemon_start [ARGUMENT...]: xaring-pw in dom0; returns when guests are told.
xen_daemon_start() {
	mkdir -p "$SESSION/conf"
	[ -e "$SESSION/conf/xaring-pw.conf" ] ||
		cp "$XARING_SOURCE/conf/pipewire/xaring-pw.conf" "$SESSION/conf/"
	in_domain 0 "$XARING_BUILD/pw-backend/xaring-pw" --runtime-dir "$SESSION/xaring" --state-dir "$SESSION/state" \
		--config-dir "$SESSION/conf" --pipewire "$XDG_RUNTIME_DIR/pipewire-0" \
		"$@" >>"$SESSION/log/xaring-pw" 2>&1 </dev/null &
	DAEMON_PID=$!
	wait_or_die 20 "xaring-pw: its word to the guests" backend_is_there
	if [ "$(id -u)" -ne 0 ] && wait_for 5 worker_has_threads; then
		give_realtime "$(worker_pid)"
	fi
}

# grants NAME: pages that the domain has granted, and those of them that dom0 has referenced.
grants() {
	"$XARING_BUILD/tests/fake-grants" count "${GUEST_DOMIDS[$1]}"
}

grants_are() {
	[ "$(grants "$1")" = "$2" ]
}
