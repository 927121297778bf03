/* SPDX-License-Identifier: MIT */
/*
 * Polling: decisions only. The states follow what the kernel's PCM layer does.
 */
#include "pollstate.h"

#include <poll.h>

/* How much later than wished the timer may go off before it is worth a system call. */
#define LATE_NS UINT64_C(500000)

/*
 * When the position should have got there and has not: how soon to look again. It moves in small
 * steps while it runs; a drain ends with a record of the backend, once per quantum; and a
 * stream that nothing but an xrun can make ready is in no hurry.
 */
#define RETRY_NS       UINT64_C(250000)
#define RETRY_DRAIN_NS UINT64_C(2000000)
#define RETRY_IDLE_NS  UINT64_C(20000000)

static bool has_period_passed(const struct pollstate *s)
{
	if (!s->period_event || s->period == 0 || s->state != SND_PCM_STATE_RUNNING)
		return false;
	return s->total / s->period != s->total_told / s->period;
}

bool pollstate_is_ready(const struct pollstate *s)
{
	switch (s->state) {
	case SND_PCM_STATE_RUNNING:
		return s->avail >= s->avail_min || has_period_passed(s);
	case SND_PCM_STATE_PREPARED:
	case SND_PCM_STATE_PAUSED:
		return !(s->is_capture && s->state == SND_PCM_STATE_PREPARED) &&
		       s->avail >= s->avail_min;
	case SND_PCM_STATE_DRAINING:
		return s->is_capture;
	default:
		return true;
	}
}

unsigned short pollstate_events(const struct pollstate *s)
{
	unsigned short data = s->is_capture ? POLLIN : POLLOUT;

	if (!pollstate_is_ready(s))
		return 0;
	switch (s->state) {
	case SND_PCM_STATE_RUNNING:
	case SND_PCM_STATE_PREPARED:
	case SND_PCM_STATE_PAUSED:
	case SND_PCM_STATE_DRAINING:
		return data;
	case SND_PCM_STATE_SETUP:
		/* Applications poll once more after a drain, and that is no error. */
		return s->is_capture ? data | POLLERR : data;
	default:
		return data | POLLERR;
	}
}

static int64_t to_period_end(const struct pollstate *s)
{
	return s->period ? (int64_t)(s->period - s->total % s->period) : 0;
}

/*
 * Frames that the pointer can go before the application has to do something: to the end of the data, or of the room
 * for what is recorded.
 */
static int64_t room(const struct pollstate *s)
{
	return s->avail < s->buffer ? (int64_t)(s->buffer - s->avail) : 0;
}

/* Of what the application waits for. */
static int64_t ahead_wanted(const struct pollstate *s)
{
	uint64_t min = s->avail_min < (uint64_t)INT64_MAX ? s->avail_min : INT64_MAX;
	int64_t ahead = s->avail < min ? (int64_t)(min - s->avail) : 0;

	if (s->period_event && to_period_end(s) < ahead)
		ahead = to_period_end(s);
	return ahead <= room(s) ? ahead : -1;
}

/* A threshold above the buffer is never reached. */
static int64_t ahead_xrun(const struct pollstate *s)
{
	if (s->stop > s->buffer)
		return -1;
	return s->stop > s->avail ? (int64_t)(s->stop - s->avail) : 0;
}

static bool is_xrun_first(const struct pollstate *s)
{
	int64_t wanted = ahead_wanted(s), xrun = ahead_xrun(s);

	return xrun >= 0 && (wanted < 0 || xrun < wanted);
}

int64_t pollstate_ahead(const struct pollstate *s)
{
	switch (s->state) {
	case SND_PCM_STATE_RUNNING:
		return is_xrun_first(s) ? ahead_xrun(s) : ahead_wanted(s);
	case SND_PCM_STATE_DRAINING:
		return room(s);
	default:
		return -1;
	}
}

static uint64_t retry_ns(const struct pollstate *s)
{
	if (s->state == SND_PCM_STATE_DRAINING)
		return RETRY_DRAIN_NS;
	return is_xrun_first(s) ? RETRY_IDLE_NS : RETRY_NS;
}

static uint64_t add_ns(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns > POLLSTATE_NEVER - b_ns ? POLLSTATE_NEVER : a_ns + b_ns;
}

uint64_t pollstate_timer(const struct pollstate *s, uint64_t armed_ns, uint64_t now_ns,
			 uint64_t when_ns)
{
	if (pollstate_is_ready(s))
		return armed_ns <= now_ns ? armed_ns : 0;
	if (pollstate_ahead(s) < 0)
		return POLLSTATE_NEVER;
	if (when_ns != POLLSTATE_NEVER && when_ns < now_ns + retry_ns(s))
		when_ns = now_ns + retry_ns(s);
	if (when_ns == POLLSTATE_NEVER)
		return POLLSTATE_NEVER;
	if (armed_ns > now_ns && armed_ns <= add_ns(when_ns, LATE_NS))
		return armed_ns;
	return when_ns;
}
