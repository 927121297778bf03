/* SPDX-License-Identifier: MIT */
/* The broker between clients and a worker, both of which are the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <xaring/pages.h>
#include <xaring/shared.h>

#include "broker-box.h"
#include "ipc.h"

static struct policy usual_policy(void)
{
	struct policy policy;

	policy_init(&policy);
	return policy;
}

static void close_fds(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

/* Takes the STREAM that a client's OPEN led to, and lets the pages go. */
static struct ipc_message expect_stream(int worker)
{
	struct ipc_message message;

	worker_expect(worker, IPC_STREAM, &message);
	close_fds(message.fds, 2);
	return message;
}

static bool can_map_writable(int fd)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return false;
	munmap(at, 4096);
	return true;
}

static bool is_same_file(int a, int b)
{
	struct stat first, second;

	assert_int_equal(fstat(a, &first), 0);
	assert_int_equal(fstat(b, &second), 0);
	return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* ---- streams ---- */

static void expect_same_secret(int worker, uint64_t secret_ns)
{
	struct ipc_message stream;

	worker_expect(worker, IPC_STREAM, &stream);
	assert_true(stream.u.stream.time_secret_ns == secret_ns);
	ipc_message_finish(&stream);
}

/* Each link of a guest with a clock of its own has a secret, which the next worker is told as well. */
static void times_carry_a_secret_unless_there_is_one_clock(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int clients[2];
	struct xaring_message open;
	struct xaring_accept accept;
	struct ipc_message streams[2];

	(void)state;
	client_usual_open(&open);
	open.u.open.features = 0;
	for (int i = 0; i < 2; i++) {
		int fds[XARING_WIRE_FDS];

		clients[i] = client_connect(box, 1);
		assert_int_equal(client_send_open(clients[i], &open), 0);
		client_expect_accept(clients[i], &accept, fds);
		assert_int_equal(accept.features, 0);
		for (int j = 0; j < XARING_WIRE_FDS; j++)
			close(fds[j]);
		worker_expect(worker, IPC_STREAM, &streams[i]);
		ipc_message_finish(&streams[i]);
		assert_true(streams[i].u.stream.time_secret_ns != 0);
	}
	assert_true(streams[0].u.stream.time_secret_ns != streams[1].u.stream.time_secret_ns);

	close(worker);
	worker = box_ready_worker(box, 1);
	expect_same_secret(worker, streams[1].u.stream.time_secret_ns);
	expect_same_secret(worker, streams[0].u.stream.time_secret_ns);
	close(clients[0]);
	close(clients[1]);
	close(worker);
	box_stop(box);
}

static void accepted_stream_has_its_pages_on_both_sides(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_connect(box, 1);
	struct xaring_message open;
	struct xaring_accept accept;
	struct ipc_message stream;
	int fds[XARING_WIRE_FDS];
	struct stat st;

	(void)state;
	client_usual_open(&open);
	assert_int_equal(client_send_open(client, &open), 0);
	client_expect_accept(client, &accept, fds);
	assert_int_equal(accept.version, XARING_PROTOCOL_VERSION);
	assert_int_equal(accept.features, XARING_FEATURE_SAME_CLOCK);
	assert_int_equal(accept.capacity, 8192);
	assert_int_equal(accept.data_pages, 8);
	assert_true(accept.epoch != 0);
	worker_expect(worker, IPC_STREAM, &stream);
	assert_int_equal(stream.vm, 1);
	assert_int_equal(stream.u.stream.number, 1);
	assert_int_equal(stream.u.stream.features, XARING_FEATURE_SAME_CLOCK);
	assert_int_equal(stream.u.stream.time_secret_ns, 0);
	assert_memory_equal(&stream.u.stream.params, &open.u.open.params,
			    sizeof(struct xaring_params));
	assert_string_equal(stream.u.stream.name, "test");

	assert_int_equal(fstat(fds[0], &st), 0);
	assert_int_equal(st.st_size, 4096);
	assert_int_equal(fstat(fds[1], &st), 0);
	assert_int_equal(st.st_size, 8 * 4096);
	assert_true(is_same_file(fds[0], stream.fds[0]));
	assert_true(is_same_file(fds[1], stream.fds[1]));
	assert_true(can_map_writable(fds[0]));
	assert_true(can_map_writable(fds[1]));
	assert_false(can_map_writable(fds[2]));
	assert_true(can_map_writable(stream.fds[0]));
	/* What the guest plays is not the worker's to change. */
	assert_false(can_map_writable(stream.fds[1]));
	close_fds(fds, 3);
	close_fds(stream.fds, 2);
	close(client);
	close(worker);
	box_stop(box);
}

static void vm_is_announced_with_title_and_key(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_worker(box);
	struct ipc_message message;

	(void)state;
	worker_expect(worker, IPC_VM, &message);
	assert_string_equal(message.u.vm.name, "The VM 1");
	assert_string_equal(message.u.vm.key, "vm1");
	assert_string_equal(message.u.vm.domain, "vm1");
	assert_int_equal(message.u.vm.domid, -1);
	close(worker);
	box_stop(box);
}

static void name_of_the_application_is_cleaned(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_connect(box, 1);
	struct xaring_message open;
	struct ipc_message stream;

	(void)state;
	client_usual_open(&open);
	memset(open.u.open.name, 'a', sizeof(open.u.open.name));
	memcpy(open.u.open.name,
	       "\x1b[31m\xff"
	       "Fire\xe2\x80\xae"
	       "fox\n",
	       16);
	assert_int_equal(client_send_open(client, &open), 0);
	client_expect_accept(client, NULL, NULL);
	stream = expect_stream(worker);
	assert_memory_equal(stream.u.stream.name, "[31mFirefox", 11);
	assert_int_equal(stream.u.stream.name[XARING_NAME_BYTES - 1], '\0');
	close(client);
	close(worker);
	box_stop(box);
}

static void kicks_are_forwarded(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_play(box, 1);
	struct ipc_message stream = expect_stream(worker);
	struct xaring_message kick = {.type = XARING_MESSAGE_KICK, .fds = {-1, -1, -1}};
	struct ipc_message message;

	(void)state;
	for (int i = XARING_KICK_START; i <= XARING_KICK_ATTACH; i++) {
		kick.u.kick = (enum xaring_kick)i;
		assert_int_equal(xaring_wire_send(client, &kick), 0);
		worker_expect(worker, IPC_KICK, &message);
		assert_int_equal(message.vm, 1);
		assert_int_equal(message.stream, stream.stream);
		assert_int_equal(message.u.kick.kick, i);
	}
	close(client);
	close(worker);
	box_stop(box);
}

static void closed_client_ends_its_stream(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_play(box, 1);
	struct ipc_message stream = expect_stream(worker);
	struct ipc_message message;

	(void)state;
	close(client);
	worker_expect(worker, IPC_END, &message);
	assert_int_equal(message.vm, 1);
	assert_int_equal(message.stream, stream.stream);
	worker_send(worker, IPC_GONE, 1, stream.stream);
	worker_expect_nothing(worker);
	close(worker);
	box_stop(box);
}

static void numbers_are_the_smallest_that_are_free(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int first = client_play(box, 1);
	struct ipc_message one = expect_stream(worker);
	int second = client_play(box, 1);
	struct ipc_message two = expect_stream(worker);
	struct ipc_message message;

	(void)state;
	assert_int_equal(one.u.stream.number, 1);
	assert_int_equal(two.u.stream.number, 2);
	assert_true(two.stream != one.stream);
	close(first);
	worker_expect(worker, IPC_END, &message);
	/* Its pages are still mapped, and its node may still be there. */
	first = client_play(box, 1);
	assert_int_equal(expect_stream(worker).u.stream.number, 3);
	worker_send(worker, IPC_GONE, 1, one.stream);
	close(first);
	worker_expect(worker, IPC_END, &message);
	worker_send(worker, IPC_GONE, 1, message.stream);
	first = client_play(box, 1);
	message = expect_stream(worker);
	assert_int_equal(message.u.stream.number, 1);
	assert_true(message.stream > two.stream);
	close(first);
	close(second);
	close(worker);
	box_stop(box);
}

/* ---- refusals and limits ---- */

static void expect_refused_open(struct box *box, const struct xaring_message *open,
				enum xaring_reason reason, struct xaring_refusal *refusal)
{
	int client = client_connect(box, 1);

	assert_int_equal(client_send_open(client, open), 0);
	client_expect_refusal(client, reason, refusal);
}

static void impossible_wishes_are_refused_one_by_one(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	struct xaring_message open;
	struct xaring_refusal refusal;

	(void)state;
	client_usual_open(&open);
	open.u.open.params.buffer = 48001;
	expect_refused_open(box, &open, XARING_REASON_BUFFER, &refusal);
	assert_int_equal(refusal.value, 48001);
	assert_int_equal(refusal.min, XARING_BUFFER_MIN);
	assert_int_equal(refusal.max, 48000);
	client_usual_open(&open);
	open.u.open.version_min = XARING_PROTOCOL_VERSION + 1;
	open.u.open.version = XARING_PROTOCOL_VERSION + 1;
	expect_refused_open(box, &open, XARING_REASON_VERSION, &refusal);
	worker_expect_nothing(worker);
	close(worker);
	box_stop(box);
}

static void stream_beyond_the_limit_is_refused_and_no_other(void **state)
{
	struct policy policies[2] = {usual_policy(), usual_policy()};
	struct xaring_message open;
	struct xaring_refusal refusal;
	struct box *box;
	int worker, clients[3];

	(void)state;
	policies[0].max_streams = 2;
	box = box_start(policies, 2);
	worker = box_ready_worker(box, 2);
	clients[0] = client_play(box, 1);
	clients[1] = client_play(box, 1);
	client_usual_open(&open);
	expect_refused_open(box, &open, XARING_REASON_STREAMS, &refusal);
	assert_int_equal(refusal.value, 3);
	assert_int_equal(refusal.max, 2);
	clients[2] = client_play(box, 2);
	for (int i = 0; i < 3; i++)
		expect_stream(worker);
	worker_expect_nothing(worker);
	client_expect_nothing(clients[0]);
	client_expect_nothing(clients[1]);
	assert_int_equal(box_lines(box, "vm vm1 playback: stream number 3"), 1);
	close_fds(clients, 3);
	close(worker);
	box_stop(box);
}

static void pages_beyond_the_limit_are_refused(void **state)
{
	struct policy policy = usual_policy();
	struct xaring_message open;
	struct xaring_refusal refusal;
	struct box *box;
	int worker, client;

	(void)state;
	policy.max_pages = 17;
	box = box_start(&policy, 1);
	worker = box_ready_worker(box, 1);
	client = client_play(box, 1);
	client_usual_open(&open);
	expect_refused_open(box, &open, XARING_REASON_PAGES, &refusal);
	assert_int_equal(refusal.value, 18);
	assert_int_equal(refusal.max, 17);
	close(client);
	close(worker);
	box_stop(box);
}

static void room_that_is_about_to_come_is_waited_for(void **state)
{
	struct policy policy = usual_policy();
	struct xaring_message open;
	struct ipc_message message;
	struct box *box;
	int worker, client;

	(void)state;
	policy.max_streams = 1;
	box = box_start(&policy, 1);
	worker = box_ready_worker(box, 1);
	client = client_play(box, 1);
	expect_stream(worker);
	close(client);
	worker_expect(worker, IPC_END, &message);
	client = client_connect(box, 1);
	client_usual_open(&open);
	assert_int_equal(client_send_open(client, &open), 0);
	client_expect_nothing(client);
	worker_send(worker, IPC_GONE, 1, message.stream);
	client_expect_accept(client, NULL, NULL);
	assert_int_equal(expect_stream(worker).u.stream.number, 1);
	close(client);
	close(worker);
	box_stop(box);
}

static void programs_that_probe_are_served_and_storms_are_not(void **state)
{
	struct policy policies[2] = {usual_policy(), usual_policy()};
	struct box *box;
	struct auto_worker *worker;
	struct xaring_message open, answer;
	int client, served = 0, res;

	(void)state;
	policies[0].reconnect_ms = 20;
	box = box_start(policies, 2);
	worker = auto_worker_start(box);
	for (int i = 0; i < 100; i++)
		close(client_play(box, 1));
	client_usual_open(&open);
	do {
		client = client_connect(box, 1);
		assert_int_equal(client_send_open(client, &open), 0);
		res = client_receive(client, &answer);
		assert_int_equal(res, 0);
		xaring_message_finish(&answer);
		close(client);
	} while (answer.type == XARING_MESSAGE_ACCEPT && ++served < 10000);
	assert_int_equal(answer.type, XARING_MESSAGE_REFUSE);
	assert_int_equal(answer.u.refusal.reason, XARING_REASON_BUSY);
	assert_true(box_lines(box, "vm vm1 playback: reconnecting this often is refused") >= 1);
	/* Nobody else feels it, and it passes. */
	close(client_play(box, 2));
	do {
		poll(NULL, 0, 20);
		client = client_connect(box, 1);
		assert_int_equal(client_send_open(client, &open), 0);
		assert_int_equal(client_receive(client, &answer), 0);
		xaring_message_finish(&answer);
		close(client);
	} while (answer.type != XARING_MESSAGE_ACCEPT && ++served < 20000);
	assert_int_equal(answer.type, XARING_MESSAGE_ACCEPT);
	auto_worker_stop(worker);
	box_stop(box);
}

/* A mixer opens such a stream each time that it is started, and that is at each press of some keys. */
static void who_looks_for_the_microphone_too_often_may_play(void **state)
{
	struct box *box = box_start((const struct policy[]){usual_policy()}, 1);
	struct auto_worker *worker = auto_worker_start(box);
	struct xaring_message open, answer;
	int client, looks = 0;

	(void)state;
	client_usual_open(&open);
	open.u.open.params.direction = XARING_CAPTURE;
	do {
		client = client_connect(box, 1);
		assert_int_equal(client_send_open(client, &open), 0);
		assert_int_equal(client_receive(client, &answer), 0);
		xaring_message_finish(&answer);
		close(client);
	} while (answer.type == XARING_MESSAGE_ACCEPT && ++looks < 1000);
	assert_int_equal(answer.u.refusal.reason, XARING_REASON_BUSY);
	assert_true(looks >= 60);
	for (int i = 0; i < 60; i++)
		close(client_play(box, 1));
	auto_worker_stop(worker);
	box_stop(box);
}

static void lines_of_the_log_are_limited_for_each_vm(void **state)
{
	struct policy policies[2] = {usual_policy(), usual_policy()};
	struct xaring_message open;
	struct box *box;
	int worker, client;

	(void)state;
	policies[0].playback = false;
	policies[1].playback = false;
	box = box_start(policies, 2);
	worker = box_ready_worker(box, 2);
	client_usual_open(&open);
	for (int i = 0; i < 60; i++)
		expect_refused_open(box, &open, XARING_REASON_POLICY, NULL);
	assert_in_range(box_lines(box, "vm vm1 playback:"), 20, 22);
	client = client_connect(box, 2);
	assert_int_equal(client_send_open(client, &open), 0);
	client_expect_refusal(client, XARING_REASON_POLICY, NULL);
	assert_int_equal(box_lines(box, "vm vm2 playback:"), 1);
	close(worker);
	box_stop(box);
}

/* ---- hostile clients ---- */

static void what_is_no_message_ends_the_connection(void **state)
{
	static const uint8_t garbage[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_connect(box, 1);
	struct ipc_message message;

	(void)state;
	assert_int_equal(send(client, garbage, sizeof(garbage), 0), sizeof(garbage));
	client_expect_refusal(client, XARING_REASON_MESSAGE, NULL);
	client = client_play(box, 1);
	expect_stream(worker);
	assert_int_equal(send(client, garbage, sizeof(garbage), 0), sizeof(garbage));
	client_expect_refusal(client, XARING_REASON_MESSAGE, NULL);
	worker_expect(worker, IPC_END, &message);
	close(worker);
	box_stop(box);
}

static void messages_out_of_turn_end_the_connection(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_connect(box, 1);
	struct xaring_message message = {.type = XARING_MESSAGE_KICK,
					 .u.kick = XARING_KICK_START,
					 .fds = {-1, -1, -1}};

	(void)state;
	assert_int_equal(xaring_wire_send(client, &message), 0);
	client_expect_refusal(client, XARING_REASON_MESSAGE, NULL);
	client = client_play(box, 1);
	client_usual_open(&message);
	assert_int_equal(client_send_open(client, &message), 0);
	client_expect_refusal(client, XARING_REASON_MESSAGE, NULL);
	client = client_connect(box, 1);
	memset(&message, 0, sizeof(message));
	message.type = XARING_MESSAGE_REFUSE;
	message.u.refusal.reason = XARING_REASON_POLICY;
	assert_int_equal(xaring_wire_send(client, &message), 0);
	client_expect_refusal(client, XARING_REASON_MESSAGE, NULL);
	close(worker);
	box_stop(box);
}

/* What a client has sent meanwhile does not cost it the reason. */
static void refusal_arrives_whatever_else_was_sent(void **state)
{
	struct policy policy = usual_policy();
	struct xaring_message kick = {.type = XARING_MESSAGE_KICK,
				      .u.kick = XARING_KICK_START,
				      .fds = {-1, -1, -1}};
	struct xaring_message open;
	struct box *box;
	int worker;

	(void)state;
	policy.playback = false;
	box = box_start(&policy, 1);
	worker = box_ready_worker(box, 1);
	client_usual_open(&open);
	for (int i = 0; i < 100; i++) {
		int client = client_connect(box, 1);
		int res = client_send_open(client, &open);

		for (int k = 0; k < 20 && res == 0; k++)
			res = xaring_wire_send(client, &kick);
		client_expect_refusal(client, XARING_REASON_POLICY, NULL);
	}
	close(worker);
	box_stop(box);
}

/* box_stop() finds what is left open. */
static void descriptors_of_clients_are_closed(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_connect(box, 1);
	struct xaring_message message;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct iovec iov = {bytes, 0};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = control.room,
				.msg_controllen = sizeof(control.room)};

	(void)state;
	client_usual_open(&message);
	iov.iov_len = xaring_wire_encode(&message, bytes);
	memcpy(CMSG_DATA(&control.header), &client, sizeof(int));
	assert_int_equal(sendmsg(client, &header, 0), iov.iov_len);
	/* The refusal may be overtaken by the end: what has been sent stays unread. */
	if (client_receive(client, &message) == 0)
		assert_int_equal(message.type, XARING_MESSAGE_REFUSE);
	client_expect_end(client);
	close(worker);
	box_stop(box);
}

static void who_says_nothing_is_shown_the_door(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	uint64_t before_ms = box_now_ms();
	int client = client_connect(box, 1);

	(void)state;
	client_expect_end(client);
	assert_in_range(box_now_ms() - before_ms, 900, 3000);
	close(worker);
	box_stop(box);
}

static void silent_connections_make_room_for_others_of_their_user(void **state)
{
	struct policy policies[2] = {usual_policy(), usual_policy()};
	struct box *box = box_start(policies, 2);
	int worker = box_ready_worker(box, 2);
	uint64_t begin_ms = box_now_ms();
	int silent[60];
	struct xaring_message open;
	int client;

	(void)state;
	for (int i = 0; i < 60; i++)
		silent[i] = client_connect(box, 1);
	client = client_connect(box, 1);
	client_usual_open(&open);
	assert_int_equal(client_send_open(client, &open), 0);
	close(client_play(box, 2));
	client_expect_accept(client, NULL, NULL);
	assert_true(box_now_ms() - begin_ms < 900);
	for (int i = 0; i < 29; i++)
		client_expect_end(silent[i]);
	client_expect_nothing(silent[59]);
	close(client);
	close_fds(silent + 29, 31);
	close(worker);
	box_stop(box);
}

/* ---- the worker ---- */

static void new_worker_is_told_all_that_lives(void **state)
{
	struct box *box = box_start_usual(2);
	int worker = box_ready_worker(box, 2);
	int first = client_play(box, 1);
	int second = client_play(box, 2);
	struct ipc_message one = expect_stream(worker);
	struct ipc_message two = expect_stream(worker);
	struct ipc_message message;

	(void)state;
	close(worker);
	worker = box_worker(box);
	worker_expect(worker, IPC_VM, &message);
	assert_int_equal(message.vm, 1);
	message = expect_stream(worker);
	assert_int_equal(message.stream, one.stream);
	assert_memory_equal(&message.u, &one.u, sizeof(one.u));
	worker_expect(worker, IPC_VM, &message);
	assert_int_equal(message.vm, 2);
	message = expect_stream(worker);
	assert_int_equal(message.stream, two.stream);
	client_expect_nothing(first);
	client_expect_nothing(second);
	close(first);
	close(second);
	close(worker);
	box_stop(box);
}

static void wait_for_line(struct box *box, const char *text)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;

	while (box_lines(box, text) == 0) {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 1);
	}
}

