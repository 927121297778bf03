/* SPDX-License-Identifier: MIT */
/* The numbered rules of pump.h, one by one, on pages in memory; and what a hostile guest gets. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pump.h"

#define QUANTUM 256u
#define BASE    0xffffff00u /* the counters wrap early */
#define SECRET  UINT64_C(0x1122334455667788)

static struct xaring_control_page page;
static struct xaring_pages pages;
static struct xaring_shape shape;
static struct xaring_params params;
static struct pump pump;
static struct pump_cycle cycle;
static uint8_t out[8192 * 32];
static uint32_t reader;
static uint32_t attach;

static void begin_with(enum xaring_format format, uint32_t channels,
		       enum xaring_direction direction)
{
	struct xaring_refusal refusal;

	params = (struct xaring_params){.direction = direction,
					.format = format,
					.rate_hz = 48000,
					.channels = channels,
					.buffer = 4096,
					.period = 1024};
	assert_int_equal(xaring_params_shape(&params, &shape, &refusal), 0);
	memset(&page, 0, sizeof(page));
	free(pages.data);
	pages.data_bytes = (uint64_t)shape.data_pages * XARING_PAGE_BYTES;
	pages.data = calloc(1, pages.data_bytes);
	pages.control = &page;
	cycle = (struct pump_cycle){.age_ns = 1000, .rate_mhz = 48000000, .delay = 700};
	cycle.time_ns = 5000000000;
	reader = 0;
	pump_init(&pump, &params, &shape, &pages, SECRET);
	pump_attach(&pump);
	attach = page.backend.attach;
}

