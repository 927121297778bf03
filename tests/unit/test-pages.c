/* SPDX-License-Identifier: MIT */
/*
 * Pages: what is made cannot be taken away or written by those who may only read, and what comes
 * from a peer is mapped only when that holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/pages.h>
#include <xaring/shared.h>

#include "descriptors.h"

#define NOBODY 65534

static const struct xaring_shape shape = {.frame_bytes = 4,
					  .capacity = 8192,
					  .data_pages = 8,
					  .pages = 9};

struct fds {
	int control, data, data_read;
	uint32_t descriptors;
};

static int stream_open(void **state)
{
	static struct fds f;

	f.descriptors = open_descriptors();
	*state = &f;
	return xaring_memfd_stream(&shape, &f.control, &f.data, &f.data_read);
}

static int stream_close(void **state)
{
	struct fds *f = *state;

	close(f->control);
	close(f->data);
	close(f->data_read);
	assert_int_equal(open_descriptors(), f->descriptors);
	return 0;
}

static void the_size_is_fixed(void **state)
{
	struct fds *f = *state;
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;

	assert_int_equal(fstat(f->data, &st), 0);
	assert_int_equal(st.st_size, 8 * 4096);
	assert_int_equal(fcntl(f->control, F_GET_SEALS), seals);
	assert_int_equal(fcntl(f->data, F_GET_SEALS), seals);
	assert_int_equal(ftruncate(f->data, 4096), -1);
	assert_int_equal(ftruncate(f->control, 8192), -1);
	assert_int_equal(fcntl(f->data, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void descriptors_are_close_on_exec(void **state)
{
	struct fds *f = *state;

	assert_int_equal(fcntl(f->control, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(f->data, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(f->data_read, F_GETFD), FD_CLOEXEC);
}

static void the_reader_cannot_write(void **state)
{
	struct fds *f = *state;
	struct xaring_pages pages;

	assert_int_equal(xaring_pages_map(&pages, &shape, f->control, 0, f->data_read, 0, true),
			 -EACCES);
	assert_int_equal(write(f->data_read, "x", 1), -1);
}

/* Another user who holds a descriptor for reading does not get one for writing through /proc. */
static void another_user_cannot_open_it_anew(void **state)
{
	struct fds *f = *state;
	char path[32];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->data_read);
	pid = fork();
	if (pid == 0) {
		if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(2);
		_exit(open(path, O_RDWR) >= 0 || open(path, O_RDONLY) >= 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void both_see_the_same_pages(void **state)
{
	struct fds *f = *state;
	struct xaring_pages guest, backend;

	assert_int_equal(xaring_pages_map(&guest, &shape, f->control, 0, f->data, 0, true), 0);
	assert_int_equal(xaring_pages_map(&backend, &shape, f->control, 0, f->data_read, 0, false),
			 0);
	assert_int_equal(guest.data_bytes, 8 * 4096);
	((char *)guest.data)[8 * 4096 - 1] = 42;
	xaring_store(&guest.control->guest.word, 7);
	assert_int_equal(((char *)backend.data)[8 * 4096 - 1], 42);
	assert_int_equal(xaring_load(&backend.control->guest.word), 7);
	xaring_pages_unmap(&guest);
	assert_null(guest.control);
	xaring_pages_unmap(&guest);
	xaring_pages_unmap(&backend);
}

static int map_data(const struct fds *f, int data, uint64_t offset)
{
	struct xaring_pages pages;

	return xaring_pages_map(&pages, &shape, f->control, 0, data, offset, false);
}

static void pages_that_are_not_there_are_not_mapped(void **state)
{
	struct fds *f = *state;
	struct xaring_pages pages;

	assert_int_equal(map_data(f, f->control, 0), -EPROTO);
	assert_int_equal(map_data(f, f->data, 4096), -EPROTO);
	assert_int_equal(map_data(f, f->data, UINT64_MAX - 4095), -EPROTO);
	assert_int_equal(xaring_pages_map(&pages, &shape, f->control, 4096, f->data, 0, false),
			 -EPROTO);
	assert_int_equal(map_data(f, f->data, 1), -EPROTO);
	assert_int_equal(map_data(f, -1, 0), -EBADF);
}

/* What could shrink under us, or is no memory at all. */
static void other_descriptors_are_not_mapped(void **state)
{
	struct fds *f = *state;
	int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int folder = open("/tmp", O_RDONLY | O_CLOEXEC);
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int sockets[2];

	assert_true(loose >= 0 && zero >= 0 && folder >= 0 && file >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(ftruncate(loose, 1 << 20), 0);
	assert_int_equal(map_data(f, loose, 0), -EPROTO);
	assert_int_equal(fcntl(loose, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(map_data(f, loose, 0), -EPROTO);
	assert_int_equal(map_data(f, folder, 0), -EPROTO);
	assert_int_equal(map_data(f, file, 0), -EPROTO);
	assert_int_equal(map_data(f, sockets[0], 0), -EPROTO);
	close(sockets[0]);
	close(sockets[1]);
	close(file);
	close(folder);
	close(zero);
	close(loose);
}

/* What is mapped of them is not what was asked for, and is never unmapped. */
static void huge_pages_are_not_mapped(void **state)
{
	struct fds *f = *state;
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	struct stat st;

	if (fd < 0)
		return; /* a kernel that has none */
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(ftruncate(fd, st.st_blksize), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(map_data(f, fd, 0), -EPROTO);
	close(fd);
}

/* A device has no size; what it refuses, mmap() tells. */
static void a_device_is_mapped(void **state)
{
	struct fds *f = *state;
	struct xaring_pages pages;
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(xaring_pages_map(&pages, &shape, f->control, 0, zero, 0, true), 0);
	((char *)pages.data)[0] = 1;
	xaring_pages_unmap(&pages);
	assert_int_equal(map_data(f, null, 0), -ENODEV);
	close(null);
	close(zero);
}

static void void_pages_are_private_and_zero(void **state)
{
	struct xaring_pages pages, other;

	(void)state;
	assert_int_equal(xaring_pages_void(&pages, &shape), 0);
	assert_int_equal(xaring_pages_void(&other, &shape), 0);
	assert_int_equal(xaring_load(&pages.control->guest.word), 0);
	for (uint32_t i = 0; i < pages.data_bytes; i++)
		assert_int_equal(((char *)pages.data)[i], 0);
	((char *)pages.data)[0] = 1;
	assert_int_equal(((char *)other.data)[0], 0);
	xaring_pages_unmap(&pages);
	xaring_pages_unmap(&other);
}

static void the_status_page_has_one_writer(void **state)
{
	uint32_t before = open_descriptors();
	struct xaring_status_page *server, *guest;
	int write_fd, read_fd;

	(void)state;
	assert_int_equal(xaring_memfd_status(&write_fd, &read_fd), 0);
	assert_int_equal(fcntl(write_fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(read_fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(xaring_status_map(read_fd, true, &guest), -EACCES);
	assert_int_equal(xaring_status_map(read_fd, false, &guest), 0);
	assert_int_equal(xaring_status_map(write_fd, true, &server), 0);
	assert_int_equal(xaring_load(&guest->version), XARING_PROTOCOL_VERSION);
	assert_int_equal(xaring_load(&guest->volume), XARING_VOLUME_UNITY);
	assert_int_equal(xaring_load(&guest->flags), 0);
	xaring_store(&server->flags, XARING_STATUS_BACKEND);
	assert_int_equal(xaring_load(&guest->flags), XARING_STATUS_BACKEND);
	xaring_status_unmap(guest);
	xaring_status_unmap(server);
	xaring_status_unmap(NULL);
	close(write_fd);
	close(read_fd);
	assert_int_equal(open_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_size_is_fixed, stream_open, stream_close),
		cmocka_unit_test_setup_teardown(descriptors_are_close_on_exec, stream_open,
						stream_close),
		cmocka_unit_test_setup_teardown(the_reader_cannot_write, stream_open, stream_close),
		cmocka_unit_test_setup_teardown(another_user_cannot_open_it_anew, stream_open,
						stream_close),
		cmocka_unit_test_setup_teardown(both_see_the_same_pages, stream_open, stream_close),
		cmocka_unit_test_setup_teardown(pages_that_are_not_there_are_not_mapped,
						stream_open, stream_close),
		cmocka_unit_test_setup_teardown(other_descriptors_are_not_mapped, stream_open,
						stream_close),
		cmocka_unit_test_setup_teardown(huge_pages_are_not_mapped, stream_open,
						stream_close),
		cmocka_unit_test_setup_teardown(a_device_is_mapped, stream_open, stream_close),
		cmocka_unit_test(void_pages_are_private_and_zero),
		cmocka_unit_test(the_status_page_has_one_writer),
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
