/* SPDX-License-Identifier: MIT */
/*
 * Which domains there are, and when they are looked at; one of them is xen-guest.c's. Watches say
 * that something has changed, never what: that is read. A domain is gone when xenstore has said so,
 * and not when it said nothing.
 */
#include "source-xen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xaring/log.h>
#include <xaring/protocol.h>

#include "broker-private.h"
#include "deaf.h"
#include "loop.h"
#include "offer.h"
#include "store.h"
#include "xen-guest.h"
#include "xen-scan.h"

/* The list of domains, should a watch have been missed; in an audio domain there is no watch. */
#define SWEEP_MS      5000
#define LIST_SWEEP_MS 1000

#define THROTTLE_MS 20
#define WITHDRAW_MS 1000

/* What the node says by which guests know that we are there. */
#define PRESENCE "version=1 version-min=1"
_Static_assert(XARING_PROTOCOL_VERSION == 1 && XARING_PROTOCOL_VERSION_MIN == 1,
	       "PRESENCE names them");

/* What is known of our own domain, and what is said there. */
struct presence {
	struct store_job job;
	struct xen *xen; /* NULL: nobody waits for it */
	bool busy;       /* under way: the rest is the store's thread's */
	uint32_t own_domid;
	bool is_known; /* own_domid was read */
	bool wanted;   /* to be there */
};

struct xen {
	struct store *store;
	struct scan_place place;
	struct xen_guest_setup guest_setup;
	struct xen_guest *guests; /* in the order of their ids */
	struct deaf deaf;
	bool is_placed; /* place is known, and watched */

	struct loop_source *sweep, *throttle, *overdue;

	struct scan_roster *roster; /* under way */
	bool roster_wanted;         /* once more, asking for each */

	struct presence *presence;
	bool presence_wanted; /* the node is to be there */
	bool presence_stale;  /* it has to be written once more */
	void (*withdrawn)(void *data);
	void *withdrawn_data;
};

static void look_for_domains(struct xen *x, bool asks);
static void start_presence(struct xen *x);

/* ---- domains ---- */

static void on_throttle(void *data)
{
	struct xen *x = data;

	loop_arm_timer(x->throttle, 0);
	for (struct xen_guest *g = x->guests; g; g = g->next) {
		if (g->throttled)
			xen_guest_pump(g);
	}
}

static void on_throttled(void *data)
{
	struct xen *x = data;

	loop_repeat_timer(x->throttle, THROTTLE_MS);
}

static void insert(struct xen *x, struct xen_guest **at, uint32_t domid)
{
	struct xen_guest *g;

	/* Without memory now, the next sweep finds it again. */
	if (xen_guest_create(&x->guest_setup, domid, &g) < 0)
		return;
	g->next = *at;
	*at = g;
}

/* What xenstore's answer says about a domain that we know. */
static void take_existence(struct xen_guest *g, const struct scan_domain *domain)
{
	if (domain->exists == 0)
		xen_guest_gone(g);
	else if (g->failed || (domain->exists == 1 && !g->exists))
		xen_guest_look(g);
}

/* One that is not listed any more. It stays until its streams are given back. */
static struct xen_guest **drop(struct xen_guest **at)
{
	struct xen_guest *g = *at;

	xen_guest_gone(g);
	if (g->vm)
		return &g->next;
	*at = g->next;
	xen_guest_destroy(g);
	return at;
}

/* Drops those before the id. Returns where that one is, or would be. */
static struct xen_guest **drop_until(struct xen_guest **at, uint32_t domid)
{
	while (*at && (*at)->domid < domid)
		at = drop(at);
	return at;
}

/* Both lists are in the order of ids. */
static void take_roster(struct xen *x, const struct scan_roster *roster)
{
	struct xen_guest **at = &x->guests;

	for (unsigned i = 0; i < roster->count; i++) {
		const struct scan_domain *domain = &roster->domains[i];

		at = drop_until(at, domain->domid);
		if (*at && (*at)->domid == domain->domid)
			take_existence(*at, domain);
		else
			insert(x, at, domain->domid);
		if (*at && (*at)->domid == domain->domid)
			at = &(*at)->next;
	}
	drop_until(at, UINT32_MAX);
}

