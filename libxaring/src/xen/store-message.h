/* SPDX-License-Identifier: MIT */
/*
 * Xenstore's messages (xen/io/xs_wire.h): requests are put together, and what comes in any pieces is
 * cut into messages. What xenstored sends is taken for no more than the protocol allows: much of it
 * are texts of guests.
 *
 * Pure. Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_XEN_STORE_MESSAGE_H
#define XARING_XEN_STORE_MESSAGE_H

#include <errno.h> /* before the header, which has names of errors only then */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/io/xs_wire.h>

#define MESSAGE_BYTES_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

/* ---- requests ---- */

struct request {
	struct xsd_sockmsg header;
	bool is_too_long;
	size_t bytes; /* of data, the header included, once it has ended */
	char data[MESSAGE_BYTES_MAX];
};

/* Begins an empty one; parts are appended, texts with their end. */
void request_begin(struct request *r, uint32_t type, uint32_t transaction);
void request_add(struct request *r, const void *data, size_t bytes);
void request_add_text(struct request *r, const char *text);

/* data is ready to be sent then. Returns 0, or -E2BIG when the protocol has no room for it. */
int request_end(struct request *r, uint32_t id);

/* ---- what comes ---- */

struct message {
	struct xsd_sockmsg header;
	const char *body; /* header.len bytes; NULL: more than the protocol allows, and dropped */
};

struct messages {
	size_t from, to; /* in data: what has come, and is no message yet */
	size_t drop;     /* to come still, of a message that is too long */
	char data[2 * MESSAGE_BYTES_MAX];
};

void messages_init(struct messages *m);

/* Where more of it goes, once messages_next() has found no more: never nothing. */
char *messages_room(struct messages *m, size_t *bytes);
void messages_add(struct messages *m, size_t bytes);

/*
 * The next one that has come as a whole, or, of one that is too long, whose header has. Its body is
 * there until the next call. Returns false when there is none.
 */
bool messages_next(struct messages *m, struct message *out);

/* The two texts of an event, in its body. Returns false when they are not what they have to be. */
bool message_event(const struct message *message, const char **path, const char **token);

/* What an error is: a negative errno. -EINVAL for a name that nobody knows, as libxenstore has it. */
int message_error(const struct message *message);

#endif
