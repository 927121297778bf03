/* SPDX-License-Identifier: MIT */
/*
 * A client and its server: getting pages, being refused, losing the server and finding it again,
 * what becomes of the frames meanwhile. In virtual time, both sides in one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/client.h>
#include <xaring/shared.h>

#include "descriptors.h"
#include "local-server.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

/* A power of two, so that a frame's index says what is in it across the wrap as well. */
#define BUFFER 4096u

struct fixture {
	struct local_server server;
	struct local_link link;
	struct xaring_client *client;
	struct xaring_client_state state;
	struct xaring_refusal refusal;
	uint64_t now;
	uint32_t descriptors;
};

static const struct xaring_params stereo = {.direction = XARING_PLAYBACK,
					    .format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = BUFFER,
					    .period = 1024};

static int fixture_make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->descriptors = open_descriptors();
	f->now = 5 * S;
	f->link.fd = -1;
	local_server_open(&f->server, true);
	assert_int_equal(xaring_client_create(f->server.path, "a test", &f->client), 0);
	*state = f;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *f = *state;

	xaring_client_close(f->client);
	local_link_drop(&f->link);
	local_server_close(&f->server);
	assert_int_equal(open_descriptors(), f->descriptors);
	free(f);
	return 0;
}

static void update(struct fixture *f)
{
	xaring_client_update(f->client, f->now, &f->state);
}

static int setup(struct fixture *f, int timeout_ms)
{
	return xaring_client_setup(f->client, &stereo, timeout_ms, &f->refusal);
}

/* A stream with pages of the server that is not running. */
static void link_up(struct fixture *f)
{
	assert_int_equal(setup(f, 0), 0);
	local_link_up(&f->server, &f->link);
	update(f);
	assert_true(f->state.linked);
}

static void fill(struct fixture *f, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i != to; i++) {
		uint32_t frame = i * 2654435761u;

		xaring_client_write(f->client, i, &frame, 1);
	}
	xaring_client_publish(f->client, to);
}

static void check_frames(const struct local_link *l, uint32_t from, uint32_t to)
{
	const uint32_t *data = l->pages.data;

	for (uint32_t i = from; i != to; i++)
		assert_int_equal(data[i & (l->shape.capacity - 1)], i * 2654435761u);
}

