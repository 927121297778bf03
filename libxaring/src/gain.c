/* SPDX-License-Identifier: MIT */
/*
 * Samples times a volume. The ramp goes frame by frame; before and after it all samples have one factor.
 */
#include <xaring/gain.h>

#include <string.h>

/* Far more than a ring can hold, and far less than an index can tell apart. */
#define FORGOTTEN (1 << 24)

#define UNITY XARING_VOLUME_UNITY

void xaring_gain_init(struct xaring_gain *g, uint32_t rate_hz, uint32_t volume)
{
	*g = (struct xaring_gain){.from = volume,
				  .to = volume,
				  .ramp = rate_hz * XARING_GAIN_RAMP_MS / 1000};
}

uint32_t xaring_gain_at(const struct xaring_gain *g, uint32_t index)
{
	int64_t past = (int32_t)(index - g->index), ramp = g->ramp;

	if (g->from == g->to || past >= ramp)
		return g->to;
	if (past < 0)
		return g->from;
	return (uint32_t)(g->from + ((int64_t)g->to - g->from) * past / ramp);
}

void xaring_gain_set(struct xaring_gain *g, uint32_t volume, uint32_t index)
{
	if ((int32_t)(index - g->index) > FORGOTTEN)
		g->from = g->to;
	if (volume == g->to)
		return;
	g->from = xaring_gain_at(g, index);
	g->to = volume;
	g->index = index;
}

bool xaring_gain_is_unity(const struct xaring_gain *g, uint32_t index)
{
	return g->to == UNITY && xaring_gain_at(g, index) == UNITY;
}

/* Rounds half up, as a shift does; its result is no larger than the sample. */
static int64_t scale(int64_t sample, uint32_t volume)
{
	return (sample * volume + UNITY / 2) >> 16;
}

static void scale_u8(uint8_t *at, size_t samples, uint32_t volume)
{
	for (size_t i = 0; i < samples; i++)
		at[i] = (uint8_t)(scale((int64_t)at[i] - 128, volume) + 128);
}

static void scale_s16(uint8_t *at, size_t samples, uint32_t volume)
{
	int16_t sample;

	for (size_t i = 0; i < samples; i++, at += sizeof(sample)) {
		memcpy(&sample, at, sizeof(sample));
		sample = (int16_t)scale(sample, volume);
		memcpy(at, &sample, sizeof(sample));
	}
}

/* 24 bits in the low bytes of a word, whatever is above them. */
static int64_t sign_24(uint32_t word)
{
	return (int64_t)((word & 0xffffff) ^ 0x800000) - 0x800000;
}

static void scale_s24(uint8_t *at, size_t samples, uint32_t volume)
{
	uint32_t word;

	for (size_t i = 0; i < samples; i++, at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		word = (uint32_t)scale(sign_24(word), volume);
		memcpy(at, &word, sizeof(word));
	}
}

static void scale_s24_3(uint8_t *at, size_t samples, uint32_t volume)
{
	for (size_t i = 0; i < samples; i++, at += 3) {
		uint32_t word = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;

		word = (uint32_t)scale(sign_24(word), volume);
		at[0] = (uint8_t)word;
		at[1] = (uint8_t)(word >> 8);
		at[2] = (uint8_t)(word >> 16);
	}
}

static void scale_s32(uint8_t *at, size_t samples, uint32_t volume)
{
	int32_t sample;

	for (size_t i = 0; i < samples; i++, at += sizeof(sample)) {
		memcpy(&sample, at, sizeof(sample));
		sample = (int32_t)scale(sample, volume);
		memcpy(at, &sample, sizeof(sample));
	}
}

static void scale_float(uint8_t *at, size_t samples, uint32_t volume)
{
	float factor = (float)volume / (float)UNITY, sample;

	for (size_t i = 0; i < samples; i++, at += sizeof(sample)) {
		memcpy(&sample, at, sizeof(sample));
		sample *= factor;
		memcpy(at, &sample, sizeof(sample));
	}
}

static void scale_samples(enum xaring_format format, uint8_t *at, size_t samples, uint32_t volume)
{
	switch (format) {
	case XARING_FORMAT_U8:
		scale_u8(at, samples, volume);
		break;
	case XARING_FORMAT_S16:
		scale_s16(at, samples, volume);
		break;
	case XARING_FORMAT_S24:
		scale_s24(at, samples, volume);
		break;
	case XARING_FORMAT_S24_3:
		scale_s24_3(at, samples, volume);
		break;
	case XARING_FORMAT_S32:
		scale_s32(at, samples, volume);
		break;
	case XARING_FORMAT_FLOAT:
		scale_float(at, samples, volume);
		break;
	}
}

/* How many of count frames from index on have the factor of the first one. */
static uint32_t count_equal(const struct xaring_gain *g, uint32_t index, uint32_t count)
{
	int32_t past = (int32_t)(index - g->index);

	if (g->from == g->to || past >= (int32_t)g->ramp)
		return count;
	if (past >= 0)
		return 1;
	return (uint32_t)-past < count ? (uint32_t)-past : count;
}

void xaring_gain_apply(const struct xaring_gain *g, enum xaring_format format, uint32_t channels,
		       uint32_t index, void *frames, uint32_t count)
{
	size_t frame_bytes = (size_t)xaring_format_bytes(format) * channels;
	uint8_t *at = frames;

	while (count > 0) {
		uint32_t now = count_equal(g, index, count);
		uint32_t volume = xaring_gain_at(g, index);

		if (volume != UNITY)
			scale_samples(format, at, (size_t)now * channels, volume);
		at += now * frame_bytes;
		index += now;
		count -= now;
	}
}
