/* SPDX-License-Identifier: MIT */
/*
 * The offset between the clocks of two domains, estimated from what they tell each other anyway.
 *
 * offset = backend clock - guest clock. Every record that the guest sees was written before: that
 * bounds the offset from below. Every stamp of the guest that the backend echoes was made before
 * the cycle that saw it first: that bounds it from above. The truth lies in the intersection, which
 * is no wider than the backend's cycle or the guest's, whichever is shorter. Both bounds age by
 * XARING_CLOCK_AGE_PPM, for the clocks drift; when they cross (suspend, slew, lies) the estimate
 * starts afresh from the newest pair.
 *
 * Pure: no clock is read here. Thread: one. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef XARING_CLOCK_H
#define XARING_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XARING_CLOCK_AGE_PPM 1000

struct xaring_clock {
	bool same; /* both sides read one clock: the offset is zero and known */
	bool has_low;
	bool has_high;
	int64_t low_ns;  /* offset >= low_ns, as of low_at_ns */
	int64_t high_ns; /* offset <= high_ns, as of high_at_ns */
	uint64_t low_at_ns;
	uint64_t high_at_ns;
	uint32_t restarts; /* how often the intersection was empty; only reports */
};

/* Starts with nothing known, or with the certainty that there is one clock. */
void xaring_clock_init(struct xaring_clock *c, bool same);

/*
 * Takes a record into account.
 *
 * sent_ns:  when it was written, on the backend's clock (time_ns + age_ns of the record)
 * seen_ns:  when it was seen, on the guest's clock
 * echo_ns:  the guest's stamp that it echoes, on the guest's clock, rounded down; used only
 *           when has_echo
 * echo_age_ns: how long before sent_ns the backend saw that stamp first, or less; likewise
 */
void xaring_clock_update(struct xaring_clock *c, uint64_t sent_ns, uint64_t seen_ns, bool has_echo,
			 uint64_t echo_ns, uint32_t echo_age_ns);

/* Tells whether both bounds are known. Before that, the moment a record is first seen is its time. */
bool xaring_clock_is_known(const struct xaring_clock *c);

/*
 * Maps a time of the backend to the guest's clock: the middle of the interval.
 * Call only when xaring_clock_is_known().
 */
uint64_t xaring_clock_to_guest(const struct xaring_clock *c, uint64_t backend_ns);

/* The width of the interval: twice the largest error of xaring_clock_to_guest(). */
uint64_t xaring_clock_width(const struct xaring_clock *c);

/*
 * Makes the stamp that goes into the guest line, and finds the time that an echoed one stands for:
 * the latest time not after now_ns that gives this stamp, rounded down. secret is random per link.
 */
uint32_t xaring_clock_stamp(uint64_t now_ns, uint32_t secret);
uint64_t xaring_clock_unstamp(uint32_t stamp, uint64_t now_ns, uint32_t secret);

#ifdef __cplusplus
}
#endif

#endif
