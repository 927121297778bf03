#!/bin/bash
# SPDX-License-Identifier: MIT
# The same as of a PV guest.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-restore.sh
. /payload/tests/xen/machine/lib-restore.sh

ROUNDS=1
[ "$XARING_TEST" != long ] || ROUNDS=3

session_need
guest_need pvh pvh
restored pvh 2 $ROUNDS
# Nobody needs it from here on.
guest_destroy pvh
check_end
