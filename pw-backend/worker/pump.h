/* SPDX-License-Identifier: MIT */
/*
 * The real-time path of one stream: ring to buffer, once per graph cycle.
 *
 * Pure: knows neither PipeWire nor clocks, so that every rule of it is tested in virtual time. All
 * that a guest can write at any time is read here and in no other file of the worker.
 *
 * One cycle of a playback stream, in order:
 *   1. load the guest's word once. An impossible state is XARING_REASON_WORD.
 *   2. not this attach: output silence, consume nothing. If the stream is running (or draining) and
 *      has withdrawn its answer, or never gave one, raise attach so that it answers again: once for
 *      this word, and once more whenever PUMP_RETRY_MS went by with the same word (it may have
 *      answered and withdrawn again between two cycles).
 *   3. a new generation or attach: take base as our index, and prime: publish a record with
 *      pos = base, consume nothing. Prime as well after a pause and after an underrun.
 *   4. running: consume min(fill, wanted). Fewer than wanted is an underrun: a ramp down from the
 *      last frame (2 ms), silence, xruns + 1, gap + missing; prime as soon as there is data again.
 *      All silence between is one gap and one xrun. A consumer ahead of the producer (rewind) is
 *      empty.
 *   5. draining: as running, but fewer than wanted is the end: no ramp, no xrun; and what is left
 *      after a gap is given out without priming. The first cycle of a stream primes as always.
 *   6. paused, stopped: silence, nothing moves. The record is published once more, then no longer;
 *      not at all for a stopped guest whose frames were never taken over (rule 3).
 *   7. publish the record. Its frames are at most capacity - buffer, so that a guest which follows
 *      it never overruns the ring, whatever the quantum.
 * Counters and frames are judged by the word that they came with, so it is loaded again after them,
 * only to be compared: when the guest stopped or started anew meanwhile, the cycle is silent, nothing
 * is consumed, and the next one looks again.
 * The guest's stamp is echoed together with how long ago a cycle saw it first: whatever it was, the
 * guest made it before that.
 * Broken (XARING_REASON_COUNTER, _WORD, _UNSETTLED) is sticky: silence, nothing is read any more,
 * and the page says so (XARING_BACKEND_BROKEN and the reason).
 * UNSETTLED: the word's generation or attach changed in 256 cycles in a row without a frame consumed.
 *
 * Floats that are not finite, or not between -2^24 and 2^24, become 0: sound is within 1, and larger
 * values become infinite in what is behind us. Nothing else changes a sample.
 *
 * Thread: pump_playback() and pump_capture() on the real-time thread, everything else while no
 * cycle runs, but for the fields marked (main), which the main thread may load at any time.
 * Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef XARING_PUMP_H
#define XARING_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/format.h>
#include <xaring/pages.h>
#include <xaring/record.h>

#define PUMP_RAMP_US         2000u
#define PUMP_RETRY_MS        250u
#define PUMP_UNSETTLED_MAX   256u
#define PUMP_FRAME_BYTES_MAX 32u

/* What the glue knows of this cycle. */
struct pump_cycle {
	uint64_t time_ns;  /* when it began, on the backend's clock; the secret is added inside */
	uint32_t age_ns;   /* from then to now */
	uint32_t rate_mhz; /* of the stream against that clock */
	uint32_t delay;    /* frames from time_ns to the sound of the first frame of this buffer */
};

struct pump {
	/* Fixed after pump_init(). */
	enum xaring_direction direction;
	struct xaring_ring ring;
	struct xaring_control_page *control;
	enum xaring_format format;
	uint32_t rate_hz;
	uint32_t predict_max; /* frames of a record */
	uint64_t time_secret_ns;

	/* Real-time thread. */
	uint32_t index;    /* our own counter */
	uint32_t attach;   /* as last raised, 0 = never */
	uint32_t word;     /* as last accepted */
	uint32_t seen;     /* as of the last cycle */
	uint32_t stamp;    /* the guest's, as of this cycle */
	uint64_t stamp_ns; /* when a cycle saw that one first; without the secret */
	uint32_t seq;
	uint32_t unsettled;
	uint32_t waited; /* frames since attach was raised for the word seen */
	bool raised;     /* attach was raised for the word seen */
	bool primed;     /* the next cycle may consume */
	bool in_gap;
	bool settled;          /* the last record of a pause or stop is out */
	uint32_t xruns_before; /* totals when this attach began */
	uint32_t gap_before;
	uint8_t last[PUMP_FRAME_BYTES_MAX]; /* the last frame given out, for the ramp */

	/* Real-time thread writes, (main) loads with __atomic_load_n(). */
	uint32_t reason;   /* enum xaring_reason, not NONE = broken */
	uint32_t xruns;    /* of all attaches */
	uint32_t gap;      /* likewise */
	uint32_t cycles;   /* all */
	uint32_t drained;  /* 1 = draining, attached, and nothing is left */
	uint32_t consumed; /* frames, modulo 2^32 */
};

/*
 * Takes the pages over: says ACCEPTED in the backend line. They stay mapped until the pump is no
 * longer run.
 */
void pump_init(struct pump *p, const struct xaring_params *params, const struct xaring_shape *shape,
	       const struct xaring_pages *pages, uint64_t time_secret_ns);

/*
 * Asks the guest to answer anew: at the accept of a stream that is not running, and from
 * pump_playback() itself. The first call takes the number that it finds in the page as the start.
 */
void pump_attach(struct pump *p);

/* What the guest is doing, loaded from the page (main thread, sweep): enum xaring_state or -EPROTO. */
int pump_peek(const struct pump *p);

/*
 * Tells whether somebody in the guest has the pages: its kernel clears the first byte of guest.alive when
 * nobody has any more (main thread).
 */
bool pump_guest_is_alive(const struct pump *p);

/* Tells whether all that a draining guest wrote has been consumed (main thread). */
bool pump_is_drained(const struct pump *p);

/* Says BROKEN and why in the page (any thread). What the pump itself finds, it says by itself. */
void pump_condemn(const struct pump *p, enum xaring_reason reason);

/* Fills out with exactly `frames` frames. */
void pump_playback(struct pump *p, void *out, uint32_t frames, const struct pump_cycle *cycle);

/*
 * Takes exactly `frames` frames, silence when `in` is NULL; what does not fit is dropped and counted.
 * The rules are those of playback but for the priming: there is nothing to wait for. Draining is
 * stopped.
 */
void pump_capture(struct pump *p, const void *in, uint32_t frames, const struct pump_cycle *cycle);

/* Capture: leaves silence where frames were, read or not. While no cycle runs. */
void pump_erase(struct pump *p);

/* Capture: how far the guest has read, as it says (main thread). */
uint32_t pump_read_by_guest(const struct pump *p);

/* Playback: guest.volume, or 0 when nothing is said, or nothing that could be (main thread). For people only. */
uint32_t pump_volume_of_guest(const struct pump *p);

#endif
