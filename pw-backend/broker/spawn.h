/* SPDX-License-Identifier: MIT */
/*
 * Makes worker processes, and decides as whom they run.
 *
 * Thread: one. Blocks: no. Logs: as whom a worker runs, and a folder that
 * is somebody else's.
 */
#ifndef XARING_BROKER_SPAWN_H
#define XARING_BROKER_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "audience.h"
#include "supervisor.h"

struct spawn {
	const struct audience *audience; /* of the next worker; borrowed */
	const char *config;              /* the only folder with configuration, or NULL; borrowed */
	bool verbose;
	uid_t uid;            /* of the audience for which the last worker was started */
	bool is_root;         /* that worker is, for a sound server of root's */
	bool told_of_foreign; /* once for each worker */
};

/* A supervisor_spawn_fn: the same program once more, with "--worker". data: struct spawn. */
int spawn_worker(void *data, struct supervisor_child *child);

/*
 * Connects to PipeWire for that worker. Returns the descriptor, -ENXIO when nobody is to hear it,
 * -ESTALE when it is to be heard by another user than the one for whom the worker was started, or the
 * worker is root and the sound server not root's any more, -EPERM when the audience's folder is not the
 * audience's, or another negative errno.
 */
int spawn_connect(struct spawn *spawn);

#endif
