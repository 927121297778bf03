/* SPDX-License-Identifier: MIT */
/* What the fuzzing of requests begins with: all of them, and pieces. */
#include <string.h>

#include "fuzz.h"

const size_t fuzz_input_max = 1200;

void fuzz_add_seeds(fuzz_add_fn add)
{
	static const char *const seeds[] = {
		"list",
		"status work",
		"monitor\n",
		"disconnect a.b",
		"connect work",
		"mic work allow",
		"mic work ask",
		"mic work deny always",
		"mic work allow once",
		"mic work deny until-shutdown",
		"mic work allow for 600",
		" for 31622400",
		" ",
		"..",
		"-1",
		"\xc3\xa4",
		"\xe2\x80\xae",
		"0123456789012345678901234567890123456789012345678901234567890123",
	};

	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++)
		add(seeds[i], strlen(seeds[i]));
}
