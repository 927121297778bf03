/* SPDX-License-Identifier: MIT */
/*
 * The worker of xaring-pw: plays what the guests' rings hold into PipeWire, with no privileges.
 */
#ifndef XARING_WORKER_H
#define XARING_WORKER_H

#include <signal.h>

/* The worker's end of the socketpair with the broker. */
#define WORKER_BROKER_FD 3

/* What the kernel sends to the worker when the broker has died: a second later it is gone, even if it is stuck. */
#define WORKER_ALONE_SIGNAL SIGUSR1

/*
 * Runs the worker until the broker is gone. Arguments: "--worker" and, if wanted, "--verbose".
 * Returns the exit code: 0, or 1 with the reason on stderr.
 */
int worker_main(int argc, char **argv);

#endif
