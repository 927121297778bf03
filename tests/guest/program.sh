#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# xaring-guestd as a program: exit codes and their messages, lock, socket, socket activation, signals,
# readiness, idleness; and aplay, which it serves before, during and after its restart. The xenstored
# and the grants are the test's own.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
GUESTD=$XARING_BUILD/libxaring/guestd/xaring-guestd
PLUGIN=$XARING_BUILD/alsa-plugin/libasound_module_pcm_xen.so
STORE=$XARING_BUILD/tests/fake-xenstored
GRANTS=$XARING_BUILD/tests/fake-grants
WORK=$(mktemp -d "${TMPDIR:-/tmp}/xaring-test.XXXXXX") || exit 1
at_exit "rm -rf '$WORK'"
RUN=$WORK/run
HOME7=/local/domain/7/data/xaring
DAEMON='' PLAYER=''
unset NOTIFY_SOCKET JOURNAL_STREAM LISTEN_FDS LISTEN_PID LD_PRELOAD

mkdir "$WORK/store"
"$STORE" "$WORK/store" >"$WORK/store.out" &
at_exit "end_process $!"
"$GRANTS" serve >"$WORK/grants" &
at_exit "end_process $!"
at_exit 'end_process "$PLAYER"; end_process "$DAEMON"'
wait_or_die 10 "the start of xenstored" grep -qs ready "$WORK/store.out"
wait_or_die 10 "the start of the grants" test -s "$WORK/grants"
FAKE_GRANTS=$(cat "$WORK/grants")
export FAKE_GRANTS

store() {
	"$STORE" "$WORK/store" "$@"
}

store create 7 guest 00000000-0000-0000-0000-000000000007

# What a daemon of domain 7 has around it. No function, so that $! is the program's pid.
guest=(env XENSTORED_PATH="$WORK/store/7" FAKE_DOMID=7
	LD_PRELOAD="$XARING_BUILD/tests/libfake-grants-preload.so"
	ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}")
guestd=("${guest[@]}" "$GUESTD" --runtime-dir "$RUN")

start() {
	: >"$WORK/log"
	"${guestd[@]}" 2>>"$WORK/log" </dev/null &
	DAEMON=$!
	wait_or_die 20 "xaring-guestd: readiness" logged 'xaring-guestd: ready'
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
	wait_or_die 20 "the end after SIG$1" is_gone_or_zombie "$DAEMON"
	wait "$DAEMON"
	code=$?
	DAEMON=''
	check_number "code after SIG$1" $code -eq 0
}

sleeps() {
	grep -E '^(non)?voluntary_ctxt_switches' "/proc/$DAEMON/status"
}

rests() {
	local before
	before=$(sleeps)
	sleep 0.3
	[ "$before" = "$(sleeps)" ]
}

streams() {
	store list "$HOME7/stream" 2>/dev/null | wc -w
}

streams_are() {
	[ "$(streams)" -eq "$1" ]
}

grants_of_8_are() {
	[ "$("$GRANTS" count 8)" = "$1" ]
}

kicks() {
	local n
	n=$(store read "$HOME7/kick" 2>/dev/null)
	echo "${n:-0}"
}

has_kicked() {
	[ "$(kicks)" -gt "$1" ]
}

# ---- wrong usage ----
ends 0 'Usage: xaring-guestd' "${guestd[@]}" --help
ends 0 'xaring-guestd ' "${guestd[@]}" --version
ends 2 'the argument more is refused' "${guestd[@]}" more
ends 2 'Try: xaring-guestd --help' "${guestd[@]}" --loud
ends 2 '--pages 1 is refused: 2 to 480 pages are accepted' "${guestd[@]}" --pages 1
ends 2 '--pages 481 is refused' "${guestd[@]}" --pages 481
ends 2 '--pages-per-user 1x is refused' "${guestd[@]}" --pages-per-user 1x
ends 2 '--pages -2 is refused' "${guestd[@]}" --pages -2
ends 2 '--json alone is refused' "${guestd[@]}" --json
ends 2 '--runtime-dir "" is refused' "${guestd[@]}" --runtime-dir ''
long=$WORK/$(printf 'x%.0s' {1..100})
ends 2 'at most 107 bytes are accepted' "${guestd[@]}" --runtime-dir "$long"
touch "$WORK/file"
ends 1 'is no folder' "${guestd[@]}" --runtime-dir "$WORK/file"
ends 1 'cannot be made' "${guestd[@]}" --runtime-dir "$WORK/a/b"

