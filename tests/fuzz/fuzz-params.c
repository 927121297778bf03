/* SPDX-License-Identifier: MIT */
/*
 * Any values as the shape that a guest asks for: what is accepted stays inside the limits of the
 * protocol, what is not is refused with a reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/format.h>

#include "fuzz.h"

static void demand(int holds)
{
	if (!holds)
		abort();
}

static uint32_t word_at(const uint8_t *bytes, size_t index)
{
	uint32_t word;

	memcpy(&word, bytes + 4 * index, sizeof(word));
	return word;
}

static void check_accepted(const struct xaring_params *params, const struct xaring_shape *shape)
{
	uint64_t bytes = (uint64_t)shape->capacity * shape->frame_bytes;

	demand(params->rate_hz >= XARING_RATE_MIN && params->rate_hz <= XARING_RATE_MAX);
	demand(params->channels >= 1 && params->channels <= XARING_CHANNELS_MAX);
	demand(shape->frame_bytes == xaring_format_bytes(params->format) * params->channels);
	demand(shape->frame_bytes >= 1 && shape->frame_bytes <= 32);
	demand((shape->capacity & (shape->capacity - 1)) == 0);
	demand(shape->capacity > params->buffer);
	demand((uint64_t)params->buffer * shape->frame_bytes <= XARING_BUFFER_BYTES_MAX);
	demand(bytes <= (uint64_t)shape->data_pages * XARING_PAGE_BYTES);
	demand(shape->data_pages <= XARING_RING_PAGES_MAX);
	demand(shape->pages == shape->data_pages + 1);
	demand(xaring_map_is_valid(params->channels, params->map));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct xaring_refusal refusal = {0};
	struct xaring_params params = {0};
	struct xaring_shape shape;
	char text[128];

	if (size < 32)
		return 0;
	params.direction = (enum xaring_direction)word_at(bytes, 0);
	params.format = (enum xaring_format)word_at(bytes, 1);
	params.rate_hz = word_at(bytes, 2);
	params.channels = word_at(bytes, 3);
	params.buffer = word_at(bytes, 4);
	params.period = word_at(bytes, 5);
	memcpy(params.map, bytes + 24, XARING_CHANNELS_MAX);
	if (xaring_params_shape(&params, &shape, &refusal) == 0) {
		check_accepted(&params, &shape);
		return 0;
	}
	demand(refusal.reason != XARING_REASON_NONE);
	xaring_refusal_text(&refusal, text, sizeof(text));
	demand(memchr(text, 0, sizeof(text)) != NULL && text[0] != 0);
	return 0;
}
