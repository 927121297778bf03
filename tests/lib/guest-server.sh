# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest's own PipeWire and WirePlumber, of this machine's packages, on the snippet that is shipped. Sourced after
# mic.sh.

GUEST_PIPEWIRE='' GUEST_WIREPLUMBER=''

# guest COMMAND...: in the guest's session. What is to be ended by its number is started with GUEST itself.
guest() {
	"${GUEST[@]}" "$@"
}

guest_answers() {
	guest pw-cli info 0 >/dev/null 2>&1
}

# guest_default_is SINK|SOURCE NODE
guest_default_is() {
	guest wpctl inspect "@DEFAULT_AUDIO_$1@" 2>/dev/null | grep -q "node.name = \"$2\""
}

# guest_server_config [QUANTUM]
guest_server_config() {
	local folder=$SESSION/guest-server
	mkdir -p "$folder/config/pipewire/pipewire.conf.d"
	mkdir -m 0700 "$folder/run"
	ln -s "$XARING_SOURCE/conf/pipewire/50-xen.conf" "$folder/config/pipewire/pipewire.conf.d/"
	cp -r "$XDG_CONFIG_HOME/wireplumber" "$folder/config/"
	[ -n "${1:-}" ] || return 0
	cat >"$folder/config/pipewire/pipewire.conf.d/60-quantum.conf" <<-END
		context.properties = {
		    default.clock.quantum = $1
		    default.clock.min-quantum = $1
		    default.clock.max-quantum = $1
		    vm.overrides = { default.clock.min-quantum = $1 }
		}
	END
}

# guest_server_start SOCKET [QUANTUM]: returns when its defaults are the device `xen`.
guest_server_start() {
	local folder=$SESSION/guest-server
	guest_server_config "${2:-}"
	GUEST=(env XDG_RUNTIME_DIR="$folder/run" XDG_CONFIG_HOME="$folder/config" XDG_STATE_HOME="$folder/state"
		XARING_SOCKET="$1")
	"${GUEST[@]}" pipewire >"$SESSION/log/guest-pipewire" 2>&1 </dev/null &
	GUEST_PIPEWIRE=$!
	at_exit 'end_process "$GUEST_PIPEWIRE"'
	wait_or_die 10 "the guest's PipeWire: an answer" guest_answers
	give_realtime $GUEST_PIPEWIRE
	"${GUEST[@]}" wireplumber >"$SESSION/log/guest-wireplumber" 2>&1 </dev/null &
	GUEST_WIREPLUMBER=$!
	at_exit 'end_process "$GUEST_WIREPLUMBER"'
	wait_or_die 10 "the guest's sink as its default" guest_default_is SINK xen_output
	wait_or_die 10 "the guest's microphone as its default" guest_default_is SOURCE xen_input
}

# coded_file FILE NUMBER FRAMES: with half a second of silence behind it, for pw-cat loses what does not fill its last
# cycle.
coded_file() {
	room_file "$1" "$2" 0 "$3"
	head -c $((24000 * 8)) /dev/zero >>"$1"
}

# guest_records NUMBER ARGUMENT...: pw-record of the guest hears the file room.au, all of it, while dom0's recorder hears
# the microphone. VERDICT.
guest_records() {
	local number=$1 recorder
	shift
	"${GUEST[@]}" pw-record --format f32 "$@" "$SESSION/recorded.wav" >"$SESSION/log/pw-record" 2>&1 </dev/null &
	recorder=$!
	wait_or_die 10 "a recorder in dom0" capture_is_linked xen.work.capture.1
	mic_hears "$SESSION/room.au"
	wait "$ROOM_PID"
	tap_go_on "$SESSION/mic.f32" 300
	kill -INT $recorder
	wait $recorder
	sox -V1 -D "$SESSION/recorded.wav" -t raw -e floating-point -b 32 "$SESSION/recorded.f32"
	VERDICT=$SESSION/verdict.json
	"$TOOLS/sound-check" coded "$number" 48000 "$SESSION/recorded.f32" >"$VERDICT"
}

# is_whole FRAMES: VERDICT is about a recording of so many, each of them once and in order.
# shellcheck disable=SC2016
is_whole() {
	jq -e --argjson n "$1" \
		'.coded == $n and .gaps + .jumps + .repeated + .foreign + .damaged + .half == 0' "$VERDICT" >/dev/null
}
