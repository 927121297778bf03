/* SPDX-License-Identifier: MIT */
/*
 * Packets of one connection: what is received is looked at before it is taken, what cannot be sent waits, within
 * a bound. Knows no request.
 */
#include "control-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker.h"
#include "control-answer.h"
#include "vm.h"

const char *control_text_of(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

int control_send_text(int fd, const char *text, size_t bytes)
{
	return send(fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int enqueue(struct connection *n, const char *text, size_t bytes)
{
	struct packet **at = &n->first, *packet;

	if (n->waiting_bytes + bytes > CONTROL_WAITING_BYTES)
		return -ENOBUFS;
	packet = malloc(sizeof(*packet) + bytes);
	if (!packet)
		return -ENOMEM;
	packet->next = NULL;
	packet->bytes = bytes;
	memcpy(packet->text, text, bytes);
	while (*at)
		at = &(*at)->next;
	*at = packet;
	n->waiting_bytes += bytes;
	return 0;
}

void control_say(struct connection *n, struct json_object *o)
{
	const char *text = o ? control_text_of(o) : NULL;
	size_t bytes = text ? strlen(text) : 0;
	int res = -ENOMEM;

	if (text && bytes <= CONTROL_ANSWER_BYTES)
		res = n->first ? -EAGAIN : control_send_text(n->fd, text, bytes);
	if (res == -EAGAIN)
		res = enqueue(n, text, bytes);
	if (res == -ENOBUFS)
		limited_log_line(&n->control->log, XARING_LOG_WARN,
				 "control: user %u does not read what it monitors: hung up on",
				 (unsigned)n->peer.uid);
	n->is_over |= res < 0;
	json_object_put(o);
}

void control_say_error(struct connection *n, const char *error, const char *text)
{
	control_say(n, answer_error(error, text));
}

int control_flush(struct connection *n)
{
	while (n->first && !n->is_over) {
		struct packet *p = n->first;
		int res = control_send_text(n->fd, p->text, p->bytes);

		if (res == -EAGAIN)
			return res;
		n->is_over |= res < 0;
		n->first = p->next;
		n->waiting_bytes -= p->bytes;
		free(p);
	}
	return 0;
}

static const char *pipewire_of(const struct control *c)
{
	const char *path = c->setup.pipewire(c->setup.data);

	return path && path[0] ? path : NULL;
}

void control_say_end_of_list(struct connection *n)
{
	struct json_object *o = answer_ok();

	if (o) {
		answer_add_text(o, "pipewire", pipewire_of(n->control));
		answer_add_text(o, "version", XARING_VERSION);
	}
	control_say(n, o);
}

void control_go_on_listing(struct connection *n)
{
	while (n->lists && !n->first && !n->is_over) {
		const struct vm *vm = broker_next_vm(n->control->setup.broker, n->listed);

		n->lists = vm != NULL;
		if (!vm) {
			control_say_end_of_list(n);
			return;
		}
		n->listed = vm->id;
		control_say(n, answer_vm(vm));
	}
}

/* Looks first: descriptors are cut off, but they would be closed here with the packet when it is taken. */
ssize_t control_receive(int fd, char *text, size_t room)
{
	struct iovec iov = {.iov_base = text, .iov_len = room};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t bytes = recvmsg(fd, &msg, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	if (bytes < 0)
		return -errno;
	if (msg.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	if (bytes > 0 && recv(fd, NULL, 0, MSG_DONTWAIT) < 0)
		return -errno;
	return bytes;
}
