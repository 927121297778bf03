/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a control connection, and who may: real credentials, as far as we may take others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/control-peer.h"

#define GROUP 54321
#define USER  54322

static const struct seat_state nobody = {SEAT_EMPTY, 0};

/* An abstract address: no file, and nobody else's. */
static struct sockaddr_un address(socklen_t *bytes)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	pid_t pid = getpid();

	memcpy(a.sun_path + 1, &pid, sizeof(pid));
	*bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof(pid));
	return a;
}

/* Connects as somebody else, and stays until it is hung up on. */
static void be_peer(const struct sockaddr_un *to, socklen_t bytes, gid_t own, const gid_t *groups,
		    size_t count)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char byte;

	if (setgroups(count, groups) < 0 || setgid(own) < 0 || setuid(USER) < 0 ||
	    connect(fd, (const struct sockaddr *)to, bytes) < 0)
		_exit(1);
	_exit(recv(fd, &byte, 1, 0) == 0 ? 0 : 1);
}

static struct control_peer peer_with(gid_t own, const gid_t *groups, size_t count)
{
	socklen_t bytes;
	struct sockaddr_un a = address(&bytes);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd, status;
	struct control_peer peer;
	pid_t child;

	assert_int_equal(bind(listener, (struct sockaddr *)&a, bytes), 0);
	assert_int_equal(listen(listener, 1), 0);
	child = fork();
	if (child == 0)
		be_peer(&a, bytes, own, groups, count);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(control_peer_read(fd, GROUP, &peer), 0);
	close(fd);
	close(listener);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return peer;
}

static void credentials_are_those_of_the_peer(void **state)
{
	const gid_t member[] = {1, GROUP, 2}, stranger[] = {1, GROUP + 1};
	struct control_peer peer;

	(void)state;
	if (geteuid() != 0)
		skip();
	peer = peer_with(1, member, 3);
	assert_int_equal(peer.uid, USER);
	assert_true(peer.is_member);
	assert_true(control_peer_may(&peer, &nobody));
	assert_false(peer_with(1, stranger, 2).is_member);
	/* The worker's group is its own, and it has no others. */
	peer = peer_with(GROUP, NULL, 0);
	assert_false(peer.is_member);
	assert_false(control_peer_may(&peer, &nobody));
}

static void without_a_group_nobody_is_a_member(void **state)
{
	struct control_peer peer;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(control_peer_read(pair[0], CONTROL_NO_GROUP, &peer), 0);
	assert_int_equal(peer.uid, getuid());
	assert_false(peer.is_member);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(control_peer_read(-1, GROUP, &peer), -EBADF);
	assert_int_equal(control_peer_group("root"), 0);
	assert_int_equal(control_peer_group("no-such-group"), CONTROL_NO_GROUP);
}

static void the_seat_decides_about_others(void **state)
{
	const struct control_peer user = {USER, false}, root = {0, false}, own = {geteuid(), false};
	const struct seat_state his = {SEAT_TAKEN, USER}, hers = {SEAT_TAKEN, USER + 1},
				unknown = {SEAT_UNKNOWN, USER};

	(void)state;
	assert_true(control_peer_may(&user, &his));
	assert_false(control_peer_may(&user, &hers));
	assert_false(control_peer_may(&user, &unknown));
	assert_false(control_peer_may(&user, &nobody));
	assert_true(control_peer_may(&root, &nobody));
	assert_true(control_peer_may(&own, &nobody));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_are_those_of_the_peer),
		cmocka_unit_test(without_a_group_nobody_is_a_member),
		cmocka_unit_test(the_seat_decides_about_others),
	};

	return cmocka_run_group_tests_name("control-peer", tests, NULL, NULL);
}
