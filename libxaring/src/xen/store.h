/* SPDX-License-Identifier: MIT */
/*
 * Xenstore, without ever waiting for it on the loop: one thread owns the connection, executes jobs
 * in their order and reads watch events. It connects again when xenstored was restarted, and
 * registers all watches anew then.
 *
 * Watch events are not queued: each watch has one bit "something happened", so no guest fills
 * memory by writing. A watch that fires more than 200 times in a second is taken away for 5 s and
 * reported once when it is back, so no guest takes a processor either.
 *
 * All functions and all callbacks but store_job.work are the loop's thread's. Logs: the loss and
 * the return of xenstored, jobs that take longer than 10 s; once each.
 */
#ifndef XARING_XEN_STORE_H
#define XARING_XEN_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct store;
struct store_watch;

/* The connection, as the store's thread has it. */
struct store_link;

/* Something to do with xenstore. The caller's memory, the store's from store_run() to done(). */
struct store_job {
	struct store_job *next;
	int res; /* the store's */

	/* On the store's thread; may block. Returns 0 or a negative errno. Touches nothing but the job. */
	int (*work)(struct store_job *job, struct store_link *link);

	/* On the loop, with what work returned; -ENOTCONN when there was no connection. May free the job. */
	void (*done)(struct store_job *job, int res);
};

/* A (re)connection: everything may have changed. May be NULL. */
typedef void (*store_connected_fn)(void *data);

/* Returns 0 and sets *out, or a negative errno. Connects in the background. */
int store_create(struct loop *loop, store_connected_fn connected, void *data, struct store **out);

/*
 * Gives up the connection. Jobs that have not run are done with -ECANCELED, within the call. Waits
 * at most 2 s for a job that is stuck; its memory and the thread are then left. Accepts NULL.
 */
void store_destroy(struct store *store);

void store_run(struct store *store, struct store_job *job);

/*
 * Watches a path (copied). Called once after registration, then after changes, many of them as one.
 * suffix: only events whose path ends so count (borrowed for good), NULL = all. Returns 0 and sets
 * *out, or -ENOMEM. Unwatching: the callback does not come any more.
 */
int store_add_watch(struct store *store, const char *path, const char *suffix,
		    void (*fired)(void *data), void *data, struct store_watch **out);
void store_remove_watch(struct store_watch *watch);

/*
 * For jobs: one operation of xenstore each, on the store's thread. Paths that are relative belong to
 * the own domain. A lost connection is -ENOTCONN; then errno of xenstore: -ENOENT, -EACCES, ...
 */

/* Reads a node; *value (terminated beyond *bytes) is the caller's, free(3). Longer than max: -E2BIG. */
int store_read(struct store_link *link, const char *path, size_t max, char **value, size_t *bytes);
int store_write(struct store_link *link, const char *path, const char *value, size_t bytes);
int store_remove(struct store_link *link, const char *path); /* with all below; 0 when absent */

/* Names of the children; *names is the caller's, one free(3). Returns their number. */
int store_list(struct store_link *link, const char *path, char ***names);

/*
 * Permissions: owner keeps all; each of readers may read; writers as well. Of a node that exists.
 */
struct store_permission {
	uint32_t domid;
	bool read, write;
};
int store_permit(struct store_link *link, const char *path, uint32_t owner, bool others_read,
		 const struct store_permission *permissions, unsigned count);

/* Tells whether the domain is there, as xenstored knows it: 1, 0, or a negative errno. */
int store_domain_exists(struct store_link *link, uint32_t domid);

/*
 * A transaction: work returns -EAGAIN to have it all done again (at most 5 times).
 */
int store_transaction(struct store_link *link, int (*work)(void *data, struct store_link *link),
		      void *data);

#endif
