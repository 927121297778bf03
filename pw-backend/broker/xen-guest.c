/* SPDX-License-Identifier: MIT */
/*
 * Carries out what the difference between two looks at a domain means. Texts are offer.c's, the
 * difference xen-nodes.c's, judgement policy.c's; xenstore is asked by xen-scan.c only.
 */
#include "xen-guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>

#include "broker-private.h"
#include "deaf.h"
#include "gntdev.h"
#include "lease.h"
#include "now.h"
#include "offer.h"
#include "random.h"
#include "store.h"
#include "vm.h"
#include "xen-scan.h"

/* Looks at one domain: a burst, then one in this time. */
#define LOOKS_BURST     20
#define LOOKS_REFILL_MS 20u

/* What costs as much as one look more. */
#define STREAMS_PER_LOOK 8u
#define ANSWERS_PER_LOOK 4u

/*
 * What makes others wait is paid for with so many times as long, up to a limit, for all of xenstored may
 * have been slow. A guest alone does not come that far: one answer of a job is late, by what is tolerated.
 */
#define WAITS_PER_WAIT 9u
#define WAIT_MAX_MS    2000u

/* ---- leases ---- */

static void end_lease(struct xen_node *node)
{
	node->last_lease = node->lease->id;
	lease_end(node->lease);
	node->lease = NULL;
}

static void end_leases(struct xen_guest *g)
{
	for (struct xen_node *n = g->nodes.first; n; n = n->next) {
		if (n->state == XEN_NODE_LEASED)
			end_lease(n);
	}
	xen_nodes_finish(&g->nodes);
}

static void refuse(struct xen_node *node, const struct xaring_refusal *refusal)
{
	node->state = XEN_NODE_REFUSED;
	node->refusal = *refusal;
	node->owes_answer = true;
}

static void refuse_offer(struct xen_guest *g, struct xen_node *node,
			 const struct xaring_refusal *refusal)
{
	char who[32];

	snprintf(who, sizeof(who), "stream %u", node->text.number);
	vm_log_refusal(g->vm, who, refusal);
	refuse(node, refusal);
}

static void on_lease_refused(struct lease *lease, const struct xaring_refusal *refusal)
{
	struct xen_guest *g = lease->vm->source;
	struct xen_node *node = lease->source;
	char who[40];

	lease_describe(lease, who, sizeof(who));
	vm_log_refusal(g->vm, who, refusal);
	end_lease(node);
	refuse(node, refusal);
	xen_guest_pump(g);
}

/* It is dom0 that cannot; how often it says so is up to the guest all the same. */
static void log_no_pages(const struct xen_guest *g, const struct xen_node *node, int res)
{
	vm_log(g->vm, "stream %u: its pages cannot be taken: %s", node->text.number,
	       strerror(-res));
}

/* The pages as the worker gets them: all of one file. */
static int take_pages(const struct xen_guest *g, const struct offer *offer,
		      struct lease_pages *pages)
{
	struct gntdev_pages taken;
	int res = gntdev_stream(g->domid, offer, &taken);

	if (res < 0)
		return res;
	*pages = (struct lease_pages){.control = taken.fd,
				      .data = taken.fd,
				      .control_offset = taken.control_offset,
				      .data_offset = taken.data_offset};
	return 0;
}

/* The kernel lets a reference of gntdev be mapped once, whoever did it (Linux drivers/xen/gntdev.c, in_use). */
static int on_lease_retake(const struct lease *lease, struct lease_pages *pages)
{
	const struct xen_guest *g = lease->vm->source;
	const struct xen_node *node = lease->source;
	struct xaring_refusal refusal;
	struct offer offer;
	int res = offer_decode(node->text.text, node->text.bytes, &offer, &refusal);

	if (res == 0)
		res = take_pages(g, &offer, pages);
	if (res < 0)
		log_no_pages(g, node, res);
	return res;
}

static int make_lease(struct xen_guest *g, struct xen_node *node, const struct offer *offer,
		      const struct policy_grant *grant)
{
	struct lease_setup setup = {.open = &offer->open,
				    .grant = grant,
				    .on_refused = on_lease_refused,
				    .retake = on_lease_retake,
				    .source = node};
	int res = random_number(&setup.time_secret_ns);

	if (res == 0)
		res = take_pages(g, offer, &setup.pages);
	if (res == 0)
		res = lease_create(g->vm, &setup, &node->lease);
	if (res < 0)
		return res;
	node->state = XEN_NODE_LEASED;
	node->owes_answer = node->answered;
	node->refusal.reason = XARING_REASON_NONE;
	return 0;
}

/* Takes a token for the text, once. */
static bool may_open(struct xen_guest *g, struct xen_node *node, const struct offer *offer)
{
	if (!node->counted)
		node->counted = vm_may_open(g->vm, offer->open.params.direction);
	return node->counted;
}

