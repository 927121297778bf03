/* SPDX-License-Identifier: MIT */
/*
 * The guest's daemon, from the socket to xenstore: everything but the command line and signals.
 *
 * Thread: the loop's. Blocks: no. Logs: refusals, at a limited rate; when xenstore or the backend
 * come and go.
 */
#ifndef XARING_GUESTD_H
#define XARING_GUESTD_H

#include <stdint.h>

struct guestd;
struct loop;
struct recorders_system;
struct xaring_listener;

struct guestd_setup {
	struct loop *loop;                /* borrowed */
	struct xaring_listener *listener; /* taken over, also on failure */
	uint32_t pages;
	uint32_t user_pages;
	const char *volume_file; /* volume_open(); borrowed for guestd_create(); or NULL */
	const struct recorders_system
		*system; /* borrowed; NULL = this machine's groups and sessions */

	/* What an earlier one has left is known, or xenstore cannot be reached for now. Once. */
	void (*on_ready)(void *data);
	void *data;
};

/* Owner: the caller; guestd_destroy(). Returns 0 or a negative errno. */
int guestd_create(const struct guestd_setup *setup, struct guestd **out);

/*
 * Ends all connections and leaves what is published: programs go on with their pages, and the next
 * guestd takes them over. Waits for xenstored at most 2 s. Accepts NULL.
 */
void guestd_destroy(struct guestd *guestd);

#endif