static bool is_readable(const struct fixture *f)
{
	struct pollfd pfd = {.fd = xaring_client_poll_fd(f->client), .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

/* One cycle of an honest backend that consumes what there is, and a look at it. */
static void live(struct fixture *f, uint32_t pos)
{
	local_cycle(&f->link, pos, 1024, f->now);
	update(f);
	assert_true(f->state.attached);
}

static void creation_needs_no_server(void **state)
{
	struct xaring_client *c;
	char path[200];

	(void)state;
	memset(path, 'p', sizeof(path));
	path[107] = '\0';
	assert_int_equal(xaring_client_create(path, "", &c), 0);
	xaring_client_close(c);
	path[107] = 'p';
	path[108] = '\0';
	assert_int_equal(xaring_client_create(path, "", &c), -EINVAL);
	xaring_client_close(NULL);
}

static void a_stream_without_shape_does_nothing(void **state)
{
	struct fixture *f = *state;
	struct xaring_client *c = f->client;
	char text[200];

	xaring_client_start(c, f->now, 0);
	xaring_client_pause(c, f->now);
	xaring_client_resume(c, f->now);
	xaring_client_drain(c, f->now);
	xaring_client_write(c, 0, "abcd", 1);
	xaring_client_read(c, 0, text, 1);
	xaring_client_publish(c, 1);
	xaring_client_stop(c);
	xaring_client_release(c);
	update(f);
	assert_false(f->state.linked || f->state.attached || f->state.drained);
	assert_int_equal(xaring_client_delay(c, f->now), 0);
	assert_true(xaring_client_when(c, f->now, 5) == UINT64_MAX);
	xaring_client_describe(c, text, sizeof(text));
	assert_non_null(strstr(text, "no setup"));
	assert_false(local_server_has_client(&f->server));
}

static void the_server_is_asked_for_what_was_said(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setup(f, 0), 0);
	update(f);
	assert_false(f->state.linked);
	local_link_take(&f->server, &f->link);
	assert_int_equal(f->link.peer.pid, getpid());
	assert_memory_equal(&f->link.open.params, &stereo, sizeof(stereo));
	assert_string_equal(f->link.open.name, "a test");
	assert_true(f->link.open.epoch == 0);
	assert_int_equal(f->link.open.version, XARING_PROTOCOL_VERSION);
	assert_int_equal(f->link.open.features, XARING_FEATURE_SAME_CLOCK);
	local_link_give(&f->server, &f->link, XARING_MESSAGE_ACCEPT);
	assert_true(is_readable(f));
	update(f);
	assert_true(f->state.linked);
	assert_false(is_readable(f));
	assert_int_equal(xaring_load(&f->link.pages.control->guest.alive), 1);
}

static void a_name_is_cut_to_its_field(void **state)
{
	struct fixture *f = *state;
	char name[200];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	xaring_client_close(f->client);
	assert_int_equal(xaring_client_create(f->server.path, name, &f->client), 0);
	assert_int_equal(setup(f, 0), 0);
	local_link_take(&f->server, &f->link);
	assert_memory_equal(f->link.open.name, name, XARING_NAME_BYTES);
}

static void an_impossible_shape_is_refused_here(void **state)
{
	struct fixture *f = *state;
	struct xaring_params params = stereo;

	params.rate_hz = 4000;
	assert_int_equal(xaring_client_setup(f->client, &params, 0, &f->refusal), -EINVAL);
	assert_int_equal(f->refusal.reason, XARING_REASON_RATE);
	assert_int_equal(f->refusal.value, 4000);
	assert_false(local_server_has_client(&f->server));
	update(f);
	assert_false(f->state.linked);
}

/* A server on a thread, for a setup that waits. */
struct waiting_server {
	struct fixture *f;
	enum xaring_reason refuse;
};

static bool wait_readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 10000) == 1;
}

static void *serve_once(void *data)
{
	struct waiting_server *w = data;
	struct local_link *l = &w->f->link;
	struct xaring_message message;

	if (!wait_readable(xaring_listener_fd(w->f->server.listener)))
		return NULL;
	l->fd = xaring_listener_accept(w->f->server.listener, &l->peer);
	if (!wait_readable(l->fd) || xaring_wire_receive(l->fd, &message) < 0)
		return NULL;
	l->open = message.u.open;
	if (xaring_params_shape(&l->open.params, &l->shape, &w->f->refusal) < 0)
		return NULL;
	if (w->refuse)
		local_link_refuse(l, w->refuse);
	else
		local_link_give(&w->f->server, l, XARING_MESSAGE_ACCEPT);
	return w;
}

static int setup_with_server(struct fixture *f, enum xaring_reason refuse)
{
	struct waiting_server w = {.f = f, .refuse = refuse};
	pthread_t thread;
	void *served;
	int res;

	assert_int_equal(pthread_create(&thread, NULL, serve_once, &w), 0);
	res = setup(f, 10000);
	assert_int_equal(pthread_join(thread, &served), 0);
	assert_non_null(served);
	return res;
}

static void setup_waits_for_the_answer(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setup_with_server(f, XARING_REASON_NONE), 0);
	update(f);
	assert_true(f->state.linked);
}

static void setup_reports_a_refusal(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setup_with_server(f, XARING_REASON_POLICY), -EPERM);
	assert_int_equal(f->refusal.reason, XARING_REASON_POLICY);
	assert_int_equal(f->refusal.max, 5);
	update(f);
	assert_false(f->state.linked || f->state.refused);
	local_link_drop(&f->link);
	assert_int_equal(setup_with_server(f, XARING_REASON_STREAMS), -EBUSY);
	local_link_drop(&f->link);
	assert_int_equal(setup_with_server(f, XARING_REASON_NONE), 0);
	update(f);
	assert_true(f->state.linked);
}

