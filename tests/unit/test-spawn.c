/* SPDX-License-Identifier: MIT */
/*
 * What a worker is started with, and as whom; and as whom PipeWire's socket is connected to. The
 * program is its own worker: with --worker it tells what it finds. Half of it needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xaring/log.h>

#include "remote.h"
#include "spawn.h"

#define STRANGER    65534
#define WORKER_FD   3
#define DEADLINE_MS 10000

/* ---- the worker ---- */

struct finding {
	uid_t uid, euid, saved_uid;
	gid_t gid;
	int groups;
	int fds; /* bits of those that are open */
	int no_new_privs;
	int death_signal;
	int blocked; /* whether SIGTERM is */
	rlim_t core;
	rlim_t real_time;
	char verbose[16];
	char config[128];
	char home[128];
	char config_home[128];
	char runtime[128];
	char notify[16];
};

static void copy(char *to, size_t bytes, const char *from)
{
	snprintf(to, bytes, "%s", from ? from : "");
}

static int open_fds(void)
{
	int bits = 0;

	for (int fd = 0; fd < 31; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			bits |= 1 << fd;
	}
	return bits;
}

static int be_worker(int argc, char **argv)
{
	struct finding f = {.fds = open_fds()};
	struct rlimit limit;
	sigset_t mask;
	uid_t euid;
	char byte;

	getresuid(&f.uid, &euid, &f.saved_uid);
	f.euid = euid;
	f.gid = getgid();
	f.groups = getgroups(0, NULL);
	f.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	prctl(PR_GET_PDEATHSIG, &f.death_signal);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	f.blocked = sigismember(&mask, SIGTERM);
	getrlimit(RLIMIT_CORE, &limit);
	f.core = limit.rlim_max;
	getrlimit(RLIMIT_RTPRIO, &limit);
	f.real_time = limit.rlim_cur;
	copy(f.verbose, sizeof(f.verbose), argc > 2 ? argv[2] : "");
	copy(f.config, sizeof(f.config), getenv("PIPEWIRE_CONFIG_DIR"));
	copy(f.home, sizeof(f.home), getenv("HOME"));
	copy(f.config_home, sizeof(f.config_home), getenv("XDG_CONFIG_HOME"));
	copy(f.runtime, sizeof(f.runtime), getenv("XDG_RUNTIME_DIR"));
	copy(f.notify, sizeof(f.notify), getenv("NOTIFY_SOCKET"));
	if (send(WORKER_FD, &f, sizeof(f), 0) != sizeof(f))
		return 1;
	/* Until the other end hangs up. */
	fcntl(WORKER_FD, F_SETFL, 0);
	return recv(WORKER_FD, &byte, 1, 0) == 0 ? 0 : 1;
}

/* ---- the test ---- */

static char folder[64];
static char path[96];
static struct audience audience; /* at first the socket of path, whosever it is */

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/xaring-spawn.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/pipewire-0", folder);
	audience = (struct audience){0};
	snprintf(audience.socket, sizeof(audience.socket), "%s", path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void give_folder_away(void)
{
	assert_int_equal(chown(folder, STRANGER, STRANGER), 0);
}

static struct finding find(struct spawn *spawn)
{
	struct supervisor_child child;
	struct pollfd p = {.events = POLLIN};
	struct finding f;
	int status;

	assert_int_equal(spawn_worker(spawn, &child), 0);
	p.fd = child.fd;
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(recv(child.fd, &f, sizeof(f), 0), sizeof(f));
	close(child.fd);
	p.fd = child.pidfd;
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	assert_int_equal(status, 0);
	close(child.pidfd);
	return f;
}

static void worker_has_its_socket_and_nothing_else(void **state)
{
	struct spawn spawn = {.audience = &audience, .config = "/etc/somewhere", .verbose = true};
	int leak = fcntl(STDIN_FILENO, F_DUPFD, 20);
	struct finding f;
	sigset_t mask, before;

	(void)state;
	assert_true(leak >= 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, &before);
	setenv("NOTIFY_SOCKET", "/run/n", 1);
	f = find(&spawn);
	sigprocmask(SIG_SETMASK, &before, NULL);
	unsetenv("NOTIFY_SOCKET");
	close(leak);
	assert_int_equal(f.fds & ~0xf, 0);
	assert_int_equal(f.fds & 1 << WORKER_FD, 1 << WORKER_FD);
	assert_int_equal(f.no_new_privs, 1);
	assert_int_equal(f.death_signal, SIGUSR1);
	assert_int_equal(f.blocked, 0);
	assert_int_equal(f.core, 0);
	assert_string_equal(f.verbose, "--verbose");
	assert_string_equal(f.config, "/etc/somewhere");
	assert_string_equal(f.notify, "");
	assert_int_equal(f.uid, getuid());
}

static void worker_without_options_has_none(void **state)
{
	struct spawn spawn = {.audience = &audience};
	struct finding f = find(&spawn);

	(void)state;
	assert_string_equal(f.verbose, "");
	assert_string_equal(f.config, "");
}

/* A root without CAP_SYS_RESOURCE cannot give what it does not have. */
static rlim_t real_time_to_give(void)
{
	struct rlimit limit = {88, 88};

	if (setrlimit(RLIMIT_RTPRIO, &limit) < 0) {
		getrlimit(RLIMIT_RTPRIO, &limit);
		return limit.rlim_cur;
	}
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_RTPRIO, &limit);
	return limit.rlim_max;
}

