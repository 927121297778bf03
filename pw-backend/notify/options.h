/* SPDX-License-Identifier: MIT */
/*
 * The command line of xaring-notify.
 *
 * Thread: one. Blocks: no. Logs: prints help and what is wrong.
 */
#ifndef XARING_NOTIFY_OPTIONS_H
#define XARING_NOTIFY_OPTIONS_H

#include <stdbool.h>

struct options {
	const char *socket; /* or NULL */
	bool verbose;
};

/* Reads the command line. Returns -1 to go on, or the exit code to end with. */
int options_parse(struct options *options, int argc, char **argv);

#endif