static int setup(void **state)
{
	(void)state;
	begin_with(XARING_FORMAT_S16, 2, XARING_PLAYBACK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(pages.data);
	pages.data = NULL;
	return 0;
}

/* Frame i, byte b: told apart from its neighbours, and never silence. */
static uint8_t content(uint32_t index, uint32_t b)
{
	return (uint8_t)((index * 2654435761u) >> (8 * (b % 4))) | 1;
}

static void guest_writes(uint32_t to)
{
	for (uint32_t i = page.guest.pos; i != to; i++)
		for (uint32_t b = 0; b < shape.frame_bytes; b++)
			((uint8_t *)
				 pages.data)[(i & (shape.capacity - 1)) * shape.frame_bytes + b] =
				content(i, b);
	page.guest.pos = to;
}

static void guest_says(uint32_t generation, enum xaring_state state)
{
	page.guest.word = xaring_word(generation, state, attach);
}

static void guest_starts(uint32_t generation, uint32_t base, uint32_t frames)
{
	page.guest.base = base;
	page.guest.pos = base;
	guest_writes(base + frames);
	guest_says(generation, XARING_STATE_RUNNING);
}

static void run_cycle(void)
{
	memset(out, 0x77, sizeof(out));
	pump_playback(&pump, out, QUANTUM, &cycle);
	cycle.time_ns += 5333333;
	for (size_t i = 0; i < 64; i++) /* exactly the frames that were asked for */
		assert_int_equal(out[QUANTUM * shape.frame_bytes + i], 0x77);
}

static void run_cycles(int n)
{
	while (n-- > 0)
		run_cycle();
}

/* The buffer holds frames [index, index + frames) from `at` on. */
static void assert_frames(uint32_t at, uint32_t index, uint32_t frames)
{
	for (uint32_t i = 0; i < frames; i++)
		for (uint32_t b = 0; b < shape.frame_bytes; b++)
			assert_int_equal(out[(at + i) * shape.frame_bytes + b],
					 content(index + i, b));
}

static void assert_silence(uint32_t at, uint32_t frames)
{
	uint8_t silent = params.format == XARING_FORMAT_U8 ? 0x80 : 0;

	for (uint32_t i = at * shape.frame_bytes; i < (at + frames) * shape.frame_bytes; i++)
		assert_int_equal(out[i], silent);
}

static struct xaring_record record;

static bool new_record(void)
{
	return xaring_record_read(&page.record, &reader, &record) == 1;
}

static void assert_record(uint32_t pos, uint32_t frames, uint32_t xruns, uint32_t gap)
{
	assert_true(new_record());
	assert_int_equal(record.word, page.guest.word);
	assert_int_equal(record.pos, pos);
	assert_int_equal(record.frames, frames);
	assert_int_equal(record.xruns, xruns);
	assert_int_equal(record.gap, gap);
}

static void says_accepted_and_attaches(void **state)
{
	(void)state;
	assert_int_equal(page.backend.alive, 1);
	assert_int_equal(page.backend.status, XARING_BACKEND_ACCEPTED);
	assert_int_equal(page.backend.attach, 1);
	/* a successor goes on from the numbers that it finds */
	page.backend.attach = 0xfff;
	page.record.seq = 7;
	pump_init(&pump, &params, &shape, &pages, 0);
	assert_int_equal(page.backend.attach, 0xfff);
	pump_attach(&pump);
	assert_int_equal(page.backend.attach, 0x1001);
	assert_int_equal(pump.seq, 8);
}

static void peeks(void **state)
{
	(void)state;
	assert_int_equal(pump_peek(&pump), XARING_STATE_STOPPED);
	guest_says(1, XARING_STATE_PAUSED);
	assert_int_equal(pump_peek(&pump), XARING_STATE_PAUSED);
	guest_says(1, (enum xaring_state)4);
	assert_int_equal(pump_peek(&pump), -EPROTO);
}

static void primes_then_plays(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	page.guest.stamp = 0xabcd;
	run_cycle();
	assert_silence(0, QUANTUM);
	assert_record(BASE, QUANTUM, 0, 0);
	assert_int_equal(record.echo, 0xabcd);
	assert_true(record.time_ns == 5000000000 + SECRET);
	assert_int_equal(record.age_ns, 1000);
	assert_int_equal(record.rate_mhz, 48000000);
	assert_int_equal(record.delay, 700 + QUANTUM);
	for (uint32_t i = 0; i < 16; i++) {
		run_cycle();
		assert_frames(0, BASE + i * QUANTUM, QUANTUM);
		assert_record(BASE + (i + 1) * QUANTUM, QUANTUM, 0, 0);
	}
	assert_int_equal(pump.consumed, 4096);
	assert_int_equal(pump.cycles, 17);
}

static uint32_t echo_age_of_next(void)
{
	run_cycle();
	assert_true(new_record());
	return record.echo_age_ns;
}

/* From the look of the cycle that saw it first to that of the cycle that says so. */
static void a_stamp_is_told_with_its_age(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	assert_int_equal(echo_age_of_next(), 0); /* none */
	assert_int_equal(echo_age_of_next(), 0);
	page.guest.stamp = 7;
	assert_int_equal(echo_age_of_next(), 0);
	assert_int_equal(record.echo, 7);
	cycle.age_ns = 301000; /* a late one */
	assert_int_equal(echo_age_of_next(), 5333333 + 300000);
	cycle.age_ns = 1000;
	assert_int_equal(echo_age_of_next(), 2 * 5333333);
	page.guest.stamp = 8;
	assert_int_equal(echo_age_of_next(), 0);
	assert_int_equal(echo_age_of_next(), 5333333);
	/* Also when a cycle that sees it has no record to tell of it. */
	page.guest.stamp = 9;
	guest_says(1, XARING_STATE_PAUSED);
	run_cycles(3);
	assert_true(new_record());
	assert_int_equal(record.echo, 9);
	guest_says(1, XARING_STATE_RUNNING);
	assert_int_equal(echo_age_of_next(), 3 * 5333333);
	/* Never more than there is room for, and never something of the future. */
	cycle.time_ns += 4294967295;
	assert_int_equal(echo_age_of_next(), 4294967295);
	cycle.time_ns -= 8000000000;
	assert_int_equal(echo_age_of_next(), 0);
}

static void underrun_is_one_gap(void **state)
{
	(void)state;
	guest_starts(1, BASE, 300);
	run_cycles(2);
	run_cycle();
	assert_frames(0, BASE + 256, 44);
	/* 2 ms of ramp, then nothing */
	assert_silence(44 + 96, QUANTUM - 44 - 96);
	assert_record(BASE + 300, QUANTUM, 1, QUANTUM - 44);
	run_cycles(3);
	assert_silence(0, QUANTUM);
	assert_record(BASE + 300, QUANTUM, 1, 4 * QUANTUM - 44);
	/* what comes late is primed, played whole, and the silence is still the same gap */
	guest_writes(BASE + 1000);
	run_cycle();
	assert_silence(0, QUANTUM);
	assert_record(BASE + 300, QUANTUM, 1, 5 * QUANTUM - 44);
	run_cycle();
	assert_frames(0, BASE + 300, QUANTUM);
	assert_record(BASE + 556, QUANTUM, 1, 5 * QUANTUM - 44);
	/* the next one is a new gap */
	run_cycles(2);
	assert_record(BASE + 1000, QUANTUM, 2, 5 * QUANTUM - 44 + 68);
	assert_int_equal(pump.xruns, 2);
}

static int16_t sample_at(uint32_t frame, uint32_t channel)
{
	int16_t value;

	memcpy(&value, out + frame * shape.frame_bytes + channel * 2, 2);
	return value;
}

static void ramp_goes_down_to_silence(void **state)
{
	int16_t last[2] = {30000, -20000};

	(void)state;
	guest_starts(1, 0, 300);
	memcpy((uint8_t *)pages.data + 299 * 4, last, sizeof(last));
	run_cycles(3);
	assert_int_equal(sample_at(43, 0), 30000);
	for (uint32_t i = 0; i < 96; i++) {
		assert_int_equal(sample_at(44 + i, 0), 30000 * (95 - (int)i) / 96);
		assert_int_equal(sample_at(44 + i, 1), -20000 * (95 - (int)i) / 96);
	}
}

static void ramp_is_cut_to_what_is_missing(void **state)
{
	(void)state;
	guest_starts(1, 0, 2 * QUANTUM - 10);
	run_cycles(3);
	assert_frames(0, QUANTUM, QUANTUM - 10);
	assert_true(abs(sample_at(QUANTUM - 10, 0)) <= abs(sample_at(QUANTUM - 11, 0)));
	assert_int_equal(sample_at(QUANTUM - 1, 0), 0);
	/* an underrun between two cycles ramps from the frame before */
	begin_with(XARING_FORMAT_S16, 2, XARING_PLAYBACK);
	guest_starts(1, 0, QUANTUM);
	((int16_t *)pages.data)[2 * (QUANTUM - 1)] = 9600;
	run_cycles(3);
	assert_int_equal(sample_at(0, 0), 9500);
	assert_int_equal(sample_at(95, 0), 0);
}

/* The largest value of a format goes down in a straight line in all of them. */
static void ramp_of(enum xaring_format format, const void *largest, double full)
{
	uint8_t *at;

	begin_with(format, 1, XARING_PLAYBACK);
	guest_starts(1, 0, QUANTUM);
	at = (uint8_t *)pages.data + (QUANTUM - 1) * shape.frame_bytes;
	memcpy(at, largest, shape.frame_bytes);
	run_cycles(3);
	for (uint32_t i = 0; i < 96; i++) {
		double value = 0, wanted = full * (95 - (int)i) / 96;
		int32_t whole = 0;
		float f;

		at = out + i * shape.frame_bytes;
		memcpy(&whole, at, shape.frame_bytes);
		memcpy(&f, at, shape.frame_bytes < 4 ? 0 : 4);
		if (format == XARING_FORMAT_FLOAT)
			value = (double)f;
		else if (format == XARING_FORMAT_U8)
			value = at[0] - 0x80;
		else if (format == XARING_FORMAT_S24_3)
			value = (int32_t)((uint32_t)whole << 8) / 256;
		else
			value = whole;
		assert_true(fabs(value - wanted) <= (format == XARING_FORMAT_FLOAT ? 1e-6 : 1.0));
	}
	assert_silence(96, QUANTUM - 96);
}

static void ramps_in_every_format(void **state)
{
	const float one = 1.0f;

	(void)state;
	ramp_of(XARING_FORMAT_U8, "\xff", 127);
	ramp_of(XARING_FORMAT_U8, "\x00", -128);
	ramp_of(XARING_FORMAT_S24, "\xff\xff\x7f\x00", 8388607);
	ramp_of(XARING_FORMAT_S24, "\x00\x00\x80\xff", -8388608);
	ramp_of(XARING_FORMAT_S24, "\x00\x00\x80\x00", -8388608); /* the high byte does not count */
	ramp_of(XARING_FORMAT_S24_3, "\xff\xff\x7f", 8388607);
	ramp_of(XARING_FORMAT_S24_3, "\x00\x00\x80", -8388608);
	ramp_of(XARING_FORMAT_S32, "\xff\xff\xff\x7f", 2147483647.0);
	ramp_of(XARING_FORMAT_S32, "\x00\x00\x00\x80", -2147483648.0);
	ramp_of(XARING_FORMAT_FLOAT, &one, 1.0);
}

static void ramp_of_the_largest_float_gets_no_larger(void **state)
{
	const float largest = -16777215.0f;
	float value;

	(void)state;
	begin_with(XARING_FORMAT_FLOAT, 1, XARING_PLAYBACK);
	guest_starts(1, 0, QUANTUM);
	memcpy((uint8_t *)pages.data + (QUANTUM - 1) * 4, &largest, 4);
	run_cycles(3);
	for (uint32_t i = 0; i < QUANTUM; i++) {
		memcpy(&value, out + i * 4, 4);
		assert_true(value <= 0 && value >= largest);
	}
}

static void u8_is_silent_in_the_middle(void **state)
{
	(void)state;
	begin_with(XARING_FORMAT_U8, 1, XARING_PLAYBACK);
	run_cycle();
	assert_silence(0, QUANTUM);
	guest_starts(1, 0, 4096);
	run_cycle();
	assert_silence(0, QUANTUM);
	/* nothing was given out before this underrun: no ramp from a frame that never was */
	begin_with(XARING_FORMAT_U8, 1, XARING_PLAYBACK);
	guest_starts(1, 0, 0);
	run_cycles(2);
	assert_silence(0, QUANTUM);
	assert_int_equal(pump.xruns, 1);
}

/* Below 2^24 all are played as they are; beyond is what is no sound, and would become infinite. */
static void only_floats_that_are_no_sound_change(void **state)
{
	static const uint32_t bits[] = {0x7f800000, 0xff800000, 0x7fc00001, 0xffffffff, 0x7f7fffff,
					0xff7fffff, 0x4b800000, 0xcb800000, 0x4b7fffff, 0xcb7fffff,
					0x00000001, 0x80000000, 0x3f800000, 0xc2f00000};
	static const uint32_t played[] = {0,          0,          0,          0,
					  0,          0,          0,          0,
					  0x4b7fffff, 0xcb7fffff, 0x00000001, 0x80000000,
					  0x3f800000, 0xc2f00000};
	const float beyond = 16777216.0f;

	(void)state;
	assert_memory_equal(&beyond, &bits[6], sizeof(beyond));
	begin_with(XARING_FORMAT_FLOAT, 1, XARING_PLAYBACK);
	guest_starts(1, 0, 4096);
	memcpy(pages.data, bits, sizeof(bits));
	run_cycles(2);
	assert_memory_equal(out, played, sizeof(played));
	/* as integers the same bits are samples like any other */
	begin_with(XARING_FORMAT_S32, 1, XARING_PLAYBACK);
	guest_starts(1, 0, 4096);
	memcpy(pages.data, bits, sizeof(bits));
	run_cycles(2);
	assert_memory_equal(out, bits, sizeof(bits));
}

static void rewind_is_an_empty_ring(void **state)
{
	(void)state;
	guest_starts(1, BASE, 1024);
	run_cycles(3);
	page.guest.pos = BASE + 100;
	run_cycle();
	assert_int_equal(pump.reason, XARING_REASON_NONE);
	assert_int_equal(pump.xruns, 1);
	page.guest.pos = BASE + 2 * QUANTUM - shape.capacity;
	run_cycle();
	assert_int_equal(pump.reason, XARING_REASON_NONE);
	assert_int_equal(pump.xruns, 1);
	page.guest.pos = BASE + 512;
	guest_writes(BASE + 2048);
	run_cycles(2);
	assert_frames(0, BASE + 512, QUANTUM);
}

static void pause_keeps_the_index(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	run_cycles(3);
	assert_true(new_record());
	guest_says(1, XARING_STATE_PAUSED);
	run_cycle();
	assert_silence(0, QUANTUM);
	assert_record(BASE + 512, 0, 0, 0);
	run_cycles(5);
	assert_false(new_record());
	guest_says(1, XARING_STATE_RUNNING);
	run_cycle();
	assert_silence(0, QUANTUM);
	assert_record(BASE + 512, QUANTUM, 0, 0);
	run_cycle();
	assert_frames(0, BASE + 512, QUANTUM);
	assert_record(BASE + 768, QUANTUM, 0, 0);
}

static void pause_within_a_gap_ends_it(void **state)
{
	(void)state;
	guest_starts(1, BASE, 100);
	run_cycles(4);
	guest_says(1, XARING_STATE_PAUSED);
	run_cycles(10);
	guest_writes(BASE + 2000);
	guest_says(1, XARING_STATE_RUNNING);
	run_cycles(2);
	assert_frames(0, BASE + 100, QUANTUM);
	assert_record(BASE + 100 + QUANTUM, QUANTUM, 1, 3 * QUANTUM - 100);
}

static void stop_says_so_once_and_start_begins_anew(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	run_cycles(3);
	guest_says(1, XARING_STATE_STOPPED);
	run_cycle();
	assert_record(BASE + 512, 0, 0, 0);
	run_cycles(3);
	assert_false(new_record());
	/* what was written and dropped is not heard */
	guest_starts(2, BASE + 3000, 2000);
	run_cycle();
	assert_silence(0, QUANTUM);
	assert_record(BASE + 3000, QUANTUM, 0, 0);
	run_cycle();
	assert_frames(0, BASE + 3000, QUANTUM);
}

static void restart_between_two_cycles_is_noticed(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	run_cycles(3);
	guest_starts(2, BASE + 5000, 1000);
	run_cycle();
	assert_silence(0, QUANTUM);
	run_cycle();
	assert_frames(0, BASE + 5000, QUANTUM);
}

static void stopped_guest_gets_no_record_before_it_ran(void **state)
{
	(void)state;
	guest_says(0, XARING_STATE_STOPPED);
	run_cycles(5);
	assert_false(new_record());
	assert_silence(0, QUANTUM);
	/* paused over a change of workers: base counts, for it is the guest's position */
	page.guest.base = page.guest.pos = 777;
	guest_writes(3000);
	guest_says(1, XARING_STATE_PAUSED);
	run_cycle();
	assert_record(777, 0, 0, 0);
	guest_says(1, XARING_STATE_RUNNING);
	run_cycles(2);
	assert_frames(0, 777, QUANTUM);
}

static void drain_ends_without_a_gap(void **state)
{
	(void)state;
	guest_starts(1, BASE, 600);
	run_cycles(2);
	guest_says(1, XARING_STATE_DRAINING);
	assert_false(pump_is_drained(&pump));
	run_cycle();
	assert_false(pump_is_drained(&pump));
	run_cycle();
	assert_frames(0, BASE + 512, 88);
	assert_silence(88, QUANTUM - 88); /* no ramp */
	assert_record(BASE + 600, QUANTUM, 0, 0);
	assert_true(pump_is_drained(&pump));
	run_cycles(3);
	assert_silence(0, QUANTUM);
	assert_record(BASE + 600, QUANTUM, 0, 0);
	assert_true(pump_is_drained(&pump));
	guest_says(1, XARING_STATE_STOPPED);
	run_cycle();
	assert_false(pump_is_drained(&pump));
}

static void drain_of_an_exact_quantum(void **state)
{
	(void)state;
	guest_starts(1, BASE, QUANTUM);
	guest_says(1, XARING_STATE_DRAINING);
	run_cycle(); /* never ran: primed as always */
	assert_silence(0, QUANTUM);
	assert_false(pump_is_drained(&pump));
	run_cycle();
	assert_frames(0, BASE, QUANTUM);
	assert_true(pump_is_drained(&pump));
	assert_int_equal(pump.xruns, 0);
}

static void drain_after_a_gap_is_not_primed(void **state)
{
	(void)state;
	guest_starts(1, BASE, 100);
	run_cycles(3);
	guest_writes(BASE + 700);
	guest_says(1, XARING_STATE_DRAINING);
	run_cycle();
	assert_frames(0, BASE + 100, QUANTUM);
	run_cycle();
	assert_frames(0, BASE + 356, QUANTUM);
	run_cycle();
	assert_frames(0, BASE + 612, 88);
	assert_true(pump_is_drained(&pump));
	assert_int_equal(pump.xruns, 1);
	assert_int_equal(pump.gap, QUANTUM - 100 + QUANTUM);
	/* a gap that is drained without anything in it counts no further */
	begin_with(XARING_FORMAT_S16, 2, XARING_PLAYBACK);
	guest_starts(1, BASE, 100);
	run_cycles(2);
	guest_says(1, XARING_STATE_DRAINING);
	run_cycles(4);
	assert_true(pump_is_drained(&pump));
	assert_int_equal(pump.gap, QUANTUM - 100);
}

static void withdrawn_is_asked_once(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	run_cycles(3);
	page.guest.word = xaring_word(1, XARING_STATE_RUNNING, 0);
	assert_true(new_record());
	run_cycle();
	assert_silence(0, QUANTUM);
	assert_false(new_record());
	assert_int_equal(page.backend.attach, attach + 1);
	run_cycles(10);
	assert_int_equal(page.backend.attach, attach + 1);
	/* the answer: from here, and nothing of what was between */
	attach++;
	page.guest.base = BASE + 2000;
	guest_says(1, XARING_STATE_RUNNING);
	run_cycle();
	assert_silence(0, QUANTUM);
	assert_record(BASE + 2000, QUANTUM, 0, 0);
	run_cycle();
	assert_frames(0, BASE + 2000, QUANTUM);
	/* withdrawn again, the same word as before: asked again */
	page.guest.word = xaring_word(1, XARING_STATE_RUNNING, 0);
	run_cycle();
	assert_int_equal(page.backend.attach, attach + 1);
}

static void withdrawn_unseen_is_asked_again_in_time(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	page.guest.word = xaring_word(1, XARING_STATE_RUNNING, 0);
	run_cycle();
	assert_int_equal(page.backend.attach, attach + 1);
	/* answered and withdrawn between two cycles: 250 ms are 47 cycles of 256 */
	run_cycles(46);
	assert_int_equal(page.backend.attach, attach + 1);
	run_cycle();
	assert_int_equal(page.backend.attach, attach + 2);
}

static void gaps_are_counted_for_each_attach(void **state)
{
	(void)state;
	guest_starts(1, BASE, 100);
	run_cycles(3);
	assert_int_equal(pump.xruns, 1);
	pump_attach(&pump);
	attach = page.backend.attach;
	run_cycle();
	assert_silence(0, QUANTUM);
	guest_starts(1, BASE + 100, 1000);
	run_cycle();
	assert_record(BASE + 100, QUANTUM, 0, 0);
	assert_int_equal(pump.xruns, 1);
	/* a new generation within it goes on counting */
	run_cycles(5);
	assert_true(new_record());
	assert_int_equal(record.xruns, 1);
	guest_starts(2, BASE + 2000, 1000);
	run_cycle();
	assert_true(new_record());
	assert_int_equal(record.xruns, 1);
}

static void running_guest_is_attached_in_the_first_cycle(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	pump_init(&pump, &params, &shape, &pages, SECRET);
	assert_int_equal(page.backend.attach, 1);
	run_cycles(3);
	assert_silence(0, QUANTUM);
	assert_int_equal(page.backend.attach, 2);
	attach = 2;
	page.guest.base = BASE + 1000;
	guest_says(1, XARING_STATE_RUNNING);
	run_cycles(2);
	assert_frames(0, BASE + 1000, QUANTUM);
}

static void large_quantum_predicts_what_fits(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	pump_playback(&pump, out, 8192, &cycle);
	assert_record(BASE, shape.capacity - params.buffer, 0, 0);
	pump_playback(&pump, out, 8192, &cycle);
	assert_frames(0, BASE, 4096);
	assert_record(BASE + 4096, shape.capacity - params.buffer, 1, 4096);
}

static void assert_broken(enum xaring_reason reason)
{
	uint32_t seq = page.record.seq;

	assert_int_equal(pump.reason, reason);
	assert_int_equal(page.backend.status,
			 XARING_BACKEND_BROKEN | (uint32_t)reason << XARING_BACKEND_REASON_SHIFT);
	assert_silence(0, QUANTUM);
	/* sticky, whatever the guest does now */
	guest_starts(9, BASE, 4096);
	run_cycles(3);
	assert_silence(0, QUANTUM);
	assert_int_equal(pump.reason, reason);
	assert_int_equal(page.record.seq, seq);
}

static void impossible_state_breaks(void **state)
{
	for (uint32_t bad = 4; bad < 16; bad++) {
		setup(state);
		guest_starts(1, BASE, 4096);
		run_cycles(3);
		guest_says(1, (enum xaring_state)bad);
		run_cycle();
		assert_broken(XARING_REASON_WORD);
	}
}

static void impossible_counter_breaks(void **state)
{
	const uint32_t far[] = {shape.capacity + 1, 0u - shape.capacity - 1, 0x80000000,
				0x7fffffff};

	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		setup(state);
		guest_starts(1, BASE, 4096);
		run_cycles(3);
		page.guest.pos = BASE + 2 * QUANTUM + far[i];
		run_cycle();
		assert_broken(XARING_REASON_COUNTER);
		/* the same for the base of a start */
		setup(state);
		guest_starts(1, BASE, 4096);
		page.guest.base = page.guest.pos - far[i];
		run_cycle();
		assert_broken(XARING_REASON_COUNTER);
	}
}

