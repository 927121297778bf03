/* SPDX-License-Identifier: MIT */
/*
 * What the worker's sandbox refuses, and what it leaves. Each probe is a system call with arguments
 * with which it would succeed, or fail for another reason, outside; made in a child, in its first
 * thread and in one that ran before the filter was loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox.h"

#define DEADLINE_S 20

static const struct sockaddr_un nowhere = {.sun_family = AF_UNIX, .sun_path = "/nonexistent"};
static struct open_how how = {.flags = O_RDONLY};
static char *const no_strings[] = {NULL};
static uint8_t zeros[256];
static int pair[2];
static void *page;

struct probe {
	const char *name;
	long number;
	long a[6];
	int error; /* expected; 0 = the call is allowed */
};

#define P(x) ((long)(intptr_t)(x))

/* Built when it runs, for it holds addresses. */
static size_t list_probes(struct probe *to, size_t room)
{
	const struct probe probes[] = {
		/* Files and folders. */
		{"open", SYS_open, {P("/dev/null"), O_RDONLY}, ENOENT},
		{"openat", SYS_openat, {AT_FDCWD, P("/dev/null"), O_RDONLY}, ENOENT},
		{"openat2", SYS_openat2, {AT_FDCWD, P("/dev/null"), P(&how), sizeof(how)}, ENOENT},
		{"creat", SYS_creat, {P("/dev/null"), 0600}, ENOENT},
		{"unlink", SYS_unlink, {P("/nonexistent")}, EPERM},
		{"rename", SYS_rename, {P("/nonexistent"), P("/nonexistent2")}, EPERM},
		{"mkdir", SYS_mkdir, {P("/"), 0700}, EPERM},
		{"chdir", SYS_chdir, {P("/")}, EPERM},
		{"chmod", SYS_chmod, {P("/nonexistent"), 0}, EPERM},
		{"readlink", SYS_readlink, {P("/proc/self/exe"), P(zeros), 10}, ENOENT},
		{"getdents64", SYS_getdents64, {0, P(zeros), sizeof(zeros)}, EPERM},
		{"mount", SYS_mount, {0, P("/nonexistent"), 0, 0, 0}, EPERM},
		{"memfd_secret", 447, {0}, EPERM},
		/* Sockets and devices. */
		{"socket", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, EACCES},
		{"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, P(zeros)}, EPERM},
		{"connect", SYS_connect, {pair[0], P(&nowhere), sizeof(nowhere)}, EACCES},
		{"bind", SYS_bind, {pair[0], P(&nowhere), sizeof(nowhere)}, EACCES},
		{"listen", SYS_listen, {pair[0], 1}, EPERM},
		{"accept4", SYS_accept4, {pair[0], 0, 0, 0}, EPERM},
		{"sendto",
		 SYS_sendto,
		 {pair[0], P(zeros), 1, MSG_DONTWAIT, P(&nowhere), sizeof(nowhere)},
		 EPERM},
		{"ioctl", SYS_ioctl, {pair[0], 0x541b /* FIONREAD */, P(zeros)}, ENOTTY},
		{"io_uring_setup", SYS_io_uring_setup, {1, P(zeros)}, EPERM},
		/* Programs and processes. */
		{"execve", SYS_execve, {P("/bin/true"), P(no_strings), P(no_strings)}, EPERM},
		{"execveat",
		 SYS_execveat,
		 {AT_FDCWD, P("/bin/true"), P(no_strings), P(no_strings), 0},
		 EPERM},
		{"fork", SYS_fork, {0}, EPERM},
		{"vfork", SYS_vfork, {0}, EPERM},
		{"clone", SYS_clone, {SIGCHLD}, EPERM},
		{"clone3", SYS_clone3, {P(zeros), 64}, EPERM},
		{"ptrace", SYS_ptrace, {PTRACE_TRACEME}, EPERM},
		{"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 0}, EPERM},
		{"kill", SYS_kill, {0, 0}, EPERM},
		{"tgkill", SYS_tgkill, {1, 1, 0}, EPERM},
		{"a signal's target", SYS_fcntl, {pair[0], F_SETOWN, 1}, EPERM},
		{"a signal's target, long",
		 SYS_fcntl,
		 {pair[0], 15 /* F_SETOWN_EX */, P(zeros)},
		 EPERM},
		{"a signal's number", SYS_fcntl, {pair[0], 10 /* F_SETSIG */, SIGKILL}, EPERM},
		{"signals on", SYS_fcntl, {pair[0], F_SETFL, O_NONBLOCK | O_ASYNC}, EPERM},
		{"a lease", SYS_fcntl, {pair[0], 1024 /* F_SETLEASE */, F_RDLCK}, EPERM},
		{"pidfd_open", SYS_pidfd_open, {1, 0}, EPERM},
		{"pidfd_getfd", SYS_pidfd_getfd, {0, 0, 0}, EPERM},
		{"wait4", SYS_wait4, {-1, 0, WNOHANG, 0}, EPERM},
		/* Privileges and limits. */
		{"setuid", SYS_setuid, {0}, EPERM},
		{"setgroups", SYS_setgroups, {0, 0}, EPERM},
		{"capset", SYS_capset, {0, 0}, EPERM},
		{"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1}, EPERM},
		{"prlimit64", SYS_prlimit64, {0, RLIMIT_CORE, 0, 0}, EPERM},
		{"setpriority", SYS_setpriority, {PRIO_PROCESS, 0, 1}, EPERM},
		{"sched_setscheduler", SYS_sched_setscheduler, {0, SCHED_OTHER, P(zeros)}, EPERM},
		{"unshare", SYS_unshare, {0}, EPERM},
		{"seccomp", SYS_seccomp, {2, 0, 0}, EPERM},
		{"keyctl", SYS_keyctl, {0, 0, 0}, EPERM},
		/* The kernel's depths. */
		{"bpf", SYS_bpf, {0, 0, 0}, EPERM},
		{"perf_event_open", SYS_perf_event_open, {P(zeros), 0, -1, -1, 0}, EPERM},
		{"userfaultfd", SYS_userfaultfd, {O_CLOEXEC}, EPERM},
		{"init_module", SYS_init_module, {0, 0, P("")}, EPERM},
		{"syslog", SYS_syslog, {10, 0, 0}, EPERM},
		{"reboot", SYS_reboot, {0}, EPERM},
		{"shmget", SYS_shmget, {0, 4096, 0600}, EPERM},
		/* Memory becomes no code. */
		{"mmap of code",
		 SYS_mmap,
		 {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0},
		 EPERM},
		{"mprotect to code", SYS_mprotect, {P(page), 4096, PROT_READ | PROT_EXEC}, EPERM},
		{"pkey_mprotect", SYS_pkey_mprotect, {P(page), 4096, PROT_EXEC, -1}, EPERM},
		/* What is left. */
		{"mprotect", SYS_mprotect, {P(page), 4096, PROT_READ | PROT_WRITE}, 0},
		{"eventfd2", SYS_eventfd2, {0, EFD_CLOEXEC}, 0},
		{"timerfd_create", SYS_timerfd_create, {CLOCK_MONOTONIC, TFD_CLOEXEC}, 0},
		{"memfd_create", SYS_memfd_create, {P("x"), MFD_CLOEXEC}, 0},
		{"fcntl", SYS_fcntl, {pair[0], F_GETFD}, 0},
		{"without waiting", SYS_fcntl, {pair[0], F_SETFL, O_NONBLOCK}, 0},
		{"getsockopt",
		 SYS_getsockopt,
		 {pair[0], SOL_SOCKET, SO_ERROR, P(zeros), P(zeros + 16)},
		 0},
		{"write", SYS_write, {pair[0], P("x"), 1}, 0},
		{"clock_gettime", SYS_clock_gettime, {CLOCK_MONOTONIC, P(zeros + 32)}, 0},
	};
	size_t count = sizeof(probes) / sizeof(probes[0]);

	assert_true(count <= room);
	memcpy(to, probes, sizeof(probes));
	return count;
}

#define PROBES_MAX 100

struct report {
	int prepared, dropped, closed;
	int caps; /* 1 = some capability was left */
	int no_new_privs;
	int core_limit;
	int errors[2][PROBES_MAX]; /* of the first thread, of the other */
	int works;                 /* memory, descriptors and messages as the worker uses them */
};

static struct report *report; /* shared with the child */
static pthread_barrier_t shut;

static int try_one(const struct probe *p)
{
	return syscall(p->number, p->a[0], p->a[1], p->a[2], p->a[3], p->a[4], p->a[5]) < 0 ? errno
											    : 0;
}

static void try_all(int *errors)
{
	struct probe probes[PROBES_MAX];
	size_t count = list_probes(probes, PROBES_MAX);
	int before = getpid();

	for (size_t i = 0; i < count; i++) {
		errors[i] = try_one(&probes[i]);
		/* A child that must not be has nothing more to say. */
		if (getpid() != before)
			_exit(0);
	}
}

static void *other_thread(void *data)
{
	(void)data;
	pthread_barrier_wait(&shut); /* it runs */
	pthread_barrier_wait(&shut); /* the sandbox is shut */
	try_all(report->errors[1]);
	return NULL;
}

static int has_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, caps) < 0)
		return -1;
	return caps[0].permitted || caps[0].effective || caps[0].inheritable || caps[1].permitted ||
	       caps[1].effective || caps[1].inheritable;
}

