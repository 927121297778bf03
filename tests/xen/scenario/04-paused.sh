#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest that plays is paused for five seconds: silence meanwhile, then sound at the latency from before,
# and nothing old.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

session_need
guest_need pvh pvh

tap_sink "$SESSION/heard.f32"
guest_player pvh 1 -b 16384
heard_or_die pvh
tap_go_on "$SESSION/heard.f32" 3000
xl pause pvh
began=$(now_ns)
tap_go_on "$SESSION/heard.f32" 5000
xl unpause pvh
ended=$(now_ns)
tap_go_on "$SESSION/heard.f32" 4000
guest_stop pvh player "$SESSION/player"
tap_end
guest_fetch pvh /tmp/player.log "$SESSION/player.log"
guest_judge pvh 1 "$SESSION/heard.f32" 1 "$SESSION/player.log"

# Its clock went on, so that it finds its buffer empty afterwards.
player_said "$SESSION/player"
unnoticed_check pvh 1
# Silence that lies within the pause, in ms.
silent_ms=$(verdict "[.runs[] | select(.begin_ns > $began) | .silent_before][0] / 48 | floor")
check_number "ms of silence" "$silent_ms" -ge 4500
check_number "gaps" "$GAPS" -eq 1
nothing_wrong_check pvh
back_check pvh "$began" "$ended" 1000
# The guest's clock is another one, but the same before and after.
later_ms=$(verdict '[.runs[] | select(.frames > 24000 and .latency_ms >= 0) | .latency_ms] |
	if length == 2 then (.[1] - .[0]) * 10 | round / 10 else empty end')
check_real "ms of latency more than before" "$later_ms" "<=" 45
figure "silent for $silent_ms ms, heard $BACK_MS ms after, latency changed by $later_ms ms"
check_end
