/* SPDX-License-Identifier: MIT */
/*
 * Sample formats, channel maps, and the shape of a stream. The one place that knows which streams
 * exist: plugin, client, server and worker all ask here.
 */
#include <xaring/format.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t bytes;
} formats[] = {
	[XARING_FORMAT_U8] = {"U8", 1},      [XARING_FORMAT_S16] = {"S16_LE", 2},
	[XARING_FORMAT_S24] = {"S24_LE", 4}, [XARING_FORMAT_S24_3] = {"S24_3LE", 3},
	[XARING_FORMAT_S32] = {"S32_LE", 4}, [XARING_FORMAT_FLOAT] = {"FLOAT_LE", 4},
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

uint32_t xaring_format_bytes(uint32_t format)
{
	return format < FORMATS ? formats[format].bytes : 0;
}

const char *xaring_format_name(uint32_t format)
{
	return xaring_format_bytes(format) ? formats[format].name : "unknown";
}

void xaring_format_silence(uint32_t format, void *to, size_t bytes)
{
	memset(to, format == XARING_FORMAT_U8 ? 0x80 : 0, bytes);
}

void xaring_map_default(uint32_t channels, uint8_t map[XARING_CHANNELS_MAX])
{
	static const uint8_t usual[XARING_CHANNELS_MAX] = {
		XARING_CHANNEL_FL, XARING_CHANNEL_FR,  XARING_CHANNEL_RL, XARING_CHANNEL_RR,
		XARING_CHANNEL_FC, XARING_CHANNEL_LFE, XARING_CHANNEL_SL, XARING_CHANNEL_SR,
	};

	for (uint32_t i = 0; i < XARING_CHANNELS_MAX; i++)
		map[i] = i < channels ? usual[i] : 0;
	if (channels == 1)
		map[0] = XARING_CHANNEL_MONO;
	if (channels == 3)
		map[2] = XARING_CHANNEL_FC;
	if (channels == 7)
		map[6] = XARING_CHANNEL_RC;
}

/* Returns the first code of the map that is unknown or there twice, or 0 when there is none. */
static uint32_t map_fault(uint32_t channels, const uint8_t map[XARING_CHANNELS_MAX], bool *fault)
{
	uint64_t seen = 0;
	uint32_t named = 0;

	*fault = false;
	for (uint32_t i = 0; i < channels; i++)
		named += map[i] != 0;
	if (named == 0)
		return 0;
	for (uint32_t i = 0; i < channels; i++) {
		bool known = map[i] >= XARING_CHANNEL_MONO && map[i] <= XARING_CHANNEL_LAST;

		if (!known || (seen >> map[i] & 1)) {
			*fault = true;
			return map[i];
		}
		seen |= UINT64_C(1) << map[i];
	}
	return 0;
}

bool xaring_map_is_valid(uint32_t channels, const uint8_t map[XARING_CHANNELS_MAX])
{
	bool fault = true;

	if (channels >= 1 && channels <= XARING_CHANNELS_MAX)
		map_fault(channels, map, &fault);
	return !fault;
}

static int refuse(struct xaring_refusal *refusal, enum xaring_reason reason, uint32_t value,
		  uint32_t min, uint32_t max)
{
	*refusal =
		(struct xaring_refusal){.reason = reason, .value = value, .min = min, .max = max};
	return -EINVAL;
}

static int check_samples(const struct xaring_params *params, struct xaring_refusal *refusal)
{
	uint32_t direction = (uint32_t)params->direction;
	uint32_t format = (uint32_t)params->format;
	uint32_t code;
	bool fault;

	if (direction > XARING_CAPTURE)
		return refuse(refusal, XARING_REASON_DIRECTION, direction, 0, XARING_CAPTURE);
	if (xaring_format_bytes(format) == 0)
		return refuse(refusal, XARING_REASON_FORMAT, format, XARING_FORMAT_U8,
			      XARING_FORMAT_FLOAT);
	if (params->rate_hz < XARING_RATE_MIN || params->rate_hz > XARING_RATE_MAX)
		return refuse(refusal, XARING_REASON_RATE, params->rate_hz, XARING_RATE_MIN,
			      XARING_RATE_MAX);
	if (params->channels < 1 || params->channels > XARING_CHANNELS_MAX)
		return refuse(refusal, XARING_REASON_CHANNELS, params->channels, 1,
			      XARING_CHANNELS_MAX);
	code = map_fault(params->channels, params->map, &fault);
	if (fault)
		return refuse(refusal, XARING_REASON_CHANNELS, code, 0, 0);
	return 0;
}

static uint32_t power_of_two_below(uint32_t frames)
{
	return UINT32_C(1) << (31 - __builtin_clz(frames));
}

static uint32_t power_of_two_above(uint32_t frames)
{
	uint32_t below = power_of_two_below(frames);

	return below == frames ? below : below * 2;
}

uint32_t xaring_headroom(uint32_t rate_hz)
{
	return (uint32_t)(((uint64_t)XARING_HEADROOM_AT_48K * rate_hz + 47999) / 48000);
}

static uint32_t frame_bytes_of(const struct xaring_params *params)
{
	return xaring_format_bytes((uint32_t)params->format) * params->channels;
}

uint32_t xaring_buffer_max(const struct xaring_params *params, uint32_t pages)
{
	uint32_t frame_bytes = frame_bytes_of(params);
	uint32_t head = xaring_headroom(params->rate_hz);
	uint32_t most = XARING_BUFFER_BYTES_MAX / frame_bytes;
	uint32_t ring;

	if (pages < 2)
		return 0;
	if (pages > XARING_RING_PAGES_MAX + 1)
		pages = XARING_RING_PAGES_MAX + 1;
	ring = power_of_two_below((pages - 1) * XARING_PAGE_BYTES / frame_bytes);
	if (ring < head + XARING_BUFFER_MIN)
		return 0;
	return ring - head < most ? ring - head : most;
}

int xaring_params_shape(const struct xaring_params *params, struct xaring_shape *shape,
			struct xaring_refusal *refusal)
{
	uint32_t frame_bytes, head, buffer_max, data_bytes;
	int res = check_samples(params, refusal);

	if (res < 0)
		return res;
	frame_bytes = frame_bytes_of(params);
	head = xaring_headroom(params->rate_hz);
	buffer_max = xaring_buffer_max(params, XARING_RING_PAGES_MAX + 1);
	if (params->buffer < XARING_BUFFER_MIN || params->buffer > buffer_max)
		return refuse(refusal, XARING_REASON_BUFFER, params->buffer, XARING_BUFFER_MIN,
			      buffer_max);

	shape->frame_bytes = frame_bytes;
	shape->capacity = power_of_two_above(params->buffer + head);
	data_bytes = shape->capacity * frame_bytes;
	shape->data_pages = (data_bytes + XARING_PAGE_BYTES - 1) / XARING_PAGE_BYTES;
	shape->pages = shape->data_pages + 1;
	return 0;
}

/* How a refusal reads: the subject, and the unit of its numbers. */
struct phrase {
	const char *subject;
	const char *unit;
};

static const struct phrase phrases[] = {
	[XARING_REASON_NONE] = {"nothing", ""},
	[XARING_REASON_VERSION] = {"protocol version", ""},
	[XARING_REASON_MESSAGE] = {"a message that is not of the protocol", NULL},
	[XARING_REASON_DIRECTION] = {"direction", ""},
	[XARING_REASON_FORMAT] = {"sample format", ""},
	[XARING_REASON_RATE] = {"rate", " Hz"},
	[XARING_REASON_CHANNELS] = {"number of channels", ""},
	[XARING_REASON_BUFFER] = {"buffer", " frames"},
	[XARING_REASON_POLICY] = {"by the policy of the backend, playing or recording", NULL},
	[XARING_REASON_STREAMS] = {"stream number", " of this machine"},
	[XARING_REASON_PAGES] = {"total", " pages of this machine"},
	[XARING_REASON_BUSY] = {"reconnecting this often", NULL},
	[XARING_REASON_COUNTER] = {"an impossible frame counter", NULL},
	[XARING_REASON_WORD] = {"an impossible state word", NULL},
	[XARING_REASON_UNSETTLED] = {"a state word that never settles", NULL},
	[XARING_REASON_INTERNAL] = {"a stream for which memory or descriptors are missing", NULL},
	[XARING_REASON_USER] = {"by the guest's own rules, recording", NULL},
};

#define PHRASES (sizeof(phrases) / sizeof(phrases[0]))

/* The refusals that are no plain "SUBJECT VALUE is refused: MIN to MAX are accepted". */
static bool text_of_names(const struct xaring_refusal *r, char *text, uint32_t text_bytes)
{
	if (r->reason == XARING_REASON_FORMAT)
		snprintf(text, text_bytes, "sample format %u is refused: %s to %s are accepted",
			 r->value, xaring_format_name(XARING_FORMAT_U8),
			 xaring_format_name(XARING_FORMAT_FLOAT));
	else if (r->reason == XARING_REASON_DIRECTION)
		snprintf(text, text_bytes,
			 "direction %u is refused: 0 (playback) and 1 (capture) are accepted",
			 r->value);
	else if (r->reason == XARING_REASON_CHANNELS && r->max == 0)
		snprintf(text, text_bytes,
			 "channel position %u is refused: it is unknown, or named twice", r->value);
	else if (r->reason == XARING_REASON_USER)
		snprintf(text, text_bytes,
			 "%s is refused: members of the group audio and users of an active local "
			 "session are accepted",
			 phrases[r->reason].subject);
	else
		return false;
	return true;
}

void xaring_refusal_text(const struct xaring_refusal *r, char *text, uint32_t text_bytes)
{
	struct phrase p = {"for an unknown reason, a stream", NULL};

	if (text_of_names(r, text, text_bytes))
		return;
	if ((uint32_t)r->reason < PHRASES)
		p = phrases[r->reason];
	if (!p.unit)
		snprintf(text, text_bytes, "%s is refused", p.subject);
	else if (r->max == 0)
		snprintf(text, text_bytes, "%s %u%s is refused", p.subject, r->value, p.unit);
	else if (r->min == r->max)
		snprintf(text, text_bytes, "%s %u%s is refused: %u is accepted", p.subject,
			 r->value, p.unit, r->max);
	else
		snprintf(text, text_bytes, "%s %u%s is refused: %u to %u are accepted", p.subject,
			 r->value, p.unit, r->min, r->max);
}

int xaring_refusal_errno(const struct xaring_refusal *refusal)
{
	switch (refusal->reason) {
	case XARING_REASON_POLICY:
	case XARING_REASON_USER:
		return -EPERM;
	case XARING_REASON_STREAMS:
	case XARING_REASON_PAGES:
	case XARING_REASON_BUSY:
	case XARING_REASON_INTERNAL:
		return -EBUSY;
	default:
		return -EINVAL;
	}
}
