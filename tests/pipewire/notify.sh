#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# xaring-notify against the real daemon and a desktop that is the test's own: who asks is shown, what is chosen
# happens, and nothing else does.
set -u
# shellcheck source=tests/lib/check.sh
. "$XARING_SOURCE/tests/lib/check.sh"
# shellcheck source=tests/lib/session.sh
. "$XARING_SOURCE/tests/lib/session.sh"
# shellcheck source=tests/lib/sound.sh
. "$XARING_SOURCE/tests/lib/sound.sh"

# shellcheck disable=SC2034
SESSION_VMS="work personal"
CTL=$XARING_BUILD/pw-backend/ctl/xaringctl
NOTIFY=$XARING_BUILD/pw-backend/notify/xaring-notify
FAKE=$XARING_BUILD/tests/fake-desktop
# What a hostile title is made of; of control characters nothing is left.
HOSTILE='<b>&amp;</b> '$(printf 'x%.0s' {1..200})

# ---- the desktop ----

# desktop_start NAME ROLE: a process of the desktop; what it prints is in $SESSION/NAME.
declare -A DESKTOP_PID DESKTOP_FD
desktop_start() {
	local name=$1 fd
	rm -f "$SESSION/$name.commands"
	mkfifo "$SESSION/$name.commands"
	"$FAKE" "$2" <>"$SESSION/$name.commands" >"$SESSION/$name" 2>>"$SESSION/log/fake-desktop" &
	DESKTOP_PID[$name]=$!
	at_exit "end_process $!"
	exec {fd}>"$SESSION/$name.commands"
	DESKTOP_FD[$name]=$fd
	wait_or_die 10 "a part of the desktop: $name" grep -q '"ready"' "$SESSION/$name"
}

desktop_end() {
	local fd=${DESKTOP_FD[$1]}
	end_process "${DESKTOP_PID[$1]}"
	exec {fd}>&-
}

# tell NAME COMMAND...: and it was read.
tell() {
	local name=$1 count
	shift
	count=$(grep -cF "{\"call\":\"$*\"}" "$SESSION/$name")
	echo "$*" >&"${DESKTOP_FD[$name]}"
	wait_or_die 10 "$name: $*" was_told "$name" "$count" "$*"
}

