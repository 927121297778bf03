# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A private sound server: dbus-daemon, PipeWire and WirePlumber with folders of their own, a null
# sink, xaring-pw, and taps that record. Nothing of the machine's own session is touched.
# Sourced after check.sh. Needs XARING_BUILD (the build folder) and XARING_SOURCE (the tree).

SESSION_RATE=${SESSION_RATE:-48000}
SESSION_QUANTUM=${SESSION_QUANTUM:-1024}
SESSION_QUANTUM_MIN=${SESSION_QUANTUM_MIN:-$SESSION_QUANTUM}
SESSION_QUANTUM_MAX=${SESSION_QUANTUM_MAX:-$SESSION_QUANTUM}
SESSION_SINK=test-sink
SESSION_SINK_TITLE=${SESSION_SINK_TITLE:-Test Sink}
SESSION_CHANNELS=${SESSION_CHANNELS:-FL,FR}
# Before the session's servers: as whom they run.
SESSION_AS=()
PIPEWIRE_PID='' WIREPLUMBER_PID='' DAEMON_PID='' DBUS_PID='' TAP_PID=''

TOOLS=$XARING_BUILD/tests/lib

session_config_pipewire() {
	mkdir -p "$XDG_CONFIG_HOME/pipewire/pipewire.conf.d"
	# In a virtual machine PipeWire raises the smallest quantum, unless told again.
	cat >"$XDG_CONFIG_HOME/pipewire/pipewire.conf.d/10-test.conf" <<-END
		context.properties = {
		    default.clock.rate = $SESSION_RATE
		    default.clock.allowed-rates = [ $SESSION_RATE ]
		    default.clock.quantum = $SESSION_QUANTUM
		    default.clock.min-quantum = $SESSION_QUANTUM_MIN
		    default.clock.max-quantum = $SESSION_QUANTUM_MAX
		    vm.overrides = { default.clock.min-quantum = $SESSION_QUANTUM_MIN }
		}
	END
}

# No monitor of hardware: WirePlumber 0.4 takes the file of the same name, 0.5 the profile.
session_config_wireplumber() {
	local dir=$XDG_CONFIG_HOME/wireplumber
	mkdir -p "$dir/main.lua.d" "$dir/bluetooth.lua.d" "$dir/wireplumber.conf.d"
	cat >"$dir/main.lua.d/90-enable-all.lua" <<-END
		load_module("metadata")
		default_access.enable()
		device_defaults.enable()
		stream_defaults.enable()
		load_script("intended-roles.lua")
		load_script("suspend-node.lua")
	END
	echo '-- none' >"$dir/bluetooth.lua.d/90-enable-all.lua"
	cat >"$dir/wireplumber.conf.d/10-test.conf" <<-END
		wireplumber.profiles = {
		    main = {
		        hardware.audio = disabled
		        hardware.bluetooth = disabled
		        hardware.video-capture = disabled
		    }
		}
	END
}

# The build's plugins under the name "xen", as they are configured when they are installed, and nothing else of the
# system's configuration.
session_config_alsa() {
	cat >"$SESSION/asound.conf" <<-END
		pcm_type.xen { lib "$XARING_BUILD/alsa-plugin/libasound_module_pcm_xen.so" }
		ctl_type.xen { lib "$XARING_BUILD/alsa-plugin/libasound_module_ctl_xen.so" }
		<$XARING_SOURCE/conf/asound.conf.d/60-xen.conf>
	END
	export ALSA_CONFIG_PATH=$SESSION/asound.conf
}

# give_realtime PID: the sound threads of root's programs take real-time priority by themselves. Those of
# a user who can sudo, or whom root has made, are given it, or a busy machine would look like a fault of
# ours.
give_realtime() {
	local task
	[ "$(stat -c %u "/proc/$1" 2>/dev/null)" != 0 ] || return 0
	for task in "/proc/$1/task"/*; do
		[ "${task##*/}" = "$1" ] || as_root chrt -f -p 88 "${task##*/}" 2>/dev/null
	done
}

