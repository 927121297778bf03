/* SPDX-License-Identifier: MIT */
/*
 * Hardware parameters. The ranges are wide on purpose: the backend resamples and remixes better than
 * alsa-lib's own plugins do, and an application that finds its native format needs none of them.
 */
#include "hwparams.h"

#include <errno.h>
#include <stdlib.h>

static const struct {
	snd_pcm_format_t alsa;
	uint32_t format;
} formats[] = {
	{SND_PCM_FORMAT_U8, XARING_FORMAT_U8},      {SND_PCM_FORMAT_S16_LE, XARING_FORMAT_S16},
	{SND_PCM_FORMAT_S24_LE, XARING_FORMAT_S24}, {SND_PCM_FORMAT_S24_3LE, XARING_FORMAT_S24_3},
	{SND_PCM_FORMAT_S32_LE, XARING_FORMAT_S32}, {SND_PCM_FORMAT_FLOAT_LE, XARING_FORMAT_FLOAT},
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

uint32_t hwparams_format(snd_pcm_format_t format)
{
	for (size_t i = 0; i < FORMATS; i++)
		if (formats[i].alsa == format)
			return formats[i].format;
	return 0;
}

snd_pcm_format_t hwparams_alsa_format(uint32_t format)
{
	for (size_t i = 0; i < FORMATS; i++)
		if (formats[i].format == format)
			return formats[i].alsa;
	return SND_PCM_FORMAT_UNKNOWN;
}

void hwparams_init(struct hwparams_limits *limits)
{
	*limits = (struct hwparams_limits){
		.rate_min = XARING_RATE_MIN,
		.rate_max = XARING_RATE_MAX,
		.channels_min = 1,
		.channels_max = XARING_CHANNELS_MAX,
		.buffer_bytes_min = HWPARAMS_PERIOD_BYTES_MIN * HWPARAMS_PERIODS_MIN,
		.buffer_bytes_max = XARING_BUFFER_BYTES_MAX,
	};
	for (size_t i = 0; i < FORMATS; i++)
		limits->formats |= 1u << formats[i].format;
}

/* Cuts a range to another one, unless nothing would be left. */
static bool narrow_range(uint32_t *min, uint32_t *max, uint64_t other_min, uint64_t other_max)
{
	uint64_t low = other_min > *min ? other_min : *min;
	uint64_t high = other_max < *max ? other_max : *max;

	if (low > high || (low == *min && high == *max))
		return false;
	*min = (uint32_t)low;
	*max = (uint32_t)high;
	return true;
}

/* A refusal names the one format that is not accepted: its range is one of codes, not of sizes. */
static bool narrow_format(struct hwparams_limits *limits, uint32_t format)
{
	uint32_t left;

	if (hwparams_alsa_format(format) == SND_PCM_FORMAT_UNKNOWN)
		return false;
	left = limits->formats & ~(1u << format);
	if (left == 0 || left == limits->formats)
		return false;
	limits->formats = left;
	return true;
}

uint32_t hwparams_buffer_left(const struct xaring_refusal *refusal,
			      const struct xaring_params *params)
{
	struct xaring_refusal unused;
	struct xaring_shape shape;
	uint32_t others;

	if (refusal->reason != XARING_REASON_PAGES || refusal->max >= refusal->value ||
	    xaring_params_shape(params, &shape, &unused) < 0 || refusal->value < shape.pages)
		return 0;
	others = refusal->value - shape.pages;
	return refusal->max > others ? xaring_buffer_max(params, refusal->max - others) : 0;
}

static bool narrow_buffer(struct hwparams_limits *limits, uint64_t min, uint64_t max,
			  const struct xaring_params *params)
{
	uint32_t frame_bytes = xaring_format_bytes(params->format) * params->channels;

	return narrow_range(&limits->buffer_bytes_min, &limits->buffer_bytes_max, min * frame_bytes,
			    max * frame_bytes);
}

bool hwparams_narrow(struct hwparams_limits *limits, const struct xaring_refusal *refusal,
		     const struct xaring_params *params)
{
	if (refusal->reason == XARING_REASON_FORMAT)
		return narrow_format(limits, refusal->value);
	if (refusal->max == 0)
		return false;
	switch (refusal->reason) {
	case XARING_REASON_RATE:
		return narrow_range(&limits->rate_min, &limits->rate_max, refusal->min,
				    refusal->max);
	case XARING_REASON_CHANNELS:
		return narrow_range(&limits->channels_min, &limits->channels_max, refusal->min,
				    refusal->max);
	case XARING_REASON_BUFFER:
		return narrow_buffer(limits, refusal->min, refusal->max, params);
	case XARING_REASON_PAGES:
		return narrow_buffer(limits, 0, hwparams_buffer_left(refusal, params), params);
	default:
		return false;
	}
}

static int apply_formats(const struct hwparams_limits *limits, snd_pcm_ioplug_t *io)
{
	unsigned int list[FORMATS];
	unsigned int count = 0;

	for (size_t i = 0; i < FORMATS; i++)
		if (limits->formats & 1u << formats[i].format)
			list[count++] = (unsigned int)formats[i].alsa;
	return snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, count, list);
}

