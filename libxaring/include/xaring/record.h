/* SPDX-License-Identifier: MIT */
/*
 * The position record: what the backend publishes once per cycle and the guest predicts from, and
 * the guest's word that starts and stops it.
 *
 * Pure. Thread: any, one writer. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef XARING_RECORD_H
#define XARING_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/protocol.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A private copy of struct xaring_record_line. */
struct xaring_record {
	uint32_t word;
	uint32_t pos;
	uint32_t frames;
	uint64_t time_ns;
	uint32_t age_ns;
	uint32_t rate_mhz;
	uint32_t delay;
	uint32_t xruns;
	uint32_t gap;
	uint32_t echo;
	uint32_t echo_age_ns;
};

/* Packs and unpacks the guest's word (protocol.h). The values are cut to their fields. */
static inline uint32_t xaring_word(uint32_t generation, enum xaring_state state, uint32_t attach)
{
	return generation << XARING_WORD_GENERATION_SHIFT |
	       ((uint32_t)state << XARING_WORD_STATE_SHIFT & XARING_WORD_STATE_MASK) |
	       (attach & XARING_WORD_ATTACH_MASK);
}

static inline uint32_t xaring_word_generation(uint32_t word)
{
	return word >> XARING_WORD_GENERATION_SHIFT;
}

/* The raw state: may be none of enum xaring_state when the peer is hostile. */
static inline uint32_t xaring_word_state(uint32_t word)
{
	return (word & XARING_WORD_STATE_MASK) >> XARING_WORD_STATE_SHIFT;
}

/* Tells whether frames are consumed in this state: RUNNING or DRAINING. */
static inline bool xaring_state_is_moving(uint32_t state)
{
	return state == XARING_STATE_RUNNING || state == XARING_STATE_DRAINING;
}

static inline uint32_t xaring_word_attach(uint32_t word)
{
	return word & XARING_WORD_ATTACH_MASK;
}

/* The attach after this one: skips those whose low bits mean "not attached". */
static inline uint32_t xaring_attach_next(uint32_t attach)
{
	attach++;
	return (attach & XARING_WORD_ATTACH_MASK) ? attach : attach + 1;
}

/*
 * Publishes a record. seq is the writer's private sequence counter, even, raised by two.
 */
void xaring_record_publish(struct xaring_record_line *line, uint32_t *seq,
			   const struct xaring_record *record);

/*
 * Reads the record if there is a new one.
 *
 * seq is the reader's private copy of the last sequence seen, 0 at first. Tries at most four times
 * while the writer writes; a writer that never finishes looks like one that never wrote.
 *
 * Returns 1 and sets *record and *seq, or 0 when nothing new can be had now. The values are what
 * the peer wrote: the caller checks them.
 */
int xaring_record_read(const struct xaring_record_line *line, uint32_t *seq,
		       struct xaring_record *record);

#ifdef __cplusplus
}
#endif

#endif
