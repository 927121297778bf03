/* SPDX-License-Identifier: MIT */
/*
 * This guest's folder in xenstore, data/xaring, by which the backend finds its streams:
 * xaring-protocol(7), XENSTORE. Keeps it as it is wanted, across everything that may happen to it:
 * xenstored that is slow or away, a guest that was restored or moved and finds the folder gone,
 * dom0 naming another backend, an earlier guestd that left streams there.
 *
 * Each node has at most one operation under way, whatever happens to its stream meanwhile, so that
 * a xenstored that stands still costs no memory. All of them together are slower than what makes the
 * backend stop listening to this guest for a while: beyond a burst they come one after the other.
 *
 * Thread: the loop's. Blocks: no. Logs: what xenstore refuses, once each; a restore.
 */
#ifndef XARING_GUESTD_RENDEZVOUS_H
#define XARING_GUESTD_RENDEZVOUS_H

#include <stdbool.h>
#include <stdint.h>

#include "offer.h"

struct loop;
struct rendezvous;
struct rendezvous_node;

struct rendezvous_events {
	/*
	 * The start only, before on_home: a stream that an earlier guestd has published. Returns
	 * the owner of its node, or NULL: it is removed.
	 */
	void *(*on_orphan)(void *data, const struct offer *offer, struct rendezvous_node *node);

	/*
	 * The folder is ours. fresh: nothing is in it, and grants that were made are void: the
	 * streams need pages that are granted to rendezvous_backend_id(), and are to be published
	 * anew.
	 */
	void (*on_home)(void *data, bool fresh);

	/* The backend has come or gone. */
	void (*on_backend)(void *data, bool present);

	/* xenstore can be reached, or not (any more). */
	void (*on_reach)(void *data, bool reached);

	/* About a node, by its owner. */
	void (*on_answer)(void *owner, const struct xaring_refusal *refusal);
	void (*on_failed)(void *owner, int error); /* it cannot be published */
	void (*on_removed)(void *owner);           /* the node is freed */
};

/* Begins: connects in the background. events and data are borrowed. Returns 0 or a negative errno. */
int rendezvous_create(struct loop *loop, const struct rendezvous_events *events, void *data,
		      struct rendezvous **out);

/*
 * Leaves the folder as it is, for the next guestd, and gives all nodes up without an event. Waits
 * for xenstored at most 2 s. Accepts NULL.
 */
void rendezvous_destroy(struct rendezvous *r);

/*
 * Tells whether it is not known (any more) that the folder is ours, and since when: neither is
 * then, at the start, what an earlier guestd has left.
 */
bool rendezvous_is_away(const struct rendezvous *r, uint64_t *since_ms);

/* The domain that pages are to be granted to; 0 as long as it is not known. */
uint32_t rendezvous_backend_id(const struct rendezvous *r);

/*
 * A place for a stream; nothing is published yet. Numbers are not used again before all others
 * were, so that a late answer does not hit another stream.
 *
 * Returns 0 and sets *out, or -ENOMEM. Ends with rendezvous_remove().
 */
int rendezvous_add(struct rendezvous *r, void *owner, struct rendezvous_node **out);

/* Publishes, or publishes anew. */
void rendezvous_publish(struct rendezvous_node *node, const struct offer *offer);

/* The backend's answer has been seen elsewhere: others are looked at before this one. */
void rendezvous_settle(struct rendezvous_node *node);

/* Takes the node away. on_removed() follows, perhaps within the call. */
void rendezvous_remove(struct rendezvous_node *node);

/* Tells the backend that a stream wants something. Many within 20 ms are one. */
void rendezvous_kick(struct rendezvous *r);

#endif