/*
 * What the offer says, and whether that is allowed. Returns as policy_check(). What is refused for what it
 * is takes no token, which would be missed by another program of the guest: it costs an answer, and
 * those have a pace of their own.
 */
static int check(struct xen_guest *g, struct xen_node *node, struct offer *offer,
		 struct policy_grant *grant, struct xaring_refusal *refusal)
{
	int res;

	*refusal = (struct xaring_refusal){.reason = XARING_REASON_MESSAGE};
	if (!node->text.text)
		return -EPROTO;
	res = offer_decode(node->text.text, node->text.bytes, offer, refusal);
	if (res < 0)
		return res;
	/* No guest shares our clock, whatever it says. */
	offer->open.features &= ~XARING_FEATURE_SAME_CLOCK;
	res = policy_check(&g->vm->policy, &g->vm->use, &offer->open, grant, refusal);
	if (res < 0 || may_open(g, node, offer))
		return res;
	*refusal = (struct xaring_refusal){.reason = XARING_REASON_BUSY};
	return -EBUSY;
}

static bool is_deaf(const struct xen_guest *g)
{
	return g->vm && deaf_has(g->setup->deaf, g->vm->identity.key, clock_now_ms());
}

/* Judges a node that waits, or leaves it waiting when room is about to come. */
static void judge(struct xen_guest *g, struct xen_node *node)
{
	struct xaring_refusal refusal;
	struct policy_grant grant;
	struct offer offer;
	int res;

	if (node->last_lease)
		return;
	if (is_deaf(g)) {
		g->failed = true;
		return;
	}
	res = check(g, node, &offer, &grant, &refusal);
	if (res == -EDQUOT && vm_has_ending(g->vm))
		return;
	if (res == 0) {
		refusal = (struct xaring_refusal){.reason = XARING_REASON_INTERNAL};
		res = make_lease(g, node, &offer, &grant);
		if (res < 0)
			log_no_pages(g, node, res);
	}
	if (res < 0)
		refuse_offer(g, node, &refusal);
}

/* A lease that was given back makes place for its successor. */
static void settle(struct xen_guest *g)
{
	for (struct xen_node *n = g->nodes.first; n; n = n->next) {
		if (n->last_lease && !lease_find(g->vm, n->last_lease))
			n->last_lease = 0;
	}
	xen_nodes_sweep(&g->nodes);
	for (struct xen_node *n = g->nodes.first; n; n = n->next) {
		if (n->state == XEN_NODE_WAITING)
			judge(g, n);
	}
}

static void kick_all(const struct xen_guest *g)
{
	for (const struct xen_node *n = g->nodes.first; n; n = n->next) {
		if (n->state == XEN_NODE_LEASED)
			lease_kick(n->lease, XARING_KICK_START);
	}
}

/* ---- the VM ---- */

static void finish_leaving(struct xen_guest *g)
{
	xaring_log(XARING_LOG_INFO, "vm %s (domain %u) is gone", g->vm->identity.key, g->domid);
	broker_remove_vm(g->vm);
	g->vm = NULL;
	g->leaving = false;
	xen_guest_look(g);
}

/* Everything that the VM has ends; what its domain is then is seen when that is over. */
static void leave(struct xen_guest *g)
{
	end_leases(g);
	g->is_stale = g->scan != NULL;
	g->kick = -1;
	g->ignored = 0;
	if (!g->vm)
		return;
	g->leaving = true;
	if (!g->vm->leases)
		finish_leaving(g);
}

static void on_retry(void *source)
{
	struct xen_guest *g = source;

	if (!g->leaving)
		settle(g);
	else if (!g->vm->leases)
		finish_leaving(g);
	xen_guest_pump(g);
}

/* Who the domain is by the rules of now, and what it may do. */
static void identify(const struct xen_guest *g, const struct identity_facts *facts,
		     struct identity *identity, struct policy *policy)
{
	identity_domain(identity, facts);
	broker_policy(g->setup->broker, identity, policy);
	identity_choose(identity, policy);
	/* Rules may name the key that came of it. They cannot choose another one any more. */
	broker_policy(g->setup->broker, identity, policy);
	identity_restrict(identity, policy);
}