static void setup_waits_no_longer_than_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setup(f, 20), 0); /* nobody accepts */
	update(f);
	assert_false(f->state.linked);
	local_server_vanish(&f->server);
	assert_int_equal(setup(f, 10000), 0); /* nobody is there: no reason to wait */
	update(f);
	assert_false(f->state.linked);
}

static void a_late_refusal_leaves_the_stream_in_the_void(void **state)
{
	struct fixture *f = *state;
	struct xaring_refusal refusal;
	char text[200];

	link_up(f);
	fill(f, 0, 4096);
	xaring_client_start(f->client, f->now, 0);
	local_link_refuse(&f->link, XARING_REASON_PAGES);
	update(f);
	assert_true(f->state.refused);
	assert_false(f->state.linked);
	xaring_client_refusal(f->client, &refusal);
	assert_int_equal(refusal.reason, XARING_REASON_PAGES);
	assert_int_equal(refusal.value, 7);
	xaring_client_describe(f->client, text, sizeof(text));
	assert_non_null(strstr(text, "refused"));
	f->now += 20 * MS;
	update(f);
	assert_int_equal(f->state.pos, 960); /* on its own clock */

	/* A limit: it is tried again, but not soon. */
	f->now += 900 * MS;
	update(f);
	assert_false(local_server_has_client(&f->server));
	f->now += 200 * MS;
	update(f);
	local_link_drop(&f->link);
	local_link_up(&f->server, &f->link);
	update(f);
	assert_true(f->state.linked);
	assert_false(f->state.refused);
}

static void a_refusal_by_policy_is_tried_again_after_long(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setup(f, 0), 0);
	local_link_take(&f->server, &f->link);
	local_link_refuse(&f->link, XARING_REASON_POLICY);
	update(f);
	assert_true(f->state.refused);
	update(f);
	f->now += 9 * S;
	update(f);
	assert_false(local_server_has_client(&f->server));
	f->now += 1 * S;
	update(f);
	assert_true(local_server_has_client(&f->server));
}

/* "You reconnect too often" is about this moment: nothing to tell the application. */
static void being_busy_is_no_refusal_for_long(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setup(f, 0), 0);
	local_link_take(&f->server, &f->link);
	local_link_refuse(&f->link, XARING_REASON_BUSY);
	update(f);
	assert_false(f->state.refused);
	update(f);
	f->now += 500 * MS;
	update(f);
	assert_true(local_server_has_client(&f->server));
}

static void the_control_page_can_refuse(void **state)
{
	struct fixture *f = *state;
	struct xaring_refusal refusal;

	link_up(f);
	xaring_store(&f->link.pages.control->backend.status,
		     XARING_BACKEND_REFUSED | XARING_REASON_POLICY << XARING_BACKEND_REASON_SHIFT);
	update(f);
	assert_true(f->state.refused);
	xaring_client_refusal(f->client, &refusal);
	assert_int_equal(refusal.reason, XARING_REASON_POLICY);

	local_link_drop(&f->link);
	link_up(f);
	xaring_store(&f->link.pages.control->backend.status,
		     XARING_BACKEND_REFUSED | 0xfffff << XARING_BACKEND_REASON_SHIFT);
	update(f);
	assert_true(f->state.refused);
	xaring_client_refusal(f->client, &refusal);
	assert_int_equal(refusal.reason, XARING_REASON_INTERNAL);
}

static void a_broken_link_is_given_up(void **state)
{
	struct fixture *f = *state;

	link_up(f);
	xaring_store(&f->link.pages.control->backend.status,
		     XARING_BACKEND_BROKEN | XARING_REASON_COUNTER << XARING_BACKEND_REASON_SHIFT);
	update(f);
	assert_false(f->state.linked || f->state.refused);
	assert_int_equal(local_link_kick(&f->link), -1);
	update(f);
	f->now += 249 * MS;
	update(f);
	assert_false(local_server_has_client(&f->server));
	f->now += 1 * MS;
	update(f);
	local_link_drop(&f->link);
	local_link_take(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0); /* no way back to that one */
}

