/* SPDX-License-Identifier: MIT */
/* Workers that do not end: so many are borne, and each makes room when it does. They are any processes here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xaring/log.h>

#include "loop.h"
#include "undead.h"

static struct loop *loop;
static struct undead undead;
static unsigned ended;

static pid_t make_process(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void on_end(void *data)
{
	(void)data;
	ended++;
	loop_quit(loop, 0);
}

static void on_watched(void *data, uint32_t events)
{
	(void)data, (void)events;
	fail_msg("who has watched it before does not any more");
}

/* As the supervisor has it: watched already. */
static bool add(pid_t pid, int *pidfd)
{
	struct loop_source *watch;
	bool added;

	*pidfd = pidfd_open(pid, 0);
	assert_true(*pidfd >= 0);
	assert_int_equal(loop_add_io(loop, *pidfd, EPOLLIN, on_watched, NULL, &watch), 0);
	added = undead_add(&undead, *pidfd, pid, watch);
	if (!added)
		loop_remove(watch);
	return added;
}

static void so_many_are_borne(void **state)
{
	pid_t pids[UNDEAD_MAX + 1];
	int pidfd;

	(void)state;
	for (unsigned i = 0; i < UNDEAD_MAX; i++) {
		pids[i] = make_process();
		assert_true(add(pids[i], &pidfd));
	}
	pids[UNDEAD_MAX] = make_process();
	assert_false(add(pids[UNDEAD_MAX], &pidfd));
	kill(pids[1], SIGKILL);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(ended, 1);
	assert_int_equal(waitpid(pids[1], NULL, WNOHANG), -1);
	assert_true(undead_add(&undead, pidfd, pids[UNDEAD_MAX], NULL));
	undead_finish(&undead);
	for (unsigned i = 0; i <= UNDEAD_MAX; i++) {
		if (i == 1)
			continue;
		kill(pids[i], SIGKILL);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	}
}

static int begin(void **state)
{
	(void)state;
	xaring_log_set(NULL, XARING_LOG_ERROR);
	if (loop_create(&loop) < 0)
		return -1;
	undead_init(&undead, loop, on_end, NULL);
	return 0;
}

static int end(void **state)
{
	(void)state;
	loop_destroy(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(so_many_are_borne, begin, end),
	};

	return cmocka_run_group_tests_name("undead", tests, NULL, NULL);
}
