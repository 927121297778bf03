/* SPDX-License-Identifier: MIT */
/* Messages between broker and worker: they arrive whole or not at all, and leak no descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "descriptors.h"
#include "ipc.h"

#define BYTES offsetof(struct ipc_message, fds)

static int pair[2];

static int set_up(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int tear_down(void **state)
{
	(void)state;
	if (pair[0] >= 0)
		close(pair[0]);
	close(pair[1]);
	return 0;
}

/* Sends bytes and the same descriptor several times, as ipc_send() never would. */
static void send_raw(const void *bytes, size_t length, int fds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 16)];
	} control = {0};
	struct iovec iov = {(void *)bytes, length};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c = &control.align;

	if (fds > 0) {
		header.msg_control = control.room;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fds);
		for (int i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + sizeof(int) * (size_t)i, &pair[0], sizeof(int));
	}
	assert_int_equal(sendmsg(pair[0], &header, 0), length);
}

static void assert_no_descriptors(const struct ipc_message *message)
{
	for (int i = 0; i < IPC_FDS_MAX; i++)
		assert_int_equal(message->fds[i], -1);
}

static void stream_arrives_with_both_descriptors(void **state)
{
	struct ipc_message sent, got;

	(void)state;
	ipc_message_init(&sent, IPC_STREAM, 7, 9);
	sent.u.stream.params.rate_hz = 44100;
	sent.u.stream.data_offset = UINT64_C(1) << 40;
	strcpy(sent.u.stream.name, "Firefox");
	sent.fds[0] = pair[0];
	sent.fds[1] = pair[1];
	assert_int_equal(ipc_send(pair[0], &sent), 0);
	assert_int_equal(ipc_receive(pair[1], &got), 0);
	assert_memory_equal(&got, &sent, BYTES);
	for (int i = 0; i < 2; i++) {
		assert_true(got.fds[i] >= 0);
		assert_int_equal(fcntl(got.fds[i], F_GETFD), FD_CLOEXEC);
		close(got.fds[i]);
	}
}

static void socket_brings_a_descriptor_or_an_error(void **state)
{
	struct ipc_message sent, got;

	(void)state;
	ipc_message_init(&sent, IPC_SOCKET, 1, 0);
	sent.fds[0] = pair[0];
	assert_int_equal(ipc_send(pair[0], &sent), 0);
	assert_int_equal(ipc_receive(pair[1], &got), 0);
	assert_true(got.fds[0] >= 0);
	assert_int_equal(got.fds[1], -1);
	close(got.fds[0]);

	sent.error = -ECONNREFUSED;
	sent.fds[0] = -1;
	assert_int_equal(ipc_send(pair[0], &sent), 0);
	assert_int_equal(ipc_receive(pair[1], &got), 0);
	assert_int_equal(got.error, -ECONNREFUSED);
	assert_no_descriptors(&got);
}

static void nothing_to_read_is_eagain(void **state)
{
	struct ipc_message got;

	(void)state;
	assert_int_equal(ipc_receive(pair[1], &got), -EAGAIN);
	assert_no_descriptors(&got);
}

static void full_socket_is_eagain(void **state)
{
	struct ipc_message sent;
	int res = 0;

	(void)state;
	ipc_message_init(&sent, IPC_KICK, 1, 1);
	for (int i = 0; i < 100000 && res == 0; i++)
		res = ipc_send(pair[0], &sent);
	assert_int_equal(res, -EAGAIN);
}

static void end_of_the_other_side_is_enodev(void **state)
{
	struct ipc_message message;

	(void)state;
	close(pair[0]);
	pair[0] = -1;
	assert_int_equal(ipc_receive(pair[1], &message), -ENODEV);
	ipc_message_init(&message, IPC_READY, 0, 0);
	assert_int_equal(ipc_send(pair[1], &message), -ENODEV);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
	struct ipc_message message;

	(void)state;
	ipc_message_init(&message, IPC_GONE, 1, 2);
	assert_int_equal(ipc_send(pair[0], &message), 0);
	close(pair[0]);
	pair[0] = -1;
	assert_int_equal(ipc_receive(pair[1], &message), 0);
	assert_int_equal(message.type, IPC_GONE);
	assert_int_equal(ipc_receive(pair[1], &message), -ENODEV);
}

