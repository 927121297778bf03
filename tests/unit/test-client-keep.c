/* SPDX-License-Identifier: MIT */
/*
 * A server that goes away while the backend goes on: the pages are kept and shown to the next server,
 * and nothing of the stream moves. In virtual time, all sides in one thread.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/client.h>
#include <xaring/shared.h>

#include "descriptors.h"
#include "local-server.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

#define BUFFER     4096u
#define QUANTUM    1024u
#define QUANTUM_NS (QUANTUM * S / 48000)

struct fixture {
	struct local_server server;
	struct local_link link;
	struct xaring_client *client;
	struct xaring_client_state state;
	uint64_t now;
	uint32_t consumed;
	uint32_t descriptors;
};

static const struct xaring_params stereo = {.direction = XARING_PLAYBACK,
					    .format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = BUFFER,
					    .period = 1024};

static void update(struct fixture *f)
{
	xaring_client_update(f->client, f->now, &f->state);
}

static void publish(struct fixture *f, uint32_t to)
{
	uint32_t from = f->state.pos;

	for (uint32_t i = from; i != to; i++) {
		uint32_t frame = i * 2654435761u;

		xaring_client_write(f->client, i, &frame, 1);
	}
	xaring_client_publish(f->client, to);
}

/* Linked for a second, so that a lost server is sought at once. */
static struct fixture *fixture_with(bool two_clocks)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xaring_refusal refusal;

	assert_non_null(f);
	f->descriptors = open_descriptors();
	f->now = 5 * S;
	local_server_open(&f->server, true);
	f->server.two_clocks = two_clocks;
	assert_int_equal(xaring_client_create(f->server.path, "a test", &f->client), 0);
	assert_int_equal(xaring_client_setup(f->client, &stereo, 0, &refusal), 0);
	local_link_up(&f->server, &f->link);
	update(f);
	update(f);
	assert_true(f->state.linked);
	f->now += 1 * S;
	return f;
}

/* As from a server in a guest, whose backend is elsewhere. */
static int fixture_make(void **state)
{
	*state = fixture_with(true);
	return 0;
}

