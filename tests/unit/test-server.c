/* SPDX-License-Identifier: MIT */
/* Listening, accepting, answering; who may take whose socket away. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/server.h>

#include "descriptors.h"

struct place {
	char folder[32];
	char path[64];
	uint32_t descriptors;
};

static int place_make(void **state)
{
	static struct place p;

	p.descriptors = open_descriptors();
	strcpy(p.folder, "/tmp/xaring-test-XXXXXX");
	assert_non_null(mkdtemp(p.folder));
	snprintf(p.path, sizeof(p.path), "%s/socket", p.folder);
	*state = &p;
	return 0;
}

static int place_remove(void **state)
{
	struct place *p = *state;

	assert_int_equal(rmdir(p->folder), 0); /* so nothing is left in it */
	assert_int_equal(open_descriptors(), p->descriptors);
	return 0;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, path);
	return address;
}

static int client_connect(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -errno;
	}
	return fd;
}

static int bind_socket(const char *path, int type, bool listens)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listens)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void a_client_is_accepted_with_its_credentials(void **state)
{
	struct place *p = *state;
	struct xaring_listener *listener;
	struct xaring_peer peer;
	struct stat st;
	int client, fd;

	assert_int_equal(xaring_listener_open(p->path, 0640, &listener), 0);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(xaring_listener_accept(listener, &peer), -EAGAIN);
	client = client_connect(p->path);
	assert_true(client >= 0);
	fd = xaring_listener_accept(listener, &peer);
	assert_true(fd >= 0);
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.gid, getegid());
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(xaring_listener_fd(listener), F_GETFD), FD_CLOEXEC);
	close(fd);
	close(client);
	xaring_listener_close(listener);
	xaring_listener_close(NULL);
}

static void the_mode_does_not_depend_on_the_umask(void **state)
{
	struct place *p = *state;
	struct xaring_listener *listener;
	mode_t mask = umask(0777);
	struct stat st;

	assert_int_equal(xaring_listener_open(p->path, 0666, &listener), 0);
	umask(mask);
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	xaring_listener_close(listener);
}

static void a_socket_that_is_served_stays(void **state)
{
	struct place *p = *state;
	struct xaring_listener *listener, *second;
	int fd;

	assert_int_equal(xaring_listener_open(p->path, 0600, &listener), 0);
	assert_int_equal(xaring_listener_open(p->path, 0600, &second), -EADDRINUSE);
	fd = client_connect(p->path);
	assert_true(fd >= 0);
	close(fd);
	xaring_listener_close(listener);

	fd = bind_socket(p->path, SOCK_STREAM, true);
	assert_int_equal(xaring_listener_open(p->path, 0600, &second), -EADDRINUSE);
	close(fd);
	unlink(p->path);
}

static void a_full_listener_is_one_that_serves(void **state)
{
	struct place *p = *state;
	int fd = bind_socket(p->path, SOCK_SEQPACKET, true);
	struct xaring_listener *listener;
	int clients[8], count = 0;

	while (count < 8 && (clients[count] = client_connect(p->path)) >= 0)
		count++;
	assert_true(count < 8);
	assert_int_equal(xaring_listener_open(p->path, 0600, &listener), -EADDRINUSE);
	while (count > 0)
		close(clients[--count]);
	close(fd);
	unlink(p->path);
}

static void a_socket_left_over_is_replaced(void **state)
{
	struct place *p = *state;
	struct xaring_listener *listener;
	int fd;

	close(bind_socket(p->path, SOCK_SEQPACKET, true));
	assert_int_equal(access(p->path, F_OK), 0);
	assert_int_equal(xaring_listener_open(p->path, 0600, &listener), 0);
	fd = client_connect(p->path);
	assert_true(fd >= 0);
	close(fd);
	xaring_listener_close(listener);
	assert_int_equal(access(p->path, F_OK), -1);
}

