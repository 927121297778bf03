/* SPDX-License-Identifier: MIT */
/*
 * Sends and receives the messages between broker and worker, and checks their form: size, type,
 * number of descriptors, termination of texts. What a message means, and whether it may come now,
 * is its receiver's business.
 */
#include "ipc.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The descriptors travel beside the bytes, so their numbers are not sent. */
#define IPC_BYTES offsetof(struct ipc_message, fds)

union ipc_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
};

void ipc_message_init(struct ipc_message *message, enum ipc_type type, uint32_t vm, uint32_t stream)
{
	memset(message, 0, sizeof(*message));
	message->type = type;
	message->vm = vm;
	message->stream = stream;
	for (int i = 0; i < IPC_FDS_MAX; i++)
		message->fds[i] = -1;
}

void ipc_message_finish(struct ipc_message *message)
{
	for (int i = 0; i < IPC_FDS_MAX; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
		message->fds[i] = -1;
	}
}

static int expected_fds(const struct ipc_message *message)
{
	switch (message->type) {
	case IPC_STREAM:
		return 2;
	case IPC_SOCKET:
		return message->error == 0 ? 1 : 0;
	default:
		return 0;
	}
}

static void attach_fds(struct msghdr *header, union ipc_control *control, const int *fds, int count)
{
	struct cmsghdr *c;
	size_t bytes = sizeof(int) * (size_t)count;

	memset(control, 0, sizeof(*control));
	header->msg_control = control->bytes;
	header->msg_controllen = CMSG_SPACE(bytes);
	c = CMSG_FIRSTHDR(header);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(c), fds, bytes);
}

int ipc_send(int fd, const struct ipc_message *message)
{
	struct iovec iov = {(void *)message, IPC_BYTES};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	union ipc_control control;
	int count = expected_fds(message);
	ssize_t sent;

	if (count > 0)
		attach_fds(&header, &control, message->fds, count);
	do {
		sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	return errno == EPIPE || errno == ECONNRESET ? -ENODEV : -errno;
}

/* Takes the descriptors out of the packet; those that do not fit were closed by the kernel. */
static int take_fds(struct msghdr *header, int fds[IPC_FDS_MAX])
{
	int count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n && count < IPC_FDS_MAX; i++)
			memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return count;
}

static bool is_terminated(const char *text, size_t bytes)
{
	return memchr(text, '\0', bytes) != NULL;
}

static bool texts_are_terminated(const struct ipc_message *m)
{
	switch (m->type) {
	case IPC_VM:
		return is_terminated(m->u.vm.name, sizeof(m->u.vm.name)) &&
		       is_terminated(m->u.vm.key, sizeof(m->u.vm.key)) &&
		       is_terminated(m->u.vm.domain, sizeof(m->u.vm.domain)) &&
		       is_terminated(m->u.vm.uuid, sizeof(m->u.vm.uuid)) &&
		       is_terminated(m->u.vm.kind, sizeof(m->u.vm.kind));
	case IPC_STREAM:
		return is_terminated(m->u.stream.name, sizeof(m->u.stream.name));
	default:
		return true;
	}
}

static int check(const struct ipc_message *message, ssize_t length, int flags, int fds)
{
	if (length != (ssize_t)IPC_BYTES || (flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EPROTO;
	if (message->type < IPC_VM || message->type > IPC_GONE)
		return -EPROTO;
	if (fds != expected_fds(message) || !texts_are_terminated(message))
		return -EPROTO;
	return 0;
}

int ipc_receive(int fd, struct ipc_message *message)
{
	struct iovec iov = {message, IPC_BYTES};
	union ipc_control control;
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	ssize_t length;
	int count, res;

	ipc_message_init(message, 0, 0, 0);
	do {
		length = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (length < 0 && errno == EINTR);
	if (length < 0)
		return errno == ECONNRESET ? -ENODEV : -errno;
	if (length == 0)
		return -ENODEV;

	count = take_fds(&header, message->fds);
	res = check(message, length, header.msg_flags, count);
	if (res < 0)
		ipc_message_finish(message);
	return res;
}
