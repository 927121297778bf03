/* SPDX-License-Identifier: MIT */
/*
 * ALSA's pointers and the ring's indexes.
 *
 * ALSA counts both pointers from the last prepare, modulo the boundary; the ring counts from the
 * setup, modulo 2^32. The pair (hw, index) is the same frame in both counts, and everything else is
 * found from the distance to it.
 *
 * Pure. Thread: one, or under the caller's lock. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef PLUGIN_POSITION_H
#define PLUGIN_POSITION_H

#include <stdbool.h>
#include <stdint.h>

struct position {
	bool is_capture;
	uint64_t boundary; /* 0 before the first software parameters */
	uint32_t buffer;
	uint64_t hw;    /* below the boundary */
	uint32_t index; /* of the same frame, in the ring */
	uint64_t total; /* frames since the prepare: for the periods */
};

/* Begins at pointer 0, which is this index of the ring. Boundary and buffer are kept. */
void position_begin(struct position *p, uint32_t index);

/* Frames between the two pointers (appl - hw), within -buffer .. buffer whatever appl is. */
int32_t position_fill(const struct position *p, uint64_t appl);

/* Index of the application's pointer in the ring, within a buffer of the hardware's. */
uint32_t position_index(const struct position *p, uint64_t appl);

/* Frames that may be written (playback) or read (capture). */
uint64_t position_avail(const struct position *p, uint64_t appl);

/*
 * Moves on to the index that the backend has reached; never backwards. Capture never gets more than
 * a buffer ahead of the application: what is older is lost.
 *
 * hold: stay a frame short of appl. When the pointers meet, alsa-lib ends a drain by itself and
 *       applications believe that all is played; a predicted position gets there before.
 */
void position_advance(struct position *p, uint32_t index, uint64_t appl, bool hold);

/*
 * Tells whether the stream must stop now, as ALSA's stop threshold says.
 *
 * xruns: real gaps, as the backend counted them. In playback the predicted position that touches
 *        the end of the data is none: the next write often still comes in time.
 */
bool position_is_xrun(const struct position *p, uint64_t appl, uint32_t xruns,
		      uint64_t stop_threshold);

#endif
