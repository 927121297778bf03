/* SPDX-License-Identifier: MIT */
/*
 * A stream after fork(2): the process that uses it goes on undisturbed by what becomes of the other
 * one's copy, and the server sees the end when the user ends.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/client.h>
#include <xaring/shared.h>

#include "descriptors.h"
#include "local-server.h"

#define MS     UINT64_C(1000000)
#define S      (1000 * MS)
#define BUFFER 4096u

struct fixture {
	struct local_server server;
	struct local_link link;
	struct xaring_client *client;
	struct xaring_client_state state;
	uint64_t now;
	uint32_t descriptors;
};

static const struct xaring_params stereo = {.direction = XARING_PLAYBACK,
					    .format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = BUFFER,
					    .period = 1024};

static void update(struct fixture *f)
{
	xaring_client_update(f->client, f->now, &f->state);
}

/* Linked and running. */
static int fixture_make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xaring_refusal refusal;

	assert_non_null(f);
	f->descriptors = open_descriptors();
	f->now = 5 * S;
	local_server_open(&f->server, true);
	assert_int_equal(xaring_client_create(f->server.path, "a test", &f->client), 0);
	assert_int_equal(xaring_client_setup(f->client, &stereo, 0, &refusal), 0);
	local_link_up(&f->server, &f->link);
	update(f);
	update(f);
	xaring_client_publish(f->client, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	local_cycle(&f->link, 0, 1024, f->now);
	update(f);
	assert_true(f->state.attached);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	*state = f;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *f = *state;

	xaring_client_close(f->client);
	local_link_drop(&f->link);
	local_server_close(&f->server);
	assert_int_equal(open_descriptors(), f->descriptors);
	free(f);
	return 0;
}

