/* SPDX-License-Identifier: MIT */
/*
 * Workers that were killed and do not end: their memory is still there, pages of guests in it, and only
 * the kernel can take it. A debugger may hold one, or a page fault in a file of a file system in user
 * space (FUSE), which waits for the server of that without minding signals once it has asked it. None
 * of their own code is run any more. So others may follow them; how many, is bounded here.
 *
 * Thread: the loop's. Blocks: no. Logs: what becomes of them.
 */
#ifndef XARING_BROKER_UNDEAD_H
#define XARING_BROKER_UNDEAD_H

#include <stdbool.h>
#include <sys/types.h>

struct loop;
struct loop_source;

/* Each has the pages of all streams that there were, and threads that count for TasksMax. */
#define UNDEAD_MAX 4u

struct undead;

struct undead_worker {
	struct undead *all;
	int pidfd; /* -1: none */
	pid_t pid;
	struct loop_source *exit;
};

struct undead {
	struct loop *loop;
	void (*on_end)(void *data);
	void *data;
	struct undead_worker workers[UNDEAD_MAX];
};

/* on_end is called when one has ended after all. */
void undead_init(struct undead *undead, struct loop *loop, void (*on_end)(void *data), void *data);

/* Leaves all of them to init. */
void undead_finish(struct undead *undead);

/*
 * Takes the pidfd over, removes what has watched it, and returns true; or returns false: there are too
 * many.
 */
bool undead_add(struct undead *undead, int pidfd, pid_t pid, struct loop_source *watch);

#endif
