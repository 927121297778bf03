/* SPDX-License-Identifier: MIT */
/*
 * Prints how many pages gntalloc of this guest still gives: takes one after the other until it refuses,
 * and gives them all back. What is in use elsewhere is the module's limit less that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xen/sys/gntalloc.h>

int main(void)
{
	struct ioctl_gntalloc_alloc_gref alloc = {.count = 1};
	int fd = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	unsigned int n = 0;

	if (fd < 0) {
		perror("grant-count: /dev/xen/gntalloc");
		return 1;
	}
	while (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &alloc) == 0)
		n++;
	if (errno != ENOSPC) {
		perror("grant-count");
		return 1;
	}
	printf("%u\n", n);
	close(fd);
	return 0;
}
