/* SPDX-License-Identifier: MIT */
/*
 * xaring-guestd between programs, a xenstored and a backend that are the test: what is published,
 * when a program gets its pages, and what becomes of both after restores and restarts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenstore.h>

#include <xaring/mixer.h>
#include <xaring/pages.h>
#include <xaring/shared.h>

#include "guest-box.h"

/* A refusal as a backend gives it. */
static const struct xaring_refusal no_more_streams = {.reason = XARING_REASON_STREAMS,
						      .value = 9,
						      .min = 1,
						      .max = 8};

static struct box *box;

static int begin_box(void **state)
{
	(void)state;
	box = box_start();
	return 0;
}

static int begin(void **state)
{
	begin_box(state);
	box_begin_guestd(box);
	return 0;
}

static int end(void **state)
{
	(void)state;
	box_stop(box);
	return 0;
}

/* ---- the way of one stream ---- */

static void usual_stream_is_published_as_the_program_has_it(void **state)
{
	struct xaring_open wanted;
	struct xaring_message open;
	struct xaring_accept accept;
	struct offer offer;
	int fd = client_play(box, &accept);

	(void)state;
	client_usual_open(&open);
	wanted = open.u.open;
	box_wait_streams(box, 1);
	box_offer(box, 0, &offer);
	assert_int_equal(offer.open.epoch, accept.epoch);
	assert_int_not_equal(accept.epoch, 0);
	assert_memory_equal(&offer.open.params, &wanted.params, sizeof(wanted.params));
	assert_string_equal(offer.open.name, "test");
	assert_int_equal(offer.open.version, accept.version);
	assert_int_equal(offer.data_count, 8);
	/* Two domains have two clocks. */
	assert_int_equal(offer.open.features, 0);
	assert_int_equal(accept.features, 0);
	assert_int_equal(accept.capacity, 8192);
	assert_int_equal(accept.data_pages, 8);
	close(fd);
}

static void pages_can_be_mapped_and_written_by_the_program(void **state)
{
	struct xaring_shape shape = {.frame_bytes = 4,
				     .capacity = 8192,
				     .data_pages = 8,
				     .pages = 9};
	struct xaring_pages pages = {0};
	struct xaring_status_page *status;
	struct xaring_message message;
	int fd = client_open(box, 0);

	(void)state;
	assert_int_equal(client_receive(fd, &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_ACCEPT);
	assert_int_equal(xaring_pages_map(&pages, &shape, message.fds[0],
					  message.u.accept.control_offset, message.fds[1],
					  message.u.accept.data_offset, true),
			 0);
	assert_int_equal(xaring_status_map(message.fds[2], false, &status), 0);
	xaring_message_finish(&message);
	memset(pages.data, 0x55, pages.data_bytes);
	xaring_store(&pages.control->guest.alive, 1);
	assert_int_equal(xaring_load(&status->version), XARING_PROTOCOL_VERSION);
	xaring_pages_unmap(&pages);
	xaring_status_unmap(status);
	close(fd);
}

static void end_of_the_connection_removes_the_node(void **state)
{
	struct xaring_accept first, second;
	int a = client_play(box, &first), b = client_play(box, &second);
	struct offer offer;

	(void)state;
	box_wait_streams(box, 2);
	close(a);
	box_wait_streams(box, 1);
	box_offer(box, 0, &offer);
	assert_int_equal(offer.open.epoch, second.epoch);
	close(b);
	box_wait_streams(box, 0);
}

/* guestd keeps no page: they go with the program's last mapping. */
static void pages_are_the_programs_alone(void **state)
{
	struct xaring_message message;
	int fd = client_open(box, 0);

	(void)state;
	assert_int_equal(client_receive(fd, &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_ACCEPT);
	assert_int_equal(box_granted(box), 9);
	xaring_message_finish(&message);
	box_wait_granted(box, 0);
	close(fd);
}

static bool kick_is_zero(void)
{
	const char *kick = box_node(box, "kick");

	return !kick || strtoul(kick, NULL, 10) == 0;
}

static unsigned long wait_kick(unsigned long above)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;
	unsigned long kick = above;

	while (kick <= above) {
		const char *text = box_node(box, "kick");

		if (text)
			kick = strtoul(text, NULL, 10);
		if (box_now_ms() >= until_ms)
			fail_msg("the kick does not come");
		poll(NULL, 0, 2);
	}
	return kick;
}

static void kicks_are_counted_and_many_are_few(void **state)
{
	int fd = client_play(box, NULL);
	unsigned long kick, before;

	(void)state;
	box_wait_streams(box, 1);
	assert_true(kick_is_zero());
	client_kick(fd, XARING_KICK_START);
	kick = wait_kick(0);
	/* The first is under way while the others come. */
	box_store(box, "stall 7");
	before = box_operations(box);
	for (int i = 0; i < 20; i++)
		client_kick(fd, XARING_KICK_START);
	box_store(box, "resume 7");
	wait_kick(kick);
	client_kick(fd, XARING_KICK_DRAIN);
	close(fd);
	box_wait_streams(box, 0);
	assert_in_range(box_operations(box) - before, 2, 5);
	assert_in_range(wait_kick(kick), kick + 1, kick + 4);
}

/* The backend does not listen to a guest that writes 200 times in a second. */
static void kicks_of_many_programs_are_few(void **state)
{
	int fds[4];
	uint64_t begin_ms, past_ms;
	unsigned before;

	(void)state;
	for (int i = 0; i < 4; i++)
		fds[i] = client_play(box, NULL);
	box_wait_streams(box, 4);
	before = box_operations(box);
	begin_ms = box_now_ms();
	for (int i = 0; i < 200; i++) {
		client_kick(fds[i % 4], XARING_KICK_START);
		poll(NULL, 0, 1);
	}
	wait_kick(0);
	past_ms = box_now_ms() - begin_ms;
	assert_in_range(box_operations(box) - before, 1, past_ms / 20 + 2);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

/* What guestd asks for when it starts is over. Returns how much it has asked for. */
static unsigned wait_calm(void)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;
	unsigned count = box_operations(box), last;

	do {
		assert_true(box_now_ms() < until_ms);
		last = count;
		poll(NULL, 0, 100);
		count = box_operations(box);
	} while (count != last);
	return count;
}

#define NODES_BURST     32
#define NODES_REFILL_MS 25
#define STREAMS_BURST   60 /* of a user */

static uint64_t nodes_within(uint64_t ms)
{
	return NODES_BURST + ms / NODES_REFILL_MS + 1;
}

/*
 * Nor to one whose programs begin and end as many streams. Kicks as above, what is written or removed,
 * and an answer to all of that: the backend counts its own as well.
 */
static void nodes_of_many_streams_are_not_written_at_once(void **state)
{
	unsigned before = wait_calm(), done;
	uint64_t begin_ms = box_now_ms();
	struct xaring_accept accept;
	struct offer offer;
	int fd;

	(void)state;
	assert_in_range(2 * nodes_within(999) + 1000 / 20 + 1, 1, 200);
	for (int i = 0; i < STREAMS_BURST - 1; i++)
		close(client_play(box, NULL));
	done = box_operations(box) - before;
	assert_in_range(done, 1, nodes_within(box_now_ms() - begin_ms));
	fd = client_play(box, &accept);
	box_wait_streams(box, 1);
	box_offer(box, accept.epoch, &offer);
	done = box_operations(box) - before;
	assert_in_range(done, 2, nodes_within(box_now_ms() - begin_ms));
	close(fd);
}

/* The smallest there is: many of them are there at a time. */
static int open_small(uint64_t *epoch)
{
	struct xaring_message message;
	int fd = client_connect(box);

	client_usual_open(&message);
	message.u.open.params.rate_hz = 8000;
	message.u.open.params.channels = 1;
	message.u.open.params.buffer = 256;
	message.u.open.params.period = 64;
	assert_int_equal(client_send(fd, &message), 0);
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	*epoch = message.u.accept.epoch;
	return fd;
}

/* Whoever looks for answers sees nodes that wait for their removal: they are not strangers. */
static void many_nodes_are_not_removed_at_once(void **state)
{
	uint64_t begin_ms, epochs[STREAMS_BURST];
	struct offer offer;
	uint32_t number;
	int fds[STREAMS_BURST];

	(void)state;
	for (int i = 0; i < STREAMS_BURST; i++)
		fds[i] = open_small(&epochs[i]);
	box_wait_streams(box, STREAMS_BURST);
	/* As many may be removed at once as after a rest. */
	poll(NULL, 0, NODES_BURST * NODES_REFILL_MS);
	number = box_offer(box, epochs[0], &offer);
	begin_ms = box_now_ms();
	for (int i = 1; i < STREAMS_BURST; i++)
		close(fds[i]);
	box_answer(box, number, &no_more_streams);
	client_expect_refusal(fds[0], XARING_REASON_STREAMS, NULL);
	box_wait_streams(box, 0);
	assert_true(box_now_ms() - begin_ms >= (STREAMS_BURST - NODES_BURST - 1) * NODES_REFILL_MS);
}

static void kick_that_follows_another_one_comes(void **state)
{
	int fd = client_play(box, NULL);
	unsigned long kick = 0;

	(void)state;
	client_kick(fd, XARING_KICK_START);
	kick = wait_kick(kick);
	client_kick(fd, XARING_KICK_START);
	kick = wait_kick(kick);
	client_kick(fd, XARING_KICK_DRAIN);
	wait_kick(kick);
	close(fd);
}

/* From publishing to closing: the bound is 10. */
static void stream_costs_few_operations(void **state)
{
	unsigned before;
	int fd;

	(void)state;
	box_set_backend(box, 0, true);
	box_wait_line(box, "the backend is there");
	before = box_operations(box);
	fd = client_play(box, NULL);
	client_kick(fd, XARING_KICK_START);
	wait_kick(0);
	client_kick(fd, XARING_KICK_DRAIN);
	wait_kick(1);
	close(fd);
	box_wait_streams(box, 0);
	print_message("%u operations\n", box_operations(box) - before);
	assert_in_range(box_operations(box) - before, 2, 10);
}

static void impossible_stream_is_refused_with_what_is_possible(void **state)
{
	struct xaring_refusal refusal;
	struct xaring_message open;
	int fd = client_connect(box);
	char line[80];

	(void)state;
	client_usual_open(&open);
	open.u.open.params.rate_hz = 4000;
	client_send(fd, &open);
	client_expect_refusal(fd, XARING_REASON_RATE, &refusal);
	assert_int_equal(refusal.value, 4000);
	assert_int_equal(refusal.max, XARING_RATE_MAX);
	snprintf(line, sizeof(line), "test, of user %u: rate 4000 Hz is refused", getuid());
	assert_int_equal(box_lines(box, line), 1);
}

static void version_that_is_too_new_is_refused(void **state)
{
	struct xaring_message open;
	int fd = client_connect(box);

	(void)state;
	client_usual_open(&open);
	open.u.open.version_min = open.u.open.version = XARING_PROTOCOL_VERSION + 1;
	client_send(fd, &open);
	client_expect_refusal(fd, XARING_REASON_VERSION, NULL);
}

static void assert_readable(struct xs_handle *xs, const char *path)
{
	unsigned bytes;
	char *value = xs_read(xs, XBT_NULL, path, &bytes);

	assert_non_null(value);
	free(value);
}

static struct xs_handle *connect_as(uint32_t domid)
{
	struct xs_handle *xs;

	fake_xen_be(&box->xen, domid);
	xs = xs_open(XS_OPEN_SOCKETONLY);
	assert_non_null(xs);
	fake_xen_be(&box->xen, 0);
	return xs;
}

/* ---- the backend's word ---- */

/* The pages of the only stream, as the backend has them. */
static struct xaring_control_page *map_only(struct xaring_pages *pages)
{
	struct offer offer;

	memset(pages, 0, sizeof(*pages));
	box_wait_streams(box, 1);
	box_offer(box, 0, &offer);
	assert_int_equal(box_map(box, 0, &offer, pages), 0);
	return pages->control;
}

static void begin_with_backend(void)
{
	box_set_backend(box, 0, true);
	box_wait_line(box, "the backend is there");
}

/* The machine may be busy at any time: the fastest of some tries counts. */
static uint64_t fastest_open_ms(void)
{
	uint64_t fastest_ms = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t before_ms = box_now_ms();

		close(client_play(box, NULL));
		if (box_now_ms() - before_ms < fastest_ms)
			fastest_ms = box_now_ms() - before_ms;
	}
	return fastest_ms;
}

