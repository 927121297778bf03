/* SPDX-License-Identifier: MIT */
/*
 * Programs of one user of a guest that do their worst, while a program of another user plays, and a
 * third wants to.
 *
 * What must hold under each attack: what plays is not disturbed and its kicks arrive; who wants to
 * play is served; xenstored is not bothered beyond the limits; the log is not filled; guestd does not
 * grow; and in the end nothing is left in xenstore, no page is granted, and guestd ends well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-box.h"
#include "level.h"

#define ATTACKERS 2
#define ATTACKER  1000 /* uid */

typedef void (*attack_fn)(const struct box *box, uint32_t *random);

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* ---- attacks: each does something for a moment, in a process of its own ---- */

/* Connects, asks for a stream, and goes without looking at the answer. */
static void storm(const struct box *box, uint32_t *random)
{
	struct xaring_message open;
	int fd = client_try_connect(box);

	(void)random;
	if (fd < 0)
		return;
	client_usual_open(&open);
	client_send(fd, &open);
	close(fd);
}

/* Kicks as fast as the socket takes it. */
static void kicks(const struct box *box, uint32_t *random)
{
	struct xaring_message message;
	int fd = client_try_connect(box);

	(void)random;
	if (fd < 0)
		return;
	client_usual_open(&message);
	client_send(fd, &message);
	if (client_receive(fd, &message) == 0)
		xaring_message_finish(&message);
	message = (struct xaring_message){.type = XARING_MESSAGE_KICK,
					  .u.kick = XARING_KICK_START,
					  .fds = {-1, -1, -1}};
	for (;;) {
		int res = client_send(fd, &message);

		if (res == -EAGAIN)
			sched_yield();
		else if (res < 0)
			break;
	}
	close(fd);
}

/* Random bytes, some of them beginning like a message, some with descriptors. */
static void garbage(const struct box *box, uint32_t *random)
{
	uint8_t bytes[XARING_WIRE_MAX_BYTES * 2];
	struct xaring_message message;
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 4)];
	} control = {.align = {CMSG_LEN(sizeof(int) * 4), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {bytes, 1 + next_random(random) % sizeof(bytes)};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = client_try_connect(box);

	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)next_random(random);
	client_usual_open(&message);
	if (next_random(random) % 2)
		iov.iov_len = xaring_wire_encode(&message, bytes);
	if (next_random(random) % 2)
		bytes[next_random(random) % iov.iov_len] = (uint8_t)next_random(random);
	if (next_random(random) % 2) {
		header.msg_control = control.room;
		header.msg_controllen = sizeof(control.room);
		for (size_t i = 0; i < 4; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(int));
	}
	for (unsigned i = next_random(random) % 4; i > 0; i--)
		(void)!sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* Connections that say nothing. */
static void silence(const struct box *box, uint32_t *random)
{
	int fds[50];
	int count = 0;

	while (count < 50) {
		int fd = client_try_connect(box);

		if (fd < 0)
			break;
		fds[count++] = fd;
	}
	poll(NULL, 0, (int)(next_random(random) % 100));
	while (count > 0)
		close(fds[--count]);
}

/* All the streams that there may be, of every shape, with every epoch, and more. */
static void greed(const struct box *box, uint32_t *random)
{
	int fds[40];
	int count = 0;

	while (count < 40) {
		struct xaring_message m;
		struct xaring_params *p = &m.u.open.params;
		int fd = client_try_connect(box);

		if (fd < 0)
			break;
		fds[count++] = fd;
		client_usual_open(&m);
		m.u.open.epoch = next_random(random) % 2 ? next_random(random) : 0;
		p->format = 1 + next_random(random) % 7;
		p->channels = next_random(random) % 10;
		p->rate_hz = next_random(random) % 8 ? 48000 : next_random(random);
		p->buffer =
			next_random(random) % 8 ? next_random(random) % 24000 : next_random(random);
		client_send(fd, &m);
	}
	poll(NULL, 0, 50);
	while (count > 0)
		close(fds[--count]);
}

static pid_t begin_attack(const struct box *box, attack_fn attack, uint32_t seed)
{
	uint32_t random = 0x9e3779b9u * (seed + 1);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	if (geteuid() == 0 && setuid(ATTACKER) < 0)
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		attack(box, &random);
}

/* ---- the others ---- */

static unsigned long kick_now(const struct box *box)
{
	const char *text = box_node(box, "kick");

	return text ? strtoul(text, NULL, 10) : 0;
}

/* The kick of who plays arrives: it, or one of the attackers', raises the counter. */
static void assert_kick_arrives(const struct box *box, int fd)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;
	unsigned long before = kick_now(box);

	client_kick(fd, XARING_KICK_START);
	while (kick_now(box) == before) {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 2);
	}
}

