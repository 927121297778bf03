/* SPDX-License-Identifier: MIT */
/* What is closed while it is held stays open until it is let go. Sockets that linger: tests/hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "descriptors.h"
#include "hold.h"

#define DEADLINE_MS 5000

static void make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

/* The other end of the pipe is closed for the last time. */
static bool has_ended(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLHUP);
}

static void what_is_closed_meanwhile_ends_at_the_end(void **state)
{
	uint32_t before = open_descriptors();
	struct hold hold;
	int fds[2];

	(void)state;
	make_pipe(fds);
	assert_int_equal(hold_init(&hold), 0);
	close(fds[1]);
	assert_false(has_ended(fds[0], 50));
	hold_finish(&hold);
	assert_true(has_ended(fds[0], DEADLINE_MS));
	close(fds[0]);
	assert_int_equal(open_descriptors(), before);
}

static void what_is_opened_meanwhile_is_not_held(void **state)
{
	struct hold hold;
	int fds[2];

	(void)state;
	assert_int_equal(hold_init(&hold), 0);
	make_pipe(fds);
	close(fds[1]);
	assert_true(has_ended(fds[0], DEADLINE_MS));
	hold_finish(&hold);
	close(fds[0]);
}

/* One within the other, and many: the outermost decides. */
static void one_may_be_held_by_two(void **state)
{
	struct hold outer;
	int fds[2];

	(void)state;
	make_pipe(fds);
	assert_int_equal(hold_init(&outer), 0);
	for (int i = 0; i < 100; i++) {
		struct hold inner;

		assert_int_equal(hold_init(&inner), 0);
		if (i == 0)
			close(fds[1]);
		hold_finish(&inner);
	}
	assert_false(has_ended(fds[0], 50));
	hold_finish(&outer);
	assert_true(has_ended(fds[0], DEADLINE_MS));
	close(fds[0]);
}

/* No descriptor needs to be free. */
static void it_takes_no_descriptor(void **state)
{
	struct rlimit limit, none;
	struct hold hold;
	int res;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	res = hold_init(&hold);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(res, 0);
	hold_finish(&hold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_closed_meanwhile_ends_at_the_end),
		cmocka_unit_test(what_is_opened_meanwhile_is_not_held),
		cmocka_unit_test(one_may_be_held_by_two),
		cmocka_unit_test(it_takes_no_descriptor),
	};

	return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
