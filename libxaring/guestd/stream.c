/* SPDX-License-Identifier: MIT */
/*
 * What becomes of one stream. It decides nothing about who may have one (guestd.c), and knows
 * xenstore only as a place where it is published (rendezvous.h).
 *
 * The pages belong to their file and to whoever has mapped them: once the program has got them they
 * are closed here, so that the kernel tells the backend when the program's last mapping goes. Of the
 * control page one word is read, as long as the program waits for the backend's word.
 */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xaring/log.h>
#include <xaring/shared.h>

#include "gntalloc.h"
#include "guestd-private.h"
#include "now.h"
#include "random.h"
#include "rendezvous.h"
#include "serve.h"

#define ASKING_MS      150 /* a program waits 250 ms, and has to get the pages within */
#define ASKING_TICK_MS 5
#define ORPHAN_MS      10000 /* a program that is attached tries twice in a second */
#define STALE_MS       10000 /* for pages that others give back as they get theirs */
#define STALE_TICK_MS  100

/* ---- pages ---- */

/* Only a word of it is read: without a mapping there is no verdict, and no harm. */
static void map_control(struct stream *s)
{
	void *at = mmap(NULL, XARING_PAGE_BYTES, PROT_READ, MAP_SHARED, s->pages_fd,
			(off_t)s->control_offset);

	s->control = at == MAP_FAILED ? NULL : at;
}

static void release_pages(struct stream *s)
{
	if (s->control)
		munmap(s->control, XARING_PAGE_BYTES);
	s->control = NULL;
	if (s->pages_fd >= 0)
		close(s->pages_fd);
	s->pages_fd = -1;
}

/* Gets pages that the present backend can map, and a name for the new link. */
static int get_pages(struct stream *s)
{
	uint32_t domid = rendezvous_backend_id(s->guestd->rendezvous);
	struct gntalloc_pages pages;
	uint64_t epoch;
	int res = random_number(&epoch);

	if (res < 0)
		return res;
	res = gntalloc_stream(domid, &s->shape, s->offer.open.params.direction, &pages);
	if (res < 0)
		return res;
	release_pages(s);
	s->pages_fd = pages.fd;
	s->control_offset = pages.control_offset;
	s->data_offset = pages.data_offset;
	s->domid = domid;
	s->offer.open.epoch = epoch;
	s->offer.control = pages.control;
	s->offer.data_count = s->shape.data_pages;
	memcpy(s->offer.data, pages.data, s->shape.data_pages * sizeof(pages.data[0]));
	return 0;
}

/* ---- the program ---- */

static void fill_accept(const struct stream *s, struct xaring_accept *accept)
{
	*accept = (struct xaring_accept){
		.version = s->offer.open.version,
		.features = s->offer.open.features,
		.epoch = s->offer.open.epoch,
		.capacity = s->shape.capacity,
		.data_pages = s->shape.data_pages,
		.control_offset = s->control_offset,
		.data_offset = s->data_offset,
	};
}

/* Gives the pages to the program: as the answer that it waits for, or in the place of others. */
static int hand_over(struct stream *s)
{
	struct xaring_accept accept;
	int res;

	fill_accept(s, &accept);
	res = serve_client_give(s->client, &accept, s->pages_fd, s->pages_fd, s->guestd->status.fd);
	if (res < 0)
		return res;
	s->phase = STREAM_PLAYING;
	release_pages(s);
	return 0;
}

/* The program that has no room for the answer is gone, or has not looked for long. */
static void accept_client(struct stream *s)
{
	if (hand_over(s) < 0)
		serve_client_drop(s->client);
}

void stream_refuse(struct stream *s, const struct xaring_refusal *refusal)
{
	if (s->phase == STREAM_ENDING)
		return;
	guestd_log_refusal(s->guestd, s->uid, s->offer.open.name, refusal);
	if (s->client)
		serve_client_refuse(s->client, refusal);
	else
		stream_end(s);
}

/* ---- life ---- */