static void without_a_backend_nobody_waits(void **state)
{
	(void)state;
	assert_in_range(fastest_open_ms(), 0, 149);
}

static void pages_come_when_the_backend_has_accepted(void **state)
{
	struct xaring_control_page *control;
	struct xaring_message message;
	struct xaring_pages pages;
	int fd;

	(void)state;
	begin_with_backend();
	fd = client_open(box, 0);
	control = map_only(&pages);
	xaring_store(&control->backend.status, XARING_BACKEND_ACCEPTED);
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	xaring_pages_unmap(&pages);
	close(fd);
}

/* A program gives up after 250 ms. */
static void silent_backend_is_not_waited_for_long(void **state)
{
	(void)state;
	begin_with_backend();
	assert_in_range(fastest_open_ms(), 150, 249);
}

static void refusal_in_the_page_reaches_the_program(void **state)
{
	struct xaring_control_page *control;
	struct xaring_pages pages;
	int fd;

	(void)state;
	begin_with_backend();
	fd = client_open(box, 0);
	control = map_only(&pages);
	xaring_store(&control->backend.status,
		     XARING_BACKEND_REFUSED | XARING_REASON_POLICY << XARING_BACKEND_REASON_SHIFT);
	client_expect_refusal(fd, XARING_REASON_POLICY, NULL);
	xaring_pages_unmap(&pages);
	box_wait_streams(box, 0);
}

static void answer_reaches_the_program_that_waits(void **state)
{
	struct xaring_refusal refusal;
	struct offer offer;
	unsigned before;
	int fd;

	(void)state;
	begin_with_backend();
	before = box_operations(box);
	fd = client_open(box, 0);
	box_wait_streams(box, 1);
	box_answer(box, box_offer(box, 0, &offer), &no_more_streams);
	client_expect_refusal(fd, XARING_REASON_STREAMS, &refusal);
	assert_memory_equal(&refusal, &no_more_streams, sizeof(refusal));
	box_wait_streams(box, 0);
	assert_in_range(box_operations(box) - before, 4, 10);
}

static void late_answer_reaches_the_program_that_plays(void **state)
{
	struct xaring_accept first, second;
	struct offer offer;
	int a = client_play(box, &first), b = client_play(box, &second);

	(void)state;
	box_wait_streams(box, 2);
	box_answer(box, box_offer(box, first.epoch, &offer), &no_more_streams);
	client_expect_refusal(a, XARING_REASON_STREAMS, NULL);
	box_wait_streams(box, 1);
	assert_false(client_is_readable(b, 0));
	close(b);
}

/* In one transaction, while the daemon cannot look: what it hears is one. */
static void refuse_both(const uint32_t numbers[2])
{
	struct xs_handle *xs = connect_as(0);
	xs_transaction_t transaction = xs_transaction_start(xs);
	char text[ANSWER_TEXT_MAX + 1], path[80];

	answer_encode(&no_more_streams, text);
	kill(box->guestd, SIGSTOP);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/local/domain/7/data/xaring/stream/%u/answer",
			 numbers[i]);
		assert_true(xs_write(xs, transaction, path, text, (unsigned)strlen(text)));
	}
	assert_true(xs_transaction_end(xs, transaction, false));
	kill(box->guestd, SIGCONT);
	xs_close(xs);
}

