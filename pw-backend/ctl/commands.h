/* SPDX-License-Identifier: MIT */
/*
 * The commands of xaringctl: each asks, prints, and says what is wrong and what to do next.
 *
 * Thread: one. Blocks: see request.h and mixer.h. Logs: prints.
 */
#ifndef XARINGCTL_COMMANDS_H
#define XARINGCTL_COMMANDS_H

#include "options.h"
#include "request.h"

/* Returns the exit code. */
int commands_run(const struct options *options);

/* Connects to the broker, or says why not. Returns 0 and sets *fd, or an exit code. */
int commands_connect(const struct options *options, int *fd);

/* Says why request_ask() has failed with res, and forgets the answer. Returns the exit code. */
int commands_explain(int res, struct answer *answer);

#endif
