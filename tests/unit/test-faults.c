/* SPDX-License-Identifier: MIT */
/*
 * Every system call and allocation of the library fails once: the call that made it says so or does
 * without, and leaves neither a descriptor nor a mapping behind. The linker puts the functions
 * below in the place of libc's (meson.build, --wrap), under both of their names.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/client.h>
#include <xaring/pages.h>
#include <xaring/server.h>

#include "descriptors.h"
#include "local-server.h"
#include "loop.h"

/* The call that is to fail, counted down; 0: none. */
static uint32_t countdown;
static bool fired;

static bool fails(int error)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	fired = true;
	errno = error;
	return true;
}

#define WRAPPED(type, name, params, args, error, failure)             \
	type __real_##name params;                                    \
	type __wrap_##name params;                                    \
	type __wrap_##name params                                     \
	{                                                             \
		return fails(error) ? (failure) : __real_##name args; \
	}

/* Those with two names, for files of any size. */
#define WRAPPED_64(type, name, params, args, error, failure) \
	WRAPPED(type, name, params, args, error, failure)    \
	WRAPPED(type, name##64, params, args, error, failure)

#define WRAPPED_VARIADIC(name, first, second)                               \
	int __real_##name(first, second, ...);                              \
	int __wrap_##name(first one, second two, ...);                      \
	int __wrap_##name(first one, second two, ...)                       \
	{                                                                   \
		va_list list;                                               \
		int three;                                                  \
		va_start(list, two);                                        \
		three = va_arg(list, int);                                  \
		va_end(list);                                               \
		return fails(EMFILE) ? -1 : __real_##name(one, two, three); \
	}

WRAPPED(void *, calloc, (size_t count, size_t size), (count, size), ENOMEM, NULL)
WRAPPED(int, memfd_create, (const char *name, unsigned flags), (name, flags), EMFILE, -1)
WRAPPED(int, fchmod, (int fd, mode_t mode), (fd, mode), EPERM, -1)
WRAPPED(int, chmod, (const char *path, mode_t mode), (path, mode), EPERM, -1)
WRAPPED(int, madvise, (void *at, size_t bytes, int advice), (at, bytes, advice), EINVAL, -1)
WRAPPED(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, -1)
WRAPPED(int, bind, (int fd, const struct sockaddr *to, socklen_t bytes), (fd, to, bytes), EACCES,
	-1)
WRAPPED(int, connect, (int fd, const struct sockaddr *to, socklen_t bytes), (fd, to, bytes), EACCES,
	-1)
WRAPPED(int, listen, (int fd, int backlog), (fd, backlog), EACCES, -1)
WRAPPED(int, accept4, (int fd, struct sockaddr *from, socklen_t *bytes, int flags),
	(fd, from, bytes, flags), EMFILE, -1)
WRAPPED(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *bytes),
	(fd, level, option, value, bytes), EINVAL, -1)
WRAPPED(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags), ENOBUFS,
	-1)
WRAPPED(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags), ENOBUFS, -1)
WRAPPED(int, epoll_create1, (int flags), (flags), EMFILE, -1)
WRAPPED(int, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event),
	(epoll, what, fd, event), ENOSPC, -1)
WRAPPED(int, epoll_wait, (int epoll, struct epoll_event *events, int count, int timeout_ms),
	(epoll, events, count, timeout_ms), EBADF, -1)
WRAPPED(int, timerfd_create, (int clock, int flags), (clock, flags), EMFILE, -1)
WRAPPED(int, timerfd_settime,
	(int fd, int flags, const struct itimerspec *spec, struct itimerspec *old),
	(fd, flags, spec, old), EINVAL, -1)
WRAPPED(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), EMFILE, -1)
WRAPPED(ssize_t, getrandom, (void *to, size_t bytes, unsigned flags), (to, bytes, flags), EAGAIN,
	-1)
WRAPPED_64(void *, mmap, (void *at, size_t bytes, int prot, int flags, int fd, off_t offset),
	   (at, bytes, prot, flags, fd, offset), ENOMEM, MAP_FAILED)
