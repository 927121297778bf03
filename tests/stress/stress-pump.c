/* SPDX-License-Identifier: MIT */
/*
 * The pump against a guest that rewrites every word of its pages at full speed: exactly the frames
 * that were asked for come out, nothing beside them is touched, it breaks for a reason or goes on,
 * and the guest's own reading of such pages is as harmless.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/clock.h>
#include <xaring/position.h>
#include <xaring/shared.h>

#include "level.h"
#include "pump.h"
#include "watch.h"

#define QUANTUM 256u
#define GUARD   64u

static struct xaring_control_page page;
static struct xaring_shape shape;
static const struct xaring_params params = {.format = XARING_FORMAT_FLOAT,
					    .rate_hz = 48000,
					    .channels = 7,
					    .buffer = 1024};
static uint8_t *samples;
static uint32_t near; /* a counter that would be plausible now */
static int stop;

/* The words that are rewritten: those of one line, or all. */
struct target {
	size_t first;
	size_t count;
};

static uint32_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

/* Mostly what comes close to an honest peer's value, so that the checks behind the first one work. */
static uint32_t some_value(uint64_t *random, size_t at)
{
	uint32_t any = next_random(random);

	if (any % 64 == 0)
		return next_random(random);
	if (at == offsetof(struct xaring_control_page, guest.word) / 4)
		return xaring_word(any >> 10 & 1, (enum xaring_state)(any >> 12 & 3),
				   xaring_load(&page.backend.attach));
	if (any % 8 == 0)
		return xaring_load((uint32_t *)&page + at) + any % 64;
	if (any % 8 == 1)
		return any % 4096;
	return __atomic_load_n(&near, __ATOMIC_RELAXED) + (any >> 8) % 2048;
}

static void *rewrite(void *data)
{
	const struct target *target = data;
	uint64_t random = 88172645463325252ull;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		size_t at = target->first + next_random(&random) % target->count;

		xaring_store((uint32_t *)&page + at, some_value(&random, at));
		xaring_copy_out(samples + next_random(&random) % (shape.capacity * 28 - 4), &random,
				4);
	}
	return NULL;
}

static pthread_t begin(struct target *target)
{
	struct xaring_refusal refusal;
	pthread_t thread;

	assert_int_equal(xaring_params_shape(&params, &shape, &refusal), 0);
	memset(&page, 0, sizeof(page));
	samples = calloc(shape.data_pages, XARING_PAGE_BYTES);
	assert_non_null(samples);
	stop = 0;
	assert_int_equal(pthread_create(&thread, NULL, rewrite, target), 0);
	return thread;
}

static void end(pthread_t thread)
{
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	free(samples);
}

static void check_out(const uint8_t *guarded)
{
	uint32_t bytes = QUANTUM * shape.frame_bytes, bits;

	for (uint32_t i = 0; i < GUARD; i++)
		if (guarded[i] != 0xa5 || guarded[GUARD + bytes + i] != 0xa5)
			fail_msg("wrote beside the buffer");
	for (uint32_t i = 0; i < bytes; i += 4) {
		memcpy(&bits, guarded + GUARD + i, 4);
		if ((bits & 0x7f800000) >= 0x4b800000)
			fail_msg("a float of 2^24 or more, or none, came through: %08x", bits);
	}
}

static void pump_survives(void **state)
{
	struct pump_cycle cycle = {.rate_mhz = 48000000};
	static uint8_t guarded[QUANTUM * PUMP_FRAME_BYTES_MAX + 2 * GUARD];
	uint32_t broken[XARING_REASON_LAST + 1] = {0}, consumed = 0;
	struct target target = {0, 5};
	pthread_t thread = begin(&target);
	struct watch watch = {0};
	struct pump pump;

	(void)state;
	/* How often the two meet is the scheduler's; that each kind of lie was met is the test's. */
	for (uint64_t i = 0; i < level_count(2000000) || !broken[XARING_REASON_COUNTER] ||
			     !broken[XARING_REASON_WORD] || !consumed;
	     i++) {
		struct xaring_pages pages = {&page, samples, shape.data_pages * XARING_PAGE_BYTES};

		if (i == 0 || pump.reason) {
			pump_init(&pump, &params, &shape, &pages, 12345);
			pump_attach(&pump);
		}
		memset(guarded, 0xa5, sizeof(guarded));
		pump_playback(&pump, guarded + GUARD, QUANTUM, &cycle);
		check_out(guarded);
		assert_true(pump_peek(&pump) <= XARING_STATE_PAUSED);
		broken[pump.reason]++;
		if (pump.reason)
			consumed += pump.consumed;
		__atomic_store_n(&near, pump.index, __ATOMIC_RELAXED);
		cycle.time_ns += 5333333;
		if (i >= level_count(2000000))
			watch_turn(&watch, "the hostile writer");
	}
	end(thread);
	print_message("broken: %u counter, %u word, %u unsettled; %u frames consumed\n",
		      broken[XARING_REASON_COUNTER], broken[XARING_REASON_WORD],
		      broken[XARING_REASON_UNSETTLED], consumed);
}

/* The reading side of a guest: the position goes forwards, and by no more than was written. */
static void position_survives(void **state)
{
	struct xaring_position position;
	struct xaring_clock clock;
	struct xaring_record record;
	uint32_t seq = 0, pos = 0, taken = 0;
	uint64_t now = 1000000000, random = 1;
	struct target target = {offsetof(struct xaring_control_page, record) / 4, 12};
	pthread_t thread = begin(&target);
	struct watch watch = {0};

	(void)state;
	xaring_position_init(&position, XARING_PLAYBACK, 48000);
	xaring_clock_init(&clock, false);
	xaring_position_start(&position, 0, now);
	for (uint64_t i = 0; i < level_count(10000000) || !taken; i++) {
		uint32_t written = pos + 1024, before = pos;

		now += next_random(&random) % 1000000;
		__atomic_store_n(&near, pos, __ATOMIC_RELAXED);
		if (xaring_record_read(&page.record, &seq, &record)) {
			xaring_clock_update(&clock, record.time_ns + record.age_ns, now,
					    record.echo != 0,
					    xaring_clock_unstamp(record.echo, now, 7),
					    record.echo_age_ns);
			taken += xaring_position_record(&position, &record, record.time_ns, now,
							written, shape.capacity) == 0;
		}
		pos = xaring_position_at(&position, now, written);
		if (pos - before > 1024)
			fail_msg("the position went from %u to %u", before, pos);
		if (xaring_position_delay(&position, now, written) > 4 * 48000 + shape.capacity)
			fail_msg("a delay of %u", xaring_position_delay(&position, now, written));
		if (xaring_position_when(&position, now, written) - now > UINT64_C(60000000000))
			fail_msg("a timer that is too late");
		if (i >= level_count(10000000))
			watch_turn(&watch, "the hostile writer");
	}
	end(thread);
	print_message("%u records taken, the clock began %u times\n", taken, clock.restarts + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pump_survives),
		cmocka_unit_test(position_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
