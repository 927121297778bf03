/* SPDX-License-Identifier: MIT */
/* What has to be said is said when there is room again, in its order; the rest is up to who says it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "outbox.h"

#define POSTS 500

static struct outbox outbox;
static int fds[2];

static int begin(void **state)
{
	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	outbox_init(&outbox, fds[0]);
	return 0;
}

static int end(void **state)
{
	(void)state;
	outbox_finish(&outbox);
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	return 0;
}

static struct ipc_message make(enum ipc_type type, uint32_t stream)
{
	struct ipc_message message;

	ipc_message_init(&message, type, 1, stream);
	return message;
}

static int send_state(uint32_t stream)
{
	struct ipc_message message = make(IPC_STATE, stream);

	return outbox_send(&outbox, &message);
}

static int post_gone(uint32_t stream)
{
	struct ipc_message message = make(IPC_GONE, stream);

	return outbox_post(&outbox, &message);
}

/* Reads all that is there. Returns how much, each being the next one after *last. */
static uint32_t receive(uint32_t *last)
{
	struct ipc_message message;
	uint32_t count = 0;

	while (ipc_receive(fds[1], &message) == 0) {
		assert_int_equal(message.type, IPC_GONE);
		assert_int_equal(message.stream, ++*last);
		count++;
	}
	return count;
}

static void what_is_posted_arrives_in_its_order(void **state)
{
	uint32_t last = 0;

	(void)state;
	for (uint32_t i = 1; i <= POSTS; i++)
		assert_int_equal(post_gone(i), 0);
	assert_true(outbox_waits(&outbox));
	while (outbox_waits(&outbox)) {
		assert_true(receive(&last) > 0);
		/* Nothing overtakes. */
		assert_int_equal(send_state(1), -EAGAIN);
		(void)outbox_flush(&outbox);
	}
	receive(&last);
	assert_int_equal(last, POSTS);
	assert_int_equal(send_state(1), 0);
	assert_int_equal(post_gone(POSTS + 1), 0);
	assert_false(outbox_waits(&outbox));
}

static void broker_that_is_gone_is_told_from_one_that_is_slow(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= POSTS; i++)
		assert_int_equal(post_gone(i), 0);
	assert_int_equal(outbox_flush(&outbox), -EAGAIN);
	close(fds[1]);
	fds[1] = -1;
	assert_int_equal(outbox_flush(&outbox), -ENODEV);
	outbox_finish(&outbox);
	assert_int_equal(post_gone(1), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_posted_arrives_in_its_order, begin, end),
		cmocka_unit_test_setup_teardown(broker_that_is_gone_is_told_from_one_that_is_slow,
						begin, end),
	};

	return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