static void stream_that_comes_between_workers_is_accepted(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client;

	(void)state;
	box_break_spawn(box, true);
	close(worker);
	wait_for_line(box, "worker cannot be started");
	client = client_play(box, 1);
	box_break_spawn(box, false);
	worker = box_ready_worker(box, 1);
	expect_stream(worker);
	close(client);
	close(worker);
	box_stop(box);
}

static void stream_that_ends_between_workers_is_not_told(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_play(box, 1);

	(void)state;
	box_break_spawn(box, true);
	close(worker);
	wait_for_line(box, "worker cannot be started");
	close(client);
	client = client_play(box, 1);
	box_break_spawn(box, false);
	worker = box_ready_worker(box, 1);
	assert_int_equal(expect_stream(worker).u.stream.number, 1);
	worker_expect_nothing(worker);
	close(client);
	close(worker);
	box_stop(box);
}

static void worker_that_keeps_pages_is_killed_within_a_second(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int stays = client_play(box, 1);
	struct ipc_message kept = expect_stream(worker);
	int goes = client_play(box, 1);
	uint64_t before_ms;

	(void)state;
	expect_stream(worker);
	before_ms = box_now_ms();
	close(goes);
	worker_expect_end(worker);
	assert_in_range(box_now_ms() - before_ms, 900, 2000);
	worker = box_ready_worker(box, 1);
	assert_int_equal(expect_stream(worker).stream, kept.stream);
	worker_expect_nothing(worker);
	close(stays);
	close(worker);
	box_stop(box);
}

