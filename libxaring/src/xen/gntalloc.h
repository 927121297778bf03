/* SPDX-License-Identifier: MIT */
/*
 * Pages of a guest's stream, made by /dev/xen/gntalloc and granted to the backend's domain.
 *
 * The device file owns the pages together with their mappings: the grants end when the file and
 * all copies of it are closed and the last mapping has gone, however the programs that had them
 * ended; the kernel then clears the first byte of guest.alive in the control page. Pages that the
 * backend still maps stay with the kernel until it unmaps, and count against the device's limit.
 *
 * Why not libxengntshr: it hides the offsets to map at, and these pages are mapped by somebody
 * else; it also opens the device without close-on-exec.
 * Interface: xen/sys/gntalloc.h, Linux drivers/xen/gntalloc.c.
 *
 * Thread: any. Blocks: no. Logs: no.
 */
#ifndef XARING_XEN_GNTALLOC_H
#define XARING_XEN_GNTALLOC_H

#include <stdint.h>

#include <xaring/format.h>
#include <xaring/protocol.h>

/* One stream's pages. The descriptor can be handed on; offsets are for mmap(2). */
struct gntalloc_pages {
	int fd;
	uint64_t control_offset;
	uint64_t data_offset;
	uint32_t control; /* grant references */
	uint32_t data[XARING_RING_PAGES_MAX];
};

/*
 * Makes zeroed pages of that shape: a file of its own, the control page writable for domid, the
 * data pages writable only for capture, and clear-byte notification on guest.alive (never the
 * event: after a restore it would hit a port that is somebody else's).
 *
 * Owner of pages->fd: the caller; close(2). Returns 0; -ENOSPC when the device's limit is reached;
 * -ENOENT, -ENXIO when there is no device; or another negative errno.
 */
int gntalloc_stream(uint32_t domid, const struct xaring_shape *shape,
		    enum xaring_direction direction, struct gntalloc_pages *pages);

/*
 * How many pages, at most most, could be had now: tries, and gives them back.
 * Returns the number, 0 when there is none or no device.
 */
uint32_t gntalloc_room(uint32_t domid, uint32_t most);

#endif