# ---- one, and only one ----
start
check "the socket" test -S "$RUN/socket"
check "anybody may connect" test "$(stat -c %a "$RUN/socket")" = 666
check "anybody may come there" test "$(stat -c %a "$RUN")" = 755
check "the lock holds the pid" test "$(cat "$RUN/xaring-guestd.lock")" = "$DAEMON"
ends 3 "another one is running (pid $DAEMON) with the runtime folder $RUN" "${guestd[@]}"
check "the socket is untouched" test -S "$RUN/socket"
check "the folder is marked" test "$(store read "$HOME7/token" | tr -d '\n' | wc -c)" -eq 32

# ---- status: this machine is no Xen guest, or none that is whole ----
"$GUESTD" --status --runtime-dir "$RUN" >"$WORK/out"
check_number "code of --status" $? -eq 1
check "it names what is broken" grep -qE '^broken +(xen|module|device|backend) ' "$WORK/out"
"$GUESTD" --status --json --runtime-dir "$RUN" | python3 -c '
import json, sys
report = json.load(sys.stdin)
assert report["ok"] is False and report["broken"] and report["remedy"]
assert len(report["links"]) == 9
assert report["microphone"]["state"] == "unknown"
'
check "so does --json" test "${PIPESTATUS[1]}" -eq 0

# ---- idle ----
wait_or_die 10 "the end of what the start began" rests
before=$(sleeps)
sleep 1
check "an idle daemon does not wake up" test "$before" = "$(sleeps)"

# ---- a program ----
if ! command -v aplay >/dev/null || [ ! -e "$PLUGIN" ]; then
	note "aplay or the plugin is not there"
elif nm -D --undefined-only "$PLUGIN" | grep -q ' __[atu]*san_'; then
	note "aplay cannot load a plugin with sanitizers"
else
	ALSA_CONFIG_PATH=$XARING_BUILD/conf/uninstalled.conf XARING_SOCKET=$RUN/socket \
		aplay -q -D xen -t raw -f S16_LE -c 2 -r 48000 /dev/zero 2>"$WORK/aplay" &
	PLAYER=$!
	check "aplay is published" wait_for 10 streams_are 1
	check "it kicks" wait_for 5 has_kicked 0
	check "its pages are granted" test "$("$GRANTS" count 7)" != "0 0"
	wait_or_die 10 "the end of what its start began" rests
	before=$(sleeps)
	asked=$(store count 7)
	sleep 1
	check "while it plays nothing passes" test "$before" = "$(sleeps)"
	check "and xenstored is not asked" test "$asked" = "$(store count 7)"

	kill -9 "$DAEMON"
	{ wait "$DAEMON"; } 2>/dev/null
	start
	# Without a backend it has no reason to keep pages: it has new ones, and the former's are there.
	check "a restarted daemon serves it" wait_for 5 streams_are 2
	check "aplay goes on" kill -0 "$PLAYER"

	store create 8 guest 00000000-0000-0000-0000-000000000008
	"$GRANTS" revoke 7
	"$GRANTS" moved 7 8
	store restore 7 8
	HOME7=/local/domain/8/data/xaring
	check "after a restore it is published again" wait_for 5 streams_are 1
	check "aplay goes on" kill -0 "$PLAYER"

	kill -9 "$PLAYER"
	{ wait "$PLAYER"; } 2>/dev/null
	PLAYER=''
	check "a killed program's node goes" wait_for 1 streams_are 0
	check "and so do its pages" wait_for 2 grants_of_8_are "0 0"
	check "nothing was said" test ! -s "$WORK/aplay"
