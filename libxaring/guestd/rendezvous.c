/* SPDX-License-Identifier: MIT */
/*
 * What is wanted in the folder, and the next operation that brings it closer. The operations are
 * folder.c's, and streams are not looked into here.
 *
 * Everything waits for home: whenever the folder may be another one (the guest was restored, dom0
 * names another backend, xenstored is back) nothing is written before that was looked at. Operations
 * are executed in order, so none is under way when the look has its result.
 */
#include "rendezvous.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>

#include "bucket.h"
#include "folder.h"
#include "loop.h"
#include "now.h"
#include "random.h"

#define RETRY_MS 1000 /* after a failure that nothing tells the end of */
#define STUCK_MS 500  /* an operation that takes longer: xenstore cannot be reached */

/*
 * The backend stops listening at more than 200 events in a second below our folder, its own answers
 * among them. All that may happen in one: 51 kicks; 32 and 40 nodes that are written or removed, 72; and
 * where each of these was written, and is refused, 72 answers. That is 195.
 */
#define KICK_MS         20 /* between kicks */
#define NODES_BURST     32
#define NODES_REFILL_MS 25

struct rendezvous_node {
	struct rendezvous_node *next;
	struct rendezvous *r;
	void *owner;
	uint32_t number;
	bool wanted;  /* until rendezvous_remove() */
	bool waiting; /* for an answer, more than others */
	bool there;   /* is, or may be, in the folder */
	bool busy;    /* op is under way */
	bool changed; /* text is newer than what was written */
	uint32_t text_bytes;
	char text[OFFER_TEXT_MAX + 1];
	struct folder_node op;
};

/* An operation that is asked for while it is under way is done once more afterwards. */
struct again {
	bool busy;
	bool wanted;
};

struct rendezvous {
	struct store *store;
	const struct rendezvous_events *events;
	void *data;
	struct loop_source *retry;
	struct loop_source *stuck; /* armed while something is under way */

	struct rendezvous_node *nodes;
	uint32_t next_number;
	bool is_closing; /* operations may end still, and none begins */

	bool is_home;
	uint64_t away_ms; /* since when it is not */
	bool is_first;    /* has never been there */
	bool fresh_due;   /* on_home() is to be told */
	char token[FOLDER_TOKEN_DIGITS + 1];
	uint32_t backend_id;

	bool reached; /* as it was told last */
	bool is_told; /* that something could not be done, in the log */
	uint32_t ops; /* under way */

	struct store_watch *backend_watch;
	uint32_t watched_id;
	/* The store's thread has them while they are busy. */
	struct again homes, answers_due, backends, kicks;
	struct folder_home home;
	struct folder_answers answers;
	struct folder_backend backend;
	struct folder_kick kick;
	struct loop_source *kick_rest;
	uint64_t kick_ms; /* when the last one was begun */

	struct bucket writes;          /* of nodes */
	struct loop_source *node_rest; /* until the next one */
};

/* ---- reach ---- */

static void tell_reach(struct rendezvous *r, bool reached)
{
	if (r->reached == reached)
		return;
	r->reached = reached;
	r->events->on_reach(r->data, reached);
}

static void on_stuck(void *data)
{
	tell_reach(data, false);
}

static void begin_op(struct rendezvous *r, struct store_job *job, store_work_fn work,
		     store_done_fn done)
{
	if (r->ops++ == 0)
		loop_arm_timer(r->stuck, STUCK_MS);
	store_run(r->store, job, work, done);
}

/* The folder may be another one. */
static void leave_home(struct rendezvous *r)
{
	if (r->is_home)
		r->away_ms = clock_now_ms();
	r->is_home = false;
}

/* The connection is gone, or nothing can be done there: tried again. */
static void lose_home(struct rendezvous *r)
{
	leave_home(r);
	loop_arm_timer(r->retry, RETRY_MS);
}

/* Returns false when there is nothing more to do: everything is being given up. */
static bool end_op(struct rendezvous *r, int res)
{
	loop_arm_timer(r->stuck, --r->ops > 0 ? STUCK_MS : 0);
	if (r->is_closing)
		return false;
	if (store_is_lost(res)) {
		tell_reach(r, false);
		lose_home(r);
	} else if (r->is_home) {
		tell_reach(r, true);
	}
	return true;
}

