/* SPDX-License-Identifier: MIT */
/*
 * The commands of xaringctl: each asks, prints, and says what is wrong and what to do next.
 *
 * Thread: one. Blocks: see request.h and mixer.h. Logs: prints.
 */
#ifndef XARINGCTL_COMMANDS_H
#define XARINGCTL_COMMANDS_H

#include "options.h"

struct json_object;

/* What the broker has said about all VMs, or one of them. */
struct answer {
	struct json_object *items; /* an array */
	struct json_object *end;   /* the last object */
};

/* Returns the exit code. */
int commands_run(const struct options *options);

/* Connects to the broker, or says why not. Returns 0 and sets *fd, or an exit code. */
int commands_connect(const struct options *options, int *fd);

/*
 * Asks, and says nothing. Returns 0; or -EREMOTEIO when the broker has refused, or another negative errno, for
 * commands_explain(), which says so, forgets the answer and returns the exit code. *out is set in any case.
 */
int commands_try(int fd, const char *request, struct answer *out);
int commands_explain(int res, struct answer *answer);

/*
 * Asks, and says what is wrong with the answer, or that there is none. Returns 0 and sets *out, which
 * commands_forget() gives back; or an exit code.
 */
int commands_ask(int fd, const char *request, struct answer *out);
void commands_forget(struct answer *answer);

#endif
