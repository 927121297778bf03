/* SPDX-License-Identifier: MIT */
/*
 * What the worker says to the broker. The socket may be full for a moment: some of it can be said later
 * or not at all, but that a stream's pages are unmapped is said once, and the broker waits for it.
 *
 * Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_OUTBOX_H
#define XARING_OUTBOX_H

#include <stdbool.h>

#include "../ipc.h"

struct outbox_message;

struct outbox {
	int fd; /* borrowed */
	struct outbox_message *first, **tail;
};

void outbox_init(struct outbox *outbox, int fd);
void outbox_finish(struct outbox *outbox);

/* Sends, or says that it cannot now: -EAGAIN. Returns 0, or as ipc_send(). */
int outbox_send(struct outbox *outbox, const struct ipc_message *message);

/* Sends, or keeps it (it has no descriptors) for outbox_flush(). Returns 0, -ENOMEM, or as ipc_send(). */
int outbox_post(struct outbox *outbox, const struct ipc_message *message);

/* The socket can be written to: sends what waits, in order. Returns 0, or as ipc_send(). */
int outbox_flush(struct outbox *outbox);

/* Tells whether something waits. */
bool outbox_waits(const struct outbox *outbox);

#endif