/* A descriptor over the socket, mapped; a timer that an epoll waits for. */
static int try_what_the_worker_does(int epoll)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int fd = memfd_create("x", MFD_CLOEXEC);
	struct statfs fs;
	void *map;

	if (timer < 0 || fd < 0 || ftruncate(fd, 8192) < 0 || fstatfs(fd, &fs) < 0)
		return 0;
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || munmap(map, 8192) < 0 || close(fd) < 0)
		return 0;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) < 0 ||
	    timerfd_settime(timer, 0, &soon, NULL) < 0)
		return 0;
	return epoll_wait(epoll, &event, 1, 10000) == 1;
}

static void child(void)
{
	struct rlimit core;
	pthread_t thread;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	alarm(DEADLINE_S);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	zeros[16] = sizeof(int);
	report->prepared = sandbox_prepare();
	pthread_barrier_init(&shut, NULL, 2);
	if (pthread_create(&thread, NULL, other_thread, NULL) != 0)
		_exit(1);
	pthread_barrier_wait(&shut);
	report->dropped = sandbox_drop_capabilities();
	report->caps = has_capabilities();
	report->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	report->core_limit = getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max > 0;
	report->closed = sandbox_close();
	pthread_barrier_wait(&shut);
	pthread_join(thread, NULL);
	try_all(report->errors[0]);
	report->works = try_what_the_worker_does(epoll);
	_exit(42);
}

