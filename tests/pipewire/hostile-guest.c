// SPDX-License-Identifier: MIT
/*
 * A guest that lies: takes pages of xaring-pw like any other, then attacks through them until the
 * stream is refused, and starts over.
 *
 *   hostile-guest ATTACK SECONDS [REFUSALS]      of the VM whose socket is in XARING_SOCKET
 *
 * Ends after so many refusals, or when the time is over.
 *
 * ATTACK: flood      every word of all pages is rewritten at full speed by two threads
 *         counter    a frame counter that is impossible
 *         word       a word with a state that there is not
 *         unsettled  a generation that changes all the time
 *         future     positions that jump on and back by whole rings
 *         visit      none: ends the stream as soon as there is nothing to play to. REFUSALS are links
 *
 * Prints one JSON object: links made, how many of them were ended by the other side with a
 * refusal, and the reason of the last one.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <xaring/record.h>
#include <xaring/shared.h>
#include <xaring/wire.h>

#define BUFFER   4096
#define PAUSE_MS 300 /* longer than the policy's pause between links */

struct link {
	int fd;
	uint32_t *control; /* as words, and as what it is: */
	struct xaring_control_page *page;
	uint32_t *data;
	size_t data_words;
	uint32_t capacity;
	_Atomic bool stop;
};

struct attack {
	const char *name;
	/* One step; seed is the thread's own random number. */
	void (*step)(struct link *link, uint32_t seed);
	int threads;
	bool visits;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint32_t answer(const struct link *link, uint32_t generation, enum xaring_state state)
{
	return xaring_word(generation, state, xaring_load(&link->page->backend.attach));
}

/* What an honest guest does, so that the backend looks at the counters at all. */
static void behave(struct link *link, uint32_t frames)
{
	xaring_store(&link->page->guest.base, 0);
	xaring_store(&link->page->guest.pos, frames);
	xaring_store(&link->page->guest.word, answer(link, 1, XARING_STATE_RUNNING));
}

static void step_flood(struct link *link, uint32_t seed)
{
	uint32_t words = XARING_PAGE_BYTES / 4;

	xaring_store(&link->control[seed % words], seed * 2654435761u);
	xaring_store(&link->data[seed % link->data_words], seed);
	switch (seed >> 29) {
	case 0:
		behave(link, seed);
		break;
	case 1:
		xaring_store(&link->page->guest.word, answer(link, seed, seed & 3));
		break;
	default:
		xaring_store(&link->control[(seed >> 8) % 16], seed);
	}
}

static void step_counter(struct link *link, uint32_t seed)
{
	behave(link, (seed & 1) ? 0x80000000u : 2000);
}

static void step_word(struct link *link, uint32_t seed)
{
	behave(link, 2000);
	xaring_store(&link->page->guest.word, answer(link, 1, 4 + seed % 12));
}

static void step_unsettled(struct link *link, uint32_t seed)
{
	xaring_store(&link->page->guest.word, answer(link, seed, XARING_STATE_RUNNING));
}

static void step_future(struct link *link, uint32_t seed)
{
	behave(link, link->capacity * (seed % 5));
}

static const struct attack attacks[] = {
	{"flood", step_flood, 2},         {"counter", step_counter, 1}, {"word", step_word, 1},
	{"unsettled", step_unsettled, 2}, {"future", step_future, 1},   {"visit", NULL, 0, true},
};

static const struct attack *attack;

static void *run_attack(void *data)
{
	struct link *link = data;
	uint32_t seed = (uint32_t)now_ms() ^ (uint32_t)(uintptr_t)&seed;

	while (!atomic_load_explicit(&link->stop, memory_order_relaxed)) {
		seed = seed * 1664525u + 1013904223u;
		attack->step(link, seed ^ seed >> 15);
	}
	return NULL;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int receive(int fd, int timeout_ms, struct xaring_message *message)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	if (poll(&poll_fd, 1, timeout_ms) <= 0)
		return -EAGAIN;
	return xaring_wire_receive(fd, message);
}

static int map_link(struct link *link, struct xaring_message *accepted)
{
	const struct xaring_accept *a = &accepted->u.accept;
	size_t bytes = (size_t)a->data_pages * XARING_PAGE_BYTES;

	link->control = mmap(NULL, XARING_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			     accepted->fds[0], (off_t)a->control_offset);
	link->data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, accepted->fds[1],
			  (off_t)a->data_offset);
	link->page = (struct xaring_control_page *)link->control;
	link->data_words = bytes / 4;
	link->capacity = a->capacity;
	xaring_message_finish(accepted);
	return link->control == MAP_FAILED || link->data == MAP_FAILED ? -ENOMEM : 0;
}

