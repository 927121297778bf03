/* SPDX-License-Identifier: MIT */
/*
 * Sample formats of the tests: names, sizes, and the float that PipeWire's graph must carry for a
 * sample. Written apart from libxaring, so that one cannot hide the other's mistake.
 */
#ifndef XARING_TESTS_SAMPLES_H
#define XARING_TESTS_SAMPLES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum samples_format {
	SAMPLES_U8,
	SAMPLES_S16,
	SAMPLES_S24,   /* in the low bytes of 32 bits */
	SAMPLES_S24_3, /* in three bytes */
	SAMPLES_S32,   /* 24 bits are significant: more than a float carries is no claim of ours */
	SAMPLES_FLOAT
};

static const struct {
	const char *name; /* ALSA's, without _LE and _3LE */
	uint32_t bytes;
} samples_formats[] = {
	[SAMPLES_U8] = {"U8", 1},       [SAMPLES_S16] = {"S16", 2}, [SAMPLES_S24] = {"S24", 4},
	[SAMPLES_S24_3] = {"S24_3", 3}, [SAMPLES_S32] = {"S32", 4}, [SAMPLES_FLOAT] = {"FLOAT", 4},
};

/* Finds a format by name, or ends the program: a test that asks for another one is wrong. */
static inline enum samples_format samples_by_name(const char *name)
{
	for (uint32_t i = 0; i < sizeof(samples_formats) / sizeof(samples_formats[0]); i++)
		if (strcmp(samples_formats[i].name, name) == 0)
			return (enum samples_format)i;
	fprintf(stderr, "unknown format %s: U8, S16, S24, S24_3, S32 and FLOAT are known\n", name);
	exit(2);
}

/* Writes one sample, given as a 24-bit signed number whose low bits are dropped as needed. */
static inline void samples_put(enum samples_format format, int32_t value, uint8_t *to)
{
	float scaled = (float)value / 8388608.0f;
	uint32_t word = (uint32_t)value;

	switch (format) {
	case SAMPLES_U8:
		to[0] = (uint8_t)((value >> 16) + 128);
		return;
	case SAMPLES_S16:
		to[0] = (uint8_t)(word >> 8);
		to[1] = (uint8_t)(word >> 16);
		return;
	case SAMPLES_S24_3:
		to[0] = (uint8_t)word;
		to[1] = (uint8_t)(word >> 8);
		to[2] = (uint8_t)(word >> 16);
		return;
	case SAMPLES_S24:
		memcpy(to, &word, 4);
		return;
	case SAMPLES_S32:
		word <<= 8;
		memcpy(to, &word, 4);
		return;
	case SAMPLES_FLOAT:
		memcpy(to, &scaled, 4);
		return;
	}
}

/* The float that stands for a sample in the graph. */
static inline float samples_get(enum samples_format format, const uint8_t *from)
{
	uint32_t word = 0;
	float value;

	switch (format) {
	case SAMPLES_U8:
		return (float)(from[0] - 128) / 128.0f;
	case SAMPLES_S16:
		word = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 24;
		break;
	case SAMPLES_S24_3:
		word = (uint32_t)from[0] << 8 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 24;
		break;
	case SAMPLES_S24:
		memcpy(&word, from, 4);
		word <<= 8;
		break;
	case SAMPLES_S32:
		memcpy(&word, from, 4);
		break;
	case SAMPLES_FLOAT:
		memcpy(&value, from, 4);
		return value;
	}
	return (float)((double)(int32_t)word / 2147483648.0);
}

#endif
