# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# alsa-lib's own plugins on top of the device, each with aplay. Each is a row of the table.
KIND=alsa PACKAGE=libasound2-data
DEVICE=default

setup() {
	guest_write .asoundrc <<-END
		pcm.with_plug { type plug slave.pcm xen }
		pcm.with_route { type plug slave.pcm { type route slave { pcm xen channels 2 } ttable { 0.0 1 1.1 1 } } }
		pcm.with_asym { type asym playback.pcm xen capture.pcm null }
		pcm.with_multi {
			type plug
			slave.pcm {
				type multi
				slaves.a { pcm xen channels 2 }
				bindings.0 { slave a channel 0 }
				bindings.1 { slave a channel 1 }
			}
		}
		pcm.with_file { type plug slave.pcm { type file slave.pcm xen file "$GUEST_HOME_INSIDE/copy.raw" format raw } }
		pcm.with_rate { type plug slave.pcm { type rate slave { pcm xen rate 44100 } } }
		pcm.with_softvol {
			type plug
			slave.pcm { type softvol slave.pcm xen control { name "Softvol" card 0 } }
		}
		pcm.with_dmix { type plug slave.pcm { type dmix ipc_key 77 slave.pcm xen } }
		pcm.with_dsnoop { type plug slave.pcm { type dsnoop ipc_key 78 slave.pcm xen } }
	END
}

play() {
	guest aplay -D "$DEVICE" "$SOUND"
}

# through PLUGIN: the checks that follow have its name.
through() {
	DEVICE=with_$1
	results_begin "alsa-lib-$1" "$PACKAGE"
}

# refused PLUGIN plays|records REASON COMMAND...: it does not, but says so at once.
refused() {
	local why
	through "$1"
	guest_start "$PLAY_LOG" guest "${@:4}"
	guest_wait 10
	PLAY_CODE=$?
	why=$(grep -vE '^(aplay|arecord):|xaring\[' "$PLAY_LOG" | head -n 1 | sed 's/.*) //')
	check "is refused at once: exit code $PLAY_CODE, $why" test "$PLAY_CODE" -eq 1 -a -n "$why" ||
		{ show_log && return; }
	result "$2" refused
	result remark "$3: $why"
}

try() {
	local plugin
	for plugin in plug route asym multi file; do
		through $plugin
		plays
	done
	check "the file has it, too" cmp "$SESSION/noise.raw" "$GUEST_HOME/copy.raw"
	through rate
	sounds 1.9 2.1 -20
	refused softvol plays "keeps its volume in a card" aplay -D with_softvol "$SOUND"
	refused dmix plays "needs a card, and is not needed: each program has a stream of its own" aplay -D with_dmix "$SOUND"
	refused dsnoop records "as dmix" arecord -D with_dsnoop -f dat -d 1 "$RECORDING"
}