static void on_roster(struct store_job *job, int res)
{
	struct scan_roster *roster = (struct scan_roster *)job;
	struct xen *x = roster->owner;

	if (x) {
		x->roster = NULL;
		if (res == 0)
			take_roster(x, roster);
		else if (!store_is_lost(res))
			xaring_log(XARING_LOG_DEBUG, "domains cannot be listed: %s",
				   strerror(-res));
	}
	scan_roster_free(roster);
	if (x && x->roster_wanted)
		look_for_domains(x, true);
}

static void look_for_domains(struct xen *x, bool asks)
{
	if (x->roster) {
		x->roster_wanted |= asks;
		return;
	}
	x->roster_wanted = false;
	(void)scan_roster_start(x->store, &x->place, asks, on_roster, x, &x->roster);
}

static void on_sweep(void *data)
{
	struct xen *x = data;

	look_for_domains(x, x->place.by_list);
}

static void on_domains_changed(void *data)
{
	look_for_domains(data, true);
}

/* Names are in the list as well. */
static void on_list_changed(void *data)
{
	struct xen *x = data;

	look_for_domains(x, true);
	for (struct xen_guest *g = x->guests; g; g = g->next)
		xen_guest_look(g);
}

/* ---- our own domain ---- */

/* Returns 1 when the node says what it has to, or is not there when it must not be. */
static int is_said(const struct presence *p, struct store_link *link)
{
	char value[sizeof(PRESENCE)];
	int res = store_read(link, OFFER_BACKEND, value, sizeof(value) - 1);

	if (res == -ENOENT)
		return !p->wanted;
	if (res < 0)
		return store_is_lost(res) ? res : 0;
	return p->wanted && strcmp(value, PRESENCE) == 0;
}

/* What is left of an earlier life there is ours as well: written once more, or taken away. */
static int write_presence(void *data, struct store_link *link)
{
	const struct presence *p = data;
	const struct store_permission others_read = {.domid = p->own_domid, .read = true};
	int res;

	if (!p->wanted)
		return store_remove(link, OFFER_BACKEND);
	res = store_write(link, OFFER_BACKEND, PRESENCE, strlen(PRESENCE));
	return res < 0 ? res : store_permit(link, OFFER_BACKEND, &others_read, 1);
}

/* Where nothing says which domain this is, it is the one that starts the others. */
static int read_own_domid(struct presence *p, struct store_link *link)
{
	char value[16 + 1];
	int res = store_read(link, "domid", value, 16);

	if (res == -ENOENT)
		return 0;
	return res < 0 ? res : offer_number(value, (size_t)res, UINT16_MAX, &p->own_domid);
}

/*
 * All guests may watch the node, and one that does not read what it is told makes xenstored leave us
 * for it (store.h): it is written when it has to be and not with each connection.
 */
static int presence_work(struct store_job *job, struct store_link *link)
{
	struct presence *p = (struct presence *)job;
	int res = p->is_known ? 0 : read_own_domid(p, link);

	if (res < 0)
		return res;
	p->is_known = true;
	res = is_said(p, link);
	if (res != 0)
		return res < 0 ? res : 0;
	res = store_transaction(link, write_presence, p);
	return res < 0 ? res : store_confirm(link);
}

static int watch_domains(struct xen *x)
{
	int res;

	if (x->place.by_list)
		return store_add_watch(x->store, SCAN_LIST, NULL, on_list_changed, x, NULL);
	res = store_add_watch(x->store, "@introduceDomain", NULL, on_domains_changed, x, NULL);
	if (res < 0)
		return res;
	return store_add_watch(x->store, "@releaseDomain", NULL, on_domains_changed, x, NULL);
}

static void take_place(struct xen *x, uint32_t own_domid)
{
	uint32_t sweep_ms;

	if (x->is_placed)
		return;
	x->is_placed = true;
	x->place.own_domid = own_domid;
	x->place.by_list = own_domid != 0;
	sweep_ms = x->place.by_list ? LIST_SWEEP_MS : SWEEP_MS;
	if (x->place.by_list)
		xaring_log(XARING_LOG_INFO,
			   "this is domain %u: guests are those in " SCAN_LIST " of its home",
			   own_domid);
	/* Their first events have us look, then and with each connection. Without them there is the sweep. */
	if (watch_domains(x) < 0)
		xaring_log(XARING_LOG_WARN, "new domains are found late: out of memory");
	loop_repeat_timer(x->sweep, sweep_ms);
}

