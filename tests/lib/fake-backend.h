/* SPDX-License-Identifier: MIT */
/*
 * A backend for tests of the plugin: a thread that serves the local socket and runs the real pump
 * against the clock, without broker, worker and PipeWire. It keeps what it consumed, so that a test
 * can demand every frame.
 *
 * Thread: all functions from one. They wait for the thread of the backend, never for a client.
 */
#ifndef XARING_TESTS_FAKE_BACKEND_H
#define XARING_TESTS_FAKE_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/format.h>

#define FAKE_STREAMS_MAX 16u

struct fake_options {
	uint32_t quantum;              /* frames at 48 kHz; 0 = 1024 */
	struct xaring_refusal refusal; /* reason not NONE: every stream is refused */
	uint32_t pages_max;            /* of all streams that live; 0 = any number */
	bool is_mute;                  /* accepts connections and never answers */
	bool ends_mixers;              /* once they are answered */
	bool is_far; /* its server is one in a guest: it does not say that there is one clock */
};

struct fake_backend;

/* Serves path. Returns 0 and sets *out, or a negative errno. */
int fake_start(const char *path, const struct fake_options *options, struct fake_backend **out);

/* Vanishes: closes the socket, every connection and all pages. Accepts NULL. */
void fake_stop(struct fake_backend *b);

/*
 * It has a microphone from now on, or none: what programs record begins with the number of the frame, from 1 on.
 * The flags say so from its next cycle on.
 */
void fake_hear(struct fake_backend *b, bool hearing);

/*
 * Mixers: what one sets is in the page, and all are told; where streams are refused, setting is as well, and where the
 * reason is BUSY, so are mixers. The second sets it as another mixer would.
 */
uint32_t fake_mixers(struct fake_backend *b);
void fake_set_volume(struct fake_backend *b, uint32_t volume, bool muted);

/* A stalled backend keeps its connections and runs no cycle. */
void fake_stall(struct fake_backend *b, bool stalled);

/* From now on it takes no frame, and tells in every cycle that it is there. */
void fake_stick(struct fake_backend *b);

/*
 * The server is killed, and the backend goes on with every stream; and the next server, which knows
 * them. fake_returned() tells how many were shown to it.
 */
void fake_lose_server(struct fake_backend *b);
int fake_find_server(struct fake_backend *b);
uint32_t fake_returned(struct fake_backend *b);

/*
 * As after a guest was restored: nobody looks at the old pages any more, every stream gets new ones,
 * and their first cycle is so much later. Returns 0 or a negative errno.
 */
int fake_relink(struct fake_backend *b, uint32_t first_ms);

/* Refuses from now on; streams that run are refused as well when late is set. */
void fake_refuse(struct fake_backend *b, const struct xaring_refusal *refusal, bool late);

/* Streams accepted so far, FAKE_STREAMS_MAX at most, and those whose connection lives. */
uint32_t fake_streams(struct fake_backend *b);
uint32_t fake_streams_alive(struct fake_backend *b);

/* What the client asked for with stream number i, 0 = the first. */
void fake_params(struct fake_backend *b, uint32_t i, struct xaring_params *params);

/*
 * Frames consumed from stream i so far, and a copy of them. Owner: the caller; free(3).
 * NULL when there is no such stream or nothing.
 */
uint32_t fake_consumed(struct fake_backend *b, uint32_t i);
void *fake_sound(struct fake_backend *b, uint32_t i, uint32_t *frames);

/* Real gaps of stream i. */
uint32_t fake_xruns(struct fake_backend *b, uint32_t i);

/* How late the latest cycle came: of a busy machine. */
uint64_t fake_late_ns(struct fake_backend *b);

/* Cycles that stream i has seen. */
uint32_t fake_cycles(struct fake_backend *b, uint32_t i);

#endif
