/* SPDX-License-Identifier: MIT */
/*
 * Starts workers: the same program, re-executed so that nothing of the broker's memory is in them.
 * As root the worker becomes an account of its own, before it is executed: it has descriptors with which
 * pages of any guest can be mapped, so no user may be able to reach into it, nor have it load what is his.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xaring/log.h>

#include "../worker/worker.h"
#include "remote.h"

/* Made by the packages: no other program runs as it. */
#define OWN_ACCOUNT "xaring"

#define NOBODY_UID 65534
#define NOBODY_GID 65534

/* What PipeWire's module-rt asks for unless xaring-pw.conf says otherwise. */
#define REAL_TIME_PRIORITY 88

extern char **environ;

/* As whom a worker runs; uid 0 means: no change. */
struct worker_user {
	uid_t uid;
	gid_t gid;
};

/* To root's own sound server root may play; it has nothing to gain. */
static bool is_roots(const struct audience *audience)
{
	uid_t uid;

	if (audience->is_user)
		return audience->uid == 0;
	return audience->socket[0] && remote_owner(audience->socket, &uid) == 0 && uid == 0;
}

static void find_worker_user(const struct spawn *spawn, struct worker_user *id)
{
	const struct passwd *account;

	memset(id, 0, sizeof(*id));
	if (geteuid() != 0 || is_roots(spawn->audience))
		return;
	account = getpwnam(OWN_ACCOUNT);
	if (account && account->pw_uid != 0)
		*id = (struct worker_user){account->pw_uid, account->pw_gid};
	else
		*id = (struct worker_user){NOBODY_UID, NOBODY_GID};
}

static int become(const struct worker_user *id)
{
	if (id->uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(id->gid, id->gid, id->gid) < 0 ||
	    setresuid(id->uid, id->uid, id->uid) < 0)
		return -errno;
	/* Nothing may lead back. */
	return setuid(0) == 0 ? -EPERM : 0;
}

static void set_environment(const struct spawn *spawn, const struct worker_user *id)
{
	static const char *const users[] = {"XDG_CONFIG_HOME",
					    "XDG_STATE_HOME",
					    "XDG_CACHE_HOME",
					    "XDG_RUNTIME_DIR",
					    "USER",
					    "LOGNAME",
					    "DBUS_SESSION_BUS_ADDRESS"};

	unsetenv("NOTIFY_SOCKET");
	if (spawn->config)
		setenv("PIPEWIRE_CONFIG_DIR", spawn->config, 1);
	if (id->uid == 0)
		return;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		unsetenv(users[i]);
	/* No configuration but the system's. */
	setenv("HOME", "/", 1);
}

/* What guests play is not for files. */
static void forbid_core_files(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
}

/* Its account has no real-time priority of its own; root gives what the unit would. */
static void allow_real_time(void)
{
	const struct rlimit some = {REAL_TIME_PRIORITY, REAL_TIME_PRIORITY};

	if (geteuid() == 0)
		setrlimit(RLIMIT_RTPRIO, &some);
}

static int prepare_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* Only what the worker is to have stays open: its socket, and the three usual ones. */
static int prepare_descriptors(int fd)
{
	if (fd == WORKER_BROKER_FD) {
		if (fcntl(fd, F_SETFD, 0) < 0)
			return -errno;
	} else if (dup2(fd, WORKER_BROKER_FD) < 0) {
		return -errno;
	}
	return close_range(WORKER_BROKER_FD + 1, ~0u, 0) < 0 ? -errno : 0;
}

/* A worker without its broker ends: by its socket, and by this, should it be stuck. At once until it has a handler. */
static int tie_to_broker(pid_t broker)
{
	if (prctl(PR_SET_PDEATHSIG, WORKER_ALONE_SIGNAL) < 0)
		return -errno;
	return getppid() == broker ? 0 : -ESRCH;
}

static int prepare_child(const struct spawn *spawn, const struct worker_user *id, int fd,
			 pid_t broker)
{
	int res = prepare_signals();

	if (res == 0)
		res = prepare_descriptors(fd);
	allow_real_time();
	if (res == 0)
		res = become(id);
	/* After the change of the user, which takes it back. */
	if (res == 0)
		res = tie_to_broker(broker);
	if (res == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		res = -errno;
	forbid_core_files();
	set_environment(spawn, id);
	return res;
}

__attribute__((noreturn)) static void run_child(const struct spawn *spawn,
						const struct worker_user *id, int fd, pid_t broker)
{
	char name[] = "xaring-pw", worker[] = "--worker", verbose[] = "--verbose";
	char *const argv[] = {name, worker, spawn->verbose ? verbose : NULL, NULL};
	int res = prepare_child(spawn, id, fd, broker);

	if (res == 0) {
		execve("/proc/self/exe", argv, environ);
		res = -errno;
	}
	fprintf(stderr, "xaring-pw: the worker cannot be started: %s\n", strerror(-res));
	_exit(EXIT_FAILURE);
}

static int start_process(struct spawn *spawn, int fd, struct supervisor_child *child)
{
	struct worker_user id;
	pid_t broker = getpid();
	int res;

	find_worker_user(spawn, &id);
	child->pid = fork();
	if (child->pid < 0)
		return -errno;
	if (child->pid == 0)
		run_child(spawn, &id, fd, broker);
	spawn->uid = spawn->audience->uid;
	spawn->is_root = geteuid() == 0 && id.uid == 0;
	spawn->told_of_foreign = false;
	child->pidfd = pidfd_open(child->pid, 0);
	if (child->pidfd < 0) {
		res = -errno;
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
		return res;
	}
	if (id.uid != 0)
		xaring_log(XARING_LOG_INFO, "worker (pid %d) runs as uid %u", (int)child->pid,
			   (unsigned)id.uid);
	return 0;
}

int spawn_worker(void *data, struct supervisor_child *child)
{
	int pair[2];
	int res;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	res = start_process(data, pair[1], child);
	close(pair[1]);
	if (res < 0) {
		close(pair[0]);
		return res;
	}
	child->fd = pair[0];
	return 0;
}

static int connect_to_user(struct spawn *spawn)
{
	const struct audience *audience = spawn->audience;
	int fd;

	if (spawn->uid != audience->uid)
		return -ESTALE;
	fd = remote_connect_as(audience->socket, audience->uid);
	if (fd == -EPERM && !spawn->told_of_foreign) {
		spawn->told_of_foreign = true;
		xaring_log(XARING_LOG_WARN,
			   "%s is refused: a folder that belongs to uid %u itself is accepted",
			   audience->socket, (unsigned)audience->uid);
	}
	return fd;
}

int spawn_connect(struct spawn *spawn)
{
	const struct audience *audience = spawn->audience;

	if (!audience->socket[0])
		return -ENXIO;
	if (audience->is_user)
		return connect_to_user(spawn);
	if (spawn->is_root && !is_roots(audience))
		return -ESTALE;
	return remote_connect(audience->socket);
}
