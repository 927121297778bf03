/* SPDX-License-Identifier: MIT */
/* Pause, drain, stop and changing quanta: not a frame more or less than there should be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "guest.h"
#include "level.h"

static struct world w;
static struct guest g;

static void begin(uint32_t quantum, uint32_t period, uint32_t buffer, bool same_clock)
{
	struct world_options wo = {.quantum = quantum,
				   .jitter_ns = MS / 2,
				   .same_clock = same_clock,
				   .graph_ppm = 70,
				   .guest_ppm = same_clock ? 0 : 40};
	struct guest_options go = {.kind = GUEST_BLOCKING,
				   .period = period,
				   .buffer = buffer,
				   .wake_jitter_ns = MS / 4,
				   .watch = true};

	world_create(&w, &wo);
	guest_create(&g, &w, &go);
	guest_start(&g);
}

static void end(void)
{
	guest_destroy(&g);
	world_destroy(&w);
}

static uint64_t now(void)
{
	return world_guest_ns(&w, w.now);
}

/* The program sleeps; only looks happen. */
static void only_look(double ns)
{
	double until = w.now + ns;

	g.wakes_at = NEVER_NS;
	g.looks_at = NEVER_NS;
	while (w.now < until) {
		guest_run(&g, MS);
		guest_look(&g);
	}
}

static void pause_loses_nothing(void **state)
{
	(void)state;
	begin(1024, 512, 2048, true);
	for (uint64_t i = 0; i < level_count(2000); i++) {
		uint32_t pos, delay;

		guest_run(&g, world_random(&w) * 200 * MS);
		xaring_client_pause(g.client, now());
		guest_look(&g);
		pos = g.state.pos;
		delay = xaring_client_delay(g.client, now());
		only_look(world_random(&w) * 300 * MS);
		assert_int_equal(g.state.pos, pos);
		assert_int_equal(xaring_client_delay(g.client, now()), delay);
		xaring_client_resume(g.client, now());
		g.wakes_at = w.now;
	}
	guest_run(&g, SECOND);
	assert_true(w.heard_all > 48000);
	assert_int_equal(w.lost, 0);
	assert_int_equal(w.xruns + w.pump.xruns, 0);
	end();
}

static void delay_is_true_again_after_a_pause(void **state)
{
	(void)state;
	begin(1024, 512, 2048, true);
	guest_run(&g, SECOND);
	xaring_client_pause(g.client, now());
	only_look(500 * MS);
	xaring_client_resume(g.client, now());
	g.wakes_at = w.now;
	guest_run(&g, SECOND / 10);
	guest_forget(&g);
	guest_run(&g, 5 * SECOND);
	assert_true(g.errors_all > 100);
	assert_true(guest_error(&g, 50) <= 16);
	end();
}

static void drain_plays_the_last_frame(void **state)
{
	uint32_t rounds = (uint32_t)level_count(2000);

	(void)state;
	begin(1024, 512, 2048, true);
	for (uint32_t i = 0; i < rounds; i++) {
		double began;

		guest_run(&g, world_random(&w) * 100 * MS);
		if (i % 4)
			xaring_client_drain(g.client, now());
		else /* within its first moment */
			guest_start(&g), xaring_client_drain(g.client, now());
		began = w.now;
		while (!g.state.drained && w.now < began + SECOND)
			only_look(MS);
		assert_true(g.state.drained);
		assert_int_equal(w.heard, g.number);
		assert_true(pump_is_drained(&w.pump));
		/* what was there, the rest of a cycle, and what it takes to notice */
		assert_true(w.now - began < (2048 + 3 * 1024) / RATE * SECOND);
		xaring_client_stop(g.client);
		guest_start(&g);
	}
	assert_int_equal(w.xruns + w.pump.xruns, 0);
	end();
}

static void drain_ends_without_a_backend(void **state)
{
	double began;

	(void)state;
	begin(1024, 512, 2048, true);
	guest_run(&g, SECOND);
	world_stop_graph(&w);
	xaring_client_drain(g.client, now());
	began = w.now;
	while (!g.state.drained && w.now < began + SECOND)
		only_look(MS);
	assert_true(g.state.drained);
	assert_true(w.now - began < 2048 / RATE * SECOND + 150 * MS);
	end();
}

static void stop_drops_what_was_not_played(void **state)
{
	(void)state;
	begin(1024, 512, 2048, true);
	for (uint64_t i = 0; i < level_count(2000); i++) {
		uint32_t heard;

		guest_run(&g, world_random(&w) * 100 * MS);
		xaring_client_stop(g.client);
		heard = w.heard;
		only_look(world_random(&w) * 50 * MS);
		assert_int_equal(w.heard, heard);
		guest_start(&g);
	}
	assert_int_equal(w.pump.reason, XARING_REASON_NONE);
	end();
}

static void quantum_may_change(void **state)
{
	(void)state;
	begin(256, 1024, 8192, true);
	for (uint64_t i = 0; i < level_count(3000); i++) {
		w.options.quantum = 64u << (int)(world_random(&w) * 6);
		guest_run(&g, world_random(&w) * 500 * MS);
	}
	assert_int_equal(w.xruns + w.pump.xruns, 0);
	assert_int_equal(w.lost, 0);
	assert_int_equal(g.starts, 1);
	end();
}

/* Larger than any buffer and than the head-room of the ring: gaps, but no broken link. */
static void forced_quantum_only_costs_gaps(void **state)
{
	uint32_t links;

	(void)state;
	begin(1024, 256, 1024, true);
	g.options.goes_on = true;
	guest_run(&g, SECOND);
	links = w.accepted;
	w.options.quantum = 8192;
	guest_run(&g, 20 * SECOND);
	assert_int_equal(w.pump.reason, XARING_REASON_NONE);
	assert_int_equal(w.accepted, links);
	assert_true(w.pump.xruns > 0);
	w.options.quantum = 1024;
	guest_run(&g, 2 * SECOND);
	assert_int_equal(w.quiet_cycles, 0);
	end();
}

/* Whole blocking buffers smaller than the quantum work, because prediction goes on in between. */
static void buffer_smaller_than_the_quantum(void **state)
{
	(void)state;
	begin(2048, 256, 1024, true);
	guest_run(&g, (double)level_count(100) * SECOND);
	assert_int_equal(w.xruns + w.pump.xruns, 0);
	assert_int_equal(w.lost, 0);
	assert_true(guest_error(&g, 50) <= 16);
	end();
}

/* What an application hears of its own write: the first frame after a start. */
static void start_is_heard_after_a_priming_cycle(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < level_count(1000); i++) {
		double began, longest = 0;

		begin(1024, 512, 2048, i % 2);
		began = w.now;
		while (w.heard_all == 0 && w.now < began + SECOND)
			guest_run(&g, MS);
		longest = fmax(longest, w.now - began);
		assert_true(longest < 2.2 * 1024 / RATE * SECOND + 2 * MS);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pause_loses_nothing),
		cmocka_unit_test(delay_is_true_again_after_a_pause),
		cmocka_unit_test(drain_plays_the_last_frame),
		cmocka_unit_test(drain_ends_without_a_backend),
		cmocka_unit_test(stop_drops_what_was_not_played),
		cmocka_unit_test(quantum_may_change),
		cmocka_unit_test(forced_quantum_only_costs_gaps),
		cmocka_unit_test(buffer_smaller_than_the_quantum),
		cmocka_unit_test(start_is_heard_after_a_priming_cycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