# Makes the folders and the environment; starts nothing.
session_open() {
	SESSION=$(mktemp -d "${TMPDIR:-/tmp}/xaring-test.XXXXXX") || exit 1
	if [ -z "${XARING_TEST_KEEP:-}" ]; then
		at_exit "rm -rf '$SESSION'"
	else
		at_exit "echo 'kept: $SESSION'"
	fi
	mkdir -m 0700 "$SESSION/run"
	mkdir -p "$SESSION/home" "$SESSION/log"
	export XDG_RUNTIME_DIR=$SESSION/run HOME=$SESSION/home
	export XDG_CONFIG_HOME=$HOME/.config XDG_STATE_HOME=$HOME/.local/state
	export XDG_CACHE_HOME=$HOME/.cache XDG_DATA_HOME=$HOME/.local/share
	export DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus
	unset PIPEWIRE_REMOTE PIPEWIRE_RUNTIME_DIR PIPEWIRE_CONFIG_DIR WIREPLUMBER_CONFIG_DIR
	unset NOTIFY_SOCKET JOURNAL_STREAM PULSE_SERVER DISPLAY WAYLAND_DISPLAY
	session_config_pipewire
	session_config_wireplumber
	session_config_alsa
	at_exit session_close
}

# A folder of our own, but the machine's running PipeWire.
session_here() {
	SESSION=$(mktemp -d "${TMPDIR:-/tmp}/xaring-test.XXXXXX") || exit 1
	at_exit "rm -rf '$SESSION'"
	# A worker that is not the owner of the session must get through.
	chmod 0711 "$SESSION"
	mkdir -p "$SESSION/log"
	session_config_alsa
	at_exit session_close
}

session_close() {
	tap_stop
	end_process "$DAEMON_PID"
	end_process "$WIREPLUMBER_PID"
	end_process "$PIPEWIRE_PID"
	end_process "$DBUS_PID"
}

session_dbus_start() {
	"${SESSION_AS[@]}" dbus-daemon --session --address="$DBUS_SESSION_BUS_ADDRESS" --nofork --nopidfile \
		>>"$SESSION/log/dbus" 2>&1 </dev/null &
	DBUS_PID=$!
	wait_or_die 10 "dbus-daemon: a socket" test -S "$XDG_RUNTIME_DIR/bus"
}

pipewire_answers() {
	pw-cli info 0 >/dev/null 2>&1
}

pipewire_start() {
	"${SESSION_AS[@]}" pipewire >>"$SESSION/log/pipewire" 2>&1 </dev/null &
	PIPEWIRE_PID=$!
	wait_or_die 10 "pipewire: an answer" pipewire_answers
	give_realtime "$PIPEWIRE_PID"
}

wireplumber_answers() {
	wpctl status 2>/dev/null | grep -q 'WirePlumber'
}

wireplumber_start() {
	"${SESSION_AS[@]}" wireplumber >>"$SESSION/log/wireplumber" 2>&1 </dev/null &
	WIREPLUMBER_PID=$!
	wait_or_die 10 "wireplumber: its client" wireplumber_answers
}

# node_id NAME: the number of the node, or nothing.
node_id() {
	pw-dump 2>/dev/null | jq -r --arg name "$1" \
		'.[] | select(.type == "PipeWire:Interface:Node" and .info.props["node.name"] == $name) | .id' |
		head -n 1
}

node_exists() {
	[ -n "$(node_id "$1")" ]
}

node_is_gone() {
	! node_exists "$1"
}

sink_is_default() {
	wpctl inspect @DEFAULT_AUDIO_SINK@ 2>/dev/null | grep -q "node.name = \"$SESSION_SINK\""
}

