/* SPDX-License-Identifier: MIT */
/*
 * The guest's own volume: what it makes of frames before they go into the ring.
 *
 * A function of the frame's index, so that what is written once more after a rewind is as loud as it was. A new
 * volume comes as a ramp, or it would click; one that comes in the middle of another begins where that had come to. At XARING_VOLUME_UNITY no bit of a sample changes.
 *
 * Pure. Thread: one. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef XARING_GAIN_H
#define XARING_GAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/format.h>
#include <xaring/protocol.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The time from one volume to another. */
#define XARING_GAIN_RAMP_MS 10u

struct xaring_gain {
	uint32_t from;  /* up to index; linear, XARING_VOLUME_UNITY = unchanged */
	uint32_t to;    /* from index + ramp on */
	uint32_t index; /* where the ramp begins */
	uint32_t ramp;  /* frames */
};

/* This volume and no other, from the beginning. */
void xaring_gain_init(struct xaring_gain *gain, uint32_t rate_hz, uint32_t volume);

/*
 * The volume, at most XARING_VOLUME_UNITY: another one begins with the frame at index. To be called before frames are
 * written from index on, also when it is the same: a ramp that lies further back than any ring is long is forgotten
 * then, for indexes wrap.
 */
void xaring_gain_set(struct xaring_gain *gain, uint32_t volume, uint32_t index);

/* Of the frame at index. */
uint32_t xaring_gain_at(const struct xaring_gain *gain, uint32_t index);

/* Tells whether frames from index on, at most 2^31, stay as they are. */
bool xaring_gain_is_unity(const struct xaring_gain *gain, uint32_t index);

/*
 * Applies it to interleaved frames, of which the first is the one at index. Integers are rounded to the nearest
 * value; the byte of S24 that carries nothing becomes the sign.
 */
void xaring_gain_apply(const struct xaring_gain *gain, enum xaring_format format, uint32_t channels,
		       uint32_t index, void *frames, uint32_t count);

/* Of a word of the guest's line, guest.volume: whether it tells a volume. Otherwise it is old, or nonsense. */
static inline bool xaring_volume_is_told(uint32_t word)
{
	uint32_t known = XARING_VOLUME_TOLD | XARING_VOLUME_MUTED | XARING_VOLUME_MASK;

	return (word & XARING_VOLUME_TOLD) && !(word & ~known) &&
	       (word & XARING_VOLUME_MASK) <= XARING_VOLUME_UNITY;
}

#ifdef __cplusplus
}
#endif

#endif
