/* SPDX-License-Identifier: MIT */
/* A server and backend by hand, for tests of the client. */
#include "local-server.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/shared.h>

static uint64_t next_epoch = 100;

void local_server_open(struct local_server *s, bool listens)
{
	memset(s, 0, sizeof(*s));
	strcpy(s->folder, "/tmp/xaring-test-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	assert_true(snprintf(s->path, sizeof(s->path), "%s/socket", s->folder) > 0);
	assert_int_equal(xaring_memfd_status(&s->status_write_fd, &s->status_fd), 0);
	assert_int_equal(xaring_status_map(s->status_write_fd, true, &s->status), 0);
	xaring_store(&s->status->flags, XARING_STATUS_BACKEND);
	if (listens)
		local_server_listen(s);
}

void local_server_close(struct local_server *s)
{
	local_server_vanish(s);
	xaring_status_unmap(s->status);
	close(s->status_write_fd);
	close(s->status_fd);
	assert_int_equal(rmdir(s->folder), 0);
}

void local_server_listen(struct local_server *s)
{
	assert_int_equal(xaring_listener_open(s->path, 0600, &s->listener), 0);
}

void local_server_vanish(struct local_server *s)
{
	xaring_listener_close(s->listener);
	s->listener = NULL;
}

void local_link_take(struct local_server *s, struct local_link *l)
{
	memset(l, 0, sizeof(*l));
	l->fd = xaring_listener_accept(s->listener, &l->peer);
	assert_true(l->fd >= 0);
	local_link_hear(l);
}

static int hear(struct local_link *l)
{
	struct xaring_message message;
	struct xaring_refusal refusal;
	int res = xaring_wire_receive(l->fd, &message);

	if (res < 0)
		return res;
	assert_int_equal(message.type, XARING_MESSAGE_OPEN);
	l->open = message.u.open;
	assert_int_equal(xaring_params_shape(&l->open.params, &l->shape, &refusal), 0);
	return 0;
}

void local_link_hear(struct local_link *l)
{
	assert_int_equal(hear(l), 0);
}

void local_link_try(struct local_server *s, struct local_link *l)
{
	if (hear(l) < 0 || local_link_kick(l) < 0) {
		local_link_drop(l);
		return;
	}
	local_link_give(s, l, XARING_MESSAGE_ACCEPT);
	local_attach(l);
}

bool local_server_waits(struct local_server *s)
{
	struct pollfd pfd = {.fd = xaring_listener_fd(s->listener), .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

bool local_server_has_client(struct local_server *s)
{
	struct xaring_peer peer;
	int fd = xaring_listener_accept(s->listener, &peer);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void local_link_give(struct local_server *s, struct local_link *l, enum xaring_message_type type)
{
	bool playback = l->open.params.direction == XARING_PLAYBACK;
	struct xaring_accept accept = {.epoch = next_epoch++,
				       .capacity = l->shape.capacity,
				       .data_pages = l->shape.data_pages};
	struct xaring_refusal unused;
	int control, data, data_read;

	xaring_pages_unmap(&l->pages);
	l->seq = 0;
	l->word = 0;
	l->epoch = accept.epoch;
	assert_int_equal(xaring_server_agree(&l->open, &accept.version, &accept.features, &unused),
			 0);
	if (s->two_clocks)
		accept.features &= ~XARING_FEATURE_SAME_CLOCK;
	assert_int_equal(xaring_memfd_stream(&l->shape, &control, &data, &data_read), 0);
	assert_int_equal(xaring_pages_map(&l->pages, &l->shape, control, 0,
					  playback ? data_read : data, 0, !playback),
			 0);
	assert_int_equal(xaring_server_send_pages(l->fd, type, &accept, control, data,
						  s->status_fd),
			 0);
	close(control);
	close(data);
	close(data_read);
}

void local_link_up(struct local_server *s, struct local_link *l)
{
	local_link_take(s, l);
	local_link_give(s, l, XARING_MESSAGE_ACCEPT);
	xaring_store(&l->pages.control->backend.alive, 1);
	xaring_store(&l->pages.control->backend.status, XARING_BACKEND_ACCEPTED);
	local_attach(l);
}

void local_link_refuse(struct local_link *l, enum xaring_reason reason)
{
	struct xaring_refusal refusal = {.reason = reason, .value = 7, .min = 1, .max = 5};

	assert_int_equal(xaring_server_send_refusal(l->fd, &refusal), 0);
}

void local_link_hang_up(struct local_link *l)
{
	close(l->fd);
	l->fd = -1;
}

void local_link_take_back(struct local_server *s, struct local_link *l)
{
	l->fd = xaring_listener_accept(s->listener, &l->peer);
	assert_true(l->fd >= 0);
	local_link_hear(l);
}

void local_link_keep(struct local_server *s, struct local_link *l, uint64_t epoch)
{
	assert_int_equal(xaring_server_send_keep(l->fd, epoch, s->status_fd), 0);
}

void local_link_drop(struct local_link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	xaring_pages_unmap(&l->pages);
}

int local_link_kick(struct local_link *l)
{
	struct xaring_message message;
	int res = xaring_wire_receive(l->fd, &message);

	if (res == -ENODEV)
		return -1;
	if (res == -EAGAIN)
		return 0;
	assert_int_equal(res, 0);
	assert_int_equal(message.type, XARING_MESSAGE_KICK);
	return (int)message.u.kick;
}

void local_attach(struct local_link *l)
{
	l->attach = xaring_attach_next(l->attach);
	xaring_store(&l->pages.control->backend.attach, l->attach);
}

uint32_t local_word(const struct local_link *l)
{
	return xaring_load(&l->pages.control->guest.word);
}

uint32_t local_base(const struct local_link *l)
{
	return xaring_load(&l->pages.control->guest.base);
}

uint32_t local_written(const struct local_link *l)
{
	return xaring_load(&l->pages.control->guest.pos);
}

void local_record(struct local_link *l, const struct xaring_record *record)
{
	xaring_record_publish(&l->pages.control->record, &l->seq, record);
}

void local_cycle(struct local_link *l, uint32_t pos, uint32_t frames, uint64_t time_ns)
{
	struct xaring_record record = {.word = local_word(l),
				       .pos = pos,
				       .frames = frames,
				       .time_ns = time_ns,
				       .rate_mhz = l->open.params.rate_hz * 1000};

	local_record(l, &record);
}

void local_pump(struct local_link *l, uint32_t frames, uint64_t time_ns)
{
	uint32_t word = local_word(l), before = l->word;
	uint32_t fill = local_written(l) - l->index;
	uint32_t run = ~XARING_WORD_STATE_MASK;

	l->word = word;
	if (xaring_word_attach(word) != (l->attach & XARING_WORD_ATTACH_MASK)) {
		if (word != before)
			local_attach(l);
		return;
	}
	if ((word & run) != (before & run))
		l->index = local_base(l);
	else if (fill <= l->shape.capacity)
		l->index += fill < frames ? fill : frames;
	local_cycle(l, l->index, frames, time_ns);
}
