/* SPDX-License-Identifier: MIT */
/*
 * Prints messages to stderr. What is no printable ASCII is not printed: some of the text may have
 * come from elsewhere.
 */
#include "journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xaring/log.h>

static bool is_journal;

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2) // NOLINT(cert-err34-c)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static void print(enum xaring_log_level level, const char *text)
{
	static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
	char line[448];
	int length = snprintf(line, sizeof(line), "%s%s: %s", is_journal ? priorities[level] : "",
			      program_invocation_short_name, text);

	if (length < 0)
		return;
	if (length > (int)sizeof(line) - 1)
		length = (int)sizeof(line) - 1;
	for (int i = 0; i < length; i++) {
		if (line[i] < 0x20 || line[i] > 0x7e)
			line[i] = '?';
	}
	line[length] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)length + 1);
}

void journal_start(bool verbose)
{
	is_journal = stderr_is_journal();
	xaring_log_set(print, verbose ? XARING_LOG_DEBUG : XARING_LOG_INFO);
}
