/* SPDX-License-Identifier: MIT */
/*
 * The plugin's time: CLOCK_MONOTONIC.
 *
 * Thread: any. Blocks: no. Real-time safe: yes.
 */
#ifndef XARING_PLUGIN_NOW_H
#define XARING_PLUGIN_NOW_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_now_ms(void)
{
	return clock_now_ns() / 1000000;
}

#endif