was_told() {
	[ "$(grep -cF "{\"call\":\"$3\"}" "$SESSION/$1")" -gt "$2" ]
}

# last FIELD: of the last notification.
last() {
	jq -rs "map(select(.call == \"Notify\")) | last | .$1" "$SESSION/server"
}

# shown: how many notifications there were.
shown() {
	grep -c '"call":"Notify"' "$SESSION/server"
}

has_shown() {
	[ "$(shown)" -eq "$1" ]
}

# is_shown COUNT TEXT: the notification of that number comes within 10 s.
is_shown() {
	check "$2" wait_for 10 has_shown "$1" || note "there were $(shown)"
}

was_closed() {
	grep -qF "{\"call\":\"CloseNotification\",\"id\":$1}" "$SESSION/server"
}

# ---- the program ----

notify_start() {
	DBUS_SYSTEM_BUS_ADDRESS=$SYSTEM_BUS "$NOTIFY" --verbose >>"$SESSION/log/xaring-notify" 2>&1 </dev/null &
	NOTIFY_PID=$!
	at_exit "end_process $NOTIFY_PID"
}

logged() {
	grep -qF -- "$1" "$SESSION/log/xaring-notify"
}

logs() {
	check "it says: $1" wait_for 10 logged "$1"
}

# logged_times COUNT TEXT
logged_times() {
	[ "$(grep -cF -- "$2" "$SESSION/log/xaring-notify")" -ge "$1" ]
}

# ---- VMs ----

# microphone VM: its state, decision and span.
microphone() {
	timeout 20 "$CTL" status "$1" --json | jq -r '.microphone | "\(.state) \(.decision) \(.span)"'
}

microphone_is() {
	[ "$(microphone "$1")" = "$2" ]
}

becomes() {
	check "$1: the microphone becomes $2" wait_for 10 microphone_is "$1" "$2" ||
		note "it is $(microphone "$1")"
}

declare -A RECORD_PID
records() {
	XARING_SOCKET=$(vm_socket "$1") arecord -q -D xen -t raw -f cd /dev/null \
		>>"$SESSION/log/arecord" 2>&1 </dev/null &
	RECORD_PID[$1]=$!
	at_exit "end_process $!"
}

# asks_again VM: what was decided is forgotten, and it may ask once more.
asks_again() {
	"$CTL" mic ask "$1" >/dev/null
	wait_or_die 10 "$1: the question" microphone_is "$1" "asked null null"
}

# chosen ACTION: in the last notification.
chosen() {
	tell server action "$(last id)" "$1"
}

# ---- the tests ----

questions() {
	records work
	is_shown 1 "a VM that asks is shown"
	check "the title of dom0 is in it" test "$(last summary)" = "work asks for the microphone"
	check "and what it is about" test "$(last body)" = "Until somebody decides, what work records is silence."
	check "it has the four choices" test "$(last 'actions | keys_unsorted | join(" ")')" = \
		"once until-shutdown always never"
	check "with words on their buttons" test "$(last 'actions | map(.) | join("|")')" = \
		"Once|Until it shuts down|Always|Never"
	check "it stays" test "$(last expires_ms)" = 0
	check "it is no alarm" test "$(last urgency)" = 1
	check "it has an icon" test "$(last icon)" = audio-input-microphone
	check "and a category" test "$(last category)" = device
}

choices() {
	chosen once
	becomes work "allowed allow once"
	asks_again work
	is_shown 2 "it is shown when it asks again"
	chosen until-shutdown
	becomes work "allowed allow until-shutdown"
	asks_again work
	is_shown 3 "and again"
	chosen always
	becomes work "allowed allow always"
	asks_again work
	is_shown 4 "and again"
	chosen never
	becomes work "denied deny always"
}

decided_elsewhere() {
	local id
	asks_again work
	is_shown 5 "a question that somebody else answers"
	id=$(last id)
	"$CTL" mic deny work --until-shutdown >/dev/null
	check "is closed" wait_for 10 was_closed "$id"
	tell server action "$id" always
	asks_again work
	is_shown 6 "and shown when the VM asks again"
	check "its choices had no effect any more" microphone_is work "asked null null"
}

closed_by_the_user() {
	tell server close "$(last id)"
	tell server action "$(last id)" always
	records personal
	is_shown 7 "another VM is shown after one was closed"
	check "which is that VM" shows personal
	check "what was closed had no effect" microphone_is work "asked null null"
}

# locked FLAG VALUE REASON: of the screen.
locked() {
	local before
	before=$(shown)
	tell screen "$1 $2"
	chosen always
	is_shown $((before + 1)) "with \"$1 $2\" it is asked again"
	check "with the reason: $3" grep -qF "You chose \"Always\", but $3: nothing was decided." <<<"$(last body)"
	check "and nothing was decided" microphone_is personal "asked null null"
	tell screen "$1 $((1 - $2))"
}

locks() {
	locked locked 1 "the screen was locked"
	locked saver 1 "the screen was locked"
	locked active 0 "another session was at the screen"
	check "the screensaver was asked" grep -q GetActive "$SESSION/screen"
}

# Without logind nobody knows who is at the screen.
unknown_screen() {
	local before
	before=$(shown)
	desktop_end screen
	chosen always
	is_shown $((before + 1)) "without logind it is asked again"
	check "and nothing was decided" microphone_is personal "asked null null"
	desktop_start screen screen
}

strangers() {
	local id to
	id=$(last id)
	to=$(last from)
	desktop_start stranger stranger
	tell stranger action "$id" always
	tell stranger send "$to" "$id" always
	# What the server says comes behind that.
	tell server action 4711 always
	tell server action "$id" default
	check "strangers, other numbers and other words decide nothing" microphone_is personal "asked null null"
	chosen never
	becomes personal "denied deny always"
	desktop_end stranger
}

server_restarted() {
	local before
	before=$(shown)
	asks_again personal
	is_shown $((before + 1)) "a question before the notification server ends"
	desktop_end server
	desktop_start server notifications
	is_shown 1 "the next server shows what still asks, and not what was closed"
	check "which is that VM" shows personal
	chosen until-shutdown
	becomes personal "allowed allow until-shutdown"
}

# shows VM: the last notification is about it.
shows() {
	[ "$(last summary)" = "$1 asks for the microphone" ]
}

hostile_title() {
	records hostile
	is_shown 2 "a VM with a hostile title is shown"
	check "without control characters, and cut" test "$(last summary)" = \
		"${HOSTILE:0:63} asks for the microphone"
	check "nothing of it is where markup counts" test "$(last body)" = \
		"Until somebody decides, what hostile records is silence."
	chosen never
	becomes hostile "denied deny always"
}

# The broker goes and comes: VMs ask anew. Meanwhile the file of decisions was filled.
broker_restarted() {
	local id
	end_process "${RECORD_PID[work]}"
	end_process "${RECORD_PID[hostile]}"
	asks_again personal
	is_shown 3 "a question before the broker ends"
	id=$(last id)
	end_process "$DAEMON_PID"
	check "is closed when the broker is gone" wait_for 10 was_closed "$id"
	logs "xaring-pw is gone"
	end_process "${RECORD_PID[personal]}"
	seq -f 'vm%g deny' 4096 >"$SESSION/state/microphone"
	vms_start
	check "it finds the next broker" wait_for 20 logged_times 2 "xaring-pw answers"
	records personal
	is_shown 4 "and what asks is shown"
}

# For good is more than can be kept; until shutdown is not.
failed() {
	chosen always
	is_shown 6 "a decision that fails is told, and it is asked again"
	check "what was not done is told" grep -q '"summary":"personal: \\"Always\\" was not done"' "$SESSION/server"
	check "and why" grep -q '"body":".* is full: at most 4096 VMs are accepted' "$SESSION/server"
	check "the question says so as well" grep -qF "xaring-pw has not done it" <<<"$(last body)"
	check "and nothing was decided" microphone_is personal "asked null null"
}

plain_server() {
	desktop_end server
	desktop_start server plain
	is_shown 1 "a server without actions shows the question"
	check "without actions" test "$(last 'actions | length')" = 0
	check "but with what to type" grep -qF "xaringctl mic allow personal" <<<"$(last body)"
}

# ends TEXT CODE: the program ends by itself.
ends() {
	wait_for 10 is_gone_or_zombie "$NOTIFY_PID"
	wait "$NOTIFY_PID"
	check "$1" test $? -eq "$2"
}

absent_server() {
	end_process "$NOTIFY_PID"
	check "what is shown goes with it" wait_for 10 was_closed "$(last id)"
	desktop_end server
	notify_start
	check "it runs without a notification server" wait_for 10 logged_times 3 "xaring-pw answers"
	desktop_start server notifications
	is_shown 1 "which may come later"
	chosen until-shutdown
	becomes personal "allowed allow until-shutdown"
}

# Each of those above that had an effect, and no other.
counted() {
	check_number "choices that had an effect" "$(grep -c '" was chosen$' "$SESSION/log/xaring-notify")" -eq 8
}

absent_bus() {
	end_process "$DBUS_PID"
	ends "it ends with the session bus, which is no error" 0
	logs "the session bus has ended"
	notify_start
	ends "without a session bus it has nothing to do, which is no error" 0
	logs "there is no session bus"
}

stranger_to_the_broker() {
	if [ "$(id -u)" -ne 0 ]; then
		note "not root: who may not is not tried"
		return
	fi
	chmod 0711 "$SESSION"
	timeout 20 setpriv --reuid 65534 --regid 65534 --clear-groups dbus-run-session -- \
		"$NOTIFY" >"$SESSION/out" 2>&1 </dev/null
	check "who may not speak to the broker has nothing to do, which is no error" test $? -eq 0
	check "and is told why, once" test "$(grep -c 'nothing to do here: .*members of the group' "$SESSION/out")" -eq 1 ||
		cat "$SESSION/out"
}

vms_start() {
	daemon_start
	wait_or_die 10 "the VM with a hostile title" test -S "$(vm_socket hostile)"
}

session_open
session_start
mkdir -p "$SESSION/conf/xaring-pw.conf.d"
printf 'xaring.vms = [ { name = hostile title = "%s%s" } ]\n' '\u0001\u001b\n' "$HOSTILE" \
	>"$SESSION/conf/xaring-pw.conf.d/vms.conf"
SYSTEM_BUS=$DBUS_SESSION_BUS_ADDRESS
export XARING_CONTROL=$SESSION/xaring/control
desktop_start screen screen
desktop_start server notifications
vms_start
notify_start
logs "xaring-pw answers"
logs "the notification server is there, with actions"
questions
choices
decided_elsewhere
closed_by_the_user
locks
unknown_screen
strangers
server_restarted
hostile_title
broker_restarted
failed
plain_server
absent_server
counted
stranger_to_the_broker
absent_bus
check_end
