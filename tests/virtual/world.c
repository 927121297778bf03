/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The guest's clock is far from the backend's. */
#define GUEST_BEGAN 7.0e15

#define QUANTUM_MAX 8192u
#define EPOCH       99u

static double rate_of(const struct world *w)
{
	return RATE * (1 + w->options.graph_ppm * 1e-6);
}

static double cycle_ns(const struct world *w)
{
	return w->options.quantum * SECOND / rate_of(w);
}

uint64_t world_guest_ns(const struct world *w, double now)
{
	if (w->options.same_clock)
		return (uint64_t)now;
	return (uint64_t)(GUEST_BEGAN + now * (1 + w->options.guest_ppm * 1e-6));
}

double world_of_guest_ns(const struct world *w, uint64_t guest_ns)
{
	if (guest_ns == UINT64_MAX)
		return NEVER_NS;
	if (w->options.same_clock)
		return (double)guest_ns;
	return ((double)guest_ns - GUEST_BEGAN) / (1 + w->options.guest_ppm * 1e-6);
}

double world_random(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (double)(w->random >> 11) / 9007199254740992.0;
}

static void plan_cycle(struct world *w)
{
	w->cycle_next = w->cycle_began + cycle_ns(w);
	w->cycle_due = w->cycle_next + world_random(w) * w->options.jitter_ns;
}

void world_create(struct world *w, const struct world_options *options)
{
	static int worlds;

	*w = (struct world){.options = *options,
			    .now = 1000 * SECOND,
			    .random = 88172645463325252ull,
			    .connection = -1};
	if (w->options.quantum == 0)
		w->options.quantum = 1024;
	if (w->options.downstream == 0)
		w->options.downstream = 1000;
	snprintf(w->socket_path, sizeof(w->socket_path), "/tmp/xaring-world-%d-%d", (int)getpid(),
		 ++worlds);
	world_start_server(w);
	world_start_graph(w);
}

void world_destroy(struct world *w)
{
	if (w->listener)
		world_stop_server(w);
}

void world_start_graph(struct world *w)
{
	w->graph_runs = true;
	w->cycle_began = w->now;
	plan_cycle(w);
}

void world_stop_graph(struct world *w)
{
	w->graph_runs = false;
	w->cycle_due = NEVER_NS;
}

static void make_pump(struct world *w)
{
	if (w->has_pump)
		w->xruns += w->pump.xruns;
	pump_init(&w->pump, &w->params, &w->shape, &w->pages,
		  w->options.same_clock ? 0 : UINT64_C(0x0123456789abcdef));
	w->has_pump = true;
	w->quiet_cycles = 0;
}

/* As the worker does it: a guest that runs is asked by the first cycle. */
static void attach_if_at_rest(struct world *w)
{
	int state = pump_peek(&w->pump);

	if (state == XARING_STATE_STOPPED || state == XARING_STATE_PAUSED)
		pump_attach(&w->pump);
}

void world_restart_worker(struct world *w)
{
	make_pump(w);
	attach_if_at_rest(w);
}

static void hang_up(struct world *w)
{
	if (w->connection >= 0)
		close(w->connection);
	w->connection = -1;
}

static void drop_pages(struct world *w)
{
	if (!w->has_pump)
		return;
	close(w->control);
	close(w->data);
	close(w->status);
	xaring_pages_unmap(&w->pages);
	w->xruns += w->pump.xruns;
	w->has_pump = false;
}

static void drop_link(struct world *w)
{
	hang_up(w);
	drop_pages(w);
}

void world_start_server(struct world *w)
{
	assert_int_equal(xaring_listener_open(w->socket_path, 0600, &w->listener), 0);
}

void world_stop_server(struct world *w)
{
	drop_link(w);
	xaring_listener_close(w->listener);
	w->listener = NULL;
}

void world_kill_server(struct world *w)
{
	hang_up(w);
	xaring_listener_close(w->listener);
	w->listener = NULL;
}

/* The pages are those that the client has, too. */
static void return_stream(struct world *w)
{
	int status, status_read;

	assert_int_equal(xaring_memfd_status(&status, &status_read), 0);
	assert_int_equal(xaring_server_send_keep(w->connection, EPOCH, status_read), 0);
	close(w->status);
	close(status_read);
	w->status = status;
	w->returned++;
}