/* ---- nodes ---- */

static void node_free(struct rendezvous *r, struct rendezvous_node *node)
{
	struct rendezvous_node **at = &r->nodes;

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	free(node);
}

static void node_step(struct rendezvous *r, struct rendezvous_node *node);

static void on_node_done(struct store_job *job, int res)
{
	struct folder_node *op = (struct folder_node *)job;
	struct rendezvous_node *node = store_job_of(job, struct rendezvous_node, op.job);
	struct rendezvous *r = node->r;

	node->busy = false;
	if (!end_op(r, res))
		return;
	if (op->text_bytes == 0) {
		/* What cannot be removed stays until the next fresh folder. */
		node->there = store_is_lost(res);
	} else if (store_is_lost(res)) {
		node->changed = true;
	} else if (res < 0 && node->wanted) {
		r->events->on_failed(node->owner, res);
		return;
	}
	node_step(r, node);
}

/* Takes a token for a node, or has all looked at again when there is one. */
static bool may_write(struct rendezvous *r)
{
	if (bucket_take(&r->writes, clock_now_ms()))
		return true;
	loop_arm_timer(r->node_rest, NODES_REFILL_MS);
	return false;
}

static void node_run(struct rendezvous_node *node, uint32_t text_bytes)
{
	node->busy = true;
	node->op.number = node->number;
	node->op.text_bytes = text_bytes;
	memcpy(node->op.text, node->text, text_bytes);
	if (text_bytes > 0) {
		node->changed = false;
		node->there = true;
	}
	begin_op(node->r, &node->op.job, folder_node, on_node_done);
}

/* May free the node. */
static void node_step(struct rendezvous *r, struct rendezvous_node *node)
{
	if (node->busy)
		return;
	if (!node->wanted && !node->there) {
		void *owner = node->owner;

		node_free(r, node);
		if (owner)
			r->events->on_removed(owner);
		return;
	}
	if (!r->is_home || (node->wanted && !node->changed) || !may_write(r))
		return;
	node_run(node, node->wanted ? node->text_bytes : 0);
}

static void step_all(struct rendezvous *r)
{
	struct rendezvous_node *next;

	for (struct rendezvous_node *node = r->nodes; node; node = next) {
		next = node->next;
		node_step(r, node);
	}
}

static void on_node_rest(void *data)
{
	step_all(data);
}

static bool number_is_used(const struct rendezvous *r, uint32_t number)
{
	for (const struct rendezvous_node *node = r->nodes; node; node = node->next) {
		if (node->number == number)
			return true;
	}
	return false;
}

static struct rendezvous_node *node_add(struct rendezvous *r, void *owner, uint32_t number)
{
	struct rendezvous_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->r = r;
	node->owner = owner;
	node->number = number;
	node->wanted = true;
	node->next = r->nodes;
	r->nodes = node;
	return node;
}

static uint32_t take_number(struct rendezvous *r)
{
	uint32_t number;

	while (number_is_used(r, r->next_number))
		r->next_number = (r->next_number + 1) & OFFER_NUMBER_MAX;
	number = r->next_number;
	r->next_number = (number + 1) & OFFER_NUMBER_MAX;
	return number;
}

int rendezvous_add(struct rendezvous *r, void *owner, struct rendezvous_node **out)
{
	struct rendezvous_node *node = node_add(r, owner, take_number(r));

	if (!node)
		return -ENOMEM;
	*out = node;
	return 0;
}

void rendezvous_publish(struct rendezvous_node *node, const struct offer *offer)
{
	/* There is room for the longest offer that there can be: offer.h. */
	node->text_bytes = (uint32_t)offer_encode(offer, node->text);
	node->changed = true;
	node->waiting = true;
	node_step(node->r, node);
}

void rendezvous_settle(struct rendezvous_node *node)
{
	node->waiting = false;
}

void rendezvous_remove(struct rendezvous_node *node)
{
	node->wanted = false;
	node_step(node->r, node);
}

