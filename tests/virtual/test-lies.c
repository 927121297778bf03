/* SPDX-License-Identifier: MIT */
/*
 * A backend that lies: whatever stands in the pages, the guest's position goes forwards, never
 * beyond what was written, and keeps moving; and when the backend is honest again, there is sound.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <xaring/shared.h>

#include "guest.h"
#include "level.h"

static struct world w;
static struct guest g;
static uint32_t seq; /* of the lying backend */

static void begin(enum guest_kind kind, bool same_clock)
{
	struct world_options wo = {.quantum = 1024, .same_clock = same_clock, .jitter_ns = MS / 2};
	struct guest_options go = {.kind = kind,
				   .period = 512,
				   .buffer = 4096,
				   .headroom = 256,
				   .goes_on = true,
				   .curious = true};

	world_create(&w, &wo);
	guest_create(&g, &w, &go);
	guest_start(&g);
	guest_run(&g, 2 * SECOND);
	assert_true(g.state.attached);
	world_stop_graph(&w);
	seq = w.pump.seq;
}

/* Honest again: with the pages as they are, as after a restart of the worker. */
static void end(void)
{
	if (w.has_pump)
		world_restart_worker(&w);
	world_start_graph(&w);
	guest_run(&g, 12 * SECOND); /* a broken link is tried again after 10 s at the latest */
	assert_true(g.state.attached);
	assert_true(w.quiet_cycles < 2);
	guest_destroy(&g);
	world_destroy(&w);
}

static uint32_t random_word(void)
{
	return (uint32_t)(world_random(&w) * 4294967296.0);
}

/* A record that is right, for a lie in one of its fields. */
static struct xaring_record honest(void)
{
	struct xaring_control_page *page = w.pages.control;

	return (struct xaring_record){
		.word = xaring_load(&page->guest.word),
		.pos = g.state.pos,
		.frames = 1024,
		.time_ns = (uint64_t)w.now + w.pump.time_secret_ns,
		.rate_mhz = 48000000,
		.delay = 2000,
		.echo = xaring_load(&page->guest.stamp),
	};
}

static void publish(const struct xaring_record *record)
{
	xaring_record_publish(&w.pages.control->record, &seq, record);
}

/* Records that are right in all but one thing: nothing is ever consumed. */
static void consume_nothing(void)
{
	struct xaring_record r = honest();

	r.pos = xaring_load(&w.pages.control->guest.base);
	r.frames = 0;
	publish(&r);
}

/* The same, and it attaches again when the guest has withdrawn. */
static void hold_on(void)
{
	struct xaring_control_page *page = w.pages.control;

	if (!xaring_word_attach(xaring_load(&page->guest.word)))
		xaring_store(&page->backend.attach,
			     xaring_attach_next(xaring_load(&page->backend.attach)));
	consume_nothing();
}

/* A hundredth of what it should. */
static void consume_little(void)
{
	static uint32_t consumed;
	struct xaring_record r = honest();

	if (!xaring_word_attach(r.word))
		consumed = 0;
	consumed += 1;
	r.pos = xaring_load(&w.pages.control->guest.base) + consumed;
	r.frames = 0;
	if (xaring_word_attach(r.word))
		publish(&r);
	else
		hold_on();
}

/*
 * Runs for so long with lie() every few ms. A record decides where the position is, so one that lies
 * may make it slow or fast, but not stop it; and what is no record may not keep it from the time.
 */
static void lie_for(double seconds, double part, void (*lie)(void))
{
	double until = w.now + seconds * SECOND;
	uint32_t pos = g.state.pos;
	double moved;

	while (w.now < until) {
		if (w.has_pump)
			lie();
		guest_run(&g, world_random(&w) * 10 * MS);
	}
	moved = g.state.pos - pos;
	if (moved < seconds * RATE * part || (part > 0 && moved > seconds * RATE * 1.05 + 4096))
		fail_msg("the position moved by %.0f frames in %g s", moved, seconds);
}

static void lie_about_the_future(void)
{
	struct xaring_record r = honest();

	r.time_ns += (uint64_t)(world_random(&w) * 1e12);
	publish(&r);
}

static void lie_about_the_past(void)
{
	struct xaring_record r = honest();

	r.time_ns -= (uint64_t)(world_random(&w) * 1e12);
	publish(&r);
}

static void lie_about_everything(void)
{
	struct xaring_record r = honest();
	uint32_t *words = (uint32_t *)&r;

	for (int i = 0; i < 3; i++)
		words[2 + (int)(world_random(&w) * (sizeof(r) / 4 - 2))] = random_word();
	r.word = xaring_load(&w.pages.control->guest.word);
	publish(&r);
}

static void lie_within_reason(void)
{
	struct xaring_record r = honest();

	r.pos += (uint32_t)(world_random(&w) * 8192) - 4096;
	r.frames = (uint32_t)(world_random(&w) * 9000);
	r.rate_mhz = (uint32_t)(48e6 * (0.9 + world_random(&w) / 5));
	r.delay = random_word() >> 12;
	r.xruns = random_word();
	r.gap = random_word();
	publish(&r);
}

static void write_for_ever(void)
{
	xaring_store(&w.pages.control->record.seq, random_word() | 1);
}

static void rewrite_every_word(void)
{
	uint32_t *words = (uint32_t *)w.pages.control;

	for (int i = 0; i < 32; i++)
		xaring_store(&words[32 + i], random_word());
}

static void raise_attach(void)
{
	xaring_store(&w.pages.control->backend.attach, random_word());
}

static void say_broken(void)
{
	xaring_store(&w.pages.control->backend.status, 3 | random_word() << 8);
}

static void position_survives(enum guest_kind kind, bool same_clock)
{
	static const struct {
		void (*lie)(void);
		double part;
	} lies[] = {
		{lie_about_the_future, 0.0}, {lie_about_the_past, 0.0},
		{lie_about_everything, 0.0}, {lie_within_reason, 0.0},
		{write_for_ever, 0.9},       {rewrite_every_word, 0.5},
		{raise_attach, 0.5},         {say_broken, 0.5},
		{consume_nothing, 0.5},      {hold_on, 0.5},
		{consume_little, 0.5},
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		begin(kind, same_clock);
		lie_for((double)level_count(100), lies[i].part, lies[i].lie);
		end();
	}
}

static void blocking_guest_survives(void **state)
{
	(void)state;
	position_survives(GUEST_BLOCKING, true);
	position_survives(GUEST_BLOCKING, false);
}

static void timer_guest_survives(void **state)
{
	(void)state;
	position_survives(GUEST_TIMER, true);
	position_survives(GUEST_TIMER, false);
}

static void impossible_position_drops_the_link(void **state)
{
	struct xaring_record r;

	(void)state;
	begin(GUEST_BLOCKING, true);
	r = honest();
	r.pos += 100000;
	publish(&r);
	guest_run(&g, 50 * MS);
	assert_false(g.state.linked);
	guest_run(&g, 150 * MS); /* no sooner than 250 ms */
	assert_false(g.state.linked);
	guest_run(&g, 200 * MS);
	assert_true(g.state.linked);
	assert_int_equal(w.accepted, 2);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocking_guest_survives),
		cmocka_unit_test(timer_guest_survives),
		cmocka_unit_test(impossible_position_drops_the_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
