/* SPDX-License-Identifier: MIT */
/* The predicted position: each mode, each bound, both directions, and what a hostile record may do. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <xaring/position.h>

#define MS       UINT64_C(1000000)
#define S        UINT64_C(1000000000)
#define CAPACITY 8192u
#define T0       (1000 * S)

static struct xaring_position p;

static struct xaring_record record_at(uint32_t pos, uint32_t frames)
{
	return (struct xaring_record){.pos = pos,
				      .frames = frames,
				      .rate_mhz = 48000000,
				      .delay = 2048};
}

static void take(uint32_t pos, uint32_t frames, uint64_t at_ns, uint32_t written)
{
	struct xaring_record r = record_at(pos, frames);

	assert_int_equal(xaring_position_record(&p, &r, at_ns, at_ns, written, CAPACITY), 0);
}

/* Time that n frames take at 48 kHz, rounded up. */
static uint64_t ns(uint32_t n)
{
	return ((uint64_t)n * 1000000 + 47) / 48;
}

static int setup(void **state)
{
	(void)state;
	xaring_position_init(&p, XARING_PLAYBACK, 48000);
	return 0;
}

static void begins_stopped(void **state)
{
	(void)state;
	assert_int_equal(p.mode, XARING_POSITION_STOPPED);
	assert_int_equal(xaring_position_at(&p, T0, 5000), 0);
	assert_true(xaring_position_when(&p, T0, 0) == T0);
	assert_true(xaring_position_when(&p, T0, 1) == UINT64_MAX);
	assert_int_equal(xaring_position_delay(&p, T0, 5000), 5000);
}

static void waits_until_the_deadline(void **state)
{
	(void)state;
	xaring_position_start(&p, 100, T0 + 2 * S);
	assert_int_equal(p.mode, XARING_POSITION_WAITING);
	assert_int_equal(xaring_position_at(&p, T0 + 2 * S - 1, 9000), 100);
	assert_true(xaring_position_when(&p, T0, 200) == T0 + 2 * S);
	assert_true(xaring_position_when(&p, T0 + 3 * S, 200) == T0 + 3 * S);
	assert_int_equal(xaring_position_delay(&p, T0, 9000), 8900);
	/* late by 10 ms, and yet as if it had looked in time */
	assert_int_equal(xaring_position_at(&p, T0 + 2 * S + 10 * MS, 9000), 580);
	assert_int_equal(p.mode, XARING_POSITION_FREE);
}

static void follows_the_record_in_steps(void **state)
{
	(void)state;
	xaring_position_start(&p, 0, T0 + 2 * S);
	take(0, 1024, T0, 4096);
	assert_int_equal(p.mode, XARING_POSITION_LIVE);
	for (uint64_t t = 0; t < 30 * MS; t += 37777) {
		uint32_t exact = (uint32_t)(t * 48 / 1000000);
		uint32_t pos = xaring_position_at(&p, T0 + t, 4096);

		if (exact >= 1024) {
			assert_int_equal(pos, 1024);
			continue;
		}
		assert_true(pos <= exact && exact - pos < XARING_POSITION_STEP);
		assert_int_equal(pos % XARING_POSITION_STEP, 0);
	}
}

static void quantum_of_odd_size_is_reached(void **state)
{
	(void)state;
	take(0, 1000, T0, 4096);
	assert_int_equal(xaring_position_at(&p, T0 + ns(999), 4096), 992);
	assert_int_equal(xaring_position_at(&p, T0 + ns(1000), 4096), 1000);
	setup(NULL);
	take(0, 1000, T0, 4096);
	assert_true(xaring_position_when(&p, T0, 995) == T0 + ns(1000));
	assert_true(xaring_position_when(&p, T0, 1000) == T0 + ns(1000));
}

static void never_beyond_written_nor_backwards(void **state)
{
	(void)state;
	take(0, 1024, T0, 300);
	assert_int_equal(xaring_position_at(&p, T0 + 15 * MS, 300), 300);
	/* a rewind behind what was reported changes nothing */
	assert_int_equal(xaring_position_at(&p, T0 + 15 * MS, 200), 300);
	assert_int_equal(xaring_position_at(&p, T0 + 15 * MS, 0u - 100), 300);
	take(0, 1024, T0 + 15 * MS, 2000);
	assert_int_equal(xaring_position_at(&p, T0 + 15 * MS, 2000), 300);
	take(0u - 500, 1024, T0 + 16 * MS, 2000);
	assert_int_equal(xaring_position_at(&p, T0 + 16 * MS, 2000), 300);
	/* time that runs backwards */
	assert_int_equal(xaring_position_at(&p, T0, 2000), 300);
}

