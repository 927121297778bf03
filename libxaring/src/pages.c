/* SPDX-License-Identifier: MIT */
/*
 * Pages of streams and status pages: memfds for the local transport, mappings of what a server
 * sent, private pages for streams without a server. Never looks into a page that a peer can write.
 *
 * Two things protect a memfd that is handed on. Its size is sealed, so nobody can take mapped
 * pages away (SIGBUS). Its mode is 0, so that another user who holds a read-only descriptor cannot
 * open the same pages for writing through /proc. F_SEAL_FUTURE_WRITE is not used: the playing side
 * of the data pages, and the server's side of the status page, map them for writing later.
 */
#include <xaring/pages.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int memfd_create_sealed(const char *name, uint64_t bytes, int *out)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int res;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		res = -errno;
		close(fd);
		return res;
	}
	*out = fd;
	return 0;
}

/* Opens the pages of a memfd once more, for reading only, and bars every other way to them. */
static int memfd_reopen(int fd, int *out)
{
	char path[32];
	int res, copy;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, O_RDONLY | O_CLOEXEC);
	if (copy < 0)
		return -errno;
	if (fchmod(fd, 0) < 0) {
		res = -errno;
		close(copy);
		return res;
	}
	*out = copy;
	return 0;
}

int xaring_memfd_stream(const struct xaring_shape *shape, int *control, int *data, int *data_read)
{
	uint64_t data_bytes = (uint64_t)shape->data_pages * XARING_PAGE_BYTES;
	int control_fd, data_fd, read_fd, res;

	res = memfd_create_sealed("xaring-control", XARING_PAGE_BYTES, &control_fd);
	if (res < 0)
		return res;
	res = memfd_create_sealed("xaring-data", data_bytes, &data_fd);
	if (res < 0)
		goto err_control;
	res = memfd_reopen(data_fd, &read_fd);
	if (res < 0)
		goto err_data;
	*control = control_fd;
	*data = data_fd;
	*data_read = read_fd;
	return 0;
err_data:
	close(data_fd);
err_control:
	close(control_fd);
	return res;
}

/*
 * Checks what a descriptor of a peer is before it is mapped. A device (gntalloc, gntdev) knows
 * itself what it has; anything else must be a memfd that cannot shrink, and have the pages. Not of
 * huge pages: those are mapped and unmapped as a whole only, and a hole in them can be a SIGBUS.
 */
static int check_descriptor(int fd, uint64_t offset, uint64_t bytes)
{
	struct statfs fs;
	struct stat st;
	int seals;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISCHR(st.st_mode))
		return 0;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPROTO;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return -EPROTO;
	if (offset > (uint64_t)st.st_size || bytes > (uint64_t)st.st_size - offset)
		return -EPROTO;
	return 0;
}

static int map_shared(int fd, uint64_t offset, uint64_t bytes, bool writable, void **out)
{
	int res = check_descriptor(fd, offset, bytes);
	void *at;

	if (res < 0)
		return res;
	at = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
		  (off_t)offset);
	if (at == MAP_FAILED)
		return -errno;
	*out = at;
	return 0;
}

/* NOLINTNEXTLINE(readability-function-size): two descriptors, and each has its offset. */
int xaring_pages_map(struct xaring_pages *pages, const struct xaring_shape *shape, int control,
		     uint64_t control_offset, int data, uint64_t data_offset, bool writable)
{
	uint64_t data_bytes = (uint64_t)shape->data_pages * XARING_PAGE_BYTES;
	void *control_at, *data_at;
	int res;

	res = map_shared(control, control_offset, XARING_PAGE_BYTES, true, &control_at);
	if (res < 0)
		return res;
	res = map_shared(data, data_offset, data_bytes, writable, &data_at);
	if (res < 0) {
		munmap(control_at, XARING_PAGE_BYTES);
		return res;
	}
	pages->control = control_at;
	pages->data = data_at;
	pages->data_bytes = data_bytes;
	return 0;
}

int xaring_pages_void(struct xaring_pages *pages, const struct xaring_shape *shape)
{
	uint64_t data_bytes = (uint64_t)shape->data_pages * XARING_PAGE_BYTES;
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *control_at, *data_at;

	control_at = mmap(NULL, XARING_PAGE_BYTES, prot, flags, -1, 0);
	if (control_at == MAP_FAILED)
		return -ENOMEM;
	data_at = mmap(NULL, data_bytes, prot, flags, -1, 0);
	if (data_at == MAP_FAILED) {
		munmap(control_at, XARING_PAGE_BYTES);
		return -ENOMEM;
	}
	pages->control = control_at;
	pages->data = data_at;
	pages->data_bytes = data_bytes;
	return 0;
}

void xaring_pages_unmap(struct xaring_pages *pages)
{
	if (pages->control)
		munmap(pages->control, XARING_PAGE_BYTES);
	if (pages->data)
		munmap(pages->data, pages->data_bytes);
	memset(pages, 0, sizeof(*pages));
}

int xaring_status_map(int fd, bool writable, struct xaring_status_page **out)
{
	void *at;
	int res = map_shared(fd, 0, sizeof(struct xaring_status_page), writable, &at);

	if (res < 0)
		return res;
	*out = at;
	return 0;
}

void xaring_status_unmap(struct xaring_status_page *page)
{
	if (page)
		munmap(page, sizeof(*page));
}

int xaring_memfd_status(int *write, int *read)
{
	struct xaring_status_page *page;
	int write_fd, read_fd, res;

	res = memfd_create_sealed("xaring-status", sizeof(*page), &write_fd);
	if (res < 0)
		return res;
	res = xaring_status_map(write_fd, true, &page);
	if (res < 0)
		goto err_write;
	xaring_store(&page->version, XARING_PROTOCOL_VERSION);
	xaring_store(&page->volume, XARING_VOLUME_UNITY);
	xaring_status_unmap(page);
	res = memfd_reopen(write_fd, &read_fd);
	if (res < 0)
		goto err_write;
	*write = write_fd;
	*read = read_fd;
	return 0;
err_write:
	close(write_fd);
	return res;
}
