#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# xaring-pw as a program: exit codes and their messages, lock, sockets, signals, readiness, and a
# worker that comes back. Needs no sound server.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
BACKEND=$XARING_BUILD/pw-backend/xaring-pw
WORK=$(mktemp -d) || exit 1
at_exit "rm -rf '$WORK'"
RUN=$WORK/run
DAEMON='' NOTIFY=''
at_exit 'end_process "$DAEMON"; end_process "$NOTIFY"'
unset XDG_RUNTIME_DIR PIPEWIRE_REMOTE PIPEWIRE_RUNTIME_DIR NOTIFY_SOCKET JOURNAL_STREAM
mkdir "$WORK/conf" "$WORK/pw"
cp "$XARING_SOURCE/conf/pipewire/xaring-pw.conf" "$WORK/conf/"

# As most tests here start it. No function, so that $! is the program's pid.
backend=("$BACKEND" --runtime-dir "$RUN" --config-dir "$WORK/conf"
	--pipewire "$WORK/pw/pipewire-0")

start() {
	: >"$WORK/log"
	"${backend[@]}" "$@" 2>>"$WORK/log" </dev/null &
	DAEMON=$!
	wait_or_die 20 "xaring-pw: readiness" logged 'xaring-pw: ready, playing to '
}

logged() {
	grep -q -- "$1" "$WORK/log"
}

# ends CODE TEXT COMMAND...: the program ends with that code, and says that.
ends() {
	local code=$1 text=$2 found
	shift 2
	"$@" >"$WORK/out" 2>&1 </dev/null
	found=$?
	if [ $found -eq "$code" ] && grep -qF -- "$text" "$WORK/out"; then
		pass "code $code: $text"
	else
		fail "code $found instead of $code, or no \"$text\":"
		cat "$WORK/out"
	fi
}

stop_with() {
	local code
	kill "-$1" "$DAEMON"
	wait_or_die 5 "the end after SIG$1" is_gone_or_zombie "$DAEMON"
	wait "$DAEMON"
	code=$?
	DAEMON=''
	check_number "code after SIG$1" $code -eq 0
}

worker() {
	local children
	children=$(cat "/proc/$DAEMON/task/$DAEMON/children")
	echo "${children%% *}"
}

worker_is_another() {
	local now
	now=$(worker)
	[ -n "$now" ] && [ "$now" != "$1" ]
}

no_socket_is_left() {
	[ -z "$(find "$RUN" -type s 2>/dev/null)" ]
}

sleeps() {
	grep -E '^(non)?voluntary_ctxt_switches' "/proc/$1/status"
}

# Whether a fifth of a second passes without a wake.
rests() {
	local before
	before=$(sleeps "$1")
	sleep 0.2
	[ "$before" = "$(sleeps "$1")" ]
}

# ---- wrong usage and configuration ----
ends 0 'Usage: xaring-pw' "$BACKEND" --help
ends 0 'xaring-pw ' "$BACKEND" --version
ends 2 'the argument more is refused' "${backend[@]}" more
ends 2 "unrecognized option '--loud'" "${backend[@]}" --loud
ends 2 'Try: xaring-pw --help' "${backend[@]}" --loud
ends 2 '--vm a/b is refused: 1 to 63 of' "${backend[@]}" --vm a/b
ends 2 '--vm a is refused: each name is accepted once' "${backend[@]}" --vm a --vm a
ends 2 '--pipewire socket is refused: an absolute path is accepted' "$BACKEND" --pipewire socket
nowhere=("$BACKEND" --runtime-dir "$RUN" --config-dir "$WORK/conf")
if [ "$(id -u)" -eq 0 ]; then
	ends 2 '--audio-user nosuchuser is refused: auto or the name of a user of this machine' \
		"${nowhere[@]}" --audio-user nosuchuser
else
	ends 2 'give --runtime-dir DIR' "$BACKEND" --config-dir "$WORK/conf"
	ends 2 'give --pipewire SOCKET' "${nowhere[@]}"
	ends 2 '--audio-user auto is refused: it is accepted of root only' "${nowhere[@]}" --audio-user auto
fi
ends 2 '--config-dir /nowhere is refused' "$BACKEND" --config-dir /nowhere
long=$WORK/$(printf 'x%.0s' {1..100})
mkdir "$long"
ends 2 'at most 107 bytes are accepted' "$BACKEND" --runtime-dir "$long" --config-dir "$WORK/conf" \
	--pipewire "$WORK/pw/pipewire-0" --vm work