/* Frames and position survive from link to void to link. */
static void unplayed_frames_are_carried_over(void **state)
{
	struct fixture *f = *state;
	uint32_t pos;

	link_up(f);
	fill(f, 0, 4096);
	xaring_client_start(f->client, f->now, 0);
	live(f, 0);
	f->now += 21 * MS;
	live(f, 1024);
	assert_int_equal(f->state.pos, 1024);
	f->now += 2 * S;
	fill(f, 4096, 5120);
	/* The server dies; the records stop; the client is in the void and asks again. */
	local_link_drop(&f->link);
	update(f);
	assert_true(f->state.linked == false && f->state.attached == false);
	pos = f->state.pos;
	fill(f, 5120, pos + 4096);
	update(f);
	local_link_up(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0); /* it has given them up */
	update(f);
	assert_true(f->state.linked);
	assert_int_equal(f->state.pos, pos);
	check_frames(&f->link, pos, pos + 4096);
	assert_int_equal(local_written(&f->link), pos + 4096);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	/* It answers when it looks next, and begins where it is. */
	update(f);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1 << 12 | 1);
	assert_int_equal(local_base(&f->link), pos);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_ATTACH);
	f->now += 5 * MS;
	live(f, pos);
	assert_int_equal(f->state.pos, pos);
}

/* The same, where counters and ring wrap. */
static void frames_are_carried_over_the_wrap(void **state)
{
	struct fixture *f = *state;
	uint32_t from = 0u - 2000;

	link_up(f);
	fill(f, from, from + 4096);
	xaring_client_start(f->client, f->now, from);
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	update(f);
	assert_true(f->state.linked);
	assert_int_equal(f->state.pos, from);
	check_frames(&f->link, from, from + 4096);
}

static void new_pages_replace_the_old_ones(void **state)
{
	struct fixture *f = *state;
	struct xaring_pages old;

	link_up(f);
	fill(f, 0, 4096);
	xaring_client_start(f->client, f->now, 0);
	live(f, 0);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	old = f->link.pages;
	memset(&f->link.pages, 0, sizeof(f->link.pages));
	f->now += 10 * MS;
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	/* An attached stream looks at its socket when the records have stopped. */
	update(f);
	assert_true(f->state.attached);
	f->now += 101 * MS;
	update(f);
	assert_true(f->state.linked);
	assert_false(f->state.attached);
	check_frames(&f->link, f->state.pos, 4096);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	/* Nothing goes into the old pages any more. */
	xaring_store(&old.control->guest.pos, 0x55);
	fill(f, 4096, 4100);
	assert_int_equal(xaring_load(&old.control->guest.pos), 0x55);
	assert_int_equal(local_written(&f->link), 4100);
	xaring_pages_unmap(&old);
}

/* A guest that is restored while it drains: the old backend is silent, the new one is late. */
static void a_drain_ends_in_new_pages(void **state)
{
	struct fixture *f = *state;
	uint32_t pos;

	link_up(f);
	fill(f, 0, 4096);
	xaring_client_start(f->client, f->now, 0);
	live(f, 0);
	xaring_client_drain(f->client, f->now);
	f->now += 10 * MS;
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	xaring_client_woken(f->client, f->now); /* its timer is not over */
	update(f);
	assert_false(f->state.attached || f->state.drained);
	pos = f->state.pos;
	check_frames(&f->link, pos, 4096);
	assert_int_equal(local_word(&f->link), 1 << 16 | 2 << 12);
	f->now += 50 * MS;
	update(f);
	assert_false(f->state.drained);
	f->now += 50 * MS;
	update(f);
	assert_true(f->state.drained); /* by the clock */
	assert_int_equal(f->state.pos, 4096);
}

