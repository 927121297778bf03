/* SPDX-License-Identifier: MIT */
/*
 * Brings the socket, the streams and xenstore together: who is answered what, and which streams a
 * piece of news concerns. What becomes of a stream is stream.c's.
 */
#include "guestd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>
#include <xaring/server.h>

#include "folder.h"
#include "gntalloc.h"
#include "guestd-private.h"
#include "loop.h"
#include "now.h"
#include "rendezvous.h"
#include "serve.h"
#include "stream.h"
#include "volume.h"

#define OPEN_MS     250 /* connections come a multiple as fast, so that what is refused is told so */
#define RETRY_MS    20  /* OPENs that wait are looked at again */
#define SETTLING_MS 1000 /* the backend may take so long to unmap what has ended */
#define UNKNOWN_MS  150  /* an OPEN waits so long for xenstore to say what there is */
#define READY_MS    1000 /* the start is over, whether or not xenstore was reached */

_Static_assert(BUDGET_LEFT_MAX == FOLDER_STREAMS_MAX, "streams that may have been left");

/* ---- the log ---- */

void guestd_log_refusal(struct guestd *g, uid_t uid, const char name[XARING_NAME_BYTES],
			const struct xaring_refusal *refusal)
{
	char who[XARING_NAME_BYTES + 1];
	char reason[160];

	xaring_text_clean(who, sizeof(who), name, XARING_NAME_BYTES);
	if (who[0] == '\0')
		snprintf(who, sizeof(who), "a program");
	xaring_refusal_text(refusal, reason, sizeof(reason));
	if (uid == BUDGET_NOBODY)
		limited_log_line(&g->log, XARING_LOG_WARN, "%s, of before the start: %s", who,
				 reason);
	else
		limited_log_line(&g->log, XARING_LOG_WARN, "%s, of user %u: %s", who, (unsigned)uid,
				 reason);
}

/* ---- time ---- */

void guestd_tick_within(struct guestd *g, uint32_t ms)
{
	if (g->tick_ms != 0 && g->tick_ms <= ms)
		return;
	g->tick_ms = ms;
	loop_arm_timer(g->tick, ms);
}

static void be_ready(struct guestd *g)
{
	if (g->is_ready)
		return;
	g->is_ready = true;
	if (g->setup.on_ready)
		g->setup.on_ready(g->setup.data);
}

static void on_tick(void *data)
{
	struct guestd *g = data;
	uint64_t now_ms = clock_now_ms();
	struct stream *next;

	g->tick_ms = 0;
	if (now_ms - g->start_ms >= READY_MS)
		be_ready(g);
	else if (!g->is_ready)
		guestd_tick_within(g, READY_MS);
	for (struct stream *s = g->streams; s; s = next) {
		uint32_t ms;

		next = s->next;
		ms = stream_tick(s, now_ms);
		if (ms > 0)
			guestd_tick_within(g, ms);
	}
	if (!g->has_waiting)
		return;
	g->has_waiting = false;
	serve_retry(g->serve);
}

/* ---- OPEN ---- */

/* The program goes on waiting: something is about to be given back, or known. */
static void keep_waiting(struct guestd *g)
{
	g->has_waiting = true;
	guestd_tick_within(g, RETRY_MS);
}

static void refuse(struct guestd *g, struct serve_client *c, const struct xaring_open *open,
		   const struct xaring_refusal *refusal)
{
	guestd_log_refusal(g, serve_client_uid(c), open->name, refusal);
	serve_client_refuse(c, refusal);
}

/* Returns 0 and sets *wish, or a negative errno and sets *refusal. */
static int check_wish(const struct xaring_open *open, struct stream_wish *wish,
		      struct xaring_refusal *refusal)
{
	uint32_t version, features;
	int res = xaring_server_agree(open, &version, &features, refusal);

