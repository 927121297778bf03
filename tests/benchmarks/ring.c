/* SPDX-License-Identifier: MIT */
/*
 * What one write and one read of a block cost in three rings, in one program and one run: xaring's
 * (with its layout of the control page), spa_ringbuffer and an imitation of libxenvchan's.
 *
 * bench-ring one|two BYTES ROUNDS: in one thread, or between two pinned ones. Prints for every
 * round the nanoseconds per block as "xaring spa vchan"; the rings take turns, so that all three
 * meet the same noise.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <spa/utils/ringbuffer.h>

#include <xaring/protocol.h>
#include <xaring/ring.h>

#include "vchan.h"

#define FRAME_BYTES 4u
#define FRAMES      8192u
#define RING_BYTES  (FRAMES * FRAME_BYTES)
#define BLOCK_MAX   8192u
#define WARM_BLOCKS 1000u

/* Inlined with its constants into each loop, as the real callers have it. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

static char data[RING_BYTES] __attribute__((aligned(4096)));
static struct xaring_control_page page __attribute__((aligned(4096)));
static struct spa_ringbuffer spa __attribute__((aligned(64)));
static struct vchan_line vchan_line;

/* One side of a ring: its own counter is private where the ring allows it. */
struct side {
	uint32_t index;
	char block[BLOCK_MAX] __attribute__((aligned(64)));
};

static struct side writer, reader;

typedef int (*step_fn)(struct side *side, uint32_t bytes);

ALWAYS_INLINE int xaring_put(struct side *side, uint32_t bytes)
{
	const struct xaring_ring ring = {data, FRAMES, FRAME_BYTES};
	uint32_t frames = bytes / FRAME_BYTES, index = side->index, space;

	if (xaring_ring_space(index, xaring_load(&page.record.pos), FRAMES, &space) < 0 ||
	    space < frames)
		return 0;
	xaring_ring_write(&ring, index, side->block, frames);
	side->index = index + frames;
	xaring_store(&page.guest.pos, index + frames);
	return 1;
}

ALWAYS_INLINE int xaring_get(struct side *side, uint32_t bytes)
{
	const struct xaring_ring ring = {data, FRAMES, FRAME_BYTES};
	uint32_t frames = bytes / FRAME_BYTES, index = side->index, fill;

	if (xaring_ring_fill(xaring_load(&page.guest.pos), index, FRAMES, &fill) < 0 ||
	    fill < frames)
		return 0;
	xaring_ring_read(&ring, index, side->block, frames);
	side->index = index + frames;
	xaring_store(&page.record.pos, index + frames);
	return 1;
}

ALWAYS_INLINE int spa_put(struct side *side, uint32_t bytes)
{
	uint32_t index;
	int32_t fill = spa_ringbuffer_get_write_index(&spa, &index);

	if ((int32_t)RING_BYTES - fill < (int32_t)bytes)
		return 0;
	spa_ringbuffer_write_data(&spa, data, RING_BYTES, index & (RING_BYTES - 1), side->block,
				  bytes);
	spa_ringbuffer_write_update(&spa, (int32_t)(index + bytes));
	return 1;
}

ALWAYS_INLINE int spa_get(struct side *side, uint32_t bytes)
{
	uint32_t index;
	int32_t fill = spa_ringbuffer_get_read_index(&spa, &index);

	if (fill < (int32_t)bytes)
		return 0;
	spa_ringbuffer_read_data(&spa, data, RING_BYTES, index & (RING_BYTES - 1), side->block,
				 bytes);
	spa_ringbuffer_read_update(&spa, (int32_t)(index + bytes));
	return 1;
}

ALWAYS_INLINE int vchan_put(struct side *side, uint32_t bytes)
{
	struct vchan v = {&vchan_line, data, RING_BYTES};

	return vchan_write(&v, side->block, bytes);
}

