/* SPDX-License-Identifier: MIT */
/*
 * The Xen source of streams: the domains that xenstore knows, each a VM once it publishes something,
 * pages by grant references. Without xenstore nothing ends and nothing begins; it is connected to
 * again and again. Guests find us by a node of our own domain.
 *
 * In dom0 all domains are looked at. In another domain, one that has the sound card, those that dom0
 * has put on a list there; xaring-protocol(7), XENSTORE.
 *
 * Thread: the loop's. Blocks: no, but for xen_close(). Logs: VMs that come and go, refusals.
 */
#ifndef XARING_BROKER_SOURCE_XEN_H
#define XARING_BROKER_SOURCE_XEN_H

#include <stdbool.h>

struct broker;
struct xen;

/* Tells whether this machine runs on Xen, and we may use it: its devices can be opened. */
bool xen_is_usable(void);

/*
 * Begins to look for guests. Owner: the caller, xen_close() after broker_destroy(). Returns 0 or a
 * negative errno.
 */
int xen_open(struct broker *broker, struct xen **out);

/* Gives up xenstore; waits at most 2 s for it. Accepts NULL. */
void xen_close(struct xen *xen);

/* A worker is ready: guests are told that there is a backend, from now on. Accepts NULL. */
void xen_announce(struct xen *xen);

/*
 * Guests are told that there is none any more: done() comes when xenstore knows, or in a second.
 * Once. Returns false, and done() does not come, when there is nothing to be told. Accepts NULL.
 */
bool xen_withdraw(struct xen *xen, void (*done)(void *data), void *data);

#endif