/* Whom the packages have made for that, or nobody where they are not installed. */
static uid_t own_account(void)
{
	const struct passwd *account = getpwnam("xaring");

	return account ? account->pw_uid : STRANGER;
}

static void worker_of_root_has_an_account_of_its_own(void **state)
{
	struct spawn spawn = {.audience = &audience};
	rlim_t real_time = real_time_to_give();
	struct finding f;

	(void)state;
	give_folder_away();
	setenv("XDG_CONFIG_HOME", folder, 1);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	f = find(&spawn);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(f.uid, own_account());
	assert_int_equal(f.euid, own_account());
	assert_int_equal(f.saved_uid, own_account());
	assert_int_not_equal(f.gid, 0);
	assert_int_equal(f.groups, 0);
	assert_int_equal(f.death_signal, SIGUSR1);
	assert_int_equal(f.no_new_privs, 1);
	assert_int_equal(f.real_time, real_time);
	assert_string_equal(f.home, "/");
	assert_string_equal(f.config_home, "");
	assert_string_equal(f.runtime, "");
	assert_int_equal(geteuid(), 0);
}

static void worker_for_roots_own_sound_server_is_root(void **state)
{
	struct spawn spawn = {.audience = &audience};

	(void)state;
	assert_int_equal(find(&spawn).uid, 0);
	assert_int_equal(spawn_connect(&spawn), -ENOENT);
	give_folder_away();
	assert_int_equal(spawn_connect(&spawn), -ESTALE);
}

static void worker_of_root_has_it_while_nobody_is_there(void **state)
{
	struct spawn spawn = {.audience = &audience};

	(void)state;
	snprintf(audience.socket, sizeof(audience.socket), "/nowhere/at/all/pipewire-0");
	assert_int_equal(find(&spawn).uid, own_account());
	audience.socket[0] = '\0';
	assert_int_equal(find(&spawn).uid, own_account());
	assert_int_equal(spawn_connect(&spawn), -ENXIO);
}

static int listen_here(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static socklen_t peer_groups; /* bytes */

/* Connects as the broker does, and tells whom the sound server sees. */
static uid_t connect_and_look(int listener)
{
	struct ucred cred = {0};
	socklen_t length = sizeof(cred);
	gid_t groups[64];
	int fd = remote_connect(path);
	int peer;

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &cred, &length), 0);
	peer_groups = sizeof(groups);
	assert_int_equal(getsockopt(peer, SOL_SOCKET, SO_PEERGROUPS, groups, &peer_groups), 0);
	close(peer);
	close(fd);
	return cred.uid;
}

static void connection_is_ours(void **state)
{
	int listener = listen_here();

	(void)state;
	assert_int_equal(connect_and_look(listener), geteuid());
	close(listener);
}

static void connection_of_root_is_made_as_the_owner(void **state)
{
	const gid_t further[] = {1, 2};
	int listener = listen_here();

	(void)state;
	assert_int_equal(setgroups(2, further), 0);
	give_folder_away();
	assert_int_equal(connect_and_look(listener), STRANGER);
	assert_int_equal(peer_groups, 0);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	close(listener);
}

static int connected, strange;

static void *look_who_we_are(void *data)
{
	while (!__atomic_load_n(&connected, __ATOMIC_RELAXED))
		strange += geteuid() != 0;
	return data;
}

/* The broker has a thread for xenstore, which connects as root whenever it has to. */
static void other_threads_of_root_stay_root(void **state)
{
	int listener = listen_here();
	pthread_t other;

	(void)state;
	give_folder_away();
	assert_int_equal(pthread_create(&other, NULL, look_who_we_are, NULL), 0);
	for (int i = 0; i < 500; i++)
		connect_and_look(listener);
	__atomic_store_n(&connected, 1, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	assert_int_equal(strange, 0);
	close(listener);
}

static void missing_sound_server_is_an_error(void **state)
{
	char long_path[300];

	(void)state;
	assert_int_equal(remote_connect(path), -ENOENT);
	close(listen_here());
	assert_int_equal(remote_connect(path), -ECONNREFUSED);
	memset(long_path, 'a', sizeof(long_path));
	memcpy(long_path, "/tmp/", 5);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(remote_connect(long_path), -ENAMETOOLONG);
}

static void what_is_no_socket_is_not_opened(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0666), 0);
	assert_int_equal(remote_connect(path), -ENOTSOCK);
}

