/* SPDX-License-Identifier: MIT */
/*
 * Sample formats, frame sizes, channel maps, and the shape of a stream that follows from them.
 *
 * Pure. Thread: any. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef XARING_FORMAT_H
#define XARING_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xaring/protocol.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a guest asks for. */
struct xaring_params {
	enum xaring_direction direction;
	enum xaring_format format;
	uint32_t rate_hz;
	uint32_t channels;
	uint8_t map[XARING_CHANNELS_MAX]; /* enum xaring_position_code; all 0 = the usual one */
	uint32_t buffer;                  /* frames: ALSA's buffer, a fill limit */
	uint32_t period;                  /* frames; informs only */
};

/* What follows from it. */
struct xaring_shape {
	uint32_t frame_bytes;
	uint32_t capacity; /* frames, a power of two */
	uint32_t data_pages;
	uint32_t pages; /* data_pages and the control page */
};

/*
 * A refusal, or a limit: what was refused, its value, what would be accepted. Of PAGES the value is
 * what would be taken with the stream, by itself or together with others; so it is given
 * max - (value - its own pages) of them.
 */
struct xaring_refusal {
	enum xaring_reason reason;
	uint32_t value;
	uint32_t min, max; /* what would be accepted; both 0 when no value would be */
};

/* Bytes of one sample, or 0 for an unknown format. */
uint32_t xaring_format_bytes(uint32_t format);

/* ALSA's name, "S16_LE" and so on, or "unknown". */
const char *xaring_format_name(uint32_t format);

/* Fills `to` with the silence of a format: its zero. */
void xaring_format_silence(uint32_t format, void *to, size_t bytes);

/* Fills map with the usual positions for 1 .. 8 channels; the rest is 0. */
void xaring_map_default(uint32_t channels, uint8_t map[XARING_CHANNELS_MAX]);

/* Tells whether map names known positions, each at most once, or is all 0. */
bool xaring_map_is_valid(uint32_t channels, const uint8_t map[XARING_CHANNELS_MAX]);

/*
 * The head-room: the backend's largest quantum, in frames of this rate, rounded up. The ring has
 * room for it beside the buffer. rate_hz: up to XARING_RATE_MAX.
 */
uint32_t xaring_headroom(uint32_t rate_hz);

/*
 * Checks what a guest asks for, hostile as it may be, and computes the shape.
 *
 * Returns 0 and sets *shape. Returns -EINVAL and sets *refusal with the first thing that is wrong,
 * its value and the accepted range.
 */
int xaring_params_shape(const struct xaring_params *params, struct xaring_shape *shape,
			struct xaring_refusal *refusal);

/*
 * The largest buffer with which a stream takes at most so many pages, its control page included, in
 * frames; 0 when there is none. params: format, rate and channels are valid; the buffer is not used.
 */
uint32_t xaring_buffer_max(const struct xaring_params *params, uint32_t pages);

/* A sentence for a person: "rate 4000 Hz is refused: 8000 to 192000 are accepted". Cut to size. */
void xaring_refusal_text(const struct xaring_refusal *refusal, char *text, uint32_t text_bytes);

/* The errno that an application gets: -EPERM (policy, user), -EBUSY (limits, memory), -EINVAL (the rest). */
int xaring_refusal_errno(const struct xaring_refusal *refusal);

#ifdef __cplusplus
}
#endif

#endif
