/* SPDX-License-Identifier: MIT */
/*
 * A guest's pages in the backend, of the grants in lib/fake-grants.h: the right memory, for whoever
 * gets the descriptor; what was never granted cannot be mapped; both sides see the other one go.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/pages.h>

#include "descriptors.h"
#include "fake-grants.h"
#include "gntalloc.h"
#include "gntdev.h"

#define GUEST   5
#define BACKEND 0

static const struct xaring_shape shape = {.frame_bytes = 4,
					  .capacity = 8192,
					  .data_pages = 8,
					  .pages = 9};

struct fixture {
	struct gntalloc_pages granted;
	struct xaring_pages guest, backend;
	struct offer offer;
	struct gntdev_pages pages;
	uint32_t descriptors;
};

static void be(const char *domid)
{
	assert_int_equal(setenv("FAKE_DOMID", domid, 1), 0);
}

static void grant(struct fixture *f, enum xaring_direction direction)
{
	be("5");
	assert_int_equal(gntalloc_stream(BACKEND, &shape, direction, &f->granted), 0);
	assert_int_equal(xaring_pages_map(&f->guest, &shape, f->granted.fd,
					  f->granted.control_offset, f->granted.fd,
					  f->granted.data_offset, true),
			 0);
	f->offer.control = f->granted.control;
	f->offer.data_count = shape.data_pages;
	memcpy(f->offer.data, f->granted.data, sizeof(f->offer.data));
	be("0");
}

static int fixture_make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->descriptors = open_descriptors();
	fake_grants_create();
	grant(f, XARING_PLAYBACK);
	*state = f;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *f = *state;

	xaring_pages_unmap(&f->guest);
	xaring_pages_unmap(&f->backend);
	if (f->granted.fd > 0)
		close(f->granted.fd);
	if (f->pages.fd > 0)
		close(f->pages.fd);
	fake_grants_destroy();
	assert_int_equal(open_descriptors(), f->descriptors);
	free(f);
	return 0;
}

static int map(struct fixture *f, bool writable)
{
	return xaring_pages_map(&f->backend, &shape, f->pages.fd, f->pages.control_offset,
				f->pages.fd, f->pages.data_offset, writable);
}

static void end_of_guest(struct fixture *f)
{
	xaring_pages_unmap(&f->guest);
	close(f->granted.fd);
	f->granted.fd = 0;
}

static void end_of_backend(struct fixture *f)
{
	xaring_pages_unmap(&f->backend);
	close(f->pages.fd);
	f->pages.fd = 0;
}

static void both_sides_have_the_same_memory(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = f->guest.data;

	assert_int_equal(gntdev_stream(GUEST, &f->offer, &f->pages), 0);
	assert_true(fcntl(f->pages.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(map(f, false), 0);
	for (uint32_t page = 0; page < shape.data_pages; page++)
		memset(data + page * XARING_PAGE_BYTES, (int)page + 1, XARING_PAGE_BYTES);
	assert_memory_equal(f->backend.data, data, shape.data_pages * XARING_PAGE_BYTES);
	xaring_store(&f->guest.control->guest.pos, 1234);
	assert_int_equal(xaring_load(&f->backend.control->guest.pos), 1234);
	xaring_store(&f->backend.control->backend.attach, 77);
	assert_int_equal(xaring_load(&f->guest.control->backend.attach), 77);
}

/* "read-only for playback": the device says so where it can be asked. */
static void only_capture_is_granted_for_writing(void **state)
{
	struct fixture *f = *state;
	uint64_t bytes = (uint64_t)shape.data_pages * XARING_PAGE_BYTES;

	assert_int_equal(gntdev_stream(GUEST, &f->offer, &f->pages), 0);
	assert_false(fake_grants_may_mmap(f->pages.fd, f->pages.data_offset, bytes, true));
	assert_true(fake_grants_may_mmap(f->pages.fd, f->pages.data_offset, bytes, false));
	assert_true(fake_grants_may_mmap(f->pages.fd, f->pages.control_offset, XARING_PAGE_BYTES,
					 true));
	if (getenv("LD_PRELOAD"))
		assert_int_equal(map(f, true), -EINVAL);
	end_of_backend(f);
	end_of_guest(f);
	grant(f, XARING_CAPTURE);
	assert_int_equal(gntdev_stream(GUEST, &f->offer, &f->pages), 0);
	assert_int_equal(map(f, true), 0);
	assert_true(fake_grants_may_mmap(f->pages.fd, f->pages.data_offset, bytes, true));
}

static void cannot_be_mapped(struct fixture *f, uint32_t domid)
{
	assert_int_equal(gntdev_stream(domid, &f->offer, &f->pages), 0);
	assert_true(map(f, false) < 0);
	assert_null(f->backend.control);
	close(f->pages.fd);
	f->pages.fd = 0;
}

