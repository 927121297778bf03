/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic of the ring: exhaustively for small rings around the wrap of the counters, sampled
 * for large ones, and the copies for every frame size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/ring.h>

#include "level.h"

/* The same in 64 bits, which do not wrap: the difference that the counters stand for. */
static void check_pair(uint32_t cons, int64_t ahead, uint32_t capacity)
{
	uint32_t prod = cons + (uint32_t)ahead;
	uint32_t fill = ~0u, space = ~0u;
	int res = xaring_ring_fill(prod, cons, capacity, &fill);
	int again = xaring_ring_space(prod, cons, capacity, &space);

	assert_int_equal(res, again);
	if (ahead >= 0 && ahead <= (int64_t)capacity) {
		assert_int_equal(res, 0);
		assert_int_equal(fill, ahead);
		assert_int_equal(space, capacity - ahead);
	} else if (ahead < 0 && -ahead <= (int64_t)capacity) {
		assert_int_equal(res, 0);
		assert_int_equal(fill, 0);
		assert_int_equal(space, capacity);
	} else {
		assert_int_equal(res, -EPROTO);
		assert_int_equal(fill, 0);
		assert_int_equal(space, 0);
	}
}

static void small_rings_exhaustively(void **state)
{
	(void)state;
	for (uint32_t capacity = 1; capacity <= 64; capacity *= 2)
		for (uint32_t i = 0; i < 4 * capacity; i++)
			for (int64_t ahead = -256; ahead <= 256; ahead++) {
				check_pair(i - 2 * capacity, ahead, capacity);
				check_pair(i + 0x80000000 - 2 * capacity, ahead, capacity);
			}
}

static void large_rings_sampled(void **state)
{
	uint64_t random = 88172645463325252ull;

	(void)state;
	for (uint64_t i = 0; i < level_count(100000000); i++) {
		uint32_t capacity, edge;
		int64_t ahead;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		capacity = UINT32_C(1) << (random % 18 + 1);
		/* near one of the borders: 0, capacity, -capacity, +-2^31 */
		edge = (uint32_t)(random >> 8) % 5;
		ahead = (int64_t)(random >> 40) % 5 - 2;
		ahead += edge == 1 ? capacity : edge == 2 ? -(int64_t)capacity : 0;
		ahead += edge == 3 ? INT32_MAX - 2 : edge == 4 ? INT32_MIN + 2 : 0;
		check_pair((uint32_t)(random >> 24), ahead, capacity);
	}
}

/* Frame i of the stream, byte by byte: differs from its neighbours and from a lap before. */
static void make_frames(uint8_t *to, uint32_t index, uint32_t frames, uint32_t frame_bytes)
{
	for (uint32_t i = 0; i < frames; i++)
		for (uint32_t b = 0; b < frame_bytes; b++)
			*to++ = (uint8_t)((index + i) * 2654435761u >> (b % 4 * 8));
}

static void copies_wrap_for(uint32_t frame_bytes, uint32_t capacity)
{
	size_t bytes = (size_t)capacity * frame_bytes;
	uint8_t *guarded = malloc(bytes + 128), *made = malloc(bytes), *got = malloc(bytes);
	struct xaring_ring ring = {guarded + 64, capacity, frame_bytes};
	uint32_t index = 0u - 2 * capacity;

	memset(guarded, 0xa5, bytes + 128);
	for (uint32_t frames = 0; frames <= capacity; frames++, index += capacity / 3 + 1) {
		make_frames(made, index, frames, frame_bytes);
		xaring_ring_write(&ring, index, made, frames);
		memset(got, 0, bytes);
		xaring_ring_read(&ring, index, got, frames);
		assert_memory_equal(got, made, frames * frame_bytes);
	}
	for (int i = 0; i < 64; i++) {
		assert_int_equal(guarded[i], 0xa5);
		assert_int_equal(guarded[64 + bytes + (size_t)i], 0xa5);
	}
	free(guarded);
	free(made);
	free(got);
}

static void copies_wrap(void **state)
{
	(void)state;
	for (uint32_t frame_bytes = 1; frame_bytes <= 32; frame_bytes++)
		for (uint32_t capacity = 1; capacity <= 256; capacity *= 4)
			copies_wrap_for(frame_bytes, capacity);
}

/* Both sides at random against a model, across the wrap: nothing lost, nothing twice. */
static void random_walk_is_exact(void **state)
{
	enum { CAPACITY = 64, FRAME = 6 };
	uint8_t data[CAPACITY * FRAME], made[CAPACITY * FRAME], got[CAPACITY * FRAME];
	struct xaring_ring ring = {data, CAPACITY, FRAME};
	uint32_t prod = 0xfffff000, cons = prod, n, limit;

	(void)state;
	srand(1);
	for (uint64_t i = 0; i < level_count(5000000); i++) {
		assert_int_equal(xaring_ring_space(prod, cons, CAPACITY, &limit), 0);
		n = (uint32_t)rand() % (limit + 1);
		make_frames(made, prod, n, FRAME);
		xaring_ring_write(&ring, prod, made, n);
		prod += n;
		assert_int_equal(xaring_ring_fill(prod, cons, CAPACITY, &limit), 0);
		n = (uint32_t)rand() % (limit + 1);
		xaring_ring_read(&ring, cons, got, n);
		make_frames(made, cons, n, FRAME);
		if (memcmp(got, made, n * FRAME) != 0)
			fail_msg("frames from %u are wrong", cons);
		cons += n;
	}
	assert_true(cons < 0x80000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_rings_exhaustively),
		cmocka_unit_test(large_rings_sampled),
		cmocka_unit_test(copies_wrap),
		cmocka_unit_test(random_walk_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
