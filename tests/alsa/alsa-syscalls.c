/* SPDX-License-Identifier: MIT */
/*
 * What a period of steady playback costs: system calls of a child that plays, counted by tracing
 * it. The backend runs in the parent, and so is not counted.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define MARK       SYS_getppid
#define PERIODS    64u
#define CALLS_MAX  1024
#define PER_PERIOD 3.0

static uint32_t calls[CALLS_MAX];

static void mark(void)
{
	syscall(MARK);
}

/* The child: a blocking writer of whole periods, marked when it has settled. */
static _Noreturn void play(struct test_case *c, struct shape shape, uint32_t piece)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	case_open(c, 0);
	case_shape(c, shape);
	case_write(c, (uint32_t)shape.buffer * 4, piece);
	mark();
	case_write(c, PERIODS * (uint32_t)shape.period, piece);
	mark();
	_exit(snd_pcm_close(c->pcm) < 0);
}

/* Lets the child run to its next call or end. Returns the number of the call, -1 = none, -2 = over. */
static long step(pid_t pid)
{
	struct __ptrace_syscall_info info;
	int status;

	assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status)) {
		assert_int_equal(WEXITSTATUS(status), 0);
		return -2;
	}
	assert_true(WIFSTOPPED(status));
	assert_int_equal(WSTOPSIG(status), SIGTRAP | 0x80);
	assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
	return info.op == PTRACE_SYSCALL_INFO_ENTRY ? (long)info.entry.nr : -1;
}

static double calls_per_period(pid_t pid)
{
	uint32_t count = 0, marks = 0;
	int status;
	long call;

	memset(calls, 0, sizeof(calls));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD), 0);
	while ((call = step(pid)) != -2) {
		if (call == MARK) {
			marks++;
		} else if (call >= 0 && marks == 1) {
			count++;
			calls[call < CALLS_MAX ? call : 0]++;
		}
	}
	assert_int_equal(marks, 2);
	return (double)count / PERIODS;
}

static void measure(struct test_case *c, struct shape shape, uint32_t piece, const char *what)
{
	double per_period;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		play(c, shape, piece);
	per_period = calls_per_period(pid);
	print_message("%s: %.2f system calls per period (poll %.2f, timerfd_settime %.2f, "
		      "recvmsg %.2f)\n",
		      what, per_period, (double)calls[SYS_poll] / PERIODS,
		      (double)calls[SYS_timerfd_settime] / PERIODS,
		      (double)calls[SYS_recvmsg] / PERIODS);
	case_timing(per_period <= PER_PERIOD);
}

static void period_of_the_quantum(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 1024);
	measure(c, (struct shape){.period = 1024, .buffer = 4096}, 1024,
		"1024 of 4096, quantum 1024");
}

static void period_longer_than_the_quantum(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	measure(c, (struct shape){.period = 2400, .buffer = 9600}, 2400,
		"2400 of 9600, quantum 256");
}

static void period_shorter_than_the_quantum(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 1024);
	measure(c, (struct shape){.period = 512, .buffer = 4096}, 512, "512 of 4096, quantum 1024");
}

static void without_a_backend(void **state)
{
	struct test_case *c = *state;

	measure(c, (struct shape){.period = 1024, .buffer = 4096}, 1024, "1024 of 4096, void");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(period_of_the_quantum),
		case_test(period_longer_than_the_quantum),
		case_test(period_shorter_than_the_quantum),
		case_test(without_a_backend),
	};

	return case_run_with_backend(tests);
}
