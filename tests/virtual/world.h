/* SPDX-License-Identifier: MIT */
/*
 * dom0 in virtual time: a graph with a quantum, drift and jitter that runs the real pump, and a
 * server that hands out pages over a real socket, for one stream of the real client. Nothing waits
 * and nothing reads a clock, so a day passes in seconds and every run is the same.
 *
 * It knows what no real system knows: when each frame really sounds.
 *
 * Frames are one S32 sample, the number of the frame since the program began to write, from 1 on: so
 * whatever comes out tells whether it is lost, late, or heard before.
 *
 * Thread: one.
 */
#ifndef XARING_TESTS_WORLD_H
#define XARING_TESTS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/client.h>
#include <xaring/server.h>

#include "pump.h"

#define RATE     48000.0
#define MS       1e6
#define SECOND   1e9
#define NEVER_NS 1e300

struct world_options {
	uint32_t quantum; /* 0 = 1024 */
	double graph_ppm; /* of the graph against the backend's clock */
	double guest_ppm; /* of the guest's clock against the backend's; not with same_clock */
	double jitter_ns; /* a cycle runs up to this late */
	bool same_clock;
	uint32_t downstream; /* frames from a buffer's first frame to its sound; 0 = 1000 */
};

struct world {
	struct world_options options;
	char socket_path[64];
	double now; /* ns, the backend's clock */
	uint64_t random;

	/* Graph. */
	bool graph_runs;
	double cycle_began; /* the last one; nominal */
	double cycle_next;  /* the next one; nominal */
	double cycle_due;   /* and when it is run */
	double line_ns;     /* frame line_index sounds then, and the others before and after it */
	uint32_t line_index;

	/* Server and worker. */
	struct xaring_listener *listener;
	int connection; /* -1 = none */
	int control, data, status;
	struct xaring_params params;
	struct xaring_shape shape;
	struct xaring_pages pages;
	struct pump pump;
	bool has_pump;
	uint32_t accepted;     /* links so far */
	uint32_t returned;     /* links that a server after their own was shown */
	uint32_t xruns;        /* of all pumps */
	uint32_t quiet_cycles; /* without a frame, in a row */

	/* What was heard. */
	uint32_t heard;     /* number of the last frame */
	uint64_t heard_all; /* frames */
	uint64_t lost;      /* numbers that were skipped */
};

/* Makes a world and serves its socket. */
void world_create(struct world *w, const struct world_options *options);
void world_destroy(struct world *w);

/* The guest's clock, and back. */
uint64_t world_guest_ns(const struct world *w, double now);
double world_of_guest_ns(const struct world *w, uint64_t guest_ns);

/* A number from 0 up to, not including, 1. */
double world_random(struct world *w);

/* Runs the graph and the server up to this time. */
void world_run(struct world *w, double until);

/* Answers whoever is at the socket, now. */
void world_serve(struct world *w);

/* The graph stops (a sound server that is gone, a sink that is suspended) or runs again from now. */
void world_stop_graph(struct world *w);
void world_start_graph(struct world *w);

/* The worker forgets everything and begins again on the same pages. */
void world_restart_worker(struct world *w);

/* The guest's daemon is killed: the worker has the pages still. world_start_server() is the next. */
void world_kill_server(struct world *w);

/* The broker is gone, with all it held, or back. */
void world_stop_server(struct world *w);
void world_start_server(struct world *w);

/* Frames from now until a frame at this index of the ring sounds, in truth. */
double world_true_delay(const struct world *w, uint32_t index);

#endif