/* A guest that changes what it plays while a worker starts would keep all others silent. */
static void worker_that_is_not_ready_has_nothing_to_unmap(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_worker(box);
	struct pollfd hung_up = {.fd = worker};

	(void)state;
	close(client_play(box, 1));
	assert_int_equal(poll(&hung_up, 1, 1500), 0);
	worker_send(worker, IPC_READY, 0, 0);
	worker_expect_end(worker);
	assert_int_equal(box_lines(box, "did not unmap a stream in time"), 1);
	close(worker);
	box_stop(box);
}

/* Who stood still together with the broker has had no time. */
static void worker_is_not_killed_for_a_stall_of_the_machine(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	struct pollfd hung_up = {.fd = worker};
	int client = client_play(box, 1);
	struct ipc_message stream = expect_stream(worker), message;

	(void)state;
	close(client);
	worker_expect(worker, IPC_END, &message);
	box_set_stall(box, 1500);
	worker_send(worker, IPC_WANT, 1, 0);
	worker_expect(worker, IPC_SOCKET, &message);
	ipc_message_finish(&message);
	/* A worker that runs again does so a moment later. */
	assert_int_equal(poll(&hung_up, 1, 20), 0);
	worker_send(worker, IPC_GONE, 1, stream.stream);
	assert_int_equal(poll(&hung_up, 1, 200), 0);
	assert_int_equal(box_lines(box, "worker is killed"), 0);
	close(worker);
	box_stop(box);
}

