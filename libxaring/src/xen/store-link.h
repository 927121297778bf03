/* SPDX-License-Identifier: MIT */
/*
 * The connection as the store's thread has it; store_read() and the other operations of store.h are
 * on it. Private to the store.
 *
 * Thread: the store's. Blocks: as long as xenstored likes. Logs: no.
 */
#ifndef XARING_XEN_STORE_LINK_H
#define XARING_XEN_STORE_LINK_H

#include <poll.h>
#include <stdbool.h>

#include <xenstore.h>

#include "store.h"

#define LINK_FDS 2

/* Something happened at or below a watched path. Both texts are borrowed. */
typedef void (*link_event_fn)(void *data, const char *path, const char *token);

struct store_link {
	struct xs_handle *xs; /* NULL = closed */
	xs_transaction_t transaction;
	int canary_fd; /* a silent connection, or -1 */
	bool lost;     /* closed, or to be closed: operations fail with -ENOTCONN */
	link_event_fn on_event;
	void *data;
};

/* A closed one. on_event comes from within every operation. */
void link_init(struct store_link *link, link_event_fn on_event, void *data);

/* Returns 0 or a negative errno. Closing accepts one that is closed. */
int link_open(struct store_link *link);
void link_close(struct store_link *link);

/* What to poll for, for reading; -1 where there is nothing. */
void link_fds(const struct store_link *link, struct pollfd fds[LINK_FDS]);

/* Afterwards: tells the events that came, a thousand at most, and sees whether xenstored went. */
void link_drain(struct store_link *link);
void link_look(struct store_link *link);

int link_watch(struct store_link *link, const char *path, const char *token);
int link_unwatch(struct store_link *link, const char *path, const char *token);

#endif