sink_add() {
	pw-cli create-node adapter "{ factory.name=support.null-audio-sink node.name=$SESSION_SINK
		node.description=\"$SESSION_SINK_TITLE\" media.class=Audio/Sink object.linger=true
		audio.rate=$SESSION_RATE audio.position=[${SESSION_CHANNELS//,/ }] }" >/dev/null
	wait_or_die 10 "the sink" sink_is_default
}

sink_remove() {
	pw-cli destroy "$(node_id $SESSION_SINK)" >/dev/null
	wait_or_die 10 "the sink's end" node_is_gone $SESSION_SINK
}

session_start() {
	session_dbus_start
	pipewire_start
	wireplumber_start
	sink_add
}

# kill_hard PID: as a crash does it; collects the child.
kill_hard() {
	kill -9 "$1"
	wait "$1" 2>/dev/null
}

# ---- xaring-pw ----

# Not one that was killed: its sockets are still there.
daemon_answers() {
	"$XARING_BUILD/pw-backend/ctl/xaringctl" --socket "$SESSION/xaring/control" list >/dev/null 2>&1
}

# daemon_start [ARGUMENT...]: xaring-pw for the VMs in SESSION_VMS, playing into the session's PipeWire
# unless SESSION_PIPEWIRE is empty.
# shellcheck disable=SC2120
daemon_start() {
	local vm vms=() pipewire=${SESSION_PIPEWIRE-$XDG_RUNTIME_DIR/pipewire-0}
	for vm in ${SESSION_VMS:-work}; do vms+=(--vm "$vm"); done
	mkdir -p "$SESSION/conf"
	[ -e "$SESSION/conf/xaring-pw.conf" ] ||
		cp "$XARING_SOURCE/conf/pipewire/xaring-pw.conf" "$SESSION/conf/"
	"$XARING_BUILD/pw-backend/xaring-pw" --runtime-dir "$SESSION/xaring" --state-dir "$SESSION/state" \
		--config-dir "$SESSION/conf" ${pipewire:+--pipewire "$pipewire"} \
		"${vms[@]}" "$@" >>"$SESSION/log/xaring-pw" 2>&1 </dev/null &
	DAEMON_PID=$!
	for vm in ${SESSION_VMS:-work}; do
		wait_or_die 10 "xaring-pw: the socket of $vm" test -S "$(vm_socket "$vm")"
	done
	wait_or_die 10 "xaring-pw: an answer" daemon_answers
	if [ "$(id -u)" -ne 0 ] && wait_for 5 worker_has_threads; then
		give_realtime "$(worker_pid)"
	fi
}

vm_socket() {
	echo "$SESSION/xaring/vm/$1"
}

# The process of the worker, or nothing.
worker_pid() {
	local children
	children=$(cat "/proc/$DAEMON_PID/task/$DAEMON_PID/children" 2>/dev/null)
	echo "${children%% *}"
}

worker_has_threads() {
	[ "$(find "/proc/$(worker_pid)/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -ge 2 ]
}

# as_vm NAME COMMAND...: runs a program as if inside that VM; two minutes at most.
as_vm() {
	local vm=$1
	shift
	XARING_SOCKET=$(vm_socket "$vm") timeout -k 5 120 "$@"
}

# ---- recording ----

# tap_start NODE:CHANNELS:FILE...: returns when the tap is connected.
tap_start() {
	TAP_LOG=$SESSION/log/tap
	: >"$TAP_LOG"
	"$TOOLS/sound-tap" "$@" >>"$TAP_LOG" 2>&1 </dev/null &
	TAP_PID=$!
	wait_or_die 10 "sound-tap: a connection" grep -q ' connected' "$TAP_LOG"
	give_realtime "$TAP_PID"
}

# tap_sink FILE: records what the sink hears; returns when it really does.
tap_sink() {
	tap_start "$SESSION_SINK:$SESSION_CHANNELS:$1"
	wait_or_die 10 "sound-tap: sound of the sink" grep -q ' hears ' "$TAP_LOG"
}

tap_stop() {
	end_process "$TAP_PID"
	TAP_PID=''
}

# The graph went on without the recorder, or without what a node would have given, because the machine stood still.
graph_was_late() {
	grep -q -e ' lost ' -e ' late ' "$TAP_LOG"
}

# Which nodes, and in how many cycles.
late_nodes() {
	sed -n 's/.* late //p' "$TAP_LOG" | sort | uniq -c | awk '{printf "%s%s: %d", sep, $2, $1; sep = ", "}'
}

# tap_runs_beyond NS FILE: tells whether the recording has reached that time.
tap_runs_beyond() {
	local last
	last=$(tail -n 1 "$2.times" 2>/dev/null | cut -d' ' -f2)
	[ -n "$last" ] && [ "$last" -ge "$1" ]
}

# tap_go_on FILE MS: lets the recording go on for that long.
tap_go_on() {
	local until
	until=$(($("$TOOLS/sound-make" now) + $2 * 1000000))
	wait_or_die $((20 + $2 / 1000)) "sound-tap: more sound" tap_runs_beyond "$until" "$1"
}
