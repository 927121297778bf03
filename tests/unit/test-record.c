/* SPDX-License-Identifier: MIT */
/* The position record and the guest's word: what is published is what is read, and only once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/record.h>
#include <xaring/shared.h>

static const struct xaring_record sample = {
	.word = 0x00011001,
	.pos = 0xfffffff0,
	.frames = 1024,
	.time_ns = UINT64_C(0x123456789abcdef0),
	.age_ns = 4711,
	.rate_mhz = 48000001,
	.delay = 2048,
	.xruns = 3,
	.gap = 999,
	.echo = 0xdeadbeef,
	.echo_age_ns = 0xfedcba98,
};

static void published_is_read_once(void **state)
{
	struct xaring_record_line line = {0};
	struct xaring_record record = {0};
	uint32_t writer = 0, reader = 0;

	(void)state;
	assert_int_equal(xaring_record_read(&line, &reader, &record), 0);
	xaring_record_publish(&line, &writer, &sample);
	assert_int_equal(writer, 2);
	assert_int_equal(line.seq, 2);
	assert_int_equal(xaring_record_read(&line, &reader, &record), 1);
	assert_int_equal(reader, 2);
	assert_int_equal(record.word, sample.word);
	assert_int_equal(record.pos, sample.pos);
	assert_int_equal(record.frames, sample.frames);
	assert_true(record.time_ns == sample.time_ns);
	assert_int_equal(record.age_ns, sample.age_ns);
	assert_int_equal(record.rate_mhz, sample.rate_mhz);
	assert_int_equal(record.delay, sample.delay);
	assert_int_equal(record.xruns, sample.xruns);
	assert_int_equal(record.gap, sample.gap);
	assert_int_equal(record.echo, sample.echo);
	assert_int_equal(record.echo_age_ns, sample.echo_age_ns);
	assert_int_equal(xaring_record_read(&line, &reader, &record), 0);
}

static void line_layout_is_followed(void **state)
{
	struct xaring_record_line line = {0};
	uint32_t words[sizeof(line) / 4];
	uint32_t writer = 0;

	(void)state;
	xaring_record_publish(&line, &writer, &sample);
	memcpy(words, &line, sizeof(line));
	assert_int_equal(words[1], sample.word);
	assert_int_equal(words[4], 0x9abcdef0);
	assert_int_equal(words[5], 0x12345678);
	assert_int_equal(words[11], sample.echo);
	assert_int_equal(words[12], sample.echo_age_ns);
}

static void sequence_wraps(void **state)
{
	struct xaring_record_line line = {.seq = 0xfffffffe};
	struct xaring_record record;
	uint32_t writer = 0xfffffffe, reader = 0xfffffffe;

	(void)state;
	xaring_record_publish(&line, &writer, &sample);
	assert_int_equal(writer, 0);
	assert_int_equal(xaring_record_read(&line, &reader, &record), 1);
	assert_int_equal(reader, 0);
}

static void another_writer_is_noticed(void **state)
{
	struct xaring_record_line line = {.seq = 101};
	struct xaring_record record;
	uint32_t writer = 50, reader = 100;

	(void)state;
	xaring_record_publish(&line, &writer, &sample);
	assert_int_equal(xaring_record_read(&line, &reader, &record), 1);
	assert_int_equal(reader, 52);
}

static void forever_odd_is_nothing_new(void **state)
{
	struct xaring_record_line line = {.seq = 7, .pos = 5};
	struct xaring_record record = sample;
	uint32_t reader = 6;

	(void)state;
	assert_int_equal(xaring_record_read(&line, &reader, &record), 0);
	assert_int_equal(reader, 6);
	assert_memory_equal(&record, &sample, sizeof(record));
}

static void word_packs_and_unpacks(void **state)
{
	uint32_t word = xaring_word(0x12345, XARING_STATE_PAUSED, 0xfabc);

	(void)state;
	assert_int_equal(word, 0x23453abc);
	assert_int_equal(xaring_word_generation(word), 0x2345);
	assert_int_equal(xaring_word_state(word), XARING_STATE_PAUSED);
	assert_int_equal(xaring_word_attach(word), 0xabc);
	assert_int_equal(xaring_word_state(0xfffff123), 15);
	assert_int_equal(xaring_word(0, (enum xaring_state)0x1f, 0), 0xf000);
}

static void attach_skips_zero(void **state)
{
	uint32_t attach = 0;

	(void)state;
	assert_int_equal(xaring_attach_next(0), 1);
	assert_int_equal(xaring_attach_next(0xfff), 0x1001);
	assert_int_equal(xaring_attach_next(0xffffffff), 1);
	for (int i = 0; i < 10000; i++) {
		uint32_t before = attach;

		attach = xaring_attach_next(attach);
		assert_int_not_equal(attach & XARING_WORD_ATTACH_MASK, 0);
		assert_true(attach > before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_is_read_once),
		cmocka_unit_test(line_layout_is_followed),
		cmocka_unit_test(sequence_wraps),
		cmocka_unit_test(another_writer_is_noticed),
		cmocka_unit_test(forever_odd_is_nothing_new),
		cmocka_unit_test(word_packs_and_unpacks),
		cmocka_unit_test(attach_skips_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