static void answers_to_who_waits_and_who_does_not_come_as_one(void **state)
{
	struct xaring_accept accept;
	struct xaring_message message;
	struct xaring_pages pages;
	struct offer offer;
	uint32_t numbers[2];
	int settled, waiting;

	(void)state;
	begin_with_backend();
	settled = client_open(box, 0);
	xaring_store(&map_only(&pages)->backend.status, XARING_BACKEND_ACCEPTED);
	client_expect(settled, XARING_MESSAGE_ACCEPT, &message);
	numbers[0] = box_offer(box, 0, &offer);
	waiting = client_play(box, &accept);
	box_wait_streams(box, 2);
	numbers[1] = box_offer(box, accept.epoch, &offer);
	refuse_both(numbers);
	client_expect_refusal(waiting, XARING_REASON_STREAMS, NULL);
	client_expect_refusal(settled, XARING_REASON_STREAMS, NULL);
	box_wait_streams(box, 0);
	xaring_pages_unmap(&pages);
}

/* The backend has not seen the end of a stream when it answers: the node comes back. */
static void answer_to_a_stream_that_is_gone_is_removed(void **state)
{
	int fd = client_play(box, NULL);
	struct offer offer;
	uint32_t number;

	(void)state;
	box_wait_streams(box, 1);
	number = box_offer(box, 0, &offer);
	close(fd);
	box_wait_streams(box, 0);
	box_answer(box, number, &no_more_streams);
	box_wait_streams(box, 0);
	/* And hits nobody: the number is not used again at once. */
	close(client_play(box, NULL));
}

static void malformed_answer_is_a_refusal(void **state)
{
	struct offer offer;
	int fd = client_play(box, NULL);

	(void)state;
	box_wait_streams(box, 1);
	box_store(box, "write /local/domain/7/data/xaring/stream/%u/answer nonsense",
		  box_offer(box, 0, &offer));
	client_expect_refusal(fd, XARING_REASON_MESSAGE, NULL);
}

static struct xaring_status_page *map_status(int *fd)
{
	struct xaring_status_page *status;
	struct xaring_message message;

	*fd = client_open(box, 0);
	assert_int_equal(client_receive(*fd, &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_ACCEPT);
	assert_int_equal(xaring_status_map(message.fds[2], false, &status), 0);
	xaring_message_finish(&message);
	return status;
}

static void wait_flags(struct xaring_status_page *status, uint32_t flags)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;

	while (xaring_load(&status->flags) != flags) {
		if (box_now_ms() >= until_ms)
			fail_msg("flags are %x", xaring_load(&status->flags));
		poll(NULL, 0, 2);
	}
}

static void status_page_says_whether_the_backend_is_there(void **state)
{
	struct xaring_status_page *status;
	uint32_t serial;
	int fd;

	(void)state;
	status = map_status(&fd);
	wait_flags(status, 0);
	serial = xaring_load(&status->serial);
	box_set_backend(box, 0, true);
	wait_flags(status, XARING_STATUS_BACKEND);
	assert_int_equal(xaring_load(&status->serial), serial + 1);
	box_set_backend(box, 0, false);
	wait_flags(status, 0);
	xaring_status_unmap(status);
	close(fd);
}

/* ---- restored ---- */

static void restored_guest_gets_new_pages_and_is_published_again(void **state)
{
	struct xaring_message message;
	struct xaring_accept accept;
	struct offer before, after;
	int fd = client_play(box, &accept);
	char token[64];

	(void)state;
	box_wait_streams(box, 1);
	box_offer(box, 0, &before);
	snprintf(token, sizeof(token), "%s", box_wait_node(box, "token"));
	box_restore(box, 8);
	client_expect(fd, XARING_MESSAGE_RELINK, &message);
	assert_int_not_equal(message.u.accept.epoch, accept.epoch);
	assert_int_equal(message.u.accept.capacity, accept.capacity);
	box_wait_streams(box, 1);
	box_offer(box, 0, &after);
	assert_int_equal(after.open.epoch, message.u.accept.epoch);
	assert_memory_equal(&after.open.params, &before.open.params, sizeof(after.open.params));
	assert_int_equal(strlen(box_wait_node(box, "token")), 32);
	close(fd);
	box_wait_streams(box, 0);
}

static void restore_after_restore_works(void **state)
{
	struct xaring_message message;
	int fd = client_play(box, NULL);

	(void)state;
	for (uint32_t domid = 8; domid < 11; domid++) {
		box_restore(box, domid);
		client_expect(fd, XARING_MESSAGE_RELINK, &message);
		box_wait_streams(box, 1);
	}
	close(client_play(box, NULL));
	close(fd);
	box_wait_streams(box, 0);
}

/* A guest that was restored with the number that it had. */
static void restore_to_an_equal_domid_is_noticed(void **state)
{
	struct xaring_message message;
	int fd = client_play(box, NULL);

	(void)state;
	box_wait_streams(box, 1);
	box_store(box, "rm /local/domain/7/data/xaring");
	box_store(box, "write /local/domain/7/domid 7");
	client_expect(fd, XARING_MESSAGE_RELINK, &message);
	box_wait_streams(box, 1);
	close(fd);
}

/* A save that was cancelled, or a checkpoint: the watch fires, and nothing has happened. */
static void nothing_happens_when_the_token_is_there(void **state)
{
	struct xaring_accept accept;
	int fd = client_play(box, &accept);
	struct offer offer;

	(void)state;
	box_wait_streams(box, 1);
	for (int i = 0; i < 5; i++)
		box_store(box, "write /local/domain/7/domid 7");
	/* What is asked for afterwards is done afterwards. */
	close(client_play(box, NULL));
	box_wait_streams(box, 1);
	assert_false(client_is_readable(fd, 0));
	box_offer(box, accept.epoch, &offer);
	close(fd);
}

static void program_that_waits_is_restored_as_well(void **state)
{
	struct xaring_control_page *control;
	struct xaring_message message;
	struct xaring_pages pages;
	struct offer offer;
	int fd;

	(void)state;
	begin_with_backend();
	fd = client_open(box, 0);
	box_wait_streams(box, 1);
	box_restore(box, 8);
	control = map_only(&pages);
	xaring_store(&control->backend.status, XARING_BACKEND_ACCEPTED);
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	box_offer(box, 0, &offer);
	assert_int_equal(message.u.accept.epoch, offer.open.epoch);
	xaring_pages_unmap(&pages);
	close(fd);
}

static void client_that_goes_while_it_is_restored_is_gone(void **state)
{
	int fd = client_play(box, NULL);

	(void)state;
	box_wait_streams(box, 1);
	box_store(box, "stall all");
	close(fd);
	box_store(box, "resume all");
	box_restore(box, 8);
	box_wait_node(box, "token");
	box_wait_streams(box, 0);
}

/* The pages that programs still have stand in the way of others. */
static void pages_that_cannot_be_had_yet_come_later(void **state)
{
	struct xaring_message message;
	int fd, taken;

	(void)state;
	box->device_pages = 20;
	box_begin_guestd(box);
	fd = client_play(box, NULL);
	box_wait_streams(box, 1);
	box_wait_granted(box, 0);
	taken = box_take_pages(8, 14);
	box_restore(box, 8);
	box_wait_node(box, "token");
	assert_false(client_is_readable(fd, 300));
	close(taken);
	box_granted(box);
	client_expect(fd, XARING_MESSAGE_RELINK, &message);
	box_wait_streams(box, 1);
	close(fd);
}