/* ---- kicks ---- */

static void begin_kick(struct rendezvous *r);

static void on_kick_done(struct store_job *job, int res)
{
	struct rendezvous *r = store_job_of(job, struct rendezvous, kick.job);

	r->kicks.busy = false;
	if (end_op(r, res))
		begin_kick(r);
}

/* One that fails is lost: the backend looks by itself a little later. */
static void begin_kick(struct rendezvous *r)
{
	uint64_t now_ms = clock_now_ms(), past_ms = now_ms - r->kick_ms;

	if (!r->kicks.wanted || r->kicks.busy || !r->is_home)
		return;
	if (past_ms < KICK_MS) {
		loop_arm_timer(r->kick_rest, (uint32_t)(KICK_MS - past_ms));
		return;
	}
	r->kicks = (struct again){.busy = true};
	r->kick.kick++;
	r->kick_ms = now_ms;
	begin_op(r, &r->kick.job, folder_kick, on_kick_done);
}

static void on_kick_rest(void *data)
{
	begin_kick(data);
}

void rendezvous_kick(struct rendezvous *r)
{
	/* One is due already: the timer runs, or what is waited for begins it. */
	if (r->kicks.wanted)
		return;
	r->kicks.wanted = true;
	begin_kick(r);
}

/* ---- answers ---- */

static void begin_answers(struct rendezvous *r);

/* The stream may be gone by now; numbers come again after all others only. */
static void tell_answer(struct rendezvous *r, uint32_t number, const struct xaring_refusal *refusal)
{
	for (struct rendezvous_node *node = r->nodes; node; node = node->next) {
		if (node->number != number)
			continue;
		if (node->wanted)
			r->events->on_answer(node->owner, refusal);
		return;
	}
}

static void on_answers_done(struct store_job *job, int res)
{
	struct folder_answers *op = (struct folder_answers *)job;
	struct rendezvous *r = store_job_of(job, struct rendezvous, answers.job);

	r->answers_due.busy = false;
	if (!end_op(r, res))
		return;
	for (uint32_t i = 0; i < op->count && res == 0; i++) {
		if (!op->answered[i])
			continue;
		/* Others were not looked at, and what told of theirs may have been the same event. */
		r->answers_due.wanted = true;
		tell_answer(r, op->numbers[i], &op->answers[i]);
	}
	r->answers_due.wanted |= res < 0;
	/* That may be because the folder is not ours any more: that is looked at first. */
	if (res < 0 && r->is_home)
		loop_arm_timer(r->retry, RETRY_MS);
	else
		begin_answers(r);
}

/* Answers are looked for where one is waited for, and then where one may come; leaving nodes are known only. */
enum answer_rank { ANSWER_WAITED_FOR, ANSWER_POSSIBLE, ANSWER_OVER };

static enum answer_rank node_rank(const struct rendezvous_node *node)
{
	if (!node->wanted)
		return ANSWER_OVER;
	return node->waiting ? ANSWER_WAITED_FOR : ANSWER_POSSIBLE;
}

static uint32_t gather_numbers(struct rendezvous *r, enum answer_rank rank)
{
	struct folder_answers *op = &r->answers;

	for (struct rendezvous_node *node = r->nodes; node; node = node->next) {
		if (node_rank(node) == rank && op->count < FOLDER_STREAMS_MAX)
			op->numbers[op->count++] = node->number;
	}
	return op->count;
}

static void begin_answers(struct rendezvous *r)
{
	struct folder_answers *op = &r->answers;

	if (!r->answers_due.wanted || r->answers_due.busy || !r->is_home)
		return;
	r->answers_due = (struct again){.busy = true};
	memset(op, 0, sizeof(*op));
	memcpy(op->token, r->token, sizeof(op->token));
	op->waiting_count = gather_numbers(r, ANSWER_WAITED_FOR);
	op->asked_count = gather_numbers(r, ANSWER_POSSIBLE);
	gather_numbers(r, ANSWER_OVER);
	begin_op(r, &op->job, folder_answers, on_answers_done);
}

static void on_answer_fired(void *data)
{
	struct rendezvous *r = data;

	r->answers_due.wanted = true;
	begin_answers(r);
}