static void accept_stream(struct world *w, const struct xaring_open *open)
{
	struct xaring_refusal refusal;
	struct xaring_accept accept = {.epoch = EPOCH};
	int data_read, status_read;

	w->params = open->params;
	assert_int_equal(xaring_params_shape(&w->params, &w->shape, &refusal), 0);
	assert_int_equal(xaring_server_agree(open, &accept.version, &accept.features, &refusal), 0);
	accept.features = w->options.same_clock ? XARING_FEATURE_SAME_CLOCK : 0;
	accept.capacity = w->shape.capacity;
	accept.data_pages = w->shape.data_pages;
	assert_int_equal(xaring_memfd_stream(&w->shape, &w->control, &w->data, &data_read), 0);
	assert_int_equal(xaring_memfd_status(&w->status, &status_read), 0);
	assert_int_equal(xaring_pages_map(&w->pages, &w->shape, w->control, 0, data_read, 0, false),
			 0);
	close(data_read);
	make_pump(w);
	attach_if_at_rest(w);
	assert_int_equal(xaring_server_send_pages(w->connection, XARING_MESSAGE_ACCEPT, &accept,
						  w->control, w->data, status_read),
			 0);
	close(status_read);
	w->accepted++;
}

static void open_stream(struct world *w, const struct xaring_open *open)
{
	if (w->has_pump && open->epoch == EPOCH) {
		return_stream(w);
		return;
	}
	drop_pages(w); /* of a link that nobody has any more */
	accept_stream(w, open);
}

static void take_messages(struct world *w)
{
	struct xaring_message message;
	int res;

	while ((res = xaring_wire_receive(w->connection, &message)) == 0) {
		if (message.type == XARING_MESSAGE_OPEN)
			open_stream(w, &message.u.open);
		xaring_message_finish(&message);
	}
	if (res != -EAGAIN)
		drop_link(w);
}

void world_serve(struct world *w)
{
	struct xaring_peer peer;

	if (w->listener && w->connection < 0)
		w->connection = xaring_listener_accept(w->listener, &peer);
	if (w->connection >= 0)
		take_messages(w);
	else
		w->connection = -1;
}

/* Frames that were consumed are numbers that grow; what is left out is lost, what returns is wrong. */
static void hear(struct world *w, const uint32_t *samples, uint32_t frames)
{
	for (uint32_t i = 0; i < frames; i++) {
		if (samples[i] <= w->heard)
			fail_msg("frame %u is heard after frame %u", samples[i], w->heard);
		w->lost += samples[i] - w->heard - 1;
		w->heard = samples[i];
	}
	w->heard_all += frames;
	w->quiet_cycles = frames ? 0 : w->quiet_cycles + 1;
}

static void run_cycle(struct world *w)
{
	static uint32_t out[QUANTUM_MAX];
	uint32_t consumed;
	struct pump_cycle cycle;

	w->cycle_began = w->cycle_next;
	w->now = fmax(w->now, w->cycle_due);
	plan_cycle(w);
	if (!w->has_pump)
		return;
	cycle = (struct pump_cycle){
		.time_ns = (uint64_t)w->cycle_began,
		.age_ns = (uint32_t)(w->now - w->cycle_began),
		.rate_mhz = (uint32_t)lrint(rate_of(w) * 1000),
		.delay = w->options.downstream,
	};
	consumed = w->pump.consumed;
	pump_playback(&w->pump, out, w->options.quantum, &cycle);
	hear(w, out, w->pump.consumed - consumed);
	w->line_index = w->pump.index;
	w->line_ns = w->cycle_began + cycle_ns(w) + w->options.downstream * SECOND / rate_of(w);
}

void world_run(struct world *w, double until)
{
	while (w->cycle_due <= until)
		run_cycle(w);
	if (until > w->now)
		w->now = until;
}

double world_true_delay(const struct world *w, uint32_t index)
{
	double sounds = w->line_ns + (int32_t)(index - w->line_index) * SECOND / rate_of(w);

	return (sounds - w->now) * RATE / SECOND;
}