/* One that is there in time has the last word. */
static void a_drain_is_played_from_new_pages(void **state)
{
	struct fixture *f = *state;
	uint32_t pos;

	link_up(f);
	fill(f, 0, 4096);
	xaring_client_start(f->client, f->now, 0);
	live(f, 0);
	xaring_client_drain(f->client, f->now);
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	f->link.attach = 0;
	local_attach(&f->link);
	xaring_client_woken(f->client, f->now);
	update(f);
	update(f);
	pos = local_base(&f->link);
	assert_int_equal(local_word(&f->link), 1 << 16 | 2 << 12 | 1);
	f->now += 80 * MS;
	live(f, pos);
	f->now += 80 * MS;
	update(f);
	assert_false(f->state.drained); /* it could have been, by the clock */
	live(f, 4096);
	assert_true(f->state.drained);
}

/* The sequence of other pages may be where the old one was. */
static void the_first_record_of_new_pages_is_seen(void **state)
{
	struct fixture *f = *state;

	link_up(f);
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	update(f);
	fill(f, 0, 4096);
	f->link.attach = 0;
	local_attach(&f->link);
	xaring_client_start(f->client, f->now, 0);
	live(f, 0);
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	f->now += 200 * MS;
	update(f);
	f->link.attach = 0;
	local_attach(&f->link);
	update(f);
	assert_false(f->state.attached);
	live(f, f->state.pos);
}

/* A frontend that turns in a circle because the socket is readable gets its message at last. */
static void an_attached_stream_hears_its_socket_when_looked_at_often(void **state)
{
	struct fixture *f = *state;

	link_up(f);
	fill(f, 0, 4096);
	xaring_client_start(f->client, f->now, 0);
	live(f, 0);
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	assert_true(is_readable(f));
	for (uint32_t i = 0; i < 16; i++)
		update(f);
	assert_false(is_readable(f));
	assert_false(f->state.attached);
}

/* First at once, then in growing distances, never more than half a second. */
static void a_lost_server_is_sought(void **state)
{
	static const uint32_t distances[] = {50, 100, 200, 400, 500, 500, 500};
	struct fixture *f = *state;

	link_up(f);
	f->now += 2 * S;
	local_link_drop(&f->link);
	update(f);
	assert_false(f->state.linked);
	assert_true(local_server_has_client(&f->server)); /* at once */
	local_server_vanish(&f->server);
	update(f); /* that one is gone as well */
	for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		update(f);
		f->now += distances[i] * MS - 1;
		local_server_listen(&f->server);
		update(f);
		assert_false(local_server_has_client(&f->server));
		local_server_vanish(&f->server);
		f->now += 1;
		update(f); /* fails */
	}
	local_server_listen(&f->server);
	update(f);
	f->now += 500 * MS;
	update(f);
	assert_true(local_server_has_client(&f->server));
}

/* A server that accepts and hangs up again and again is not asked at once each time. */
static void a_server_that_hangs_up_is_asked_slowly(void **state)
{
	struct fixture *f = *state;
	uint32_t tries = 0;

	assert_int_equal(setup(f, 0), 0);
	for (uint32_t ms = 0; ms < 3000; ms++) {
		tries += local_server_has_client(&f->server);
		update(f);
		f->now += MS;
	}
	assert_in_range(tries, 5, 10);
}

static void a_server_that_does_not_answer_is_left(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setup(f, 0), 0);
	local_link_take(&f->server, &f->link);
	update(f);
	f->now += 5 * S - 1;
	update(f);
	assert_int_equal(local_link_kick(&f->link), 0);
	f->now += 1;
	update(f);
	assert_int_equal(local_link_kick(&f->link), -1);
	update(f);
	f->now += 50 * MS;
	update(f);
	assert_true(local_server_has_client(&f->server));
}

/* Not what was asked for, or nothing that can be asked for: the link ends, the stream does not. */
static void expect_broken(struct fixture *f)
{
	update(f);
	assert_false(f->state.linked);
	assert_int_equal(local_link_kick(&f->link), -1);
	local_link_drop(&f->link);
}

