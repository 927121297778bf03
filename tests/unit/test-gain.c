/* SPDX-License-Identifier: MIT */
/* The guest's own volume: samples of every format, the ramp from one volume to another, indexes that wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/gain.h>

#define RATE  48000u
#define RAMP  (RATE * XARING_GAIN_RAMP_MS / 1000)
#define UNITY XARING_VOLUME_UNITY
#define HALF  (UNITY / 2)

static struct xaring_gain gain_of(uint32_t volume)
{
	struct xaring_gain g;

	xaring_gain_init(&g, RATE, volume);
	return g;
}

/* Whatever is in the samples: of all formats, with the bits of S24 that carry nothing, and floats that are none. */
static void unity_changes_no_bit(void **state)
{
	uint8_t bytes[8 * 4 * 16], same[sizeof(bytes)];
	struct xaring_gain g = gain_of(UNITY);

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 201);
	memcpy(same, bytes, sizeof(bytes));
	for (uint32_t format = XARING_FORMAT_U8; format <= XARING_FORMAT_FLOAT; format++) {
		for (uint32_t channels = 1; channels <= XARING_CHANNELS_MAX; channels++)
			xaring_gain_apply(&g, (enum xaring_format)format, channels, 5, bytes, 16);
		assert_memory_equal(bytes, same, sizeof(bytes));
	}
	assert_true(xaring_gain_is_unity(&g, 0));
}

static void apply(struct xaring_gain *g, enum xaring_format format, void *sample)
{
	xaring_gain_apply(g, format, 1, 0, sample, 1);
}

static int16_t s16(uint32_t volume, int16_t sample)
{
	struct xaring_gain g = gain_of(volume);

	apply(&g, XARING_FORMAT_S16, &sample);
	return sample;
}

static int32_t word_of(uint32_t volume, enum xaring_format format, int32_t sample)
{
	struct xaring_gain g = gain_of(volume);

	apply(&g, format, &sample);
	return sample;
}

static uint8_t u8(uint32_t volume, uint8_t sample)
{
	struct xaring_gain g = gain_of(volume);

	apply(&g, XARING_FORMAT_U8, &sample);
	return sample;
}

static int32_t s24_3(uint32_t volume, int32_t sample)
{
	uint8_t bytes[3] = {(uint8_t)sample, (uint8_t)(sample >> 8), (uint8_t)(sample >> 16)};
	struct xaring_gain g = gain_of(volume);

	apply(&g, XARING_FORMAT_S24_3, bytes);
	return (int32_t)((uint32_t)bytes[0] << 8 | (uint32_t)bytes[1] << 16 |
			 (uint32_t)bytes[2] << 24) >>
	       8;
}

static void a_half_is_half_of_each_format(void **state)
{
	struct xaring_gain g = gain_of(HALF);
	float sample = 0.75f;

	(void)state;
	assert_int_equal(s16(HALF, 1000), 500);
	assert_int_equal(s16(HALF, INT16_MIN), INT16_MIN / 2);
	assert_int_equal(s16(HALF, 3), 2); /* half up */
	assert_int_equal(s16(HALF, -3), -1);
	assert_int_equal(u8(HALF, 0), 64);
	assert_int_equal(u8(HALF, 255), 192);
	assert_int_equal(word_of(HALF, XARING_FORMAT_S32, INT32_MIN), INT32_MIN / 2);
	assert_int_equal(word_of(HALF, XARING_FORMAT_S32, INT32_MAX), INT32_MAX / 2 + 1);
	/* What is above the 24 bits is no part of the sample. */
	assert_int_equal(word_of(HALF, XARING_FORMAT_S24, 0x55000010), 8);
	assert_int_equal(word_of(HALF, XARING_FORMAT_S24, 0x00800000), -0x400000);
	assert_int_equal(s24_3(HALF, 1000), 500);
	assert_int_equal(s24_3(HALF, -0x800000), -0x400000);
	apply(&g, XARING_FORMAT_FLOAT, &sample);
	assert_true(sample == 0.375f);
}

static void nothing_is_the_silence_of_each_format(void **state)
{
	struct xaring_gain g = gain_of(0);
	float sample = -0.5f;

	(void)state;
	assert_int_equal(s16(0, INT16_MIN), 0);
	assert_int_equal(u8(0, 255), 128);
	assert_int_equal(word_of(0, XARING_FORMAT_S32, INT32_MIN), 0);
	assert_int_equal(word_of(0, XARING_FORMAT_S24, 0x00800000), 0);
	assert_int_equal(s24_3(0, -1), 0);
	apply(&g, XARING_FORMAT_FLOAT, &sample);
	assert_true(sample == 0.0f);
}

