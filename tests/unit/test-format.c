/* SPDX-License-Identifier: MIT */
/* Formats, channel maps and the shape of a stream, for every combination that can be asked for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/format.h>

static const struct xaring_params cd = {
	.direction = XARING_PLAYBACK,
	.format = XARING_FORMAT_S16,
	.rate_hz = 48000,
	.channels = 2,
	.buffer = 4096,
	.period = 1024,
};

static void formats_have_sizes_and_names(void **state)
{
	(void)state;
	assert_int_equal(xaring_format_bytes(XARING_FORMAT_U8), 1);
	assert_int_equal(xaring_format_bytes(XARING_FORMAT_S16), 2);
	assert_int_equal(xaring_format_bytes(XARING_FORMAT_S24), 4);
	assert_int_equal(xaring_format_bytes(XARING_FORMAT_S24_3), 3);
	assert_int_equal(xaring_format_bytes(XARING_FORMAT_S32), 4);
	assert_int_equal(xaring_format_bytes(XARING_FORMAT_FLOAT), 4);
	assert_int_equal(xaring_format_bytes(0), 0);
	assert_int_equal(xaring_format_bytes(7), 0);
	assert_int_equal(xaring_format_bytes(UINT32_MAX), 0);
	assert_string_equal(xaring_format_name(XARING_FORMAT_S24_3), "S24_3LE");
	assert_string_equal(xaring_format_name(0), "unknown");
	assert_string_equal(xaring_format_name(99), "unknown");
}

static void silence_is_the_zero_of_the_format(void **state)
{
	uint8_t samples[4] = {1, 2, 3, 4};

	(void)state;
	xaring_format_silence(XARING_FORMAT_U8, samples, 3);
	assert_memory_equal(samples, "\x80\x80\x80\x04", 4);
	xaring_format_silence(XARING_FORMAT_S16, samples, 2);
	assert_memory_equal(samples, "\0\0\x80\x04", 4);
	xaring_format_silence(XARING_FORMAT_FLOAT, samples, 4);
	assert_memory_equal(samples, "\0\0\0\0", 4);
}

static void headroom_follows_the_rate(void **state)
{
	(void)state;
	assert_int_equal(xaring_headroom(48000), XARING_HEADROOM_AT_48K);
	assert_int_equal(xaring_headroom(192000), 4 * XARING_HEADROOM_AT_48K);
	/* rounded up */
	assert_int_equal(xaring_headroom(44100), 1882);
	assert_int_equal(xaring_headroom(8000), 342);
}

static void usual_maps_are_valid(void **state)
{
	uint8_t map[XARING_CHANNELS_MAX];

	(void)state;
	for (uint32_t channels = 1; channels <= XARING_CHANNELS_MAX; channels++) {
		memset(map, 0xee, sizeof(map));
		xaring_map_default(channels, map);
		assert_true(xaring_map_is_valid(channels, map));
		for (uint32_t i = 0; i < XARING_CHANNELS_MAX; i++)
			assert_int_equal(map[i] != 0, i < channels);
	}
	xaring_map_default(1, map);
	assert_int_equal(map[0], XARING_CHANNEL_MONO);
	xaring_map_default(3, map);
	assert_int_equal(map[2], XARING_CHANNEL_FC);
	xaring_map_default(6, map);
	assert_int_equal(map[5], XARING_CHANNEL_LFE);
	xaring_map_default(7, map);
	assert_int_equal(map[6], XARING_CHANNEL_RC);
}

static void bad_maps_are_refused(void **state)
{
	uint8_t map[XARING_CHANNELS_MAX] = {0};

	(void)state;
	assert_true(xaring_map_is_valid(2, map));
	assert_false(xaring_map_is_valid(0, map));
	assert_false(xaring_map_is_valid(9, map));
	map[0] = XARING_CHANNEL_FL;
	assert_false(xaring_map_is_valid(2, map)); /* one named, one not */
	map[1] = XARING_CHANNEL_FL;
	assert_false(xaring_map_is_valid(2, map));
	map[1] = 1;
	assert_false(xaring_map_is_valid(2, map));
	map[1] = XARING_CHANNEL_LAST + 1;
	assert_false(xaring_map_is_valid(2, map));
	map[1] = 255;
	assert_false(xaring_map_is_valid(2, map));
	map[1] = XARING_CHANNEL_LAST;
	assert_true(xaring_map_is_valid(2, map));
	map[5] = 255; /* beyond the channels */
	assert_true(xaring_map_is_valid(2, map));
}

