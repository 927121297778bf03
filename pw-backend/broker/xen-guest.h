/* SPDX-License-Identifier: MIT */
/*
 * One domain: what it publishes becomes leases of a VM, and what it is refused is answered. Knows
 * nothing of other domains. A domain that publishes nothing has no VM, and costs two watches.
 *
 * At most one job about a domain is in xenstore's queue, and a domain that makes us look again and
 * again is looked at less often: none keeps the others waiting.
 *
 * A VM that watches its answers and does not read what it is told is written to no more (deaf.h), as
 * that has cost us the connection to xenstore: what it plays goes on, and nothing new begins meanwhile. One that
 * reads late waits for its next answers longer than it has made others wait.
 *
 * A VM is of one creation of a domain, and of one identity: when either changes, all leases end,
 * and when the last one has been given back the VM is removed and the domain is looked at anew.
 *
 * Thread: the loop's. Blocks: no. Logs: VMs that come and go, refusals.
 */
#ifndef XARING_BROKER_XEN_GUEST_H
#define XARING_BROKER_XEN_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "identity.h"
#include "xen-nodes.h"

struct broker;
struct deaf;
struct scan;
struct scan_answers;
struct scan_place;
struct store;
struct store_watch;
struct vm;

/* What all domains share; the source's. */
struct xen_guest_setup {
	struct broker *broker;
	struct store *store;
	const struct scan_place *place;
	struct deaf *deaf;
	void (*throttled)(void *data); /* one has to wait: xen_guest_pump() in a few ms */
	void *data;
};

struct xen_guest {
	struct xen_guest *next; /* the source's */
	const struct xen_guest_setup *setup;
	uint32_t domid;

	struct store_watch *data_watch;
	struct store_watch *name_watch; /* NULL where the name is in the source's own list */

	/* Looking. */
	bool dirty;     /* it has to be looked at */
	bool failed;    /* the last look came to nothing: the next sweep looks again */
	bool throttled; /* there is something to do, but not yet */
	struct bucket looks;
	uint64_t rest_until_ms; /* what the last look or answer cost */
	struct scan *scan;      /* under way; at most one of the two */
	bool is_stale;          /* what the scan finds is not true any more */
	struct scan_answers *answers;
	bool is_cut; /* answers wait for the connection, which brings a look */

	/* What was found. */
	bool exists;
	struct identity_facts facts;
	struct xen_nodes nodes;
	int64_t kick;     /* -1 = not known */
	unsigned ignored; /* names below stream; when it was said */

	struct vm *vm; /* or NULL */
	bool leaving;  /* the VM is to go: no new leases */
};

/* Watches the domain. setup is borrowed. Owner: the caller. Returns 0 or -ENOMEM. */
int xen_guest_create(const struct xen_guest_setup *setup, uint32_t domid, struct xen_guest **out);

/*
 * Forgets the domain; what is under way is dropped when it is done. A VM of its must be gone, or not
 * have leases. Accepts NULL.
 */
void xen_guest_destroy(struct xen_guest *g);

/* Something has changed there. */
void xen_guest_look(struct xen_guest *g);

/* Starts what there is to do for it and is not under way, if its rate allows. */
void xen_guest_pump(struct xen_guest *g);

/* xenstored says that the domain is not there: all ends. Again and again is fine. */
void xen_guest_gone(struct xen_guest *g);

#endif
