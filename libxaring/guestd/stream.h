/* SPDX-License-Identifier: MIT */
/*
 * One stream of a program in this guest: its pages, its node in xenstore, its connection.
 *
 *                        OPEN
 *                         | pages, node
 *    an earlier guestd    v        backend: yes, silent, away
 *         |            ASKING -----------------------------------.
 *         v               | refused, gone                        v
 *      ORPHAN ------------+------------ gone, refused ------- PLAYING <-- restored: new pages,
 *         |    too late,  v                                      ^        RELINK
 *         |    restored ENDING --- the node is removed ---> freed|
 *         '------------------- OPEN with its epoch: KEEP --------'
 *
 * Thread: the loop's. Blocks: no. Logs: refusals.
 */
#ifndef XARING_GUESTD_STREAM_H
#define XARING_GUESTD_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "offer.h"

struct guestd;
struct rendezvous_node;
struct serve_client;

enum stream_phase {
	STREAM_ASKING,  /* the backend; the program waits */
	STREAM_PLAYING, /* the program has the pages */
	STREAM_ORPHAN,  /* has pages of an earlier guestd, and its program has not come back */
	STREAM_ENDING   /* its node is being removed */
};

struct stream {
	struct stream *next;
	struct guestd *guestd;
	enum stream_phase phase;
	uid_t uid;                   /* BUDGET_NOBODY: not known yet */
	struct serve_client *client; /* or NULL */
	struct rendezvous_node *node;
	struct xaring_shape shape;
	struct offer offer; /* as published; its epoch names the link */
	uint32_t domid;     /* whom the pages are granted to */

	/* Until the program has them. */
	int pages_fd; /* or -1 */
	uint64_t control_offset;
	uint64_t data_offset;
	struct xaring_control_page *control; /* ASKING: mapped; or NULL */

	uint64_t deadline_ms;  /* ASKING, ORPHAN: the end of waiting */
	bool is_stale;         /* it needs other pages than the program has */
	uint64_t stale_end_ms; /* until when they are tried to get */
};

/*
 * What was agreed on for a stream: the OPEN as it goes to the backend.
 */
struct stream_wish {
	struct xaring_open open;
	struct xaring_shape shape;
};

/*
 * A new stream: gets pages, and has them published. The program is answered by stream_tick(), or
 * within the call when there is nothing to wait for; the stream, and the client, may be gone
 * afterwards.
 *
 * Returns 0; -ENOSPC when the kernel has no pages, or another negative errno: the client is as
 * before.
 */
int stream_create(struct guestd *guestd, struct serve_client *client,
		  const struct stream_wish *wish);

/*
 * A stream that an earlier guestd has published, of that shape; waits for its program. Returns 0 and
 * sets *out, or -ENOMEM.
 */
int stream_adopt(struct guestd *guestd, const struct offer *offer, const struct xaring_shape *shape,
		 struct rendezvous_node *node, struct stream **out);

/*
 * Tells whether the program may go on with the pages that this OPEN presents the epoch of.
 */
bool stream_fits(const struct stream *stream, uid_t uid, const struct xaring_open *open);

/* Has it go on with them, by this connection; a former one is ended. */
void stream_keep(struct stream *stream, struct serve_client *client);

/* Its grants are void: it gets other pages. An orphan ends. */
void stream_renew(struct stream *stream);

/* The backend has refused it. */
void stream_refuse(struct stream *stream, const struct xaring_refusal *refusal);

/* The connection is gone, or is to be without a word: the node is removed, and the stream ends. */
void stream_end(struct stream *stream);

/* Frees it; its node is gone. */
void stream_free(struct stream *stream);

/* Looks what is due. Returns the time within which to look again, 0 = nothing is waited for. */
uint32_t stream_tick(struct stream *stream, uint64_t now_ms);

#endif
