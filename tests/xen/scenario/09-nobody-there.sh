#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 400 s.
# dom0's PipeWire is restarted while a guest plays. Then the guest begins without any backend: it plays into
# the void in real time, xaring-guestd --status says why, and it is heard once the backend is there.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

void_seconds=5

# How fast the program has written, in frames per second of its own clock: of the last SECONDS.
rate_of_player() {
	guest_fetch pv /tmp/player.log "$SESSION/rate.log"
	awk -v span="$1" '$1 == "w" { t[++n] = $2; frames[n] = $3 }
		END {
			for (i = n; i > 1 && t[n] - t[i] < span * 1e9; i--);
			printf "%d", (frames[n] - frames[i]) * 1e9 / (t[n] - t[i])
		}' "$SESSION/rate.log"
}

has_played_on() {
	guest_has_written pv $((WRITTEN + void_seconds * 48000))
}

status() {
	guest_user pv xaring-guestd --status >"$SESSION/status"
}

session_need
at_exit systemctl start xaring-pw
guest_need pv pv

# ---- PipeWire ----

guest_player pv 1 -b 16384
heard_or_die pv
broker=$(broker_pid)
pipewire=$(pgrep -u alice -x pipewire)
as_alice systemctl --user restart pipewire
check "PipeWire is another process" test "$(pgrep -u alice -x pipewire)" != "$pipewire"
session_need_again
ready=${EPOCHREALTIME/./}
check "it is heard by the new PipeWire" wait_for 30 guest_is_heard pv
pipewire_ms=$(((${EPOCHREALTIME/./} - ready) / 1000))
check_number "ms until then" $pipewire_ms -le 1000
check "the broker is the same" test "$(broker_pid)" = "$broker"
tap_sink "$SESSION/pipewire.f32"
tap_go_on "$SESSION/pipewire.f32" 3000
player_ends pv 1 "$SESSION/pipewire.f32"
nothing_wrong_check pv
check_number "gaps, once it is heard" "$GAPS" -eq 0

# ---- no backend ----

systemctl stop xaring-pw
check "no process of the backend is left" test -z "$(pgrep xaring)"
guest_player pv 2 -b 16384
WRITTEN=$(guest_written pv)
check "it plays on" wait_for 30 has_played_on
rate=$(rate_of_player 4)
check_number "frames per second into the void" "$rate" -ge 47000
check_number "frames per second into the void" "$rate" -le 49000
check "--status says that something is broken" test "$(status && echo well)" = ''
cat "$SESSION/status"
check "and that it is the backend" grep -qE '^broken +backend .*xaring-pw' "$SESSION/status"
tap_sink "$SESSION/backend.f32"
began=$(now_ns)
systemctl start xaring-pw
up=$(unit_ns ActiveEnter)
check "it is heard" wait_for 30 guest_is_heard pv
tap_go_on "$SESSION/backend.f32" 3000
check "--status finds nothing broken" status
cat "$SESSION/status"
player_ends pv 2 "$SESSION/backend.f32"
nothing_wrong_check pv
back_check "the backend" "$began" "$up" 1000
figure "in the void $rate frames/s; heard $BACK_MS ms after the backend was up, $pipewire_ms ms after PipeWire was"
check_end
