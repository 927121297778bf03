/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic only.
 */
#include "loudness.h"

#include <alsa/asoundlib.h>

#include <xaring/protocol.h>

#define ITEM_BYTES (2 * sizeof(unsigned int)) /* what a range has after its type and length */

/* The first few steps of the cube are less than one. */
uint32_t loudness_linear(long step)
{
	uint64_t cube = (uint64_t)(step * step * step);
	uint32_t linear = (uint32_t)((cube * XARING_VOLUME_UNITY + 500000) / 1000000);

	return linear > (uint32_t)step ? linear : (uint32_t)step;
}

long loudness_step(uint32_t linear)
{
	long step = 0;

	while (step < LOUDNESS_MAX && loudness_linear(step + 1) <= linear)
		step++;
	if (step < LOUDNESS_MAX &&
	    loudness_linear(step + 1) - linear < linear - loudness_linear(step))
		step++;
	return step;
}

/*
 * Between these the decibels are straight; narrower where it is loud. They are those of loudness_linear(), in
 * hundredths; that of nothing is not read.
 */
static const struct point {
	unsigned int step;
	int decibels;
} points[LOUDNESS_RANGES + 1] = {
	{0, -9633},  {1, -9633},  {3, -8679},  {8, -6570}, {16, -4777},       {26, -3510},
	{38, -2521}, {52, -1704}, {67, -1044}, {83, -486}, {LOUDNESS_MAX, 0},
};

static unsigned int *add_range(unsigned int *at, const struct point *low, const struct point *high)
{
	*at++ = low->step;
	*at++ = high->step;
	*at++ = low->step == 0 ? SND_CTL_TLVT_DB_MINMAX_MUTE : SND_CTL_TLVT_DB_MINMAX;
	*at++ = ITEM_BYTES;
	*at++ = (unsigned int)low->decibels;
	*at++ = (unsigned int)high->decibels;
	return at;
}

void loudness_tlv(unsigned int tlv[LOUDNESS_TLV_WORDS])
{
	unsigned int *at = tlv;

	*at++ = SND_CTL_TLVT_DB_RANGE;
	*at++ = (LOUDNESS_TLV_WORDS - 2) * sizeof(unsigned int);
	for (int i = 0; i < LOUDNESS_RANGES; i++)
		at = add_range(at, &points[i], &points[i + 1]);
}