static int run_child(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(report, MAP_FAILED);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	memset(report, 0xff, sizeof(*report));
	pid = fork();
	if (pid == 0)
		child();
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	return 0;
}

static void test_it_can_be_shut(void **state)
{
	(void)state;
	assert_int_equal(report->prepared, 0);
	assert_int_equal(report->dropped, 0);
	assert_int_equal(report->closed, 0);
}

static void test_no_privilege_is_left(void **state)
{
	(void)state;
	assert_int_equal(report->caps, 0);
	assert_int_equal(report->no_new_privs, 1);
	assert_int_equal(report->core_limit, 0);
}

static void check_errors(const int *errors, const char *thread)
{
	struct probe probes[PROBES_MAX];
	size_t count = list_probes(probes, PROBES_MAX);
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		if (errors[i] == probes[i].error)
			continue;
		print_error("%s: %s: errno %d, expected %d\n", thread, probes[i].name, errors[i],
			    probes[i].error);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_probes_of_the_first_thread(void **state)
{
	(void)state;
	check_errors(report->errors[0], "first thread");
}

static void test_probes_of_a_thread_that_ran_before(void **state)
{
	(void)state;
	check_errors(report->errors[1], "other thread");
}

static void test_what_the_worker_needs_works(void **state)
{
	(void)state;
	assert_int_equal(report->works, 1);
}

static void be_stuck(int ready)
{
	sandbox_end_after(SIGUSR1);
	if (sandbox_prepare() < 0 || sandbox_close() < 0 || write(ready, "", 1) != 1)
		_exit(1);
	/* The thread sanitizer runs handlers in calls only. */
	for (;;)
		(void)poll(NULL, 0, -1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Not at once, so that it can clear up; but stuck as it is. */
static void test_an_end_that_is_near(void **state)
{
	int fds[2], status;
	int64_t before;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		be_stuck(fds[1]);
	assert_true(pid > 0);
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	before = now_ns();
	kill(pid, SIGUSR1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(now_ns() - before >= SANDBOX_END_S * INT64_C(1000000000));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGALRM);
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_can_be_shut),
		cmocka_unit_test(test_no_privilege_is_left),
		cmocka_unit_test(test_probes_of_the_first_thread),
		cmocka_unit_test(test_probes_of_a_thread_that_ran_before),
		cmocka_unit_test(test_what_the_worker_needs_works),
		cmocka_unit_test(test_an_end_that_is_near),
	};

	return cmocka_run_group_tests_name("sandbox", tests, run_child, NULL);
}