	if (res < 0)
		return res;
	wish->open = *open;
	/* The pages are made for this one: the backend has it, too, or refuses. */
	wish->open.version = version;
	wish->open.version_min = version;
	wish->open.features = features & ~XARING_FEATURE_SAME_CLOCK;
	return xaring_params_shape(&open->params, &wish->shape, refusal);
}

/* Tells whether pages of our budget are about to be given back. */
static bool is_ending(const struct guestd *g)
{
	for (const struct stream *s = g->streams; s; s = s->next) {
		if (s->phase == STREAM_ENDING)
			return true;
	}
	return false;
}

/* Tells whether the kernel may be about to get pages back: the backend has to unmap them first. */
static bool is_settling(const struct guestd *g)
{
	return is_ending(g) || (g->freed_ms != 0 && clock_now_ms() - g->freed_ms < SETTLING_MS);
}

static void refuse_error(struct guestd *g, struct serve_client *c, const struct xaring_open *open,
			 int error)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_INTERNAL};

	if (error == -ENOENT || error == -ENXIO || error == -ENODEV)
		limited_log_line(&g->own_log, XARING_LOG_WARN,
				 "there is no /dev/xen/gntalloc: modprobe xen-gntalloc");
	else
		limited_log_line(&g->own_log, XARING_LOG_WARN,
				 "no pages from /dev/xen/gntalloc: %s", strerror(-error));
	refuse(g, c, open, &refusal);
}

static void make_stream(struct guestd *g, struct serve_client *c, const struct stream_wish *wish)
{
	uint32_t domid = rendezvous_backend_id(g->rendezvous);
	struct xaring_refusal refusal;
	int res = stream_create(g, c, wish);

	if (res == 0)
		return;
	if (res != -ENOSPC) {
		refuse_error(g, c, &wish->open, res);
	} else if (is_settling(g)) {
		keep_waiting(g);
	} else {
		limited_log_line(&g->own_log, XARING_LOG_WARN,
				 "the kernel has fewer pages than --pages: its limit is lower, or "
				 "a program keeps those of streams that are over");
		budget_offer(&g->budget, wish->shape.pages, gntalloc_room(domid, wish->shape.pages),
			     &refusal);
		refuse(g, c, &wish->open, &refusal);
	}
}

/*
 * Whom a sound card of this guest's own would obey. Returns 0, or a negative errno and sets *refusal.
 */
static int check_recorder(const struct guestd *g, const struct serve_client *c,
			  struct xaring_refusal *refusal)
{
	struct recorders_program program;
	bool may;
	int res;

	res = recorders_program_at(serve_client_fd(c), &program);
	may = res == 0 && recorders_allow(&g->recorders, &program);
	recorders_program_finish(&program);
	if (may)
		return 0;
	*refusal = (struct xaring_refusal){.reason = res < 0 ? XARING_REASON_INTERNAL
							     : XARING_REASON_USER};
	return res < 0 ? res : -EPERM;
}

static void answer_new(struct guestd *g, struct serve_client *c, const struct xaring_open *open)
{
	struct xaring_refusal refusal;
	struct stream_wish wish;
	int res = check_wish(open, &wish, &refusal);

	if (res == 0 && open->params.direction == XARING_CAPTURE)
		res = check_recorder(g, c, &refusal);
	if (res == 0)
		res = budget_check(&g->budget, serve_client_uid(c), wish.shape.pages, &refusal);
	if (res == -EDQUOT && is_ending(g))
		keep_waiting(g);
	else if (res < 0)
		refuse(g, c, open, &refusal);
	else
		make_stream(g, c, &wish);
}

/* The one whose pages the program says to have, or NULL. */
static struct stream *find_kept(const struct guestd *g, uid_t uid, const struct xaring_open *open)
{
	for (struct stream *s = g->streams; s && open->epoch != 0; s = s->next) {
		if (stream_fits(s, uid, open))
			return s;
	}
	return NULL;
}

