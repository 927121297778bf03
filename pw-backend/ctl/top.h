/* SPDX-License-Identifier: MIT */
/*
 * xaringctl top: VMs once a second, on the screen or printed.
 *
 * Thread: one. Blocks: until the user, --count or an error ends it. Logs: prints.
 */
#ifndef XARINGCTL_TOP_H
#define XARINGCTL_TOP_H

#include "options.h"

/* Returns the exit code. */
int top_run(const struct options *options);

#endif
