/* SPDX-License-Identifier: MIT */
/*
 * A backend that lies: a thread rewrites the words of the shared page at full speed while a client
 * plays in virtual time. Whatever it stores, the client's position goes on, never backwards and
 * never beyond what was written; it takes no more than its own memory, and an honest backend is
 * followed again afterwards.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/client.h>
#include <xaring/shared.h>

#include "descriptors.h"
#include "level.h"
#include "local-server.h"

#define MS     UINT64_C(1000000)
#define S      (1000 * MS)
#define BUFFER 4096u

/* Virtual time of each test in the long run, in steps of a millisecond on average. */
#define LONG_MS 200000u

struct hostile {
	struct xaring_control_page *page; /* NULL: rest */
	uint32_t rounds;                  /* raised after each; nothing is touched in between */
	uint32_t is_over;
	void (*lie)(struct xaring_control_page *page, uint64_t *random);
	pthread_t thread;
};

struct play {
	struct local_server server;
	struct local_link link;
	struct xaring_client *client;
	struct xaring_client_state state;
	struct hostile hostile;
	uint64_t now, random;
	uint32_t written, last, links;
	uint32_t descriptors;
};

static const struct xaring_params stereo = {.direction = XARING_PLAYBACK,
					    .format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = BUFFER,
					    .period = 1024};

static uint32_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (uint32_t)(*random >> 32);
}

/* Every word of the page, the guest's own ones as well. */
static void lie_everywhere(struct xaring_control_page *page, uint64_t *random)
{
	uint32_t *words = (uint32_t *)page;

	for (uint32_t i = 0; i < sizeof(*page) / sizeof(*words); i++)
		xaring_store(&words[i], next_random(random));
}

/* The same, but nothing that ends the link. */
static void lie_in_lines(struct xaring_control_page *page, uint64_t *random)
{
	xaring_store(&page->guest.word, next_random(random));
	xaring_store(&page->guest.base, next_random(random));
	xaring_store(&page->guest.pos, next_random(random));
	xaring_store(&page->backend.attach, next_random(random));
	for (uint32_t i = 0; i < 12; i++)
		xaring_store(&((uint32_t *)&page->record)[i], next_random(random));
}

/* Attaches that never settle. */
static void lie_about_attach(struct xaring_control_page *page, uint64_t *random)
{
	xaring_store(&page->backend.attach, next_random(random));
}

static void lie_about_status(struct xaring_control_page *page, uint64_t *random)
{
	uint32_t status = XARING_BACKEND_ACCEPTED;

	/* Mostly harmless, so that links live for a while. */
	if (next_random(random) % 4096 == 0)
		status = next_random(random) & 0xff03;
	xaring_store(&page->backend.status, status);
}

/* A record that is never finished. */
static void lie_about_sequence(struct xaring_control_page *page, uint64_t *random)
{
	xaring_store(&page->record.seq, next_random(random) | 1);
	xaring_store(&page->record.word, xaring_load(&page->guest.word));
}

/* Records that answer the word, with counters that cannot be, times of the future, odd rates. */
static void lie_in_records(struct xaring_control_page *page, uint64_t *random)
{
	uint32_t pos = xaring_load(&page->guest.pos);
	uint32_t kind = next_random(random) % 64;
	struct xaring_record record = {
		.word = xaring_load(&page->guest.word),
		.pos = pos - next_random(random) % 8192,
		.frames = next_random(random),
		.time_ns = (uint64_t)next_random(random) << 32 | next_random(random),
		.age_ns = next_random(random),
		.rate_mhz = next_random(random),
		.delay = next_random(random),
		.xruns = next_random(random),
		.gap = next_random(random),
		.echo = next_random(random),
		.echo_age_ns = next_random(random),
	};
	uint32_t seq = next_random(random) & ~1u;

	if (kind == 0)
		record.pos = next_random(random);
	if (kind < 32)
		record.rate_mhz = 48000000 + next_random(random) % 4000000 - 2000000;
	if (kind % 2)
		record.frames %= 4096;
	xaring_record_publish(&page->record, &seq, &record);
	xaring_store(&page->backend.attach, next_random(random) % 16);
}