static void send_accept(struct fixture *f, enum xaring_message_type type,
			const struct xaring_accept *accept, const struct xaring_shape *shape)
{
	int control, data, data_read;

	assert_int_equal(xaring_memfd_stream(shape, &control, &data, &data_read), 0);
	assert_int_equal(xaring_server_send_pages(f->link.fd, type, accept, control, data,
						  f->server.status_fd),
			 0);
	close(control);
	close(data);
	close(data_read);
}

static void pages_that_do_not_fit_break_the_link(void **state)
{
	struct fixture *f = *state;
	struct xaring_shape small = {.data_pages = 1};

	for (int i = 0; i < 6; i++) {
		struct xaring_accept accept = {.version = 1, .epoch = 1};

		assert_int_equal(setup(f, 0), 0);
		local_link_take(&f->server, &f->link);
		accept.capacity = f->link.shape.capacity;
		accept.data_pages = f->link.shape.data_pages;
		if (i == 0)
			accept.version = XARING_PROTOCOL_VERSION + 1;
		if (i == 1)
			accept.features = XARING_FEATURE_GUEST_DOORBELL;
		if (i == 2)
			accept.capacity *= 2;
		if (i == 3)
			accept.data_pages++;
		if (i == 4)
			accept.control_offset = 4096;
		send_accept(f, XARING_MESSAGE_ACCEPT, &accept, i == 5 ? &small : &f->link.shape);
		expect_broken(f);
	}
}

static void a_status_page_that_is_none_breaks_the_link(void **state)
{
	struct fixture *f = *state;
	int fd = f->server.status_fd;

	assert_int_equal(setup(f, 0), 0);
	local_link_take(&f->server, &f->link);
	f->server.status_fd = f->link.fd;
	local_link_give(&f->server, &f->link, XARING_MESSAGE_ACCEPT);
	f->server.status_fd = fd;
	expect_broken(f);
}

static void messages_out_of_place_break_the_link(void **state)
{
	struct fixture *f = *state;
	struct xaring_message kick = {.type = XARING_MESSAGE_KICK,
				      .u.kick = XARING_KICK_START,
				      .fds = {-1, -1, -1}};

	assert_int_equal(setup(f, 0), 0);
	local_link_take(&f->server, &f->link);
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK); /* before ACCEPT */
	expect_broken(f);

	link_up(f);
	local_link_give(&f->server, &f->link, XARING_MESSAGE_ACCEPT); /* a second time */
	expect_broken(f);

	link_up(f);
	assert_int_equal(xaring_wire_send(f->link.fd, &kick), 0);
	expect_broken(f);

	link_up(f);
	assert_int_equal(write(f->link.fd, "garbage", 7), 7);
	expect_broken(f);
}

static void broken_links_are_tried_less_and_less(void **state)
{
	static const uint32_t distances[] = {250, 500, 1000, 2000, 4000, 8000, 10000, 10000};
	struct fixture *f = *state;

	assert_int_equal(setup(f, 0), 0);
	for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		local_link_take(&f->server, &f->link);
		assert_int_equal(write(f->link.fd, "garbage", 7), 7);
		expect_broken(f);
		update(f);
		f->now += distances[i] * MS - 1;
		update(f);
		assert_false(local_server_has_client(&f->server));
		f->now += 1;
		update(f);
	}
	/* One that held for long is forgiven. */
	local_link_up(&f->server, &f->link);
	update(f);
	update(f);
	f->now += 10 * S;
	assert_int_equal(write(f->link.fd, "garbage", 7), 7);
	expect_broken(f);
	update(f);
	f->now += 250 * MS;
	update(f);
	assert_true(local_server_has_client(&f->server));
}

