#!/bin/bash
# SPDX-License-Identifier: MIT
# In the long run only.
# The machine itself, without the project: dom0's PipeWire carries a program of dom0 to the sink without a
# change. What fails here says nothing about the project.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

session_need
noise "$SESSION/played.raw" S16 2 240001
tap_sink "$SESSION/heard.f32"
aplay -q -D pipewire -t raw -f S16_LE -c 2 -r 48000 "$SESSION/played.raw"
check "the player succeeds" test $? -eq 0
tap_go_on "$SESSION/heard.f32" 200
tap_end
check "what it played is heard" is_exact S16 2 "$SESSION/played.raw" "$SESSION/heard.f32" 4096
cat "$SESSION/log/exact"
figure "$RESULT"
check_end