static int apply_access(snd_pcm_ioplug_t *io)
{
	static const unsigned int access[] = {
		SND_PCM_ACCESS_RW_INTERLEAVED,
		SND_PCM_ACCESS_MMAP_INTERLEAVED,
	};

	return snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 2, access);
}

int hwparams_apply(const struct hwparams_limits *limits, snd_pcm_ioplug_t *io)
{
	const struct {
		int type;
		uint32_t min, max;
	} ranges[] = {
		{SND_PCM_IOPLUG_HW_CHANNELS, limits->channels_min, limits->channels_max},
		{SND_PCM_IOPLUG_HW_RATE, limits->rate_min, limits->rate_max},
		{SND_PCM_IOPLUG_HW_PERIOD_BYTES, HWPARAMS_PERIOD_BYTES_MIN,
		 limits->buffer_bytes_max / HWPARAMS_PERIODS_MIN},
		{SND_PCM_IOPLUG_HW_BUFFER_BYTES, limits->buffer_bytes_min,
		 limits->buffer_bytes_max},
		{SND_PCM_IOPLUG_HW_PERIODS, HWPARAMS_PERIODS_MIN, HWPARAMS_PERIODS_MAX},
	};
	int res = apply_access(io);

	if (res >= 0)
		res = apply_formats(limits, io);
	for (size_t i = 0; res >= 0 && i < sizeof(ranges) / sizeof(ranges[0]); i++)
		res = snd_pcm_ioplug_set_param_minmax(io, ranges[i].type, ranges[i].min,
						      ranges[i].max);
	return res < 0 ? res : 0;
}

int hwparams_choice(const snd_pcm_ioplug_t *io, struct xaring_params *params)
{
	uint32_t format = hwparams_format(io->format);

	if (format == 0 || io->buffer_size > XARING_BUFFER_BYTES_MAX ||
	    io->period_size > io->buffer_size)
		return -EINVAL;
	*params = (struct xaring_params){
		.direction =
			io->stream == SND_PCM_STREAM_PLAYBACK ? XARING_PLAYBACK : XARING_CAPTURE,
		.format = (enum xaring_format)format,
		.rate_hz = io->rate,
		.channels = io->channels,
		.buffer = (uint32_t)io->buffer_size,
		.period = (uint32_t)io->period_size,
	};
	/*
	 * Wide frames reach the smallest number of bytes with fewer frames than the protocol wants. To
	 * the server the buffer is only a limit of the fill, so a larger one does no harm.
	 */
	if (params->buffer < XARING_BUFFER_MIN)
		params->buffer = XARING_BUFFER_MIN;
	xaring_map_default(params->channels, params->map);
	return 0;
}

snd_pcm_chmap_t *hwparams_chmap(uint32_t channels)
{
	uint8_t codes[XARING_CHANNELS_MAX];
	snd_pcm_chmap_t *map;

	if (channels == 0 || channels > XARING_CHANNELS_MAX)
		return NULL;
	map = malloc(sizeof(*map) + channels * sizeof(map->pos[0]));
	if (!map)
		return NULL;
	xaring_map_default(channels, codes);
	map->channels = channels;
	for (uint32_t i = 0; i < channels; i++)
		map->pos[i] = codes[i];
	return map;
}

static snd_pcm_chmap_query_t *query_chmap(uint32_t channels)
{
	snd_pcm_chmap_query_t *query;
	uint8_t codes[XARING_CHANNELS_MAX];

	query = malloc(sizeof(*query) + channels * sizeof(query->map.pos[0]));
	if (!query)
		return NULL;
	xaring_map_default(channels, codes);
	query->type = SND_CHMAP_TYPE_FIXED;
	query->map.channels = channels;
	for (uint32_t i = 0; i < channels; i++)
		query->map.pos[i] = codes[i];
	return query;
}

snd_pcm_chmap_query_t **hwparams_query_chmaps(void)
{
	snd_pcm_chmap_query_t **maps = calloc(XARING_CHANNELS_MAX + 1, sizeof(maps[0]));

	if (!maps)
		return NULL;
	for (uint32_t i = 0; i < XARING_CHANNELS_MAX; i++) {
		maps[i] = query_chmap(i + 1);
		if (!maps[i]) {
			snd_pcm_free_chmaps(maps);
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): alsa-lib has freed them. */
			return NULL;
		}
	}
	return maps;
}

int hwparams_check_chmap(uint32_t channels, const snd_pcm_chmap_t *map)
{
	uint8_t codes[XARING_CHANNELS_MAX];

	if (channels == 0 || channels > XARING_CHANNELS_MAX || map->channels != channels)
		return -EINVAL;
	xaring_map_default(channels, codes);
	for (uint32_t i = 0; i < channels; i++)
		if (map->pos[i] != codes[i])
			return -EINVAL;
	return 0;
}