static void workers_that_die_young_are_replaced_less_and_less_soon(void **state)
{
	struct box *box = box_start_usual(1);
	uint64_t died_ms;

	(void)state;
	close(box_ready_worker(box, 1));
	died_ms = box_now_ms();
	close(box_ready_worker(box, 1));
	assert_true(box_now_ms() - died_ms < 90);
	died_ms = box_now_ms();
	close(box_ready_worker(box, 1));
	assert_in_range(box_now_ms() - died_ms, 95, 190);
	died_ms = box_now_ms();
	close(box_ready_worker(box, 1));
	assert_in_range(box_now_ms() - died_ms, 195, 390);
	died_ms = box_now_ms();
	close(box_ready_worker(box, 1));
	assert_in_range(box_now_ms() - died_ms, 395, 790);
	box_stop(box);
}

static void replaced_worker_hands_over_at_once_and_again(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_play(box, 1);
	struct ipc_message stream = expect_stream(worker);
	uint64_t before_ms = box_now_ms();

	(void)state;
	for (int i = 0; i < 6; i++) {
		box_replace_worker(box);
		worker_expect_end(worker);
		worker = box_ready_worker(box, 1);
		assert_int_equal(expect_stream(worker).stream, stream.stream);
	}
	/* Workers that die as often are waited for: 100, 200, 400, 800, 1600 ms. */
	assert_true(box_now_ms() - before_ms < 1500);
	client_expect_nothing(client);
	assert_int_equal(box_lines(box, "worker is replaced: the test wants it"), 6);
	assert_int_equal(box_lines(box, "worker is killed"), 0);
	assert_int_equal(box_lines(box, "the next one is started in"), 0);
	close(client);
	close(worker);
	box_stop(box);
}

