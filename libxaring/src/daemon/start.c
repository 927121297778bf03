/* SPDX-License-Identifier: MIT */
/*
 * The start of a daemon, as far as it is the same for all. Knows no daemon's options or files.
 */
#include "start.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <xaring/log.h>

#include "lock.h"

int start_fail(int code, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

int start_refuse(const char *option, const char *value, const char *accepted)
{
	return start_fail(EXIT_USAGE, "%s %s is refused: %s", option, value, accepted);
}

int start_refuse_unknown(void)
{
	fprintf(stderr, "Try: %s --help\n", program_invocation_short_name);
	return EXIT_USAGE;
}

int start_take_folder(const char *option, const char *value, const char **to)
{
	if (value[0] == '\0')
		return start_refuse(option, "\"\"", "a folder is accepted");
	*to = value;
	return -1;
}

int start_print(const char *text)
{
	fputs(text, stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int start_make_folder(const char *path)
{
	struct stat st;

	if (mkdir(path, 0755) == 0)
		return 0;
	if (errno != EEXIST)
		return start_fail(EXIT_FAILURE,
				  "the folder %s cannot be made: %s; give another --runtime-dir, "
				  "in a folder that is there and may be written",
				  path, strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return start_fail(EXIT_FAILURE,
				  "%s is no folder: remove it, or give another --runtime-dir",
				  path);
	return 0;
}

static int take_lock(const char *runtime_dir, const char *lock)
{
	char path[PATH_MAX + 32];
	pid_t owner = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", runtime_dir, lock);
	fd = lock_take(path, &owner);
	if (fd == -EWOULDBLOCK)
		return start_fail(EXIT_LOCKED,
				  "another one is running (pid %d) with the runtime folder %s: "
				  "stop it, or give another --runtime-dir",
				  (int)owner, runtime_dir);
	if (fd < 0)
		return start_fail(EXIT_FAILURE, "the lock %s cannot be taken: %s", path,
				  strerror(-fd));
	return 0;
}

int start_claim_folder(const char *runtime_dir, const char *lock)
{
	int res = start_make_folder(runtime_dir);

	return res == 0 ? take_lock(runtime_dir, lock) : res;
}

void start_raise_descriptors(uint64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
		xaring_log(XARING_LOG_WARN,
			   "only %llu of the %llu descriptors for all streams at once are allowed: "
			   "raise the hard limit (LimitNOFILE=)",
			   (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}
