/* SPDX-License-Identifier: MIT */
/* The event loop: what is ready is told, what is removed is not, in the same round or later. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "descriptors.h"
#include "loop.h"

#define DEADLINE_MS 20000
#define IN_TIME     0
#define TOO_LATE    99

struct fixture {
	struct loop *loop;
	struct loop_source *deadline;
	struct loop_source *sources[4];
	int fds[2];
	uint32_t calls[4];
	uint32_t events;
	uint32_t descriptors;
};

static void on_deadline(void *data)
{
	struct fixture *f = data;

	loop_quit(f->loop, TOO_LATE);
}

static int fixture_make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->descriptors = open_descriptors();
	assert_int_equal(loop_create(&f->loop), 0);
	for (int i = 0; i < 2; i++)
		f->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(loop_add_timer(f->loop, on_deadline, f, &f->deadline), 0);
	loop_arm_timer(f->deadline, DEADLINE_MS);
	*state = f;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *f = *state;

	loop_destroy(f->loop);
	close(f->fds[0]);
	close(f->fds[1]);
	assert_int_equal(open_descriptors(), f->descriptors);
	free(f);
	return 0;
}

static void make_ready(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void on_ready(void *data, uint32_t events)
{
	struct fixture *f = data;

	f->events = events;
	f->calls[0]++;
	loop_quit(f->loop, IN_TIME);
}

static void a_ready_descriptor_is_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(loop_add_io(f->loop, f->fds[0], EPOLLIN, on_ready, f, &f->sources[0]), 0);
	make_ready(f->fds[0]);
	assert_int_equal(loop_run(f->loop), IN_TIME);
	assert_int_equal(f->events, EPOLLIN);
	loop_update_io(f->sources[0], EPOLLOUT);
	assert_int_equal(loop_run(f->loop), IN_TIME);
	assert_int_equal(f->events, EPOLLOUT);
	assert_int_equal(f->calls[0], 2);
}

static void the_code_of_quit_is_returned(void **state)
{
	struct fixture *f = *state;

	loop_arm_timer(f->deadline, 1);
	assert_int_equal(loop_run(f->loop), TOO_LATE);
}

static void on_tick(void *data)
{
	struct fixture *f = data;

	if (++f->calls[1] == 3)
		loop_quit(f->loop, IN_TIME);
}

static void a_timer_repeats_until_it_is_disarmed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(loop_add_timer(f->loop, on_tick, f, &f->sources[1]), 0);
	loop_repeat_timer(f->sources[1], 1);
	loop_repeat_timer(f->sources[1], 2 * DEADLINE_MS); /* it runs already */
	assert_int_equal(loop_run(f->loop), IN_TIME);
	assert_int_equal(f->calls[1], 3);
	f->calls[1] = 0;
	loop_arm_timer(f->sources[1], 0);
	loop_arm_timer(f->deadline, 20);
	assert_int_equal(loop_run(f->loop), TOO_LATE);
	assert_int_equal(f->calls[1], 0);
	loop_repeat_timer(f->sources[1], 1);
	assert_int_equal(loop_run(f->loop), IN_TIME);
}

static void on_signal(void *data, int signal)
{
	struct fixture *f = data;

	f->calls[2] = (uint32_t)signal;
	loop_quit(f->loop, IN_TIME);
}

static void a_signal_is_delivered_in_the_loop(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(loop_add_signal(f->loop, SIGUSR1, on_signal, f, &f->sources[2]), 0);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(loop_run(f->loop), IN_TIME);
	assert_int_equal(f->calls[2], SIGUSR1);
	assert_int_equal(loop_add_signal(f->loop, 4000, on_signal, f, &f->sources[2]), -EINVAL);
}

/* Whichever of the two comes first removes the other one, in the same round. */
static void on_remove_other(void *data, uint32_t events)
{
	struct fixture *f = data;

	(void)events;
	f->calls[3]++;
	loop_remove(f->sources[0]);
	loop_remove(f->sources[0]);
	loop_remove(f->sources[1]);
	f->sources[0] = f->sources[1] = NULL;
	loop_arm_timer(f->deadline, 20);
}

static void a_removed_source_is_silent_at_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(loop_add_io(f->loop, f->fds[i], EPOLLIN, on_remove_other, f,
					     &f->sources[i]),
				 0);
		make_ready(f->fds[i]);
	}
	assert_int_equal(loop_run(f->loop), TOO_LATE);
	assert_int_equal(f->calls[3], 1);
	loop_remove(NULL);
}

/* A callback that removes a timer which is due in the same round, or sets it later. */
static void on_disarm(void *data, uint32_t events)
{
	struct fixture *f = data;
	uint64_t value;

	(void)events;
	assert_int_equal(read(f->fds[0], &value, sizeof(value)), sizeof(value));
	loop_arm_timer(f->sources[1], 60000);
	loop_arm_timer(f->deadline, 20);
}

static void a_timer_set_anew_is_not_due(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(loop_add_io(f->loop, f->fds[0], EPOLLIN, on_disarm, f, &f->sources[0]), 0);
	make_ready(f->fds[0]);
	assert_int_equal(loop_add_timer(f->loop, on_tick, f, &f->sources[1]), 0);
	loop_arm_timer(f->sources[1], 1);
	usleep(5000); /* so that both are in one round; sooner, the test only shows less */
	assert_int_equal(loop_run(f->loop), TOO_LATE);
	assert_int_equal(f->calls[1], 0);
}

static void on_add(void *data)
{
	struct fixture *f = data;
	struct loop_source *source;

	/* Many sources come and go in one round: memory is freed in the next one. */
	for (int i = 0; i < 100; i++) {
		assert_int_equal(loop_add_timer(f->loop, on_deadline, f, &source), 0);
		loop_remove(source);
	}
	if (++f->calls[1] == 50)
		loop_quit(f->loop, IN_TIME);
}

static void sources_come_and_go(void **state)
{
	struct fixture *f = *state;
	uint32_t before;

	assert_int_equal(loop_add_timer(f->loop, on_add, f, &f->sources[1]), 0);
	before = open_descriptors();
	loop_repeat_timer(f->sources[1], 1);
	assert_int_equal(loop_run(f->loop), IN_TIME);
	assert_int_equal(open_descriptors(), before);
}

static void impossible_descriptors_are_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(loop_add_io(f->loop, -1, EPOLLIN, on_ready, f, &f->sources[0]), -EBADF);
	loop_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_ready_descriptor_is_told, fixture_make,
						fixture_free),
		cmocka_unit_test_setup_teardown(the_code_of_quit_is_returned, fixture_make,
						fixture_free),
		cmocka_unit_test_setup_teardown(a_timer_repeats_until_it_is_disarmed, fixture_make,
						fixture_free),
		cmocka_unit_test_setup_teardown(a_signal_is_delivered_in_the_loop, fixture_make,
						fixture_free),
		cmocka_unit_test_setup_teardown(a_removed_source_is_silent_at_once, fixture_make,
						fixture_free),
		cmocka_unit_test_setup_teardown(a_timer_set_anew_is_not_due, fixture_make,
						fixture_free),
		cmocka_unit_test_setup_teardown(sources_come_and_go, fixture_make, fixture_free),
		cmocka_unit_test_setup_teardown(impossible_descriptors_are_refused, fixture_make,
						fixture_free),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
