/* SPDX-License-Identifier: MIT */
/*
 * The command line of xaring-guestd.
 *
 * Thread: one. Blocks: no. Logs: prints help and what is wrong.
 */
#ifndef XARING_GUESTD_OPTIONS_H
#define XARING_GUESTD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *runtime_dir;
	const char *state_dir; /* NULL = as the environment says */
	uint32_t pages;        /* of all streams of this guest */
	uint32_t user_pages;   /* of the streams of one user */
	bool verbose;
	bool status; /* say what is broken, and end */
	bool json;
};

/* Reads the command line. Returns -1 to go on, or the exit code to end with. */
int options_parse(struct options *options, int argc, char **argv);

#endif
