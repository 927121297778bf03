/* SPDX-License-Identifier: MIT */
/*
 * Tells /dev/xen/gntdev which pages of a guest a file is of. It maps nothing, and looks into no page.
 *
 * A mapping has to be of exactly what one request named: control and data pages are two requests.
 */
#include "gntdev.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xen/sys/gntdev.h>

#define DEVICE       "/dev/xen/gntdev"
#define HEADER_BYTES offsetof(struct ioctl_gntdev_map_grant_ref, refs)

/* The device reads as many references as the fixed part says behind it. */
union request {
	struct ioctl_gntdev_map_grant_ref op;
	struct {
		uint8_t header[HEADER_BYTES];
		struct ioctl_gntdev_grant_ref references[XARING_RING_PAGES_MAX];
	} in;
};

static int refer(int fd, uint32_t domid, const uint32_t *references, uint32_t count,
		 uint64_t *offset)
{
	union request request;

	memset(&request, 0, sizeof(request));
	request.op.count = count;
	for (uint32_t i = 0; i < count; i++)
		request.in.references[i] =
			(struct ioctl_gntdev_grant_ref){.domid = domid, .ref = references[i]};
	if (ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &request) < 0)
		return -errno;
	*offset = request.op.index;
	return 0;
}

static int notify_at_end(int fd, uint64_t control_offset)
{
	struct ioctl_gntdev_unmap_notify op = {
		.index = control_offset + offsetof(struct xaring_control_page, backend.alive),
		.action = UNMAP_NOTIFY_CLEAR_BYTE,
	};

	return ioctl(fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &op) < 0 ? -errno : 0;
}

static int refer_stream(uint32_t domid, const struct offer *offer, struct gntdev_pages *pages)
{
	int res = refer(pages->fd, domid, &offer->control, 1, &pages->control_offset);

	if (res < 0)
		return res;
	res = refer(pages->fd, domid, offer->data, offer->data_count, &pages->data_offset);
	if (res < 0)
		return res;
	return notify_at_end(pages->fd, pages->control_offset);
}

int gntdev_stream(uint32_t domid, const struct offer *offer, struct gntdev_pages *out)
{
	struct gntdev_pages pages = {0};
	int res;

	if (offer->data_count == 0 || offer->data_count > XARING_RING_PAGES_MAX)
		return -EINVAL;
	pages.fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (pages.fd < 0)
		return -errno;
	res = refer_stream(domid, offer, &pages);
	if (res < 0) {
		close(pages.fd);
		return res;
	}
	*out = pages;
	return 0;
}
