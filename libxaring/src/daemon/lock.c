/* SPDX-License-Identifier: MIT */
/*
 * The lock file. flock(2) and not the pid decides, so a stale file is no obstacle. Whoever may read the
 * file may lock it, and keep the daemon from starting: nobody else may.
 */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_MODE 0600

static pid_t read_pid(int fd)
{
	char text[24] = "";
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
	char *end;
	long long pid;

	if (length <= 0)
		return 0;
	pid = strtoll(text, &end, 10); /* long may be as short as a pid */
	return end != text && pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

pid_t lock_owner(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	pid_t pid;

	if (fd < 0)
		return 0;
	pid = read_pid(fd);
	close(fd);
	return pid;
}

static int write_pid(int fd)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0)
		return -errno;
	if (pwrite(fd, text, (size_t)length, 0) != length)
		return -EIO;
	return 0;
}

int lock_take(const char *path, pid_t *owner)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, LOCK_MODE);
	int res;

	if (fd < 0)
		return -errno;
	/* It may be there with another mode. */
	if (fchmod(fd, LOCK_MODE) < 0) {
		res = -errno;
		goto err_close;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		res = -errno;
		*owner = read_pid(fd);
		goto err_close;
	}
	res = write_pid(fd);
	if (res < 0)
		goto err_close;
	return fd;

err_close:
	close(fd);
	return res;
}
