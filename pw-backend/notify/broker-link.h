/* SPDX-License-Identifier: MIT */
/*
 * What the broker says of VMs that ask, and what it is told to do, over its control socket (control.h).
 *
 * While there is no broker it is looked for again: after 1 s, and then after twice as long each time, up to a
 * minute.
 *
 * Thread: one. Blocks: 2 s for each packet of an answer, when the broker does not give one. Logs: whether it is there.
 */
#ifndef XARING_NOTIFY_BROKER_LINK_H
#define XARING_NOTIFY_BROKER_LINK_H

#include <stddef.h>
#include <systemd/sd-event.h>

#define BROKER_LINK_TEXT_BYTES 512

struct broker_link;

/* Called from the loop; none may close the link. Texts are borrowed for the call. */
struct broker_link_events {
	void (*on_asks)(void *data, const char *key, const char *title);
	void (*on_rests)(void *data, const char *key); /* it does not, or is not there any more */
	void (*on_lost)(void *data); /* the broker is away: no VM asks, until on_asks */
	/* We may not speak to it, and never might: it is not tried again. */
	void (*on_refused)(void *data, const char *text);
};

/*
 * Begins to look for the broker, from within the loop. socket: NULL = where xaringctl finds it. All are borrowed until
 * the link is closed.
 *
 * Owner: the caller; broker_link_close(). Returns 0 and sets *out, or a negative errno.
 */
int broker_link_open(sd_event *loop, const char *socket, const struct broker_link_events *events,
		     void *data, struct broker_link **out);
void broker_link_close(struct broker_link *link); /* accepts NULL */

/* Has the broker do something. Returns 0; or a negative errno, with the reason in why. */
int broker_link_do(struct broker_link *link, const char *request, char why[BROKER_LINK_TEXT_BYTES]);

#endif