static void word_that_never_settles_breaks(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	for (uint32_t i = 0; i < PUMP_UNSETTLED_MAX - 1; i++) {
		guest_says(i + 2, XARING_STATE_RUNNING);
		run_cycle();
		assert_int_equal(pump.reason, XARING_REASON_NONE);
	}
	guest_says(9999, XARING_STATE_RUNNING);
	run_cycle();
	assert_broken(XARING_REASON_UNSETTLED);
}

static void word_that_settles_does_not_break(void **state)
{
	(void)state;
	guest_starts(1, BASE, 4096);
	for (uint32_t i = 0; i < 4 * PUMP_UNSETTLED_MAX; i++) {
		if (i % 200 < 198)
			guest_says(i + 2, XARING_STATE_RUNNING);
		run_cycle();
		assert_int_equal(pump.reason, XARING_REASON_NONE);
	}
	/* states may change in every cycle */
	for (uint32_t i = 0; i < 2 * PUMP_UNSETTLED_MAX; i++) {
		guest_says(7, i % 2 ? XARING_STATE_RUNNING : XARING_STATE_PAUSED);
		run_cycle();
	}
	assert_int_equal(pump.reason, XARING_REASON_NONE);
}

static void capture_begins(void)
{
	begin_with(XARING_FORMAT_S16, 2, XARING_CAPTURE);
	page.guest.base = page.guest.pos = BASE;
	guest_says(1, XARING_STATE_RUNNING);
}

