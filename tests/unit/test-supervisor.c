/* SPDX-License-Identifier: MIT */
/*
 * How one worker makes room for the next, when workers are processes: polite, stuck, not ready; traced
 * by somebody who does not let go of it when it is dead. How many may be held like that: test-undead.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xaring/log.h>

#include "loop.h"
#include "now.h"
#include "supervisor.h"

#define DEADLINE_MS 20000
#define HOLD_MS     10000 /* a tracer lets go then */
#define UNDEAD_MS   3000  /* a worker that was killed so long ago should be dead */

/* What somebody traces of the first worker. */
enum traced {
	TRACED_NOT,
	TRACED_PROCESS, /* it cannot be reaped when it is dead */
	TRACED_THREAD   /* the others are dead, and it is not */
};

struct fixture {
	struct loop *loop;
	struct loop_source *deadline;
	struct supervisor *supervisor;
	bool says_ready, leaves; /* the next worker */
	unsigned starts, ends;
	uint64_t asked_ms, took_ms;

	enum traced traced;
	bool stays;               /* the test only looks, and ends it itself */
	pid_t first, tracer;      /* the worker, and who traces it */
	bool refused;             /* nobody may trace here */
	struct loop_source *look; /* timer: whether the first one has ended at last */
};

static unsigned warnings, undead, ended_at_last;

static void count_warning(enum xaring_log_level level, const char *text)
{
	warnings += level <= XARING_LOG_WARN;
	undead += strstr(text, "does not end") != NULL;
	ended_at_last += strstr(text, "has ended at last") != NULL;
}

static void *wait_long(void *data)
{
	poll(NULL, 0, DEADLINE_MS);
	return data;
}

/* A worker as it is seen from outside. */
__attribute__((noreturn)) static void be_worker(int fd, bool says_ready, bool leaves)
{
	struct ipc_message ready;
	pthread_t other;
	char byte;

	if (pthread_create(&other, NULL, wait_long, NULL) != 0)
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ipc_message_init(&ready, IPC_READY, 0, 0);
	if (says_ready)
		ipc_send(fd, &ready);
	/* The end of the socket is the word to leave. */
	while (!leaves || recv(fd, &byte, sizeof(byte), 0) > 0)
		poll(NULL, 0, leaves ? 0 : DEADLINE_MS);
	/* ThreadSanitizer's _exit() gives other threads a second. */
	for (;;)
		syscall(SYS_exit_group, 0);
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
	if (!f->first)
		f->first = child->pid;
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

/* A thread that is not its first one. */
static pid_t other_thread(pid_t pid)
{
	char path[32];
	const struct dirent *entry;
	pid_t found = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	folder = opendir(path);
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

		if (thread > 0 && thread != pid)
			found = thread;
	}
	closedir(folder);
	assert_true(found > 0);
	return found;
}

/* Traces, and never asks what became of it. */
__attribute__((noreturn)) static void be_tracer(pid_t whom, int fd)
{
	char refused;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The worker is to see the end of its socket. */
	for (int other = STDERR_FILENO + 1; other < 64; other++) {
		if (other != fd)
			close(other);
	}
	refused = ptrace(PTRACE_SEIZE, whom, NULL, NULL) < 0;
	if (write(fd, &refused, 1) == 1)
		poll(NULL, 0, HOLD_MS);
	_exit(0);
}

static void trace(struct fixture *f)
{
	pid_t whom = f->traced == TRACED_PROCESS ? f->first : other_thread(f->first);
	char refused = 1;
	int pair[2];

	assert_int_equal(pipe(pair), 0);
	f->tracer = fork();
	assert_true(f->tracer >= 0);
	if (f->tracer == 0)
		be_tracer(whom, pair[1]);
	close(pair[1]);
	assert_int_equal(read(pair[0], &refused, 1), 1);
	close(pair[0]);
	f->refused = refused;
}

static void end_tracer(struct fixture *f)
{
	if (!f->tracer)
		return;
	kill(f->tracer, SIGKILL);
	waitpid(f->tracer, NULL, 0);
	f->tracer = 0;
}

