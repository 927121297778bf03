/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CHUNK 4096u

/* The loop of the timer guest begins wide and narrows every three seconds. */
#define BANDWIDTH_MAX 0.128
#define BANDWIDTH_MIN 0.016
#define NARROW_NS     (3 * SECOND)

static uint64_t guest_now(const struct guest *g)
{
	return world_guest_ns(g->world, g->world->now);
}

static double wake_jitter(struct guest *g)
{
	return world_random(g->world) * g->options.wake_jitter_ns;
}

void guest_create(struct guest *g, struct world *w, const struct guest_options *options)
{
	struct xaring_params params = {.direction = XARING_PLAYBACK,
				       .format = XARING_FORMAT_S32,
				       .rate_hz = 48000,
				       .channels = 1,
				       .buffer = options->buffer,
				       .period = options->period};
	struct xaring_refusal refusal;

	memset(g, 0, sizeof(*g));
	g->options = *options;
	g->world = w;
	g->wakes_at = NEVER_NS;
	g->looks_at = NEVER_NS;
	g->looked_at = w->now;
	guest_forget(g);
	assert_int_equal(xaring_client_create(w->socket_path, "virtual", &g->client), 0);
	assert_int_equal(xaring_client_setup(g->client, &params, 0, &refusal), 0);
	world_serve(w);
	guest_look(g);
	assert_int_equal(g->state.linked, w->listener != NULL);
}

void guest_destroy(struct guest *g)
{
	xaring_client_close(g->client);
}

void guest_forget(struct guest *g)
{
	g->largest_step = 0;
	g->largest_fill = 0;
	g->smallest_fill = UINT32_MAX;
	g->latency = 0;
	g->wakes = 0;
	g->looks = 0;
	g->errors_all = 0;
	memset(g->errors, 0, sizeof(g->errors));
}

uint32_t guest_error(const struct guest *g, uint32_t percent)
{
	uint64_t wanted = g->errors_all * percent / 100, counted = 0;

	for (uint32_t i = 0; i < GUEST_ERRORS; i++) {
		counted += g->errors[i];
		if (counted > wanted)
			return i;
	}
	return GUEST_ERRORS;
}

/* Only while the sound is unbroken does the last cycle say when the next frames will sound. */
static void compare_delay(struct guest *g)
{
	double reported, error;

	if (!g->options.watch || !g->state.attached || g->world->quiet_cycles)
		return;
	reported = xaring_client_delay(g->client, guest_now(g));
	error = fabs(reported - world_true_delay(g->world, g->published));
	g->errors[error < GUEST_ERRORS - 1 ? (int)error : GUEST_ERRORS - 1]++;
	g->errors_all++;
}

static uint32_t fill(const struct guest *g)
{
	return g->published - g->state.pos;
}

void guest_look(struct guest *g)
{
	uint32_t before = g->state.pos, step;

	if (g->world->connection < 0 || !g->state.linked)
		world_serve(g->world);
	xaring_client_update(g->client, guest_now(g), &g->state);
	step = g->state.pos - before;
	if ((int32_t)step < 0)
		fail_msg("the position went back from %u to %u", before, g->state.pos);
	if ((int32_t)fill(g) < 0)
		fail_msg("the position %u is beyond what was written, %u", g->state.pos,
			 g->published);
	if (step > g->largest_step &&
	    g->world->now - g->looked_at < g->world->options.quantum / RATE * SECOND / 2)
		g->largest_step = step;
	g->looked_at = g->world->now;
	g->looks++;
	compare_delay(g);
}

static void write_frames(struct guest *g, uint32_t frames)
{
	uint32_t samples[CHUNK];

	while (frames > 0) {
		uint32_t n = frames < CHUNK ? frames : CHUNK;

		for (uint32_t i = 0; i < n; i++)
			samples[i] = ++g->number;
		xaring_client_write(g->client, g->published, samples, n);
		g->published += n;
		frames -= n;
	}
	xaring_client_publish(g->client, g->published);
}

static void set_bandwidth(struct guest *g, double bandwidth)
{
	double w = 2 * M_PI * bandwidth * g->options.period / RATE;

	g->bandwidth = bandwidth;
	g->w0 = 1 - exp(-20 * w);
	g->w1 = w * 1.5 / g->options.period;
	g->w2 = w / 1.5;
}

