/* SPDX-License-Identifier: MIT */
/*
 * The command line of xaring-pw.
 *
 * Thread: one. Blocks: no. Logs: prints help and what is wrong.
 */
#ifndef XARING_BROKER_OPTIONS_H
#define XARING_BROKER_OPTIONS_H

#include <stdbool.h>

struct options {
	const char *runtime_dir; /* or NULL */
	const char *config_dir;  /* or NULL */
	const char *state_dir;   /* or NULL */
	const char *pipewire;    /* or NULL */
	const char *audio_user;  /* or NULL */
	char **vms;              /* vm_count names, checked */
	unsigned vm_count;
	bool no_xen;
	bool verbose;
};

/*
 * Reads the command line. Owner: the caller; options_finish().
 * Returns -1 to go on, or the exit code to end with.
 */
int options_parse(struct options *options, int argc, char **argv);
void options_finish(struct options *options);

#endif
