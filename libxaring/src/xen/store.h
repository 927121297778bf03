/* SPDX-License-Identifier: MIT */
/*
 * Xenstore, without ever waiting for it on the loop: one thread owns the connection, executes jobs
 * in their order and reads watch events. It connects again when xenstored was restarted, does not
 * answer anybody for some ten seconds, or us for two, and registers all watches anew then.
 *
 * Watch events are not queued: each watch has one bit "something happened", so no guest fills
 * memory by writing. A watch that fires more than 200 times in a second is taken away for 5 s and
 * reported once when it is back, so no guest takes a processor either. Every event at or below the
 * path counts for that, with and without suffix: a path below which several guests write makes each
 * of them wait for the other ones.
 *
 * In a guest the connection is the kernel's (/dev/xen/xenbus), which keeps it over save and restore
 * and then fires every watch once. XENSTORED_PATH, at the time of store_create(), names another socket
 * or device.
 *
 * Functions that get a link are for a job's work, on the store's thread; all others, and all other
 * callbacks, are the loop's thread's. Callbacks come from the loop, never from within a function here
 * but store_destroy(). Logs: that the connection is lost, or there again; that a job or a watch has
 * taken 15 s, and the end of that; a watch that is taken away or cannot be set, once in a minute; at
 * the end, that xenstored is not waited for.
 */
#ifndef XARING_XEN_STORE_H
#define XARING_XEN_STORE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct store;
struct store_watch;

/* The connection, as the store's thread has it. */
struct store_link;

struct store_job;

/* On the store's thread; may block. Returns 0 or a negative errno. Touches nothing but the job. */
typedef int (*store_work_fn)(struct store_job *job, struct store_link *link);

/* On the loop, with what work returned; -ENOTCONN when there was no connection. May free the job. */
typedef void (*store_done_fn)(struct store_job *job, int res);

/*
 * Something to do with xenstore. The caller's memory, the store's from store_run() to done(); what is in
 * it is the store's alone.
 */
struct store_job {
	struct store_job *next;
	store_work_fn work;
	store_done_fn done;
	int res;
};

/* What a job is a member of. */
#define store_job_of(job, type, member) ((type *)((char *)(job)-offsetof(type, member)))

/*
 * A (re)connection: everything may have changed. May be NULL. Jobs that failed for the lack of the
 * last connection are done before it.
 */
typedef void (*store_connected_fn)(void *data);

/* Returns 0 and sets *out, or a negative errno. Connects in the background. */
int store_create(struct loop *loop, store_connected_fn connected, void *data, struct store **out);

/*
 * Gives up the connection, and all watches. Jobs that have run are done with their results, those
 * that have not with -ECANCELED, within the call; nothing may be handed in from there. Waits at
 * most 2 s for a job that is stuck; its memory and the thread are then left, and it is never done.
 * Not from within a callback. Accepts NULL.
 */
void store_destroy(struct store *store);

/* Jobs run in the order in which they were handed in, and are done in that order. */
void store_run(struct store *store, struct store_job *job, store_work_fn work, store_done_fn done);

/*
 * Watches a path (copied), also "@introduceDomain" and "@releaseDomain". Called once after
 * registration, with each connection, then after changes, many of them as one.
 * suffix: only events whose path ends so count, and those of the watched path itself (borrowed for
 * good); NULL = all. Returns 0 and sets *out, or -ENOMEM. out may be NULL where the watch stays as
 * long as the store. Removing: the callback does not come any more; also from within a callback;
 * accepts NULL.
 */
int store_add_watch(struct store *store, const char *path, const char *suffix,
		    void (*fired)(void *data), void *data, struct store_watch **out);
void store_remove_watch(struct store_watch *watch);

/*
 * For jobs: one operation of xenstore each, on the store's thread. Paths that are relative belong to
 * the own domain. A negative errno is xenstore's: -ENOENT, -EACCES, ... or says that the connection is
 * lost, which all operations of the job do from then on:
 *
 *  -ENOTCONN   it has ended, or xenstored answers nobody;
 *  -ETIMEDOUT  xenstored answers others, and not us: something that was written before, with success,
 *              has caused an event for somebody who does not read it, or reads late.
 */
static inline bool store_is_lost(int res)
{
	return res == -ENOTCONN || res == -ETIMEDOUT;
}

/* Not there, and not for us to see, are the same: nothing is said. */
static inline bool store_is_absent(int res)
{
	return res == -ENOENT || res == -EACCES;
}

/*
 * Reads a node into value, which has room for max bytes and the 0 that is put behind them. Returns how
 * many there are, or a negative errno: -E2BIG when it is longer.
 */
int store_read(struct store_link *link, const char *path, char *value, size_t max);

/* The same for what is nothing when it is absent, or longer: 0 then, and value is empty. */
int store_read_short(struct store_link *link, const char *path, char *value, size_t max);

int store_write(struct store_link *link, const char *path, const char *value, size_t bytes);
int store_remove(struct store_link *link, const char *path); /* with all below; 0 when absent */

/*
 * The end of a job that has written where others watch: what that has done to the connection shows only
 * when something more is asked. Without it the next job would be the one that is told. Returns 0 or what
 * says that the connection is lost.
 */
int store_confirm(struct store_link *link);

/*
 * Names of the children; *names is the caller's, one free(3). Returns their number. Not within a
 * transaction. A list beyond the 4096 bytes of a message costs one of its own, and oxenstored (of 4.17)
 * cannot send it: -E2BIG.
 */
int store_list(struct store_link *link, const char *path, char ***names);

/*
 * Permissions of a node that exists. The first one names the owner, who may do all, and says what may all
 * those that no other one names. What is made below it later inherits them.
 */
struct store_permission {
	uint32_t domid;
	bool read, write;
};
int store_permit(struct store_link *link, const char *path,
		 const struct store_permission *permissions, unsigned count);

/* Tells whether the domain is there, as xenstored knows it: 1, 0, or a negative errno. */
int store_domain_exists(struct store_link *link, uint32_t domid);

/*
 * A transaction: what work does, as a whole or not at all. It is done again when somebody else came
 * in between or work returns -EAGAIN, up to 5 times in all; -EAGAIN then. A negative result of work
 * gives it up. Not within another one. Returns what work returned, or a negative errno.
 */
int store_transaction(struct store_link *link, int (*work)(void *data, struct store_link *link),
		      void *data);

#endif
