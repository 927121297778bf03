/* SPDX-License-Identifier: MIT */
/* Counts the descriptors of this process, for tests that look for leaks. Include cmocka.h first. */
#ifndef XARING_TESTS_DESCRIPTORS_H
#define XARING_TESTS_DESCRIPTORS_H

#include <dirent.h>
#include <stdint.h>

/* Of <sanitizer/common_interface_defs.h>; NULL without a sanitizer. */
__attribute__((weak)) void __sanitizer_symbolize_pc(void *pc, const char *format, char *text,
						    size_t bytes);

/*
 * How many descriptors this process has. A sanitizer starts the program that tells it names when it
 * first needs one, and keeps pipes to it: it is made to start here, before the first count.
 */
static inline uint32_t open_descriptors(void)
{
	DIR *folder;
	uint32_t count = 0;
	char name[64];

	if (__sanitizer_symbolize_pc)
		__sanitizer_symbolize_pc(__builtin_return_address(0), "%f", name, sizeof(name));
	folder = opendir("/proc/self/fd");
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

#endif