/*
 * What a user puts in the place of the sound server is not reached with root's rights; and a link of his
 * to nothing at all, for it may lead into a file system that lets us wait.
 */
static void sockets_of_root_are_not_reached_for_a_user(void **state)
{
	char hidden[64], target[96];
	int listener;

	(void)state;
	snprintf(hidden, sizeof(hidden), "/tmp/xaring-hidden.XXXXXX");
	assert_non_null(mkdtemp(hidden));
	listener = listen_here();
	snprintf(target, sizeof(target), "%s/private", hidden);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(connect_and_look(listener), 0);
	give_folder_away();
	assert_int_equal(remote_connect(path), -ENOTSOCK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(link(target, path), 0);
	assert_int_equal(connect_and_look(listener), STRANGER);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(remote_connect(path), -EACCES);
	close(listener);
	unlink(target);
	rmdir(hidden);
}

/* Logged in or not: the folder may come later, and then the connection is made. */
static void user_may_come_later_than_the_worker(void **state)
{
	struct spawn spawn = {.audience = &audience};
	char later[96];

	(void)state;
	audience.is_user = true;
	audience.uid = STRANGER - 1;
	snprintf(later, sizeof(later), "%s.later", folder);
	assert_int_equal(rename(folder, later), 0);
	assert_int_equal(find(&spawn).uid, own_account());
	assert_int_equal(spawn_connect(&spawn), -ENOENT);
	assert_int_equal(rename(later, folder), 0);
	assert_int_equal(chown(folder, STRANGER - 1, STRANGER - 1), 0);
	assert_int_equal(spawn_connect(&spawn), -ENOENT);
	close(listen_here());
	assert_int_equal(spawn_connect(&spawn), -ECONNREFUSED);
}

static void worker_of_another_audience_is_stale(void **state)
{
	struct spawn spawn = {.audience = &audience, .uid = STRANGER};

	(void)state;
	audience.is_user = true;
	audience.uid = STRANGER - 1;
	assert_int_equal(spawn_connect(&spawn), -ESTALE);
}

static unsigned refusals;

static void count_refusal(enum xaring_log_level level, const char *text)
{
	refusals += level == XARING_LOG_WARN && strstr(text, " is refused: ");
}

/* Of somebody else, of root, or somebody else's behind a link: told once, reached never. */
static void folder_of_somebody_else_is_not_the_users(void **state)
{
	struct spawn spawn = {.audience = &audience, .uid = STRANGER};
	int listener = listen_here();
	char real[96];
	int fd;

	(void)state;
	xaring_log_set(count_refusal, XARING_LOG_DEBUG);
	audience.is_user = true;
	audience.uid = STRANGER;
	assert_int_equal(spawn_connect(&spawn), -EPERM);
	assert_int_equal(chown(folder, STRANGER - 1, STRANGER), 0);
	assert_int_equal(spawn_connect(&spawn), -EPERM);
	give_folder_away();
	snprintf(real, sizeof(real), "%s.real", folder);
	assert_int_equal(rename(folder, real), 0);
	assert_int_equal(symlink(real, folder), 0);
	assert_int_equal(lchown(folder, STRANGER, STRANGER), 0);
	assert_int_equal(spawn_connect(&spawn), -EPERM);
	assert_int_equal(refusals, 1);
	xaring_log_set(NULL, XARING_LOG_ERROR);

	assert_int_equal(unlink(folder), 0);
	assert_int_equal(rename(real, folder), 0);
	fd = spawn_connect(&spawn);
	assert_true(fd >= 0);
	close(fd);
	close(listener);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(worker_has_its_socket_and_nothing_else),
		TEST(worker_without_options_has_none),
		TEST(connection_is_ours),
		TEST(missing_sound_server_is_an_error),
		TEST(what_is_no_socket_is_not_opened),
	};
	const struct CMUnitTest root_tests[] = {
		TEST(worker_of_root_has_an_account_of_its_own),
		TEST(worker_for_roots_own_sound_server_is_root),
		TEST(worker_of_root_has_it_while_nobody_is_there),
		TEST(connection_of_root_is_made_as_the_owner),
		TEST(other_threads_of_root_stay_root),
		TEST(sockets_of_root_are_not_reached_for_a_user),
		TEST(user_may_come_later_than_the_worker),
		TEST(worker_of_another_audience_is_stale),
		TEST(folder_of_somebody_else_is_not_the_users),
	};
	int failed;

	if (argc > 1 && strcmp(argv[1], "--worker") == 0)
		return be_worker(argc, argv);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (geteuid() == 0)
		failed += cmocka_run_group_tests(root_tests, NULL, NULL);
	return failed;
}
