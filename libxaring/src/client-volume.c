/* SPDX-License-Identifier: MIT */
/*
 * The guest's own volume, as the server's page says it: made of what is written, and told to the backend.
 * Costs a load or two where nothing has changed.
 */
#include "client-private.h"

#include <xaring/shared.h>

#define SCALED_BYTES 4096u

static bool is_muted(const struct xaring_client *c)
{
	return c->status && (xaring_load(&c->status->flags) & XARING_STATUS_GUEST_MUTED);
}

/* Muted or not. A server that says nonsense changes nothing. */
static uint32_t volume_of(const struct xaring_client *c)
{
	uint32_t volume = c->status ? xaring_load(&c->status->volume) : XARING_VOLUME_UNITY;

	return volume < XARING_VOLUME_UNITY ? volume : XARING_VOLUME_UNITY;
}

/* While no server is there, as it was last: what is written then may be heard when one comes. */
static uint32_t effective_volume(struct xaring_client *c)
{
	if (c->status) {
		c->volume = is_muted(c) ? 0 : volume_of(c);
		c->is_volume_known = true;
	}
	return c->volume;
}

void client_volume_tell(struct xaring_client *c)
{
	uint32_t word = XARING_VOLUME_TOLD | volume_of(c);

	if (c->params.direction != XARING_PLAYBACK || !c->status)
		return;
	if (is_muted(c))
		word |= XARING_VOLUME_MUTED;
	if (word == c->told_volume)
		return;
	c->told_volume = word;
	xaring_store(&c->control->guest.volume, word);
}

void client_volume_carry(struct xaring_client *c, uint32_t index, void *frames, uint32_t count)
{
	if (c->is_volume_known || !c->status || c->params.direction != XARING_PLAYBACK)
		return;
	xaring_gain_init(&c->gain, c->params.rate_hz, is_muted(c) ? 0 : volume_of(c));
	xaring_gain_apply(&c->gain, c->params.format, c->params.channels, index, frames, count);
}

static void write_scaled(struct xaring_client *c, uint32_t index, const uint8_t *from,
			 uint32_t frames)
{
	uint32_t chunk = SCALED_BYTES / c->shape.frame_bytes;
	uint8_t scaled[SCALED_BYTES];

	while (frames > 0) {
		uint32_t now = frames < chunk ? frames : chunk;

		memcpy(scaled, from, (size_t)now * c->shape.frame_bytes);
		xaring_gain_apply(&c->gain, c->params.format, c->params.channels, index, scaled,
				  now);
		xaring_ring_write(&c->ring, index, scaled, now);
		from += (size_t)now * c->shape.frame_bytes;
		index += now;
		frames -= now;
	}
}

void client_volume_write(struct xaring_client *c, uint32_t index, const void *from, uint32_t frames)
{
	uint32_t volume = effective_volume(c);

	/* Nothing that it follows was written with another one: no ramp. */
	if (!c->has_gain)
		xaring_gain_init(&c->gain, c->params.rate_hz, volume);
	c->has_gain = true;
	xaring_gain_set(&c->gain, volume, index);
	if (xaring_gain_is_unity(&c->gain, index))
		xaring_ring_write(&c->ring, index, from, frames);
	else
		write_scaled(c, index, from, frames);
}