/* Returns 0 and a mapped link, or -EAGAIN when no link was made this time. */
static int open_link(struct link *link)
{
	struct xaring_message message = {
		.type = XARING_MESSAGE_OPEN,
		.u.open =
			{
				.version_min = XARING_PROTOCOL_VERSION_MIN,
				.version = XARING_PROTOCOL_VERSION,
				.params = {.format = XARING_FORMAT_S16,
					   .rate_hz = 48000,
					   .channels = 2,
					   .buffer = BUFFER,
					   .period = BUFFER / 4},
				.name = "hostile",
			},
		.fds = {-1, -1, -1},
	};
	struct xaring_message reply;

	memset(link, 0, sizeof(*link));
	link->fd = connect_to(getenv("XARING_SOCKET"));
	if (link->fd < 0)
		return -EAGAIN;
	if (xaring_wire_send(link->fd, &message) == 0 && receive(link->fd, 2000, &reply) == 0 &&
	    reply.type == XARING_MESSAGE_ACCEPT && map_link(link, &reply) == 0)
		return 0;
	close(link->fd);
	return -EAGAIN;
}

static bool is_over(const struct link *link)
{
	return attack->visits && (xaring_load(&link->page->backend.flags) & XARING_FLAG_NO_SINK);
}

/* Attacks until the other side refuses the stream or the time is over. Returns the reason, or 0. */
static uint32_t attack_link(struct link *link, uint64_t until_ms)
{
	struct xaring_message kick = {.type = XARING_MESSAGE_KICK,
				      .u.kick = XARING_KICK_START,
				      .fds = {-1, -1, -1}};
	struct xaring_message message;
	pthread_t threads[2];
	uint32_t reason = 0;
	int res = -EAGAIN;

	behave(link, 2000);
	xaring_wire_send(link->fd, &kick);
	for (int i = 0; i < attack->threads; i++)
		pthread_create(&threads[i], NULL, run_attack, link);
	while (res == -EAGAIN && now_ms() < until_ms && !is_over(link))
		res = receive(link->fd, attack->visits ? 5 : 100, &message);
	if (res == 0 && message.type == XARING_MESSAGE_REFUSE)
		reason = message.u.refusal.reason;
	atomic_store(&link->stop, true);
	for (int i = 0; i < attack->threads; i++)
		pthread_join(threads[i], NULL);
	return reason;
}

static void close_link(struct link *link)
{
	close(link->fd);
	munmap(link->control, XARING_PAGE_BYTES);
	munmap(link->data, link->data_words * 4);
}

int main(int argc, char **argv)
{
	uint64_t until_ms = now_ms() + (argc > 2 ? strtoull(argv[2], NULL, 10) * 1000 : 0);
	uint32_t enough = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : UINT32_MAX;
	uint32_t links = 0, refused = 0, last = 0;
	struct link link;

	for (size_t i = 0; argc > 2 && i < sizeof(attacks) / sizeof(attacks[0]); i++)
		if (strcmp(attacks[i].name, argv[1]) == 0)
			attack = &attacks[i];
	if (!attack || !getenv("XARING_SOCKET")) {
		fprintf(stderr, "usage: XARING_SOCKET=PATH hostile-guest "
				"flood|counter|word|unsettled|future|visit SECONDS "
				"[REFUSALS]\n");
		return 2;
	}
	while (now_ms() < until_ms && (attack->visits ? links : refused) < enough) {
		if (open_link(&link) == 0) {
			uint32_t reason = attack_link(&link, until_ms);

			links++;
			refused += reason != 0;
			last = reason ? reason : last;
			close_link(&link);
		}
		poll(NULL, 0, attack->visits ? 0 : PAUSE_MS);
	}
	printf("{\"links\": %u, \"refused\": %u, \"reason\": %u}\n", links, refused, last);
	return 0;
}
