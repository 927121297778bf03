/* SPDX-License-Identifier: MIT */
/*
 * A library to preload: CLOCK_MONOTONIC runs faster than the machine's by CLOCK_DRIFT_PPM, which may be negative, from
 * CLOCK_DRIFT_FROM on, the machine's CLOCK_MONOTONIC in ns (without it, from the first call on). So all programs with
 * the same two variables have one clock, which is another machine's to those without them: PipeWire of dom0, whose
 * null sink is a timer, xaring-pw, and what records there are dom0; xaring-guestd and programs of guests are not.
 * Between these two the transport has to be one of Xen: pages of one machine say that both sides have one clock.
 *
 * What tells the time is scaled, and so are timers (timerfd). Timeouts of other calls are not: they are durations, of
 * which a thousandth does not matter, or wait for what does not depend on them.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#define EXPORTED __attribute__((visibility("default")))
#define NS_PER_S INT64_C(1000000000)
#define MILLION  1000000

EXPORTED int clock_gettime(clockid_t clock, struct timespec *now);
EXPORTED int timerfd_settime(int fd, int flags, const struct itimerspec *value,
			     struct itimerspec *old);

static struct {
	int (*gettime)(clockid_t clock, struct timespec *now);
	int (*settime)(int fd, int flags, const struct itimerspec *value, struct itimerspec *old);
	int64_t from_ns;
	int64_t ppm;
} drift;

/* ISO C has no conversion from objects to functions; POSIX does. */
static void find(void *function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	memcpy(function, &found, sizeof(found));
}

static int64_t ns_of(const struct timespec *at)
{
	return (int64_t)at->tv_sec * NS_PER_S + at->tv_nsec;
}

static void set_ns(struct timespec *at, int64_t ns)
{
	at->tv_sec = (time_t)(ns / NS_PER_S);
	at->tv_nsec = (long)(ns % NS_PER_S);
}

/* Before main(), while there is one thread; and by whoever was loaded before and asks earlier. */
__attribute__((constructor)) static void start(void)
{
	const char *ppm = getenv("CLOCK_DRIFT_PPM"), *from = getenv("CLOCK_DRIFT_FROM");
	struct timespec now;

	if (drift.gettime)
		return;
	find(&drift.settime, "timerfd_settime");
	find(&drift.gettime, "clock_gettime");
	drift.gettime(CLOCK_MONOTONIC, &now);
	drift.from_ns = from ? strtoll(from, NULL, 10) : ns_of(&now);
	drift.ppm = ppm ? strtoll(ppm, NULL, 10) : 0;
}

/* 64 bits are enough for a hundred days since the start, and ten thousand ppm. */
static int64_t faster(int64_t machine_ns)
{
	int64_t since_ns = machine_ns - drift.from_ns;

	return machine_ns + since_ns / MILLION * drift.ppm +
	       since_ns % MILLION * drift.ppm / MILLION;
}

/* The duration, or the time since the start, of the machine for one that passes here; rounded up: no timer is early. */
static int64_t machine_duration(int64_t ns)
{
	int64_t whole = ns / (MILLION + drift.ppm), rest = ns % (MILLION + drift.ppm);

	return whole * MILLION + (rest * MILLION + MILLION + drift.ppm - 1) / (MILLION + drift.ppm);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int res;

	start();
	res = drift.gettime(clock, now);
	if (res == 0 && clock == CLOCK_MONOTONIC)
		set_ns(now, faster(ns_of(now)));
	return res;
}

static void scale(struct timespec *at, int64_t from_ns)
{
	int64_t ns = ns_of(at) - from_ns;

	/* 0 stops a timer; and what is before the start has passed. */
	if (ns > 0 && ns_of(at) > 0)
		set_ns(at, from_ns + machine_duration(ns));
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
	struct itimerspec scaled = *value;

	start();
	scale(&scaled.it_value, flags & TFD_TIMER_ABSTIME ? drift.from_ns : 0);
	scale(&scaled.it_interval, 0);
	return drift.settime(fd, flags, &scaled, old);
}