static void what_is_not_granted_cannot_be_mapped(void **state)
{
	struct fixture *f = *state;
	struct offer right = f->offer;

	f->offer.control = 7000;
	cannot_be_mapped(f, GUEST);
	f->offer.control = UINT32_MAX;
	cannot_be_mapped(f, GUEST);
	f->offer = right;
	f->offer.data[7] = 0;
	cannot_be_mapped(f, GUEST);
	f->offer = right;
	cannot_be_mapped(f, GUEST + 1);
	be("3");
	cannot_be_mapped(f, GUEST);
	be("0");
	fake_grants_revoke(GUEST);
	cannot_be_mapped(f, GUEST);
}

static void what_a_guest_gave_up_cannot_be_mapped(void **state)
{
	struct fixture *f = *state;

	end_of_guest(f);
	fake_grants_reap();
	cannot_be_mapped(f, GUEST);
}

static void what_the_device_refuses_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct gntdev_pages pages = {.fd = -7};
	uint32_t descriptors = open_descriptors(), last = f->offer.data[7];

	f->offer.data[7] = f->offer.data[6];
	assert_int_equal(gntdev_stream(GUEST, &f->offer, &pages), -EINVAL);
	f->offer.data[7] = last;
	f->offer.data_count = 0;
	assert_int_equal(gntdev_stream(GUEST, &f->offer, &pages), -EINVAL);
	f->offer.data_count = XARING_RING_PAGES_MAX + 1;
	assert_int_equal(gntdev_stream(GUEST, &f->offer, &pages), -EINVAL);
	assert_int_equal(pages.fd, -7);
	assert_int_equal(open_descriptors(), descriptors);
}

static void without_a_device_there_is_nothing(void **state)
{
	struct fixture *f = *state;

	if (access("/dev/xen/gntdev", F_OK) == 0)
		skip();
	fake_grants_destroy();
	assert_int_equal(gntdev_stream(GUEST, &f->offer, &f->pages), -ENOENT);
}

/* Pages that are still mapped stay, and count; dom0 unmaps first, or the guest's end waits for it. */
static void mapped_pages_outlive_their_guest(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gntdev_stream(GUEST, &f->offer, &f->pages), 0);
	assert_int_equal(map(f, false), 0);
	xaring_store(&f->guest.control->guest.alive, 1);
	end_of_guest(f);
	fake_grants_reap();
	assert_int_equal(xaring_load(&f->backend.control->guest.alive), 0);
	assert_int_equal(fake_grants_count(GUEST).granted, shape.pages);
	assert_int_equal(fake_grants_count(GUEST).mapped, shape.pages);
	end_of_backend(f);
	fake_grants_reap();
	assert_int_equal(fake_grants_count(GUEST).granted, 0);
}

static void the_backends_alive_is_cleared_when_the_mapper_goes(void **state)
{
	struct fixture *f = *state;
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(gntdev_stream(GUEST, &f->offer, &f->pages), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (map(f, false) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(f->pages.fd);
	f->pages.fd = 0;
	assert_int_equal(read(ready[0], &byte, 1), 1);
	xaring_store(&f->guest.control->backend.alive, 0x01010101);
	fake_grants_reap();
	assert_int_equal(xaring_load(&f->guest.control->backend.alive), 0x01010101);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fake_grants_reap();
	assert_int_equal(xaring_load(&f->guest.control->backend.alive), 0x01010100);
	assert_int_equal(fake_grants_count(GUEST).granted, shape.pages);
	close(ready[0]);
	close(ready[1]);
}

/* Restored as another domain: old references are over, the memory is not; new ones are the new one's. */
static void a_domain_that_moved_grants_anew(void **state)
{
	struct fixture *f = *state;
	struct gntalloc_pages old = f->granted;

	fake_grants_revoke(GUEST);
	fake_grants_moved(GUEST, 9);
	xaring_store(&f->guest.control->guest.pos, 5);
	assert_int_equal(xaring_load(&f->guest.control->guest.pos), 5);
	xaring_pages_unmap(&f->guest);
	grant(f, XARING_PLAYBACK);
	cannot_be_mapped(f, GUEST);
	assert_int_equal(gntdev_stream(9, &f->offer, &f->pages), 0);
	assert_int_equal(map(f, false), 0);
	close(old.fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_sides_have_the_same_memory),
		TEST(only_capture_is_granted_for_writing),
		TEST(what_is_not_granted_cannot_be_mapped),
		TEST(what_a_guest_gave_up_cannot_be_mapped),
		TEST(what_the_device_refuses_leaves_nothing),
		TEST(without_a_device_there_is_nothing),
		TEST(mapped_pages_outlive_their_guest),
		TEST(the_backends_alive_is_cleared_when_the_mapper_goes),
		TEST(a_domain_that_moved_grants_anew),
	};

	return cmocka_run_group_tests_name("gntdev", tests, NULL, NULL);
}
