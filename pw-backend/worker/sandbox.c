/* SPDX-License-Identifier: MIT */
/*
 * The worker's sandbox: an allow-list of system calls, made from what runs of the worker need. New
 * descriptors come over the broker's socket only, code is what was mapped before, and there is no
 * way to another process.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Seen in runs with PipeWire 0.3.65, restarts of the sound server included. Calls that depend on
 * their arguments are below.
 */
static const int needed[] = {
	/* Memory; mlock is for buffers that the real-time thread touches. */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	/* Descriptors that are there, or that lead nowhere. */
	SCMP_SYS(close),
	SCMP_SYS(eventfd2),
	SCMP_SYS(fstatfs), /* what kind of memfd the pages are */
	SCMP_SYS(ftruncate),
	SCMP_SYS(memfd_create),
	SCMP_SYS(newfstatat),
	SCMP_SYS(timerfd_create),
	/* Waiting and telling. */
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(futex),
	SCMP_SYS(getsockopt),
	SCMP_SYS(read),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(write),
	/* The end. The C library makes its alarm of one or the other. */
	SCMP_SYS(alarm),
	SCMP_SYS(setitimer),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigprocmask),
};

/* What other versions of PipeWire and of C libraries use for the same, or may in a bad moment. */
static const int harmless[] = {
	SCMP_SYS(clock_gettime),
	SCMP_SYS(dup),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(fstat),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettid),
	SCMP_SYS(lseek),
	SCMP_SYS(mlock2),
	SCMP_SYS(munlock),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack), /* sanitizers, at the end of a thread */
	SCMP_SYS(writev),
	/* A thread of PipeWire's real-time module may have been started and not have run yet. */
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
};

/* Calls that libraries may try and take no for an answer, if it is the right no. */
static const struct {
	int call;
	int error;
} refused[] = {
	{SCMP_SYS(open), ENOENT},   {SCMP_SYS(openat), ENOENT},   {SCMP_SYS(openat2), ENOENT},
	{SCMP_SYS(creat), ENOENT},  {SCMP_SYS(access), ENOENT},   {SCMP_SYS(faccessat), ENOENT},
	{SCMP_SYS(stat), ENOENT},   {SCMP_SYS(readlink), ENOENT}, {SCMP_SYS(readlinkat), ENOENT},
	{SCMP_SYS(socket), EACCES}, {SCMP_SYS(connect), EACCES},  {SCMP_SYS(bind), EACCES},
	{SCMP_SYS(ioctl), ENOTTY},
};

static int set_limits(void)
{
	struct rlimit limit;

	/* A stream takes about ten descriptors. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	limit = (struct rlimit){0, 0};
	return setrlimit(RLIMIT_CORE, &limit) < 0 ? -errno : 0;
}

static void begin_to_end(int number)
{
	(void)number;
	(void)alarm(SANDBOX_END_S);
}

void sandbox_end_after(int number)
{
	struct sigaction action = {.sa_handler = begin_to_end, .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
	/* What was ignored before the exec still is. */
	signal(SIGALRM, SIG_DFL);
}

int sandbox_drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* All but the one that real-time priority may need, if it is there. */
static int keep_nice(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};
	uint32_t nice = 1u << CAP_SYS_NICE;

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &header, caps) < 0)
		return -errno;
	nice &= caps[0].permitted;
	memset(caps, 0, sizeof(caps));
	caps[0].permitted = nice;
	caps[0].effective = nice;
	return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}

int sandbox_prepare(void)
{
	int res = set_limits();

	if (res < 0)
		return res;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return keep_nice();
}

/* Memory is never executable, and no memory becomes so. */
static int allow_mapping(scmp_filter_ctx filter)
{
	int res = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (res < 0)
		return res;
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/*
 * What concerns the descriptor alone. With F_SETOWN, F_SETSIG and O_ASYNC the kernel would send any
 * signal to any process of the same user, at a packet of the other end.
 */
static int allow_fcntl(scmp_filter_ctx filter)
{
	static const int commands[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,    F_SETFD,
				       F_GETFL, F_ADD_SEALS,     F_GET_SEALS};
	int res = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 2,
				   SCMP_A1_32(SCMP_CMP_EQ, F_SETFL),
				   SCMP_A2_32(SCMP_CMP_MASKED_EQ, O_ASYNC, 0));

	for (size_t i = 0; res == 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
		res = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				       SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)commands[i]));
	return res;
}

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int res = 0;

	for (size_t i = 0; res == 0 && i < count; i++)
		res = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return res;
}

static int add_rules(scmp_filter_ctx filter)
{
	int res = allow_mapping(filter);

	if (res == 0)
		res = allow_fcntl(filter);
	if (res == 0)
		res = allow_all(filter, needed, sizeof(needed) / sizeof(needed[0]));
	if (res == 0)
		res = allow_all(filter, harmless, sizeof(harmless) / sizeof(harmless[0]));
	for (size_t i = 0; res == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		res = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)refused[i].error),
				       refused[i].call, 0);
	return res;
}

int sandbox_close(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int res;

	if (!filter)
		return -ENOMEM;
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* The real-time thread runs already: the filter is for it as well, or for nobody. */
	res = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (res == 0)
		res = add_rules(filter);
	if (res == 0)
		res = seccomp_load(filter);
	seccomp_release(filter);
	return res;
}