static void another_backend_gets_the_pages(void **state)
{
	struct xaring_message message;
	struct xaring_pages pages = {0};
	struct xs_handle *xs;
	struct offer offer;
	char path[80];
	int fd = client_play(box, NULL);

	(void)state;
	box_wait_streams(box, 1);
	box_store(box, "create 3 audio 00000000-0000-0000-0000-000000000003");
	box_store(box, "write /local/domain/7/xaring/backend-id 3");
	assert_int_equal(client_receive(fd, &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_RELINK);
	box_wait_streams(box, 1);
	box_set_backend(box, 3, true);
	box_wait_line(box, "the backend is there");
	/* The program's descriptors keep the pages. */
	box_offer(box, 0, &offer);
	assert_true(box_map(box, 0, &offer, &pages) < 0);
	assert_int_equal(box_map(box, 3, &offer, &pages), 0);
	xaring_pages_unmap(&pages);
	xaring_message_finish(&message);
	snprintf(path, sizeof(path), "/local/domain/7/data/xaring/stream/%u",
		 box_offer(box, 0, &offer));
	xs = connect_as(3);
	assert_readable(xs, path);
	xs_close(xs);
	close(fd);
}

/* As that domain: it may read what it needs, and answer. */
static void another_backend_can_answer(void **state)
{
	struct xs_handle *xs;
	struct offer offer;
	char path[80];
	int fd;

	(void)state;
	box_store(box, "create 3 audio 00000000-0000-0000-0000-000000000003");
	box_store(box, "write /local/domain/7/xaring/backend-id 3");
	box_begin_guestd(box);
	fd = client_play(box, NULL);
	client_kick(fd, XARING_KICK_START);
	wait_kick(0);
	box_wait_streams(box, 1);
	snprintf(path, sizeof(path), "/local/domain/7/data/xaring/stream/%u",
		 box_offer(box, 0, &offer));
	xs = connect_as(3);
	assert_readable(xs, path);
	assert_readable(xs, "/local/domain/7/data/xaring/kick");
	assert_false(xs_write(xs, XBT_NULL, "/local/domain/7/data/xaring/token", "x", 1));
	strcat(path, "/answer");
	assert_true(xs_write(xs, XBT_NULL, path, "reason=8 value=0 min=0 max=0", 28));
	xs_close(xs);
	client_expect_refusal(fd, XARING_REASON_POLICY, NULL);
	box_wait_streams(box, 0);
}

/* ---- restarted ---- */

static void restart(int signal)
{
	box_end_guestd(box, signal);
	box_begin_guestd(box);
}

static void running_stream_is_known_to_the_next_guestd(int signal)
{
	struct xaring_message message;
	struct xaring_accept accept;
	struct offer before, after;
	char token[64];
	int fd = client_play(box, &accept), other;
	uint32_t number;

	box_wait_streams(box, 1);
	number = box_offer(box, 0, &before);
	snprintf(token, sizeof(token), "%s", box_wait_node(box, "token"));
	restart(signal);
	client_expect_end(fd);
	fd = client_open(box, accept.epoch);
	client_expect(fd, XARING_MESSAGE_KEEP, &message);
	assert_int_equal(message.u.keep_epoch, accept.epoch);
	assert_string_equal(box_wait_node(box, "token"), token);
	assert_int_equal(box_offer(box, 0, &after), number);
	assert_memory_equal(&before, &after, sizeof(before));
	/* Numbers go on, so that no answer of before hits a stream of now. */
	other = client_play(box, &accept);
	box_wait_streams(box, 2);
	assert_true(box_offer(box, accept.epoch, &after) > number);
	close(other);
	box_wait_streams(box, 1);
	/* As any other from here on. */
	client_kick(fd, XARING_KICK_START);
	wait_kick(0);
	box_restore(box, 8);
	client_expect(fd, XARING_MESSAGE_RELINK, &message);
	box_wait_streams(box, 1);
	/* And again, in the new domain. */
	restart(signal);
	client_expect_end(fd);
	fd = client_open(box, message.u.accept.epoch);
	client_expect(fd, XARING_MESSAGE_KEEP, &message);
	close(fd);
	box_wait_streams(box, 0);
}

static void stream_survives_a_killed_guestd(void **state)
{
	(void)state;
	running_stream_is_known_to_the_next_guestd(SIGKILL);
}

static void stream_survives_a_stopped_guestd(void **state)
{
	(void)state;
	running_stream_is_known_to_the_next_guestd(SIGTERM);
}

static void kick_goes_on_counting_after_a_restart(void **state)
{
	int fd = client_play(box, NULL);
	unsigned long kick;

	(void)state;
	client_kick(fd, XARING_KICK_START);
	kick = wait_kick(0);
	restart(SIGKILL);
	close(fd);
	fd = client_play(box, NULL);
	client_kick(fd, XARING_KICK_START);
	assert_int_equal(wait_kick(kick), kick + 1);
	close(fd);
}

static void unknown_epoch_gets_new_pages(void **state)
{
	struct xaring_message message;
	int fd = client_open(box, 0x1234567890abcdef);

	(void)state;
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	assert_int_not_equal(message.u.accept.epoch, 0x1234567890abcdef);
	close(fd);
}

static void epoch_with_another_shape_gets_new_pages(void **state)
{
	struct xaring_message message;
	struct xaring_accept accept;
	int fd = client_play(box, &accept);

	(void)state;
	box_wait_streams(box, 1);
	restart(SIGKILL);
	close(fd);
	fd = client_connect(box);
	client_usual_open(&message);
	message.u.open.epoch = accept.epoch;
	message.u.open.params.channels = 1;
	client_send(fd, &message);
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	close(fd);
}

static void live_stream_can_come_by_another_connection(void **state)
{
	struct xaring_message message;
	struct xaring_accept accept;
	int first = client_play(box, &accept), second;

	(void)state;
	box_wait_streams(box, 1);
	second = client_open(box, accept.epoch);
	client_expect(second, XARING_MESSAGE_KEEP, &message);
	client_expect_end(first);
	box_wait_streams(box, 1);
	close(second);
	box_wait_streams(box, 0);
}

/* Other users do not get a stream by its epoch. */
static void live_stream_is_its_users_only(void **state)
{
	struct xaring_message message;
	struct xaring_accept accept;
	int first = client_play(box, &accept), second;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(seteuid(1000), 0);
	second = client_open(box, accept.epoch);
	assert_int_equal(seteuid(0), 0);
	client_expect(second, XARING_MESSAGE_ACCEPT, &message);
	assert_false(client_is_readable(first, 0));
	close(first);
	close(second);
}

/* ---- who records ---- */

#define USER  1000
#define AUDIO 29

static void be_user(uid_t uid, gid_t group)
{
	assert_int_equal(setgroups(1, &group), 0);
	assert_int_equal(setegid(uid), 0);
	assert_int_equal(seteuid(uid), 0);
}

static void be_root(void)
{
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
}

/* Asks for a stream as that user in that group. Returns the connection, or -1 for those who are not root. */
static int open_as(uid_t uid, gid_t group, enum xaring_direction direction, uint64_t epoch)
{
	struct xaring_message message;
	int fd;

	if (geteuid() != 0)
		return -1;
	be_user(uid, group);
	fd = client_connect(box);
	be_root();
	client_usual_open(&message);
	message.u.open.params.direction = direction;
	message.u.open.epoch = epoch;
	assert_int_equal(client_send(fd, &message), 0);
	return fd;
}

static void expect_accepted(int fd, uint64_t *epoch)
{
	struct xaring_message message;

	if (fd < 0)
		return;
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	if (epoch)
		*epoch = message.u.accept.epoch;
	else
		close(fd);
}

static void stranger_may_not_record(void **state)
{
	int fd;

	(void)state;
	box->audio = AUDIO;
	box_begin_guestd(box);
	fd = open_as(USER, USER, XARING_CAPTURE, 0);
	if (fd < 0)
		return;
	client_expect_refusal(fd, XARING_REASON_USER, NULL);
	assert_int_equal(box_lines(box,
				   "test, of user 1000: by the guest's own rules, recording is "
				   "refused: members of the group audio"),
			 1);
	box_wait_streams(box, 0);
	expect_accepted(open_as(USER, USER, XARING_PLAYBACK, 0), NULL);
}

static void root_members_and_local_users_record(void **state)
{
	(void)state;
	box->audio = AUDIO;
	box->local_uid = USER + 1;
	box_begin_guestd(box);
	expect_accepted(open_as(USER, AUDIO, XARING_CAPTURE, 0), NULL);
	expect_accepted(open_as(USER + 1, USER, XARING_CAPTURE, 0), NULL);
	expect_accepted(open_as(0, 0, XARING_CAPTURE, 0), NULL);
}

static void missing_group_is_told_and_nobody_is_in_it(void **state)
{
	int fd;

	(void)state;
	box_begin_guestd(box);
	assert_int_equal(box_lines(box, "there is no group audio"), 1);
	fd = open_as(USER, AUDIO, XARING_CAPTURE, 0);
	if (fd >= 0)
		client_expect_refusal(fd, XARING_REASON_USER, NULL);
}

/* As with a sound card: who has it open keeps it. */
static void who_records_goes_on_after_a_restart(void **state)
{
	struct xaring_message message;
	uint64_t epoch = 0;
	int fd;

	(void)state;
	box->local_uid = USER;
	box_begin_guestd(box);
	fd = open_as(USER, USER, XARING_CAPTURE, 0);
	if (fd < 0)
		return;
	expect_accepted(fd, &epoch);
	box_wait_streams(box, 1);
	box->local_uid = 0;
	restart(SIGKILL);
	close(fd);
	fd = open_as(USER, USER, XARING_CAPTURE, epoch);
	client_expect(fd, XARING_MESSAGE_KEEP, &message);
	close(fd);
}

/* ---- the guest's own volume ---- */

static struct xaring_mixer *mixer_as(uid_t uid, gid_t group)
{
	struct xaring_mixer *mixer;
	char path[108];

	snprintf(path, sizeof(path), "%s/socket", box->folder);
	if (uid != 0)
		be_user(uid, group);
	assert_int_equal(xaring_mixer_open(path, BOX_DEADLINE_MS, &mixer), 0);
	if (uid != 0)
		be_root();
	return mixer;
}

static int set_volume_as(uid_t uid, gid_t group, uint32_t linear)
{
	struct xaring_mixer *mixer = mixer_as(uid, group);
	int res = xaring_mixer_set(mixer, XARING_SET_VOLUME,
				   &(struct xaring_volume){.linear = linear}, BOX_DEADLINE_MS);

	xaring_mixer_close(mixer);
	return res;
}

static void assert_volume(uint32_t linear)
{
	struct xaring_mixer *mixer = mixer_as(0, 0);
	struct xaring_volume volume;

	xaring_mixer_get(mixer, &volume);
	assert_int_equal(volume.linear, linear);
	xaring_mixer_close(mixer);
}

/* As with a sound card; everybody may see it. */
static void who_may_record_sets_the_volume(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return;
	box->audio = AUDIO;
	box->local_uid = USER + 1;
	box_begin_guestd(box);
	assert_volume(XARING_VOLUME_UNITY);
	assert_int_equal(set_volume_as(USER, USER, 1), -EPERM);
	assert_volume(XARING_VOLUME_UNITY);
	assert_int_equal(set_volume_as(USER, AUDIO, 2), 0);
	assert_volume(2);
	assert_int_equal(set_volume_as(USER + 1, USER, 3), 0);
	assert_int_equal(set_volume_as(0, 0, 4), 0);
	assert_volume(4);
}

/* A second after it was set, when it is killed. */
static void the_volume_is_kept(void **state)
{
	uint64_t until_ms;
	struct stat st;
	char path[108];

	(void)state;
	if (geteuid() != 0)
		return;
	box_begin_guestd(box);
	assert_int_equal(set_volume_as(0, 0, 555), 0);
	restart(SIGTERM);
	assert_volume(555);
	assert_int_equal(set_volume_as(0, 0, 666), 0);
	snprintf(path, sizeof(path), "%s/volume", box->folder);
	assert_int_equal(unlink(path), 0);
	until_ms = box_now_ms() + BOX_DEADLINE_MS;
	while (stat(path, &st) < 0) {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 10);
	}
	restart(SIGKILL);
	assert_volume(666);
}

