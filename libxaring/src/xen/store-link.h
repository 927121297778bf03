/* SPDX-License-Identifier: MIT */
/*
 * The connection as the store's thread has it: the operations of store.h, and what to do when one of
 * them is not answered. Private to the store.
 *
 * Thread: the store's. Blocks: as store-connection.h. Logs: no.
 */
#ifndef XARING_XEN_STORE_LINK_H
#define XARING_XEN_STORE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "store-connection.h"
#include "store.h"

struct store_link {
	struct connection connection;
	uint32_t transaction; /* 0 = none */
	int lost;       /* closed, or to be closed: what all operations return; 0 = it is there */
	bool is_silent; /* lost for the lack of an answer; for people */
};

/* A closed one. on_event comes from within every operation. path as connection_init(). */
void link_init(struct store_link *link, const char *path, connection_event_fn on_event, void *data);

/* Returns 0 once xenstored has answered something, or a negative errno. Closing accepts what is closed. */
int link_open(struct store_link *link);
void link_close(struct store_link *link);

static inline bool link_is_open(const struct store_link *link)
{
	return link->connection.fd >= 0;
}

/* Readable when an event has come, or the end; -1 while it is closed. */
static inline int link_fd(const struct store_link *link)
{
	return link->connection.fd;
}

/* Afterwards: tells the events that came, a thousand or so, and sees whether xenstored went. */
void link_hear(struct store_link *link);

int link_watch(struct store_link *link, const char *path, const char *token);
int link_unwatch(struct store_link *link, const char *path, const char *token);

#endif
