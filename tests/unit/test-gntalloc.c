/* SPDX-License-Identifier: MIT */
/* A guest's pages, of the grants in lib/fake-grants.h: what is made, what is given back, and when. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/pages.h>

#include "descriptors.h"
#include "fake-grants.h"
#include "gntalloc.h"

#define BACKEND 0

static const struct xaring_shape shape = {.frame_bytes = 4,
					  .capacity = 8192,
					  .data_pages = 8,
					  .pages = 9};

static int fixture_make(void **state)
{
	(void)state;
	unsetenv("FAKE_GRANTS_LIMIT");
	assert_int_equal(setenv("FAKE_DOMID", "5", 1), 0);
	fake_grants_create();
	return 0;
}

static int fixture_free(void **state)
{
	(void)state;
	fake_grants_destroy();
	return 0;
}

static void limit_is(const char *pages)
{
	assert_int_equal(setenv("FAKE_GRANTS_LIMIT", pages, 1), 0);
}

static uint32_t granted(void)
{
	fake_grants_reap();
	return fake_grants_count(5).granted;
}

/* The pages as the kernel sees them, whoever holds them. */
static struct xaring_control_page *control_behind(const struct gntalloc_pages *pages)
{
	int fd = open(getenv("FAKE_GRANTS"), O_RDWR | O_CLOEXEC);
	void *at = mmap(NULL, XARING_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			(off_t)pages->control_offset);

	assert_true(fd >= 0 && at != MAP_FAILED);
	close(fd);
	return at;
}

static void map(struct xaring_pages *mapped, const struct gntalloc_pages *pages)
{
	memset(mapped, 0, sizeof(*mapped));
	assert_int_equal(xaring_pages_map(mapped, &shape, pages->fd, pages->control_offset,
					  pages->fd, pages->data_offset, true),
			 0);
}

static void a_stream_has_its_pages(void **state)
{
	static const uint8_t zero[8 * XARING_PAGE_BYTES];
	struct gntalloc_pages pages;
	struct xaring_pages mapped;

	(void)state;
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &pages), 0);
	assert_int_equal(granted(), shape.pages);
	assert_true(fcntl(pages.fd, F_GETFD) & FD_CLOEXEC);
	map(&mapped, &pages);
	assert_memory_equal(mapped.data, zero, sizeof(zero));
	assert_memory_equal(mapped.control, zero, XARING_PAGE_BYTES);
	memset(mapped.data, 0xff, sizeof(zero));
	assert_memory_equal(mapped.control, zero, XARING_PAGE_BYTES);
	xaring_pages_unmap(&mapped);
	close(pages.fd);
	assert_int_equal(granted(), 0);
}

static void references_are_all_different(void **state)
{
	struct gntalloc_pages pages[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_CAPTURE, &pages[i]), 0);
	for (uint32_t i = 0; i < 2 * shape.data_pages; i++) {
		uint32_t a = pages[i / shape.data_pages].data[i % shape.data_pages];

		assert_int_not_equal(a, pages[0].control);
		assert_int_not_equal(a, pages[1].control);
		for (uint32_t k = 0; k < i; k++)
			assert_int_not_equal(a, pages[k / shape.data_pages]
							.data[k % shape.data_pages]);
	}
	assert_int_not_equal(pages[0].control, pages[1].control);
	close(pages[0].fd);
	close(pages[1].fd);
}

/* The control page fits, the data pages do not: nothing is left of either. */
static void all_pages_or_none(void **state)
{
	uint32_t descriptors = open_descriptors();
	struct gntalloc_pages pages = {.fd = -7}, first;

	(void)state;
	limit_is("8");
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &pages), -ENOSPC);
	assert_int_equal(pages.fd, -7);
	assert_int_equal(open_descriptors(), descriptors);
	assert_int_equal(granted(), 0);
	limit_is("17");
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &first), 0);
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &pages), -ENOSPC);
	assert_int_equal(granted(), shape.pages);
	close(first.fd);
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &pages), 0);
	close(pages.fd);
}

static void what_cannot_be_is_refused(void **state)
{
	struct xaring_shape none = {0}, many = {.data_pages = XARING_RING_PAGES_MAX + 1};
	struct gntalloc_pages pages;

	(void)state;
	assert_int_equal(gntalloc_stream(0x7ff0, &shape, XARING_PLAYBACK, &pages), -EINVAL);
	assert_int_equal(gntalloc_stream(0x10000, &shape, XARING_PLAYBACK, &pages), -EINVAL);
	assert_int_equal(gntalloc_stream(BACKEND, &none, XARING_PLAYBACK, &pages), -EINVAL);
	assert_int_equal(gntalloc_stream(BACKEND, &many, XARING_PLAYBACK, &pages), -EINVAL);
	assert_int_equal(granted(), 0);
}