ALWAYS_INLINE int vchan_get(struct side *side, uint32_t bytes)
{
	struct vchan v = {&vchan_line, data, RING_BYTES};

	return vchan_read(&v, side->block, bytes);
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void breathe(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static void die(const char *what)
{
	fprintf(stderr, "bench-ring: %s\n", what);
	exit(2);
}

ALWAYS_INLINE double pairs(step_fn put, step_fn get, uint32_t bytes, uint32_t blocks)
{
	double begin = now_ns();

	for (uint32_t i = 0; i < blocks; i++)
		if (!put(&writer, bytes) || !get(&reader, bytes))
			die("a pair failed");
	return (now_ns() - begin) / blocks;
}

ALWAYS_INLINE void stream(step_fn step, struct side *side, uint32_t bytes, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++)
		while (!step(side, bytes))
			breathe();
}

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("cannot pin a thread: two CPUs are needed");
}

/* What the second thread of a round does. */
struct job {
	double (*consume)(uint32_t bytes, uint32_t blocks);
	uint32_t bytes;
	uint32_t blocks;
};

/* Each ring gets a function of its own for: a pair in one thread, the writing, the reading end. */
#define RING(name)                                                    \
	static double name##_pairs(uint32_t bytes, uint32_t blocks)   \
	{                                                             \
		return pairs(name##_put, name##_get, bytes, blocks);  \
	}                                                             \
	static double name##_produce(uint32_t bytes, uint32_t blocks) \
	{                                                             \
		double begin = now_ns();                              \
		stream(name##_put, &writer, bytes, blocks);           \
		return (now_ns() - begin) / blocks;                   \
	}                                                             \
	static double name##_consume(uint32_t bytes, uint32_t blocks) \
	{                                                             \
		stream(name##_get, &reader, bytes, blocks);           \
		return 0;                                             \
	}

RING(xaring)
RING(spa)
RING(vchan)

static const struct {
	double (*pairs)(uint32_t bytes, uint32_t blocks);
	double (*produce)(uint32_t bytes, uint32_t blocks);
	double (*consume)(uint32_t bytes, uint32_t blocks);
} rings[] = {
	{xaring_pairs, xaring_produce, xaring_consume},
	{spa_pairs, spa_produce, spa_consume},
	{vchan_pairs, vchan_produce, vchan_consume},
};

static void *consumer(void *arg)
{
	struct job *job = arg;

	pin(1);
	job->consume(job->bytes, WARM_BLOCKS);
	job->consume(job->bytes, job->blocks);
	return NULL;
}

static double measure_two(unsigned int i, uint32_t bytes, uint32_t blocks)
{
	struct job job = {rings[i].consume, bytes, blocks};
	pthread_t thread;
	double ns;

	pin(0);
	if (pthread_create(&thread, NULL, consumer, &job) != 0)
		die("no second thread");
	rings[i].produce(bytes, WARM_BLOCKS);
	ns = rings[i].produce(bytes, blocks);
	pthread_join(thread, NULL);
	return ns;
}

static double measure_one(unsigned int i, uint32_t bytes, uint32_t blocks)
{
	rings[i].pairs(bytes, WARM_BLOCKS);
	return rings[i].pairs(bytes, blocks);
}

int main(int argc, char **argv)
{
	uint32_t bytes = argc == 4 ? (uint32_t)atoi(argv[2]) : 0;
	int rounds = argc == 4 ? atoi(argv[3]) : 0;
	bool two;

	if (bytes < FRAME_BYTES || bytes > BLOCK_MAX || bytes % FRAME_BYTES || rounds < 1)
		die("usage: bench-ring one|two BYTES ROUNDS (BYTES: a multiple of 4 up to 8192)");
	two = strcmp(argv[1], "two") == 0;
	/* Long enough that a lost time slice is a small part, short enough for many rounds. */
	uint32_t blocks = 20000000u / (bytes + 64);
	for (int r = 0; r < rounds; r++)
		for (unsigned int i = 0; i < 3; i++)
			printf("%.3f%c", (two ? measure_two : measure_one)(i, bytes, blocks),
			       i == 2 ? '\n' : ' ');
	return 0;
}
