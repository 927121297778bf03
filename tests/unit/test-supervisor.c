/* SPDX-License-Identifier: MIT */
/* How one worker makes room for the next, when workers are processes: polite, stuck, not ready. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xaring/log.h>

#include "loop.h"
#include "now.h"
#include "supervisor.h"

#define DEADLINE_MS 20000

struct fixture {
	struct loop *loop;
	struct loop_source *deadline;
	struct supervisor *supervisor;
	bool says_ready, leaves; /* the next worker */
	unsigned starts, ends;
	uint64_t asked_ms, took_ms;
};

static unsigned warnings;

static void count_warning(enum xaring_log_level level, const char *text)
{
	(void)text;
	warnings += level <= XARING_LOG_WARN;
}

/* A worker as it is seen from outside. */
__attribute__((noreturn)) static void be_worker(int fd, bool says_ready, bool leaves)
{
	struct ipc_message ready;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ipc_message_init(&ready, IPC_READY, 0, 0);
	if (says_ready)
		ipc_send(fd, &ready);
	/* The end of the socket is the word to leave. */
	while (!leaves || recv(fd, &byte, sizeof(byte), 0) > 0)
		poll(NULL, 0, leaves ? 0 : DEADLINE_MS);
	_exit(0);
}

static int spawn(void *data, struct supervisor_child *child)
{
	struct fixture *f = data;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	child->pid = fork();
	if (child->pid == 0) {
		close(pair[0]);
		be_worker(pair[1], f->says_ready, f->leaves);
	}
	close(pair[1]);
	child->fd = pair[0];
	child->pidfd = pidfd_open(child->pid, 0);
	return child->pid < 0 || child->pidfd < 0 ? -EAGAIN : 0;
}

static void replace(struct fixture *f)
{
	f->asked_ms = clock_now_ms();
	supervisor_replace(f->supervisor, "the test wants it");
}

/* The first one is replaced: as soon as it is ready, or never will be. The second is the end. */
static void on_worker_start(void *data)
{
	struct fixture *f = data;

	if (++f->starts == 2) {
		f->took_ms = clock_now_ms() - f->asked_ms;
		loop_quit(f->loop, 0);
	} else if (!f->says_ready) {
		replace(f);
	}
}

static int on_worker_message(void *data, struct ipc_message *message)
{
	struct fixture *f = data;

	if (message->type == IPC_READY && f->starts == 1)
		replace(f);
	return 0;
}

static void on_worker_end(void *data)
{
	struct fixture *f = data;

	/* A new one comes only when this one is dead. */
	assert_int_equal(f->starts, ++f->ends);
}

static void on_deadline(void *data)
{
	struct fixture *f = data;

	loop_quit(f->loop, 99);
}

static void run(struct fixture *f, bool says_ready, bool leaves)
{
	static const struct supervisor_events events = {
		.on_worker_start = on_worker_start,
		.on_worker_message = on_worker_message,
		.on_worker_end = on_worker_end,
	};

	*f = (struct fixture){.says_ready = says_ready, .leaves = leaves};
	warnings = 0;
	xaring_log_set(count_warning, XARING_LOG_DEBUG);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(loop_add_timer(f->loop, on_deadline, f, &f->deadline), 0);
	assert_int_equal(loop_arm_timer(f->deadline, DEADLINE_MS, 0), 0);
	assert_int_equal(supervisor_create(f->loop, &events, f, spawn, f, &f->supervisor), 0);
	supervisor_start(f->supervisor);
	assert_int_equal(loop_run(f->loop), 0);
	assert_int_equal(f->ends, 1);
	supervisor_destroy(f->supervisor);
	loop_destroy(f->loop);
	xaring_log_set(NULL, XARING_LOG_ERROR);
}

static void worker_that_leaves_is_followed_at_once(void **state)
{
	struct fixture f;

	(void)state;
	run(&f, true, true);
	assert_true(f.took_ms < 500);
	assert_int_equal(warnings, 0);
}

static void worker_that_stays_is_killed_after_a_second(void **state)
{
	struct fixture f;

	(void)state;
	run(&f, true, false);
	assert_in_range(f.took_ms, 950, 3000);
	assert_int_equal(warnings, 1);
}

static void worker_that_is_not_ready_is_not_waited_for(void **state)
{
	struct fixture f;

	(void)state;
	run(&f, false, false);
	assert_true(f.took_ms < 500);
	assert_int_equal(warnings, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_that_leaves_is_followed_at_once),
		cmocka_unit_test(worker_that_stays_is_killed_after_a_second),
		cmocka_unit_test(worker_that_is_not_ready_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