WRAPPED_64(int, ftruncate, (int fd, off_t bytes), (fd, bytes), ENOSPC, -1)
WRAPPED_64(int, fstat, (int fd, struct stat *st), (fd, st), EIO, -1)
WRAPPED_64(int, lstat, (const char *path, struct stat *st), (path, st), EIO, -1)
WRAPPED_VARIADIC(open, const char *, int)
WRAPPED_VARIADIC(open64, const char *, int)
WRAPPED_VARIADIC(fcntl, int, int)
WRAPPED_VARIADIC(fcntl64, int, int)

static uint32_t mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint32_t count = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, "/memfd:xaring") != NULL;
	assert_int_equal(fclose(maps), 0);
	return count;
}

static const struct xaring_params stereo = {.direction = XARING_PLAYBACK,
					    .format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = 4096,
					    .period = 1024};

static struct xaring_shape shape;
static struct local_server server;

/*
 * Runs step with its first call failing, then its second, until none is left to fail. step ends with
 * everything given back, and returns what the tested call said.
 */
static void fail_each(int (*step)(void), bool must_tell)
{
	uint32_t descriptors = open_descriptors(), maps = mappings();

	assert_int_equal(step(), 0); /* whatever is made once is made */
	for (uint32_t n = 1;; n++) {
		int res;

		fired = false;
		countdown = n;
		res = step();
		countdown = 0;
		if (!fired) {
			assert_int_equal(res, 0);
			assert_true(n > 1);
			break;
		}
		if (must_tell)
			assert_true(res < 0);
		assert_int_equal(open_descriptors(), descriptors);
		assert_int_equal(mappings(), maps);
	}
}

static int step_memfd_stream(void)
{
	int control, data, data_read;
	int res = xaring_memfd_stream(&shape, &control, &data, &data_read);

	if (res < 0)
		return res;
	close(control);
	close(data);
	close(data_read);
	return 0;
}

static int step_memfd_status(void)
{
	int write_fd, read_fd;
	int res = xaring_memfd_status(&write_fd, &read_fd);

	if (res < 0)
		return res;
	close(write_fd);
	close(read_fd);
	return 0;
}

static int step_void(void)
{
	struct xaring_pages pages;
	int res = xaring_pages_void(&pages, &shape);

	if (res == 0)
		xaring_pages_unmap(&pages);
	return res;
}

static int step_map(void)
{
	uint32_t saved = countdown;
	struct xaring_pages pages;
	int control, data, data_read, res;

	countdown = 0;
	assert_int_equal(xaring_memfd_stream(&shape, &control, &data, &data_read), 0);
	countdown = saved;
	res = xaring_pages_map(&pages, &shape, control, 0, data, 0, true);
	if (res == 0)
		xaring_pages_unmap(&pages);
	close(control);
	close(data);
	close(data_read);
	return res;
}

static void pages_fail_cleanly(void **state)
{
	(void)state;
	fail_each(step_memfd_stream, true);
	fail_each(step_memfd_status, true);
	fail_each(step_void, true);
	fail_each(step_map, true);
}

static int step_listen(void)
{
	struct xaring_listener *listener;
	char path[80];
	int res;

	snprintf(path, sizeof(path), "%s/other", server.folder);
	res = xaring_listener_open(path, 0600, &listener);
	if (res < 0) {
		/* Gone, unless it is not known that it is ours. */
		assert_int_equal(access(path, F_OK), -1);
		return res;
	}
	countdown = 0;
	xaring_listener_close(listener);
	return 0;
}

/* With a socket that a server has left behind. */
static int step_listen_again(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct xaring_listener *listener;
	uint32_t saved = countdown;
	int fd, res;

	countdown = 0;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/other", server.folder);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (access(address.sun_path, F_OK) < 0)
		assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	countdown = saved;
	res = xaring_listener_open(address.sun_path, 0600, &listener);
	if (res < 0)
		return res;
	countdown = 0;
	xaring_listener_close(listener);
	return 0;
}

