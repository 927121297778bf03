/* SPDX-License-Identifier: MIT */
/*
 * Where the backend is now: the hardware pointer of a guest stream, predicted from records.
 *
 * The backend consumes a whole quantum at once. A pointer that steps by it makes a sound server in
 * the guest underrun; this one moves between the records:
 *
 *   position = pos + min(elapsed * rate, quantum)      playback
 *   position = pos - quantum + min(elapsed * rate, quantum)   capture (never beyond what is there)
 *
 * never beyond what was written (playback), never backwards. Four modes:
 *
 *   STOPPED  at rest
 *   WAITING  started, or attached anew: rests until the first record of this word, or a deadline
 *   LIVE     follows the records
 *   FREE     no record for max(3 quanta, 100 ms): goes on at the nominal rate of the guest's clock
 *
 * Pure: the caller tells the time. All times are on the guest's clock.
 * Thread: one, or under the caller's lock. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef XARING_POSITION_H
#define XARING_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/protocol.h>
#include <xaring/record.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Prediction moves in steps of so many frames, so that two looks in a row usually agree. */
#define XARING_POSITION_STEP 16u

#define XARING_POSITION_STALE_MIN_NS UINT64_C(100000000)
#define XARING_POSITION_STALE_QUANTA 3u

enum xaring_position_mode {
	XARING_POSITION_STOPPED,
	XARING_POSITION_WAITING,
	XARING_POSITION_LIVE,
	XARING_POSITION_FREE
};

struct xaring_position {
	enum xaring_direction direction;
	enum xaring_position_mode mode;
	uint32_t rate_hz;     /* nominal */
	uint32_t pos;         /* last reported: the floor */
	uint32_t record_pos;  /* LIVE: of the newest record; FREE and WAITING: where it began */
	uint64_t record_ns;   /* LIVE: of the newest record; FREE: when it began */
	uint64_t seen_ns;     /* LIVE: when the newest record was seen that showed progress */
	uint32_t seen_pos;    /* LIVE: of that record */
	uint32_t seen_fill;   /* LIVE: how much there was to consume then */
	uint64_t deadline_ns; /* WAITING: when it becomes FREE */
	uint32_t frames;      /* of the newest record: how far it may be predicted, checked */
	uint32_t quantum;     /* the last one that was not 0: how often records come */
	uint32_t rate_mhz;    /* of the newest record, checked */
	uint32_t delay;       /* of the newest record, checked */
};

/* rate_hz: nominal rate of the stream, 8000 .. 192000. Begins STOPPED at 0. */
void xaring_position_init(struct xaring_position *p, enum xaring_direction direction,
			  uint32_t rate_hz);

/* Begins at index. Rests there until a record comes or deadline_ns is over, then runs free. */
void xaring_position_start(struct xaring_position *p, uint32_t index, uint64_t deadline_ns);

/* Rests at the present position until a record comes or deadline_ns is over (a new attach). */
void xaring_position_wait(struct xaring_position *p, uint64_t deadline_ns);

/* Stays at the present position: stop and pause. */
void xaring_position_stop(struct xaring_position *p);

/* Runs free from the present position. */
void xaring_position_free(struct xaring_position *p, uint64_t now_ns);

/*
 * Takes a record that answers the present word. at_ns is its time on the guest's clock; a time in
 * the future of now_ns counts as now, one older than a second as well ("first seen").
 *
 * written: frames written so far (playback) or read so far (capture)
 * capacity: of the ring
 *
 * Records that consume less than a quarter of what they could, over time, are as good as none: the
 * position becomes FREE as if they had stopped.
 *
 * Returns 0, or -EPROTO when the record is impossible: a position more than one capacity away from
 * written. A rate more than 5 % off nominal, a quantum or a delay beyond two seconds are replaced
 * by the nominal rate, the head-room (format.h) and zero.
 */
int xaring_position_record(struct xaring_position *p, const struct xaring_record *record,
			   uint64_t at_ns, uint64_t now_ns, uint32_t written, uint32_t capacity);

/*
 * The position now. Changes LIVE to FREE when the records have stopped and WAITING to FREE at its
 * deadline; the caller compares p->mode before and after to notice it.
 *
 * written: playback: the position never passes it. capture: ignored.
 */
uint32_t xaring_position_at(struct xaring_position *p, uint64_t now_ns, uint32_t written);

/*
 * When the position will reach index, on the guest's clock: the moment to set a timer for.
 *
 * Returns the time; now_ns when it is there already; the moment the records become stale or the
 * wait is over when prediction ends before index (look again then, or earlier for the next
 * record); UINT64_MAX when STOPPED.
 */
uint64_t xaring_position_when(const struct xaring_position *p, uint64_t now_ns, uint32_t index);

/*
 * LIVE: tells whether the newest record predicts as far as index; if not, the position gets there
 * only with a later record, or when it runs free.
 */
bool xaring_position_reaches(const struct xaring_position *p, uint32_t index);

/* How long no record has to come until the records count as stopped: max(3 quanta, 100 ms). */
uint64_t xaring_position_stale_ns(const struct xaring_position *p);

/*
 * Playback: frames until a frame written at index `written` would sound, never less than what is
 * visibly in the buffer (written - position) and never negative.
 * Capture: frames between the sound and the frame at the guest's read position.
 */
uint32_t xaring_position_delay(const struct xaring_position *p, uint64_t now_ns, uint32_t written);

#ifdef __cplusplus
}
#endif

#endif
