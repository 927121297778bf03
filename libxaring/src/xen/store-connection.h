/* SPDX-License-Identifier: MIT */
/*
 * A connection to xenstore: one request at a time, with a deadline, and events of watches at any time.
 * One thread opens, uses and closes it. It is ours, because libxenstore waits for answers without end,
 * and with the first watch has a thread that closes the socket as well.
 *
 * Thread: one per object. Blocks: where it says so; and the kernel's device for as long as xenstored
 * likes, when a watch is set or taken away. Logs: no.
 */
#ifndef XARING_XEN_STORE_CONNECTION_H
#define XARING_XEN_STORE_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store-message.h"

/* Something happened at or below a watched path. Both texts are borrowed. */
typedef void (*connection_event_fn)(void *data, const char *path, const char *token);

struct connection {
	const char *path; /* NULL = where xenstored is usually */
	int fd;           /* -1 = closed */
	bool is_device;

	/* What is asked; the caller begins it and adds to it. */
	struct request request;
	size_t sent;
	uint32_t last_id;
	bool is_asked; /* and not answered */

	int result;
	size_t answer_bytes;
	char answer[XENSTORE_PAYLOAD_MAX + 1]; /* terminated beyond its end */

	struct messages messages;
	connection_event_fn on_event;
	void *data;
};

/*
 * A closed one. path: of a socket or a device, instead of the usual one; NULL or borrowed. on_event
 * comes from within the functions below, and calls none of them.
 */
void connection_init(struct connection *c, const char *path, connection_event_fn on_event,
		     void *data);

/* Returns 0 or a negative errno. Closing accepts one that is closed. */
int connection_open(struct connection *c);
void connection_close(struct connection *c);

/*
 * Sends c->request and waits for the answer. Returns
 *
 *  0           it is in c->answer, until the next request;
 *  -ETIMEDOUT  not yet: nothing else may be asked, but connection_await() waits on;
 *  -ENOTCONN   the connection has ended, or what came breaks the protocol: it is to be closed;
 *  -EMSGSIZE   the answer is longer than the protocol allows;
 *  -E2BIG      so is the request; or as all others, what xenstored says.
 */
int connection_ask(struct connection *c, uint32_t timeout_ms);
int connection_await(struct connection *c, uint32_t timeout_ms);

/*
 * Tells the events that have come, a thousand or so at most, without waiting for any. Returns 0, or
 * -ENOTCONN as above: which c->fd shows, by becoming readable.
 */
int connection_hear(struct connection *c);

#endif