fi

# ---- who records ----
# records GROUPS...: a second, as a user that no seat knows, in those groups.
records() {
	timeout 20 setpriv --reuid 64999 --regid 64999 "$@" arecord -q -D xen -t raw -f S16_LE -c 2 -r 48000 \
		-d 1 /dev/null >"$WORK/arecord" 2>&1
}

# mixer_says VALUE: to anybody.
mixer_says() {
	timeout 20 setpriv --reuid 64999 --regid 64999 --clear-groups amixer -D xen cget name='Capture Switch' \
		2>"$WORK/amixer" | grep -q "values=$1\$" && [ ! -s "$WORK/amixer" ]
}

if [ "$(id -u)" -ne 0 ] || ! command -v setpriv arecord >/dev/null || ! getent group audio >/dev/null; then
	note "it takes root, setpriv, arecord and a group audio to see who records"
elif nm -D --undefined-only "$PLUGIN" | grep -q ' __[atu]*san_' ||
	! setpriv --reuid 64999 --regid 64999 --clear-groups test -r "$PLUGIN"; then
	note "another user cannot load the plugin"
else
	export ALSA_CONFIG_PATH=$XARING_BUILD/conf/uninstalled.conf XARING_SOCKET=$RUN/socket
	chmod 0711 "$WORK"
	check "a member of the group audio records" records --groups audio
	records --clear-groups
	check_number "code of a user who may not" $? -eq 1
	check "the reason" grep -q 'recording is refused: members of the group audio and users' "$WORK/arecord"
	check "it is logged" logged "arecord, of user 64999: by the guest's own rules, recording is refused"
	check "a mixer shows that no microphone is allowed" mixer_says off
	unset ALSA_CONFIG_PATH XARING_SOCKET
fi

# ---- the end ----
stop_with TERM
check "no socket is left" test ! -e "$RUN/socket"
start
stop_with INT

# ---- activated ----
if command -v systemd-socket-activate >/dev/null; then
	"${guest[@]}" systemd-socket-activate --seqpacket -l "$WORK/activated" \
		-E XENSTORED_PATH -E FAKE_GRANTS -E FAKE_DOMID -E LD_PRELOAD -E ASAN_OPTIONS \
		"$GUESTD" --runtime-dir "$RUN" 2>"$WORK/log" </dev/null &
	DAEMON=$!
	wait_or_die 20 "the socket of the service manager" test -S "$WORK/activated"
	python3 - "$WORK/activated" <<-'END' &
		import socket, sys, time
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[1])
		s.recv(100)
	END
	at_exit "end_process $!"
	check "it starts when somebody connects" wait_for 10 logged 'listening at the socket of the service'
	check "and is ready" wait_for 10 logged 'xaring-guestd: ready'
	check "it makes no socket of its own" test ! -e "$RUN/socket"
	stop_with TERM
	check "the manager's socket stays" test -S "$WORK/activated"
else
	note "systemd-socket-activate is not there"
fi

# ---- readiness ----
python3 - "$WORK/notify" >"$WORK/told" <<-'END' &
	import socket, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.bind(sys.argv[1])
	while True:
	    print(s.recv(4096).decode(), flush=True)
END
at_exit "end_process $!"
wait_or_die 20 "the notifications' socket" test -S "$WORK/notify"
export NOTIFY_SOCKET=$WORK/notify
start
told() {
	grep -qx "$1" "$WORK/told"
}
check "readiness is told" wait_for 5 told READY=1
stop_with TERM
check "the end is told" wait_for 5 told STOPPING=1
unset NOTIFY_SOCKET

# ---- without what it needs ----
store down
start
check "without xenstored it starts, and says so" logged 'no connection to xenstore'
stop_with TERM
check_end
