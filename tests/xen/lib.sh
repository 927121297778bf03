# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What scenarios are made of. Sourced inside dom0 by each of them; a scenario ends with check_end, and
# says its figure with figure(). Guests live on from one scenario to the next, so each asks for those that
# it needs with guest_need, and destroys what it has spoiled.

# The person at dom0's screen; root may use his PipeWire as well.
export XDG_RUNTIME_DIR=/run/user/1000
export PATH=$PATH:/usr/sbin:/sbin
XARING_TEST=$(cat /payload/level)
export XARING_TEST
SESSION=/t/$SCENARIO
AGENT=/payload/tests/xen/xen-agent

# shellcheck source=tests/lib/check.sh
. /payload/tests/lib/check.sh
# shellcheck source=tests/lib/session.sh
. /payload/tests/lib/session.sh
# shellcheck source=tests/lib/sound.sh
. /payload/tests/lib/sound.sh
# shellcheck source=tests/xen/machine/lib-heard.sh
. /payload/tests/xen/machine/lib-heard.sh

mkdir -p "$SESSION/log"
GUEST_SECONDS=30
# What is left behind would disturb the next scenario.
at_exit tap_stop

# Starting a process costs a tenth of a second in the emulator, and what plays has to wait for it: waiting
# starts none.
exec {NOTHING}<> <(:)

pause_ms() {
	local none
	read -r -t "$(printf '0.%03d' "$1")" -u "$NOTHING" none || :
}

# What the broker may take of a processor under a flood: there, everything takes longer.
FLOOD_CPU_PERCENT=50

# The recorder is where the scenario is not (boot-dom0).
give_realtime() {
	taskset -apc 0 "$1" >/dev/null
}

# As that of check.sh.
wait_for() {
	local until=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$until" ] || return 1
		pause_ms 100
	done
}

# The line of a scenario ends with it; a later call replaces an earlier one.
figure() {
	echo "$*" >"$SESSION/figure"
	note "figure: $*"
}

# ---- dom0 ----

