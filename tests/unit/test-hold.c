/* SPDX-License-Identifier: MIT */
/* What is closed while it is held stays open until it is let go, and nothing else. Sockets that linger: tests/hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "descriptors.h"
#include "hold.h"

#define DEADLINE_MS 20000
#define THREADS_MAX 16

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

static int hold_one(struct hold *hold, int fd)
{
	return hold_init(hold, &fd, 1);
}

/* Threads that have been joined may be on their way out for a moment. */
static void await_hold(struct hold *hold, int fd)
{
	int res;

	for (int i = 0; (res = hold_one(hold, fd)) == -EAGAIN && i < DEADLINE_MS / 10; i++)
		poll(NULL, 0, 10);
	assert_int_equal(res, 0);
}

static void what_is_closed_meanwhile_ends_at_the_end(void **state)
{
	uint32_t before = open_descriptors();
	struct hold hold;
	int fds[2];

	(void)state;
	make_pipe(fds);
	assert_int_equal(hold_one(&hold, fds[1]), 0);
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
	assert_int_equal(hold_one(&hold, STDIN_FILENO), 0);
	make_pipe(fds);
	close(fds[1]);
	assert_true(has_ended(fds[0], DEADLINE_MS));
	hold_finish(&hold);
	close(fds[0]);
}

/* A thread that does not end would keep them open as well. */
static void what_else_is_open_is_not_held(void **state)
{
	int before[2], held[2], behind[2];
	struct hold hold;

	(void)state;
	make_pipe(before);
	make_pipe(held);
	make_pipe(behind);
	assert_int_equal(hold_one(&hold, held[1]), 0);
	close(before[1]);
	close(held[1]);
	close(behind[1]);
	assert_true(has_ended(before[0], DEADLINE_MS));
	assert_true(has_ended(behind[0], DEADLINE_MS));
	assert_false(has_ended(held[0], 0));
	hold_finish(&hold);
	assert_true(has_ended(held[0], DEADLINE_MS));
	close(before[0]);
	close(held[0]);
	close(behind[0]);
}

static void many_are_held_by_one(void **state)
{
	int pipes[10][2], ends[5];
	struct hold hold;

	(void)state;
	for (int i = 0; i < 10; i++)
		make_pipe(pipes[i]);
	for (int i = 0; i < 5; i++)
		ends[i] = pipes[2 * i][1];
	assert_int_equal(hold_init(&hold, ends, 5), 0);
	for (int i = 0; i < 10; i++)
		close(pipes[i][1]);
	for (int i = 0; i < 10; i++)
		assert_int_equal(has_ended(pipes[i][0], i % 2 ? DEADLINE_MS : 0), i % 2);
	hold_finish(&hold);
	for (int i = 0; i < 10; i++) {
		assert_true(has_ended(pipes[i][0], DEADLINE_MS));
		close(pipes[i][0]);
	}
}

/* One within the other, and many: the outermost decides. */
static void one_may_be_held_by_two(void **state)
{
	struct hold outer;
	int fds[2];

	(void)state;
	make_pipe(fds);
	assert_int_equal(hold_one(&outer, fds[1]), 0);
	for (int i = 0; i < 100; i++) {
		struct hold inner;

		await_hold(&inner, i == 0 ? fds[1] : fds[0]);
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
	res = hold_one(&hold, STDIN_FILENO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(res, 0);
	hold_finish(&hold);
}

static void *wait_for_the_end(void *data)
{
	sem_wait(data);
	return NULL;
}

/* Threads that do not end leave room for others than us. */
static void there_is_a_maximum(void **state)
{
	pthread_t threads[THREADS_MAX];
	struct hold hold;
	sem_t over;

	(void)state;
	assert_int_equal(sem_init(&over, 0, 0), 0);
	for (int i = 0; i < THREADS_MAX; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_the_end, &over), 0);
	assert_int_equal(hold_one(&hold, STDIN_FILENO), -EAGAIN);
	for (int i = 0; i < THREADS_MAX; i++)
		sem_post(&over);
	for (int i = 0; i < THREADS_MAX; i++)
		pthread_join(threads[i], NULL);
	await_hold(&hold, STDIN_FILENO);
	hold_finish(&hold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_closed_meanwhile_ends_at_the_end),
		cmocka_unit_test(what_is_opened_meanwhile_is_not_held),
		cmocka_unit_test(what_else_is_open_is_not_held),
		cmocka_unit_test(many_are_held_by_one),
		cmocka_unit_test(one_may_be_held_by_two),
		cmocka_unit_test(there_is_a_maximum),
		cmocka_unit_test(it_takes_no_descriptor),
	};

	return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
