/* SPDX-License-Identifier: MIT */
/* fake-grants.h in a unit test: linked with --wrap=open,--wrap=open64,--wrap=ioctl. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "fake-grants.h"

int __real_open(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* Nothing here makes files: the mode is never there. */
int __wrap_open(const char *path, int flags, ...)
{
	bool handled;
	int fd = fake_grants_open(path, flags, &handled);

	return handled ? fd : __real_open(path, flags);
}

int __wrap_open64(const char *path, int flags, ...)
{
	bool handled;
	int fd = fake_grants_open(path, flags, &handled);

	return handled ? fd : __real_open64(path, flags);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	bool handled;
	va_list args;
	void *argument;
	int res;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	res = fake_grants_ioctl(fd, request, argument, &handled);
	return handled ? res : __real_ioctl(fd, request, argument);
}