# The session's PipeWire runs, and its sink is the default. Asked once.
session_need() {
	GRAPH=/t/graph${XDG_RUNTIME_DIR//\//-}
	if [ ! -e "$GRAPH.asked" ]; then
		wait_or_die 60 "the session's PipeWire" test -S "$XDG_RUNTIME_DIR/pipewire-0"
		wait_or_die 60 "the default sink" sink_is_default
		touch "$GRAPH.asked"
	fi
	graph_follow
	wait_or_die 20 "the graph" test -s "$GRAPH"
}

# The same where it was restarted.
session_need_again() {
	rm -f "/t/graph${XDG_RUNTIME_DIR//\//-}.asked"
	session_need
}

# What is in that PipeWire is in the file GRAPH, from here on and in later scenarios.
graph_follow() {
	local pid
	! read -r pid 2>/dev/null <"$GRAPH.pid" || ! kill -0 "$pid" 2>/dev/null || return 0
	setsid /payload/tests/xen/graph "$GRAPH" >>/t/graph.log 2>&1 </dev/null &
	echo $! >"$GRAPH.pid"
	disown
}

as_alice() {
	runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/1000 \
		DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}

# The graph as it is, into the array GRAPH_LINES: a line for each client and node, as of graph.c.
graph_read() {
	GRAPH_LINES=()
	[ ! -e "$GRAPH" ] || mapfile -t GRAPH_LINES <"$GRAPH"
}

# clients: the names of PipeWire's clients, one a line.
clients() {
	local line
	graph_read
	for line in "${GRAPH_LINES[@]}"; do
		[[ $line != client$'\t'* ]] || echo "${line##*$'\t'}"
	done
}

client_exists() {
	local line
	graph_read
	for line in "${GRAPH_LINES[@]}"; do
		[[ $line != client$'\t'*$'\t'"$1" ]] || return 0
	done
	return 1
}

# guest_look NAME: its nodes, into the array NODES: number, name, class, state and volume of each, separated by tabs.
guest_look() {
	local line
	NODES=()
	graph_read
	for line in "${GRAPH_LINES[@]}"; do
		[[ $line != node$'\t'*$'\t'"xen.$1.playback."* ]] || NODES+=("${line#*$'\t'}")
	done
}

# guest_node NAME: the number of its first node, or nothing.
guest_node() {
	guest_look "$1"
	[ ${#NODES[@]} -eq 0 ] || echo "${NODES[0]%%$'\t'*}"
}

# guest_volume_is NAME THOUSANDTHS: of its first node, whatever its number is now.
guest_volume_is() {
	guest_look "$1"
	[ ${#NODES[@]} -gt 0 ] && [ "${NODES[0]##*$'\t'}" = "$2" ]
}

# guest_set_volume NAME VOLUME THOUSANDTHS: of its first node. Once, what was set as soon as the node could be
# seen did not hold; it is set again then, and said.
guest_set_volume() {
	local try
	wait_for 5 guest_is_heard "$1"
	for try in 1 2 3 4 5; do
		wpctl set-volume "$(guest_node "$1")" "$2"
		wait_for 2 guest_volume_is "$1" "$3" && break
		note "$1: its volume is not $2 after attempt $try"
	done
	check "$1: its volume is set to $2" guest_volume_is "$1" "$3"
}

# backend_processes: those of its unit, into the array BACKEND; systemd's own programs take half a second to say it.
backend_processes() {
	BACKEND=()
	mapfile -t BACKEND 2>/dev/null </sys/fs/cgroup/system.slice/xaring-pw.service/cgroup.procs
}

# The broker, or nothing.
broker_pid() {
	local pid parent
	backend_processes
	for pid in "${BACKEND[@]}"; do
		parent=''
		read -r _ _ _ parent _ 2>/dev/null <"/proc/$pid/stat"
		[ "$parent" != 1 ] || echo "$pid"
	done
}

# Its worker, or nothing.
worker_of_broker() {
	local pid worker=''
	pid=$(broker_pid)
	read -r worker _ 2>/dev/null <"/proc/$pid/task/$pid/children"
	echo "$worker"
}

# How many pages of guests the backend has mapped; Xen's own daemons have some of each guest as well.
mapped_grants() {
	local pid range file pages=0
	backend_processes
	for pid in "${BACKEND[@]}"; do
		while read -r range _ _ _ _ file; do
			[ "$file" != /dev/xen/gntdev ] || pages=$((pages + (16#${range#*-} - 16#${range%-*}) / 4096))
		done 2>/dev/null <"/proc/$pid/maps"
	done
	echo $pages
}

mapped_grants_are() {
	[ "$(mapped_grants)" = "$1" ]
}

# ---- guests ----

guest_id() {
	"$AGENT" domid "$1"
}

guest_exists() {
	"$AGENT" domid "$1" >/dev/null
}

# guest_is_another NAME DOMID: it has another domain now.
guest_is_another() {
	local now
	now=$(guest_id "$1")
	[ -n "$now" ] && [ "$now" != "$2" ]
}

guest_is_gone() {
	! guest_exists "$1"
}

# No domain that is dead but still mapped by somebody.
no_zombies() {
	local list
	list=$(xl list) && [[ $list != *'(null)'* ]]
}

# guest_disk DEVICE NAME ACCESS: as xl's configuration has it, of a disk of dom0.
guest_disk() {
	echo "'format=raw,vdev=$2,access=$3,script=/payload/tests/xen/machine/block,target=/dev/$1'"
}

# guest_config NAME TYPE [LINE...]: TYPE is pv or pvh (small), debian, audio, which is dom0's disk as that of a guest, or
# pipewire or pulse, which have a sound server; writes NAME.cfg.
guest_config() {
	local name=$1 type=$2 ramdisk=small memory=128 extra='' disk=''
	shift 2
	mkdir -p /t/guests
	case $type in
	debian) disk=vdc ;;
	audio) disk=vde ;;
	pipewire) disk=vdf ;;
	pulse) disk=vdg ;;
	esac
	if [ -n "$disk" ]; then
		ramdisk=guest memory=448
		extra='root=/dev/xvda systemd.getty_auto=0'
	fi
	{
		# The emulator's counter differs between processors, so that Xen would emulate it, as it does on no other
		# machine; and of a PVH guest it reports RDTSCP as RDTSC, which Xen takes for an attack then.
		printf '%s\n' "name = \"$name\"" "kernel = \"/payload/boot/vmlinux\"" "memory = $memory" \
			"ramdisk = \"/payload/boot/$ramdisk.cpio\"" 'vcpus = 1' 'tsc_mode = "native"' \
			"extra = \"console=hvc0 loglevel=5 panic=1 systemd.show_status=0 mitigations=off $extra\""
		if [ -n "$disk" ]; then
			printf '%s\n' 'type = "pv"' "disk = [ $(guest_disk $disk xvda w), $(guest_disk vdb xvdb r) ]"
		else
			echo "type = \"$type\""
		fi
		# One that crashes would load dom0 by starting again.
		[[ $* == *on_reboot* ]] || echo 'on_reboot = "destroy"'
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"/t/guests/$name.cfg"
	echo "$type" >"/t/guests/$name.type"
}

guest_answers() {
	[ "$(GUEST_SECONDS=2 guest_run "$1" echo yes 2>/dev/null)" = yes ]
}

# guest_create NAME TYPE [LINE OF THE CONFIGURATION...]
guest_create() {
	local name=$1
	guest_config "$@"
	xl -t create -q "/t/guests/$name.cfg" >"$SESSION/log/xl-$name" 2>&1 </dev/null || {
		fail "xl create $name: $(tail -n 2 "$SESSION/log/xl-$name")"
		check_end
	}
}

# guest_start NAME TYPE [LINE OF THE CONFIGURATION...]: returns when the guest takes commands.
guest_start() {
	guest_create "$@"
	guest_await "$1" 120
}

guest_answers_or_is_gone() {
	guest_answers "$1" || ! guest_exists "$1"
}

# guest_await NAME SECONDS
guest_await() {
	wait_or_die "$2" "guest $1: an answer" guest_answers_or_is_gone "$1"
	guest_exists "$1" || { fail "guest $1 is gone before it answers" && check_end; }
	note "guest $1 answers"
}

# guest_need NAME TYPE: it may have been started by an earlier scenario.
guest_need() {
	guest_answers "$1" && return
	guest_destroy "$1"
	guest_start "$1" "$2"
}

guest_destroy() {
	guest_exists "$1" || return 0
	xl destroy "$1" 2>/dev/null
	wait_for 10 guest_is_gone "$1"
}

# guest_run NAME COMMAND: as root in the guest, at most GUEST_SECONDS; prints what it says, and returns its
# exit code.
guest_run() {
	"$AGENT" run "$1" "$GUEST_SECONDS" "${*:2}"
}

# guest_user NAME COMMAND: the same as the ordinary user of the guest, who is in the group audio and may record;
# GUEST_GROUPS=--clear-groups for one who is not.
guest_user() {
	local name=$1
	shift
	guest_run "$name" "exec /usr/bin/setpriv --reuid 1000 --regid 1000 ${GUEST_GROUPS:---groups audio} env HOME=/tmp sh -c $(quoted "$*")"
}

# In a form that any shell takes.
quoted() {
	printf "'%s'" "${1//\'/\'\\\'\'}"
}

# guest_spawn NAME ID COMMAND: in the background, as the ordinary user; GUEST_USER=root for root.
guest_spawn() {
	guest_run "$1" "/payload/tests/xen/machine/spawn $2 ${GUEST_USER:-1000} $(quoted "$3")
		$AGENT wait /tmp/$2.pid >/dev/null"
}

# result_of ID: a command for the guest: waits for the end of what was spawned, says what that said, and exits as it did.
result_of() {
	echo "code=\$($AGENT wait /tmp/$1.rc); cat /tmp/$1.out; exit \$code"
}

# guest_wait NAME ID SECONDS [FILE]: for the end of what was spawned; returns its exit code, and writes what it said.
guest_wait() {
	GUEST_SECONDS=$3 guest_run "$1" "$(result_of "$2")" >"${4:-/dev/null}"
}

# guest_signal NAME ID SIGNAL
guest_signal() {
	guest_run "$1" "kill -$3 \$(cat /tmp/$2.pid)"
}

guest_runs() {
	guest_run "$1" "[ ! -e /tmp/$2.rc ] && kill -0 \$(cat /tmp/$2.pid)"
}

# guest_fetch NAME FILE LOCAL
guest_fetch() {
	guest_run "$1" "cat $2" >"$3"
}

# guest_daemon NAME: the process of its xaring-guestd.
guest_daemon() {
	guest_run "$1" pidof xaring-guestd
}

# guest_daemon_is_new NAME PID: another one than that.
guest_daemon_is_new() {
	local pid
	pid=$(guest_daemon "$1")
	[ -n "$pid" ] && [ "$pid" != "$2" ]
}