static void wraps(void **state)
{
	(void)state;
	xaring_position_start(&p, 0u - 512, T0 + S);
	take(0u - 512, 1024, T0, 3000);
	assert_int_equal(xaring_position_at(&p, T0 + ns(256), 3000), 0u - 256);
	assert_int_equal(xaring_position_at(&p, T0 + ns(1024), 3000), 512);
	assert_true(xaring_position_when(&p, T0, 512) == T0);
	take(512, 1024, T0 + ns(1024), 3000);
	assert_true(xaring_position_when(&p, T0, 640) == T0 + ns(1024) + ns(128));
}

static void when_is_when_it_gets_there(void **state)
{
	(void)state;
	for (uint32_t rate = 8000; rate <= 192000; rate += 1777) {
		xaring_position_init(&p, XARING_PLAYBACK, rate);
		struct xaring_record r = {.frames = 1024, .rate_mhz = rate * 1000 + 1234};

		assert_int_equal(xaring_position_record(&p, &r, T0, T0, 5000, CAPACITY), 0);
		for (uint32_t index = 1; index <= 1024; index += 41) {
			uint64_t when = xaring_position_when(&p, T0, index);
			struct xaring_position copy = p;

			assert_true(xaring_position_at(&copy, when, 5000) >= index);
			copy = p;
			assert_true(xaring_position_at(&copy, when - 1, 5000) < index);
		}
	}
}

static void when_free_is_when_it_gets_there(void **state)
{
	(void)state;
	for (uint32_t rate = 8000; rate <= 192000; rate += 1777) {
		xaring_position_init(&p, XARING_PLAYBACK, rate);
		xaring_position_free(&p, T0);
		for (uint32_t index = 1; index <= 1000000000; index = index * 3 + 5) {
			uint64_t when = xaring_position_when(&p, T0, index);
			struct xaring_position copy = p;

			assert_true(xaring_position_at(&copy, when, index + 64) >= index);
			copy = p;
			assert_true(xaring_position_at(&copy, when - 1, index + 64) < index);
		}
	}
}

static void beyond_prediction_waits_for_stale(void **state)
{
	(void)state;
	take(0, 1024, T0, 4096);
	assert_true(xaring_position_when(&p, T0, 1025) == T0 + 100 * MS);
	assert_true(xaring_position_when(&p, T0 + 200 * MS, 1025) == T0 + 200 * MS);
	take(0, 2048, T0, 4096);
	assert_true(xaring_position_when(&p, T0, 4000) > T0 + 127 * MS);
}

/* A record that is newer than the last look may have the index behind it already. */
static void when_it_is_there_unseen(void **state)
{
	(void)state;
	take(500, 1024, T0, 4096);
	assert_int_equal(p.pos, 0);
	assert_true(xaring_position_when(&p, T0 - MS, 400) == T0 - MS);
	assert_true(xaring_position_when(&p, T0 + MS, 400) == T0 + MS);
	/* a rewound index is behind the beginning of the free run */
	xaring_position_free(&p, T0);
	p.record_pos = 600;
	assert_true(xaring_position_when(&p, T0 + MS, 550) == T0 + MS);
}

static void long_sleep_does_not_overflow(void **state)
{
	(void)state;
	xaring_position_init(&p, XARING_PLAYBACK, 192000);
	struct xaring_record r = {.pos = 0,
				  .frames = 384000,
				  .rate_mhz = 201600000,
				  .delay = 384000};

	assert_int_equal(xaring_position_record(&p, &r, T0, T0, 8192, CAPACITY), 0);
	assert_int_equal(xaring_position_delay(&p, T0 + 1000000 * S, 8192), 8192);
	assert_int_equal(xaring_position_at(&p, T0 + 1000000 * S, 8192), 8192);
}

static void no_prediction_keeps_the_quantum(void **state)
{
	(void)state;
	take(0, 4096, T0, 4096);
	take(4096, 0, T0 + 85 * MS, 4096);
	assert_int_equal(xaring_position_at(&p, T0 + 90 * MS, 6000), 4096);
	/* stale after three of the quanta that there were, not after 100 ms */
	assert_int_equal(xaring_position_at(&p, T0 + 85 * MS + 200 * MS, 6000), 4096);
	assert_int_equal(p.mode, XARING_POSITION_LIVE);
	xaring_position_at(&p, T0 + 85 * MS + 257 * MS, 6000);
	assert_int_equal(p.mode, XARING_POSITION_FREE);
}