static void capture_cycle(uint32_t index)
{
	for (uint32_t i = 0; i < QUANTUM; i++)
		for (uint32_t b = 0; b < shape.frame_bytes; b++)
			out[i * shape.frame_bytes + b] = content(index + i, b);
	pump_capture(&pump, out, QUANTUM, &cycle);
}

static uint8_t ring_byte(uint32_t index, uint32_t b)
{
	return ((uint8_t *)pages.data)[(index & (shape.capacity - 1)) * shape.frame_bytes + b];
}

static void capture_delivers(void **state)
{
	(void)state;
	capture_begins();
	for (uint32_t i = 0; i < 8; i++) {
		capture_cycle(BASE + i * QUANTUM);
		assert_record(BASE + (i + 1) * QUANTUM, QUANTUM, 0, 0);
		assert_int_equal(record.delay, 700);
		page.guest.pos = record.pos;
	}
	for (uint32_t i = 0; i < 8 * QUANTUM; i++)
		assert_int_equal(ring_byte(BASE + i, 1), content(BASE + i, 1));
	guest_says(1, XARING_STATE_PAUSED);
	capture_cycle(0);
	assert_record(BASE + 8 * QUANTUM, 0, 0, 0);
	capture_cycle(0);
	assert_false(new_record());
	guest_says(1, XARING_STATE_DRAINING);
	capture_cycle(0);
	assert_record(BASE + 8 * QUANTUM, 0, 0, 0);
	capture_cycle(0);
	assert_false(new_record());
}

