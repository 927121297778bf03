/* SPDX-License-Identifier: MIT */
/*
 * Whether the machine has slept: been suspended, or saved and restored. The kernel adds that time to
 * CLOCK_BOOTTIME and not to CLOCK_MONOTONIC (clock_gettime(2); Linux, kernel/time/timekeeping.c,
 * timekeeping_resume(), which a Xen guest goes through as well: drivers/xen/manage.c, xen_suspend()),
 * so the distance between the two grows when it has, and never otherwise.
 *
 * A sleep that the kernel cannot measure is not seen: of a guest that goes on where the wall clock is
 * further behind than the sleep was long.
 */
#include "client-private.h"

#include <time.h>

/* Between the two outer reads of a clock; more than that, and something came between. */
#define CLOSE_NS 100000

#define READS_MAX 4

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * (int64_t)NS_PER_S + now.tv_nsec;
}

void client_sleep_init(struct client_sleep *s)
{
	s->most_ns = INT64_MAX;
	(void)client_has_slept(s);
}

/* The distance is bounded from both sides: it has grown when all of it is beyond what it was at most. */
bool client_has_slept(struct client_sleep *s)
{
	int64_t before_ns, boot_ns, after_ns;
	bool has_slept;

	for (int i = 0; i < READS_MAX; i++) {
		before_ns = clock_ns(CLOCK_MONOTONIC);
		boot_ns = clock_ns(CLOCK_BOOTTIME);
		after_ns = clock_ns(CLOCK_MONOTONIC);
		if (after_ns - before_ns < CLOSE_NS)
			break;
	}
	has_slept = boot_ns - after_ns > s->most_ns;
	if (has_slept || boot_ns - before_ns < s->most_ns)
		s->most_ns = boot_ns - before_ns;
	return has_slept;
}
