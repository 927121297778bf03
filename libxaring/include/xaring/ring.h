/* SPDX-License-Identifier: MIT */
/*
 * Index arithmetic of one direction, and the copies that follow from it.
 *
 * Counters are free-running uint32 frames; capacity is a power of two in frames and held privately,
 * so the wrap at 2^32 is exact for every frame size. Each side keeps its own counter in private
 * memory and publishes it; it never reads it back.
 *
 * The proof, short: let c be the capacity, p the producer's and q the consumer's counter. Only the
 * producer writes frames p .. p+n-1 and only with n <= space(p, q) = c - (p - q); the consumer
 * reads q .. q+m-1 only with m <= fill(p, q) = p - q. Both are computed from a private own counter
 * and one acquired load of the peer's, and anything outside 0 .. c is refused, so an offset
 * (index & (c - 1)) stays inside the ring whatever the peer stores.
 *
 * The guest of a playback stream writes by the predicted position instead of q: at most buffer
 * frames beyond it. The prediction is never more than c - buffer frames ahead of q (record.frames
 * is bounded by that), so p - q <= c holds there as well.
 *
 * Thread: any, one per side. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef XARING_RING_H
#define XARING_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <xaring/shared.h>

/* A private view of the data pages. */
struct xaring_ring {
	void *data;        /* shared; capacity * frame_bytes */
	uint32_t capacity; /* frames, a power of two */
	uint32_t frame_bytes;
};

/*
 * Tells how many frames lie between two counters.
 *
 * An ALSA application may take frames back (rewind) that were consumed already: a producer up to
 * one capacity behind the consumer is an empty ring. Anything farther is no state of an honest peer.
 *
 * Returns 0 and sets *fill (0 .. capacity), or -EPROTO and sets *fill to 0.
 */
static inline int xaring_ring_fill(uint32_t prod, uint32_t cons, uint32_t capacity, uint32_t *fill)
{
	uint32_t ahead = prod - cons;

	if (__builtin_expect(ahead <= capacity, 1)) {
		*fill = ahead;
		return 0;
	}
	*fill = 0;
	return cons - prod <= capacity ? 0 : -EPROTO;
}

/*
 * Tells how many frames may be written before the consumer is overrun.
 *
 * Returns 0 and sets *space (0 .. capacity), or -EPROTO and sets *space to 0.
 */
static inline int xaring_ring_space(uint32_t prod, uint32_t cons, uint32_t capacity,
				    uint32_t *space)
{
	uint32_t fill;
	int res = xaring_ring_fill(prod, cons, capacity, &fill);

	*space = res < 0 ? 0 : capacity - fill;
	return res;
}

/*
 * Copies frames (<= capacity) from private memory into the ring at index. The usual case, no
 * wrap, is one copy with nothing to remember across it, which is worth a tenth at 256 bytes.
 */
static inline void xaring_ring_write(const struct xaring_ring *r, uint32_t index, const void *from,
				     uint32_t frames)
{
	uint32_t at = index & (r->capacity - 1);
	uint32_t tail = r->capacity - at;
	size_t bytes = (size_t)frames * r->frame_bytes;
	size_t tail_bytes = (size_t)tail * r->frame_bytes;
	char *to = (char *)r->data + (size_t)at * r->frame_bytes;

	if (__builtin_expect(frames <= tail, 1)) {
		xaring_copy_out(to, from, bytes);
		return;
	}
	xaring_copy_out(to, from, tail_bytes);
	xaring_copy_out(r->data, (const char *)from + tail_bytes, bytes - tail_bytes);
}

/* Copies frames (<= capacity) from the ring at index into private memory. */
static inline void xaring_ring_read(const struct xaring_ring *r, uint32_t index, void *to,
				    uint32_t frames)
{
	uint32_t at = index & (r->capacity - 1);
	uint32_t tail = r->capacity - at;
	size_t bytes = (size_t)frames * r->frame_bytes;
	size_t tail_bytes = (size_t)tail * r->frame_bytes;
	const char *from = (const char *)r->data + (size_t)at * r->frame_bytes;

	if (__builtin_expect(frames <= tail, 1)) {
		xaring_copy_in(to, from, bytes);
		return;
	}
	xaring_copy_in(to, from, tail_bytes);
	xaring_copy_in((char *)to + tail_bytes, r->data, bytes - tail_bytes);
}

#endif