static void a_record_reaches_its_quantum(void **state)
{
	(void)state;
	take(100, 1024, T0, 4096);
	assert_true(xaring_position_reaches(&p, 0));
	assert_true(xaring_position_reaches(&p, 100 + 1024));
	assert_false(xaring_position_reaches(&p, 100 + 1025));
	xaring_position_init(&p, XARING_CAPTURE, 48000);
	take(5000, 1024, T0, 4096);
	assert_true(xaring_position_reaches(&p, 5000));
	assert_false(xaring_position_reaches(&p, 5001));
}

static void stale_is_three_quanta_or_a_tenth_of_a_second(void **state)
{
	(void)state;
	assert_true(xaring_position_stale_ns(&p) == 100 * MS);
	take(0, 1584, T0, 4096);
	assert_true(xaring_position_stale_ns(&p) == 100 * MS);
	take(0, 2400, T0, 4096);
	assert_true(xaring_position_stale_ns(&p) == 150 * MS);
	take(0, 0, T0, 4096);
	assert_true(xaring_position_stale_ns(&p) == 150 * MS);
}

static void goes_free_when_records_stop(void **state)
{
	(void)state;
	take(0, 1024, T0, 100000 % CAPACITY);
	assert_int_equal(xaring_position_at(&p, T0 + 100 * MS - 1, 8000), 1024);
	assert_int_equal(p.mode, XARING_POSITION_LIVE);
	assert_int_equal(xaring_position_at(&p, T0 + 100 * MS, 8000), 1024);
	assert_int_equal(p.mode, XARING_POSITION_FREE);
	assert_int_equal(xaring_position_at(&p, T0 + 110 * MS, 8000), 1024 + 480);
	assert_int_equal(xaring_position_delay(&p, T0 + 110 * MS, 8000), 8000 - 1024 - 480);
	/* one look after a long sleep sees all the time that went by */
	setup(NULL);
	take(0, 1024, T0, 4000);
	assert_int_equal(xaring_position_at(&p, T0 + 130 * MS, 4000), 1024 + 1440);
}

static void free_rests_at_the_end(void **state)
{
	(void)state;
	xaring_position_free(&p, T0);
	assert_int_equal(xaring_position_at(&p, T0 + S, 1000), 1000);
	/* what is written later takes its time from then on */
	assert_int_equal(xaring_position_at(&p, T0 + S + MS, 3000), 1048 / 16 * 16 + 8);
	assert_int_equal(xaring_position_at(&p, T0 + S + 10 * MS, 3000), 1480);
	/* a rewind while it rests */
	assert_int_equal(xaring_position_at(&p, T0 + 2 * S, 1200), 1480);
}

static void free_runs_for_years(void **state)
{
	uint64_t t = T0;
	uint32_t pos = 0, step;

	(void)state;
	xaring_position_init(&p, XARING_PLAYBACK, 44100);
	xaring_position_free(&p, t);
	for (int i = 0; i < 1000000; i++) {
		uint32_t before = pos;

		t += 300 * S / 1000;
		pos = xaring_position_at(&p, t, before + 40000);
		step = pos - before;
		assert_in_range(step, 13230 - 16, 13230 + 16);
	}
	assert_int_equal(pos, (uint32_t)(UINT64_C(13230) * 1000000 / 16 * 16));
	/* and is not confused by one that never looked */
	assert_int_equal(xaring_position_at(&p, UINT64_MAX - 5, pos + 777), pos + 777);
}

static void an_impossible_quantum_is_the_headroom(void **state)
{
	struct xaring_record r = record_at(0, UINT32_MAX);

	(void)state;
	xaring_position_init(&p, XARING_PLAYBACK, 44100);
	assert_int_equal(xaring_position_record(&p, &r, T0, T0, 4096, CAPACITY), 0);
	assert_int_equal(p.frames, 1882);
}

