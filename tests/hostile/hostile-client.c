/* SPDX-License-Identifier: MIT */
/*
 * Clients that send anything, against a small server made of the listener, the messages and the
 * loop, as the daemons are: garbage, wrong lengths, descriptors, connections that are opened and
 * left, or closed in the middle. An honest client is served at any time, nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/client.h>
#include <xaring/server.h>

#include "descriptors.h"
#include "level.h"
#include "local-server.h"
#include "loop.h"

#define LONG_ROUNDS 200000u
#define FLOOD       300
#define FDS_MAX     64u

struct guest {
	struct house *house;
	struct loop_source *source;
	struct guest *next;
	int fd;
	bool is_open;
};

/* The server under attack, on its own thread. */
struct house {
	struct local_server server;
	struct loop *loop;
	struct loop_source *door, *bell;
	struct guest *guests;
	int bell_fd;
	uint32_t served, ended;
	pthread_t thread;
};

static const struct xaring_params stereo = {.direction = XARING_PLAYBACK,
					    .format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = 4096,
					    .period = 1024};

static void guest_end(struct guest *g)
{
	struct guest **at = &g->house->guests;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	__atomic_add_fetch(&g->house->ended, 1, __ATOMIC_RELAXED);
	loop_remove(g->source);
	close(g->fd);
	free(g);
}

static int guest_give(struct guest *g, const struct xaring_open *open)
{
	struct xaring_accept accept = {.epoch = 1};
	struct xaring_refusal refusal;
	struct xaring_shape shape;
	int control, data, data_read, res;

	if (xaring_server_agree(open, &accept.version, &accept.features, &refusal) < 0 ||
	    xaring_params_shape(&open->params, &shape, &refusal) < 0) {
		xaring_server_send_refusal(g->fd, &refusal);
		return -EPROTO;
	}
	res = xaring_memfd_stream(&shape, &control, &data, &data_read);
	if (res < 0)
		return res;
	accept.capacity = shape.capacity;
	accept.data_pages = shape.data_pages;
	res = xaring_server_send_pages(g->fd, XARING_MESSAGE_ACCEPT, &accept, control, data,
				       g->house->server.status_fd);
	close(control);
	close(data);
	close(data_read);
	return res;
}

static void on_guest(void *data, uint32_t events)
{
	struct guest *g = data;
	struct xaring_message message;
	int res = xaring_wire_receive(g->fd, &message);

	(void)events;
	if (res == -EAGAIN)
		return;
	if (res == 0 && message.type == XARING_MESSAGE_OPEN && !g->is_open) {
		g->is_open = true;
		res = guest_give(g, &message.u.open);
		if (res == 0)
			__atomic_add_fetch(&g->house->served, 1, __ATOMIC_RELAXED);
	} else if (res == 0 && message.type != XARING_MESSAGE_KICK) {
		res = -EPROTO;
	}
	xaring_message_finish(&message);
	if (res < 0)
		guest_end(g);
}

static void on_door(void *data, uint32_t events)
{
	struct house *h = data;
	struct xaring_peer peer;
	struct guest *g;
	int fd = xaring_listener_accept(h->server.listener, &peer);

	(void)events;
	if (fd < 0)
		return;
	g = calloc(1, sizeof(*g));
	if (!g)
		abort();
	g->house = h;
	g->fd = fd;
	g->next = h->guests;
	h->guests = g;
	if (loop_add_io(h->loop, fd, EPOLLIN, on_guest, g, &g->source) < 0)
		abort();
}

static void on_bell(void *data, uint32_t events)
{
	struct house *h = data;

	(void)events;
	loop_quit(h->loop, 0);
}

static void *run_house(void *data)
{
	struct house *h = data;

	return loop_run(h->loop) == 0 ? h : NULL;
}

static void house_open(struct house *h)
{
	struct rlimit limit;

	memset(h, 0, sizeof(*h));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	local_server_open(&h->server, true);
	assert_int_equal(loop_create(&h->loop), 0);
	h->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(loop_add_io(h->loop, xaring_listener_fd(h->server.listener), EPOLLIN,
				     on_door, h, &h->door),
			 0);
	assert_int_equal(loop_add_io(h->loop, h->bell_fd, EPOLLIN, on_bell, h, &h->bell), 0);
	assert_int_equal(pthread_create(&h->thread, NULL, run_house, h), 0);
}

