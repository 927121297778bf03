/* SPDX-License-Identifier: MIT */
/*
 * A day: however long the clocks drift apart, nothing is lost, nothing runs over, and what is in
 * the buffer stays what it was. Nobody resamples: the guest follows the graph.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "guest.h"
#include "level.h"

#define QUANTUM 1024u
#define PERIOD  1024u

static struct world world;
static struct guest guest;

static void run_hours(const struct world_options *wo, const struct guest_options *go, double hours)
{
	double frames;

	world_create(&world, wo);
	guest_create(&guest, &world, go);
	guest_start(&guest);
	guest_run(&guest, 60 * SECOND);
	guest_forget(&guest);
	guest_run(&guest, hours * 3600 * SECOND);
	frames = (60 + hours * 3600) * RATE * (1 + wo->graph_ppm * 1e-6);

	print_message("%s, one clock %d, %g/%g ppm, %g h: %u xruns, fill %u to %u\n",
		      go->kind == GUEST_TIMER ? "timer" : "blocking", wo->same_clock, wo->graph_ppm,
		      wo->guest_ppm, hours, world.xruns + world.pump.xruns, guest.smallest_fill,
		      guest.largest_fill);
	assert_int_equal(world.xruns + world.pump.xruns, 0);
	assert_int_equal(guest.starts, 1);
	assert_int_equal(world.lost, 0);
	/* the graph took what it takes, but for the start */
	assert_true((double)world.heard_all < frames + QUANTUM);
	assert_true((double)world.heard_all > frames - 8 * QUANTUM);
	guest_destroy(&guest);
	world_destroy(&world);
}

/* The whole day in a normal run for one, a tenth of it for the others. */
static void days(bool same_clock, double ppm, uint32_t times)
{
	struct world_options wo = {.quantum = QUANTUM, .jitter_ns = MS, .same_clock = same_clock};
	struct guest_options go = {.period = PERIOD,
				   .buffer = 32768,
				   .headroom = 256,
				   .wake_jitter_ns = MS};
	double hours = fmin(24, (double)level_count(24 * 100) / 100 * times);
	uint32_t target = PERIOD + go.headroom;

	wo.graph_ppm = same_clock ? ppm : 0;
	wo.guest_ppm = same_clock ? 0 : ppm;
	go.kind = GUEST_TIMER;
	run_hours(&wo, &go, hours);
	/* before it writes, the fill is the target; after it, a period more */
	assert_in_range(guest.smallest_fill, target - QUANTUM, target + QUANTUM);
	assert_in_range(guest.largest_fill, target + PERIOD - QUANTUM, target + PERIOD + QUANTUM);

	go.kind = GUEST_BLOCKING;
	go.buffer = 4 * PERIOD;
	run_hours(&wo, &go, hours);
	assert_in_range(guest.smallest_fill, 3 * PERIOD - QUANTUM, 3 * PERIOD);
	assert_int_equal(guest.largest_fill, 4 * PERIOD);
}

static void graph_is_fast(void **state)
{
	(void)state;
	days(true, 300, 10);
}

static void graph_is_slow(void **state)
{
	(void)state;
	days(true, -300, 1);
}

static void guest_is_fast(void **state)
{
	(void)state;
	days(false, 300, 1);
}

static void guest_is_slow(void **state)
{
	(void)state;
	days(false, -300, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(graph_is_fast),
		cmocka_unit_test(graph_is_slow),
		cmocka_unit_test(guest_is_fast),
		cmocka_unit_test(guest_is_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
