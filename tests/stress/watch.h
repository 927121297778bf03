/* SPDX-License-Identifier: MIT */
/*
 * Threads of a stress test: each side reports progress, and a side that sees none from the other
 * for too long fails the whole program instead of waiting for ever.
 */
#ifndef XARING_TESTS_WATCH_H
#define XARING_TESTS_WATCH_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WATCH_SECONDS 60

/* A wait for the other side: zeroed before each. */
struct watch {
	uint32_t turns;
	time_t began;
};

static inline time_t watch_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* One turn of waiting. The clock is looked at now and then only. */
static inline void watch_turn(struct watch *w, const char *what)
{
	sched_yield();
	if (++w->turns % 1024)
		return;
	if (!w->began)
		w->began = watch_now();
	if (watch_now() - w->began > WATCH_SECONDS) {
		fprintf(stderr, "no progress for %d s: %s\n", WATCH_SECONDS, what);
		abort();
	}
}

#endif
