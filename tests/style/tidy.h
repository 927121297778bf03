/* SPDX-License-Identifier: MIT */
/*
 * Read before every file that clang-tidy looks at. Tells the analyzer what it cannot know: when a
 * call has failed, errno is positive, so `return -errno` is negative. It follows the sign of numbers
 * only, so it gets numbers: of an error like any other, and of those that are treated differently.
 */
#ifndef XARING_TESTS_TIDY_H
#define XARING_TESTS_TIDY_H

#include <errno.h>

int tidy_any(void);

static inline int *tidy_errno(void)
{
	int *error = __errno_location();

	switch (tidy_any()) {
	case 0:
		*error = EINTR;
		break;
	case 1:
		*error = EAGAIN;
		break;
	case 2:
		*error = ENOENT;
		break;
	default:
		*error = EIO;
	}
	return error;
}

#undef errno
#define errno (*tidy_errno())

#endif
