/* SPDX-License-Identifier: MIT */
/*
 * The pages of one stream: made (memfd, for the local transport), mapped, let go.
 *
 * Thread: one per object. Blocks: no. Real-time safe: no. Logs: no.
 */
#ifndef XARING_PAGES_H
#define XARING_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/format.h>
#include <xaring/protocol.h>
#include <xaring/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A mapping of a stream's pages. */
struct xaring_pages {
	struct xaring_control_page *control; /* NULL when not mapped */
	void *data;
	uint64_t data_bytes;
};

/*
 * Makes zeroed pages for a stream: two memfds, sealed against resizing, close-on-exec. The
 * third descriptor, data_read, opens the same data pages and can only be mapped for reading.
 *
 * Owner: the caller; close(2). Returns 0 or a negative errno, and then sets nothing.
 */
int xaring_memfd_stream(const struct xaring_shape *shape, int *control, int *data, int *data_read);

/*
 * Makes a status page: *write is for the server, *read can only be mapped for reading. The page is
 * zero but for its version and a volume of unity. Owner: the caller.
 */
int xaring_memfd_status(int *write, int *read);

/*
 * Maps a status page, for reading or (the server) for writing as well; the descriptor is borrowed.
 * Returns 0 and sets *out, -EPROTO when it is no page that can be trusted to stay, or a negative
 * errno. The unmapping accepts NULL.
 */
int xaring_status_map(int fd, bool writable, struct xaring_status_page **out);
void xaring_status_unmap(struct xaring_status_page *page);

/*
 * Maps a stream's pages. The descriptors are borrowed; they may be closed afterwards.
 *
 * writable: map the data pages for writing as well
 *
 * Returns 0, -EPROTO when a descriptor is neither a memfd that is sealed against shrinking and as
 * large as the shape says, nor a device, or a negative errno.
 */
int xaring_pages_map(struct xaring_pages *pages, const struct xaring_shape *shape, int control,
		     uint64_t control_offset, int data, uint64_t data_offset, bool writable);

/*
 * Private pages of the same shape, for a stream without a server: what is written there is heard
 * by nobody. Returns 0 or -ENOMEM.
 */
int xaring_pages_void(struct xaring_pages *pages, const struct xaring_shape *shape);

/* Unmaps and zeroes. Accepts a zeroed or unmapped object. */
void xaring_pages_unmap(struct xaring_pages *pages);

#ifdef __cplusplus
}
#endif

#endif