static void stream_whose_program_does_not_come_back_is_removed(void **state)
{
	uint64_t until_ms;
	int fd = client_play(box, NULL);

	(void)state;
	box_wait_streams(box, 1);
	restart(SIGKILL);
	close(fd);
	/* They wait 10 s for it: as long as a program that rests may take. */
	until_ms = box_now_ms() + 15000;
	while (box_lines(box, "its program has gone") == 0) {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 50);
	}
	box_wait_streams(box, 0);
}

static void orphans_of_a_restored_guest_are_forgotten(void **state)
{
	struct xaring_message message;
	struct xaring_accept accept;
	int fd = client_play(box, &accept);

	(void)state;
	box_wait_streams(box, 1);
	restart(SIGKILL);
	close(fd);
	box_restore(box, 8);
	box_wait_node(box, "token");
	fd = client_open(box, accept.epoch);
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	box_wait_streams(box, 1);
	close(fd);
}

/* It may not read the folder, nor map the pages. */
static void what_was_left_for_another_backend_is_forgotten(void **state)
{
	struct xaring_message message;
	struct xaring_accept accept;
	struct xaring_pages pages = {0};
	struct offer offer;
	int fd = client_play(box, &accept);

	(void)state;
	box_wait_streams(box, 1);
	box_end_guestd(box, SIGKILL);
	close(fd);
	box_store(box, "create 3 audio 00000000-0000-0000-0000-000000000003");
	box_store(box, "write /local/domain/7/xaring/backend-id 3");
	box_begin_guestd(box);
	box_wait_streams(box, 0);
	fd = client_open(box, accept.epoch);
	/* The program's descriptors keep the pages. */
	assert_int_equal(client_receive(fd, &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_ACCEPT);
	box_wait_streams(box, 1);
	box_offer(box, 0, &offer);
	assert_int_equal(box_map(box, 3, &offer, &pages), 0);
	xaring_pages_unmap(&pages);
	xaring_message_finish(&message);
	close(fd);
}

/* What is left there may be anything: the backend, or root of this guest, may have written it. */
static void nonsense_that_was_left_is_removed(void **state)
{
	struct xaring_accept accept;
	struct xaring_message message;
	int fd = client_play(box, &accept);

	(void)state;
	box_wait_streams(box, 1);
	box_end_guestd(box, SIGKILL);
	close(fd);
	box_store(box, "write /local/domain/7/data/xaring/stream/77 nonsense");
	box_store(box, "write /local/domain/7/data/xaring/stream/78 ");
	box_store(box, "write /local/domain/7/data/xaring/kick many");
	box_begin_guestd(box);
	box_wait_streams(box, 1);
	fd = client_open(box, accept.epoch);
	client_expect(fd, XARING_MESSAGE_KEEP, &message);
	close(fd);
}

static void folder_without_a_token_is_made_anew(void **state)
{
	(void)state;
	box_end_guestd(box, SIGKILL);
	box_store(box, "rm /local/domain/7/data/xaring/token");
	box_store(box, "write /local/domain/7/data/xaring/stream/5 version=1");
	box_store(box, "write /local/domain/7/data/xaring/backend version=1 version-min=1");
	box_begin_guestd(box);
	assert_int_equal(strlen(box_wait_node(box, "token")), 32);
	box_wait_streams(box, 0);
	/* That of a backend which runs here as well. */
	assert_non_null(box_node(box, "backend"));
}

/* The backend may write there, and oxenstored cannot tell so many names. */
static void folder_that_cannot_be_listed_is_made_anew(void **state)
{
	(void)state;
	box_end_guestd(box, SIGKILL);
	box_store(box, "whole 7");
	for (int i = 0; i < 300; i++)
		box_store(box, "write /local/domain/7/data/xaring/stream/%03d-is-no-stream x", i);
	box_begin_guestd(box);
	box_wait_streams(box, 0);
	close(client_play(box, NULL));
	box_wait_streams(box, 0);
}

/* What the backend says is not for us then, and nothing else tells that it has said something. */
static void folder_is_looked_at_when_answers_are_not_for_us(void **state)
{
	struct xaring_message message;
	struct offer offer;
	int fd = client_play(box, NULL);
	uint32_t number;

	(void)state;
	box_wait_streams(box, 1);
	number = box_offer(box, 0, &offer);
	box_store(box, "rm /local/domain/7/data/xaring/token");
	box_answer(box, number, &no_more_streams);
	client_expect(fd, XARING_MESSAGE_RELINK, &message);
	assert_int_equal(strlen(box_wait_node(box, "token")), 32);
	close(fd);
	box_wait_streams(box, 0);
}

/* ---- limits ---- */

static void budget_of_the_guest_is_held(void **state)
{
	struct xaring_refusal refusal;
	int a, b;

	(void)state;
	box->pages = 18;
	box_begin_guestd(box);
	a = client_play(box, NULL);
	b = client_play(box, NULL);
	client_expect_refusal(client_open(box, 0), XARING_REASON_PAGES, &refusal);
	assert_int_equal(refusal.value, 27);
	assert_int_equal(refusal.min, 2);
	assert_int_equal(refusal.max, 18);
	close(a);
	/* What is being given back is waited for. */
	close(client_play(box, NULL));
	close(b);
}

static void budget_of_a_user_is_held(void **state)
{
	struct xaring_refusal refusal;
	int own, other;

	(void)state;
	if (geteuid() != 0)
		skip();
	box->pages = 27;
	box->user_pages = 9;
	box_begin_guestd(box);
	own = client_play(box, NULL);
	client_expect_refusal(client_open(box, 0), XARING_REASON_PAGES, &refusal);
	assert_int_equal(refusal.value, 18);
	assert_int_equal(refusal.max, 9);
	assert_int_equal(seteuid(1000), 0);
	other = client_open(box, 0);
	assert_int_equal(seteuid(0), 0);
	client_expect(other, XARING_MESSAGE_ACCEPT, &(struct xaring_message){0});
	close(own);
	close(other);
}

static void pages_of_orphans_count(void **state)
{
	int fd;

	(void)state;
	box->pages = 18;
	box_begin_guestd(box);
	fd = client_play(box, NULL);
	box_wait_streams(box, 1);
	restart(SIGKILL);
	close(fd);
	fd = client_play(box, NULL);
	client_expect_refusal(client_open(box, 0), XARING_REASON_PAGES, NULL);
	close(fd);
}

/* What plays goes on, whoever took its place before it was known. */
static void pages_of_orphans_are_theirs_whoever_comes_early(void **state)
{
	struct xaring_refusal refusal;
	struct xaring_message message;
	struct xaring_accept kept[2];
	int fds[2], early;

	(void)state;
	box->pages = 18;
	box_begin_guestd(box);
	for (int i = 0; i < 2; i++)
		fds[i] = client_play(box, &kept[i]);
	box_wait_streams(box, 2);
	box_end_guestd(box, SIGKILL);
	box_store(box, "stall 7");
	box_begin_guestd(box);
	early = client_play(box, NULL);
	box_store(box, "resume 7");
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		fds[i] = client_open(box, kept[i].epoch);
		client_expect(fds[i], XARING_MESSAGE_KEEP, &message);
	}
	client_expect_refusal(client_open(box, 0), XARING_REASON_PAGES, &refusal);
	assert_int_equal(refusal.value, 36);
	assert_int_equal(refusal.max, 18);
	close(early);
	box_wait_streams(box, 2);
	client_expect_refusal(client_open(box, 0), XARING_REASON_PAGES, &refusal);
	assert_int_equal(refusal.value, 27);
	close(fds[0]);
	close(client_play(box, NULL));
	close(fds[1]);
}

