/* SPDX-License-Identifier: MIT */
/*
 * One stream, both ends in one program and no sound server: an application that writes periods to
 * the device `xen`, and the pump that takes them out again. Made for counting: run it in callgrind,
 * or with the counter preloaded.
 *
 * bench-period SOCKET PERIOD ROUNDS: plays ROUNDS periods of S16 stereo through a socket that it
 * serves itself. What is to be measured happens in measured_guest(), measured_pump() and, for
 * comparison, measured_copy(): one memcpy of the period that the pump took.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <alsa/asoundlib.h>

#include <xaring/pages.h>
#include <xaring/server.h>

#include "pump.h"

#define PERIOD_MAX 8192u
#define NOINLINE   __attribute__((noinline))

/* Of the preloaded counter; does nothing without it. label NULL: counts nothing from here on. */
void bench_count(const char *label) __attribute__((weak));

struct server {
	struct xaring_listener *listener;
	struct pump pump;
	struct xaring_pages pages;
	int connection;
};

static int16_t application[PERIOD_MAX * 2], graph[PERIOD_MAX * 2];

static void check(int res, const char *what)
{
	if (res >= 0)
		return;
	fprintf(stderr, "bench-period: %s: %s\n", what, snd_strerror(res));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void count(const char *label)
{
	if (bench_count)
		bench_count(label);
}

static void wait_input(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 5000) != 1)
		check(-ETIMEDOUT, "waiting for the plugin");
}

static void give_pages(struct server *s, const struct xaring_params *params)
{
	struct xaring_accept accept = {.version = XARING_PROTOCOL_VERSION,
				       .features = XARING_FEATURE_SAME_CLOCK,
				       .epoch = 1};
	struct xaring_refusal refusal;
	struct xaring_shape shape;
	int control, data, data_read, status, status_read;

	check(xaring_params_shape(params, &shape, &refusal), "shape");
	check(xaring_memfd_stream(&shape, &control, &data, &data_read), "memfd");
	check(xaring_memfd_status(&status, &status_read), "status");
	check(xaring_pages_map(&s->pages, &shape, control, 0, data_read, 0, false), "map");
	pump_init(&s->pump, params, &shape, &s->pages, 0);
	pump_attach(&s->pump);
	accept.capacity = shape.capacity;
	accept.data_pages = shape.data_pages;
	check(xaring_server_send_pages(s->connection, XARING_MESSAGE_ACCEPT, &accept, control, data,
				       status_read),
	      "accept");
}

/* Answers the one client; its connection stays open. */
static void *serve(void *arg)
{
	struct server *s = arg;
	struct xaring_message message;
	struct xaring_peer peer;

	wait_input(xaring_listener_fd(s->listener));
	s->connection = xaring_listener_accept(s->listener, &peer);
	check(s->connection, "accept");
	wait_input(s->connection);
	check(xaring_wire_receive(s->connection, &message), "receive");
	if (message.type != XARING_MESSAGE_OPEN)
		check(-EPROTO, "open");
	give_pages(s, &message.u.open.params);
	return NULL;
}

static snd_pcm_t *open_device(const char *socket, snd_pcm_uframes_t period)
{
	char name[160];
	snd_pcm_t *pcm;

	snprintf(name, sizeof(name), "xen:%s", socket);
	check(snd_pcm_open(&pcm, name, SND_PCM_STREAM_PLAYBACK, 0), name);
	check(snd_pcm_set_params(pcm, SND_PCM_FORMAT_S16_LE, SND_PCM_ACCESS_RW_INTERLEAVED, 2,
				 48000, 0, (unsigned int)(4 * period * 1000000 / 48000)),
	      "hw_params");
	return pcm;
}

/* What an application does for a period: looks, and writes it. */
NOINLINE static snd_pcm_sframes_t measured_guest(snd_pcm_t *pcm, snd_pcm_uframes_t period)
{
	snd_pcm_sframes_t avail = snd_pcm_avail_update(pcm);

	if (avail < (snd_pcm_sframes_t)period)
		return avail < 0 ? avail : 0;
	return snd_pcm_writei(pcm, application, period);
}

NOINLINE static void measured_pump(struct pump *pump, uint32_t frames,
				   const struct pump_cycle *cycle)
{
	pump_playback(pump, graph, frames, cycle);
}

/* The same bytes once more, as cheaply as it can be done. */
NOINLINE static void measured_copy(const void *from, size_t bytes)
{
	memcpy(graph, from, bytes);
	__asm__ volatile("" ::: "memory");
}

/* One graph cycle and one period of the application; the clock stands still for the guest. */
NOINLINE static void step(struct server *s, snd_pcm_t *pcm, uint32_t period)
{
	struct pump_cycle cycle = {.time_ns = now_ns(), .rate_mhz = 48000000};
	const struct xaring_ring *ring = &s->pump.ring;
	const char *from = (char *)ring->data +
			   (size_t)(s->pump.index & (ring->capacity - 1)) * ring->frame_bytes;
	snd_pcm_sframes_t done;

	count("pump");
	measured_pump(&s->pump, period, &cycle);
	count("guest");
	done = measured_guest(pcm, period);
	count(NULL);
	check((int)done, "write");
	measured_copy(from, (size_t)period * ring->frame_bytes);
}

int main(int argc, char **argv)
{
	struct server server = {.connection = -1};
	uint32_t period = argc == 4 ? (uint32_t)atoi(argv[2]) : 0;
	pthread_t thread;
	snd_pcm_t *pcm;
	uint32_t before;

	if (period < 1 || period > PERIOD_MAX) {
		fprintf(stderr, "usage: bench-period SOCKET PERIOD ROUNDS\n");
		return 2;
	}
	memset(application, 0x11, sizeof(application));
	check(xaring_listener_open(argv[1], 0600, &server.listener), argv[1]);
	if (pthread_create(&thread, NULL, serve, &server) != 0)
		check(-EAGAIN, "thread");
	pcm = open_device(argv[1], period);
	pthread_join(thread, NULL);
	for (int i = 0; i < 4; i++)
		check((int)snd_pcm_writei(pcm, application, period), "first periods");
	before = server.pump.consumed;
	for (int i = 0; i < atoi(argv[3]); i++)
		step(&server, pcm, period);
	printf("consumed %u xruns %u\n", server.pump.consumed - before, server.pump.xruns);
	xaring_listener_close(server.listener);
	return 0;
}