static void wish_for_another_worker_ends_the_wait_for_one(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	uint64_t before_ms;

	(void)state;
	box_break_spawn(box, true);
	close(worker);
	/* By then it is waited for long enough to see it. */
	wait_for_line(box, "the next one is started in 800 ms");
	box_break_spawn(box, false);
	before_ms = box_now_ms();
	box_replace_worker(box);
	worker = box_ready_worker(box, 1);
	assert_true(box_now_ms() - before_ms < 400);
	close(worker);
	box_stop(box);
}

static struct xaring_status_page *map_status(int client_vm_fd)
{
	struct xaring_status_page *page;

	assert_int_equal(xaring_status_map(client_vm_fd, false, &page), 0);
	return page;
}

static void wait_for_flag(const struct xaring_status_page *page, uint32_t value)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;

	while ((xaring_load(&page->flags) & XARING_STATUS_BACKEND) != value) {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 1);
	}
}

static void status_page_tells_whether_the_backend_is_there(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_worker(box);
	int client = client_connect(box, 1);
	struct xaring_status_page *page;
	struct xaring_message open;
	int fds[XARING_WIRE_FDS];
	uint32_t serial;

	(void)state;
	client_usual_open(&open);
	assert_int_equal(client_send_open(client, &open), 0);
	client_expect_accept(client, NULL, fds);
	page = map_status(fds[2]);
	close_fds(fds, 3);
	assert_int_equal(xaring_load(&page->version), XARING_PROTOCOL_VERSION);
	assert_int_equal(xaring_load(&page->volume), XARING_VOLUME_UNITY);
	wait_for_flag(page, 0);
	serial = xaring_load(&page->serial);
	worker_send(worker, IPC_READY, 0, 0);
	wait_for_flag(page, XARING_STATUS_BACKEND);
	close(worker);
	wait_for_flag(page, 0);
	worker = box_worker(box);
	worker_send(worker, IPC_READY, 0, 0);
	wait_for_flag(page, XARING_STATUS_BACKEND);
	assert_int_equal(xaring_load(&page->serial), serial + 3);
	xaring_status_unmap(page);
	close(client);
	close(worker);
	box_stop(box);
}