static void finish_withdrawal(struct xen *x)
{
	void (*withdrawn)(void *data) = x->withdrawn;

	loop_arm_timer(x->overdue, 0);
	x->withdrawn = NULL;
	if (withdrawn)
		withdrawn(x->withdrawn_data);
}

static void on_presence(struct store_job *job, int res)
{
	struct presence *p = (struct presence *)job;
	struct xen *x = p->xen;

	if (!x) {
		free(p);
		return;
	}
	p->busy = false;
	if (p->is_known)
		take_place(x, p->own_domid);
	if (res < 0 && !store_is_lost(res))
		xaring_log(XARING_LOG_WARN, "guests cannot be told of us: " OFFER_BACKEND ": %s",
			   strerror(-res));
	if (x->presence_stale)
		start_presence(x);
	else if (x->withdrawn)
		finish_withdrawal(x);
}

static void start_presence(struct xen *x)
{
	struct presence *p = x->presence;

	x->presence_stale = p->busy;
	if (p->busy)
		return;
	p->busy = true;
	p->wanted = x->presence_wanted;
	store_run(x->store, &p->job, presence_work, on_presence);
}

void xen_announce(struct xen *x)
{
	if (!x || x->presence_wanted)
		return;
	x->presence_wanted = true;
	start_presence(x);
}

static void on_overdue(void *data)
{
	finish_withdrawal(data);
}

bool xen_withdraw(struct xen *x, void (*done)(void *data), void *data)
{
	if (!x || !x->presence_wanted)
		return false;
	x->presence_wanted = false;
	x->withdrawn = done;
	x->withdrawn_data = data;
	loop_arm_timer(x->overdue, WITHDRAW_MS);
	start_presence(x);
	return true;
}

/* ---- the source ---- */

/* The watches say by themselves that domains have to be looked for, and at. */
static void on_connected(void *data)
{
	start_presence(data);
}

bool xen_is_usable(void)
{
	/* Another one than usual: see store.h. */
	return access("/dev/xen/gntdev", R_OK | W_OK) == 0 || getenv("XENSTORED_PATH");
}

static int add_timers(struct xen *x, struct loop *loop)
{
	int res = loop_add_timer(loop, on_sweep, x, &x->sweep);

	if (res == 0)
		res = loop_add_timer(loop, on_throttle, x, &x->throttle);
	if (res == 0)
		res = loop_add_timer(loop, on_overdue, x, &x->overdue);
	return res;
}

int xen_open(struct broker *broker, struct xen **out)
{
	struct xen *x = calloc(1, sizeof(*x));
	struct loop *loop = broker->setup.loop;
	int res;

	if (!x)
		return -ENOMEM;
	x->presence = calloc(1, sizeof(*x->presence));
	res = x->presence ? add_timers(x, loop) : -ENOMEM;
	if (res == 0)
		res = store_create(loop, on_connected, x, &x->store);
	if (res < 0) {
		xen_close(x);
		return res;
	}
	x->guest_setup = (struct xen_guest_setup){.broker = broker,
						  .store = x->store,
						  .place = &x->place,
						  .deaf = &x->deaf,
						  .throttled = on_throttled,
						  .data = x};
	x->presence->xen = x;
	*out = x;
	return 0;
}

/* What is under way is dropped when it is done, which is the latest with the store. */
static void forget_jobs(struct xen *x)
{
	if (x->roster)
		x->roster->owner = NULL;
	if (x->presence && x->presence->busy)
		x->presence->xen = NULL;
	else
		free(x->presence);
}

void xen_close(struct xen *x)
{
	if (!x)
		return;
	forget_jobs(x);
	while (x->guests) {
		struct xen_guest *g = x->guests;

		x->guests = g->next;
		xen_guest_destroy(g);
	}
	store_destroy(x->store);
	loop_remove(x->sweep);
	loop_remove(x->throttle);
	loop_remove(x->overdue);
	free(x);
}