static struct stream *stream_alloc(struct guestd *g, uid_t uid, const struct xaring_shape *shape,
				   const struct xaring_open *open)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->guestd = g;
	s->uid = uid;
	s->shape = *shape;
	s->offer.open = *open;
	s->pages_fd = -1;
	return s;
}

static void stream_link(struct stream *s)
{
	struct guestd *g = s->guestd;

	budget_take(&g->budget, s->uid, s->shape.pages);
	s->next = g->streams;
	g->streams = s;
}

static void stream_unlink(const struct stream *s)
{
	struct stream **at = &s->guestd->streams;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	budget_give(&s->guestd->budget, s->uid, s->shape.pages);
}

/* Waits for the backend's word, or takes its silence for granted when it is away. */
static void ask(struct stream *s)
{
	s->phase = STREAM_ASKING;
	s->deadline_ms = clock_now_ms() + ASKING_MS;
	map_control(s);
	if (s->guestd->backend)
		guestd_tick_within(s->guestd, ASKING_TICK_MS);
	else
		accept_client(s);
}

int stream_create(struct guestd *g, struct serve_client *client, const struct stream_wish *wish)
{
	struct stream *s = stream_alloc(g, serve_client_uid(client), &wish->shape, &wish->open);
	int res = -ENOMEM;

	if (!s)
		return res;
	res = get_pages(s);
	if (res < 0)
		goto err_free;
	res = rendezvous_add(g->rendezvous, s, &s->node);
	if (res < 0)
		goto err_pages;
	stream_link(s);
	s->client = client;
	serve_client_set_owner(client, s);
	rendezvous_publish(s->node, &s->offer);
	ask(s);
	return 0;

err_pages:
	release_pages(s);
err_free:
	free(s);
	return res;
}

int stream_adopt(struct guestd *g, const struct offer *offer, const struct xaring_shape *shape,
		 struct rendezvous_node *node, struct stream **out)
{
	struct stream *s = stream_alloc(g, BUDGET_NOBODY, shape, &offer->open);

	if (!s)
		return -ENOMEM;
	s->phase = STREAM_ORPHAN;
	s->offer = *offer;
	s->node = node;
	s->domid = rendezvous_backend_id(g->rendezvous);
	s->deadline_ms = clock_now_ms() + ORPHAN_MS;
	stream_link(s);
	guestd_tick_within(g, STALE_TICK_MS);
	*out = s;
	return 0;
}

static bool params_are_equal(const struct xaring_params *a, const struct xaring_params *b)
{
	return a->direction == b->direction && a->format == b->format && a->rate_hz == b->rate_hz &&
	       a->channels == b->channels && a->buffer == b->buffer &&
	       memcmp(a->map, b->map, sizeof(a->map)) == 0;
}

bool stream_fits(const struct stream *s, uid_t uid, const struct xaring_open *open)
{
	const struct xaring_open *own = &s->offer.open;

	if (own->epoch != open->epoch || own->version < open->version_min ||
	    own->version > open->version || !params_are_equal(&own->params, &open->params))
		return false;
	if (s->phase == STREAM_ORPHAN)
		return true;
	return s->phase == STREAM_PLAYING && s->uid == uid && !s->is_stale && s->pages_fd < 0;
}

void stream_keep(struct stream *s, struct serve_client *client)
{
	struct guestd *g = s->guestd;
	struct serve_client *former = s->client;

	budget_give(&g->budget, s->uid, s->shape.pages);
	s->uid = serve_client_uid(client);
	budget_take(&g->budget, s->uid, s->shape.pages);
	s->phase = STREAM_PLAYING;
	s->client = client;
	serve_client_set_owner(client, s);
	if (former) {
		serve_client_set_owner(former, NULL);
		serve_client_drop(former);
	}
	if (serve_client_keep(client, s->offer.open.epoch, g->status.fd) < 0)
		serve_client_drop(client);
}

void stream_end(struct stream *s)
{
	struct serve_client *client = s->client;

	if (s->phase == STREAM_ENDING)
		return;
	s->phase = STREAM_ENDING;
	s->client = NULL;
	release_pages(s);
	if (client) {
		serve_client_set_owner(client, NULL);
		serve_client_drop(client);
	}
	rendezvous_remove(s->node);
}

