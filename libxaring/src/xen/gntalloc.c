/* SPDX-License-Identifier: MIT */
/*
 * Asks /dev/xen/gntalloc for a stream's pages. It maps nothing: whoever gets the descriptor does.
 *
 * The device numbers offsets by itself, one file after another: control and data pages of a stream
 * are two allocations of one file, because they are granted differently.
 */
#include "gntalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xen/sys/gntalloc.h>

#include "offer.h"

#define DEVICE       "/dev/xen/gntalloc"
#define COUNT_MAX    1024u /* more than the device gives by default to all together */
#define HEADER_BYTES offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids)

/* The device writes as many references as were asked for behind the fixed part. */
union request {
	struct ioctl_gntalloc_alloc_gref op;
	struct {
		uint8_t header[HEADER_BYTES];
		uint32_t references[COUNT_MAX];
	} out;
};

static int device_open(int *out)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*out = fd;
	return 0;
}

/* Makes count zeroed pages, all of them or none. */
static int allocate(int fd, uint32_t domid, bool writable, uint32_t count, union request *request)
{
	memset(&request->op, 0, sizeof(request->op));
	request->op.domid = (uint16_t)domid;
	request->op.flags = writable ? GNTALLOC_FLAG_WRITABLE : 0;
	request->op.count = count;
	return ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, request) < 0 ? -errno : 0;
}

static int notify_at_end(int fd, uint64_t control_offset)
{
	struct ioctl_gntalloc_unmap_notify op = {
		.index = control_offset + offsetof(struct xaring_control_page, guest.alive),
		.action = UNMAP_NOTIFY_CLEAR_BYTE,
	};

	return ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &op) < 0 ? -errno : 0;
}

static int make_control(uint32_t domid, struct gntalloc_pages *pages)
{
	union request request;
	int res = allocate(pages->fd, domid, true, 1, &request);

	if (res < 0)
		return res;
	pages->control_offset = request.op.index;
	pages->control = request.out.references[0];
	return notify_at_end(pages->fd, pages->control_offset);
}

static int make_data(uint32_t domid, bool writable, uint32_t count, struct gntalloc_pages *pages)
{
	union request request;
	int res = allocate(pages->fd, domid, writable, count, &request);

	if (res < 0)
		return res;
	pages->data_offset = request.op.index;
	memcpy(pages->data, request.out.references, count * sizeof(pages->data[0]));
	return 0;
}

int gntalloc_stream(uint32_t domid, const struct xaring_shape *shape,
		    enum xaring_direction direction, struct gntalloc_pages *out)
{
	struct gntalloc_pages pages = {0};
	int res;

	if (domid > OFFER_DOMID_MAX || shape->data_pages == 0 ||
	    shape->data_pages > XARING_RING_PAGES_MAX)
		return -EINVAL;
	res = device_open(&pages.fd);
	if (res < 0)
		return res;
	res = make_control(domid, &pages);
	if (res < 0)
		goto err_device;
	res = make_data(domid, direction == XARING_CAPTURE, shape->data_pages, &pages);
	if (res < 0)
		goto err_device;
	*out = pages;
	return 0;

err_device:
	close(pages.fd);
	return res;
}

/* Each attempt is a file of its own: closing it is how the pages are given back. */
static bool can_have(uint32_t domid, uint32_t count)
{
	union request request;
	int fd, res;

	if (device_open(&fd) < 0)
		return false;
	res = allocate(fd, domid, false, count, &request);
	close(fd);
	return res == 0;
}

uint32_t gntalloc_room(uint32_t domid, uint32_t most)
{
	uint32_t room = 0;

	if (domid > OFFER_DOMID_MAX)
		return 0;
	if (most > COUNT_MAX)
		most = COUNT_MAX;
	if (most > 0 && can_have(domid, most))
		return most;
	/* What is between: room can be had, most cannot. */
	while (most - room > 1) {
		uint32_t middle = room + (most - room) / 2;

		if (can_have(domid, middle))
			room = middle;
		else
			most = middle;
	}
	return room;
}