static void example_of_the_document(void **state)
{
	struct xaring_refusal refusal;
	struct xaring_shape shape;

	(void)state;
	assert_int_equal(xaring_params_shape(&cd, &shape, &refusal), 0);
	assert_int_equal(shape.frame_bytes, 4);
	assert_int_equal(shape.capacity, 8192);
	assert_int_equal(shape.data_pages, 8);
	assert_int_equal(shape.pages, 9);
}

static void check_shape(const struct xaring_params *params)
{
	uint32_t frame_bytes = xaring_format_bytes(params->format) * params->channels;
	uint64_t head = ((uint64_t)2048 * params->rate_hz + 47999) / 48000;
	struct xaring_refusal refusal;
	struct xaring_shape shape;

	if (xaring_params_shape(params, &shape, &refusal) < 0) {
		assert_int_equal(refusal.reason, XARING_REASON_BUFFER);
		assert_int_equal(refusal.value, params->buffer);
		assert_int_equal(refusal.min, XARING_BUFFER_MIN);
		assert_true(params->buffer < refusal.min || params->buffer > refusal.max);
		return;
	}
	assert_int_equal(shape.frame_bytes, frame_bytes);
	assert_int_equal(shape.capacity & (shape.capacity - 1), 0);
	assert_true(shape.capacity >= params->buffer + head);
	assert_true(shape.capacity / 2 < params->buffer + head);
	assert_true((uint64_t)shape.data_pages * 4096 >= (uint64_t)shape.capacity * frame_bytes);
	assert_true(((uint64_t)shape.data_pages - 1) * 4096 <
		    (uint64_t)shape.capacity * frame_bytes);
	assert_true(shape.data_pages <= XARING_RING_PAGES_MAX);
	assert_int_equal(shape.pages, shape.data_pages + 1);
	assert_true(params->buffer * frame_bytes <= XARING_BUFFER_BYTES_MAX);
	/* so many pages are enough for it, and one less is not */
	assert_true(xaring_buffer_max(params, shape.pages) >= params->buffer);
	assert_true(xaring_buffer_max(params, shape.pages - 1) < params->buffer);
}

/* What a refusal says is accepted is accepted, and one frame more is not. */
static void check_limit(struct xaring_params params)
{
	struct xaring_refusal refusal, again;
	struct xaring_shape shape;

	params.buffer = UINT32_MAX;
	assert_int_equal(xaring_params_shape(&params, &shape, &refusal), -EINVAL);
	params.buffer = refusal.max;
	assert_int_equal(xaring_params_shape(&params, &shape, &again), 0);
	check_shape(&params);
	params.buffer++;
	assert_int_equal(xaring_params_shape(&params, &shape, &again), -EINVAL);
	params.buffer = refusal.min;
	assert_int_equal(xaring_params_shape(&params, &shape, &again), 0);
	params.buffer--;
	assert_int_equal(xaring_params_shape(&params, &shape, &again), -EINVAL);
}

static void every_shape_holds(void **state)
{
	static const uint32_t rates[] = {8000,  11025, 16000, 22050,  32000, 44100,
					 48000, 88200, 96000, 176400, 192000};
	struct xaring_params params = cd;

	(void)state;
	for (int format = XARING_FORMAT_U8; format <= XARING_FORMAT_FLOAT; format++)
		for (uint32_t channels = 1; channels <= 8; channels++)
			for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
				params.format = (enum xaring_format)format;
				params.channels = channels;
				params.rate_hz = rates[r];
				check_limit(params);
				for (uint32_t buffer = 1; buffer < 200000;
				     buffer += buffer / 7 + 1) {
					params.buffer = buffer;
					check_shape(&params);
				}
			}
}

static void no_buffer_fits_no_pages(void **state)
{
	(void)state;
	assert_int_equal(xaring_buffer_max(&cd, 0), 0);
	assert_int_equal(xaring_buffer_max(&cd, 1), 0);
	assert_int_equal(xaring_buffer_max(&cd, 2), 0); /* less than the head-room */
	assert_int_equal(xaring_buffer_max(&cd, 9), 8192 - 2048);
	assert_int_equal(xaring_buffer_max(&cd, UINT32_MAX), XARING_BUFFER_BYTES_MAX / 4);
}

