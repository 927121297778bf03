/* SPDX-License-Identifier: MIT */
/*
 * The worker process: starting it, talking to it, ending it, starting another when it dies.
 *
 * Two workers never play at once. One that was killed and does not end, because the kernel or a debugger
 * keeps it, runs none of its code any more: another one takes its place after three seconds, and the pages
 * that it had mapped are given back by us, though the kernel has them until it ends. There are no more
 * than UNDEAD_MAX of those; then the last one is waited for.
 *
 * Knows nothing of VMs and streams. How a worker is made is the caller's, so that tests can be the
 * worker themselves.
 *
 * Thread: one, the loop's. Blocks: no, but for supervisor_destroy(). Logs: what happens to workers.
 */
#ifndef XARING_BROKER_SUPERVISOR_H
#define XARING_BROKER_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "../ipc.h"

struct loop;
struct supervisor;

/* A worker that was started. */
struct supervisor_child {
	int fd;    /* our end of the socketpair */
	int pidfd; /* readable when it is dead, -1 when it is no process */
	pid_t pid; /* 0 when it is no process */
};

/* Starts a worker. Returns 0 and sets *child, whose descriptors belong to the supervisor then. */
typedef int (*supervisor_spawn_fn)(void *data, struct supervisor_child *child);

/* No callback may destroy the supervisor. */
struct supervisor_events {
	/* A new worker listens: nothing that an earlier one was told is known to it. */
	void (*on_worker_start)(void *data);
	/* It has sent a message; returns -EPROTO when that makes no sense, and the worker is killed.
	 * The descriptors of the message are the callee's. */
	int (*on_worker_message)(void *data, struct ipc_message *message);
	/* It is dead, or as good as that: it has nothing mapped any more, or touches none of it. */
	void (*on_worker_end)(void *data);
};

/* events and data are borrowed. Owner: the caller; supervisor_destroy(). */
int supervisor_create(struct loop *loop, const struct supervisor_events *events, void *data,
		      supervisor_spawn_fn spawn, void *spawn_data, struct supervisor **out);

/*
 * Ends the worker: asks by closing its socket, kills it after a second. One that does not die of that
 * either is left behind after three more. Accepts NULL.
 */
void supervisor_destroy(struct supervisor *s);

/* Starts the first worker; when that fails, tries again later. */
void supervisor_start(struct supervisor *s);

/*
 * Sends, or queues while the worker does not read. Descriptors are borrowed. Without a worker
 * nothing is sent. A worker that lets the queue overflow is killed.
 */
void supervisor_send(struct supervisor *s, const struct ipc_message *message);

/* Tells whether messages wait for the worker to read. */
bool supervisor_is_congested(const struct supervisor *s);

/* Kills the worker: `why` completes the sentence "worker is killed: ...". */
void supervisor_kill(struct supervisor *s, const char *why);

/*
 * Has another worker take this one's place, at once: it is asked to leave by closing its socket,
 * and killed after a second. Neither an error nor a short life, and without a worker the wait for
 * the next one is over. `why` completes the sentence "worker is replaced: ...".
 */
void supervisor_replace(struct supervisor *s, const char *why);

/* Tells whether there is a worker that may still touch pages, one that was killed just now included. */
bool supervisor_is_alive(const struct supervisor *s);

/* Tells whether a worker has said READY and lives. */
bool supervisor_is_ready(const struct supervisor *s);

#endif