static void full_device_makes_a_smaller_offer(void **state)
{
	struct xaring_refusal refusal;
	struct xaring_message message;
	int fd;

	(void)state;
	box->device_pages = 14;
	box_begin_guestd(box);
	fd = client_open(box, 0);
	assert_int_equal(client_receive(fd, &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_ACCEPT);
	client_expect_refusal(client_open(box, 0), XARING_REASON_PAGES, &refusal);
	assert_int_equal(refusal.value, 18);
	assert_int_equal(refusal.min, 2);
	assert_int_equal(refusal.max, 14);
	assert_int_equal(box_lines(box, "the kernel has fewer pages than --pages"), 1);
	xaring_message_finish(&message);
	close(fd);
}

/* Its program keeps the pages of a stream that is over: that is not counted, but it is said. */
static void pages_that_are_kept_are_named_when_there_are_no_others(void **state)
{
	struct xaring_refusal refusal;
	struct xaring_message kept;
	int fd;

	(void)state;
	box->device_pages = 14;
	box_begin_guestd(box);
	fd = client_open(box, 0);
	assert_int_equal(client_receive(fd, &kept), 0);
	assert_int_equal(kept.type, XARING_MESSAGE_ACCEPT);
	close(fd);
	box_wait_streams(box, 0);
	client_expect_refusal(client_open(box, 0), XARING_REASON_PAGES, &refusal);
	assert_int_equal(refusal.max, 5);
	assert_int_equal(box_lines(box, "a program keeps those of streams that are over"), 1);
	xaring_message_finish(&kept);
	box_wait_granted(box, 0);
	close(client_play(box, NULL));
}

/* A stream has been played and is over; the backend has not let go of its pages yet. */
static void play_and_leave(struct xaring_pages *ended)
{
	struct xaring_message message;
	int fd = client_open(box, 0);

	xaring_store(&map_only(ended)->backend.status, XARING_BACKEND_ACCEPTED);
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	close(fd);
	box_wait_streams(box, 0);
}

/* The backend has to unmap what has ended before the kernel has the pages again. */
static void full_device_is_waited_for_when_a_stream_has_just_ended(void **state)
{
	struct xaring_pages ended, pages;
	struct xaring_message message;
	int waiting;

	(void)state;
	box->device_pages = 14;
	box_begin_guestd(box);
	begin_with_backend();
	play_and_leave(&ended);
	assert_int_equal(box_granted(box), 9);
	waiting = client_open(box, 0);
	assert_false(client_is_readable(waiting, 100));
	xaring_pages_unmap(&ended);
	box_granted(box);
	xaring_store(&map_only(&pages)->backend.status, XARING_BACKEND_ACCEPTED);
	client_expect(waiting, XARING_MESSAGE_ACCEPT, &message);
	xaring_pages_unmap(&pages);
	close(waiting);
}

/* What waits for room is tried again; what waits for the backend's word has its stream already. */
static void who_is_asked_for_gets_one_stream(void **state)
{
	struct xaring_pages ended, pages;
	struct xaring_message message, large;
	int asking, waiting;

	(void)state;
	box->device_pages = 32;
	box_begin_guestd(box);
	begin_with_backend();
	play_and_leave(&ended);
	asking = client_open(box, 0);
	client_usual_open(&large);
	large.u.open.params.buffer = 8192;
	waiting = client_connect(box);
	assert_int_equal(client_send(waiting, &large), 0);
	assert_false(client_is_readable(waiting, 50));
	box_wait_streams(box, 1);
	xaring_store(&map_only(&pages)->backend.status, XARING_BACKEND_ACCEPTED);
	client_expect(asking, XARING_MESSAGE_ACCEPT, &message);
	assert_false(client_is_readable(asking, 200));
	xaring_pages_unmap(&pages);
	xaring_pages_unmap(&ended);
	close(waiting);
	close(asking);
}

static void missing_module_is_named(void **state)
{
	(void)state;
	box->device_pages = 0;
	box_begin_guestd(box);
	client_expect_refusal(client_open(box, 0), XARING_REASON_INTERNAL, NULL);
	assert_int_equal(box_lines(box, "modprobe xen-gntalloc"), 1);
}

static void lines_of_the_log_are_limited(void **state)
{
	(void)state;
	box->device_pages = 0;
	box_begin_guestd(box);
	for (int i = 0; i < STREAMS_BURST; i++)
		client_expect_refusal(client_open(box, 0), XARING_REASON_INTERNAL, NULL);
	assert_in_range(box_lines(box, "of user"), 20, 22);
	assert_in_range(box_lines(box, "modprobe"), 20, 22);
}

static void one_who_is_refused_often_silences_nothing_else(void **state)
{
	struct xaring_message open, play;
	int fd;

	(void)state;
	box->device_pages = 14;
	box_begin_guestd(box);
	client_usual_open(&open);
	open.u.open.params.rate_hz = 4000;
	for (int i = 0; i < 40; i++) {
		fd = client_connect(box);
		client_send(fd, &open);
		client_expect_refusal(fd, XARING_REASON_RATE, NULL);
	}
	assert_in_range(box_lines(box, "of user"), 20, 22);
	fd = client_open(box, 0);
	assert_int_equal(client_receive(fd, &play), 0);
	client_expect_refusal(client_open(box, 0), XARING_REASON_PAGES, NULL);
	assert_int_equal(box_lines(box, "the kernel has fewer pages than --pages"), 1);
	xaring_message_finish(&play);
	close(fd);
}

static bool is_refused_as_busy(enum xaring_direction direction)
{
	struct xaring_message message;
	int fd = client_connect(box);
	bool busy;

	client_usual_open(&message);
	message.u.open.params.direction = direction;
	assert_int_equal(client_send(fd, &message), 0);
	assert_int_equal(client_receive(fd, &message), 0);
	busy = message.type == XARING_MESSAGE_REFUSE &&
	       message.u.refusal.reason == XARING_REASON_BUSY;
	xaring_message_finish(&message);
	close(fd);
	return busy;
}

static void one_who_is_silent_shuts_nobody_else_out(void **state)
{
	uint64_t begin_ms = box_now_ms();
	int silent[60];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(seteuid(1000), 0);
	for (int i = 0; i < 60; i++)
		silent[i] = client_connect(box);
	assert_int_equal(seteuid(0), 0);
	close(client_play(box, NULL));
	/* They are dropped by themselves in 1 s. */
	assert_true(box_now_ms() - begin_ms < 900);
	for (int i = 0; i < 60; i++)
		close(silent[i]);
}

/* All that can be without a stream, each user within his share. */
static void many_who_are_silent_shut_nobody_else_out(void **state)
{
	uint64_t begin_ms = box_now_ms();
	int silent[96];

	(void)state;
	if (geteuid() != 0) {
		print_message("needs root, for three users more\n");
		skip();
	}
	for (int i = 0; i < 96; i++) {
		assert_int_equal(seteuid(1000 + (uid_t)i / 32), 0);
		silent[i] = client_connect(box);
		assert_int_equal(seteuid(0), 0);
	}
	close(client_play(box, NULL));
	assert_true(box_now_ms() - begin_ms < 900);
	client_expect_end(silent[0]);
	assert_false(client_is_readable(silent[1], 0));
	for (int i = 1; i < 96; i++)
		close(silent[i]);
}

/* More than a user's share wait for what is not known yet. */
static void one_who_asks_for_too_much_at_once_is_told_so(void **state)
{
	struct xaring_message message;
	int fds[33];

	(void)state;
	box_store(box, "stall 7");
	box_begin_guestd(box);
	for (int i = 0; i < 33; i++)
		fds[i] = client_open(box, 0x1234567890abcdef);
	client_expect_refusal(fds[32], XARING_REASON_BUSY, NULL);
	assert_false(client_is_readable(fds[0], 0));
	box_store(box, "resume 7");
	client_expect(fds[0], XARING_MESSAGE_ACCEPT, &message);
	for (int i = 0; i < 32; i++)
		close(fds[i]);
}

static void one_who_opens_too_often_is_told_so(void **state)
{
	uint64_t until_ms = box_now_ms() + 2 * BOX_DEADLINE_MS;
	unsigned count = 0;

	(void)state;
	while (!is_refused_as_busy(XARING_PLAYBACK)) {
		assert_true(box_now_ms() < until_ms);
		count++;
	}
	assert_in_range(count, 60, 100);
}

/* Mixers do that, to find the microphone, each time that one is started. */
static void one_who_records_too_often_may_play(void **state)
{
	uint64_t until_ms = box_now_ms() + 2 * BOX_DEADLINE_MS;

	(void)state;
	while (!is_refused_as_busy(XARING_CAPTURE))
		assert_true(box_now_ms() < until_ms);
	for (int i = 0; i < 30; i++)
		close(client_play(box, NULL));
}

/* ---- a xenstored that does not do what it should ---- */

static void stalled_xenstored_stops_nobody(void **state)
{
	struct xaring_status_page *status;
	struct xaring_accept accept;
	struct offer offer;
	int plays, comes;

	(void)state;
	status = map_status(&plays);
	begin_with_backend();
	box_store(box, "stall 7");
	client_kick(plays, XARING_KICK_START);
	comes = client_play(box, &accept);
	wait_flags(status, XARING_STATUS_BACKEND | XARING_STATUS_NO_STORE);
	box_store(box, "resume 7");
	box_wait_streams(box, 2);
	box_offer(box, accept.epoch, &offer);
	wait_flags(status, XARING_STATUS_BACKEND);
	xaring_status_unmap(status);
	close(plays);
	close(comes);
	box_wait_streams(box, 0);
}

static void streams_that_come_and_go_meanwhile_leave_nothing(void **state)
{
	int waits = client_play(box, NULL);

	(void)state;
	/* When a stream is published, all looks at the folder that the start has caused are over. */
	box_wait_streams(box, 1);
	close(waits);
	box_wait_streams(box, 0);
	box_store(box, "stall 7");
	for (int i = 0; i < 26; i++)
		close(client_play(box, NULL));
	/* What is published is not given back before it is removed: the budget bounds what piles up. */
	waits = client_open(box, 0);
	client_expect_end(waits);
	box_store(box, "resume 7");
	box_wait_streams(box, 0);
	close(client_play(box, NULL));
}

static void guestd_starts_while_xenstored_is_stalled(void **state)
{
	struct xaring_accept accept;
	struct offer offer;
	int fd;

	(void)state;
	box_store(box, "stall 7");
	box_begin_guestd(box);
	fd = client_play(box, &accept);
	box_store(box, "resume 7");
	box_wait_streams(box, 1);
	box_offer(box, 0, &offer);
	close(fd);
	box_wait_streams(box, 0);
}

/* Who comes back plays on meanwhile, and is not given other pages before it is known what is there. */
static void who_comes_back_waits_until_it_is_known(void **state)
{
	struct xaring_message message;
	struct xaring_accept accept;
	int fd = client_play(box, &accept);

	(void)state;
	box_wait_streams(box, 1);
	box_end_guestd(box, SIGKILL);
	close(fd);
	box_store(box, "stall 7");
	box_begin_guestd(box);
	fd = client_open(box, accept.epoch);
	assert_false(client_is_readable(fd, 400));
	box_store(box, "resume 7");
	client_expect(fd, XARING_MESSAGE_KEEP, &message);
	close(fd);
}

/* Who comes before it is known what is there does not get the place of what is. */
static void who_comes_early_leaves_orphans_their_places(void **state)
{
	struct xaring_message message;
	struct xaring_accept early, kept;
	struct offer before, after;
	int fd = client_play(box, &kept), other;
	uint32_t number;

	(void)state;
	box_wait_streams(box, 1);
	number = box_offer(box, kept.epoch, &before);
	box_end_guestd(box, SIGKILL);
	close(fd);
	box_store(box, "stall 7");
	box_begin_guestd(box);
	other = client_play(box, &early);
	box_store(box, "resume 7");
	box_wait_streams(box, 2);
	assert_int_equal(box_offer(box, kept.epoch, &after), number);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_true(box_offer(box, early.epoch, &after) > number);
	fd = client_open(box, kept.epoch);
	client_expect(fd, XARING_MESSAGE_KEEP, &message);
	close(fd);
	box_wait_streams(box, 1);
	box_offer(box, early.epoch, &after);
	close(other);
	box_wait_streams(box, 0);
}

static void guestd_ends_while_xenstored_is_stalled(void **state)
{
	int fd = client_play(box, NULL);

	(void)state;
	box_wait_streams(box, 1);
	box_store(box, "stall 7");
	client_kick(fd, XARING_KICK_START);
	close(fd);
	box_end_guestd(box, SIGTERM);
	box_store(box, "resume 7");
	box_begin_guestd(box);
}

static void xenstored_that_was_away_finds_all_published(void **state)
{
	struct xaring_accept accept;
	struct offer offer;
	int plays = client_play(box, NULL), comes;

	(void)state;
	box_wait_streams(box, 1);
	box_store(box, "down");
	comes = client_play(box, &accept);
	box_store(box, "up");
	box_wait_streams(box, 2);
	box_offer(box, accept.epoch, &offer);
	assert_false(client_is_readable(plays, 0));
	close(plays);
	close(comes);
	box_wait_streams(box, 0);
}

/* The tree is lost with it: as after a restore. */
static void xenstored_that_has_forgotten_is_told_again(void **state)
{
	struct xaring_message message;
	int fd = client_play(box, NULL);

	(void)state;
	box_wait_streams(box, 1);
	box_store(box, "down");
	box_store(box, "rm /local/domain/7/data/xaring");
	box_store(box, "up");
	client_expect(fd, XARING_MESSAGE_RELINK, &message);
	box_wait_streams(box, 1);
	close(fd);
}

static void full_xenstore_refuses_a_stream(void **state)
{
	int fd;

	(void)state;
	for (int i = 0; i < 1000; i++)
		box_store(box, "write /local/domain/7/data/other/%d x", i);
	fd = client_open(box, 0);
	client_expect(fd, XARING_MESSAGE_ACCEPT, &(struct xaring_message){0});
	client_expect_refusal(fd, XARING_REASON_INTERNAL, NULL);
	assert_int_equal(box_lines(box, "xenstore refuses a stream"), 1);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, begin, end)
#define QUIET(name) cmocka_unit_test_setup_teardown(name, begin_box, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(usual_stream_is_published_as_the_program_has_it),
		TEST(pages_can_be_mapped_and_written_by_the_program),
		TEST(end_of_the_connection_removes_the_node),
		TEST(pages_are_the_programs_alone),
		TEST(kicks_are_counted_and_many_are_few),
		TEST(kicks_of_many_programs_are_few),
		TEST(nodes_of_many_streams_are_not_written_at_once),
		TEST(many_nodes_are_not_removed_at_once),
		TEST(kick_that_follows_another_one_comes),
		TEST(stream_costs_few_operations),
		TEST(impossible_stream_is_refused_with_what_is_possible),
		TEST(version_that_is_too_new_is_refused),
		TEST(without_a_backend_nobody_waits),
		TEST(pages_come_when_the_backend_has_accepted),
		TEST(silent_backend_is_not_waited_for_long),
		TEST(refusal_in_the_page_reaches_the_program),
		TEST(answer_reaches_the_program_that_waits),
		TEST(late_answer_reaches_the_program_that_plays),
		TEST(answers_to_who_waits_and_who_does_not_come_as_one),
		TEST(answer_to_a_stream_that_is_gone_is_removed),
		TEST(malformed_answer_is_a_refusal),
		TEST(status_page_says_whether_the_backend_is_there),
		TEST(restored_guest_gets_new_pages_and_is_published_again),
		TEST(restore_after_restore_works),
		TEST(restore_to_an_equal_domid_is_noticed),
		TEST(nothing_happens_when_the_token_is_there),
		TEST(program_that_waits_is_restored_as_well),
		TEST(client_that_goes_while_it_is_restored_is_gone),
		QUIET(pages_that_cannot_be_had_yet_come_later),
		TEST(another_backend_gets_the_pages),
		QUIET(another_backend_can_answer),
		TEST(stream_survives_a_killed_guestd),
		TEST(stream_survives_a_stopped_guestd),
		TEST(kick_goes_on_counting_after_a_restart),
		TEST(unknown_epoch_gets_new_pages),
		TEST(epoch_with_another_shape_gets_new_pages),
		TEST(live_stream_can_come_by_another_connection),
		TEST(live_stream_is_its_users_only),
		QUIET(stranger_may_not_record),
		QUIET(root_members_and_local_users_record),
		QUIET(missing_group_is_told_and_nobody_is_in_it),
		QUIET(who_records_goes_on_after_a_restart),
		QUIET(who_may_record_sets_the_volume),
		QUIET(the_volume_is_kept),
		TEST(stream_whose_program_does_not_come_back_is_removed),
		TEST(orphans_of_a_restored_guest_are_forgotten),
		TEST(what_was_left_for_another_backend_is_forgotten),
		TEST(nonsense_that_was_left_is_removed),
		TEST(folder_without_a_token_is_made_anew),
		TEST(folder_that_cannot_be_listed_is_made_anew),
		TEST(folder_is_looked_at_when_answers_are_not_for_us),
		QUIET(budget_of_the_guest_is_held),
		QUIET(budget_of_a_user_is_held),
		QUIET(pages_of_orphans_count),
		QUIET(pages_of_orphans_are_theirs_whoever_comes_early),
		QUIET(full_device_makes_a_smaller_offer),
		QUIET(pages_that_are_kept_are_named_when_there_are_no_others),
		QUIET(full_device_is_waited_for_when_a_stream_has_just_ended),
		QUIET(who_is_asked_for_gets_one_stream),
		QUIET(missing_module_is_named),
		QUIET(lines_of_the_log_are_limited),
		QUIET(one_who_is_refused_often_silences_nothing_else),
		TEST(one_who_is_silent_shuts_nobody_else_out),
		TEST(many_who_are_silent_shut_nobody_else_out),
		QUIET(one_who_asks_for_too_much_at_once_is_told_so),
		TEST(one_who_opens_too_often_is_told_so),
		TEST(one_who_records_too_often_may_play),
		TEST(stalled_xenstored_stops_nobody),
		TEST(streams_that_come_and_go_meanwhile_leave_nothing),
		QUIET(guestd_starts_while_xenstored_is_stalled),
		TEST(who_comes_back_waits_until_it_is_known),
		TEST(who_comes_early_leaves_orphans_their_places),
		TEST(guestd_ends_while_xenstored_is_stalled),
		TEST(xenstored_that_was_away_finds_all_published),
		TEST(xenstored_that_has_forgotten_is_told_again),
		TEST(full_xenstore_refuses_a_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
