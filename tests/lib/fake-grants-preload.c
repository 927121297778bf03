/* SPDX-License-Identifier: MIT */
/* fake-grants.h as a library to preload: what the C library has under these names comes after us. */
/* Otherwise open and open64 are one. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake-grants.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int open(const char *path, int flags, ...);
EXPORTED int open64(const char *path, int flags, ...);
EXPORTED int ioctl(int fd, unsigned long request, ...);
EXPORTED void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
EXPORTED void *mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);

/* ISO C has no conversion from objects to functions; POSIX does. */
static void find(void *function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	memcpy(function, &found, sizeof(found));
}

static int open_path(const char *path, int flags, unsigned mode)
{
	static int (*next)(const char *path, int flags, ...);
	bool handled;
	int fd = fake_grants_open(path, flags, &handled);

	if (handled)
		return fd;
	if (!next)
		find(&next, "open");
	return next(path, flags | O_LARGEFILE, mode);
}

static unsigned mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, unsigned) : 0;
}

int open(const char *path, int flags, ...)
{
	unsigned mode;
	va_list args;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_path(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	unsigned mode;
	va_list args;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_path(path, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int fd, unsigned long request, ...);
	bool handled;
	va_list args;
	void *argument;
	int res;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	res = fake_grants_ioctl(fd, request, argument, &handled);
	if (handled)
		return res;
	if (!next)
		find(&next, "ioctl");
	return next(fd, request, argument);
}

static void *map(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	static void *(*next)(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);

	if (fd >= 0 && flags & MAP_SHARED &&
	    !fake_grants_may_mmap(fd, (uint64_t)offset, bytes, prot & PROT_WRITE)) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	if (!next)
		find(&next, "mmap");
	return next(at, bytes, prot, flags, fd, offset);
}

void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return map(at, bytes, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return map(at, bytes, prot, flags, fd, offset);
}