static bool is_readable(const struct fixture *f)
{
	struct pollfd pfd = {.fd = xaring_client_poll_fd(f->client), .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

/* Runs child in a child, and waits for it. It ends as a program does, so that its coverage counts. */
static void in_child(struct fixture *f, int (*child)(struct fixture *))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		exit(child(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void check_still_running(struct fixture *f)
{
	assert_int_equal(local_word(&f->link), 1 << 16 | 1 << 12 | 1);
	assert_int_equal(local_link_kick(&f->link), 0);
	f->now += 10 * MS;
	local_cycle(&f->link, 1024, 1024, f->now);
	update(f);
	assert_true(f->state.attached);
	assert_int_equal(f->state.pos, 1024);
}

static int child_closes(struct fixture *f)
{
	xaring_client_close(f->client);
	return 0;
}

/* What snd_pcm_close() does on its way. */
static int child_stops_and_closes(struct fixture *f)
{
	xaring_client_stop(f->client);
	update(f);
	xaring_client_arm(f->client, 0);
	xaring_client_release(f->client);
	xaring_client_close(f->client);
	return 0;
}

static int child_looks(struct fixture *f)
{
	local_cycle(&f->link, 512, 1024, f->now);
	update(f);
	if (!f->state.attached || f->state.pos != 512)
		return 1;
	f->now += 200 * MS; /* stale for the child; not its business */
	update(f);
	return f->state.attached;
}

static void a_child_that_closes_changes_nothing(void **state)
{
	struct fixture *f = *state;

	in_child(f, child_closes);
	assert_false(is_readable(f));
	check_still_running(f);
}

static void a_child_that_stops_changes_nothing(void **state)
{
	struct fixture *f = *state;

	in_child(f, child_stops_and_closes);
	assert_false(is_readable(f));
	check_still_running(f);
}

static void a_child_that_looks_changes_nothing(void **state)
{
	struct fixture *f = *state;

	in_child(f, child_looks);
	check_still_running(f);
}

static int child_breaks(struct fixture *f)
{
	local_cycle(&f->link, 0x40000000, 1024, f->now);
	update(f);
	return f->state.linked ? 0 : 1;
}

static void a_lie_that_a_child_sees_is_not_its_business(void **state)
{
	struct fixture *f = *state;

	in_child(f, child_breaks);
	assert_int_equal(local_link_kick(&f->link), 0);
}

static int child_plays(struct fixture *f)
{
	uint32_t frame = 77;

	xaring_client_write(f->client, BUFFER, &frame, 1);
	xaring_client_publish(f->client, BUFFER + 1);
	local_cycle(&f->link, 1024, 1024, f->now);
	update(f);
	if (!f->state.attached || f->state.pos != 1024)
		return 1;
	xaring_client_arm(f->client, 0);
	if (!is_readable(f))
		return 2;
	/* The parent closes its copy while this one plays. */
	return 0;
}

static void a_child_can_play_on(void **state)
{
	struct fixture *f = *state;

	in_child(f, child_plays);
	assert_int_equal(local_written(&f->link), BUFFER + 1);
	assert_int_equal(((uint32_t *)f->link.pages.data)[BUFFER & (f->link.shape.capacity - 1)],
			 77);
	/* The child's timer was its own. */
	assert_false(is_readable(f));
	/* The parent is not the user any more: its end leaves the page alone. */
	xaring_client_stop(f->client);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1 << 12 | 1);
	xaring_client_release(f->client);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1 << 12 | 1);
	assert_int_equal(local_link_kick(&f->link), -1); /* the last copy is gone */
}

/* The parent's end is the end of its copy while the child is the user and lives. */
static void a_parent_can_leave(void **state)
{
	struct fixture *f = *state;
	int to_child[2], from_child[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(from_child), 0);
	pid = fork();
	if (pid == 0) {
		xaring_client_publish(f->client, BUFFER + 10);
		if (write(from_child[1], "a", 1) != 1 || read(to_child[0], &byte, 1) != 1)
			_exit(1);
		local_cycle(&f->link, 1024, 1024, f->now);
		for (int i = 0; i < 40; i++)
			update(f); /* looks at the socket as well */
		_exit(f->state.attached && f->state.linked ? 0 : 2);
	}
	assert_int_equal(read(from_child[0], &byte, 1), 1);
	xaring_client_close(f->client);
	f->client = NULL;
	assert_int_equal(local_link_kick(&f->link), 0); /* the connection lives */
	assert_int_equal(write(to_child[1], "b", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(from_child[i]);
	}
}

/* The user's close reaches the server although a child still holds the descriptors. */
static void the_end_is_seen_through_a_child(void **state)
{
	struct fixture *f = *state;
	int pipe_fds[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0)
		_exit(read(pipe_fds[0], &byte, 1) == 1 ? 0 : 1);
	xaring_client_close(f->client);
	f->client = NULL;
	assert_int_equal(local_word(&f->link), 1 << 16 | 1);
	assert_int_equal(local_link_kick(&f->link), -1);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* A child's copy of a connection that has ended does not keep the parent's poll descriptor busy. */
static void an_end_is_taken_out_of_the_poll_set(void **state)
{
	struct fixture *f = *state;
	int pipe_fds[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0)
		_exit(read(pipe_fds[0], &byte, 1) == 1 ? 0 : 1);
	assert_int_equal(shutdown(f->link.fd, SHUT_RDWR), 0);
	assert_true(is_readable(f));
	f->now += 200 * MS;
	update(f);
	update(f);
	assert_false(f->state.linked);
	assert_false(is_readable(f));
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static int child_sets_up(struct fixture *f)
{
	struct xaring_refusal refusal;

	if (xaring_client_setup(f->client, &stereo, 0, &refusal) < 0)
		return 1;
	return is_readable(f);
}

/* A child that makes a stream of its own takes nothing from the parent's but the copy. */
static void a_child_can_begin_anew(void **state)
{
	struct fixture *f = *state;

	in_child(f, child_sets_up);
	assert_true(local_server_has_client(&f->server));
	assert_int_equal(local_word(&f->link), 1 << 16 | 1 << 12 | 1);
	assert_int_equal(local_link_kick(&f->link), 0);
	/* Whoever writes is the user again. */
	xaring_client_publish(f->client, BUFFER + 1);
	assert_false(is_readable(f));
	check_still_running(f);
	xaring_client_stop(f->client);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1);
}

static int child_without_descriptors(struct fixture *f)
{
	struct rlimit limit, none;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	none = limit;
	none.rlim_cur = 0;
	if (setrlimit(RLIMIT_NOFILE, &none) < 0)
		return 1;
	xaring_client_publish(f->client, BUFFER + 1);
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	local_cycle(&f->link, 1024, 1024, f->now);
	update(f);
	return f->state.attached ? 0 : 2;
}

static void a_child_without_descriptors_plays_on_shared_ones(void **state)
{
	struct fixture *f = *state;

	in_child(f, child_without_descriptors);
	assert_int_equal(local_written(&f->link), BUFFER + 1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(a_child_that_closes_changes_nothing),
		WITH_FIXTURE(a_child_that_stops_changes_nothing),
		WITH_FIXTURE(a_child_that_looks_changes_nothing),
		WITH_FIXTURE(a_lie_that_a_child_sees_is_not_its_business),
		WITH_FIXTURE(a_child_can_play_on),
		WITH_FIXTURE(a_parent_can_leave),
		WITH_FIXTURE(the_end_is_seen_through_a_child),
		WITH_FIXTURE(an_end_is_taken_out_of_the_poll_set),
		WITH_FIXTURE(a_child_can_begin_anew),
		WITH_FIXTURE(a_child_without_descriptors_plays_on_shared_ones),
	};

	return cmocka_run_group_tests_name("client-fork", tests, NULL, NULL);
}