static void anything_else_is_not_replaced(void **state)
{
	struct place *p = *state;
	struct xaring_listener *listener;
	int fd = open(p->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(xaring_listener_open(p->path, 0600, &listener), -EEXIST);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(symlink("/tmp", p->path), 0);
	assert_int_equal(xaring_listener_open(p->path, 0600, &listener), -EEXIST);
	assert_int_equal(unlink(p->path), 0);
}

static void a_path_must_fit(void **state)
{
	struct place *p = *state;
	struct xaring_listener *listener;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	assert_int_equal(xaring_listener_open(path, 0600, &listener), -EINVAL);
	assert_int_equal(xaring_listener_open("", 0600, &listener), -EINVAL);
	snprintf(path, sizeof(path), "%s/missing/socket", p->folder);
	assert_int_equal(xaring_listener_open(path, 0600, &listener), -ENOENT);
	snprintf(path, sizeof(path), "%s/socket/socket", "/etc/passwd");
	assert_int_equal(xaring_listener_open(path, 0600, &listener), -ENOTDIR);
}

/* A server that ends late does not take its successor's socket with it. */
static void only_the_own_socket_is_removed(void **state)
{
	struct place *p = *state;
	struct xaring_listener *old, *new;

	assert_int_equal(xaring_listener_open(p->path, 0600, &old), 0);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(xaring_listener_open(p->path, 0600, &new), 0);
	xaring_listener_close(old);
	assert_int_equal(access(p->path, F_OK), 0);
	xaring_listener_close(new);
	assert_int_equal(access(p->path, F_OK), -1);
}

static void a_listening_socket_is_adopted(void **state)
{
	struct place *p = *state;
	int listening = bind_socket(p->path, SOCK_SEQPACKET, true);
	struct xaring_listener *listener;
	struct xaring_peer peer;
	int client, fd;

	assert_int_equal(fcntl(listening, F_SETFD, 0), 0);
	assert_int_equal(xaring_listener_adopt(listening, &listener), 0);
	assert_int_equal(xaring_listener_fd(listener), listening);
	assert_int_equal(fcntl(listening, F_GETFD), FD_CLOEXEC);
	assert_int_equal(xaring_listener_accept(listener, &peer), -EAGAIN);
	client = client_connect(p->path);
	fd = xaring_listener_accept(listener, &peer);
	assert_true(fd >= 0);
	close(fd);
	close(client);
	xaring_listener_close(listener);
	assert_int_equal(unlink(p->path), 0); /* it was left where it is */
}

static void other_descriptors_are_not_adopted(void **state)
{
	struct place *p = *state;
	struct xaring_listener *listener;
	int fd = bind_socket(p->path, SOCK_SEQPACKET, false);

	assert_int_equal(xaring_listener_adopt(fd, &listener), -EINVAL);
	close(fd);
	unlink(p->path);
	fd = bind_socket(p->path, SOCK_STREAM, true);
	assert_int_equal(xaring_listener_adopt(fd, &listener), -EINVAL);
	close(fd);
	unlink(p->path);
	assert_int_equal(xaring_listener_adopt(-1, &listener), -EINVAL);
}

static void a_refusal_arrives(void **state)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_STREAMS,
					 .value = 9,
					 .min = 0,
					 .max = 8};
	struct xaring_message message;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(xaring_server_send_refusal(fds[0], &refusal), 0);
	assert_int_equal(xaring_wire_receive(fds[1], &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_REFUSE);
	assert_memory_equal(&message.u.refusal, &refusal, sizeof(refusal));
	close(fds[0]);
	assert_int_equal(xaring_server_send_refusal(fds[1], &refusal), -ENODEV);
	close(fds[1]);
}

static void a_keep_arrives(void **state)
{
	struct xaring_message message;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(xaring_server_send_keep(fds[0], 5, fds[0]), 0);
	assert_int_equal(xaring_wire_receive(fds[1], &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_KEEP);
	assert_true(message.u.keep_epoch == 5);
	assert_true(message.fds[0] >= 0);
	xaring_message_finish(&message);
	close(fds[0]);
	assert_int_equal(xaring_server_send_keep(fds[1], 5, fds[1]), -ENODEV);
	close(fds[1]);
}

static void versions_meet(void **state)
{
	struct xaring_open open = {.version_min = 1, .version = 1, .features = ~0u};
	uint32_t version = 0, features = 0;
	struct xaring_refusal refusal;

	(void)state;
	assert_int_equal(xaring_server_agree(&open, &version, &features, &refusal), 0);
	assert_int_equal(version, 1);
	assert_int_equal(features, XARING_FEATURE_SAME_CLOCK);
	open.version = 9;
	assert_int_equal(xaring_server_agree(&open, &version, &features, &refusal), 0);
	assert_int_equal(version, XARING_PROTOCOL_VERSION);
	open.version_min = XARING_PROTOCOL_VERSION + 1;
	assert_int_equal(xaring_server_agree(&open, &version, &features, &refusal), -ENOTSUP);
	assert_int_equal(refusal.reason, XARING_REASON_VERSION);
	assert_int_equal(refusal.value, 9);
	assert_int_equal(refusal.max, XARING_PROTOCOL_VERSION);
	open.version_min = 0;
	open.version = XARING_PROTOCOL_VERSION_MIN - 1;
	assert_int_equal(xaring_server_agree(&open, &version, &features, &refusal), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_client_is_accepted_with_its_credentials,
						place_make, place_remove),
		cmocka_unit_test_setup_teardown(the_mode_does_not_depend_on_the_umask, place_make,
						place_remove),
		cmocka_unit_test_setup_teardown(a_socket_that_is_served_stays, place_make,
						place_remove),
		cmocka_unit_test_setup_teardown(a_full_listener_is_one_that_serves, place_make,
						place_remove),
		cmocka_unit_test_setup_teardown(a_socket_left_over_is_replaced, place_make,
						place_remove),
		cmocka_unit_test_setup_teardown(anything_else_is_not_replaced, place_make,
						place_remove),
		cmocka_unit_test_setup_teardown(a_path_must_fit, place_make, place_remove),
		cmocka_unit_test_setup_teardown(only_the_own_socket_is_removed, place_make,
						place_remove),
		cmocka_unit_test_setup_teardown(a_listening_socket_is_adopted, place_make,
						place_remove),
		cmocka_unit_test_setup_teardown(other_descriptors_are_not_adopted, place_make,
						place_remove),
		cmocka_unit_test(a_refusal_arrives),
		cmocka_unit_test(a_keep_arrives),
		cmocka_unit_test(versions_meet),
	};

	return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