/* As on a machine without Xen. */
static int fixture_make_near(void **state)
{
	*state = fixture_with(false);
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

static bool is_readable(const struct fixture *f)
{
	struct pollfd pfd = {.fd = xaring_client_poll_fd(f->client), .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

/* One cycle of the backend, whoever serves the socket; the application fills its buffer. */
static void cycle(struct fixture *f)
{
	f->now += QUANTUM_NS;
	f->consumed += QUANTUM;
	local_cycle(&f->link, f->consumed, QUANTUM, f->now);
	update(f);
	publish(f, f->state.pos + BUFFER);
	assert_true(f->state.attached);
	assert_int_equal(f->state.pos, f->consumed);
}

static void run(struct fixture *f)
{
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	local_cycle(&f->link, 0, QUANTUM, f->now);
	update(f);
	assert_true(f->state.attached);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
}

/* A frontend that waits in poll() and wakes because the socket is readable. */
static void wake(struct fixture *f)
{
	xaring_client_arm(f->client, UINT64_MAX);
	assert_true(is_readable(f));
	xaring_client_woken(f->client, f->now);
	update(f);
}

/* Running, its server gone, which it has noticed; the next one does not listen yet. */
static void lose(struct fixture *f)
{
	run(f);
	cycle(f);
	local_link_hang_up(&f->link);
	local_server_vanish(&f->server);
	wake(f);
	assert_false(f->state.linked);
	update(f);
}

/* The next server listens, and has the client at its door. Before the records are stale, at first. */
static void listen_again(struct fixture *f)
{
	local_server_listen(&f->server);
	for (int i = 0; i < 50 && !local_server_waits(&f->server); i++) {
		f->now += 10 * MS;
		update(f);
	}
	assert_true(local_server_waits(&f->server));
}

static void check_frames(const struct local_link *l, uint32_t from, uint32_t to)
{
	const uint32_t *data = l->pages.data;

	for (uint32_t i = from; i != to; i++)
		assert_int_equal(data[i & (l->shape.capacity - 1)], i * 2654435761u);
}

/* The next server, which knows the stream. */
static void come_back(struct fixture *f)
{
	if (!f->server.listener)
		local_server_listen(&f->server);
	while (!local_server_waits(&f->server))
		cycle(f);
	local_link_take_back(&f->server, &f->link);
	assert_true(f->link.open.epoch == f->link.epoch);
	local_link_keep(&f->server, &f->link, f->link.epoch);
}

static void a_running_stream_goes_on_and_returns(void **state)
{
	struct fixture *f = *state;
	uint32_t word;

	run(f);
	cycle(f);
	word = local_word(&f->link);
	local_link_hang_up(&f->link);
	wake(f);
	assert_false(f->state.linked);
	assert_true(f->state.attached);
	/* At once, and with the epoch. */
	local_link_take_back(&f->server, &f->link);
	assert_true(f->link.open.epoch == f->link.epoch);
	for (int i = 0; i < 50; i++)
		cycle(f);
	local_link_keep(&f->server, &f->link, f->link.epoch);
	wake(f);
	assert_true(f->state.linked && f->state.attached);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	for (int i = 0; i < 50; i++)
		cycle(f);
	assert_int_equal(local_word(&f->link), word);
	assert_int_equal(local_base(&f->link), 0);
	assert_int_equal(f->state.xruns, 0);
	check_frames(&f->link, f->consumed, f->consumed + BUFFER);
	assert_int_equal(local_link_kick(&f->link), 0); /* nothing more was said */
}

/* The end of the connection wakes once, not for ever. */
static void a_connection_that_ended_is_out_of_the_poll_set(void **state)
{
	struct fixture *f = *state;

	run(f);
	local_server_vanish(&f->server);
	local_link_hang_up(&f->link);
	wake(f);
	assert_false(is_readable(f));
	cycle(f);
	assert_false(is_readable(f));
	listen_again(f);
	local_link_take_back(&f->server, &f->link);
	local_link_hang_up(&f->link);
	assert_true(is_readable(f));
	update(f);
	assert_false(is_readable(f));
}

/* A timer that is over says nothing of the socket: no system call for that. */
static void a_wake_up_by_the_timer_is_none_by_the_server(void **state)
{
	struct fixture *f = *state;

	run(f);
	local_link_hang_up(&f->link);
	xaring_client_arm(f->client, f->now);
	xaring_client_woken(f->client, f->now);
	update(f);
	assert_true(f->state.linked);
	xaring_client_arm(f->client, f->now + 1);
	xaring_client_woken(f->client, f->now);
	update(f);
	assert_true(f->state.linked); /* set no later than the slack allows: still the old one */
	xaring_client_arm(f->client, f->now + MS);
	xaring_client_woken(f->client, f->now);
	update(f);
	assert_false(f->state.linked);
}

static void a_frontend_that_never_polls_notices_within_a_second(void **state)
{
	struct fixture *f = *state;
	uint64_t gone;

	run(f);
	cycle(f);
	local_link_hang_up(&f->link);
	gone = f->now;
	while (f->state.linked && f->now < gone + 5 * S)
		cycle(f);
	assert_in_range(f->now - gone, 0, 1 * S + QUANTUM_NS);
	assert_true(f->state.attached);
	assert_true(local_server_waits(&f->server));
}

/* Where the records end with the server there is no need to look. */
static void a_near_server_is_not_looked_at(void **state)
{
	struct fixture *f = *state;

	run(f);
	local_link_hang_up(&f->link);
	for (int i = 0; i < 500; i++)
		cycle(f);
	assert_true(f->state.linked);
	f->now += 100 * MS;
	update(f);
	assert_false(f->state.linked);
}

static void a_server_that_is_away_for_long_is_sought_for_long(void **state)
{
	struct fixture *f = *state;

	lose(f);
	for (int i = 0; i < 3000; i++)
		cycle(f);
	come_back(f);
	update(f);
	assert_true(f->state.linked && f->state.attached);
	cycle(f);
}

/* One that answers nothing is left, one that hangs up is not asked all the time. */
static void pages_survive_bad_servers(void **state)
{
	struct fixture *f = *state;
	uint32_t tries = 0;

	lose(f);
	listen_again(f);
	local_link_take_back(&f->server, &f->link);
	for (int i = 0; i < 240; i++)
		cycle(f);
	assert_int_equal(local_link_kick(&f->link), -1); /* five seconds are over */
	local_link_hang_up(&f->link);
	for (int i = 0; i < 10 * 47; i++) {
		cycle(f);
		if (!local_server_waits(&f->server))
			continue;
		local_link_take_back(&f->server, &f->link);
		local_link_keep(&f->server, &f->link, f->link.epoch);
		local_link_hang_up(&f->link);
		tries++;
	}
	assert_in_range(tries, 10, 25);
	come_back(f);
	update(f);
	assert_true(f->state.linked);
}

/* The status page is the new server's. */
static void the_status_page_is_swapped(void **state)
{
	struct fixture *f = *state;
	char text[300];

	lose(f);
	xaring_store(&f->link.pages.control->backend.status, XARING_BACKEND_ABSENT);
	xaring_client_describe(f->client, text, sizeof(text));
	assert_non_null(strstr(text, "not connected, pages kept"));
	/* What the old one said last. */
	xaring_status_unmap(f->server.status);
	close(f->server.status_fd);
	close(f->server.status_write_fd);
	assert_int_equal(xaring_memfd_status(&f->server.status_write_fd, &f->server.status_fd), 0);
	assert_int_equal(xaring_status_map(f->server.status_write_fd, true, &f->server.status), 0);
	come_back(f);
	update(f);
	assert_true(f->state.linked);
	xaring_client_describe(f->client, text, sizeof(text));
	assert_non_null(strstr(text, "linked, no backend"));
	xaring_store(&f->server.status->flags, XARING_STATUS_BACKEND);
	xaring_client_describe(f->client, text, sizeof(text));
	assert_non_null(strstr(text, "linked, att"));
}

/* The backend goes as well: the void, as ever. What was not played waits there. */
static void stale_records_end_it(void **state)
{
	struct fixture *f = *state;
	uint32_t pos, end;

	lose(f);
	f->now += 99 * MS;
	update(f);
	assert_true(f->state.attached);
	f->now += 2 * MS;
	update(f);
	assert_false(f->state.attached);
	/* Nothing goes into the old pages any more. */
	xaring_store(&f->link.pages.control->guest.pos, 0x55);
	end = f->state.pos + BUFFER;
	publish(f, end);
	assert_int_equal(local_written(&f->link), 0x55);
	listen_again(f);
	pos = f->state.pos;
	local_link_drop(&f->link);
	local_link_up(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0); /* it could not go on with them */
	update(f);
	assert_true(f->state.linked);
	check_frames(&f->link, pos, end);
}

/* It has asked to go on, and cannot any more: another question, on another connection. */
static void an_answer_too_late_finds_nobody(void **state)
{
	struct fixture *f = *state;

	lose(f);
	listen_again(f);
	local_link_take_back(&f->server, &f->link);
	assert_true(f->link.open.epoch != 0);
	local_link_keep(&f->server, &f->link, f->link.epoch);
	f->now += 100 * MS;
	update(f);
	assert_false(f->state.linked || f->state.attached);
	assert_int_equal(local_link_kick(&f->link), -1);
	/* No pause before the next one. */
	local_link_drop(&f->link);
	local_link_up(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0);
	update(f);
	assert_true(f->state.linked);
}

static void expect_broken(struct fixture *f, uint32_t pause_ms)
{
	update(f);
	assert_false(f->state.linked || f->state.attached);
	assert_int_equal(local_link_kick(&f->link), -1);
	update(f);
	f->now += pause_ms * MS - 1;
	update(f);
	assert_false(local_server_waits(&f->server));
	f->now += 1;
	update(f);
	local_link_drop(&f->link);
	local_link_take(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0);
}

static void a_keep_of_another_epoch_breaks_the_link(void **state)
{
	struct fixture *f = *state;

	lose(f);
	listen_again(f);
	local_link_take_back(&f->server, &f->link);
	local_link_keep(&f->server, &f->link, f->link.epoch + 1);
	expect_broken(f, 250);
}

static void a_keep_without_a_status_page_breaks_the_link(void **state)
{
	struct fixture *f = *state;

	lose(f);
	listen_again(f);
	local_link_take_back(&f->server, &f->link);
	assert_int_equal(xaring_server_send_keep(f->link.fd, f->link.epoch, f->link.fd), 0);
	expect_broken(f, 250);
}

static void a_keep_that_was_not_asked_for_breaks_the_link(void **state)
{
	struct fixture *f = *state;

	local_link_keep(&f->server, &f->link, f->link.epoch); /* linked */
	expect_broken(f, 250);
	local_link_keep(&f->server, &f->link, 1); /* a new stream */
	expect_broken(f, 500);
}

static void a_server_that_does_not_know_it_gives_new_pages(void **state)
{
	struct fixture *f = *state;
	struct xaring_pages old;
	uint32_t pos;

	lose(f);
	listen_again(f);
	old = f->link.pages;
	f->link.pages = (struct xaring_pages){0};
	local_link_up(&f->server, &f->link);
	update(f);
	assert_true(f->state.linked);
	assert_false(f->state.attached);
	pos = f->state.pos;
	check_frames(&f->link, pos, QUANTUM + BUFFER);
	xaring_store(&old.control->guest.pos, 0x55);
	publish(f, pos + BUFFER);
	assert_int_equal(xaring_load(&old.control->guest.pos), 0x55);
	xaring_pages_unmap(&old);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	update(f);
	f->consumed = pos;
	local_cycle(&f->link, pos, QUANTUM, f->now);
	update(f);
	assert_true(f->state.attached);
	cycle(f);
}

static void a_refusal_ends_it(void **state)
{
	struct fixture *f = *state;

	lose(f);
	listen_again(f);
	local_link_take_back(&f->server, &f->link);
	local_link_refuse(&f->link, XARING_REASON_POLICY);
	update(f);
	assert_true(f->state.refused);
	assert_false(f->state.attached);
	f->now += 10 * S;
	update(f);
	f->now += 10 * S;
	update(f);
	local_link_drop(&f->link);
	local_link_take(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0);
}

/* Many come back at once to a server that was restarted, and some are told to come later. */
static void being_told_to_come_later_keeps_the_pages(void **state)
{
	struct fixture *f = *state;
	uint64_t begin;

	lose(f);
	listen_again(f);
	for (int i = 0; i < 3; i++) {
		local_link_take_back(&f->server, &f->link);
		assert_true(f->link.open.epoch == f->link.epoch);
		local_link_refuse(&f->link, XARING_REASON_BUSY);
		local_link_hang_up(&f->link);
		begin = f->now;
		cycle(f);
		assert_false(f->state.linked);
		assert_false(f->state.refused);
		while (!local_server_waits(&f->server))
			cycle(f);
		assert_in_range(f->now - begin, 450 * MS, 600 * MS);
	}
	come_back(f);
	update(f);
	assert_true(f->state.linked && f->state.attached);
	cycle(f);
}

/* One that plays is told by the backend: there is nothing to come back to. */
static void being_busy_while_linked_ends_it(void **state)
{
	struct fixture *f = *state;

	run(f);
	cycle(f);
	local_link_refuse(&f->link, XARING_REASON_BUSY);
	wake(f);
	assert_false(f->state.linked || f->state.attached);
	f->now += 500 * MS;
	update(f);
	f->now += 500 * MS;
	update(f);
	local_link_drop(&f->link);
	local_link_take(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0);
}

/* And for no longer than the backend goes on. */
static void being_told_to_come_later_ends_with_the_records(void **state)
{
	struct fixture *f = *state;

	lose(f);
	listen_again(f);
	local_link_take_back(&f->server, &f->link);
	local_link_refuse(&f->link, XARING_REASON_BUSY);
	update(f);
	for (int i = 0; i < 200 && !local_server_waits(&f->server); i++) {
		f->now += 10 * MS;
		update(f);
	}
	assert_false(f->state.attached);
	local_link_drop(&f->link);
	local_link_take(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0);
}

/* The page speaks for the backend, also without a server. */
static void a_backend_that_breaks_it_is_heard(void **state)
{
	struct fixture *f = *state;

	lose(f);
	local_server_listen(&f->server);
	xaring_store(&f->link.pages.control->backend.status,
		     XARING_BACKEND_BROKEN | XARING_REASON_COUNTER << XARING_BACKEND_REASON_SHIFT);
	update(f);
	assert_false(f->state.attached);
	f->now += 200 * MS;
	update(f);
	assert_false(local_server_waits(&f->server));
	f->now += 50 * MS;
	update(f);
	assert_true(local_server_waits(&f->server));
}

static void a_pause_keeps_the_pages(void **state)
{
	struct fixture *f = *state;

	lose(f);
	for (int i = 0; i < 1000; i++) /* however long it was away before */
		cycle(f);
	xaring_client_pause(f->client, f->now);
	assert_int_equal(xaring_word_state(local_word(&f->link)), XARING_STATE_PAUSED);
	local_cycle(&f->link, f->consumed, 0, f->now);
	f->now += 9 * S;
	update(f);
	xaring_client_resume(f->client, f->now);
	assert_int_equal(xaring_word_state(local_word(&f->link)), XARING_STATE_RUNNING);
	local_cycle(&f->link, f->consumed, QUANTUM, f->now);
	update(f);
	assert_true(f->state.attached);
	cycle(f);
	/* And a server that returns meanwhile is told nothing: nothing runs. */
	xaring_client_pause(f->client, f->now);
	local_server_listen(&f->server);
	f->now += 500 * MS;
	update(f);
	local_link_take_back(&f->server, &f->link);
	local_link_keep(&f->server, &f->link, f->link.epoch);
	update(f);
	assert_true(f->state.linked);
	assert_int_equal(local_link_kick(&f->link), 0);
	f->now += 60 * S;
	update(f);
	xaring_client_resume(f->client, f->now);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	local_cycle(&f->link, f->consumed, QUANTUM, f->now);
	update(f);
	cycle(f);
}

/* Nothing tells whether the backend is there, so it has an end. */
static void a_stream_at_rest_keeps_them_for_ten_seconds(void **state)
{
	struct fixture *f = *state;

	local_server_vanish(&f->server);
	local_link_hang_up(&f->link);
	update(f);
	update(f);
	assert_false(f->state.linked);
	f->now += 10 * S - 1;
	update(f);
	xaring_client_publish(f->client, 7);
	assert_int_equal(local_written(&f->link), 7);
	f->now += 1;
	update(f);
	xaring_client_publish(f->client, 8);
	assert_int_equal(local_written(&f->link), 7);
	local_server_listen(&f->server);
	f->now += 500 * MS;
	update(f);
	local_link_drop(&f->link);
	local_link_take(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0);
}

/* Where the server is the backend's own, a stream at rest has nothing to wait for. */
static void a_near_server_takes_a_stream_at_rest_along(void **state)
{
	struct fixture *f = *state;

	local_link_hang_up(&f->link);
	update(f);
	xaring_client_publish(f->client, 7);
	assert_int_equal(local_written(&f->link), 0);
	local_link_drop(&f->link);
	local_link_take(&f->server, &f->link);
	assert_true(f->link.open.epoch == 0);
}

/* The word is in the page: a backend that looks by itself finds it. */
static void a_start_without_a_server_is_found_by_the_backend(void **state)
{
	struct fixture *f = *state;

	local_server_vanish(&f->server);
	local_link_hang_up(&f->link);
	update(f);
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1 << 12 | 1);
	f->now += 1 * S;
	update(f);
	assert_int_equal(f->state.pos, 0);
	local_cycle(&f->link, 0, QUANTUM, f->now);
	update(f);
	assert_true(f->state.attached);
	cycle(f);
}

static void a_start_without_anybody_runs_free_in_time(void **state)
{
	struct fixture *f = *state;

	local_server_vanish(&f->server);
	local_link_hang_up(&f->link);
	update(f);
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	f->now += 2 * S;
	update(f);
	f->now += 20 * MS;
	update(f);
	assert_int_equal(f->state.pos, 960);
	xaring_client_stop(f->client);
	publish(f, 960 + BUFFER);
	xaring_client_start(f->client, f->now, 960);
	f->now += 20 * MS;
	update(f);
	assert_int_equal(f->state.pos, 960 + 960); /* not a second time */
}

static void a_drain_without_a_server_ends_with_the_last_frame(void **state)
{
	struct fixture *f = *state;

	lose(f);
	xaring_client_drain(f->client, f->now);
	assert_int_equal(xaring_word_state(local_word(&f->link)), XARING_STATE_DRAINING);
	for (uint32_t left = BUFFER; left > 0; left -= QUANTUM) {
		assert_false(f->state.drained);
		f->now += QUANTUM_NS;
		f->consumed += QUANTUM;
		local_cycle(&f->link, f->consumed, QUANTUM, f->now);
		update(f);
	}
	assert_true(f->state.drained);
	xaring_client_stop(f->client);
	assert_int_equal(xaring_word_state(local_word(&f->link)), XARING_STATE_STOPPED);
	local_server_listen(&f->server);
	f->now += 500 * MS;
	update(f);
	local_link_take_back(&f->server, &f->link);
	local_link_keep(&f->server, &f->link, f->link.epoch);
	update(f);
	assert_true(f->state.linked);
}

static void a_release_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	lose(f);
	xaring_client_release(f->client);
	assert_int_equal(xaring_word_state(local_word(&f->link)), XARING_STATE_STOPPED);
	update(f);
	assert_false(f->state.linked || is_readable(f));
}

#define FAR(test)  cmocka_unit_test_setup_teardown(test, fixture_make, fixture_free)
#define NEAR(test) cmocka_unit_test_setup_teardown(test, fixture_make_near, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAR(a_running_stream_goes_on_and_returns),
		NEAR(a_running_stream_goes_on_and_returns),
		FAR(a_connection_that_ended_is_out_of_the_poll_set),
		FAR(a_wake_up_by_the_timer_is_none_by_the_server),
		FAR(a_frontend_that_never_polls_notices_within_a_second),
		NEAR(a_near_server_is_not_looked_at),
		FAR(a_server_that_is_away_for_long_is_sought_for_long),
		FAR(pages_survive_bad_servers),
		FAR(the_status_page_is_swapped),
		FAR(stale_records_end_it),
		NEAR(stale_records_end_it),
		FAR(an_answer_too_late_finds_nobody),
		FAR(a_keep_of_another_epoch_breaks_the_link),
		FAR(a_keep_without_a_status_page_breaks_the_link),
		FAR(a_keep_that_was_not_asked_for_breaks_the_link),
		FAR(a_server_that_does_not_know_it_gives_new_pages),
		FAR(a_refusal_ends_it),
		FAR(being_told_to_come_later_keeps_the_pages),
		FAR(being_busy_while_linked_ends_it),
		FAR(being_told_to_come_later_ends_with_the_records),
		FAR(a_backend_that_breaks_it_is_heard),
		FAR(a_pause_keeps_the_pages),
		FAR(a_stream_at_rest_keeps_them_for_ten_seconds),
		NEAR(a_near_server_takes_a_stream_at_rest_along),
		FAR(a_start_without_a_server_is_found_by_the_backend),
		FAR(a_start_without_anybody_runs_free_in_time),
		FAR(a_drain_without_a_server_ends_with_the_last_frame),
		FAR(a_release_leaves_nothing),
	};

	return cmocka_run_group_tests_name("client-keep", tests, NULL, NULL);
}
