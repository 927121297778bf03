/* SPDX-License-Identifier: MIT */
/* The offset of two clocks: the truth stays inside, whatever drifts, jumps or lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <xaring/clock.h>

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)random_state * limit >> 32);
}

static void same_clock_is_known(void **state)
{
	struct xaring_clock c;

	(void)state;
	xaring_clock_init(&c, true);
	assert_true(xaring_clock_is_known(&c));
	xaring_clock_update(&c, 5 * S, 99 * S, true, 1 * S, 0);
	assert_true(xaring_clock_to_guest(&c, 1234567) == 1234567);
	assert_true(xaring_clock_width(&c) == 0);
	assert_int_equal(c.restarts, 0);
}

static void both_bounds_are_needed(void **state)
{
	struct xaring_clock c;

	(void)state;
	xaring_clock_init(&c, false);
	assert_false(xaring_clock_is_known(&c));
	/* offset is 100 s; written at guest time 10.000 s, seen 2 ms later */
	xaring_clock_update(&c, 110 * S, 10 * S + 2 * MS, false, 0, 0);
	assert_false(xaring_clock_is_known(&c));
	/* the next echoes a stamp that is 4 ms older than its writing */
	xaring_clock_update(&c, 110 * S + 20 * MS, 10 * S + 22 * MS, true, 10 * S + 16 * MS, 0);
	assert_true(xaring_clock_is_known(&c));
	assert_in_range(xaring_clock_width(&c), 6 * MS, 6 * MS + 50000);
	assert_in_range(xaring_clock_to_guest(&c, 110 * S), 10 * S - 1 * MS - 50000,
			10 * S - 1 * MS + 50000);
}

/* Runs two clocks for a while; checks that the truth is inside after every record. */
static uint64_t run(struct xaring_clock *c, int64_t offset_ns, int ppm, uint64_t seconds)
{
	uint64_t widest = 0;

	for (uint64_t t = S; t < (1 + seconds) * S; t += 20 * MS + random_below(2000000)) {
		uint64_t sent = t;
		uint64_t guest = t + (uint64_t)((int64_t)(t / 1000000) * ppm) - (uint64_t)offset_ns;
		uint64_t seen = guest + random_below(10000000);
		uint64_t echo = guest - random_below(10000000) - 1024;
		uint64_t mapped;

		xaring_clock_update(c, sent, seen, true, echo, 0);
		assert_true(xaring_clock_is_known(c));
		mapped = xaring_clock_to_guest(c, sent);
		assert_true(llabs((int64_t)(mapped - guest)) <=
			    (int64_t)(xaring_clock_width(c) / 2 + 1));
		if (t > 5 * S && xaring_clock_width(c) > widest)
			widest = xaring_clock_width(c);
	}
	return widest;
}

static void truth_stays_inside_at_any_drift(void **state)
{
	(void)state;
	for (int ppm = -900; ppm <= 900; ppm += 100) {
		struct xaring_clock c;

		xaring_clock_init(&c, false);
		assert_in_range(run(&c, INT64_C(-123456789012345), ppm, 30), 1, 8 * MS);
		assert_int_equal(c.restarts, 0);
	}
}

/* The guest's clock at this time of the backend's, which began at 0 and runs so much slower. */
static uint64_t guest_at(uint64_t backend_ns, int ppm)
{
	return backend_ns + 7 * S - (uint64_t)((int64_t)(backend_ns / 1000000) * ppm);
}

/*
 * A program that looks once in a second, and a backend with a cycle of 20 ms: the record that it
 * finds is young, the stamp in it is old. Returns the widest interval, and sees that the truth is in.
 */
static uint64_t look_seldom(struct xaring_clock *c, int ppm, bool age_is_told)
{
	const uint64_t cycle = 20 * MS;
	uint64_t widest = 0, stamped = 0, first = 0;

	xaring_clock_init(c, false);
	for (uint64_t now = 10 * S; now < 60 * S; now += S + random_below(5000000)) {
		uint64_t seen = guest_at(now, ppm), sent = now / cycle * cycle, mapped;
		uint32_t age = age_is_told ? (uint32_t)(sent - first) : 0;

		xaring_clock_update(c, sent, seen, stamped != 0, stamped, age);
		stamped = seen / 1024 * 1024;
		first = (now / cycle + 1) * cycle;
		if (!xaring_clock_is_known(c))
			continue;
		mapped = xaring_clock_to_guest(c, sent);
		assert_true(llabs((int64_t)(mapped - guest_at(sent, ppm))) <=
			    (int64_t)(xaring_clock_width(c) / 2 + 1));
		if (xaring_clock_width(c) > widest)
			widest = xaring_clock_width(c);
	}
	assert_int_equal(c->restarts, 0);
	return widest;
}

static void the_first_sight_of_a_stamp_is_what_counts(void **state)
{
	struct xaring_clock c;

	(void)state;
	for (int ppm = -900; ppm <= 900; ppm += 150) {
		assert_in_range(look_seldom(&c, ppm, true), 1, 22 * MS + 10000);
		assert_in_range(look_seldom(&c, ppm, false), 900 * MS, 1010 * MS);
	}
}