/* A flood of new pages keeps no caller for long, and leaves nothing behind. */
static void a_flood_of_messages_is_taken_in_portions(void **state)
{
	struct fixture *f = *state;
	uint32_t before;

	link_up(f);
	before = open_descriptors();
	for (int i = 0; i < 6; i++)
		local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	update(f);
	assert_true(is_readable(f));
	update(f);
	assert_false(is_readable(f));
	assert_true(f->state.linked);
	assert_int_equal(open_descriptors(), before);
}

/* Pages without end would cost a processor: such a server is left, as any that talks nonsense. */
static void a_server_that_relinks_all_the_time_is_left(void **state)
{
	struct fixture *f = *state;

	link_up(f);
	for (int i = 0; i < 40 && (i == 0 || f->state.linked); i++) {
		local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
		f->now += MS;
		update(f);
	}
	assert_false(f->state.linked);
	f->now += 200 * MS;
	update(f);
	assert_false(local_server_waits(&f->server));
	f->now += 250 * MS;
	update(f);
	assert_true(local_server_waits(&f->server));
}

/* From time to time new pages are all right. */
static void a_server_that_relinks_now_and_then_is_not(void **state)
{
	struct fixture *f = *state;

	link_up(f);
	for (int i = 0; i < 40; i++) {
		local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
		f->now += 70 * MS;
		update(f);
		assert_true(f->state.linked);
	}
}

static void release_ends_the_connection(void **state)
{
	struct fixture *f = *state;

	link_up(f);
	xaring_client_start(f->client, f->now, 0);
	xaring_client_release(f->client);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	assert_int_equal(local_link_kick(&f->link), -1);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1); /* stopped */
	update(f);
	assert_false(f->state.linked);
	assert_false(is_readable(f));
}

static void a_setup_drops_the_one_before(void **state)
{
	struct fixture *f = *state;
	struct local_link first;

	link_up(f);
	first = f->link;
	link_up(f);
	assert_int_equal(local_link_kick(&first), -1);
	local_link_drop(&first);
	assert_true(f->link.open.epoch == 0); /* another stream */
}

static void nothing_is_left_after_many_streams(void **state)
{
	struct fixture *f = *state;
	uint32_t before = open_descriptors();
	struct xaring_client *c;

	for (uint32_t i = 0; i < 10000; i++) {
		assert_int_equal(xaring_client_create(f->server.path, "one of many", &c), 0);
		if (i % 4 == 0)
			assert_int_equal(xaring_client_setup(c, &stereo, 0, &f->refusal), 0);
		if (i % 8 == 0) {
			local_link_up(&f->server, &f->link);
			xaring_client_update(c, f->now, &f->state);
			assert_true(f->state.linked);
		} else if (i % 8 == 4) {
			assert_true(local_server_has_client(&f->server));
		}
		xaring_client_close(c);
		local_link_drop(&f->link);
	}
	assert_int_equal(open_descriptors(), before);
}

static uint32_t mapped_lines(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint32_t count = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, "xaring") && !strstr(line, "test-client");
	assert_int_equal(fclose(maps), 0);
	return count;
}

static void old_pages_are_unmapped(void **state)
{
	struct fixture *f = *state;
	uint32_t before = mapped_lines();

	link_up(f);
	assert_int_equal(mapped_lines(), before + 5); /* ours: 3, the server's view: 2 */
	for (int i = 0; i < 10; i++) {
		local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
		update(f);
	}
	assert_int_equal(mapped_lines(), before + 5);
	xaring_client_release(f->client);
	assert_int_equal(mapped_lines(), before + 2);
}

static void the_poll_descriptor_stays_and_wakes(void **state)
{
	struct fixture *f = *state;
	int fd = xaring_client_poll_fd(f->client);

	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_false(is_readable(f));
	xaring_client_arm(f->client, 0);
	assert_true(is_readable(f));
	xaring_client_arm(f->client, UINT64_MAX);
	assert_false(is_readable(f));
	xaring_client_arm(f->client, 1 * S); /* long ago */
	assert_true(is_readable(f));
	xaring_client_arm(f->client, 1 * S + 50000); /* the same, nearly: the level stays */
	assert_true(is_readable(f));
	xaring_client_arm(f->client, UINT64_MAX - 1);
	assert_false(is_readable(f));
	link_up(f);
	assert_int_equal(xaring_client_poll_fd(f->client), fd);
	local_link_drop(&f->link);
	assert_true(is_readable(f));
	update(f);
	assert_false(is_readable(f));
}

