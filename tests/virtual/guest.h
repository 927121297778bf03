/* SPDX-License-Identifier: MIT */
/*
 * Guests in virtual time: two kinds of program over the real client.
 *
 * BLOCKING  sleeps until there is room for a period, writes it, and so on: aplay and most players.
 * TIMER     keeps time by its own timer: at each wake it compares what is in the buffer with what
 *           should be, corrects its timer by a delay-locked loop, and writes one quantum. This is
 *           how PipeWire's ALSA node works, with api.alsa.headroom as head-room.
 *
 * Every look checks that the position goes forwards, in steps of at most a quantum.
 *
 * Thread: one.
 */
#ifndef XARING_TESTS_GUEST_H
#define XARING_TESTS_GUEST_H

#include "world.h"

enum guest_kind { GUEST_BLOCKING, GUEST_TIMER };

struct guest_options {
	enum guest_kind kind;
	uint32_t period;
	uint32_t buffer;
	uint32_t headroom;     /* TIMER */
	double wake_jitter_ns; /* it runs up to this late */
	bool watch;            /* compares the delay with the truth at each look */
	bool curious;          /* looks at random moments as well, as many programs do */
	bool goes_on;          /* BLOCKING: an xrun does not stop it (stop threshold = boundary) */
};

#define GUEST_ERRORS 8192 /* frames */

struct guest {
	struct guest_options options;
	struct world *world;
	struct xaring_client *client;
	struct xaring_client_state state;
	double wakes_at;
	double looks_at;
	bool running;
	uint32_t published;
	uint32_t number; /* of the last frame written */
	uint32_t starts;

	/* TIMER. */
	double next_ns; /* on the guest's clock */
	double z1, z2, z3, w0, w1, w2, bandwidth;
	double narrowed_ns;

	/* What the looks found. */
	double looked_at;
	uint32_t largest_step;
	uint32_t largest_fill, smallest_fill;
	double latency; /* sum over all wakes: frames from a write to its sound, in truth */
	uint32_t wakes;
	uint64_t looks;
	uint32_t errors[GUEST_ERRORS]; /* how often the delay was off by so many frames */
	uint64_t errors_all;
};

/* Sets a stream up, linked to the world when its server is there; not started. */
void guest_create(struct guest *g, struct world *w, const struct guest_options *options);
void guest_destroy(struct guest *g);

/* Fills the buffer and starts. */
void guest_start(struct guest *g);

/* Runs world and guest for so long. */
void guest_run(struct guest *g, double ns);

/* Looks at the stream now. */
void guest_look(struct guest *g);

/* The guest does not run for so long (SIGSTOP, a paused domain); the world does. */
void guest_stall(struct guest *g, double ns);

/* Frames from a write to its sound, on average since guest_forget(). */
double guest_latency(const struct guest *g);

/* Forgets what the looks found. */
void guest_forget(struct guest *g);

/* The error of the reported delay that so many percent of the looks do not exceed, in frames. */
uint32_t guest_error(const struct guest *g, uint32_t percent);

#endif
