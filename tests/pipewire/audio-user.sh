#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whose PipeWire hears a guest while it plays: that of the user at the seat, also after a switch; nobody's
# while a greeter is shown; one that comes later than its user; that of a user who is named; one that serves the
# whole system. The application notices nothing. Sound servers of two users and of the system, and files in the
# place of logind's, in a mount namespace of its own: needs root.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
[ "$(id -u)" -eq 0 ] || skip "only root can be several users"
if [ -z "${AUDIO_USER_ALONE:-}" ]; then
	unshare --mount true 2>/dev/null || skip "mounts of its own are not allowed here"
	AUDIO_USER_ALONE=1 exec unshare --mount --propagation private "$0"
fi

# Users that every Debian has, who never log in; the last one is who the system's PipeWire runs as. The build
# folder may be where they cannot reach it.
A=games B=daemon SYSTEM=proxy
getent passwd $A $B $SYSTEM >/dev/null || skip "there are no users $A, $B and $SYSTEM"
mount -t tmpfs -o mode=0755 tmpfs /run || skip "a file system of its own is not allowed here"
mkdir -p /run/user /run/build /run/systemd/{seats,sessions,users,machines}
mount --bind "$XARING_BUILD" /run/build
XARING_BUILD=/run/build
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

BACK_MS=1000
declare -A TAP_OF

# ---- logind ----

# As logind does it: a new file takes the place of the old one.
logind_write() {
	cat >"/run/systemd/.new" && mv "/run/systemd/.new" "/run/systemd/$1"
}

# session_is USER CLASS STATE
session_is() {
	logind_write "sessions/c$(id -u "$1")" <<-END
		UID=$(id -u "$1")
		USER=$1
		STATE=$3
		CLASS=$2
		SEAT=seat0
	END
}

# seat_is USER: the session that is active.
seat_is() {
	logind_write seats/seat0 <<-END
		IS_SEAT0=1
		ACTIVE=c$(id -u "$1")
		ACTIVE_UID=$(id -u "$1")
	END
}

# ---- users ----

# user_env USER: what follows is about this user's sound server.
user_env() {
	XDG_RUNTIME_DIR=/run/user/$(id -u "$1") HOME=$SESSION/home-$1
	[ "$1" != $SYSTEM ] || XDG_RUNTIME_DIR=/run/pipewire
	XDG_CONFIG_HOME=$HOME/.config XDG_STATE_HOME=$HOME/.local/state
	XDG_CACHE_HOME=$HOME/.cache XDG_DATA_HOME=$HOME/.local/share
	DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus
	SESSION_AS=(setpriv --reuid "$1" --regid "$(id -g "$1")" --clear-groups)
}

user_start() {
	user_env "$1"
	install -d -m 0700 -o "$1" -g "$(id -g "$1")" "$XDG_RUNTIME_DIR" "$HOME"
	session_config_pipewire
	session_config_wireplumber
	session_start
	at_exit "end_process $WIREPLUMBER_PID; end_process $PIPEWIRE_PID; end_process $DBUS_PID"
}

# tap_user USER: records what this user's sink hears, in USER.f32.
tap_user() {
	user_env "$1"
	tap_sink "$SESSION/$1.f32"
	mv "$TAP_LOG" "$SESSION/log/tap-$1"
	TAP_OF[$1]=$TAP_PID
	at_exit "end_process $TAP_PID"
	TAP_PID=''
}

judge_user() {
	TAP_LOG=$SESSION/log/tap-$1
	judge work 1 "$SESSION/$1.f32"
}

# hears_after USER NS: this user has heard the guest after that time.
hears_after() {
	# A root in a container cannot give the worker the right to take it.
	give_realtime "$(worker_pid)"
	judge_user "$1"
	verdict_holds "any(.runs[]; .end_ns > $2)"
}

# Whoever hears the guests: no user may reach into the process that has their pages.
worker_is_nobodys() {
	local owner
	owner=$(stat -c %U "/proc/$(worker_pid)" 2>/dev/null)
	[ "$owner" = xaring ] || { [ "$owner" = nobody ] && ! getent passwd xaring >/dev/null; }
}

