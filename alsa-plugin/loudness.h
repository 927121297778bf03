/* SPDX-License-Identifier: MIT */
/*
 * The guest's volume in the steps of ALSA's mixers: 0 to 100, cubic, as dom0's mixers and those of desktops have it,
 * so that a number is as loud wherever it is read. Of the decibels alsamixer makes about the same numbers.
 *
 * Pure. Thread: any. Blocks: no. Logs: no.
 */
#ifndef PLUGIN_LOUDNESS_H
#define PLUGIN_LOUDNESS_H

#include <stddef.h>
#include <stdint.h>

#define LOUDNESS_MAX 100

/* Strictly rising: no two steps are one volume. step: 0 to LOUDNESS_MAX. */
uint32_t loudness_linear(long step);

/* The nearest step. */
long loudness_step(uint32_t linear);

/*
 * What the steps are in decibels, in the form of ALSA's controls (asound.h, SNDRV_CTL_TLVT_DB_RANGE). No scale of
 * these is cubic: it is made of straight ones, as many as alsa-lib takes (tlv.c, MAX_TLV_RANGE_SIZE). In the upper half
 * they are off by 0.3 dB at most, and nowhere by more than 2.
 */
#define LOUDNESS_RANGES    10
#define LOUDNESS_TLV_WORDS (2 + 6 * LOUDNESS_RANGES)
void loudness_tlv(unsigned int tlv[LOUDNESS_TLV_WORDS]);

#endif