/* ---- the backend ---- */

static void begin_backend(struct rendezvous *r);

static void on_backend_done(struct store_job *job, int res)
{
	struct folder_backend *op = (struct folder_backend *)job;
	struct rendezvous *r = store_job_of(job, struct rendezvous, backend.job);

	r->backends.busy = false;
	if (!end_op(r, res))
		return;
	if (res == 0 && op->backend_id == r->backend_id)
		r->events->on_backend(r->data, op->present);
	begin_backend(r);
}

static void begin_backend(struct rendezvous *r)
{
	if (!r->backends.wanted || r->backends.busy || !r->is_home)
		return;
	r->backends = (struct again){.busy = true};
	r->backend.backend_id = r->backend_id;
	begin_op(r, &r->backend.job, folder_backend, on_backend_done);
}

static void on_backend_fired(void *data)
{
	struct rendezvous *r = data;

	r->backends.wanted = true;
	begin_backend(r);
}

static void watch_backend(struct rendezvous *r)
{
	char path[FOLDER_PATH_BYTES];

	if (r->backend_watch && r->watched_id == r->backend_id)
		return;
	if (r->backend_watch) {
		store_remove_watch(r->backend_watch);
		r->events->on_backend(r->data, false);
	}
	r->backend_watch = NULL;
	r->watched_id = r->backend_id;
	folder_backend_path(r->backend_id, path);
	if (store_add_watch(r->store, path, NULL, on_backend_fired, r, &r->backend_watch) < 0)
		xaring_log(XARING_LOG_ERROR, "out of memory: the backend is not watched");
}

/* ---- home ---- */

static void begin_home(struct rendezvous *r);

static void take_orphan(struct rendezvous *r, const struct folder_stream *stream)
{
	struct rendezvous_node *node = node_add(r, NULL, stream->number);

	/* Without memory it stays where it is, until the next guestd. */
	if (!node)
		return;
	node->there = true;
	node->owner = r->events->on_orphan(r->data, &stream->offer, node);
	node->wanted = node->owner != NULL;
	r->next_number = (stream->number + 1) & OFFER_NUMBER_MAX;
}

/* What came before it was known which numbers are taken is not published yet: it gets others. */
static void number_anew(struct rendezvous *r)
{
	for (struct rendezvous_node *node = r->nodes; node; node = node->next) {
		if (!node->there)
			node->number = take_number(r);
	}
}

static void take_orphans(struct rendezvous *r)
{
	for (uint32_t i = 0; i < r->home.stream_count; i++)
		take_orphan(r, &r->home.streams[i]);
	if (r->home.stream_count > 0)
		number_anew(r);
}

static void drop_streams(struct rendezvous *r)
{
	free(r->home.streams);
	r->home.streams = NULL;
	r->home.stream_count = 0;
}

static void forget_nodes(struct rendezvous *r)
{
	for (struct rendezvous_node *node = r->nodes; node; node = node->next) {
		node->there = false;
		node->changed = false; /* grants that are void */
	}
}

/* The store is done with home: what it found counts from here on. */
static void take_home(struct rendezvous *r)
{
	memcpy(r->token, r->home.token, sizeof(r->token));
	r->backend_id = r->home.backend_id;
	if (r->is_first) {
		r->kick.kick = r->home.kick;
		take_orphans(r);
	}
	drop_streams(r);
	r->is_first = false;
}

static void arrive(struct rendezvous *r)
{
	bool fresh = r->fresh_due;

	r->is_home = true;
	r->is_told = false;
	r->fresh_due = false;
	take_home(r);
	if (fresh)
		forget_nodes(r);
	tell_reach(r, true);
	watch_backend(r);
	r->events->on_home(r->data, fresh);
	step_all(r);
	r->backends.wanted |= fresh;
	begin_kick(r);
	begin_answers(r);
	begin_backend(r);
}

static void tell_failure(struct rendezvous *r, int res)
{
	if (r->is_told || store_is_lost(res))
		return;
	r->is_told = true;
	xaring_log(XARING_LOG_ERROR, "xenstore refuses this guest's folder " OFFER_HOME ": %s",
		   strerror(-res));
}