static bool is_same(const struct identity *a, const struct identity *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void on_reload(void *source)
{
	struct xen_guest *g = source;
	struct identity identity;
	struct policy policy;

	if (g->leaving)
		return;
	identify(g, &g->facts, &identity, &policy);
	if (!is_same(&identity, &g->vm->identity)) {
		leave(g);
		return;
	}
	for (struct xen_node *n = g->nodes.first; n; n = n->next) {
		if (n->state == XEN_NODE_REFUSED) {
			n->state = XEN_NODE_WAITING;
			n->counted = false;
		}
	}
	broker_set_policy(g->vm, &policy);
	settle(g);
	xen_guest_pump(g);
}

/* The broker ends: it gives the leases back itself. */
static void on_close(void *source)
{
	struct xen_guest *g = source;

	xen_nodes_finish(&g->nodes);
	g->vm = NULL;
	g->leaving = false;
}

static const struct source_ops source_ops = {
	.retry = on_retry,
	.reload = on_reload,
	.close = on_close,
};

static void make_vm(struct xen_guest *g, const struct identity *identity,
		    const struct policy *policy)
{
	int res = broker_make_vm(g->setup->broker, identity, policy, &g->vm);

	if (res < 0) {
		xaring_log(XARING_LOG_ERROR, "domain %u cannot play: %s", g->domid, strerror(-res));
		return;
	}
	g->vm->source_ops = &source_ops;
	g->vm->source = g;
	broker_adopt_vm(g->vm);
	xaring_log(XARING_LOG_INFO, "vm %s is domain %u, \"%s\", UUID %s", identity->key, g->domid,
		   identity->name, identity->uuid[0] ? identity->uuid : "unknown");
}

/* ---- looking ---- */

static void rest(struct xen_guest *g, uint64_t ms)
{
	uint64_t until_ms = clock_now_ms() + ms;

	if (until_ms > g->rest_until_ms)
		g->rest_until_ms = until_ms;
}

static void tell_ignored(struct xen_guest *g, unsigned ignored)
{
	char count[16] = "all";

	if (ignored > 0 && g->ignored == 0) {
		if (ignored != SCAN_UNLISTED)
			snprintf(count, sizeof(count), "%u", ignored);
		vm_log(g->vm, "publishes too much: %s names below " OFFER_STREAMS " are ignored",
		       count);
	}
	g->ignored = ignored;
}

static void take_streams(struct xen_guest *g, struct scan *scan)
{
	bool kicked = scan->kick >= 0 && g->kick >= 0 && scan->kick != g->kick;

	if (xen_nodes_update(&g->nodes, scan->texts, scan->count, end_lease) < 0)
		g->failed = true;
	tell_ignored(g, scan->ignored);
	settle(g);
	if (kicked)
		kick_all(g);
	if (scan->kick >= 0)
		g->kick = scan->kick;
}

/* Tells whether the domain is the VM that it was. A name that is passing says nothing. */
static bool is_still(const struct xen_guest *g, const struct identity_facts *facts)
{
	if (strcmp(facts->uuid, g->facts.uuid) != 0)
		return false;
	if (identity_is_passing(facts->name))
		return true;
	return facts->is_stubdomain == g->facts.is_stubdomain &&
	       strcmp(facts->name, g->facts.name) == 0;
}

static void take_new(struct xen_guest *g, struct scan *scan)
{
	struct identity identity;
	struct policy policy;

	if (identity_is_passing(scan->facts.name) || (!scan->has_token && scan->count == 0))
		return;
	g->facts = scan->facts;
	identify(g, &g->facts, &identity, &policy);
	make_vm(g, &identity, &policy);
	if (g->vm)
		take_streams(g, scan);
	else
		g->failed = true;
}

static void take_scan(struct xen_guest *g, struct scan *scan)
{
	g->exists = scan->exists;
	if (!scan->exists || (g->vm && !is_still(g, &scan->facts)))
		leave(g);
	else if (g->vm)
		take_streams(g, scan);
	else
		take_new(g, scan);
}

static void on_scan(struct store_job *job, int res)
{
	struct scan *scan = (struct scan *)job;
	struct xen_guest *g = scan->owner;

	/* The domain was forgotten meanwhile. */
	if (!g) {
		scan_free(scan);
		return;
	}
	g->scan = NULL;
	g->failed = res < 0;
	rest(g, scan->count / STREAMS_PER_LOOK * LOOKS_REFILL_MS);
	if (g->leaving || g->is_stale)
		g->dirty = true;
	else if (res == 0)
		take_scan(g, scan);
	g->is_stale = false;
	scan_free(scan);
	xen_guest_pump(g);
}

static bool is_about(const struct scan_answers *answers, unsigned from, const struct xen_text *text)
{
	for (unsigned i = from; i < answers->count; i++) {
		if (answers->items[i].text.number == text->number)
			return xen_text_is_same(&answers->items[i].text, text);
	}
	return false;
}

static void owe_again(struct xen_guest *g, const struct scan_answers *answers, unsigned from)
{
	for (struct xen_node *n = g->nodes.first; n; n = n->next)
		n->owes_answer |= is_about(answers, from, &n->text);
}

/* It may have rebooted since. */
static void mark_deaf(struct deaf *deaf, const struct scan_answers *answers)
{
	xaring_log(
		XARING_LOG_WARN,
		"vm %s (domain %u) does not read what it watches in xenstore, and we were not answered "
		"any more because of that: its new streams are ignored for %u minutes",
		answers->key, answers->domid, DEAF_MS / 60000);
	deaf_add(deaf, answers->key, clock_now_ms());
}

static void rest_from_answers(struct xen_guest *g, const struct scan_answers *answers)
{
	uint32_t took_ms = answers->took_ms < WAIT_MAX_MS ? answers->took_ms : WAIT_MAX_MS;

	rest(g, answers->count / ANSWERS_PER_LOOK * LOOKS_REFILL_MS);
	rest(g, (uint64_t)took_ms * WAITS_PER_WAIT);
}

/* When the connection is lost, any of them may have been written: twice does no harm. */
static void take_answered(struct xen_guest *g, const struct scan_answers *answers, int res)
{
	if (res == -ENOTCONN) {
		g->is_cut = true;
		owe_again(g, answers, 0);
		return;
	}
	rest_from_answers(g, answers);
	if (res == 0)
		owe_again(g, answers, answers->written);
}

static void on_answers(struct store_job *job, int res)
{
	struct scan_answers *answers = (struct scan_answers *)job;
	struct xen_guest *g = answers->owner;

	if (res == -ETIMEDOUT)
		mark_deaf(answers->deaf, answers);
	if (g) {
		g->answers = NULL;
		take_answered(g, answers, res);
	}
	scan_answers_free(answers);
	if (g)
		xen_guest_pump(g);
}

static bool owes_answers(const struct xen_guest *g)
{
	for (const struct xen_node *n = g->nodes.first; n; n = n->next) {
		if (n->owes_answer)
			return true;
	}
	return false;
}

static void start_answers(struct xen_guest *g)
{
	struct scan_answers *answers = scan_answers_create(g->domid);

	if (!answers)
		return;
	answers->deaf = g->setup->deaf;
	memcpy(answers->key, g->vm->identity.key, sizeof(answers->key));
	for (struct xen_node *n = g->nodes.first; n; n = n->next) {
		if (!n->owes_answer)
			continue;
		if (scan_answers_add(answers, &n->text, &n->refusal) < 0)
			break;
		n->owes_answer = false;
		n->answered = n->refusal.reason != XARING_REASON_NONE;
	}
	g->answers = answers;
	scan_answers_start(g->setup->store, answers, on_answers, g);
}

static void start_scan(struct xen_guest *g)
{
	g->dirty = false;
	if (scan_start(g->setup->store, g->setup->place, g->domid, on_scan, g, &g->scan) < 0)
		g->failed = true;
}

void xen_guest_pump(struct xen_guest *g)
{
	uint64_t now_ms = clock_now_ms();
	bool answers = g->vm && !g->is_cut && owes_answers(g) && !is_deaf(g);

	g->throttled = false;
	if (g->scan || g->answers || g->leaving || (!answers && !g->dirty))
		return;
	if (now_ms < g->rest_until_ms || (!answers && !bucket_take(&g->looks, now_ms))) {
		g->throttled = true;
		g->setup->throttled(g->setup->data);
	} else if (answers) {
		start_answers(g);
	} else {
		start_scan(g);
	}
}

void xen_guest_look(struct xen_guest *g)
{
	g->dirty = true;
	g->is_cut = false;
	xen_guest_pump(g);
}

/* ---- the domain ---- */

static void on_change(void *data)
{
	xen_guest_look(data);
}

void xen_guest_gone(struct xen_guest *g)
{
	g->exists = false;
	if (!g->leaving)
		leave(g);
}

static int watch(struct xen_guest *g, const char *below, struct store_watch **out)
{
	char path[64];

	scan_path(path, sizeof(path), g->domid, below);
	return store_add_watch(g->setup->store, path, NULL, on_change, g, out);
}

int xen_guest_create(const struct xen_guest_setup *setup, uint32_t domid, struct xen_guest **out)
{
	struct xen_guest *g = calloc(1, sizeof(*g));
	int res;

	if (!g)
		return -ENOMEM;
	g->setup = setup;
	g->domid = domid;
	g->kick = -1;
	bucket_init(&g->looks, LOOKS_BURST, LOOKS_REFILL_MS, clock_now_ms());
	res = watch(g, OFFER_HOME, &g->data_watch);
	if (res == 0 && !setup->place->by_list)
		res = watch(g, "name", &g->name_watch);
	if (res < 0) {
		xen_guest_destroy(g);
		return res;
	}
	*out = g;
	return 0;
}

void xen_guest_destroy(struct xen_guest *g)
{
	if (!g)
		return;
	store_remove_watch(g->data_watch);
	store_remove_watch(g->name_watch);
	if (g->scan)
		g->scan->owner = NULL;
	if (g->answers)
		g->answers->owner = NULL;
	xen_nodes_finish(&g->nodes);
	free(g);
}
