# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sound servers of the guest, and their clients. Sourced by the files of programs that have one. The server is that of
# Debian with the snippet that the package xaring-guest-default links, started as a session would do it.

GUEST_ENV=(DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus)
# A client that records says for itself how long; it begins when its server has.
RECORD_MORE_MS=1000
# In a pause.
PAUSE_DROPS="its server plays silence meanwhile"

# ---- starting ----

# serve NAME COMMAND...: a server of the guest, which ends with it.
serve() {
	guest "${@:2}" >"$WORK/$1.log" 2>&1 </dev/null &
}

guest_has() {
	guest "$@" >/dev/null 2>&1
}

# hurry_servers: as rtkit does for who asks it; here is none. Their main threads take what clients play. On a busy
# machine their lateness would look like ours.
hurry_servers() {
	local pid
	for pid in $(as_root pgrep --ns "$GUEST_PID" --nslist pid 'pipewire|pulseaudio'); do
		give_realtime "$pid"
		as_root chrt -f -p 30 "$pid" 2>/dev/null
	done
	# What a cycle of 256 frames and the head-room of the snippet leave to a late one.
	witness_starts 5 chrt -f -p 20
}

# hurry: as a player of a desktop would be, for the shell that calls it and what that starts.
hurry() {
	as_root chrt -f -p 20 "$BASHPID" 2>/dev/null
}

bus_start() {
	serve bus dbus-daemon --session --address=unix:path=/run/user/1000/bus --nofork --nopidfile
	wait_or_die 10 "$NAME: a bus" guest_has test -S /run/user/1000/bus
}

# What looks for hardware needs more of a system than a root has; WirePlumber 0.4 ends when it is not there.
config_wireplumber() {
	local name dir=$XDG_CONFIG_HOME/wireplumber
	for name in main.lua.d/90-enable-all.lua bluetooth.lua.d/90-enable-all.lua wireplumber.conf.d/10-test.conf; do
		guest_write ".config/wireplumber/$name" <"$dir/$name"
	done
}

# guest_default_is SINK|SOURCE NODE
guest_default_is() {
	guest wpctl inspect "@DEFAULT_AUDIO_$1@" 2>/dev/null | grep -q "node.name = \"$2\""
}

# pipewire_begins: and what belongs to it. The device is the default by its snippet alone.
pipewire_begins() {
	bus_start
	config_wireplumber
	serve pipewire pipewire
	wait_or_die 10 "$NAME: PipeWire of the guest" guest_has pw-cli info 0
	serve wireplumber wireplumber
	serve pipewire-pulse pipewire-pulse
	wait_or_die 10 "$NAME: the sink as the guest's default" guest_default_is SINK xen_output
	wait_or_die 10 "$NAME: the microphone as the guest's default" guest_default_is SOURCE xen_input
	wait_or_die 10 "$NAME: PipeWire's PulseAudio" guest_has pactl info
	hurry_servers
}

pulse_default_is() {
	guest pactl info 2>/dev/null | grep -q "$1"
}

pulseaudio_begins() {
	bus_start
	serve pulseaudio pulseaudio -v --daemonize=no --exit-idle-time=-1
	wait_or_die 10 "$NAME: the sink as the guest's default" pulse_default_is 'Sink: xen_output'
	wait_or_die 10 "$NAME: the microphone as the guest's default" pulse_default_is 'Source: xen_input'
	hurry_servers
}

# ---- the question about the microphone ----

has_asked() {
	grep -q '"state":"asked"' "$SESSION/log/monitor"
}

asks_nobody() {
	! wait_for 3 has_asked
}

# asks_when_recording BEGINS: a server records for a moment when it begins, of which dom0's user is not asked; of a
# program that records he is. A VM asks once, unless it is let ask again.
asks_when_recording() {
	at_exit mic_rule allow
	mic_rule ask
	ctl mic ask $GUEST_VM >/dev/null
	ctl monitor --json >"$SESSION/log/monitor" 2>&1 </dev/null &
	at_exit end_process $!
	"$1"
	check "beginning, it does not ask for the microphone" asks_nobody
	guest_start "$RECORD_LOG" record
	check "a program that records does" wait_for 5 has_asked || tail -n 5 "$RECORD_LOG" | bare_quote
	guest_wait 10
	mic_rule allow
}

# ---- judging ----

# client NAME [PACKAGE]: what is said from now on is of this one.
client() {
	results_begin "$SERVER/$1" "${2:-$PACKAGE}"
}

# The stream is the server's, which keeps it for a while; when it is free the server says later.
free_check() {
	:
}

# A server that plays to a file would be another one.
reference() {
	:
}

# pulse_client: plays and records from here on.
pulse_client() {
	play() {
		hurry
		guest paplay "$SOUND"
	}
	record() {
		guest timeout -s INT "$RECORD_S.3" parecord --latency-msec=50 --file-format=wav --format=float32le \
			--rate=48000 --channels=2 "$RECORDING"
		[ $? -eq 124 ]
	}
}

# corked: a client whose stream is corked at a pause: what it plays goes on where it was.
corked() {
	play() {
		hurry
		guest mpv --no-terminal --no-video --ao=pulse --input-ipc-client=fd://0 "$SOUND"
	}
	reads_json
	client mpv mpv
	controls
	unset -f pause resume
}

# padded FILE: the same in padded.wav, with silence at its end, for clients that lose what does not fill their last
# cycle.
padded() {
	guest sox -V1 -D "$1" padded.wav pad 0 0.2
}

# suspends: who does not record has no recorder in dom0; after some seconds the server has let go of the device, and it
# wakes up for the next sound.
suspends() {
	local RESULTS=/dev/null
	NAME=$SERVER
	check "who has recorded has no node afterwards" wait_for 2 node_is_gone "xen.$GUEST_VM.capture.1"
	check "idle, it has no stream" wait_for 15 has_no_stream
	NAME=$SERVER/pacat
	pulse_client
	plays
}
