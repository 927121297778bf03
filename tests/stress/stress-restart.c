/* SPDX-License-Identifier: MIT */
/*
 * An honest guest that stops, starts, pauses and resumes as fast as it can, against the pump on
 * another thread: the pump never finds it broken, and no frame is heard after a later one, however
 * the steps of the two fall between each other.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/client.h>
#include <xaring/server.h>

#include "level.h"
#include "pump.h"
#include "watch.h"

#define QUANTUM 512u
#define BUFFER  2048u

/* The backend: its pages and what it heard. */
static struct xaring_pages pages;
static struct pump pump;
static uint32_t heard;
static uint32_t wrong_after; /* not 0: a frame came after this one that is older */
static int stop;

/* The guest. */
static struct xaring_client *client;
static struct xaring_client_state state;
static uint32_t published, number;
static uint64_t random_state = 88172645463325252ull;

static uint32_t next_random(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % limit;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void hear(const uint32_t *samples, uint32_t frames)
{
	for (uint32_t i = 0; i < frames; i++) {
		if (samples[i] <= heard)
			__atomic_store_n(&wrong_after, heard, __ATOMIC_RELAXED);
		heard = samples[i];
	}
}

static void *run_backend(void *data)
{
	struct pump_cycle cycle = {.rate_mhz = 48000000};
	static uint32_t out[QUANTUM];

	(void)data;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint32_t consumed = pump.consumed;

		cycle.time_ns = now_ns();
		pump_playback(&pump, out, QUANTUM, &cycle);
		hear(out, pump.consumed - consumed);
	}
	return NULL;
}

/* The server's part, once. */
static void accept_client(int fd)
{
	struct xaring_accept accept = {.version = 1,
				       .features = XARING_FEATURE_SAME_CLOCK,
				       .epoch = 1};
	int control, data, data_read, status, status_read;
	struct xaring_refusal refusal;
	struct xaring_message message;
	struct xaring_shape shape;

	assert_int_equal(xaring_wire_receive(fd, &message), 0);
	assert_int_equal(xaring_params_shape(&message.u.open.params, &shape, &refusal), 0);
	assert_int_equal(xaring_memfd_stream(&shape, &control, &data, &data_read), 0);
	assert_int_equal(xaring_memfd_status(&status, &status_read), 0);
	assert_int_equal(xaring_pages_map(&pages, &shape, control, 0, data_read, 0, false), 0);
	pump_init(&pump, &message.u.open.params, &shape, &pages, 0);
	pump_attach(&pump);
	accept.capacity = shape.capacity;
	accept.data_pages = shape.data_pages;
	assert_int_equal(xaring_server_send_pages(fd, XARING_MESSAGE_ACCEPT, &accept, control, data,
						  status_read),
			 0);
	close(control);
	close(data);
	close(data_read);
	close(status);
	close(status_read);
}

static bool is_over(void)
{
	return __atomic_load_n(&pump.reason, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&wrong_after, __ATOMIC_RELAXED);
}

static void look(void)
{
	uint32_t before = state.pos;

	xaring_client_update(client, now_ns(), &state);
	if ((int32_t)(state.pos - before) < 0)
		fail_msg("the position went back from %u to %u", before, state.pos);
}

static void write_frames(void)
{
	uint32_t frames = BUFFER - (published - state.pos), samples[BUFFER];

	for (uint32_t i = 0; i < frames; i++)
		samples[i] = ++number;
	xaring_client_write(client, published, samples, frames);
	published += frames;
	xaring_client_publish(client, published);
}

static void start(void)
{
	published = state.pos;
	xaring_client_publish(client, published);
	write_frames();
	xaring_client_start(client, now_ns(), state.pos);
}

/* Now and then the stream runs for a moment, or the pump would rightly say that it never settles. */
static void wait_until_heard(void)
{
	uint32_t consumed = __atomic_load_n(&pump.consumed, __ATOMIC_RELAXED);
	struct watch watch = {0};

	while (__atomic_load_n(&pump.consumed, __ATOMIC_RELAXED) - consumed < 3 * QUANTUM &&
	       !is_over()) {
		look();
		write_frames();
		watch_turn(&watch, "the pump");
	}
}

static void do_something(uint64_t turn)
{
	look();
	switch (next_random(4)) {
	case 0:
		xaring_client_pause(client, now_ns());
		xaring_client_resume(client, now_ns());
		break;
	case 1:
		write_frames();
		break;
	default:
		xaring_client_stop(client);
		start();
	}
	if (turn % 8 == 0)
		wait_until_heard();
}

static void nothing_is_heard_twice(void **unused)
{
	struct xaring_params params = {.format = XARING_FORMAT_S32,
				       .rate_hz = 48000,
				       .channels = 1,
				       .buffer = BUFFER,
				       .period = 256};
	struct xaring_listener *listener;
	struct xaring_refusal refusal;
	struct xaring_peer peer;
	pthread_t thread;
	char path[64];
	int fd;

	(void)unused;
	snprintf(path, sizeof(path), "/tmp/xaring-stress-%d", (int)getpid());
	assert_int_equal(xaring_listener_open(path, 0600, &listener), 0);
	assert_int_equal(xaring_client_create(path, "stress", &client), 0);
	assert_int_equal(xaring_client_setup(client, &params, 0, &refusal), 0);
	fd = xaring_listener_accept(listener, &peer);
	assert_true(fd >= 0);
	accept_client(fd);
	look();
	assert_true(state.linked);
	assert_int_equal(pthread_create(&thread, NULL, run_backend, NULL), 0);
	start();
	for (uint64_t i = 0; i < level_count(500000) && !is_over(); i++)
		do_something(i);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	print_message("%u frames written, %u consumed, %u xruns\n", number, pump.consumed,
		      pump.xruns);
	assert_int_equal(pump.reason, XARING_REASON_NONE);
	if (wrong_after)
		fail_msg("an older frame was heard after frame %u", wrong_after);
	xaring_client_close(client);
	xaring_pages_unmap(&pages);
	close(fd);
	xaring_listener_close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_heard_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
