#!/bin/bash
# SPDX-License-Identifier: MIT
# The machine itself, without the project: a guest with Debian and systemd starts and takes commands.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

guest_exists debian || guest_create debian debian
guest_await debian 150
guest_usable_check debian
figure "up for $(guest_run debian cut -d. -f1 /proc/uptime) s"
check_end