/*
 * What an earlier guestd has left is not known before xenstore was read: a program that was there
 * then plays on in its pages meanwhile. Another one is not to wait for a xenstored that stands still.
 */
static bool has_to_wait(const struct guestd *g, const struct xaring_open *open)
{
	uint64_t since_ms;

	if (!rendezvous_is_away(g->rendezvous, &since_ms))
		return false;
	if (open->epoch != 0 && !g->was_home)
		return true;
	return clock_now_ms() - since_ms < UNKNOWN_MS;
}

static void answer_open(void *data, struct serve_client *c, const struct xaring_open *open)
{
	struct guestd *g = data;
	struct stream *kept;

	if (has_to_wait(g, open)) {
		keep_waiting(g);
		return;
	}
	kept = find_kept(g, serve_client_uid(c), open);
	if (kept)
		stream_keep(kept, c);
	else
		answer_new(g, c, open);
}

static void on_open(void *data, struct serve_client *c, const struct xaring_open *open)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_BUSY};
	struct guestd *g = data;

	if (budget_may_open(&g->budget, serve_client_uid(c),
			    open->params.direction == XARING_CAPTURE, clock_now_ms()))
		answer_open(g, c, open);
	else
		refuse(g, c, open, &refusal);
}

static void on_kick(void *data, struct serve_client *c, enum xaring_kick kick)
{
	struct guestd *g = data;

	(void)c;
	(void)kick;
	rendezvous_kick(g->rendezvous);
}

static int on_set_volume(void *data, struct serve_client *c, const struct xaring_set_volume *set,
			 struct xaring_refusal *refusal)
{
	struct guestd *g = data;
	int res = check_recorder(g, c, refusal);

	if (res < 0)
		return res;
	return volume_set(g->volume, set);
}

static void on_gone(void *data, struct serve_client *c)
{
	struct guestd *g = data;
	struct stream *s = serve_client_owner(c);

	s->client = NULL;
	/* What we leave behind is the next one's. */
	if (!g->is_closing)
		stream_end(s);
}

static void on_limit(void *data, const char *text)
{
	struct guestd *g = data;

	limited_log_line(&g->log, XARING_LOG_WARN, "a program %s", text);
}

static const struct serve_events serve_events = {
	.on_open = on_open,
	.on_retry = answer_open,
	.on_kick = on_kick,
	.on_set_volume = on_set_volume,
	.on_gone = on_gone,
	.on_limit = on_limit,
};

/* ---- xenstore ---- */

/*
 * Its pages are there already, and their number is bounded: they count above the maximum as well, when
 * others have come before it was known. Nothing new is given until it is below.
 */
static void *on_orphan(void *data, const struct offer *offer, struct rendezvous_node *node)
{
	struct guestd *g = data;
	struct xaring_refusal refusal;
	struct xaring_shape shape;
	struct stream *s;

	if (xaring_params_shape(&offer->open.params, &shape, &refusal) < 0)
		return NULL;
	return stream_adopt(g, offer, &shape, node, &s) == 0 ? s : NULL;
}

static void on_home(void *data, bool fresh)
{
	struct guestd *g = data;
	uint32_t backend_id = rendezvous_backend_id(g->rendezvous);
	struct stream *next;
	unsigned renewed = 0;

	for (struct stream *s = g->streams; s; s = next) {
		next = s->next;
		if (!fresh && s->domid == backend_id)
			continue;
		stream_renew(s);
		renewed++;
	}
	if (g->was_home && fresh)
		xaring_log(
			XARING_LOG_INFO,
			"restored, or given another backend (domain %u): %u streams get new pages",
			backend_id, renewed);
	g->was_home = true;
	be_ready(g);
	if (g->has_waiting)
		guestd_tick_within(g, 1);
}