/* All channels of a frame alike, each frame a little further, the first and the last one at the old and the new volume. */
static void a_new_volume_comes_as_a_ramp(void **state)
{
	static int16_t frames[(RAMP + 200) * 2];
	struct xaring_gain g = gain_of(UNITY);

	(void)state;
	for (size_t i = 0; i < RAMP + 200; i++)
		frames[i * 2] = frames[i * 2 + 1] = 16000;
	xaring_gain_set(&g, 0, 100);
	assert_true(xaring_gain_is_unity(&g, 99) == false);
	xaring_gain_apply(&g, XARING_FORMAT_S16, 2, 0, frames, RAMP + 200);
	assert_int_equal(frames[100 * 2], 16000);
	assert_int_equal(frames[(100 + RAMP / 2) * 2], 8000);
	assert_int_equal(frames[(100 + RAMP) * 2], 0);
	for (size_t i = 1; i < RAMP + 200; i++) {
		assert_in_range(frames[i * 2 - 2] - frames[i * 2], 0, 16000 / RAMP + 1);
		assert_int_equal(frames[i * 2], frames[i * 2 + 1]);
	}
	xaring_gain_set(&g, UNITY, 2 * RAMP);
	assert_false(xaring_gain_is_unity(&g, 2 * RAMP));
	assert_true(xaring_gain_is_unity(&g, 3 * RAMP));
}

/* In whatever pieces, and when some of it is written once more. */
static void it_follows_from_the_index(void **state)
{
	float whole[600], pieces[600];
	struct xaring_gain g = gain_of(UNITY);

	(void)state;
	for (size_t i = 0; i < 600; i++)
		whole[i] = pieces[i] = 1.0f;
	xaring_gain_set(&g, HALF, 50);
	xaring_gain_apply(&g, XARING_FORMAT_FLOAT, 1, 0, whole, 600);
	for (uint32_t i = 0; i < 600; i += 7)
		xaring_gain_apply(&g, XARING_FORMAT_FLOAT, 1, i, pieces + i,
				  i + 7 <= 600 ? 7 : 600 - i);
	assert_memory_equal(whole, pieces, sizeof(whole));
	for (size_t i = 20; i < 300; i++)
		pieces[i] = 1.0f;
	xaring_gain_apply(&g, XARING_FORMAT_FLOAT, 1, 20, pieces + 20, 280);
	assert_memory_equal(whole, pieces, sizeof(whole));
}

/* A second change begins where the first one had come to. */
static void a_ramp_is_turned_without_a_step(void **state)
{
	struct xaring_gain g = gain_of(UNITY);

	(void)state;
	xaring_gain_set(&g, 0, 1000);
	xaring_gain_set(&g, UNITY, 1000 + RAMP / 2);
	assert_int_equal(xaring_gain_at(&g, 1000 + RAMP / 2), HALF);
	assert_int_equal(xaring_gain_at(&g, 1000 + RAMP), HALF + HALF / 2);
	assert_int_equal(xaring_gain_at(&g, 1000 + 2 * RAMP), UNITY);
	xaring_gain_set(&g, UNITY, 1000 + RAMP / 2 + 1);
	assert_int_equal(xaring_gain_at(&g, 1000 + RAMP / 2), HALF);
}

/* All of the 2^32 frames long, and more, what was before the ramp does not come back: to silence, and to all of it. */
static void assert_forgotten(uint32_t from, uint32_t to)
{
	struct xaring_gain g = gain_of(from);
	uint32_t index = UINT32_MAX - 10;
	int16_t sample;

	xaring_gain_set(&g, to, index);
	assert_int_equal(xaring_gain_at(&g, index + RAMP / 2), HALF);
	for (int i = 0; i < 300; i++) {
		sample = 1000;
		index += 1 << 24;
		xaring_gain_set(&g, to, index);
		xaring_gain_apply(&g, XARING_FORMAT_S16, 1, index, &sample, 1);
		assert_int_equal(sample, to == UNITY ? 1000 : 0);
		assert_int_equal(xaring_gain_is_unity(&g, index), to == UNITY);
	}
}

static void a_ramp_is_forgotten_before_the_index_wraps(void **state)
{
	(void)state;
	assert_forgotten(UNITY, 0);
	assert_forgotten(0, UNITY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unity_changes_no_bit),
		cmocka_unit_test(a_half_is_half_of_each_format),
		cmocka_unit_test(nothing_is_the_silence_of_each_format),
		cmocka_unit_test(a_new_volume_comes_as_a_ramp),
		cmocka_unit_test(it_follows_from_the_index),
		cmocka_unit_test(a_ramp_is_turned_without_a_step),
		cmocka_unit_test(a_ramp_is_forgotten_before_the_index_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