static void capture_drops_what_does_not_fit(void **state)
{
	uint32_t fits;

	(void)state;
	capture_begins();
	fits = shape.capacity / QUANTUM;
	for (uint32_t i = 0; i < fits; i++)
		capture_cycle(BASE + i * QUANTUM);
	assert_int_equal(pump.xruns, 0);
	capture_cycle(0);
	capture_cycle(0);
	assert_record(BASE + shape.capacity, 0, 1, 2 * QUANTUM);
	assert_int_equal(ring_byte(BASE, 0), content(BASE, 0));
	page.guest.pos = BASE + 100;
	capture_cycle(BASE + shape.capacity);
	assert_record(BASE + shape.capacity + 100, 100, 1, 3 * QUANTUM - 100);
	page.guest.pos = BASE + 4000;
	capture_cycle(0);
	assert_record(BASE + shape.capacity + 100 + QUANTUM, QUANTUM, 1, 3 * QUANTUM - 100);
}

static void capture_of_nothing_is_silence(void **state)
{
	(void)state;
	capture_begins();
	capture_cycle(BASE);
	pump_capture(&pump, NULL, QUANTUM, &cycle);
	assert_record(BASE + 2 * QUANTUM, QUANTUM, 0, 0);
	for (uint32_t i = 0; i < QUANTUM; i++) {
		assert_int_equal(ring_byte(BASE + i, 0), content(BASE + i, 0));
		assert_int_equal(ring_byte(BASE + QUANTUM + i, 0), 0);
	}
}

