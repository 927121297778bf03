/* SPDX-License-Identifier: MIT */
/*
 * Programs of one user of a guest that do their worst, while a program of another user plays, and a
 * third wants to.
 *
 * What must hold under each attack: what plays is not disturbed and its kicks arrive; who wants to
 * play is served; xenstored is not bothered beyond the limits; the log is not filled; guestd does not
 * grow; and in the end nothing is left in xenstore, no page is granted, and guestd ends well. The same
 * for what they send it, and would have it close.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
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
#define LINGERING 20

#define RUSHED     10   /* streams that are opened meanwhile */
#define IN_TIME_MS 2000 /* each of them */

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

/* Has no time for anybody: waits for nothing, says nothing, is gone at once. */
static void rush(const struct box *box, uint32_t *random)
{
	int fd = client_rush(box);

	(void)random;
	if (fd >= 0)
		close(fd);
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

/* Opens and closes a stream every now and then, half as often as a user may. Returns how often. */
static unsigned be_served(const struct box *box, int plays, uint64_t duration_ms)
{
	uint64_t until_ms = box_now_ms() + duration_ms;
	int pause_ms = (int)duration_ms / 30;
	unsigned served = 0;

	while (box_now_ms() < until_ms) {
		close(client_play(box, NULL));
		served++;
		assert_kick_arrives(box, plays);
		poll(NULL, 0, pause_ms);
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

/* Gets a stream as the plugin does, or fails. */
static int play_in_time(const struct box *box)
{
	uint64_t until_ms = box_now_ms() + IN_TIME_MS;
	struct xaring_message message;
	int fd;

	while ((fd = client_rush(box)) < 0) {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 20);
	}
	client_usual_open(&message);
	assert_int_equal(client_send(fd, &message), 0);
	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	assert_true(box_now_ms() < until_ms);
	return fd;
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
	 * 4 for each of our own streams and kicks; of the attacker's 60 streams at once and two in a
	 * second, publishing and removing, and kicks: one of xenstored's round trips each, of which
	 * there are no more than the bucket of a client gives.
	 */
	assert_in_range(operations, served * 3,
			served * 6 + 3 * (60 + took_ms / 500) +
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
	demand_another_user();
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

/*
 * Programs try again a few times, and do not wait for a place in the kernel's queue, which the attackers keep
 * full. Each has its stream in time.
 */
static void those_in_a_rush_shut_nobody_else_out(void **state)
{
	pid_t attackers[ATTACKERS];
	struct box *box;
	uint64_t begin_ms;

	(void)state;
	demand_another_user();
	box = box_start();
	box_begin_guestd(box);
	for (uint32_t i = 0; i < ATTACKERS; i++)
		attackers[i] = begin_attack(box, rush, i);
	box_wait_line(box, "a program ");
	begin_ms = box_now_ms();
	for (int i = 0; i < RUSHED; i++)
		close(play_in_time(box));
	print_message("%d streams in %u ms\n", RUSHED, (unsigned)(box_now_ms() - begin_ms));
	for (int i = 0; i < ATTACKERS; i++) {
		kill(attackers[i], SIGKILL);
		waitpid(attackers[i], NULL, 0);
	}
	box_wait_streams(box, 0);
	assert_in_range(box_lines(box, "a program "), 1, 25);
	box_stop(box);
}

/* ---- descriptors that wait for ever when they are closed for the last time ---- */

/* Connected through loopback, full, and lingering for its peer, which does not read. -1: no loopback. */
static int lingering_open(int *peer)
{
	static const char zeroes[65536];
	const struct linger linger = {.l_onoff = 1, .l_linger = 3600};
	const int little = 4096;
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (struct sockaddr *)&address, length) < 0)
		return -1;
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(listen(listener, 1), 0);
	if (connect(fd, (struct sockaddr *)&address, length) < 0)
		return -1;
	*peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, zeroes, sizeof(zeroes), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* Sends so many bytes of the message, and the descriptor, which is the receiver's alone afterwards. */
static void give_away(int fd, const struct xaring_message *message, size_t length, int given)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.align = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	uint8_t bytes[XARING_WIRE_MAX_BYTES];
	struct iovec iov = {bytes, length};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = control.room,
				.msg_controllen = sizeof(control.room)};

	xaring_wire_encode(message, bytes);
	memcpy(CMSG_DATA(&control.align), &given, sizeof(int));
	assert_int_equal(sendmsg(fd, &header, 0), length);
	close(given);
}

/* What one connection sends, while guestd does not run. Returns false when it has hung up as well. */
typedef bool (*say_fn)(int fd, int lingering);

static bool say_in_open(int fd, int lingering)
{
	struct xaring_message open;

	client_usual_open(&open);
	give_away(fd, &open, 120, lingering);
	return true;
}

static bool say_behind_open(int fd, int lingering)
{
	struct xaring_message open;
	struct xaring_message kick = {.type = XARING_MESSAGE_KICK, .u.kick = XARING_KICK_START};

	client_usual_open(&open);
	assert_int_equal(client_send(fd, &open), 0);
	give_away(fd, &kick, 8, lingering);
	return true;
}

static bool say_behind_open_and_go(int fd, int lingering)
{
	say_behind_open(fd, lingering);
	close(fd);
	return false;
}

/* It is dropped for the first packet; the others are all empty, as if it had come to its end. */
static bool say_behind_garbage(int fd, int lingering)
{
	struct xaring_message none = {0};

	assert_int_equal(send(fd, "garbage", 7, 0), 7);
	assert_int_equal(send(fd, "", 0, 0), 0);
	give_away(fd, &none, 0, lingering);
	return true;
}

/* More than is looked at. */
static bool say_behind_a_flood(int fd, int lingering)
{
	struct xaring_message none = {0};

	for (int i = 0; i < 100; i++)
		assert_int_equal(send(fd, "", 0, 0), 0);
	give_away(fd, &none, 0, lingering);
	return true;
}

struct lingerers {
	struct box *box;
	int plays;
	int fds[LINGERING], peers[LINGERING];
};

/* They have said it all before guestd goes on: what they have given away, nobody else has any more. */
static void lingerers_come(struct lingerers *l, say_fn say)
{
	l->box = box_start();
	box_begin_guestd(l->box);
	l->plays = client_play(l->box, NULL);
	kill(l->box->guestd, SIGSTOP);
	for (int i = 0; i < LINGERING; i++) {
		int lingering = lingering_open(&l->peers[i]);

		if (lingering < 0) {
			print_message("there is no loopback network\n");
			kill(l->box->guestd, SIGKILL);
			skip();
		}
		l->fds[i] = client_connect(l->box);
		if (!say(l->fds[i], lingering))
			l->fds[i] = -1;
	}
}

/* guestd ends well while the peers of all that lingers are still there. */
static void lingerers_go(struct lingerers *l)
{
	close(l->plays);
	box_stop(l->box);
	for (int i = 0; i < LINGERING; i++) {
		close(l->peers[i]);
		if (l->fds[i] >= 0)
			close(l->fds[i]);
	}
}

/* Whether it is told why is not promised: what it has sent is not read. */
static void expect_no_stream(int fd)
{
	struct xaring_message message;
	int res;

	while ((res = client_receive(fd, &message)) == 0)
		xaring_message_finish(&message);
	assert_int_equal(res, -ENODEV);
}

static void linger(say_fn say)
{
	struct lingerers l;
	uint64_t begin_ms;

	lingerers_come(&l, say);
	begin_ms = box_now_ms();
	kill(l.box->guestd, SIGCONT);
	close(client_play(l.box, NULL));
	assert_kick_arrives(l.box, l.plays);
	for (int i = 0; i < LINGERING; i++) {
		if (l.fds[i] >= 0)
			expect_no_stream(l.fds[i]);
	}
	box_wait_streams(l.box, 1);
	print_message("in %u ms\n", (unsigned)(box_now_ms() - begin_ms));
	lingerers_go(&l);
}

static void what_lingers_in_an_open_holds_nobody(void **state)
{
	(void)state;
	linger(say_in_open);
}

static void what_lingers_behind_a_message_holds_nobody(void **state)
{
	(void)state;
	linger(say_behind_open);
	linger(say_behind_garbage);
	linger(say_behind_a_flood);
}

static void what_lingers_behind_who_has_gone_holds_nobody(void **state)
{
	(void)state;
	linger(say_behind_open_and_go);
}

/* More than are accepted at once: those that are not any more are closed with the listener. */
static void what_lingers_holds_no_end(void **state)
{
	struct lingerers l;

	(void)state;
	lingerers_come(&l, say_in_open);
	kill(l.box->guestd, SIGTERM);
	kill(l.box->guestd, SIGCONT);
	lingerers_go(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm_of_connections_is_survived),
		cmocka_unit_test(flood_of_kicks_is_survived),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(silent_connections_are_survived),
		cmocka_unit_test(greed_is_survived),
		cmocka_unit_test(those_in_a_rush_shut_nobody_else_out),
		cmocka_unit_test(what_lingers_in_an_open_holds_nobody),
		cmocka_unit_test(what_lingers_behind_a_message_holds_nobody),
		cmocka_unit_test(what_lingers_behind_who_has_gone_holds_nobody),
		cmocka_unit_test(what_lingers_holds_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