static void without_a_device_there_is_nothing(void **state)
{
	struct gntalloc_pages pages;

	(void)state;
	if (access("/dev/xen/gntalloc", F_OK) == 0)
		skip();
	fake_grants_destroy();
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &pages), -ENOENT);
	assert_int_equal(gntalloc_room(BACKEND, 10), 0);
}

static void the_largest_stream_has_its_pages(void **state)
{
	struct xaring_shape large = {.data_pages = XARING_RING_PAGES_MAX};
	struct gntalloc_pages pages;

	(void)state;
	assert_int_equal(gntalloc_stream(BACKEND, &large, XARING_PLAYBACK, &pages), 0);
	assert_int_equal(granted(), XARING_RING_PAGES_MAX + 1);
	assert_int_not_equal(pages.data[XARING_RING_PAGES_MAX - 1], 0);
	close(pages.fd);
}

/* The file may be closed as soon as somebody has mapped it: the last mapping is the end. */
static void alive_is_cleared_with_the_last_mapping(void **state)
{
	struct gntalloc_pages pages;
	struct xaring_pages mapped;
	struct xaring_control_page *behind;

	(void)state;
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &pages), 0);
	map(&mapped, &pages);
	behind = control_behind(&pages);
	xaring_store(&mapped.control->guest.alive, 0x01010101);
	close(pages.fd);
	assert_int_equal(granted(), shape.pages);
	assert_int_equal(xaring_load(&behind->guest.alive), 0x01010101);
	xaring_pages_unmap(&mapped);
	assert_int_equal(granted(), 0);
	/* The first byte, and no other one. */
	assert_int_equal(xaring_load(&behind->guest.alive), 0x01010100);
	munmap(behind, XARING_PAGE_BYTES);
}

static void alive_is_cleared_when_a_program_is_killed(void **state)
{
	struct gntalloc_pages pages;
	struct xaring_control_page *behind;
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &pages), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct xaring_pages mapped;

		map(&mapped, &pages);
		xaring_store(&mapped.control->guest.alive, 1);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(pages.fd);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	behind = control_behind(&pages);
	assert_int_equal(granted(), shape.pages);
	assert_int_equal(xaring_load(&behind->guest.alive), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(granted(), 0);
	assert_int_equal(xaring_load(&behind->guest.alive), 0);
	munmap(behind, XARING_PAGE_BYTES);
	close(ready[0]);
	close(ready[1]);
}

static void room_is_what_could_be_had(void **state)
{
	uint32_t descriptors = open_descriptors();
	struct gntalloc_pages pages;

	(void)state;
	limit_is("100");
	assert_int_equal(gntalloc_room(BACKEND, XARING_GUEST_PAGES_MAX), 100);
	assert_int_equal(gntalloc_room(BACKEND, 101), 100);
	assert_int_equal(gntalloc_room(BACKEND, 100), 100);
	assert_int_equal(gntalloc_room(BACKEND, 10), 10);
	assert_int_equal(gntalloc_room(BACKEND, 1), 1);
	assert_int_equal(gntalloc_room(BACKEND, 0), 0);
	assert_int_equal(gntalloc_room(0x7ff0, 10), 0);
	assert_int_equal(granted(), 0);
	assert_int_equal(gntalloc_stream(BACKEND, &shape, XARING_PLAYBACK, &pages), 0);
	assert_int_equal(gntalloc_room(BACKEND, XARING_GUEST_PAGES_MAX), 91);
	assert_int_equal(granted(), shape.pages);
	limit_is("9");
	assert_int_equal(gntalloc_room(BACKEND, XARING_GUEST_PAGES_MAX), 0);
	limit_is("10");
	assert_int_equal(gntalloc_room(BACKEND, XARING_GUEST_PAGES_MAX), 1);
	close(pages.fd);
	assert_int_equal(open_descriptors(), descriptors);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stream_has_its_pages),
		TEST(references_are_all_different),
		TEST(all_pages_or_none),
		TEST(what_cannot_be_is_refused),
		TEST(without_a_device_there_is_nothing),
		TEST(the_largest_stream_has_its_pages),
		TEST(alive_is_cleared_with_the_last_mapping),
		TEST(alive_is_cleared_when_a_program_is_killed),
		TEST(room_is_what_could_be_had),
	};

	return cmocka_run_group_tests_name("gntalloc", tests, NULL, NULL);
}
