#!/bin/bash
# SPDX-License-Identifier: MIT
# The machine itself, without the project: guests of every kind start and take commands.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

# It takes the longest.
guest_exists debian || guest_create debian debian
guest_need pv pv
guest_need pvh pvh
guest_await debian 150
figure "$(xl list | wc -l) domains"
check_end