static void *run_hostile(void *data)
{
	struct hostile *h = data;
	uint64_t random = 0x9e3779b97f4a7c15;

	while (!__atomic_load_n(&h->is_over, __ATOMIC_ACQUIRE)) {
		struct xaring_control_page *page = __atomic_load_n(&h->page, __ATOMIC_ACQUIRE);

		if (page)
			h->lie(page, &random);
		__atomic_add_fetch(&h->rounds, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Gives the thread another page, and waits until it has let go of the one before. */
static void hostile_turn_to(struct hostile *h, struct xaring_control_page *page)
{
	uint32_t before;

	__atomic_store_n(&h->page, page, __ATOMIC_RELEASE);
	before = __atomic_load_n(&h->rounds, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&h->rounds, __ATOMIC_ACQUIRE) - before < 2)
		sched_yield();
}

/* The thread has lied since the last time: on a busy machine it might sleep through the test. */
static void hostile_keep_pace(struct hostile *h, uint32_t *rounds)
{
	while (__atomic_load_n(&h->rounds, __ATOMIC_ACQUIRE) == *rounds)
		sched_yield();
	*rounds = __atomic_load_n(&h->rounds, __ATOMIC_ACQUIRE);
}

static void play_begin(struct play *p)
{
	struct xaring_refusal refusal;

	memset(p, 0, sizeof(*p));
	p->descriptors = open_descriptors();
	p->now = 100 * S;
	p->random = 88172645463325252;
	p->link.fd = -1;
	local_server_open(&p->server, true);
	assert_int_equal(xaring_client_create(p->server.path, "honest", &p->client), 0);
	assert_int_equal(xaring_client_setup(p->client, &stereo, 0, &refusal), 0);
}

static void play_end(struct play *p)
{
	xaring_client_close(p->client);
	local_link_drop(&p->link);
	local_server_close(&p->server);
	assert_int_equal(open_descriptors(), p->descriptors);
}

/* Serves a client that has come anew. It asks after its updates only, so nothing is missed. */
static void serve(struct play *p)
{
	struct local_link link;

	memset(&link, 0, sizeof(link));
	link.fd = xaring_listener_accept(p->server.listener, &link.peer);
	if (link.fd < 0)
		return;
	hostile_turn_to(&p->hostile, NULL);
	local_link_drop(&p->link);
	p->link = link;
	local_link_hear(&p->link);
	local_link_give(&p->server, &p->link, XARING_MESSAGE_ACCEPT);
	xaring_store(&p->link.pages.control->backend.status, XARING_BACKEND_ACCEPTED);
	local_attach(&p->link);
	hostile_turn_to(&p->hostile, p->link.pages.control);
	p->links++;
}

/* What an application does: it writes as much as there is room for, and looks. */
static void application_step(struct play *p)
{
	static const uint32_t silence[BUFFER];
	uint32_t want = p->last + BUFFER - p->written;

	xaring_client_write(p->client, p->written, silence, want);
	p->written += want;
	xaring_client_publish(p->client, p->written);
	xaring_client_update(p->client, p->now, &p->state);
	assert_true((int32_t)(p->state.pos - p->last) >= 0);
	assert_true((int32_t)(p->written - p->state.pos) >= 0);
	p->last = p->state.pos;
	(void)xaring_client_delay(p->client, p->now);
	assert_true(xaring_client_when(p->client, p->now, p->last + 1024) >= p->now);
}

/* Now and then something else: a pause, a drain, a new start. */
static void application_whim(struct play *p)
{
	uint32_t whim = next_random(&p->random) % 1000;

	if (whim == 0)
		xaring_client_pause(p->client, p->now);
	if (whim < 3)
		xaring_client_resume(p->client, p->now);
	if (whim == 3)
		xaring_client_drain(p->client, p->now);
	if (whim == 4 || whim == 5) {
		xaring_client_stop(p->client);
		xaring_client_start(p->client, p->now, p->last);
	}
	if (whim == 6) {
		p->written = p->last + next_random(&p->random) % 64;
		xaring_client_publish(p->client, p->written);
	}
}

/* Afterwards: an honest backend on the same or a new link is followed as ever. */
static void honest_again(struct play *p)
{
	bool attached = false;

	hostile_turn_to(&p->hostile, NULL);
	xaring_client_stop(p->client);
	for (uint32_t i = 0; i < 30000 && !attached; i++) {
		p->now += MS;
		xaring_client_update(p->client, p->now, &p->state);
		if (i == 0) /* a fresh link, so that nothing of before is left */
			local_link_drop(&p->link);
		serve(p);
		hostile_turn_to(&p->hostile, NULL);
		if (!p->state.linked || p->link.fd < 0)
			continue;
		if (xaring_word_state(local_word(&p->link)) != XARING_STATE_RUNNING) {
			xaring_client_start(p->client, p->now, p->state.pos);
			p->last = p->state.pos;
		}
		if (i % 21 == 0)
			local_pump(&p->link, 1024, p->now);
		application_step(p);
		attached = p->state.attached;
	}
	assert_true(attached);
}

/* A start may rest for two seconds when a backend is there. */
static void begin_to_play(struct play *p)
{
	uint64_t end = p->now + 3 * S;

	serve(p);
	xaring_client_update(p->client, p->now, &p->state);
	application_step(p);
	xaring_client_start(p->client, p->now, p->last);
	for (; p->now < end; p->now += MS) {
		application_step(p);
		serve(p);
	}
}

static void play_against(void (*lie)(struct xaring_control_page *, uint64_t *),
			 uint32_t progress_percent, bool whims)
{
	uint64_t steps = level_count(LONG_MS), began;
	uint64_t frames = 0;
	uint32_t rounds = 0;
	struct play p;

	play_begin(&p);
	p.hostile.lie = lie;
	assert_int_equal(pthread_create(&p.hostile.thread, NULL, run_hostile, &p.hostile), 0);
	begin_to_play(&p);
	began = p.now;
	for (uint64_t i = 0; i < steps; i++) {
		uint32_t before = p.last;

		if (i % 16 == 0)
			hostile_keep_pace(&p.hostile, &rounds);
		p.now += 1 + next_random(&p.random) % (2 * MS);
		application_step(&p);
		frames += p.last - before;
		if (whims)
			application_whim(&p);
		serve(&p);
	}
	/* Whims keep it at rest at times: only that it lives on is claimed then. */
	assert_true(frames * 100 / 48 >= (p.now - began) / MS * progress_percent);
	honest_again(&p);
	__atomic_store_n(&p.hostile.is_over, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(p.hostile.thread, NULL), 0);
	play_end(&p);
}

static void every_word_is_rewritten(void **state)
{
	(void)state;
	play_against(lie_everywhere, 60, false);
}

static void every_word_is_rewritten_at_whim(void **state)
{
	(void)state;
	play_against(lie_everywhere, 1, true);
}

static void every_line_is_rewritten(void **state)
{
	(void)state;
	play_against(lie_in_lines, 60, false);
}

static void attaches_never_settle(void **state)
{
	(void)state;
	play_against(lie_about_attach, 60, false);
}

static void the_status_flickers(void **state)
{
	(void)state;
	play_against(lie_about_status, 60, false);
}

static void records_are_never_finished(void **state)
{
	(void)state;
	play_against(lie_about_sequence, 60, false);
}

static void records_lie(void **state)
{
	(void)state;
	play_against(lie_in_records, 1, false);
}

static void records_lie_at_whim(void **state)
{
	(void)state;
	play_against(lie_in_records, 1, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_word_is_rewritten),
		cmocka_unit_test(every_word_is_rewritten_at_whim),
		cmocka_unit_test(every_line_is_rewritten),
		cmocka_unit_test(attaches_never_settle),
		cmocka_unit_test(the_status_flickers),
		cmocka_unit_test(records_are_never_finished),
		cmocka_unit_test(records_lie),
		cmocka_unit_test(records_lie_at_whim),
	};

	return cmocka_run_group_tests_name("hostile-backend", tests, NULL, NULL);
}
