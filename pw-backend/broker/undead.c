/* SPDX-License-Identifier: MIT */
/*
 * Buries workers that do not end when they are killed, as soon as they do. Kills nobody.
 */
#include "undead.h"

#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xaring/log.h>

#include "loop.h"

#define REMEDY                                                                      \
	"a debugger holds it, or a file system in user space that does not answer " \
	"(as root: echo 1 | tee /sys/fs/fuse/connections/*/abort)"

void undead_init(struct undead *u, struct loop *loop, void (*on_end)(void *data), void *data)
{
	*u = (struct undead){.loop = loop, .on_end = on_end, .data = data};
	for (unsigned i = 0; i < UNDEAD_MAX; i++)
		u->workers[i] = (struct undead_worker){.all = u, .pidfd = -1};
}

static void bury(struct undead_worker *w)
{
	siginfo_t info;

	waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED | WNOHANG);
	loop_remove(w->exit);
	w->exit = NULL;
	close(w->pidfd);
	w->pidfd = -1;
}

void undead_finish(struct undead *u)
{
	for (unsigned i = 0; i < UNDEAD_MAX; i++) {
		if (u->workers[i].pidfd >= 0)
			bury(&u->workers[i]);
	}
}

static void on_exit_at_last(void *data, uint32_t events)
{
	struct undead_worker *w = data;
	struct undead *u = w->all;

	(void)events;
	xaring_log(XARING_LOG_WARN, "worker (pid %d) has ended at last", (int)w->pid);
	bury(w);
	u->on_end(u->data);
}

static struct undead_worker *find_place(struct undead *u)
{
	for (unsigned i = 0; i < UNDEAD_MAX; i++) {
		if (u->workers[i].pidfd < 0)
			return &u->workers[i];
	}
	return NULL;
}

bool undead_add(struct undead *u, int pidfd, pid_t pid, struct loop_source *watch)
{
	struct undead_worker *w = find_place(u);

	if (!w) {
		xaring_log(XARING_LOG_ERROR,
			   "worker (pid %d) was killed and does not end, like %u before it: nothing "
			   "is heard until one does; " REMEDY,
			   (int)pid, UNDEAD_MAX);
		return false;
	}
	w->pidfd = pidfd;
	w->pid = pid;
	loop_remove(watch);
	/* Without memory for that it keeps its place for good. */
	(void)loop_add_io(u->loop, pidfd, EPOLLIN, on_exit_at_last, w, &w->exit);
	xaring_log(
		XARING_LOG_ERROR,
		"worker (pid %d) was killed and does not end, so another one takes its place; " REMEDY,
		(int)pid);
	return true;
}