static void capture_is_erased(void **state)
{
	static const struct {
		enum xaring_format format;
		uint32_t channels;
		uint8_t silence;
	} cases[] = {{XARING_FORMAT_S16, 2, 0},
		     {XARING_FORMAT_U8, 7, 0x80},
		     {XARING_FORMAT_S24_3, 5, 0}};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		begin_with(cases[c].format, cases[c].channels, XARING_CAPTURE);
		memset(pages.data, 0x55, (size_t)shape.capacity * shape.frame_bytes);
		pump_erase(&pump);
		for (uint32_t i = 0; i < shape.capacity; i++)
			for (uint32_t b = 0; b < shape.frame_bytes; b++)
				assert_int_equal(ring_byte(i, b), cases[c].silence);
	}
}

static void capture_breaks_likewise(void **state)
{
	(void)state;
	capture_begins();
	capture_cycle(BASE);
	page.guest.pos = BASE - shape.capacity;
	capture_cycle(BASE);
	assert_int_equal(pump.reason, XARING_REASON_COUNTER);
	capture_cycle(BASE);
	capture_begins();
	guest_says(1, (enum xaring_state)12);
	capture_cycle(BASE);
	assert_int_equal(pump.reason, XARING_REASON_WORD);
	capture_begins();
	page.guest.word = xaring_word(1, XARING_STATE_RUNNING, 0);
	capture_cycle(BASE);
	assert_int_equal(page.backend.attach, attach + 1);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(says_accepted_and_attaches),
		RULE(peeks),
		RULE(primes_then_plays),
		RULE(a_stamp_is_told_with_its_age),
		RULE(underrun_is_one_gap),
		RULE(ramp_goes_down_to_silence),
		RULE(ramp_is_cut_to_what_is_missing),
		RULE(ramps_in_every_format),
		RULE(ramp_of_the_largest_float_gets_no_larger),
		RULE(u8_is_silent_in_the_middle),
		RULE(only_floats_that_are_no_sound_change),
		RULE(rewind_is_an_empty_ring),
		RULE(pause_keeps_the_index),
		RULE(pause_within_a_gap_ends_it),
		RULE(stop_says_so_once_and_start_begins_anew),
		RULE(restart_between_two_cycles_is_noticed),
		RULE(stopped_guest_gets_no_record_before_it_ran),
		RULE(drain_ends_without_a_gap),
		RULE(drain_of_an_exact_quantum),
		RULE(drain_after_a_gap_is_not_primed),
		RULE(withdrawn_is_asked_once),
		RULE(withdrawn_unseen_is_asked_again_in_time),
		RULE(gaps_are_counted_for_each_attach),
		RULE(running_guest_is_attached_in_the_first_cycle),
		RULE(large_quantum_predicts_what_fits),
		RULE(impossible_state_breaks),
		RULE(impossible_counter_breaks),
		RULE(word_that_never_settles_breaks),
		RULE(word_that_settles_does_not_break),
		RULE(capture_delivers),
		RULE(capture_drops_what_does_not_fit),
		RULE(capture_of_nothing_is_silence),
		RULE(capture_is_erased),
		RULE(capture_breaks_likewise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
