/* SPDX-License-Identifier: MIT */
/*
 * A queue before the socket. Nothing overtakes what waits in it; how much that is, is bounded by how many
 * streams there were.
 */
#include "outbox.h"

#include <errno.h>
#include <stdlib.h>

struct outbox_message {
	struct outbox_message *next;
	struct ipc_message message;
};

void outbox_init(struct outbox *o, int fd)
{
	*o = (struct outbox){.fd = fd};
	o->tail = &o->first;
}

static void drop_first(struct outbox *o)
{
	struct outbox_message *m = o->first;

	o->first = m->next;
	if (!o->first)
		o->tail = &o->first;
	free(m);
}

void outbox_finish(struct outbox *o)
{
	while (o->first)
		drop_first(o);
}

bool outbox_waits(const struct outbox *o)
{
	return o->first != NULL;
}

int outbox_send(struct outbox *o, const struct ipc_message *message)
{
	return o->first ? -EAGAIN : ipc_send(o->fd, message);
}

int outbox_post(struct outbox *o, const struct ipc_message *message)
{
	struct outbox_message *m;
	int res = outbox_send(o, message);

	if (res != -EAGAIN)
		return res;
	m = malloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	*m = (struct outbox_message){.message = *message};
	*o->tail = m;
	o->tail = &m->next;
	return 0;
}

int outbox_flush(struct outbox *o)
{
	int res = 0;

	while (o->first && (res = ipc_send(o->fd, &o->first->message)) == 0)
		drop_first(o);
	return res;
}