static void text_of(struct xaring_params params, const char *expected)
{
	struct xaring_refusal refusal;
	struct xaring_shape shape;
	char text[160];

	assert_int_equal(xaring_params_shape(&params, &shape, &refusal), -EINVAL);
	xaring_refusal_text(&refusal, text, sizeof(text));
	assert_string_equal(text, expected);
	assert_int_equal(xaring_refusal_errno(&refusal), -EINVAL);
}

static void each_refusal_says_why(void **state)
{
	struct xaring_params p = cd;

	(void)state;
	p.rate_hz = 4000;
	text_of(p, "rate 4000 Hz is refused: 8000 to 192000 are accepted");
	p.rate_hz = 192001;
	text_of(p, "rate 192001 Hz is refused: 8000 to 192000 are accepted");
	p = cd;
	p.direction = (enum xaring_direction)2;
	text_of(p, "direction 2 is refused: 0 (playback) and 1 (capture) are accepted");
	p = cd;
	p.format = (enum xaring_format)9;
	text_of(p, "sample format 9 is refused: U8 to FLOAT_LE are accepted");
	p = cd;
	p.channels = 0;
	text_of(p, "number of channels 0 is refused: 1 to 8 are accepted");
	p.channels = 9;
	text_of(p, "number of channels 9 is refused: 1 to 8 are accepted");
	p = cd;
	p.map[0] = p.map[1] = XARING_CHANNEL_FL;
	text_of(p, "channel position 3 is refused: it is unknown, or named twice");
	p = cd;
	p.buffer = 31;
	text_of(p, "buffer 31 frames is refused: 32 to 48000 are accepted");
}

static void every_reason_has_text_and_errno(void **state)
{
	char text[160], all[XARING_REASON_LAST + 2][160];
	struct xaring_refusal r = {.value = 5, .min = 4, .max = 4};

	(void)state;
	for (int reason = 0; reason <= XARING_REASON_LAST + 1; reason++) {
		r.reason = (enum xaring_reason)reason;
		xaring_refusal_text(&r, all[reason], sizeof(all[reason]));
		assert_non_null(strstr(all[reason], "refused"));
		for (int before = 0; before < reason; before++)
			assert_string_not_equal(all[before], all[reason]);
		xaring_refusal_text(&r, text, 8);
		assert_int_equal(strlen(text), 7);
	}
	r.reason = XARING_REASON_STREAMS;
	xaring_refusal_text(&r, text, sizeof(text));
	assert_string_equal(text, "stream number 5 of this machine is refused: 4 is accepted");
	assert_int_equal(xaring_refusal_errno(&r), -EBUSY);
	r.max = 0;
	xaring_refusal_text(&r, text, sizeof(text));
	assert_string_equal(text, "stream number 5 of this machine is refused");
	r.reason = XARING_REASON_POLICY;
	assert_int_equal(xaring_refusal_errno(&r), -EPERM);
	r.reason = XARING_REASON_USER;
	assert_int_equal(xaring_refusal_errno(&r), -EPERM);
	xaring_refusal_text(&r, text, sizeof(text));
	assert_string_equal(text, "by the guest's own rules, recording is refused: members of the "
				  "group audio and users of an active local session are accepted");
	r.reason = XARING_REASON_BUSY;
	assert_int_equal(xaring_refusal_errno(&r), -EBUSY);
	r.reason = XARING_REASON_PAGES;
	assert_int_equal(xaring_refusal_errno(&r), -EBUSY);
	r.reason = XARING_REASON_INTERNAL;
	assert_int_equal(xaring_refusal_errno(&r), -EBUSY);
	r.reason = XARING_REASON_VERSION;
	assert_int_equal(xaring_refusal_errno(&r), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_have_sizes_and_names),
		cmocka_unit_test(silence_is_the_zero_of_the_format),
		cmocka_unit_test(headroom_follows_the_rate),
		cmocka_unit_test(usual_maps_are_valid),
		cmocka_unit_test(bad_maps_are_refused),
		cmocka_unit_test(example_of_the_document),
		cmocka_unit_test(every_shape_holds),
		cmocka_unit_test(no_buffer_fits_no_pages),
		cmocka_unit_test(each_refusal_says_why),
		cmocka_unit_test(every_reason_has_text_and_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
