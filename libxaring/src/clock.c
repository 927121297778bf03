/* SPDX-License-Identifier: MIT */
/*
 * The interval in which the offset of two clocks lies. Offsets are differences of unrelated 64-bit
 * clocks, of which one may be a lie: the arithmetic wraps or saturates and is never undefined.
 */
#include <xaring/clock.h>

#define STAMP_SHIFT 10 /* units of 1024 ns */

#define PPM_DIVISOR (1000000u / XARING_CLOCK_AGE_PPM)

void xaring_clock_init(struct xaring_clock *c, bool same)
{
	*c = (struct xaring_clock){.same = same};
}

static int64_t difference(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b);
}

static int64_t saturating_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

/* How far a bound has become loose; rounded up, because rounding down adds up over updates. */
static int64_t loosened(uint64_t at_ns, uint64_t now_ns)
{
	uint64_t elapsed = now_ns > at_ns ? now_ns - at_ns : 0;

	if (elapsed == 0)
		return 0;
	return (int64_t)(elapsed / PPM_DIVISOR + 1);
}

/* Both bounds are aged to the present at each update, so that their middle is of one moment. */
static void age_bounds(struct xaring_clock *c, uint64_t now_ns)
{
	c->low_ns = saturating_add(c->low_ns, -loosened(c->low_at_ns, now_ns));
	c->high_ns = saturating_add(c->high_ns, loosened(c->high_at_ns, now_ns));
	c->low_at_ns = now_ns;
	c->high_at_ns = now_ns;
}

static void take_low(struct xaring_clock *c, int64_t low_ns)
{
	if (!c->has_low || low_ns > c->low_ns)
		c->low_ns = low_ns;
	c->has_low = true;
}

static void take_high(struct xaring_clock *c, int64_t high_ns)
{
	if (!c->has_high || high_ns < c->high_ns)
		c->high_ns = high_ns;
	c->has_high = true;
}

/*
 * What is known since the stamp was made, of that moment. A program that looks seldom makes an old
 * stamp, and the clocks have drifted since; the bound is too tight by now to leave that out.
 */
static int64_t high_of(uint64_t first_ns, uint64_t echo_ns, uint64_t seen_ns)
{
	return saturating_add(difference(first_ns, echo_ns), loosened(echo_ns, seen_ns));
}

void xaring_clock_update(struct xaring_clock *c, uint64_t sent_ns, uint64_t seen_ns, bool has_echo,
			 uint64_t echo_ns, uint32_t echo_age_ns)
{
	int64_t low = difference(sent_ns, seen_ns);
	int64_t high = high_of(sent_ns - echo_age_ns, echo_ns, seen_ns);

	if (c->same)
		return;
	age_bounds(c, seen_ns);
	take_low(c, low);
	if (has_echo)
		take_high(c, high);
	if (!c->has_high || c->low_ns <= c->high_ns)
		return;

	/* One of the clocks jumped, or the peer lies: only this pair is believed. */
	c->restarts++;
	c->low_ns = low;
	c->high_ns = high;
	c->has_high = has_echo && low <= high;
}

bool xaring_clock_is_known(const struct xaring_clock *c)
{
	return c->same || (c->has_low && c->has_high);
}

uint64_t xaring_clock_width(const struct xaring_clock *c)
{
	return c->same ? 0 : (uint64_t)c->high_ns - (uint64_t)c->low_ns;
}

uint64_t xaring_clock_to_guest(const struct xaring_clock *c, uint64_t backend_ns)
{
	if (c->same)
		return backend_ns;
	return backend_ns - ((uint64_t)c->low_ns + xaring_clock_width(c) / 2);
}

uint32_t xaring_clock_stamp(uint64_t now_ns, uint32_t secret)
{
	return (uint32_t)(now_ns >> STAMP_SHIFT) + secret;
}

uint64_t xaring_clock_unstamp(uint32_t stamp, uint64_t now_ns, uint32_t secret)
{
	uint64_t now = now_ns >> STAMP_SHIFT;
	uint32_t since = (uint32_t)now - (stamp - secret);

	return since > now ? 0 : (now - since) << STAMP_SHIFT;
}
