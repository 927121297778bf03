# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest's own PipeWire and WirePlumber, of this machine's packages, on the snippet that is shipped. Sourced after
# session.sh.

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
