#!/bin/bash
# SPDX-License-Identifier: MIT
# The machine itself, without the project: guests of every kind start and take commands; in the long run they
# are saved and restored with a program running, which scenario 5 does otherwise.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-restore.sh
. /payload/tests/xen/machine/lib-restore.sh

# saved_and_restored NAME
saved_and_restored() {
	local began now
	guest_spawn "$1" counter 'sh -c "i=0; while sleep 0.1; do i=\$((i + 1)); echo \$i; done"'
	save_and_restore "$1"
	guest_await "$1" 30
	began=$(guest_run "$1" tail -n 1 /tmp/counter.out)
	now() { [ "$(guest_run "$1" tail -n 1 /tmp/counter.out)" -gt "$began" ]; }
	check "$1: its program goes on after $began" wait_for 5 now "$1"
	guest_signal "$1" counter KILL
}

# It takes the longest.
guest_exists debian || guest_create debian debian
guest_need pv pv
guest_need pvh pvh
guest_await debian 150
for each in pv pvh debian; do
	check "$each: an ordinary user" test "$(guest_user $each id -u)" = 1000
	check "$each: pages can be granted" test "$(guest_run $each /payload/tests/xen/grant-count)" -gt 0
done
if [ "$XARING_TEST" = long ]; then
	saved_and_restored pv
	saved_and_restored pvh
fi
figure "$(xl list | wc -l) domains"
check_end
