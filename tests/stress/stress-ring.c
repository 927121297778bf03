/* SPDX-License-Identifier: MIT */
/*
 * The ring between two threads, across the wrap of the counters, for frame sizes that divide
 * nothing: every frame arrives once, in order and whole.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/ring.h>

#include "level.h"
#include "watch.h"

#define FRAME_MAX 32u
#define CHUNK_MAX 700u

struct run {
	struct xaring_ring ring;
	uint32_t first;
	uint64_t frames;
	uint32_t shared_prod; /* published counters, as in the control page */
	uint32_t shared_cons;
	int wrong;
};

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Whole frames depend on their index alone, each byte in another way. */
static void make_frame(uint8_t *to, uint32_t index, uint32_t frame_bytes)
{
	uint64_t mixed = (index ^ UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
	uint8_t bytes[FRAME_MAX];

	for (uint32_t i = 0; i < FRAME_MAX; i += 8) {
		mixed = (mixed ^ mixed >> 29) + i;
		memcpy(bytes + i, &mixed, 8);
	}
	memcpy(to, bytes, frame_bytes);
}

static void *produce(void *data)
{
	struct run *r = data;
	uint8_t chunk[CHUNK_MAX * FRAME_MAX];
	uint32_t prod = r->first, random = 1, space, n;
	struct watch watch = {0};

	for (uint64_t left = r->frames; left > 0;) {
		if (xaring_ring_space(prod, xaring_load(&r->shared_cons), r->ring.capacity,
				      &space) < 0) {
			__atomic_store_n(&r->wrong, 1, __ATOMIC_RELAXED);
			return NULL;
		}
		n = next_random(&random) % CHUNK_MAX + 1;
		n = n < space ? n : space;
		n = n < left ? n : (uint32_t)left;
		if (n == 0) {
			if (__atomic_load_n(&r->wrong, __ATOMIC_RELAXED))
				return NULL;
			watch_turn(&watch, "the consumer");
			continue;
		}
		for (uint32_t i = 0; i < n; i++)
			make_frame(chunk + i * r->ring.frame_bytes, prod + i, r->ring.frame_bytes);
		xaring_ring_write(&r->ring, prod, chunk, n);
		prod += n;
		xaring_store(&r->shared_prod, prod);
		left -= n;
		watch = (struct watch){0};
	}
	return NULL;
}

static int consume_chunk(struct run *r, uint32_t cons, uint32_t n)
{
	uint8_t chunk[CHUNK_MAX * FRAME_MAX], wanted[FRAME_MAX];

	xaring_ring_read(&r->ring, cons, chunk, n);
	for (uint32_t i = 0; i < n; i++) {
		make_frame(wanted, cons + i, r->ring.frame_bytes);
		if (memcmp(chunk + i * r->ring.frame_bytes, wanted, r->ring.frame_bytes) != 0)
			return -1;
	}
	return 0;
}

static void consume(struct run *r)
{
	uint32_t cons = r->first, random = 2, fill, n;
	struct watch watch = {0};

	for (uint64_t left = r->frames; left > 0 && !r->wrong;) {
		if (xaring_ring_fill(xaring_load(&r->shared_prod), cons, r->ring.capacity, &fill) <
		    0)
			break;
		n = next_random(&random) % CHUNK_MAX + 1;
		n = n < fill ? n : fill;
		if (n == 0) {
			if (__atomic_load_n(&r->wrong, __ATOMIC_RELAXED))
				break;
			watch_turn(&watch, "the producer");
			continue;
		}
		if (consume_chunk(r, cons, n) < 0) {
			fprintf(stderr, "frames from %u on are wrong\n", cons);
			break;
		}
		cons += n;
		xaring_store(&r->shared_cons, cons);
		left -= n;
		watch = (struct watch){0};
		if (left == 0)
			return;
	}
	__atomic_store_n(&r->wrong, 1, __ATOMIC_RELAXED);
}

static void run_with(uint32_t frame_bytes, uint32_t capacity, uint64_t frames)
{
	struct run r = {.frames = frames};
	pthread_t thread;

	r.first = 0u - (uint32_t)(frames / 3);
	r.shared_prod = r.shared_cons = r.first;
	r.ring =
		(struct xaring_ring){malloc((size_t)capacity * frame_bytes), capacity, frame_bytes};
	assert_non_null(r.ring.data);
	assert_int_equal(pthread_create(&thread, NULL, produce, &r), 0);
	consume(&r);
	assert_int_equal(pthread_join(thread, NULL), 0);
	free(r.ring.data);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(r.shared_cons, r.first + (uint32_t)frames);
}

static void odd_frames_across_the_wrap(void **state)
{
	static const uint32_t sizes[] = {3, 6, 12, 18, 24, 32};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		run_with(sizes[i], i % 2 ? 4096 : 512, level_count(100000000) / 6 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_frames_across_the_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