static void house_close(struct house *h)
{
	uint64_t one = 1;
	void *result;

	assert_int_equal(write(h->bell_fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(pthread_join(h->thread, &result), 0);
	assert_non_null(result);
	while (h->guests)
		guest_end(h->guests);
	loop_destroy(h->loop);
	close(h->bell_fd);
	local_server_close(&h->server);
}

static uint32_t pick(uint64_t *random, uint32_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (uint32_t)(*random >> 32) % below;
}

/* Blocks while the queue of the listener is full. */
static int knock(const struct house *h)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, h->server.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void send_with(int fd, const void *bytes, size_t length, uint32_t count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[FDS_MAX];

	for (uint32_t i = 0; i < count; i++)
		fds[i] = fd;
	if (count > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * count);
	}
	(void)!sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* One packet of some kind, with something wrong more often than not. */
static void send_something(int fd, uint64_t *random)
{
	struct xaring_message m = {.type = 1 + pick(random, 5), .fds = {-1, -1, -1}};
	uint8_t bytes[XARING_WIRE_MAX_BYTES * 2] = {0};
	uint32_t length;

	if (m.type == XARING_MESSAGE_OPEN)
		m.u.open = (struct xaring_open){.version_min = 1,
						.version = 1,
						.params = stereo,
						.epoch = pick(random, 9)};
	else if (m.type == XARING_MESSAGE_KICK)
		m.u.kick = 1 + pick(random, 3);
	length = xaring_wire_encode(&m, bytes);
	for (uint32_t i = pick(random, 4); i > 0; i--)
		bytes[pick(random, length)] = (uint8_t)pick(random, 256);
	if (pick(random, 8) == 0)
		length = pick(random, sizeof(bytes));
	send_with(fd, bytes, length, pick(random, 4) ? 0 : pick(random, FDS_MAX));
}

/* An honest client gets its pages within the time that a setup waits. */
static void check_honest(const struct house *h)
{
	struct xaring_client_state state;
	struct xaring_refusal refusal;
	struct xaring_client *c;

	assert_int_equal(xaring_client_create(h->server.path, "honest", &c), 0);
	assert_int_equal(xaring_client_setup(c, &stereo, 20000, &refusal), 0);
	xaring_client_update(c, 1, &state);
	assert_true(state.linked);
	xaring_client_close(c);
}

static void packets_of_all_kinds(void **state)
{
	uint32_t before = open_descriptors();
	uint64_t random = 88172645463325252;
	struct house h;

	(void)state;
	house_open(&h);
	for (uint64_t i = 0; i < level_count(LONG_ROUNDS); i++) {
		int fd = knock(&h);

		for (uint32_t count = pick(&random, 6); count > 0; count--)
			send_something(fd, &random);
		close(fd);
		if (i % 256 == 0)
			check_honest(&h);
	}
	check_honest(&h);
	house_close(&h);
	assert_true(h.served > 10 && h.ended >= level_count(LONG_ROUNDS));
	assert_int_equal(open_descriptors(), before);
}

/* Connected, and nothing more; or a first message, and no end. */
static void connections_that_are_left_open(void **state)
{
	uint32_t before = open_descriptors();
	uint64_t random = 1234567;
	int fds[FLOOD];
	struct house h;

	(void)state;
	house_open(&h);
	for (int i = 0; i < FLOOD; i++) {
		fds[i] = knock(&h);
		if (i % 2)
			send_something(fds[i], &random);
	}
	check_honest(&h);
	for (int i = 0; i < FLOOD; i++)
		close(fds[i]);
	check_honest(&h);
	house_close(&h);
	assert_int_equal(open_descriptors(), before);
}

/* More than the queue holds, from a client that does not wait. */
static void connections_that_come_and_go(void **state)
{
	uint32_t before = open_descriptors();
	struct house h;

	(void)state;
	house_open(&h);
	for (uint64_t i = 0; i < level_count(LONG_ROUNDS); i++)
		close(knock(&h));
	check_honest(&h);
	house_close(&h);
	assert_int_equal(open_descriptors(), before);
}

/* A client that never reads fills its socket, and only its own. */
static void a_client_that_does_not_read(void **state)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_BUSY};
	uint32_t sent = 0;
	int fds[2], res;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	while ((res = xaring_server_send_refusal(fds[0], &refusal)) == 0)
		assert_true(++sent < 1000000);
	assert_int_equal(res, -EAGAIN);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_of_all_kinds),
		cmocka_unit_test(connections_that_are_left_open),
		cmocka_unit_test(connections_that_come_and_go),
		cmocka_unit_test(a_client_that_does_not_read),
	};

	return cmocka_run_group_tests_name("hostile-client", tests, NULL, NULL);
}