static void descriptions_say_how_it_is(void **state)
{
	struct fixture *f = *state;
	char text[300];

	assert_int_equal(setup(f, 0), 0);
	xaring_client_describe(f->client, text, sizeof(text));
	assert_non_null(strstr(text, "no answer"));
	assert_non_null(strstr(text, "stopped"));
	local_link_up(&f->server, &f->link);
	update(f);
	xaring_client_describe(f->client, text, sizeof(text));
	assert_non_null(strstr(text, ": linked, stopped"));
	xaring_store(&f->server.status->flags, 0);
	xaring_store(&f->link.pages.control->backend.status, 0);
	xaring_client_describe(f->client, text, sizeof(text));
	assert_non_null(strstr(text, "no backend"));
	local_link_drop(&f->link);
	update(f);
	xaring_client_describe(f->client, text, sizeof(text));
	assert_non_null(strstr(text, "not connected"));
	assert_null(strchr(text, '\n'));
	xaring_client_describe(f->client, text, 5);
	assert_int_equal(strlen(text), 4);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creation_needs_no_server),
		WITH_FIXTURE(a_stream_without_shape_does_nothing),
		WITH_FIXTURE(the_server_is_asked_for_what_was_said),
		WITH_FIXTURE(a_name_is_cut_to_its_field),
		WITH_FIXTURE(an_impossible_shape_is_refused_here),
		WITH_FIXTURE(setup_waits_for_the_answer),
		WITH_FIXTURE(setup_reports_a_refusal),
		WITH_FIXTURE(setup_waits_no_longer_than_told),
		WITH_FIXTURE(a_late_refusal_leaves_the_stream_in_the_void),
		WITH_FIXTURE(a_refusal_by_policy_is_tried_again_after_long),
		WITH_FIXTURE(being_busy_is_no_refusal_for_long),
		WITH_FIXTURE(the_control_page_can_refuse),
		WITH_FIXTURE(a_broken_link_is_given_up),
		WITH_FIXTURE(unplayed_frames_are_carried_over),
		WITH_FIXTURE(frames_are_carried_over_the_wrap),
		WITH_FIXTURE(new_pages_replace_the_old_ones),
		WITH_FIXTURE(a_drain_ends_in_new_pages),
		WITH_FIXTURE(a_drain_is_played_from_new_pages),
		WITH_FIXTURE(the_first_record_of_new_pages_is_seen),
		WITH_FIXTURE(an_attached_stream_hears_its_socket_when_looked_at_often),
		WITH_FIXTURE(a_lost_server_is_sought),
		WITH_FIXTURE(a_server_that_hangs_up_is_asked_slowly),
		WITH_FIXTURE(a_server_that_does_not_answer_is_left),
		WITH_FIXTURE(pages_that_do_not_fit_break_the_link),
		WITH_FIXTURE(a_status_page_that_is_none_breaks_the_link),
		WITH_FIXTURE(messages_out_of_place_break_the_link),
		WITH_FIXTURE(broken_links_are_tried_less_and_less),
		WITH_FIXTURE(a_flood_of_messages_is_taken_in_portions),
		WITH_FIXTURE(a_server_that_relinks_all_the_time_is_left),
		WITH_FIXTURE(a_server_that_relinks_now_and_then_is_not),
		WITH_FIXTURE(release_ends_the_connection),
		WITH_FIXTURE(a_setup_drops_the_one_before),
		WITH_FIXTURE(nothing_is_left_after_many_streams),
		WITH_FIXTURE(old_pages_are_unmapped),
		WITH_FIXTURE(the_poll_descriptor_stays_and_wakes),
		WITH_FIXTURE(descriptions_say_how_it_is),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
