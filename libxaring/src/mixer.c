/* SPDX-License-Identifier: MIT */
/*
 * One connection, and the page that came along. What the page says is the server's word: it is bounded before it is
 * shown.
 */
#include <xaring/mixer.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <xaring/pages.h>
#include <xaring/shared.h>

/* In one look: a server that talks without end keeps nobody. */
#define MESSAGES_MAX 16

struct xaring_mixer {
	int fd;
	struct xaring_status_page *page;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Receives the next message within the time. Returns 0 or a negative errno. */
static int wait_message(int fd, uint64_t end_ms, struct xaring_message *message)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint64_t at_ms;
	int res;

	while ((res = xaring_wire_receive(fd, message)) == -EAGAIN) {
		at_ms = now_ms();
		if (at_ms >= end_ms)
			return -ETIMEDOUT;
		(void)poll(&pfd, 1, (int)(end_ms - at_ms));
	}
	return res;
}

static int send_watch(int fd)
{
	const struct xaring_message watch = {.type = XARING_MESSAGE_WATCH,
					     .u.watch = {.version_min = XARING_PROTOCOL_VERSION_MIN,
							 .version = XARING_PROTOCOL_VERSION},
					     .fds = {-1, -1, -1}};

	return xaring_wire_send(fd, &watch);
}

/* Maps the page that STATUS brings. */
static int take_page(struct xaring_mixer *m, const struct xaring_message *message)
{
	if (message->type == XARING_MESSAGE_REFUSE)
		return xaring_refusal_errno(&message->u.refusal);
	if (message->type != XARING_MESSAGE_STATUS ||
	    message->u.status_version < XARING_PROTOCOL_VERSION_MIN ||
	    message->u.status_version > XARING_PROTOCOL_VERSION)
		return -EPROTO;
	return xaring_status_map(message->fds[0], false, &m->page);
}

static int ask(struct xaring_mixer *m, const char *socket, int timeout_ms)
{
	uint64_t end_ms = now_ms() + (uint64_t)timeout_ms;
	struct xaring_message message;
	int res = xaring_wire_connect(socket, &m->fd);

	if (res == 0)
		res = send_watch(m->fd);
	if (res == 0)
		res = wait_message(m->fd, end_ms, &message);
	if (res != 0)
		return res;
	res = take_page(m, &message);
	xaring_message_finish(&message);
	return res;
}

int xaring_mixer_open(const char *socket, int timeout_ms, struct xaring_mixer **out)
{
	struct xaring_mixer *m = calloc(1, sizeof(*m));
	int res;

	if (!m)
		return -ENOMEM;
	m->fd = -1;
	res = ask(m, socket, timeout_ms);
	if (res < 0) {
		xaring_mixer_close(m);
		return res;
	}
	*out = m;
	return 0;
}

void xaring_mixer_close(struct xaring_mixer *m)
{
	if (!m)
		return;
	xaring_status_unmap(m->page);
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}

int xaring_mixer_fd(const struct xaring_mixer *m)
{
	return m->fd;
}

/* What may be said to a mixer: CHANGED, or that its connection is over. */
static int judge(struct xaring_message *message)
{
	int res = -EPROTO;

	if (message->type == XARING_MESSAGE_CHANGED)
		res = 1;
	else if (message->type == XARING_MESSAGE_REFUSE)
		res = xaring_refusal_errno(&message->u.refusal);
	xaring_message_finish(message);
	return res;
}

/* What is left there makes the descriptor readable again. */
int xaring_mixer_take(struct xaring_mixer *m)
{
	struct xaring_message message;
	int changed = 0, res = 0;

	for (int i = 0; i < MESSAGES_MAX && res == 0; i++) {
		res = xaring_wire_receive(m->fd, &message);
		if (res == 0)
			changed = judge(&message);
		if (changed < 0)
			return changed;
	}
	return res == 0 || res == -EAGAIN ? changed : res;
}

void xaring_mixer_get(const struct xaring_mixer *m, struct xaring_volume *volume)
{
	uint32_t linear = xaring_load(&m->page->volume);

	volume->linear = linear < XARING_VOLUME_UNITY ? linear : XARING_VOLUME_UNITY;
	volume->muted = xaring_load(&m->page->flags) & XARING_STATUS_GUEST_MUTED;
}

/* What others have set is told in between. */
static int wait_answer(int fd, uint64_t end_ms)
{
	struct xaring_message message;
	bool is_answer;
	int res;

	do {
		res = now_ms() < end_ms ? wait_message(fd, end_ms, &message) : -ETIMEDOUT;
		if (res < 0)
			return res;
		is_answer = message.u.changed_is_answer;
		res = judge(&message);
		if (res < 0)
			return res;
	} while (!is_answer);
	return 0;
}

int xaring_mixer_set(struct xaring_mixer *m, uint32_t what, const struct xaring_volume *volume,
		     int timeout_ms)
{
	const struct xaring_message message = {.type = XARING_MESSAGE_SET_VOLUME,
					       .u.set_volume = {.what = what,
								.volume = volume->linear,
								.muted = volume->muted},
					       .fds = {-1, -1, -1}};
	uint64_t end_ms = now_ms() + (uint64_t)timeout_ms;
	int res = xaring_wire_send(m->fd, &message);

	return res < 0 ? res : wait_answer(m->fd, end_ms);
}
