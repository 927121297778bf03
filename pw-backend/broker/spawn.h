/* SPDX-License-Identifier: MIT */
/*
 * Makes worker processes, and decides as whom they run.
 *
 * Thread: one. Blocks: no. Logs: as whom a worker runs.
 */
#ifndef XARING_BROKER_SPAWN_H
#define XARING_BROKER_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "supervisor.h"

struct spawn {
	const char *pipewire; /* PipeWire's socket; borrowed */
	const char *config;   /* the only folder with configuration, or NULL; borrowed */
	bool verbose;
	uid_t uid; /* as whom the last worker was started */
};

/* A supervisor_spawn_fn: the same program once more, with "--worker". data: struct spawn. */
int spawn_worker(void *data, struct supervisor_child *child);

/*
 * Connects to PipeWire for that worker. Returns the descriptor, -ESTALE when PipeWire's socket
 * belongs to another user than the one as whom the worker runs, or a negative errno.
 */
int spawn_connect(const struct spawn *spawn);

#endif
