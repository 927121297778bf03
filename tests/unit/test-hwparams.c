/* SPDX-License-Identifier: MIT */
/* Parameters: formats both ways, what a refusal leaves, what a choice means, channel maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hwparams.h"

static const struct xaring_params stereo = {.format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = 8192};

static void formats_map_both_ways(void **state)
{
	(void)state;
	for (uint32_t f = XARING_FORMAT_U8; f <= XARING_FORMAT_FLOAT; f++) {
		snd_pcm_format_t alsa = hwparams_alsa_format(f);

		assert_int_not_equal(alsa, SND_PCM_FORMAT_UNKNOWN);
		assert_int_equal(hwparams_format(alsa), f);
		assert_int_equal(snd_pcm_format_physical_width(alsa), xaring_format_bytes(f) * 8);
	}
	assert_int_equal(hwparams_format(SND_PCM_FORMAT_S16_BE), 0);
	assert_int_equal(hwparams_alsa_format(0), SND_PCM_FORMAT_UNKNOWN);
	assert_int_equal(hwparams_alsa_format(99), SND_PCM_FORMAT_UNKNOWN);
}

static void refusal_narrows_ranges(void **state)
{
	struct hwparams_limits l;
	struct xaring_refusal r = {XARING_REASON_RATE, 96000, 8000, 48000};

	(void)state;
	hwparams_init(&l);
	assert_true(hwparams_narrow(&l, &r, &stereo));
	assert_int_equal(l.rate_min, 8000);
	assert_int_equal(l.rate_max, 48000);
	assert_false(hwparams_narrow(&l, &r, &stereo));
	r = (struct xaring_refusal){XARING_REASON_CHANNELS, 6, 1, 2};
	assert_true(hwparams_narrow(&l, &r, &stereo));
	assert_int_equal(l.channels_max, 2);
	r = (struct xaring_refusal){XARING_REASON_BUFFER, 24000, 64, 4096};
	assert_true(hwparams_narrow(&l, &r, &stereo));
	assert_int_equal(l.buffer_bytes_min, 256);
	assert_int_equal(l.buffer_bytes_max, 16384);
}

/* What is offered next is what would have been accepted, to the page. */
static void refusal_of_pages_narrows_the_buffer(void **state)
{
	struct xaring_refusal unused;
	struct hwparams_limits l;

	(void)state;
	for (uint32_t format = XARING_FORMAT_U8; format <= XARING_FORMAT_FLOAT; format++)
		for (uint32_t max = 2; max < 17; max++) {
			struct xaring_params params = stereo;
			struct xaring_refusal r = {XARING_REASON_PAGES, 0, 2, max};
			struct xaring_shape shape;
			uint32_t left;

			params.format = format;
			assert_int_equal(xaring_params_shape(&params, &shape, &unused), 0);
			r.value = shape.pages;
			left = hwparams_buffer_left(&r, &params);
			hwparams_init(&l);
			assert_int_equal(hwparams_narrow(&l, &r, &params), left > 0);
			if (shape.pages <= max || left == 0) {
				assert_int_equal(left, 0);
				continue;
			}
			assert_int_equal(l.buffer_bytes_max, left * shape.frame_bytes);
			params.buffer = left;
			assert_int_equal(xaring_params_shape(&params, &shape, &unused), 0);
			assert_true(shape.pages <= max);
			params.buffer = left + 1;
			assert_int_equal(xaring_params_shape(&params, &shape, &unused), 0);
			assert_true(shape.pages > max);
		}
}

/* Of a machine that has 85 pages in use, and may have 90. */
static void pages_of_other_streams_are_not_to_be_had(void **state)
{
	struct xaring_refusal r = {XARING_REASON_PAGES, 85 + 17, 2, 90};
	struct hwparams_limits l;

	(void)state;
	hwparams_init(&l);
	assert_int_equal(hwparams_buffer_left(&r, &stereo), 2048); /* 4 data pages: 4096 frames */
	assert_true(hwparams_narrow(&l, &r, &stereo));
	assert_int_equal(l.buffer_bytes_max, 8192);
	r.max = 86; /* a control page, and none for data */
	assert_int_equal(hwparams_buffer_left(&r, &stereo), 0);
	assert_false(hwparams_narrow(&l, &r, &stereo));
	r.max = 80;
	assert_int_equal(hwparams_buffer_left(&r, &stereo), 0);
	r.reason = XARING_REASON_STREAMS;
	r.max = 90;
	assert_int_equal(hwparams_buffer_left(&r, &stereo), 0);
}

static void format_refusal_takes_that_format_away(void **state)
{
	struct hwparams_limits l;
	struct xaring_refusal r = {XARING_REASON_FORMAT, XARING_FORMAT_FLOAT, 1, 5};

	(void)state;
	hwparams_init(&l);
	assert_true(hwparams_narrow(&l, &r, &stereo));
	assert_int_equal(l.formats & 1u << XARING_FORMAT_FLOAT, 0);
	assert_int_not_equal(l.formats & 1u << XARING_FORMAT_S16, 0);
	assert_false(hwparams_narrow(&l, &r, &stereo));
	r.value = 77;
	assert_false(hwparams_narrow(&l, &r, &stereo));
	l.formats = 1u << XARING_FORMAT_S16;
	r.value = XARING_FORMAT_S16;
	assert_false(hwparams_narrow(&l, &r, &stereo));
}

