/* SPDX-License-Identifier: MIT */
/*
 * The position record between two threads: whatever the reader gets was written as a whole, the
 * newest comes through in the end, and none comes twice.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/record.h>
#include <xaring/shared.h>

#include "level.h"
#include "watch.h"

#define SEEN_MIN 100u

static struct xaring_record_line line;
static uint32_t records; /* at least; and the writer goes on until the reader has seen enough */
static uint32_t enough;
static uint32_t written;

/* Every field follows from one number, each in another way. */
static struct xaring_record make(uint32_t n)
{
	return (struct xaring_record){
		.word = n,
		.pos = n * 3,
		.frames = n ^ 0x5a5a5a5a,
		.time_ns = n * UINT64_C(0x100000003),
		.age_ns = ~n,
		.rate_mhz = n * 5,
		.delay = n * 7,
		.xruns = n * 11,
		.gap = n * 13,
		.echo = n * 17,
		.echo_age_ns = n * 19,
	};
}

static bool is_whole(const struct xaring_record *r)
{
	struct xaring_record made = make(r->word);

	return r->pos == made.pos && r->frames == made.frames && r->time_ns == made.time_ns &&
	       r->age_ns == made.age_ns && r->rate_mhz == made.rate_mhz && r->delay == made.delay &&
	       r->xruns == made.xruns && r->gap == made.gap && r->echo == made.echo &&
	       r->echo_age_ns == made.echo_age_ns;
}

/* A writer that never pauses leaves hardly a record that can be read; the pauses vary. */
static void pause_for(uint32_t turns)
{
	for (uint32_t i = 0; i < turns; i++)
		(void)xaring_load(&line.reserved[0]);
}

static void *publish(void *data)
{
	uint32_t seq = 0xfffff000; /* wraps soon */

	(void)data;
	for (uint32_t i = 1; i <= records || !xaring_load(&enough); i++) {
		struct xaring_record record = make(i);

		xaring_record_publish(&line, &seq, &record);
		pause_for(i * 2654435761u >> 25);
		xaring_store(&written, i);
	}
	xaring_store(&line.reserved[1], 1);
	return NULL;
}

static void torn_records_are_never_seen(void **state)
{
	struct xaring_record record = {0};
	struct watch watch = {0};
	uint32_t seq = 0, last = 0, seen = 0, over = 0;
	pthread_t thread;

	(void)state;
	records = (uint32_t)level_count(20000000);
	assert_int_equal(pthread_create(&thread, NULL, publish, NULL), 0);
	while (!over || last != xaring_load(&written)) {
		over = xaring_load(&line.reserved[1]);
		if (!xaring_record_read(&line, &seq, &record)) {
			watch_turn(&watch, "the writer");
			continue;
		}
		watch = (struct watch){0};
		if (!is_whole(&record))
			fail_msg("torn record %u", record.word);
		if (record.word <= last)
			fail_msg("record %u after %u", record.word, last);
		last = record.word;
		xaring_store(&enough, ++seen >= SEEN_MIN);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	print_message("%u records written, %u seen\n", written, seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(torn_records_are_never_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
