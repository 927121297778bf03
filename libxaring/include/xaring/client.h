/* SPDX-License-Identifier: MIT */
/*
 * A stream of the guest: what the ALSA plugin, or another frontend, is built on.
 *
 * The stream always has a ring. Without a server, with one that refuses later, or with a backend
 * that is silent, what is written is discarded and the position goes on at the nominal rate;
 * when a backend is there (again), the stream attaches by itself. A server that goes away while the
 * backend consumes changes nothing: the pages are kept, and shown to the next server. No call but
 * xaring_client_setup() waits, and that at most as long as it is told.
 *
 * Indexes are free-running uint32 frame counters that go on over the life of the setup: the caller
 * maps its own position to them. All times are CLOCK_MONOTONIC in ns.
 *
 * Thread: one, or under the caller's lock. Survives fork(2) in whichever process uses it; the other
 * one calls xaring_client_close() only, which then leaves the shared pages alone.
 * All descriptors are close-on-exec.
 */
#ifndef XARING_CLIENT_H
#define XARING_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/format.h>
#include <xaring/position.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xaring_client;

/*
 * Makes a stream without shape. Cheap: one epoll and one timer descriptor, no connection.
 *
 * socket: path of the server's socket, at most 107 bytes; copied
 * name:   the application, for people; copied, cut to XARING_NAME_BYTES
 *
 * Blocks: no. Real-time safe: no. Logs: no. Owner: the caller; xaring_client_close().
 * Returns 0 and sets *out, or -EINVAL (path too long), -ENOMEM, -EMFILE, ...
 */
int xaring_client_create(const char *socket, const char *name, struct xaring_client **out);

/* Stops, unmaps and closes everything. Accepts NULL. */
void xaring_client_close(struct xaring_client *c);

/*
 * The one descriptor to poll, for POLLIN: the same for the life of the stream. It is readable when
 * the time set with xaring_client_arm() is over, or the server has said something. The level stays
 * until xaring_client_arm() sets another time, or xaring_client_update() took the message.
 */
int xaring_client_poll_fd(const struct xaring_client *c);

/*
 * Gives the stream its shape and asks the server for pages.
 *
 * Waits at most timeout_ms for the answer; 0 does not wait. Drops an earlier setup. The position
 * begins at 0, stopped.
 *
 * Blocks: up to timeout_ms. Real-time safe: no. Logs: debug.
 *
 * Returns 0 when the stream exists: linked, or in the void because there is no server or no
 * answer. Returns -EINVAL (the shape is impossible), -EPERM or -EBUSY (the server refused) and sets
 * *refusal; the stream has no shape then. -ENOMEM.
 */
int xaring_client_setup(struct xaring_client *c, const struct xaring_params *params, int timeout_ms,
			struct xaring_refusal *refusal);

/* Gives the pages back; the stream has no shape afterwards. */
void xaring_client_release(struct xaring_client *c);

/*
 * Starts at index: what was written from there on is valid. Raises the generation and tells the
 * backend. With a backend present the position rests until its first cycle: in playback at most 2 s, in
 * capture 250 ms, or until the backend says that there will be nothing to hear.
 *
 * Blocks: no. Real-time safe: no (one sendmsg).
 */
void xaring_client_start(struct xaring_client *c, uint64_t now_ns, uint32_t index);

/* Nothing moves from here on; xaring_client_resume() goes on with the next frame. No loss. */
void xaring_client_pause(struct xaring_client *c, uint64_t now_ns);
void xaring_client_resume(struct xaring_client *c, uint64_t now_ns);

/* From here on an empty ring is the end and no underrun. */
void xaring_client_drain(struct xaring_client *c, uint64_t now_ns);

/* Stops; what was not consumed is dropped. Idempotent. */
void xaring_client_stop(struct xaring_client *c);

/*
 * Copies frames into the ring at index (playback) or out of it (capture). The caller keeps index
 * within buffer frames of the position. Does not publish. Real-time safe: yes.
 *
 * Playback: with the guest's own volume, as its server says it (gain.h).
 *
 * Capture: what has not been delivered is silence. So is what was on its way when the guest was saved
 * and restored, for a page that is saved while it is written to can have anything that it had before.
 */
void xaring_client_write(struct xaring_client *c, uint32_t index, const void *from,
			 uint32_t frames);
void xaring_client_read(struct xaring_client *c, uint32_t index, void *to, uint32_t frames);

/*
 * Publishes how far the application has written (playback) or read (capture); may move back.
 * Real-time safe: yes.
 */
void xaring_client_publish(struct xaring_client *c, uint32_t index);

/* What xaring_client_update() found. */
struct xaring_client_state {
	uint32_t pos;   /* the position, never backwards within a start */
	uint32_t xruns; /* real gaps that the backend saw since the start */
	bool drained;   /* draining, and the backend has consumed the last frame */
	bool linked;    /* has a server, and its pages */
	bool attached;  /* the backend consumes: the position follows its records */
	bool refused;   /* the server refused after setup; *refusal of xaring_client_refusal() */
};

/*
 * Looks at the backend: new records, attaches; and at the server: new pages, reconnecting. Swaps
 * pages only here. While attached the socket is looked at when xaring_client_woken() said so or many
 * looks follow each other; and once in a second when the server is not where the backend is (two
 * clocks), since the records do not end with it.
 *
 * A steady stream costs no other system call here. Real-time safe: while attached.
 */
void xaring_client_update(struct xaring_client *c, uint64_t now_ns,
			  struct xaring_client_state *state);

/* The last refusal after setup. */
void xaring_client_refusal(const struct xaring_client *c, struct xaring_refusal *refusal);

/* As xaring_position_delay() for the frame at the published index. */
uint32_t xaring_client_delay(const struct xaring_client *c, uint64_t now_ns);

/*
 * When the position will reach index, for xaring_client_arm(): not before the backend's next cycle
 * when prediction ends there; at least once in a second. UINT64_MAX when stopped.
 */
uint64_t xaring_client_when(const struct xaring_client *c, uint64_t now_ns, uint32_t index);

/*
 * Sets the time at which the poll descriptor becomes readable: 0 = now, UINT64_MAX = never.
 * Costs a system call only when it changes by more than 100 us.
 */
void xaring_client_arm(struct xaring_client *c, uint64_t when_ns);

/*
 * Tells that a poll found the poll descriptor readable. When the time that was set is not over, it
 * is the server that said something or is gone, and the next xaring_client_update() listens.
 * Optional: it only saves time. Real-time safe: yes.
 */
void xaring_client_woken(struct xaring_client *c, uint64_t now_ns);

/* What the other sides say about themselves. It informs; nothing depends on it. */
struct xaring_client_view {
	uint32_t backend;      /* enum xaring_backend_state */
	uint32_t flags;        /* of the backend, XARING_FLAG_ */
	uint32_t status_flags; /* of the server, XARING_STATUS_ */
	uint32_t volume;       /* the guest's own, as the server says it */
};

/* Reads it; all 0 without pages of a server. Real-time safe: yes. */
void xaring_client_peek(const struct xaring_client *c, struct xaring_client_view *view);

/* Text for people about the link, one line without newline: snd_pcm_dump(), debugging. */
void xaring_client_describe(const struct xaring_client *c, char *text, uint32_t text_bytes);

#ifdef __cplusplus
}
#endif

#endif