static void wanted_socket_is_connected_and_given(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	struct ipc_message message;
	char text[2];

	(void)state;
	worker_send(worker, IPC_WANT, 1, 0);
	worker_expect(worker, IPC_SOCKET, &message);
	assert_int_equal(message.vm, 1);
	assert_int_equal(message.error, 0);
	assert_int_equal(read(message.fds[0], text, 2), 2);
	assert_memory_equal(text, "pw", 2);
	close(message.fds[0]);
	box_set_remote(box, -ECONNREFUSED);
	worker_send(worker, IPC_WANT, 1, 0);
	worker_expect(worker, IPC_SOCKET, &message);
	assert_int_equal(message.error, -ECONNREFUSED);
	close(worker);
	box_stop(box);
}

static void worker_of_another_user_is_replaced(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);

	(void)state;
	box_set_remote(box, -ESTALE);
	worker_send(worker, IPC_WANT, 1, 0);
	worker_expect_end(worker);
	close(box_ready_worker(box, 1));
	assert_int_equal(box_lines(box, "worker is replaced: another user is to hear"), 1);
	assert_int_equal(box_lines(box, "worker is killed"), 0);
	box_stop(box);
}

static void broken_stream_is_refused_and_no_other(void **state)
{
	struct box *box = box_start_usual(2);
	int worker = box_ready_worker(box, 2);
	int bad = client_play(box, 1);
	struct ipc_message stream = expect_stream(worker);
	int good = client_play(box, 1);
	int other = client_play(box, 2);
	struct ipc_message message;

	(void)state;
	expect_stream(worker);
	expect_stream(worker);
	worker_send_state(worker, &stream, XARING_BACKEND_ACCEPTED, XARING_REASON_NONE);
	client_expect_nothing(bad);
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_COUNTER);
	client_expect_refusal(bad, XARING_REASON_COUNTER, NULL);
	worker_expect(worker, IPC_END, &message);
	assert_int_equal(message.stream, stream.stream);
	/* Said once more, and too late: no harm. */
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_COUNTER);
	worker_send(worker, IPC_GONE, 1, stream.stream);
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_COUNTER);
	worker_send(worker, IPC_GONE, 1, stream.stream);
	worker_expect_nothing(worker);
	client_expect_nothing(good);
	client_expect_nothing(other);
	assert_int_equal(box_workers(box), 1);
	assert_int_equal(box_lines(box, "vm vm1 playback 1: an impossible frame counter"), 1);
	close(good);
	close(other);
	close(worker);
	box_stop(box);
}

static void vm_that_is_forbidden_is_silent_at_once(void **state)
{
	struct policy policy = usual_policy();
	struct box *box = box_start_usual(2);
	int worker = box_ready_worker(box, 2);
	int forbidden = client_play(box, 1);
	struct ipc_message stream = expect_stream(worker), message;
	int other = client_play(box, 2);

	(void)state;
	expect_stream(worker);
	policy.max_streams = 1;
	box_set_policy(box, 1, &policy);
	box_reload(box);
	client_expect_nothing(forbidden);
	policy.playback = false;
	box_set_policy(box, 1, &policy);
	box_reload(box);
	client_expect_refusal(forbidden, XARING_REASON_POLICY, NULL);
	worker_expect(worker, IPC_END, &message);
	assert_int_equal(message.stream, stream.stream);
	worker_send(worker, IPC_GONE, 1, stream.stream);
	client_expect_nothing(other);
	close(other);
	close(worker);
	box_stop(box);
}

static uint32_t expect_microphone(int worker)
{
	struct ipc_message message;

	worker_expect(worker, IPC_MICROPHONE, &message);
	assert_int_equal(message.vm, 1);
	return message.u.microphone.allowed;
}

