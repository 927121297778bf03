/* SPDX-License-Identifier: MIT */
/*
 * A server that sends anything: garbage, pages that are none, descriptors by the dozen, refusals and
 * new pages at any time. The client keeps playing in virtual time, loses no descriptor and no
 * mapping, and finds an honest server afterwards.
 */
#include <errno.h>
#include <fcntl.h>
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
#include "level.h"
#include "local-server.h"

#define MS     UINT64_C(1000000)
#define S      (1000 * MS)
#define BUFFER 4096u

#define LONG_STEPS 400000u
#define FDS_MAX    64u

struct play {
	struct local_server server;
	struct local_link link;
	struct xaring_client *client;
	struct xaring_client_state state;
	uint64_t now, random;
	uint32_t written, last, links, linked, kept;
	int odd[8]; /* descriptors of all kinds, of which none is a page */
};

static const struct xaring_params stereo = {.direction = XARING_PLAYBACK,
					    .format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = BUFFER,
					    .period = 1024};

static uint32_t pick(struct play *p, uint32_t below)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return (uint32_t)(p->random >> 32) % below;
}

static int memfd_of(uint64_t bytes, int seals)
{
	int fd = memfd_create("odd", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void odd_open(struct play *p)
{
	int pipe_fds[2];

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	p->odd[0] = pipe_fds[0];
	p->odd[1] = pipe_fds[1];
	p->odd[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	p->odd[3] = open("/tmp", O_RDONLY | O_CLOEXEC);
	p->odd[4] = memfd_of(100, F_SEAL_SHRINK);
	p->odd[5] = memfd_of(1 << 20, F_SEAL_GROW); /* could shrink under the client */
	p->odd[6] = memfd_of(1 << 20, F_SEAL_SHRINK | F_SEAL_WRITE);
	p->odd[7] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static void odd_close(struct play *p)
{
	for (size_t i = 0; i < sizeof(p->odd) / sizeof(p->odd[0]); i++)
		close(p->odd[i]);
}

/* Whether it can be sent is the kernel's affair. */
static void send_with(struct play *p, const void *bytes, size_t length, const int *fds,
		      uint32_t count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * count);
	}
	(void)!sendmsg(p->link.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_garbage(struct play *p)
{
	uint8_t bytes[512];
	int fds[FDS_MAX];
	uint32_t count = pick(p, 3) ? 0 : pick(p, FDS_MAX);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)pick(p, 256);
	if (pick(p, 2)) {
		memset(bytes, 0, 4);
		bytes[0] = (uint8_t)pick(p, 8);
	}
	for (uint32_t i = 0; i < count; i++)
		fds[i] = p->odd[pick(p, 8)];
	send_with(p, bytes, pick(p, sizeof(bytes)), fds, count);
}

/* A right packet but for one or some of its bytes or descriptors. */
static void send_nearly_right(struct play *p)
{
	struct xaring_message m = {.type = pick(p, 2) ? XARING_MESSAGE_ACCEPT
						      : XARING_MESSAGE_RELINK};
	int fds[4], pages[3], count = pick(p, 8) ? 3 : (int)pick(p, 5);
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	uint32_t length;

	m.u.accept = (struct xaring_accept){.version = 1,
					    .features = pick(p, 2),
					    .epoch = pick(p, 1000),
					    .capacity = p->link.shape.capacity,
					    .data_pages = p->link.shape.data_pages};
	assert_int_equal(xaring_memfd_stream(&p->link.shape, &pages[0], &pages[1], &pages[2]), 0);
	fds[0] = pages[0];
	fds[1] = pages[1];
	fds[2] = p->server.status_fd;
	fds[3] = p->odd[0];
	if (pick(p, 2))
		fds[pick(p, 3)] = pick(p, 3) ? p->odd[pick(p, 8)] : pages[pick(p, 3)];
	length = xaring_wire_encode(&m, bytes);
	for (uint32_t i = pick(p, 3); i > 0; i--)
		bytes[pick(p, length)] = (uint8_t)pick(p, 256);
	send_with(p, bytes, length, fds, (uint32_t)count);
	for (int i = 0; i < 3; i++)
		close(pages[i]);
}

static void send_other(struct play *p)
{
	struct xaring_message m = {.fds = {-1, -1, -1}};

	if (!pick(p, 3)) {
		(void)xaring_server_send_keep(p->link.fd, pick(p, 2) ? 1 : p->link.epoch,
					      pick(p, 2) ? p->server.status_fd
							 : p->odd[pick(p, 8)]);
		return;
	}
	m.type = pick(p, 2) ? XARING_MESSAGE_REFUSE : XARING_MESSAGE_KICK;
	if (m.type == XARING_MESSAGE_REFUSE)
		m.u.refusal = (struct xaring_refusal){.reason = pick(p, 16),
						      .value = pick(p, ~0u),
						      .max = pick(p, ~0u)};
	else
		m.u.kick = pick(p, 4);
	(void)xaring_wire_send(p->link.fd, &m);
}

static void give_pages(struct play *p, enum xaring_message_type type)
{
	local_link_give(&p->server, &p->link, type);
	p->link.attach = 0;
	local_attach(&p->link);
}

static void hang_up(struct play *p)
{
	local_link_drop(&p->link);
}

/* Another process takes over, or the same one pretends so: right, wrong, or with pages of its own. */
static void answer_return(struct play *p)
{
	uint32_t way = pick(p, 8);

	if (!p->link.pages.control || p->link.open.epoch == 0 || way == 0) {
		xaring_pages_unmap(&p->link.pages);
		if (pick(p, 4))
			give_pages(p, XARING_MESSAGE_ACCEPT);
		return;
	}
	if (way == 1)
		send_other(p);
	else if (way == 2)
		send_nearly_right(p);
	else
		local_link_keep(&p->server, &p->link, p->link.epoch);
	p->kept++;
}

static bool is_gone(struct play *p)
{
	struct xaring_message m;
	int res;

	do {
		res = xaring_wire_receive(p->link.fd, &m);
	} while (res == 0);
	return res != -EAGAIN;
}

/* What a server may do in a moment. */
static void server_step(struct play *p)
{
	if (p->link.fd < 0) {
		if (p->link.pages.control) /* the backend goes on meanwhile */
			local_cycle(&p->link, p->last + 1024, 1024, p->now);
		if (!local_server_waits(&p->server))
			return;
		local_link_take_back(&p->server, &p->link);
		p->links++;
		answer_return(p);
		return;
	}
	if (is_gone(p)) {
		hang_up(p);
		return;
	}
	switch (pick(p, 40)) {
	case 0:
		send_garbage(p);
		break;
	case 1:
		send_nearly_right(p);
		break;
	case 2:
		send_other(p);
		break;
	case 3:
		hang_up(p);
		break;
	case 4:
		give_pages(p, XARING_MESSAGE_RELINK);
		break;
	case 5:
		local_link_hang_up(&p->link);
		break;
	default:
		if (p->link.pages.control)
			local_cycle(&p->link, p->last, 1024, p->now);
		break;
	}
}

static void application_step(struct play *p)
{
	static const uint32_t silence[BUFFER];
	uint32_t want = p->last + BUFFER - p->written;

	xaring_client_write(p->client, p->written, silence, want);
	p->written += want;
	xaring_client_publish(p->client, p->written);
	if (!pick(p, 32))
		xaring_client_woken(p->client, p->now);
	xaring_client_update(p->client, p->now, &p->state);
	assert_true((int32_t)(p->state.pos - p->last) >= 0);
	assert_true((int32_t)(p->written - p->state.pos) >= 0);
	p->last = p->state.pos;
	p->linked += p->state.linked;
	xaring_client_arm(p->client, xaring_client_when(p->client, p->now, p->last + 512));
}

static uint32_t mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint32_t count = 0;
	int c;

	assert_non_null(maps);
	while ((c = fgetc(maps)) != EOF)
		count += c == '\n';
	assert_int_equal(fclose(maps), 0);
	return count;
}

/* The server thinks better of it. */
static void honest_again(struct play *p)
{
	hang_up(p);
	for (uint32_t i = 0; i < 30000 && !p->state.attached; i++) {
		p->now += MS;
		if (p->link.fd < 0) {
			if (local_server_waits(&p->server)) {
				local_link_up(&p->server, &p->link);
				p->links++;
			}
		} else if (is_gone(p)) {
			hang_up(p);
		} else if (i % 21 == 0) {
			local_pump(&p->link, 1024, p->now);
		}
		application_step(p);
	}
	assert_true(p->state.attached);
}

static void anything_may_come(void **state)
{
	uint64_t steps = level_count(LONG_STEPS);
	uint32_t before = open_descriptors(), maps = 0;
	struct xaring_refusal refusal;
	struct play p = {.now = 100 * S, .random = 88172645463325252, .link.fd = -1};

	(void)state;
	odd_open(&p);
	local_server_open(&p.server, true);
	assert_int_equal(xaring_client_create(p.server.path, "honest", &p.client), 0);
	assert_int_equal(xaring_client_setup(p.client, &stereo, 0, &refusal), 0);
	xaring_client_start(p.client, p.now, 0);
	for (uint64_t i = 0; i < steps; i++) {
		/* Links that break are tried again seldom: time flies while there is none. */
		p.now += p.state.linked ? MS : 50 * MS;
		server_step(&p);
		application_step(&p);
		if (i == steps / 10)
			maps = mappings();
	}
	assert_in_range(mappings(), 0, maps + 16);
	print_message("%u links, %u kept, linked %u\n", p.links, p.kept, p.linked);
	assert_true(p.links > steps / 1000);
	assert_true(p.linked > steps / 100);
	assert_true(p.kept > steps / 5000);
	honest_again(&p);
	xaring_client_close(p.client);
	hang_up(&p);
	local_server_close(&p.server);
	odd_close(&p);
	assert_int_equal(open_descriptors(), before);
}

/* The same while a setup waits for its answer: it returns, one way or the other, and in time. */
static void a_setup_survives_it(void **state)
{
	struct play p = {.now = 100 * S, .random = 424242, .link.fd = -1};
	uint32_t before = open_descriptors();

	(void)state;
	odd_open(&p);
	local_server_open(&p.server, true);
	assert_int_equal(xaring_client_create(p.server.path, "honest", &p.client), 0);
	for (uint64_t i = 0; i < level_count(2000); i++) {
		struct xaring_refusal refusal;
		int res;

		assert_int_equal(xaring_client_setup(p.client, &stereo, 0, &refusal), 0);
		local_link_take(&p.server, &p.link);
		if (pick(&p, 3))
			send_nearly_right(&p);
		else
			send_garbage(&p);
		for (int look = 0; look < 3; look++)
			xaring_client_update(p.client, p.now += MS, &p.state);
		hang_up(&p);
		res = xaring_client_setup(p.client, &stereo, 1, &refusal); /* nobody answers */
		assert_int_equal(res, 0);
		assert_true(local_server_has_client(&p.server));
	}
	xaring_client_close(p.client);
	local_server_close(&p.server);
	odd_close(&p);
	assert_int_equal(open_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anything_may_come),
		cmocka_unit_test(a_setup_survives_it),
	};

	return cmocka_run_group_tests_name("hostile-server", tests, NULL, NULL);
}