/* What was known when the stamp was made is known less well now. */
static void an_old_stamp_bounds_loosely(void **state)
{
	struct xaring_clock c;

	(void)state;
	xaring_clock_init(&c, false);
	xaring_clock_update(&c, 13 * S, 3 * S, true, 1 * S, 2 * S - MS);
	assert_in_range(xaring_clock_width(&c), MS + 2 * MS, MS + 2 * MS + 1000);
}

static void jump_starts_afresh(void **state)
{
	struct xaring_clock c;

	(void)state;
	xaring_clock_init(&c, false);
	run(&c, -(int64_t)(100 * S), 0, 5);
	run(&c, -(int64_t)(93 * S), 0, 1);
	assert_int_equal(c.restarts, 1);
	xaring_clock_init(&c, false);
	run(&c, -(int64_t)(100 * S), 0, 5);
	run(&c, -(int64_t)(107 * S), 0, 1);
	assert_int_equal(c.restarts, 1);
}

static void jump_without_echo_forgets_the_high_bound(void **state)
{
	struct xaring_clock c;

	(void)state;
	xaring_clock_init(&c, false);
	run(&c, 0, 0, 2);
	xaring_clock_update(&c, 100 * S, 10 * S, false, 0, 0);
	assert_int_equal(c.restarts, 1);
	assert_false(xaring_clock_is_known(&c));
}

static void lies_do_no_harm(void **state)
{
	struct xaring_clock c;

	(void)state;
	xaring_clock_init(&c, false);
	for (int i = 0; i < 100000; i++) {
		uint64_t sent = (uint64_t)random_below(UINT32_MAX) << 32 | random_below(UINT32_MAX);
		uint64_t seen = (uint64_t)i * 20 * MS;

		if (i % 3 == 0)
			sent = i % 2 ? 0 : UINT64_MAX;
		xaring_clock_update(&c, sent, seen, i % 5 != 0, random_below(UINT32_MAX),
				    i % 7 ? random_below(UINT32_MAX) : UINT32_MAX);
		if (xaring_clock_is_known(&c)) {
			assert_true(c.low_ns <= c.high_ns);
			(void)xaring_clock_to_guest(&c, sent);
		}
	}
	/* an echo from after the seeing: both bounds of one pair contradict each other */
	xaring_clock_init(&c, false);
	xaring_clock_update(&c, 10 * S, 5 * S, true, 6 * S, 0);
	assert_false(xaring_clock_is_known(&c));
	assert_int_equal(c.restarts, 1);
	/* a stamp that was seen before it can have been made */
	xaring_clock_init(&c, false);
	xaring_clock_update(&c, 10 * S, 5 * S, true, 4 * S, 3 * S);
	assert_false(xaring_clock_is_known(&c));
	/* one that was seen before time began */
	xaring_clock_init(&c, false);
	xaring_clock_update(&c, 1 * S, 5 * S, true, 4 * S, UINT32_MAX);
	assert_false(xaring_clock_is_known(&c));
}

static void bounds_saturate(void **state)
{
	struct xaring_clock c;

	(void)state;
	xaring_clock_init(&c, false);
	xaring_clock_update(&c, UINT64_C(1) << 63, 0, true, 0, 0);
	xaring_clock_update(&c, UINT64_C(1) << 63, S, false, 0, 0);
	assert_true(c.low_ns >= INT64_MIN);
	xaring_clock_init(&c, false);
	xaring_clock_update(&c, INT64_MAX, 0, true, 0, 0);
	assert_true(c.high_ns == INT64_MAX);
	xaring_clock_update(&c, INT64_MAX, 10 * S, false, 0, 0);
	assert_true(c.high_ns == INT64_MAX);
	/* the guest's clock stepping back does not tighten anything */
	xaring_clock_init(&c, false);
	xaring_clock_update(&c, 10 * S, 5 * S, true, 4 * S, 0);
	xaring_clock_update(&c, 9 * S, 4 * S, true, 3 * S, 0);
	assert_in_range(xaring_clock_width(&c), 1 * S, 1 * S + MS + 1);
}

static void stamps_come_back(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t made = (uint64_t)random_below(UINT32_MAX) << 20 | random_below(1 << 20);
		uint64_t later = made + random_below(UINT32_MAX);
		uint32_t secret = random_below(UINT32_MAX);
		uint64_t back =
			xaring_clock_unstamp(xaring_clock_stamp(made, secret), later, secret);

		assert_true(back <= made && made - back < 1024);
	}
	/* one from the future of a young guest */
	assert_true(xaring_clock_unstamp(xaring_clock_stamp(9 * S, 7), 5 * S, 7) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_clock_is_known),
		cmocka_unit_test(both_bounds_are_needed),
		cmocka_unit_test(truth_stays_inside_at_any_drift),
		cmocka_unit_test(the_first_sight_of_a_stamp_is_what_counts),
		cmocka_unit_test(an_old_stamp_bounds_loosely),
		cmocka_unit_test(jump_starts_afresh),
		cmocka_unit_test(jump_without_echo_forgets_the_high_bound),
		cmocka_unit_test(lies_do_no_harm),
		cmocka_unit_test(bounds_saturate),
		cmocka_unit_test(stamps_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
