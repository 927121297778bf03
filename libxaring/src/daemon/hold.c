/* SPDX-License-Identifier: MIT */
/*
 * A thread with copies of all descriptors, which closes them by ending: the kernel waits for no
 * socket then (PF_EXITING: inet_release() and those like it). It must never close one itself.
 */
#include "hold.h"

#include <errno.h>
#include <sched.h>

static void *hold_thread(void *data)
{
	struct hold *h = data;

	h->res = unshare(CLONE_FILES) < 0 ? -errno : 0;
	pthread_barrier_wait(&h->step);
	if (h->res == 0)
		pthread_barrier_wait(&h->step);
	return NULL;
}

/* The thread is out of here, and may still be closing. */
static void hold_join(struct hold *h)
{
	pthread_join(h->thread, NULL);
	pthread_barrier_destroy(&h->step);
}

int hold_init(struct hold *h)
{
	int res = -pthread_barrier_init(&h->step, NULL, 2);

	if (res < 0)
		return res;
	res = -pthread_create(&h->thread, NULL, hold_thread, h);
	if (res < 0) {
		pthread_barrier_destroy(&h->step);
		return res;
	}
	pthread_barrier_wait(&h->step);
	res = h->res;
	if (res < 0)
		hold_join(h);
	return res;
}

void hold_finish(struct hold *h)
{
	pthread_barrier_wait(&h->step);
	hold_join(h);
}
