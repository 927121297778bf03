/* SPDX-License-Identifier: MIT */
/*
 * A guest's granted pages on the backend's side: referenced by /dev/xen/gntdev here, to be mapped
 * by another process.
 *
 * References are not looked at before somebody maps them: the mapping of a reference that was
 * never granted fails with -EINVAL there. What is mapped keeps a dead domain from going away, so
 * the mapper unmaps first, always, and then this descriptor is closed.
 *
 * Why not libxengnttab: it maps by itself and hides the offsets (design: the broker never maps).
 * Interface: xen/sys/gntdev.h, Linux drivers/xen/gntdev.c.
 *
 * Thread: any. Blocks: no. Logs: no.
 */
#ifndef XARING_XEN_GNTDEV_H
#define XARING_XEN_GNTDEV_H

#include <stdint.h>

#include "offer.h"

struct gntdev_pages {
	int fd;
	uint64_t control_offset; /* for mmap(2): writable */
	uint64_t data_offset;    /* read-only for playback */
};

/*
 * References the control and data pages of an offer of that domain, with clear-byte notification
 * on backend.alive when the mapper goes.
 *
 * Owner of pages->fd: the caller; close(2). Returns 0 or a negative errno.
 */
int gntdev_stream(uint32_t domid, const struct offer *offer, struct gntdev_pages *pages);

#endif