static void hostile_records_are_bounded(void **state)
{
	struct xaring_record r = record_at(0, 1024);

	(void)state;
	r.pos = 4096 + CAPACITY + 1;
	assert_int_equal(xaring_position_record(&p, &r, T0, T0, 4096, CAPACITY), -EPROTO);
	r.pos = 4096 - CAPACITY - 1;
	assert_int_equal(xaring_position_record(&p, &r, T0, T0, 4096, CAPACITY), -EPROTO);
	assert_int_equal(p.mode, XARING_POSITION_STOPPED);
	r.pos = 4096 + CAPACITY;
	assert_int_equal(xaring_position_record(&p, &r, T0, T0, 4096, CAPACITY), 0);
	assert_int_equal(xaring_position_at(&p, T0 + S / 20, 4096), 4096);

	setup(NULL);
	r = record_at(0, UINT32_MAX);
	r.rate_mhz = 1;
	r.delay = 96001;
	assert_int_equal(xaring_position_record(&p, &r, T0, T0, 4096, CAPACITY), 0);
	assert_int_equal(p.frames, 2048);
	assert_int_equal(p.rate_mhz, 48000000);
	assert_int_equal(p.delay, 0);
	r = record_at(0, 1024);
	r.rate_mhz = 48000000 / 100 * 105;
	r.delay = 96000;
	assert_int_equal(xaring_position_record(&p, &r, T0, T0, 4096, CAPACITY), 0);
	assert_int_equal(p.rate_mhz, 50400000);
	assert_int_equal(p.delay, 96000);
	r.rate_mhz++;
	assert_int_equal(xaring_position_record(&p, &r, T0, T0, 4096, CAPACITY), 0);
	assert_int_equal(p.rate_mhz, 48000000);
}

/* Records that come in time and consume nothing, or hardly anything, are none. */
static void goes_free_when_records_stand_still(void **state)
{
	(void)state;
	for (uint32_t i = 0; i <= 20; i++)
		take(i / 10, 0, T0 + i * 5 * MS, 4096);
	assert_int_equal(xaring_position_at(&p, T0 + 100 * MS, 4096), 2);
	assert_int_equal(p.mode, XARING_POSITION_FREE);
}

/* A cycle that primes, an underrun, and a backend that is slow are nothing of that kind. */
static void stays_live_while_there_is_progress(void **state)
{
	uint32_t pos = 0;

	(void)state;
	take(0, 8192, T0, CAPACITY);
	take(0, 8192, T0 + 170 * MS, CAPACITY);
	take(8192, 8192, T0 + 341 * MS, 2 * CAPACITY);
	xaring_position_at(&p, T0 + 345 * MS, 2 * CAPACITY);
	assert_int_equal(p.mode, XARING_POSITION_LIVE);
	setup(NULL);
	for (uint64_t t = 0; t < S; t += 5 * MS) {
		take(100, 1024, T0 + t, 100);
		xaring_position_at(&p, T0 + t, 100);
	}
	/* nobody has looked for a while when more is written */
	take(100, 1024, T0 + 3 * S, 900);
	assert_int_equal(xaring_position_at(&p, T0 + 3 * S, 900), 100);
	assert_int_equal(p.mode, XARING_POSITION_LIVE);
	setup(NULL);
	for (uint64_t t = 0; t < 4 * S; t += 20 * MS, pos += 300) {
		take(pos, 1024, T0 + t, pos + 4096);
		xaring_position_at(&p, T0 + t, pos + 4096);
		assert_int_equal(p.mode, XARING_POSITION_LIVE);
	}
}

static void impossible_times_mean_now(void **state)
{
	struct xaring_record r = record_at(0, 1024);

	(void)state;
	assert_int_equal(xaring_position_record(&p, &r, T0 + 1, T0, 4096, CAPACITY), 0);
	assert_true(p.record_ns == T0);
	assert_int_equal(xaring_position_record(&p, &r, UINT64_MAX, T0, 4096, CAPACITY), 0);
	assert_true(p.record_ns == T0);
	assert_int_equal(xaring_position_record(&p, &r, T0 - S - 1, T0, 4096, CAPACITY), 0);
	assert_true(p.record_ns == T0);
	assert_int_equal(xaring_position_record(&p, &r, T0 - S, T0, 4096, CAPACITY), 0);
	assert_true(p.record_ns == T0 - S);
	/* all of the quantum is over then, and the record is fresh nevertheless */
	assert_int_equal(xaring_position_at(&p, T0, 4096), 1024);
	assert_int_equal(p.mode, XARING_POSITION_LIVE);
}

