/* SPDX-License-Identifier: MIT */
/*
 * Programs of one VM that do their worst, while a program of another VM wants to play.
 *
 * What must hold under each attack: the other VM is served, soon, and not disturbed; the worker is
 * not bothered beyond the limits and not replaced; the log is not filled; and in the end every
 * descriptor is given back (box_stop()).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker-box.h"
#include "level.h"

#define ATTACKERS 2

/* Waiting for an answer that a person would notice. */
#define SLOW_MS 1000

typedef void (*attack_fn)(const struct box *box, uint32_t *random);

static atomic_bool over;
static atomic_ulong connections;
static attack_fn attack;

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* ---- attacks: each does something for a moment ---- */

/* Connects, asks for a stream, and goes without looking at the answer. */
static void storm(const struct box *box, uint32_t *random)
{
	struct xaring_message open;
	int fd = client_try_connect(box, 1);

	(void)random;
	if (fd < 0)
		return;
	atomic_fetch_add(&connections, 1);
	client_usual_open(&open);
	client_send_open(fd, &open);
	close(fd);
}

/* Kicks as fast as the socket takes it. */
static void kicks(const struct box *box, uint32_t *random)
{
	struct xaring_message message;
	int fd = client_try_connect(box, 1);

	(void)random;
	if (fd < 0)
		return;
	client_usual_open(&message);
	client_send_open(fd, &message);
	if (client_receive(fd, &message) == 0)
		xaring_message_finish(&message);
	message = (struct xaring_message){.type = XARING_MESSAGE_KICK,
					  .u.kick = XARING_KICK_START,
					  .fds = {-1, -1, -1}};
	while (!atomic_load(&over)) {
		int res = xaring_wire_send(fd, &message);

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
	int fd = client_try_connect(box, 1);

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

	while (count < 50 && !atomic_load(&over)) {
		int fd = client_try_connect(box, 1);

		if (fd < 0)
			break;
		fds[count++] = fd;
	}
	poll(NULL, 0, (int)(next_random(random) % 100));
	while (count > 0)
		close(fds[--count]);
}

/* All the streams that there may be, of every shape, and more. */
static void greed(const struct box *box, uint32_t *random)
{
	int fds[40];
	int count = 0;

	while (count < 40 && !atomic_load(&over)) {
		struct xaring_message m;
		struct xaring_params *p = &m.u.open.params;
		int fd = client_try_connect(box, 1);

		if (fd < 0)
			break;
		fds[count++] = fd;
		client_usual_open(&m);
		p->format = 1 + next_random(random) % 7;
		p->channels = next_random(random) % 10;
		p->rate_hz = next_random(random) % 8 ? 48000 : next_random(random);
		p->buffer =
			next_random(random) % 8 ? next_random(random) % 24000 : next_random(random);
		client_send_open(fd, &m);
	}
	poll(NULL, 0, 50);
	while (count > 0)
		close(fds[--count]);
}

static void *run_attack(void *data)
{
	static atomic_uint seed = 1;
	uint32_t random = 0x9e3779b9u * atomic_fetch_add(&seed, 1);

	while (!atomic_load(&over))
		attack(data, &random);
	return NULL;
}

/* ---- the victim ---- */

struct victim {
	unsigned served;
	uint64_t slowest_ms;
};

/* Opens and closes a stream of VM 2 every now and then, and keeps another one. */
static struct victim be_served(struct box *box, uint64_t duration_ms)
{
	uint64_t until_ms = box_now_ms() + duration_ms;
	int keeps = client_play(box, 2);
	struct victim v = {0};

	while (box_now_ms() < until_ms) {
		uint64_t before_ms = box_now_ms();

		close(client_play(box, 2));
		if (box_now_ms() - before_ms > v.slowest_ms)
			v.slowest_ms = box_now_ms() - before_ms;
		v.served++;
		poll(NULL, 0, 40);
	}
	client_expect_nothing(keeps);
	close(keeps);
	return v;
}

static long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long size = 0, resident = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
	fclose(file);
	return resident;
}

static void assert_all_is_given_back(struct auto_worker *worker)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;
	struct auto_counts counts;

	do {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 5);
		auto_worker_counts(worker, &counts);
	} while (counts.live > 0);
}

/* Runs one attack beside the victim and checks what must hold under all of them. */
static struct auto_counts suffer(attack_fn what, uint64_t duration_ms)
{
	struct policy policies[2];
	pthread_t threads[ATTACKERS];
	struct auto_worker *worker;
	struct auto_counts counts;
	struct victim victim;
	struct box *box;
	long before;

	policy_init(&policies[0]);
	policy_init(&policies[1]);
	policies[1].reconnect_ms = 10;
	box = box_start(policies, 2);
	worker = auto_worker_start(box);
	close(client_play(box, 2));
	before = resident_pages();
	attack = what;
	atomic_store(&over, false);
	for (int i = 0; i < ATTACKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_attack, box), 0);
	victim = be_served(box, duration_ms);
	atomic_store(&over, true);
	for (int i = 0; i < ATTACKERS; i++)
		pthread_join(threads[i], NULL);

	print_message("served %u times, slowest %u ms\n", victim.served,
		      (unsigned)victim.slowest_ms);
	assert_true(victim.served > 0);
	assert_true(victim.slowest_ms < SLOW_MS);
	assert_int_equal(box_workers(box), 1);
	assert_int_equal(box_lines(box, "vm vm2 "), 0);
	assert_in_range(box_lines(box, "vm vm1 "), 0, 21 + duration_ms / 6000);
	assert_true(resident_pages() - before < 4096);
	assert_all_is_given_back(worker);
	auto_worker_counts(worker, &counts);
	assert_in_range(counts.largest_streams[1], 0, policies[0].max_streams);
	assert_in_range(counts.largest_pages[1], 0, policies[0].max_pages);
	auto_worker_stop(worker);
	box_stop(box);
	return counts;
}

static uint64_t duration_ms(void)
{
	return 500 + level_count(10000);
}

static void storm_of_connections_is_bounded(void **state)
{
	uint64_t lasts_ms = duration_ms();
	struct auto_counts counts = suffer(storm, lasts_ms);

	(void)state;
	assert_in_range(atomic_load(&connections), 121, UINT32_MAX);
	/* The burst and the rate of VM 1, and what VM 2 was given. */
	assert_in_range(counts.streams, 1, 120 + lasts_ms / 250 + 2 + lasts_ms / 40 + 3);
}

static void flood_of_kicks_is_bounded(void **state)
{
	uint64_t lasts_ms = duration_ms();
	struct auto_counts counts = suffer(kicks, lasts_ms);

	(void)state;
	assert_in_range(counts.kicks, 1, ATTACKERS * (64 + (lasts_ms + 500) / 10));
}

static void garbage_is_survived(void **state)
{
	(void)state;
	suffer(garbage, duration_ms());
}

static void silent_connections_are_survived(void **state)
{
	(void)state;
	suffer(silence, duration_ms());
}

static void greed_gets_what_the_policy_gives(void **state)
{
	struct auto_counts counts = suffer(greed, duration_ms());

	(void)state;
	assert_true(counts.largest_streams[1] > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm_of_connections_is_bounded),
		cmocka_unit_test(flood_of_kicks_is_bounded),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(silent_connections_are_survived),
		cmocka_unit_test(greed_gets_what_the_policy_gives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
