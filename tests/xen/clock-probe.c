/* SPDX-License-Identifier: MIT */
/*
 * How well a guest knows dom0's clock, against the processor's counter that both can read.
 *
 *   clock-probe pair
 *       Prints "pair NS TICKS": CLOCK_MONOTONIC and the counter at the same moment.
 *   clock-probe play SECONDS
 *       Plays silence as a guest, with one frame of sound in it, and prints
 *           heard TIME_NS      the backend's time of the cycle that took that frame, as in its record
 *           offset NS WIDTH    the estimate after each record: that clock minus ours, and the width
 *                              of the interval, of which NS is the middle
 *       and a pair. Exit 0 when the frame was taken.
 *   clock-probe cycle FILE
 *       Prints "cycle NS": when the cycle was in which FILE, of sound-tap, has its first sound.
 *
 * TIME_NS has a secret in it, which is the same for the whole stream: who knows when the cycle really
 * was knows the secret.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <x86intrin.h>

#include <xaring/client.h>
#include <xaring/record.h>
#include <xaring/wire.h>

#include "client-private.h"

#define RATE       48000u
#define BUFFER     16384u
#define BLOCK      1024u
#define CHANNELS   2u
#define PULSE_AT   (2 * RATE)
#define LOOK_MS    2
#define PAIR_TRIES 1000

struct probe {
	struct xaring_client *client;
	uint32_t written, seq, last_pos;
	bool heard;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The one of many that took least. */
static void print_pair(void)
{
	uint64_t best = UINT64_MAX, best_ns = 0, best_ticks = 0;

	for (uint32_t i = 0; i < PAIR_TRIES; i++) {
		uint64_t before = __rdtsc(), ns = now_ns(), after = __rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		best_ns = ns;
		best_ticks = before + best / 2;
	}
	printf("pair %" PRIu64 " %" PRIu64 "\n", best_ns, best_ticks);
}

static void write_block(struct probe *p)
{
	float block[BLOCK * CHANNELS] = {0};

	if (PULSE_AT >= p->written && PULSE_AT < p->written + BLOCK)
		block[(PULSE_AT - p->written) * CHANNELS] = 0.5f;
	xaring_client_write(p->client, p->written, block, BLOCK);
	p->written += BLOCK;
	xaring_client_publish(p->client, p->written);
}

/* Read here once more, since the client keeps to itself what it says. */
static void look_at_record(struct probe *p)
{
	const struct xaring_clock *clock = &p->client->clock;
	struct xaring_record record;

	if (xaring_record_read(&p->client->control->record, &p->seq, &record) <= 0)
		return;
	if (p->last_pos <= PULSE_AT && record.pos > PULSE_AT) {
		printf("heard %" PRId64 "\n", (int64_t)record.time_ns);
		p->heard = true;
	}
	p->last_pos = record.pos;
	if (xaring_clock_is_known(clock))
		printf("offset %" PRId64 " %" PRIu64 "\n",
		       clock->low_ns + (clock->high_ns - clock->low_ns) / 2,
		       xaring_clock_width(clock));
}

static void step(struct probe *p)
{
	struct xaring_client_state state;

	xaring_client_update(p->client, now_ns(), &state);
	look_at_record(p);
	while (p->written - state.pos + BLOCK <= BUFFER)
		write_block(p);
}

static int open_stream(struct probe *p)
{
	const struct xaring_params params = {.format = XARING_FORMAT_FLOAT,
					     .rate_hz = RATE,
					     .channels = CHANNELS,
					     .buffer = BUFFER,
					     .period = BLOCK};
	struct xaring_refusal refusal;
	int res = xaring_client_create(XARING_SOCKET_DEFAULT, "clock-probe", &p->client);

	return res < 0 ? res : xaring_client_setup(p->client, &params, 2000, &refusal);
}

static int play(uint32_t seconds)
{
	struct probe p = {0};
	uint64_t end_ns;
	int res = open_stream(&p);

	if (res < 0) {
		fprintf(stderr, "clock-probe: %s\n", strerror(-res));
		return 1;
	}
	while (p.written < BUFFER)
		write_block(&p);
	xaring_client_start(p.client, now_ns(), 0);
	end_ns = now_ns() + seconds * UINT64_C(1000000000);
	while (now_ns() < end_ns) {
		step(&p);
		(void)poll(NULL, 0, LOOK_MS);
	}
	xaring_client_close(p.client);
	print_pair();
	return p.heard ? 0 : 1;
}

/* The first frame that is not silent; -1 when there is none. */
static int64_t find_sound(const char *path)
{
	FILE *file = fopen(path, "re");
	float frame[CHANNELS];
	int64_t at = 0;

	if (!file)
		return -1;
	while (fread(frame, sizeof(frame), 1, file) == 1 && frame[0] == 0.0f)
		at++;
	at = feof(file) ? -1 : at;
	fclose(file);
	return at;
}

static int print_cycle(const char *path)
{
	int64_t sound = find_sound(path), first, frames;
	char name[512], line[256];
	uint64_t ns;
	FILE *times;

	snprintf(name, sizeof(name), "%s.times", path);
	times = fopen(name, "re");
	while (times && fgets(line, sizeof(line), times)) {
		if (sscanf(line, "%" SCNd64 " %" SCNu64 " %" SCNd64, &first, &ns, &frames) != 3 ||
		    sound < first || sound >= first + frames)
			continue;
		printf("cycle %" PRIu64 "\n", ns);
		return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "cycle") == 0)
		return print_cycle(argv[2]);
	if (argc == 2 && strcmp(argv[1], "pair") == 0) {
		print_pair();
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "play") == 0)
		return play((uint32_t)strtoul(argv[2], NULL, 10));
	fprintf(stderr, "usage: clock-probe pair | play SECONDS | cycle FILE\n");
	return 2;
}
