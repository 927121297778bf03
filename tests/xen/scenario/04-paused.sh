#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest that plays is paused for five seconds: silence meanwhile, then sound at the latency from before,
# and nothing old.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

session_need
guest_need pvh pvh

tap_sink "$SESSION/heard.f32"
guest_player pvh 1 -b 8192
heard_or_die pvh
tap_go_on "$SESSION/heard.f32" 3000
xl pause pvh
began=$(now_ns)
tap_go_on "$SESSION/heard.f32" 5000
xl unpause pvh
ended=$(now_ns)
tap_go_on "$SESSION/heard.f32" 4000
guest_signal pvh player TERM
check "the program ends well" guest_wait pvh player 20
tap_end
guest_judge pvh 1 "$SESSION/heard.f32"

# Silence that lies within the pause, in ms.
silent_ms=$(verdict "[.runs[] | select(.begin_ns > $began) | .silent_before][0] / 48 | floor")
check_number "ms of silence" "$silent_ms" -ge 4500
check "one gap" verdict_holds '.gaps == 1'
check "nothing repeated, nobody else's, nothing damaged" \
	verdict_holds '.repeated + .foreign + .damaged == 0'
back_ms=$(verdict "([.runs[] | select(.begin_ns > $began) | .begin_ns][0] - $ended) / 1000000 | floor")
check_number "ms until it is heard again" "$back_ms" -le 1000
# The guest's clock is another one, but the same before and after.
later_ms=$(verdict '[.runs[] | select(.frames > 24000) | .latency_ms] | (last - first) * 10 | round / 10')
check_real "ms of latency more than before" "$later_ms" "<=" 45
figure "silent for $silent_ms ms, heard $back_ms ms after, latency changed by $later_ms ms"
check_end