/* Opens and closes a stream every now and then. Returns how often. */
static unsigned be_served(const struct box *box, int plays, uint64_t duration_ms)
{
	uint64_t until_ms = box_now_ms() + duration_ms;
	unsigned served = 0;

	while (box_now_ms() < until_ms) {
		close(client_play(box, NULL));
		served++;
		assert_kick_arrives(box, plays);
		poll(NULL, 0, 40);
	}
	return served;
}

static long resident_pages(pid_t pid)
{
	long size = 0, resident = 0;
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
	fclose(file);
	return resident;
}

/* Runs one attack beside the others and checks what must hold under all of them. */
static void suffer(attack_fn attack)
{
	uint64_t lasts_ms = 500 + level_count(10000);
	struct box *box = box_start();
	pid_t attackers[ATTACKERS];
	unsigned operations, served;
	uint64_t took_ms;
	long before;
	int plays;

	if (geteuid() != 0)
		box->user_pages = box->pages;
	box_begin_guestd(box);
	plays = client_play(box, NULL);
	box_wait_streams(box, 1);
	before = resident_pages(box->guestd);
	operations = box_operations(box);
	took_ms = box_now_ms();
	for (uint32_t i = 0; i < ATTACKERS; i++)
		attackers[i] = begin_attack(box, attack, i);
	served = be_served(box, plays, lasts_ms);
	for (int i = 0; i < ATTACKERS; i++) {
		kill(attackers[i], SIGKILL);
		waitpid(attackers[i], NULL, 0);
	}
	assert_false(client_is_readable(plays, 0));
	took_ms = box_now_ms() - took_ms;
	box_wait_streams(box, 1);
	operations = box_operations(box) - operations;
	print_message("served %u times, %u operations in %u ms\n", served, operations,
		      (unsigned)took_ms);
	assert_true(served > 0);
	/*
	 * 4 for each of our own streams and kicks; of the attacker's 120 streams at once and 4 in a
	 * second, publishing and removing, and kicks: one of xenstored's round trips each, of which
	 * there are no more than the bucket of a client gives.
	 */
	assert_in_range(operations, served * 3,
			served * 6 + 3 * (120 + took_ms / 250) +
				ATTACKERS * (64 + took_ms / 10) * (attack == kicks));
	assert_in_range(box_lines(box, "of user") + box_lines(box, "a program"), 0,
			21 + took_ms / 6000);
	assert_true(resident_pages(box->guestd) - before < 4096);
	close(plays);
	box_wait_streams(box, 0);
	box_wait_granted(box, 0);
	box_stop(box);
}

/* Who takes all that a user may have takes it from himself: nobody else's is left alone then. */
static void demand_another_user(void)
{
	if (geteuid() == 0)
		return;
	print_message("not root: attacker and attacked would be one user\n");
	skip();
}

static void storm_of_connections_is_survived(void **state)
{
	(void)state;
	demand_another_user();
	suffer(storm);
}

static void flood_of_kicks_is_survived(void **state)
{
	(void)state;
	suffer(kicks);
}

static void garbage_is_survived(void **state)
{
	(void)state;
	suffer(garbage);
}

/* Of one user's, the oldest that has said nothing makes room: it may be that of the attacked just then. */
static void silent_connections_are_survived(void **state)
{
	(void)state;
	demand_another_user();
	suffer(silence);
}

static void greed_is_survived(void **state)
{
	(void)state;
	demand_another_user();
	suffer(greed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm_of_connections_is_survived),
		cmocka_unit_test(flood_of_kicks_is_survived),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(silent_connections_are_survived),
		cmocka_unit_test(greed_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
