/* SPDX-License-Identifier: MIT */
/* The steps of mixers: each one is another volume and comes back, and its decibels are those of the cube. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <alsa/asoundlib.h>
#include <cmocka.h>

#include <xaring/protocol.h>

#include "loudness.h"

static void each_step_is_another_volume_and_comes_back(void **state)
{
	(void)state;
	assert_int_equal(loudness_linear(0), 0);
	assert_int_equal(loudness_linear(50), XARING_VOLUME_UNITY / 8);
	assert_int_equal(loudness_linear(LOUDNESS_MAX), XARING_VOLUME_UNITY);
	for (long step = 1; step <= LOUDNESS_MAX; step++)
		assert_true(loudness_linear(step) > loudness_linear(step - 1));
	for (long step = 0; step <= LOUDNESS_MAX; step++)
		assert_int_equal(loudness_step(loudness_linear(step)), step);
}

/* Whoever else has set it. */
static void the_nearest_step_is_shown(void **state)
{
	uint32_t below = loudness_linear(70), above = loudness_linear(71);

	(void)state;
	assert_int_equal(loudness_step(below + (above - below) / 3), 70);
	assert_int_equal(loudness_step(above - (above - below) / 3), 71);
	assert_int_equal(loudness_step(XARING_VOLUME_UNITY - 1), LOUDNESS_MAX);
	assert_int_equal(loudness_step(XARING_VOLUME_UNITY + 1), LOUDNESS_MAX);
}

/* As alsa-lib reads them, in hundredths; how far they are off is in loudness.h. */
static void assert_decibels(unsigned int *range, long step)
{
	double wanted = 2000 * log10((double)loudness_linear(step) / XARING_VOLUME_UNITY);
	long value;

	assert_int_equal(snd_tlv_convert_to_dB(range, 0, LOUDNESS_MAX, step, &value), 0);
	assert_true(fabs((double)value - wanted) <= (step < 50 ? 200 : 30));
	assert_int_equal(snd_tlv_convert_from_dB(range, 0, LOUDNESS_MAX, value, &value, 0), 0);
	assert_int_equal(value, step);
}

static void the_decibels_are_those_of_the_volume(void **state)
{
	unsigned int tlv[LOUDNESS_TLV_WORDS], *range;
	long least, most, value;

	(void)state;
	loudness_tlv(tlv);
	assert_true(snd_tlv_parse_dB_info(tlv, sizeof(tlv), &range) > 0);
	assert_int_equal(snd_tlv_get_dB_range(range, 0, LOUDNESS_MAX, &least, &most), 0);
	assert_int_equal(least, SND_CTL_TLV_DB_GAIN_MUTE);
	assert_int_equal(most, 0);
	for (long step = 2; step <= LOUDNESS_MAX; step++)
		assert_decibels(range, step);
	assert_int_equal(snd_tlv_convert_to_dB(range, 0, LOUDNESS_MAX, 0, &value), 0);
	assert_int_equal(value, SND_CTL_TLV_DB_GAIN_MUTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_is_another_volume_and_comes_back),
		cmocka_unit_test(the_nearest_step_is_shown),
		cmocka_unit_test(the_decibels_are_those_of_the_volume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
