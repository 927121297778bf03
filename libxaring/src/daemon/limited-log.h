/* SPDX-License-Identifier: MIT */
/*
 * Lines whose number is up to somebody else: 10 in a minute after a burst of 20. Those beyond
 * are counted, and the next one that is logged says how many there were.
 *
 * Thread: one per object. Blocks: no. Logs: that is what it is for.
 */
#ifndef XARING_DAEMON_LIMITED_LOG_H
#define XARING_DAEMON_LIMITED_LOG_H

#include <stdint.h>

#include <xaring/log.h>

#include "bucket.h"

struct limited_log {
	struct bucket lines;
	uint32_t unsaid;
};

void limited_log_init(struct limited_log *log);

/* Logs a line of at most 320 bytes. */
__attribute__((format(printf, 3, 4))) void limited_log_line(struct limited_log *log,
							    enum xaring_log_level level,
							    const char *format, ...);

#endif
