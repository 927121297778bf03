/* SPDX-License-Identifier: MIT */
/*
 * A log with a bucket of lines. What is logged is the caller's.
 */
#include "limited-log.h"

#include <stdarg.h>
#include <stdio.h>

#include <xaring/log.h>

#include "now.h"

#define LINES_BURST     20
#define LINES_REFILL_MS 6000
#define LINE_BYTES      321 /* 320 and the terminator: "and so many before" has to fit behind it */

void limited_log_init(struct limited_log *log)
{
	bucket_init(&log->lines, LINES_BURST, LINES_REFILL_MS, clock_now_ms());
	log->unsaid = 0;
}

void limited_log_line(struct limited_log *log, enum xaring_log_level level, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list args;

	if (!bucket_take(&log->lines, clock_now_ms())) {
		log->unsaid++;
		return;
	}
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (log->unsaid > 0)
		xaring_log(level, "%s (and %u lines like this before)", line, log->unsaid);
	else
		xaring_log(level, "%s", line);
	log->unsaid = 0;
}