static void delay_is_true(void **state)
{
	(void)state;
	take(0, 1024, T0, 4096);
	assert_int_equal(xaring_position_delay(&p, T0, 4096), 4096 + 2048);
	assert_int_equal(xaring_position_delay(&p, T0 + 10 * MS, 4096), 4096 + 2048 - 480);
	/* a late record does not stop the sound, until only what is visible is left */
	xaring_position_at(&p, T0 + 40 * MS, 4096);
	assert_int_equal(xaring_position_delay(&p, T0 + 40 * MS, 4096), 4096 + 2048 - 1920);
	assert_int_equal(xaring_position_delay(&p, T0 + 90 * MS, 4096), 4096 - 1024);
	/* never negative */
	assert_int_equal(xaring_position_delay(&p, T0 + 90 * MS, 100), 0);
}

static void delay_freezes_at_rest(void **state)
{
	uint32_t delay;

	(void)state;
	take(0, 1024, T0, 4096);
	xaring_position_at(&p, T0 + 10 * MS, 4096);
	delay = xaring_position_delay(&p, T0 + 10 * MS, 4096);
	xaring_position_stop(&p);
	assert_int_equal(xaring_position_delay(&p, T0 + 10 * MS, 4096), delay);
	assert_int_equal(xaring_position_delay(&p, T0 + 99 * S, 4096), delay);
	assert_int_equal(xaring_position_at(&p, T0 + 99 * S, 4096), 480);
	xaring_position_wait(&p, T0 + 101 * S);
	assert_int_equal(xaring_position_at(&p, T0 + 100 * S, 4096), 480);
}

static void capture_lags_by_a_quantum(void **state)
{
	(void)state;
	xaring_position_init(&p, XARING_CAPTURE, 48000);
	xaring_position_start(&p, 100, T0 + 2 * S);
	take(100 + 1024, 1024, T0, 100);
	assert_int_equal(xaring_position_at(&p, T0, 100), 100);
	assert_int_equal(xaring_position_at(&p, T0 + 10 * MS, 100), 580);
	assert_int_equal(xaring_position_at(&p, T0 + 50 * MS, 100), 1124);
	assert_true(xaring_position_when(&p, T0 + 50 * MS, 1124) == T0 + 50 * MS);
	take(100 + 2048, 1024, T0 + ns(1024), 100);
	assert_true(xaring_position_when(&p, T0, 1140) == T0 + ns(1024) + ns(16));
	/* the sound is 2048 before the record; 1000 frames were read */
	assert_int_equal(xaring_position_delay(&p, T0 + ns(1024), 1100), 1048 + 2048);
	/* after the last record silence is made at the nominal rate, beyond any limit */
	assert_int_equal(xaring_position_at(&p, T0 + ns(1024) + 200 * MS, 100), 2148 + 4800);
	assert_int_equal(p.mode, XARING_POSITION_FREE);
	assert_int_equal(xaring_position_delay(&p, T0 + 500 * MS, 6948), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(begins_stopped, setup),
		cmocka_unit_test_setup(waits_until_the_deadline, setup),
		cmocka_unit_test_setup(follows_the_record_in_steps, setup),
		cmocka_unit_test_setup(quantum_of_odd_size_is_reached, setup),
		cmocka_unit_test_setup(never_beyond_written_nor_backwards, setup),
		cmocka_unit_test_setup(wraps, setup),
		cmocka_unit_test_setup(when_is_when_it_gets_there, setup),
		cmocka_unit_test_setup(when_free_is_when_it_gets_there, setup),
		cmocka_unit_test_setup(beyond_prediction_waits_for_stale, setup),
		cmocka_unit_test_setup(when_it_is_there_unseen, setup),
		cmocka_unit_test_setup(long_sleep_does_not_overflow, setup),
		cmocka_unit_test_setup(no_prediction_keeps_the_quantum, setup),
		cmocka_unit_test_setup(a_record_reaches_its_quantum, setup),
		cmocka_unit_test_setup(stale_is_three_quanta_or_a_tenth_of_a_second, setup),
		cmocka_unit_test_setup(goes_free_when_records_stop, setup),
		cmocka_unit_test_setup(free_rests_at_the_end, setup),
		cmocka_unit_test_setup(free_runs_for_years, setup),
		cmocka_unit_test_setup(an_impossible_quantum_is_the_headroom, setup),
		cmocka_unit_test_setup(hostile_records_are_bounded, setup),
		cmocka_unit_test_setup(goes_free_when_records_stand_still, setup),
		cmocka_unit_test_setup(stays_live_while_there_is_progress, setup),
		cmocka_unit_test_setup(impossible_times_mean_now, setup),
		cmocka_unit_test_setup(delay_is_true, setup),
		cmocka_unit_test_setup(delay_freezes_at_rest, setup),
		cmocka_unit_test_setup(capture_lags_by_a_quantum, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