static void on_home_done(struct store_job *job, int res)
{
	struct folder_home *op = (struct folder_home *)job;
	struct rendezvous *r = store_job_of(job, struct rendezvous, home.job);

	r->homes.busy = false;
	if (!end_op(r, res)) {
		drop_streams(r);
		return;
	}
	/* Whatever comes now, the grants are void. */
	r->fresh_due |= op->fresh;
	if (r->homes.wanted) {
		begin_home(r);
	} else if (res < 0) {
		tell_failure(r, res);
		tell_reach(r, false);
		lose_home(r);
	} else {
		arrive(r);
	}
}

static void begin_home(struct rendezvous *r)
{
	leave_home(r);
	r->homes.wanted = true;
	if (r->homes.busy)
		return;
	r->homes = (struct again){.busy = true};
	drop_streams(r);
	r->home.first = r->is_first;
	memcpy(r->home.token, r->token, sizeof(r->token));
	begin_op(r, &r->home.job, folder_home, on_home_done);
}

/* domid, the number of the backend, the connection: the folder may be another one. */
static void on_home_fired(void *data)
{
	begin_home(data);
}

/* ---- life ---- */

static int make_token(char token[FOLDER_TOKEN_DIGITS + 1])
{
	uint64_t high, low;
	int res = random_number(&high);

	if (res == 0)
		res = random_number(&low);
	if (res == 0)
		(void)snprintf(token, FOLDER_TOKEN_DIGITS + 1, "%016llx%016llx",
			       (unsigned long long)high, (unsigned long long)low);
	return res;
}

static int add_watches(struct rendezvous *r)
{
	int res = store_add_watch(r->store, FOLDER_DOMID, NULL, on_home_fired, r, NULL);

	if (res == 0)
		res = store_add_watch(r->store, OFFER_BACKEND_ID, NULL, on_home_fired, r, NULL);
	if (res == 0)
		res = store_add_watch(r->store, OFFER_STREAMS, OFFER_ANSWER, on_answer_fired, r,
				      NULL);
	return res;
}

int rendezvous_create(struct loop *loop, const struct rendezvous_events *events, void *data,
		      struct rendezvous **out)
{
	struct rendezvous *r = calloc(1, sizeof(*r));
	int res;

	if (!r)
		return -ENOMEM;
	r->events = events;
	r->data = data;
	r->is_first = true;
	r->away_ms = clock_now_ms();
	bucket_init(&r->writes, NODES_BURST, NODES_REFILL_MS, r->away_ms);
	res = make_token(r->token);
	if (res == 0)
		res = loop_add_timer(loop, on_home_fired, r, &r->retry);
	if (res == 0)
		res = loop_add_timer(loop, on_stuck, r, &r->stuck);
	if (res == 0)
		res = loop_add_timer(loop, on_kick_rest, r, &r->kick_rest);
	if (res == 0)
		res = loop_add_timer(loop, on_node_rest, r, &r->node_rest);
	if (res == 0)
		res = store_create(loop, on_home_fired, r, &r->store);
	if (res == 0)
		res = add_watches(r);
	if (res < 0) {
		rendezvous_destroy(r);
		return res;
	}
	*out = r;
	return 0;
}

void rendezvous_destroy(struct rendezvous *r)
{
	struct rendezvous_node *next;

	if (!r)
		return;
	r->is_closing = true;
	store_destroy(r->store);
	loop_remove(r->node_rest);
	loop_remove(r->kick_rest);
	loop_remove(r->stuck);
	loop_remove(r->retry);
	/* What a stuck operation may still use is left to it. */
	if (r->ops > 0)
		return;
	for (struct rendezvous_node *node = r->nodes; node; node = next) {
		next = node->next;
		free(node);
	}
	drop_streams(r);
	free(r);
}

bool rendezvous_is_away(const struct rendezvous *r, uint64_t *since_ms)
{
	*since_ms = r->away_ms;
	return !r->is_home;
}

uint32_t rendezvous_backend_id(const struct rendezvous *r)
{
	return r->backend_id;
}