logged() {
	grep -q -- "$1" "$SESSION/log/xaring-pw"
}

# moves_to USER TEXT NS: the sound is there within a second of NS, plus ALLOWED_MS.
moves_to() {
	local ms
	wait_or_die 10 "$2: sound for $1" hears_after "$1" "$3"
	ms=$(jq --argjson ns "$3" '([.runs[] | select(.end_ns > $ns)][0].begin_ns - $ns) / 1000000 |
		floor' "$VERDICT")
	check_number "$2: sound for $1 after (ms)" "$ms" -le $((BACK_MS + ${ALLOWED_MS:-0}))
	check "$2: the worker runs as no user" wait_for 5 worker_is_nobodys
	tap_go_on "$SESSION/$1.f32" 500
}

# ---- what happens ----

switch_of_users() {
	local now
	now=$(now_ns)
	seat_is $B
	moves_to $B "a switch" "$now"
}

# The session ends, and a greeter is shown. A worker asks for PipeWire four times a second all the while.
logout() {
	local lines frames
	session_is $B user closing
	check "a session that ends: nobody hears" wait_for 5 logged 'no user is there'
	# Two cycles may be on their way from PipeWire to the recorder.
	VOID_FROM=$(($(now_ns) + 50000000))
	session_is nobody greeter active
	seat_is nobody
	lines=$(wc -l <"$SESSION/log/xaring-pw")
	frames=$(summary_written)
	wait_or_die 10 "a second in the void" player_has_written work $((frames + 48000))
	check_number "a greeter: more lines in the log" \
		$(($(wc -l <"$SESSION/log/xaring-pw") - lines)) -eq 0
}

summary_written() {
	grep '^w' "$SESSION/player-work.log" | tail -n 1 | cut -d' ' -f3
}

login() {
	VOID_UNTIL=$(now_ns)
	session_is $B user active
	seat_is $B
	moves_to $B "a login" "$VOID_UNTIL"
}

# The user's PipeWire comes later than the session: folder, socket and all.
late_pipewire() {
	local now
	user_env $A
	end_process "$A_WIREPLUMBER"
	end_process "$A_PIPEWIRE"
	mv "$XDG_RUNTIME_DIR" /run/user/later
	seat_is $A
	check "no PipeWire yet: the log" wait_for 5 logged 'can be reached: No such file or directory'
	mv /run/user/later "$XDG_RUNTIME_DIR"
	pipewire_start
	at_exit "end_process $PIPEWIRE_PID"
	wireplumber_start
	at_exit "end_process $WIREPLUMBER_PID"
	sink_add
	now=$(now_ns)
	moves_to $A "PipeWire that comes later" "$now"
}

# The last user has stopped the worker, but not the sound of the next one: it gets a second to leave.
stopped_worker() {
	local now
	kill -STOP "$(worker_pid)"
	now=$(now_ns)
	seat_is $B
	ALLOWED_MS=1000 moves_to $B "a worker that is stopped" "$now"
	check "a worker that is stopped is killed" logged 'worker is killed: it did not make room'
}

named_user() {
	local now
	echo 'xaring.properties = { audio.user = nosuchuser }' >"$SESSION/conf/xaring-pw.conf.d/1.conf"
	kill -HUP "$DAEMON_PID"
	check "an unknown user is refused" wait_for 5 logged \
		'1.conf:1: .*audio.user = nosuchuser is refused: .*; the rules stay as they were'
	echo "xaring.properties = { audio.user = $A }" >"$SESSION/conf/xaring-pw.conf.d/1.conf"
	now=$(now_ns)
	kill -HUP "$DAEMON_PID"
	moves_to $A "a user who is named" "$now"
	session_is $B user active
	seat_is $B
	tap_go_on "$SESSION/$A.f32" 500
	check "a user who is named: the seat is not followed" hears_after $A "$(($(now_ns) - 300000000))"
}

# Only now: programs whose own PipeWire is gone go to that of the system.
system_wide() {
	local now
	user_start $SYSTEM
	tap_user $SYSTEM
	echo 'xaring.properties = { pipewire.socket = "/run/pipewire/pipewire-0" }' >"$SESSION/conf/xaring-pw.conf.d/1.conf"
	now=$(now_ns)
	kill -HUP "$DAEMON_PID"
	moves_to $SYSTEM "a PipeWire for the whole system" "$now"
}

# ---- what is left of it ----

# all_three FILTER: over $r, what everybody heard, in its order. Within half a second it is one turn of the same
# user: a busy machine may cost a cycle.
all_three() {
	jq -s "[.[0].runs[] + {user: 0}, .[1].runs[] + {user: 1}, .[2].runs[] + {user: 2}] | sort_by(.begin_ns) as \$r |
		[range(1; \$r | length) | {before: \$r[. - 1], now: \$r[.]}] as \$pairs | $1" \
		"$SESSION/verdict-$A.json" "$SESSION/verdict-$B.json" "$SESSION/verdict-$SYSTEM.json"
}

check_user() {
	judge_user "$1"
	cp "$VERDICT" "$SESSION/verdict-$1.json"
	check_number "$1: frames repeated" "$(verdict .repeated)" -eq 0
	check_number "$1: damaged frames" "$(verdict .damaged)" -eq 0
	check_number "$1: frames of somebody else" "$(verdict .foreign)" -eq 0
	jumps_check "$1"
}

check_all() {
	check_user $A
	check_user $B
	check_user $SYSTEM
	note "heard: $(all_three '[$r[] | [.user, .first, .last]] | tostring')"
	check_number "turns" "$(all_three '[$pairs[] | select(.now.user != .before.user or
		.now.begin_ns - .before.end_ns > 500000000)] | length + 1')" -eq 7
	check_number "turns that begin before the one before has ended" \
		"$(all_three '[$pairs[] | select(.now.begin_ns < .before.end_ns)] | length')" -eq 0
	check_number "pieces that begin with something old" \
		"$(all_three '[$pairs[] | select(.now.first <= .before.last)] | length')" -eq 0
	check_number "pieces that were heard while nobody was there" \
		"$(all_three "[\$r[] | select(.begin_ns < $VOID_UNTIL and .end_ns > $VOID_FROM)] | length")" -eq 0
	check_number "errors that the application saw" "$(summary work .errors)" -eq 0
	check_number "xruns that it saw" "$(summary work .xruns)" -eq 0
	check_number "log: waits for a worker" "$(grep -c 'the next one is started in' "$SESSION/log/xaring-pw")" -eq 0
	check_number "log: killed workers" "$(grep -c 'worker is killed' "$SESSION/log/xaring-pw")" -eq 1
}

session_open
chmod 0711 "$SESSION"
mkdir -p "$SESSION/conf/xaring-pw.conf.d"
user_start $A
A_PIPEWIRE=$PIPEWIRE_PID A_WIREPLUMBER=$WIREPLUMBER_PID
user_start $B
session_is $A user active
session_is $B user online
seat_is $A
tap_user $A
tap_user $B
# Of B is the environment: what counts is the seat.
# shellcheck disable=SC2034
SESSION_PIPEWIRE=
daemon_start
begin=$(now_ns)
player_start work 1 -p 1024 -b 16384
wait_or_die 10 "sound" player_has_written work 48000
moves_to $A "the start" "$begin"
switch_of_users
logout
login
late_pipewire
stopped_worker
named_user
system_wide
kill "$PLAYER_PID"
wait "$PLAYER_PID"
check_number "exit code of the application" $? -eq 0
for user in $A $B $SYSTEM; do end_process "${TAP_OF[$user]}"; done
check_all
[ "$CHECK_FAILED" -eq 0 ] || cat "$SESSION/log/xaring-pw"
check_end