/* Returns the speed of the timer that the fill asks for, about 1. */
static double correct(struct guest *g, double error)
{
	double limit = fmax(256, g->options.period / 2.0);

	error = fmin(fmax(error, -limit), limit);
	g->z1 += g->w0 * (g->w1 * error - g->z1);
	g->z2 += g->w0 * (g->z1 - g->z2);
	g->z3 += g->w2 * g->z2;
	return 1 - (g->z2 + g->z3);
}

static uint32_t prefill(const struct guest *g)
{
	if (g->options.kind == GUEST_BLOCKING)
		return g->options.buffer;
	return 2 * g->options.period + g->options.headroom;
}

void guest_start(struct guest *g)
{
	uint64_t now = guest_now(g);

	g->published = g->state.pos;
	xaring_client_publish(g->client, g->published);
	write_frames(g, prefill(g));
	xaring_client_start(g->client, now, g->state.pos);
	g->running = true;
	g->starts++;
	g->z1 = g->z2 = g->z3 = 0;
	set_bandwidth(g, BANDWIDTH_MAX);
	g->next_ns = (double)now;
	g->narrowed_ns = g->next_ns;
	g->wakes_at = g->world->now;
	if (g->options.curious)
		g->looks_at = g->world->now;
}

static void restart(struct guest *g)
{
	xaring_client_stop(g->client);
	guest_start(g);
}

static void wake_blocking(struct guest *g)
{
	uint64_t now = guest_now(g), when;

	while (g->options.buffer - fill(g) >= g->options.period)
		write_frames(g, g->options.period);
	when = xaring_client_when(g->client, now,
				  g->published - g->options.buffer + g->options.period);
	g->wakes_at = world_of_guest_ns(g->world, when);
	if (g->wakes_at < g->world->now + 1000)
		g->wakes_at = g->world->now + 1000;
	g->wakes_at += wake_jitter(g);
}

static void wake_timer(struct guest *g)
{
	double target = g->options.period + g->options.headroom;
	double error = fill(g) - target;
	double limit = fmax(256, g->options.period / 2.0);
	double now = (double)guest_now(g);

	if (error > limit) { /* too early: later, and without writing */
		g->next_ns = now + error * SECOND / RATE;
	} else {
		g->next_ns += g->options.period / correct(g, error) * SECOND / RATE;
		if (g->options.buffer - fill(g) >= g->options.period)
			write_frames(g, g->options.period);
	}
	if (g->next_ns - g->narrowed_ns > NARROW_NS && g->bandwidth > BANDWIDTH_MIN) {
		set_bandwidth(g, g->bandwidth / 2);
		g->narrowed_ns = g->next_ns;
	}
	g->wakes_at = world_of_guest_ns(g->world, (uint64_t)g->next_ns) + wake_jitter(g);
	g->wakes_at = fmax(g->wakes_at, g->world->now);
}

static void wake(struct guest *g)
{
	guest_look(g);
	if (g->smallest_fill > fill(g))
		g->smallest_fill = fill(g);
	if (g->state.xruns && !g->options.goes_on)
		restart(g);
	else if (g->options.kind == GUEST_BLOCKING)
		wake_blocking(g);
	else
		wake_timer(g);
	if (g->largest_fill < fill(g))
		g->largest_fill = fill(g);
	g->latency += world_true_delay(g->world, g->published);
	g->wakes++;
}

double guest_latency(const struct guest *g)
{
	return g->latency / g->wakes;
}

void guest_run(struct guest *g, double ns)
{
	double until = g->world->now + ns;

	for (;;) {
		double next = fmin(fmin(g->wakes_at, g->looks_at), until);

		world_run(g->world, next);
		if (next >= until)
			return;
		if (next >= g->wakes_at) {
			wake(g);
			continue;
		}
		guest_look(g);
		g->looks_at = g->world->now + world_random(g->world) * g->world->options.quantum /
						      RATE * SECOND / 2;
	}
}

void guest_stall(struct guest *g, double ns)
{
	double until = g->world->now + ns;

	world_run(g->world, until);
	g->wakes_at = fmax(g->wakes_at, until);
	g->looks_at = fmax(g->looks_at, until);
}
