#!/bin/bash
# SPDX-License-Identifier: MIT
# A PV guest is saved and restored while it plays: the same program goes on, is heard within three seconds of
# the resume, and exact from there; no process ends, and no kernel complains.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-restore.sh
. /payload/tests/xen/machine/lib-restore.sh

ROUNDS=3
[ "$XARING_TEST" != quick ] || ROUNDS=1

session_need
# Its daemon is confined by its unit, which the small guests do not have.
# Half a gigabyte that is restored keeps dom0's graph late for as long in a slow hour.
if [ "$XARING_TEST" = long ]; then
	guest_need debian debian
	restored debian 3 1
fi
guest_need pv pv
restored pv 1 $ROUNDS
check_end