void stream_free(struct stream *s)
{
	release_pages(s);
	stream_unlink(s);
	free(s);
}

/* ---- other pages ---- */

/* Returns 0 when the program has got them, or is asked for again; or a negative errno. */
static int renew(struct stream *s)
{
	int res = get_pages(s);

	if (res < 0)
		return res;
	s->is_stale = false;
	rendezvous_publish(s->node, &s->offer);
	if (s->phase == STREAM_ASKING)
		ask(s);
	else
		guestd_tick_within(s->guestd, 1); /* tick_unsent() hands them over */
	return 0;
}

static void refuse_stale(struct stream *s)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_PAGES,
					 .value = s->guestd->budget.pages};

	stream_refuse(s, &refusal);
}

void stream_renew(struct stream *s)
{
	if (s->phase == STREAM_ORPHAN) {
		stream_end(s);
		return;
	}
	if (s->phase == STREAM_ENDING)
		return;
	s->is_stale = true;
	s->stale_end_ms = clock_now_ms() + STALE_MS;
	if (renew(s) < 0)
		guestd_tick_within(s->guestd, STALE_TICK_MS);
}

/* ---- time ---- */

/* What the backend says in the control page: 1 = accepted, 0 = nothing, -EACCES and *refusal. */
static int read_verdict(const struct stream *s, struct xaring_refusal *refusal)
{
	uint32_t status, reason;

	if (!s->control)
		return 0;
	status = xaring_load(&s->control->backend.status);
	reason = status >> XARING_BACKEND_REASON_SHIFT;
	switch (status & XARING_BACKEND_STATE_MASK) {
	case XARING_BACKEND_ACCEPTED:
		return 1;
	case XARING_BACKEND_REFUSED:
	case XARING_BACKEND_BROKEN:
		break;
	default:
		return 0;
	}
	if (reason == XARING_REASON_NONE || reason > XARING_REASON_LAST)
		reason = XARING_REASON_INTERNAL;
	*refusal = (struct xaring_refusal){.reason = (enum xaring_reason)reason};
	return -EACCES;
}

static uint32_t tick_asking(struct stream *s, uint64_t now_ms)
{
	struct xaring_refusal refusal;
	int verdict = read_verdict(s, &refusal);

	if (verdict < 0) {
		stream_refuse(s, &refusal);
		return 0;
	}
	if (verdict > 0)
		rendezvous_settle(s->node);
	if (verdict == 0 && s->guestd->backend && now_ms < s->deadline_ms)
		return ASKING_TICK_MS;
	accept_client(s);
	return 0;
}

static uint32_t tick_stale(struct stream *s, uint64_t now_ms)
{
	if (renew(s) == 0)
		return ASKING_TICK_MS;
	if (now_ms < s->stale_end_ms)
		return STALE_TICK_MS;
	refuse_stale(s);
	return 0;
}

/* A program that does not read what it is sent: it gets its pages when it does, or is left. */
static uint32_t tick_unsent(struct stream *s, uint64_t now_ms)
{
	int res = hand_over(s);

	if (res == 0)
		return 0;
	if (res == -EAGAIN && now_ms < s->stale_end_ms)
		return STALE_TICK_MS;
	serve_client_drop(s->client);
	return 0;
}

static uint32_t tick_orphan(struct stream *s, uint64_t now_ms)
{
	if (now_ms < s->deadline_ms)
		return (uint32_t)(s->deadline_ms - now_ms);
	xaring_log(XARING_LOG_INFO,
		   "a stream of before the start is removed: its program has gone");
	stream_end(s);
	return 0;
}

uint32_t stream_tick(struct stream *s, uint64_t now_ms)
{
	if (s->phase == STREAM_ORPHAN)
		return tick_orphan(s, now_ms);
	if (s->phase == STREAM_ENDING)
		return 0;
	if (s->is_stale)
		return tick_stale(s, now_ms);
	if (s->phase == STREAM_ASKING)
		return tick_asking(s, now_ms);
	return s->pages_fd >= 0 ? tick_unsent(s, now_ms) : 0;
}