static void assert_refused(const struct ipc_message *message, size_t length, int fds)
{
	char bytes[BYTES + 8] = {0};
	struct ipc_message got;
	uint32_t before = open_descriptors();

	memcpy(bytes, message, length < BYTES ? length : BYTES);
	send_raw(bytes, length, fds);
	assert_int_equal(ipc_receive(pair[1], &got), -EPROTO);
	assert_no_descriptors(&got);
	assert_int_equal(open_descriptors(), before);
}

static void other_sizes_are_refused(void **state)
{
	struct ipc_message message;

	(void)state;
	ipc_message_init(&message, IPC_READY, 0, 0);
	assert_refused(&message, 1, 0);
	assert_refused(&message, BYTES - 1, 0);
	assert_refused(&message, BYTES + 1, 0);
}

static void unknown_types_are_refused(void **state)
{
	struct ipc_message message;

	(void)state;
	ipc_message_init(&message, 0, 0, 0);
	assert_refused(&message, BYTES, 0);
	message.type = IPC_GONE + 1;
	assert_refused(&message, BYTES, 0);
	message.type = UINT32_MAX;
	assert_refused(&message, BYTES, 0);
}

static void other_numbers_of_descriptors_are_refused_and_closed(void **state)
{
	struct ipc_message message;

	(void)state;
	ipc_message_init(&message, IPC_GONE, 1, 1);
	assert_refused(&message, BYTES, 1);
	assert_refused(&message, BYTES, 2);
	assert_refused(&message, BYTES, 16);
	message.type = IPC_STREAM;
	assert_refused(&message, BYTES, 0);
	assert_refused(&message, BYTES, 1);
	assert_refused(&message, BYTES, 3);
	message.type = IPC_SOCKET;
	assert_refused(&message, BYTES, 0);
	message.error = -EIO;
	assert_refused(&message, BYTES, 1);
}

static void texts_without_an_end_are_refused(void **state)
{
	struct ipc_message message;

	(void)state;
	ipc_message_init(&message, IPC_VM, 1, 0);
	memset(message.u.vm.name, 'x', sizeof(message.u.vm.name));
	assert_refused(&message, BYTES, 0);
	ipc_message_init(&message, IPC_VM, 1, 0);
	memset(message.u.vm.key, 'x', sizeof(message.u.vm.key));
	assert_refused(&message, BYTES, 0);
	ipc_message_init(&message, IPC_VM, 1, 0);
	memset(message.u.vm.domain, 'x', sizeof(message.u.vm.domain));
	assert_refused(&message, BYTES, 0);
	ipc_message_init(&message, IPC_VM, 1, 0);
	memset(message.u.vm.uuid, 'x', sizeof(message.u.vm.uuid));
	assert_refused(&message, BYTES, 0);
	ipc_message_init(&message, IPC_VM, 1, 0);
	memset(message.u.vm.kind, 'x', sizeof(message.u.vm.kind));
	assert_refused(&message, BYTES, 0);
	ipc_message_init(&message, IPC_STREAM, 1, 1);
	memset(message.u.stream.name, 'x', sizeof(message.u.stream.name));
	assert_refused(&message, BYTES, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stream_arrives_with_both_descriptors),
		TEST(socket_brings_a_descriptor_or_an_error),
		TEST(nothing_to_read_is_eagain),
		TEST(full_socket_is_eagain),
		TEST(end_of_the_other_side_is_enodev),
		TEST(what_was_sent_before_the_end_arrives),
		TEST(other_sizes_are_refused),
		TEST(unknown_types_are_refused),
		TEST(other_numbers_of_descriptors_are_refused_and_closed),
		TEST(texts_without_an_end_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
