/* SPDX-License-Identifier: MIT */
/*
 * Random numbers: epochs, secrets, tokens.
 *
 * Thread: any. Blocks: until the kernel has randomness, early in its boot. Logs: no.
 */
#ifndef XARING_DAEMON_RANDOM_H
#define XARING_DAEMON_RANDOM_H

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

/* A number other than 0. Returns 0 or -EIO. */
static inline int random_number(uint64_t *number)
{
	do {
		if (getrandom(number, sizeof(*number), 0) != sizeof(*number))
			return -EIO;
	} while (*number == 0);
	return 0;
}

#endif
