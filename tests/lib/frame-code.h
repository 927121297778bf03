/* SPDX-License-Identifier: MIT */
/*
 * Frames that say who they are. Each stereo frame of 24-bit samples carries the number of its VM,
 * its own index and check bits, so that one look at a recording decides loss, repetition,
 * staleness, gaps, and the mixing of two VMs. Silence (0, 0) is no code of any VM.
 *
 * Floats of 24 significant bits go through PipeWire's graph unchanged at unity volume.
 */
#ifndef XARING_TESTS_FRAME_CODE_H
#define XARING_TESTS_FRAME_CODE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define FRAME_CODE_BITS    48
#define FRAME_CODE_MASK    ((UINT64_C(1) << FRAME_CODE_BITS) - 1)
#define FRAME_CODE_VM_MAX  15u
#define FRAME_CODE_FACTOR  UINT64_C(0x9e3779b97f4b)
#define FRAME_CODE_INVERSE UINT64_C(0x393dee219263)

/* 12 check bits over VM and index. */
static inline uint32_t frame_code_check(uint32_t vm, uint32_t index)
{
	uint64_t mix = ((uint64_t)vm << 32 | index) * UINT64_C(0xd6e8feb86659fd93);

	mix ^= mix >> 29;
	mix *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(mix >> 52);
}

/* The two samples of a frame, as 24-bit signed numbers. vm: 1 .. FRAME_CODE_VM_MAX. */
static inline void frame_code_make(uint32_t vm, uint32_t index, int32_t samples[2])
{
	uint64_t word = (uint64_t)vm << 44 | (uint64_t)index << 12 | frame_code_check(vm, index);

	word = (word * FRAME_CODE_FACTOR) & FRAME_CODE_MASK;
	/* Shifting up and arithmetically down again extends the sign. */
	samples[0] = (int32_t)((uint32_t)(word >> 24) << 8) >> 8;
	samples[1] = (int32_t)((uint32_t)(word & 0xffffff) << 8) >> 8;
}

/* Turns a float of the graph back into a 24-bit number; false when it is none. */
static inline bool frame_code_sample(float value, uint32_t *sample)
{
	double scaled = (double)value * 8388608.0;

	if (!(scaled >= -8388608.0 && scaled <= 8388607.0) || scaled != floor(scaled))
		return false;
	*sample = (uint32_t)(int32_t)scaled & 0xffffff;
	return true;
}

/* Tells whether a recorded frame is a code, and whose. */
static inline bool frame_code_read(const float frame[2], uint32_t *vm, uint32_t *index)
{
	uint32_t left, right;
	uint64_t word;

	if (!frame_code_sample(frame[0], &left) || !frame_code_sample(frame[1], &right))
		return false;
	word = (((uint64_t)left << 24 | right) * FRAME_CODE_INVERSE) & FRAME_CODE_MASK;
	*vm = (uint32_t)(word >> 44);
	*index = (uint32_t)(word >> 12);
	return *vm != 0 && (uint32_t)(word & 0xfff) == frame_code_check(*vm, *index);
}

#endif