/* It is traced, and killed unless the end of the supervisor is what the test is about. */
static void trace_first(struct fixture *f)
{
	trace(f);
	f->asked_ms = clock_now_ms();
	if (f->refused || f->stays)
		loop_quit(f->loop, 0);
	else
		kill(f->first, SIGKILL);
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

	if (message->type != IPC_READY || f->starts != 1)
		return 0;
	if (f->traced == TRACED_NOT)
		replace(f);
	else
		trace_first(f);
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

static void on_look(void *data)
{
	struct fixture *f = data;

	if (ended_at_last > 0)
		loop_quit(f->loop, 0);
}

static void run_to_the_end(struct fixture *f)
{
	static const struct supervisor_events events = {
		.on_worker_start = on_worker_start,
		.on_worker_message = on_worker_message,
		.on_worker_end = on_worker_end,
	};

	warnings = 0;
	undead = 0;
	ended_at_last = 0;
	xaring_log_set(count_warning, XARING_LOG_DEBUG);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(loop_add_timer(f->loop, on_deadline, f, &f->deadline), 0);
	loop_arm_timer(f->deadline, DEADLINE_MS);
	assert_int_equal(loop_add_timer(f->loop, on_look, f, &f->look), 0);
	assert_int_equal(supervisor_create(f->loop, &events, f, spawn, f, &f->supervisor), 0);
	supervisor_start(f->supervisor);
	assert_int_equal(loop_run(f->loop), 0);
}

static void finish(struct fixture *f)
{
	supervisor_destroy(f->supervisor);
	loop_destroy(f->loop);
	xaring_log_set(NULL, XARING_LOG_ERROR);
}

static void run(struct fixture *f, bool says_ready, bool leaves)
{
	*f = (struct fixture){.says_ready = says_ready, .leaves = leaves};
	run_to_the_end(f);
	assert_int_equal(f->ends, 1);
	finish(f);
}

/* Returns false where nobody may trace. */
static bool run_traced(struct fixture *f, enum traced traced, bool stays)
{
	*f = (struct fixture){.says_ready = true, .leaves = true, .traced = traced, .stays = stays};
	run_to_the_end(f);
	if (!f->refused)
		return true;
	print_message("Skipped: nobody may trace here\n");
	end_tracer(f);
	finish(f);
	return false;
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

static void worker_that_cannot_be_reaped_is_followed_at_once(void **state)
{
	struct fixture f;

	(void)state;
	if (!run_traced(&f, TRACED_PROCESS, false))
		skip();
	assert_true(f.took_ms < 1000);
	assert_int_equal(f.ends, 1);
	assert_int_equal(warnings, 1);
	assert_int_equal(kill(f.first, 0), 0);
	end_tracer(&f);
	finish(&f);
	assert_int_equal(waitpid(f.first, NULL, 0), f.first);
}

/* It is told once, and buried when it can be. */
static void worker_that_does_not_die_is_followed_all_the_same(void **state)
{
	struct fixture f;

	(void)state;
	if (!run_traced(&f, TRACED_THREAD, false))
		skip();
	assert_in_range(f.took_ms, UNDEAD_MS - 50, UNDEAD_MS + 2000);
	assert_int_equal(f.ends, 1);
	assert_int_equal(undead, 1);
	assert_int_equal(ended_at_last, 0);
	assert_true(supervisor_is_alive(f.supervisor));
	end_tracer(&f);
	loop_repeat_timer(f.look, 10);
	assert_int_equal(loop_run(f.loop), 0);
	assert_int_equal(waitpid(f.first, NULL, WNOHANG), -1);
	assert_int_equal(f.starts, 2);
	assert_int_equal(f.ends, 1);
	finish(&f);
}

static void the_end_does_not_wait_for_good(void **state)
{
	static const uint64_t max_ms[] = {[TRACED_PROCESS] = 1000, [TRACED_THREAD] = 6000};
	struct fixture f;

	(void)state;
	for (enum traced traced = TRACED_PROCESS; traced <= TRACED_THREAD; traced++) {
		if (!run_traced(&f, traced, true))
			skip();
		finish(&f);
		assert_true(clock_now_ms() - f.asked_ms < max_ms[traced]);
		assert_int_equal(undead, traced == TRACED_THREAD);
		end_tracer(&f);
		waitpid(f.first, NULL, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_that_leaves_is_followed_at_once),
		cmocka_unit_test(worker_that_stays_is_killed_after_a_second),
		cmocka_unit_test(worker_that_is_not_ready_is_not_waited_for),
		cmocka_unit_test(worker_that_cannot_be_reaped_is_followed_at_once),
		cmocka_unit_test(worker_that_does_not_die_is_followed_all_the_same),
		cmocka_unit_test(the_end_does_not_wait_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