static int knock(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, server.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int step_accept(void)
{
	uint32_t saved = countdown;
	struct xaring_peer peer;
	int client, fd;

	countdown = 0;
	client = knock();
	countdown = saved;
	fd = xaring_listener_accept(server.listener, &peer);
	countdown = 0;
	close(client);
	while (local_server_has_client(&server))
		;
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int step_adopt(void)
{
	uint32_t saved = countdown;
	struct xaring_listener *listener;
	int fd, res;

	countdown = 0;
	fd = dup(xaring_listener_fd(server.listener));
	countdown = saved;
	res = xaring_listener_adopt(fd, &listener);
	countdown = 0;
	if (res < 0)
		close(fd);
	else
		xaring_listener_close(listener);
	return res;
}

static void listeners_fail_cleanly(void **state)
{
	char path[80];

	(void)state;
	fail_each(step_listen, true);
	fail_each(step_listen_again, true);
	snprintf(path, sizeof(path), "%s/other", server.folder);
	unlink(path);
	fail_each(step_accept, true);
	fail_each(step_adopt, true);
}

static int step_create(void)
{
	struct xaring_client *c;
	int res = xaring_client_create(server.path, "a test", &c);

	if (res == 0)
		xaring_client_close(c);
	return res;
}

/* Setup, pages, start, new pages, the end: it may say no at first, and never stops later. */
static int step_stream(void)
{
	struct xaring_client_state state;
	struct local_link link = {.fd = -1};
	struct xaring_refusal refusal;
	uint32_t saved = countdown, frame = 1, last = 0;
	struct xaring_client *c;
	uint64_t now = 1000000000;
	int res;

	countdown = 0;
	assert_int_equal(xaring_client_create(server.path, "a test", &c), 0);
	countdown = saved;
	res = xaring_client_setup(c, &stereo, 0, &refusal);
	if (res < 0)
		goto out;
	for (uint32_t i = 0; i < 160; i++) {
		/* In the second half it finds back. */
		saved = i < 80 ? countdown : 0;
		countdown = 0;
		if (link.fd < 0 && local_server_waits(&server)) {
			link.fd = xaring_listener_accept(server.listener, &link.peer);
			local_link_try(&server, &link);
		} else if (link.fd >= 0 && local_link_kick(&link) < 0) {
			local_link_drop(&link);
		} else if (link.fd >= 0 && i == 50) {
			local_link_give(&server, &link, XARING_MESSAGE_RELINK);
		}
		countdown = saved;
		xaring_client_write(c, i, &frame, 1);
		xaring_client_publish(c, i + 1);
		if (i == 20)
			xaring_client_start(c, now, 0);
		xaring_client_update(c, now, &state);
		xaring_client_arm(c, xaring_client_when(c, now, i + 10));
		assert_true((int32_t)(state.pos - last) >= 0);
		last = state.pos;
		now += i < 80 ? 20000000 : 100000000;
	}
	countdown = 0;
	assert_true(last > 120);
	assert_true(state.linked);
out:
	countdown = 0;
	xaring_client_close(c);
	local_link_drop(&link);
	while (local_server_has_client(&server))
		;
	return res;
}

static void streams_go_on(void **state)
{
	(void)state;
	fail_each(step_create, false); /* only the random number may be missing */
	fail_each(step_stream, false);
}

static void on_ready(void *data, uint32_t events)
{
	(void)events;
	loop_quit(data, 0);
}

static void on_timer(void *data)
{
	loop_quit(data, 0);
}

static void on_signal(void *data, int signal)
{
	(void)signal;
	loop_quit(data, 0);
}

static int step_loop(void)
{
	struct loop_source *source;
	struct loop *loop;
	int fd, res;

	res = loop_create(&loop);
	if (res < 0)
		return res;
	fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	res = loop_add_timer(loop, on_timer, loop, &source);
	if (res == 0)
		res = loop_add_signal(loop, SIGUSR2, on_signal, loop, &source);
	if (res == 0)
		res = loop_add_io(loop, fd, EPOLLIN, on_ready, loop, &source);
	if (res == 0)
		res = loop_run(loop);
	countdown = 0;
	loop_destroy(loop);
	close(fd);
	return res;
}

static void loops_fail_cleanly(void **state)
{
	(void)state;
	fail_each(step_loop, true);
}

static int server_make(void **state)
{
	struct xaring_refusal refusal;

	(void)state;
	local_server_open(&server, true);
	return xaring_params_shape(&stereo, &shape, &refusal);
}

static int server_remove(void **state)
{
	(void)state;
	local_server_close(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_fail_cleanly),
		cmocka_unit_test(listeners_fail_cleanly),
		cmocka_unit_test(streams_go_on),
		cmocka_unit_test(loops_fail_cleanly),
	};

	return cmocka_run_group_tests_name("faults", tests, server_make, server_remove);
}
