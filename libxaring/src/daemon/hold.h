/* SPDX-License-Identifier: MIT */
/*
 * Closing without waiting for what is closed.
 *
 * A connection that is closed takes along what its program has sent and nobody has read, descriptors
 * of any kind among it. If it was the last to have them, the kernel closes them in turn, and for a
 * socket with SO_LINGER that can take years. But a thread that ends never lingers. So one is made
 * that has nothing but copies of such descriptors: when they are closed meanwhile that is not for the
 * last time, and then the thread ends, and the copies with it.
 *
 * What even a thread that ends waits for is a file of FUSE whose server has asked for a cache for writing
 * (fuse_release(), Linux 5.16): such a thread stays until that server answers. Nobody waits for it, and it
 * keeps nothing else open; but it counts for TasksMax. So there is a maximum, and beyond that nothing can
 * be closed like this until one of them has ended.
 *
 * Thread: any. Blocks: until the thread runs. Logs: no.
 */
#ifndef XARING_DAEMON_HOLD_H
#define XARING_DAEMON_HOLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct xaring_listener;

struct hold {
	pthread_t thread;
	pthread_barrier_t step;
	const int *fds;
	uint32_t count;
	int res;
};

/*
 * Takes hold of the descriptors (borrowed, as the array until this returns), which are in ascending order.
 * Returns 0; -EAGAIN when there are too many threads; or another negative errno. Then nothing is held.
 */
int hold_init(struct hold *hold, const int *fds, uint32_t count);

/* Lets go, and does not wait until all is closed. */
void hold_finish(struct hold *hold);

/* Closes a listener, and does not wait for what programs have sent that have connected in vain. */
void hold_close_listener(struct xaring_listener *listener);

/*
 * Throws away what lies unread in the queue of a connection, which ends by it. Returns true when nothing is
 * left, and close() waits for nothing; false when there may be something: as soon as it brings descriptors,
 * since to take it could be to close them.
 */
bool hold_discard(int fd);

#endif
