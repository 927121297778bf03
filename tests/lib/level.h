/* SPDX-License-Identifier: MIT */
/*
 * How much a test does. tests/all sets XARING_TEST to quick, normal or long; without it a test
 * does the normal amount. Counts are written down in full, as the long run does them.
 */
#ifndef XARING_TESTS_LEVEL_H
#define XARING_TESTS_LEVEL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The full count in the long run, a tenth of it in the normal one, a fiftieth in the quick one. */
static inline uint64_t level_count(uint64_t full)
{
	const char *level = getenv("XARING_TEST");
	uint64_t count = full / 10;

	if (level && strcmp(level, "long") == 0)
		count = full;
	else if (level && strcmp(level, "quick") == 0)
		count = full / 50;
	return count ? count : 1;
}

#endif