/* The stream is there before anybody has allowed anything: what it records is the worker's to decide. */
static void worker_and_guest_are_told_of_the_microphone(void **state)
{
	struct policy policy = usual_policy();
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	struct xaring_message open;
	struct xaring_accept accept;
	int fds[XARING_WIRE_FDS], client = client_connect(box, 1);

	(void)state;
	client_usual_open(&open);
	open.u.open.params.direction = XARING_CAPTURE;
	assert_int_equal(client_send_open(client, &open), 0);
	client_expect_accept(client, &accept, fds);
	for (int i = 0; i < XARING_WIRE_FDS; i++)
		close(fds[i]);
	expect_stream(worker);
	worker_expect_nothing(worker);
	policy.microphone = POLICY_MICROPHONE_ALLOW;
	box_set_policy(box, 1, &policy);
	box_reload(box);
	assert_int_equal(expect_microphone(worker), 1);
	box_reload(box);
	worker_expect_nothing(worker);
	policy.microphone = POLICY_MICROPHONE_DENY;
	box_set_policy(box, 1, &policy);
	box_reload(box);
	assert_int_equal(expect_microphone(worker), 0);
	client_expect_nothing(client);
	close(client);
	close(worker);
	box_stop(box);
}

static void another_worker_is_told_of_the_microphone(void **state)
{
	struct policy policies[1] = {usual_policy()};
	struct ipc_message message;
	struct box *box;
	int worker;

	(void)state;
	policies[0].microphone = POLICY_MICROPHONE_ALLOW;
	box = box_start(policies, 1);
	worker = box_ready_worker(box, 1);
	assert_int_equal(expect_microphone(worker), 1);
	close(worker);
	worker = box_worker(box);
	worker_expect(worker, IPC_VM, &message);
	assert_int_equal(expect_microphone(worker), 1);
	close(worker);
	box_stop(box);
}

static void stream_that_the_worker_drops_is_refused(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int client = client_play(box, 1);
	struct ipc_message stream = expect_stream(worker);

	(void)state;
	worker_send(worker, IPC_GONE, 1, stream.stream);
	client_expect_refusal(client, XARING_REASON_INTERNAL, NULL);
	worker_expect_nothing(worker);
	client = client_play(box, 1);
	assert_int_equal(expect_stream(worker).u.stream.number, 1);
	close(client);
	close(worker);
	box_stop(box);
}

/* What a worker never says. Each of them costs it its life, and the clients notice nothing. */
static void say_nonsense(int fd, unsigned kind, const struct ipc_message *stream)
{
	switch (kind) {
	case 0:
		worker_send(fd, IPC_READY, 0, 0);
		return;
	case 1:
		worker_send(fd, IPC_VM, 1, 0);
		return;
	case 2:
		worker_send(fd, IPC_WANT, 7, 0);
		return;
	case 3:
		worker_send(fd, IPC_GONE, 1, stream->stream + 1);
		return;
	case 4:
		worker_send(fd, IPC_GONE, 1, 0);
		return;
	case 5:
		worker_send(fd, IPC_GONE, 9, stream->stream);
		return;
	case 6:
		worker_send_state(fd, stream, XARING_BACKEND_BROKEN, XARING_REASON_NONE);
		return;
	case 7:
		worker_send_state(fd, stream, XARING_BACKEND_BROKEN + 1, XARING_REASON_WORD);
		return;
	case 8:
		worker_send_state(fd, stream, XARING_BACKEND_BROKEN, XARING_REASON_LAST + 1);
		return;
	default:
		assert_int_equal(send(fd, "nonsense", 8, 0), 8);
		return;
	}
}

static void worker_that_talks_nonsense_is_killed(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind <= 9; kind++) {
		struct box *box = box_start_usual(1);
		int worker = box_ready_worker(box, 1);
		int client = client_play(box, 1);
		struct ipc_message stream = expect_stream(worker);

		say_nonsense(worker, kind, &stream);
		worker_expect_end(worker);
		worker = box_ready_worker(box, 1);
		assert_int_equal(expect_stream(worker).stream, stream.stream);
		client_expect_nothing(client);
		close(client);
		close(worker);
		box_stop(box);
	}
}

/* Does not read: what it is told fills its socket, and then waits in the broker. */
static void worker_that_falls_behind_hears_all_in_the_end(void **state)
{
	struct policy policy = usual_policy();
	uint32_t streams = 0, ends = 0;
	struct ipc_message message;
	struct box *box;
	int worker, clients[128];

	(void)state;
	policy.max_streams = 128;
	policy.reconnect_ms = 1;
	box = box_start(&policy, 1);
	worker = box_worker(box);
	for (int i = 0; i < 53; i++)
		clients[i] = client_play(box, 1);
	for (int i = 0; i < 1000; i++) {
		struct xaring_message kick = {.type = XARING_MESSAGE_KICK,
					      .u.kick = XARING_KICK_START,
					      .fds = {-1, -1, -1}};

		xaring_wire_send(clients[i % 53], &kick);
	}
	close_fds(clients, 53);
	while (ends < 53) {
		struct pollfd p = {.fd = worker, .events = POLLIN};

		assert_true(poll(&p, 1, BOX_DEADLINE_MS) > 0);
		assert_int_equal(ipc_receive(worker, &message), 0);
		if (message.type == IPC_STREAM) {
			close_fds(message.fds, 2);
			streams++;
		} else if (message.type == IPC_END) {
			worker_send(worker, IPC_GONE, message.vm, message.stream);
			ends++;
		}
	}
	assert_int_equal(streams, 53);
	close(worker);
	box_stop(box);
}

