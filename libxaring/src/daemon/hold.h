/* SPDX-License-Identifier: MIT */
/*
 * Closing without waiting for what is closed.
 *
 * A connection that is closed takes along what its program has sent and nobody has read, descriptors
 * of any kind among it. If it was the last to have them, the kernel closes them in turn, and for a
 * socket with SO_LINGER that can take years. But a thread that ends never lingers. So one is made
 * that shares nothing but the descriptors, as they are: whatever is closed meanwhile is not closed for
 * the last time, and then the thread ends, and its copies with it.
 *
 * What even a thread that ends waits for is a file of FUSE whose server has asked for a cache for writing
 * (fuse_release(), Linux 5.16): such a thread stays until that server answers. Nobody waits for it, but it
 * counts for TasksMax, and when no other one can be made nothing can be closed like this.
 *
 * Thread: any. Blocks: until the thread runs. Logs: no.
 */
#ifndef XARING_DAEMON_HOLD_H
#define XARING_DAEMON_HOLD_H

#include <pthread.h>

struct hold {
	pthread_t thread;
	pthread_barrier_t step;
	int res;
};

/* Takes hold of all that is open. Returns 0, or a negative errno: then nothing is held. */
int hold_init(struct hold *hold);

/* Lets go, and does not wait until all is closed. */
void hold_finish(struct hold *hold);

#endif