mkdir "$WORK/conf/xaring-pw.conf.d"
echo 'xaring.vms = [ { name = work colour = red } ]' >"$WORK/conf/xaring-pw.conf.d/1.conf"
ends 2 'conf.d/1.conf:1: the key colour in xaring.vms[0] is refused: name, title and socket' "${backend[@]}"
rm "$WORK/conf/xaring-pw.conf.d/1.conf"
touch "$WORK/file"
ends 1 'is no folder' "$BACKEND" --runtime-dir "$WORK/file" --config-dir "$WORK/conf" \
	--pipewire "$WORK/pw/pipewire-0"
ends 1 'cannot be made' "$BACKEND" --runtime-dir "$WORK/a/b" --config-dir "$WORK/conf" \
	--pipewire "$WORK/pw/pipewire-0"

# ---- one, and only one ----
start --vm work --vm personal
check "the socket of work" test -S "$RUN/vm/work"
check "the socket of personal" test -S "$RUN/vm/personal"
check "anybody may connect" test "$(stat -c %a "$RUN/vm/work")" = 666
check "the lock holds the pid" test "$(cat "$RUN/xaring-pw.lock")" = "$DAEMON"
ends 3 "another one is running (pid $DAEMON) with the runtime folder $RUN" "${backend[@]}" --vm work
check "the socket of work is untouched" test -S "$RUN/vm/work"

# ---- idle ----
wait_or_die 10 "the end of what the start began" rests "$DAEMON"
before=$(sleeps "$DAEMON")
sleep 1
check "an idle broker does not wake up" test "$before" = "$(sleeps "$DAEMON")"

# ---- a worker that dies ----
first=$(worker)
kill -9 "$first"
check "another worker within a second" wait_for 1 worker_is_another "$first"
check "its death is logged" logged "worker (pid $first) was ended by signal 9"

# ---- rules are read again ----
cat >"$WORK/conf/xaring-pw.conf.d/2.conf" <<-END
	xaring.rules = [ { matches = [ { xaring.key = work } ]
	    actions = { policy = { max-streams = none } } } ]
END
kill -HUP "$DAEMON"
check "wrong rules are refused" wait_for 5 logged '2.conf:2: .*max-streams = none is refused'
sed -i 's/none/3/' "$WORK/conf/xaring-pw.conf.d/2.conf"
kill -HUP "$DAEMON"
check "right rules are taken" wait_for 5 logged 'the rules were read again'
rm "$WORK/conf/xaring-pw.conf.d/2.conf"

# ---- the end ----
last=$(worker)
stop_with TERM
check "no socket is left" no_socket_is_left
check "no worker is left" wait_for 2 is_gone_or_zombie "$last"

# A broker that had no time to tidy up leaves sockets and no lock, and its worker does not outlive it.
start --vm work
last=$(worker)
kill -9 "$DAEMON"
{ wait "$DAEMON"; } 2>/dev/null
check "a worker does not outlive its broker" wait_for 2 is_gone_or_zombie "$last"
check "a socket is left behind" test -S "$RUN/vm/work"
start --vm work
stop_with INT

# ---- configured VMs, and none at all ----
cat >"$WORK/conf/xaring-pw.conf.d/1.conf" <<-END
	xaring.properties = { pipewire.socket = "$WORK/pw/other" }
	xaring.vms = [ { name = a } { name = b socket = "$WORK/pw/b.sound" } ]
END
start --vm c
check "the socket of a" test -S "$RUN/vm/a"
check "the socket of b, where it was configured" test -S "$WORK/pw/b.sound"
check "the socket of c" test -S "$RUN/vm/c"
check "the option counts more than the configuration" logged "ready, playing to $WORK/pw/pipewire-0"
stop_with TERM
rm "$WORK/conf/xaring-pw.conf.d/1.conf"
start
check "without VMs there is one socket" test -S "$RUN/socket"
stop_with TERM

# ---- readiness ----
python3 - "$WORK/notify" >"$WORK/told" <<-'END' &
	import socket, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.bind(sys.argv[1])
	while True:
	    print(s.recv(4096).decode(), flush=True)
END
NOTIFY=$!
wait_or_die 5 "the socket of the service manager" test -S "$WORK/notify"
export NOTIFY_SOCKET=$WORK/notify
start --vm work
unset NOTIFY_SOCKET
told() {
	grep -qx "$1" "$WORK/told"
}
check "readiness is told" wait_for 5 told READY=1
stop_with TERM
check "the end is told" wait_for 5 told STOPPING=1
check_number "readiness is told once" "$(grep -c READY=1 "$WORK/told")" -eq 1
check_end