/* ---- the machine ---- */

static void idle_broker_sleeps(void **state)
{
	struct box *box = box_start_usual(2);
	int worker = box_ready_worker(box, 2);
	int client = client_play(box, 1);
	uint64_t before_ns;

	(void)state;
	expect_stream(worker);
	/* The tick that the connection started stops by itself. */
	poll(NULL, 0, 300);
	before_ns = box_cpu_ns(box);
	poll(NULL, 0, 500);
	assert_int_equal(box_cpu_ns(box) - before_ns, 0);
	close(client);
	close(worker);
	box_stop(box);
}

static int lowest_free_descriptor(void)
{
	int fd = dup(0);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static void limit_descriptors(rlim_t limit)
{
	struct rlimit value;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &value), 0);
	value.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &value), 0);
}

static void connect_to(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void path_of_peer(int fd, char path[108])
{
	struct sockaddr_un address;
	socklen_t length = sizeof(address);

	assert_int_equal(getpeername(fd, (struct sockaddr *)&address, &length), 0);
	strcpy(path, address.sun_path);
}

static void without_descriptors_clients_are_refused_not_forgotten(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int playing = client_play(box, 1);
	int late = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct rlimit before;
	uint64_t cpu_ns;
	char path[108];

	(void)state;
	expect_stream(worker);
	path_of_peer(playing, path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit_descriptors((rlim_t)lowest_free_descriptor());
	connect_to(late, path);
	client_expect_refusal(late, XARING_REASON_INTERNAL, NULL);
	cpu_ns = box_cpu_ns(box);
	poll(NULL, 0, 300);
	assert_true(box_cpu_ns(box) - cpu_ns < 50000000);
	client_expect_nothing(playing);
	limit_descriptors(before.rlim_cur);
	late = client_play(box, 1);
	expect_stream(worker);
	close(late);
	close(playing);
	close(worker);
	box_stop(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_stream_has_its_pages_on_both_sides),
		cmocka_unit_test(times_carry_a_secret_unless_there_is_one_clock),
		cmocka_unit_test(vm_is_announced_with_title_and_key),
		cmocka_unit_test(name_of_the_application_is_cleaned),
		cmocka_unit_test(kicks_are_forwarded),
		cmocka_unit_test(closed_client_ends_its_stream),
		cmocka_unit_test(numbers_are_the_smallest_that_are_free),
		cmocka_unit_test(impossible_wishes_are_refused_one_by_one),
		cmocka_unit_test(stream_beyond_the_limit_is_refused_and_no_other),
		cmocka_unit_test(pages_beyond_the_limit_are_refused),
		cmocka_unit_test(room_that_is_about_to_come_is_waited_for),
		cmocka_unit_test(programs_that_probe_are_served_and_storms_are_not),
		cmocka_unit_test(who_looks_for_the_microphone_too_often_may_play),
		cmocka_unit_test(lines_of_the_log_are_limited_for_each_vm),
		cmocka_unit_test(what_is_no_message_ends_the_connection),
		cmocka_unit_test(messages_out_of_turn_end_the_connection),
		cmocka_unit_test(refusal_arrives_whatever_else_was_sent),
		cmocka_unit_test(descriptors_of_clients_are_closed),
		cmocka_unit_test(who_says_nothing_is_shown_the_door),
		cmocka_unit_test(silent_connections_make_room_for_others_of_their_user),
		cmocka_unit_test(new_worker_is_told_all_that_lives),
		cmocka_unit_test(stream_that_comes_between_workers_is_accepted),
		cmocka_unit_test(stream_that_ends_between_workers_is_not_told),
		cmocka_unit_test(worker_that_keeps_pages_is_killed_within_a_second),
		cmocka_unit_test(worker_that_is_not_ready_has_nothing_to_unmap),
		cmocka_unit_test(worker_is_not_killed_for_a_stall_of_the_machine),
		cmocka_unit_test(workers_that_die_young_are_replaced_less_and_less_soon),
		cmocka_unit_test(replaced_worker_hands_over_at_once_and_again),
		cmocka_unit_test(wish_for_another_worker_ends_the_wait_for_one),
		cmocka_unit_test(status_page_tells_whether_the_backend_is_there),
		cmocka_unit_test(wanted_socket_is_connected_and_given),
		cmocka_unit_test(worker_of_another_user_is_replaced),
		cmocka_unit_test(broken_stream_is_refused_and_no_other),
		cmocka_unit_test(vm_that_is_forbidden_is_silent_at_once),
		cmocka_unit_test(worker_and_guest_are_told_of_the_microphone),
		cmocka_unit_test(another_worker_is_told_of_the_microphone),
		cmocka_unit_test(stream_that_the_worker_drops_is_refused),
		cmocka_unit_test(worker_that_talks_nonsense_is_killed),
		cmocka_unit_test(worker_that_falls_behind_hears_all_in_the_end),
		cmocka_unit_test(idle_broker_sleeps),
		cmocka_unit_test(without_descriptors_clients_are_refused_not_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