static void on_backend(void *data, bool present)
{
	struct guestd *g = data;

	if (g->backend != present)
		xaring_log(XARING_LOG_INFO, present ? "the backend is there"
						    : "the backend is away: nothing is heard");
	g->backend = present;
	status_page_set(&g->status, XARING_STATUS_BACKEND, present);
	guestd_tick_within(g, 1);
}

static void on_reach(void *data, bool reached)
{
	struct guestd *g = data;

	xaring_log(XARING_LOG_DEBUG, reached ? "xenstore is reached" : "xenstore is not reached");
	status_page_set(&g->status, XARING_STATUS_NO_STORE, !reached);
}

static void on_answer(void *owner, const struct xaring_refusal *refusal)
{
	stream_refuse(owner, refusal);
}

static void on_failed(void *owner, int error)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_INTERNAL};
	struct stream *s = owner;

	limited_log_line(&s->guestd->own_log, XARING_LOG_WARN, "xenstore refuses a stream: %s",
			 strerror(-error));
	stream_refuse(s, &refusal);
}

static void on_removed(void *owner)
{
	struct stream *s = owner;
	struct guestd *g = s->guestd;

	stream_free(s);
	g->freed_ms = clock_now_ms();
	if (g->has_waiting)
		guestd_tick_within(g, 1);
}

static const struct rendezvous_events rendezvous_events = {
	.on_orphan = on_orphan,
	.on_home = on_home,
	.on_backend = on_backend,
	.on_reach = on_reach,
	.on_answer = on_answer,
	.on_failed = on_failed,
	.on_removed = on_removed,
};

/* ---- life ---- */

static int open_parts(struct guestd *g)
{
	struct serve_setup serve = {.listener = g->setup.listener,
				    .open_ms = OPEN_MS,
				    .events = &serve_events,
				    .data = g};
	int res = status_page_init(&g->status);

	if (res == 0)
		res = volume_open(g->setup.loop, &g->status, g->setup.volume_file, &g->volume);
	if (res == 0)
		res = loop_add_timer(g->setup.loop, on_tick, g, &g->tick);
	if (res == 0)
		res = rendezvous_create(g->setup.loop, &rendezvous_events, g, &g->rendezvous);
	if (res < 0) {
		xaring_listener_close(serve.listener);
		return res;
	}
	serve.status = g->status.fd;
	return serve_open(g->setup.loop, &serve, &g->serve);
}

/* Nobody else is kept from recording, so it is no error. */
static void find_recorders(struct guestd *g)
{
	int res = recorders_init(&g->recorders, g->setup.system);

	if (res == -ENOENT)
		xaring_log(XARING_LOG_INFO,
			   "there is no group audio: root may record, and users of an active local "
			   "session");
	else if (res < 0)
		xaring_log(XARING_LOG_WARN,
			   "the group audio cannot be looked up, its members may not record: %s",
			   strerror(-res));
}

int guestd_create(const struct guestd_setup *setup, struct guestd **out)
{
	struct guestd *g = calloc(1, sizeof(*g));
	int res;

	if (!g) {
		xaring_listener_close(setup->listener);
		return -ENOMEM;
	}
	g->setup = *setup;
	g->start_ms = clock_now_ms();
	budget_init(&g->budget, setup->pages, setup->user_pages);
	find_recorders(g);
	limited_log_init(&g->log);
	limited_log_init(&g->own_log);
	res = open_parts(g);
	if (res < 0) {
		guestd_destroy(g);
		return res;
	}
	status_page_set(&g->status, XARING_STATUS_NO_STORE, true);
	guestd_tick_within(g, READY_MS);
	*out = g;
	return 0;
}

void guestd_destroy(struct guestd *g)
{
	if (!g)
		return;
	g->is_closing = true;
	serve_close(g->serve);
	rendezvous_destroy(g->rendezvous);
	while (g->streams)
		stream_free(g->streams);
	loop_remove(g->tick);
	volume_close(g->volume);
	status_page_finish(&g->status);
	free(g);
}
