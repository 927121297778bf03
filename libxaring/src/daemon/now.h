/* SPDX-License-Identifier: MIT */
/*
 * The daemons' time: coarse, for deadlines and rates.
 *
 * Thread: any. Blocks: no.
 */
#ifndef XARING_DAEMON_NOW_H
#define XARING_DAEMON_NOW_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
