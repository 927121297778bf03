/* SPDX-License-Identifier: MIT */
/*
 * A thread with copies of some descriptors, which closes them by ending: the kernel waits for no socket
 * then (PF_EXITING: inet_release() and those like it). It must never close one for the last time itself.
 */
#include "hold.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xaring/server.h>

/*
 * Threads of this process, others included: those that do not end are not to take what TasksMax leaves
 * for another worker. Those that end as they should are a few at a time.
 */
#define THREADS_MAX 16u

#define DISCARD_MAX 64

/* A folder has two links and one for each folder in it. 0: not known. */
static uint32_t count_threads(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink > 2 ? (uint32_t)st.st_nlink - 2 : 0;
}

/*
 * All others are still open where they come from, since who makes us waits: none is closed for the last
 * time, unless by another thread just now, which could have waited for it as well as we.
 */
static int keep_only(const int *fds, uint32_t count)
{
	unsigned next = 0;

	if (unshare(CLONE_FILES) < 0)
		return -errno;
	for (uint32_t i = 0; i < count; i++) {
		unsigned fd = (unsigned)fds[i];

		if (fd > next && close_range(next, fd - 1, 0) < 0)
			return -errno;
		next = fd + 1;
	}
	return close_range(next, ~0u, 0) < 0 ? -errno : 0;
}

static void *hold_thread(void *data)
{
	struct hold *h = data;

	h->res = keep_only(h->fds, h->count);
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

int hold_init(struct hold *h, const int *fds, uint32_t count)
{
	int res;

	if (count_threads() >= THREADS_MAX)
		return -EAGAIN;
	res = -pthread_barrier_init(&h->step, NULL, 2);
	if (res < 0)
		return res;
	h->fds = fds;
	h->count = count;
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

void hold_close_listener(struct xaring_listener *listener)
{
	struct hold hold;
	int fd = xaring_listener_fd(listener);
	bool held = hold_init(&hold, &fd, 1) == 0;

	xaring_listener_close(listener);
	if (held)
		hold_finish(&hold);
}

bool hold_discard(int fd)
{
	const int yes = 1;

	/* A packet tells who has sent it, which tells an empty one from the end. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0 ||
	    shutdown(fd, SHUT_RDWR) < 0)
		return false;
	for (int i = 0; i < DISCARD_MAX; i++) {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct msghdr msg = {.msg_control = room, .msg_controllen = sizeof(room)};

		if (recvmsg(fd, &msg, MSG_DONTWAIT | MSG_PEEK) < 0)
			return false;
		if (msg.msg_controllen == 0)
			return true;
		if ((msg.msg_flags & MSG_CTRUNC) || recv(fd, NULL, 0, MSG_DONTWAIT) < 0)
			return false;
	}
	return false;
}
