/* SPDX-License-Identifier: MIT */
/*
 * The desktop's notification server, org.freedesktop.Notifications on the session bus.
 *
 * What it says counts only when it comes from who has that name, and a server that comes anew knows nothing of what
 * was shown before.
 *
 * Thread: one. Blocks: no. Logs: which server there is, and what is not shown.
 */
#ifndef XARING_NOTIFY_DESKTOP_H
#define XARING_NOTIFY_DESKTOP_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "wording.h"

struct desktop;

/* Called from the loop; none may close the desktop. Texts are borrowed for the call. */
struct desktop_events {
	void (*on_ready)(void *data); /* what waits can be shown */
	void (*on_gone)(
		void *data); /* the server has ended, or another one is there: ids mean nothing */
	void (*on_shown)(void *data, uint32_t ticket, uint32_t id); /* id 0: it is not */
	void (*on_action)(void *data, uint32_t id, const char *action);
	void (*on_closed)(void *data, uint32_t id); /* by the user, or for any other reason */
	void (*on_lost)(void *data);                /* the session bus is over */
};

/*
 * Connects to the session bus. events, data: borrowed until the desktop is closed.
 *
 * Owner: the caller; desktop_close(). Returns 0 and sets *out; a negative errno when there is no session bus.
 */
int desktop_open(sd_event *loop, const struct desktop_events *events, void *data,
		 struct desktop **out);
void desktop_close(struct desktop *desktop); /* accepts NULL */

/* The session bus. Borrowed. */
sd_bus *desktop_bus(struct desktop *desktop);

/* The server and what it can do, or NULL while there is none. Borrowed. */
const struct wording_server *desktop_server(const struct desktop *desktop);

/* Has the server started, where that is done on demand. on_ready follows, or nothing where there is none. */
void desktop_wake_server(struct desktop *desktop);

/*
 * Shows the question about a VM, with its choices where the server has actions, until somebody closes it. on_shown
 * follows, with the ticket, also when the server does not answer. Returns 0 or a negative errno.
 */
int desktop_ask(struct desktop *desktop, const struct asking_vm *vm, uint32_t ticket);

/* Shows something that is no question, for as long as the server likes. Texts as of wording.h. */
void desktop_tell(struct desktop *desktop, const char *summary, const char *body);

/* Takes back a question. */
void desktop_hide(struct desktop *desktop, uint32_t id);

#endif
