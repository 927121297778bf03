# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the compared ways need of the session of tests/lib/session.sh: devices, and a guest with
# pulse tunnels.

bench_devices() {
	local i plugin
	plugin=$XARING_BUILD/peers/pipewire-alsa/usr/lib
	plugin=$(echo "$plugin"/*/alsa-lib/libasound_module_pcm_pipewire.so)
	cat >>"$SESSION/asound.conf" <<-END
		pcm_type.pipewire { lib "$plugin" }
		pcm.bench_pipewire { type pipewire server "$XDG_RUNTIME_DIR/pipewire-0" }
	END
	for i in {1..32}; do
		cat >>"$SESSION/asound.conf" <<-END
			pcm.bench_tunnel$i {
			    type pipewire
			    server "$SESSION/guest/run/pipewire-0"
			    playback_node "tunnel-$i"
			}
		END
	done
}

# guest_config FOLDER GUESTS QUANTUM: for a PipeWire with so many tunnels into the one that is measured.
guest_config() {
	local i
	rm -rf "$1"
	mkdir -p "$1/config/pipewire/pipewire.conf.d"
	mkdir -m 0700 "$1/run"
	cp -r "$XDG_CONFIG_HOME/wireplumber" "$1/config/"
	{
		echo "context.properties = { default.clock.quantum = $3 default.clock.min-quantum = $3"
		echo " default.clock.max-quantum = $3"
		echo " vm.overrides = { default.clock.min-quantum = $3 } }"
		echo "context.modules = ["
		for ((i = 1; i <= $2; i++)); do
			echo "{ name = libpipewire-module-pulse-tunnel args = { tunnel.mode = sink"
			echo "  pulse.server.address = \"unix:$XDG_RUNTIME_DIR/pulse/native\""
			echo "  audio.rate = 48000 audio.channels = 2 audio.position = [ FL FR ]"
			echo "  stream.props = { node.name = \"tunnel-$i\" } } }"
		done
		echo "]"
	} >"$1/config/pipewire/pipewire.conf.d/10-tunnels.conf"
}

# tunnels_are FOLDER GUESTS
tunnels_are() {
	[ "$(XDG_RUNTIME_DIR=$1/run pw-dump 2>/dev/null |
		jq '[.[] | select(.info.props["media.class"] == "Audio/Sink" and
			(.info.props["node.name"] | startswith("tunnel-")))] | length')" -ge "$2" ]
}

# Tells whether somebody listens at a TCP port of this machine.
listens() {
	local hex
	hex=$(printf ':%04X 00000000:0000 0A' "$1")
	grep -q "$hex" /proc/net/tcp
}