static void nonsense_changes_nothing(void **state)
{
	const struct xaring_refusal refusals[] = {
		{XARING_REASON_RATE, 48000, 0, 0},
		{XARING_REASON_RATE, 48000, 500000, 600000},
		{XARING_REASON_RATE, 48000, 96000, 48000},
		{XARING_REASON_CHANNELS, 2, 9, 32},
		{XARING_REASON_BUFFER, 24000, 0xffffffff, 0xffffffff},
		{XARING_REASON_POLICY, 1, 1, 1},
		{XARING_REASON_PAGES, 17, 0, 0},
		{XARING_REASON_PAGES, 17, 2, 17},
		{XARING_REASON_PAGES, 17, 2, 0xffffffff},
		{XARING_REASON_PAGES, 16, 2, 9}, /* less than it has */
		{XARING_REASON_PAGES, 0xffffffff, 2, 480},
	};
	struct hwparams_limits l, before;

	(void)state;
	hwparams_init(&l);
	before = l;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		assert_false(hwparams_narrow(&l, &refusals[i], &stereo));
	assert_memory_equal(&l, &before, sizeof(l));
}

static void choice_is_translated(void **state)
{
	snd_pcm_ioplug_t io = {
		.stream = SND_PCM_STREAM_PLAYBACK,
		.format = SND_PCM_FORMAT_S24_3LE,
		.rate = 44100,
		.channels = 6,
		.buffer_size = 4096,
		.period_size = 1024,
	};
	struct xaring_params params;
	struct xaring_refusal refusal;
	struct xaring_shape shape;

	(void)state;
	assert_int_equal(hwparams_choice(&io, &params), 0);
	assert_int_equal(params.direction, XARING_PLAYBACK);
	assert_int_equal(params.format, XARING_FORMAT_S24_3);
	assert_int_equal(params.rate_hz, 44100);
	assert_int_equal(params.channels, 6);
	assert_int_equal(params.buffer, 4096);
	assert_int_equal(params.period, 1024);
	assert_int_equal(params.map[0], XARING_CHANNEL_FL);
	io.format = SND_PCM_FORMAT_S16_BE;
	assert_int_equal(hwparams_choice(&io, &params), -EINVAL);
	io.format = SND_PCM_FORMAT_S16_LE;
	io.buffer_size = 200000;
	assert_int_equal(hwparams_choice(&io, &params), -EINVAL);
	/* The smallest that is offered, in the widest frames, is accepted by the protocol. */
	io.format = SND_PCM_FORMAT_FLOAT_LE;
	io.channels = 8;
	io.buffer_size = HWPARAMS_PERIOD_BYTES_MIN * 2 / 32;
	io.period_size = io.buffer_size / 2;
	assert_int_equal(hwparams_choice(&io, &params), 0);
	assert_int_equal(xaring_params_shape(&params, &shape, &refusal), 0);
}

static void chmaps_are_listed_and_checked(void **state)
{
	snd_pcm_chmap_query_t **maps = hwparams_query_chmaps();

	(void)state;
	assert_non_null(maps);
	for (uint32_t i = 0; i < 8; i++) {
		snd_pcm_chmap_t *map = hwparams_chmap(i + 1);

		assert_non_null(maps[i]);
		assert_int_equal(maps[i]->type, SND_CHMAP_TYPE_FIXED);
		assert_int_equal(maps[i]->map.channels, i + 1);
		assert_non_null(map);
		assert_memory_equal(map->pos, maps[i]->map.pos, (i + 1) * sizeof(map->pos[0]));
		assert_int_equal(hwparams_check_chmap(i + 1, map), 0);
		assert_int_equal(hwparams_check_chmap(i + 2, map), -EINVAL);
		map->pos[i] = SND_CHMAP_TRC;
		assert_int_equal(hwparams_check_chmap(i + 1, map), -EINVAL);
		free(map);
	}
	assert_null(maps[8]);
	assert_null(hwparams_chmap(0));
	assert_null(hwparams_chmap(9));
	assert_int_equal(maps[1]->map.pos[1], SND_CHMAP_FR);
	assert_int_equal(maps[0]->map.pos[0], SND_CHMAP_MONO);
	snd_pcm_free_chmaps(maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_map_both_ways),
		cmocka_unit_test(refusal_narrows_ranges),
		cmocka_unit_test(refusal_of_pages_narrows_the_buffer),
		cmocka_unit_test(pages_of_other_streams_are_not_to_be_had),
		cmocka_unit_test(format_refusal_takes_that_format_away),
		cmocka_unit_test(nonsense_changes_nothing),
		cmocka_unit_test(choice_is_translated),
		cmocka_unit_test(chmaps_are_listed_and_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
