/* SPDX-License-Identifier: MIT */
/*
 * A worker that a guest has taken over: it sends whatever packets there are, some of them nearly
 * right. The broker goes on, replaces it, and serves the next program with the next worker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker-box.h"
#include "ipc.h"
#include "level.h"

#define BYTES offsetof(struct ipc_message, fds)

static uint32_t random_state = 1;

static uint32_t next_random(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % below;
}

/* Small numbers are near the truth; now and then any number. */
static uint32_t some_number(uint32_t near)
{
	return next_random(8) ? next_random(near) : next_random(UINT32_MAX);
}

static void fill(struct ipc_message *m)
{
	ipc_message_init(m, IPC_READY, 0, 0);
	if (next_random(8) == 0) {
		for (size_t i = 0; i < BYTES; i++)
			((uint8_t *)m)[i] = (uint8_t)next_random(256);
		return;
	}
	m->type = some_number(IPC_GONE + 2);
	m->vm = some_number(4);
	m->stream = some_number(5);
	m->error = (int32_t)some_number(3);
	if (m->type != IPC_STATE)
		return;
	m->u.state.backend = some_number(XARING_BACKEND_BROKEN + 2);
	m->u.state.reason = some_number(XARING_REASON_INTERNAL + 2);
	m->u.state.state = some_number(XARING_STATE_PAUSED + 2);
}

static int send_some(int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 3)];
	} control = {.align = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct ipc_message m;
	struct iovec iov = {&m, next_random(16) ? BYTES : next_random(BYTES + 1)};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	fill(&m);
	if (next_random(4) == 0) {
		size_t fds = 1 + next_random(3);

		control.align.cmsg_len = CMSG_LEN(sizeof(int) * fds);
		for (size_t i = 0; i < fds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(int));
		header.msg_control = control.room;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
	}
	return sendmsg(fd, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Reads away what the broker says, so that it does not wait for us. */
static void listen_a_little(int fd)
{
	struct ipc_message m;

	while (ipc_receive(fd, &m) == 0) {
		for (int i = 0; i < IPC_FDS_MAX; i++) {
			if (m.fds[i] >= 0)
				close(m.fds[i]);
		}
	}
}

/* The programs that play either go on or are told. */
static void assert_alive_or_refused(int client)
{
	struct xaring_message m;
	int res = xaring_wire_receive(client, &m);

	if (res == -EAGAIN)
		return;
	assert_int_equal(res, 0);
	assert_int_equal(m.type, XARING_MESSAGE_REFUSE);
}

static void assert_served_by_next_worker(struct box *box)
{
	struct auto_worker *worker = auto_worker_start(box);
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;
	struct auto_counts counts;

	close(client_play(box, 2));
	do {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 1);
		auto_worker_counts(worker, &counts);
	} while (counts.starts == 0);
	auto_worker_stop(worker);
}

static void be_a_bad_worker(void)
{
	struct policy policies[2];
	struct box *box;
	int fd, clients[2];

	policy_init(&policies[0]);
	policy_init(&policies[1]);
	box = box_start(policies, 2);
	fd = box_ready_worker(box, 2);
	clients[0] = client_play(box, 1);
	clients[1] = client_play(box, 1);
	for (int i = 0; i < 200; i++) {
		if (send_some(fd) < 0)
			break;
		listen_a_little(fd);
	}
	close(fd);
	assert_served_by_next_worker(box);
	for (int i = 0; i < 2; i++) {
		assert_alive_or_refused(clients[i]);
		close(clients[i]);
	}
	box_stop(box);
}

static void any_packets_are_survived(void **state)
{
	uint64_t rounds = level_count(5000);

	(void)state;
	for (uint64_t i = 0; i < rounds; i++) {
		random_state = (uint32_t)(i * 2654435761u) | 1;
		be_a_bad_worker();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_packets_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
