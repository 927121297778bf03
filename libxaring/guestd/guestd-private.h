/* SPDX-License-Identifier: MIT */
/*
 * What guestd.c (the whole) and stream.c (one stream) share.
 *
 * Thread: the loop's.
 */
#ifndef XARING_GUESTD_PRIVATE_H
#define XARING_GUESTD_PRIVATE_H

#include "budget.h"
#include "guestd.h"
#include "limited-log.h"
#include "recorders.h"
#include "status-page.h"

struct rendezvous;
struct serve;
struct stream;
struct volume;

struct guestd {
	struct guestd_setup setup;
	struct serve *serve;
	struct rendezvous *rendezvous;
	struct loop_source *tick;
	uint32_t tick_ms; /* as armed; 0 = not */

	struct stream *streams;
	struct budget budget;
	struct recorders recorders;
	struct status_page status;
	struct volume *volume;
	bool backend; /* is there */

	bool was_home; /* what an earlier guestd has left is known */
	bool is_ready; /* on_ready was called */
	bool is_closing;
	bool has_waiting; /* an OPEN was left waiting */
	uint64_t start_ms;
	uint64_t freed_ms; /* when the last stream ended; the kernel lags behind */

	struct limited_log log;     /* of what programs are not given */
	struct limited_log own_log; /* of why there is nothing to give: no program silences it */
};

/* Has stream_tick() called within so many ms. */
void guestd_tick_within(struct guestd *guestd, uint32_t ms);

/* Logs what this user's program (name: as it calls itself) is not given; at a limited rate. */
void guestd_log_refusal(struct guestd *guestd, uid_t uid, const char name[XARING_NAME_BYTES],
			const struct xaring_refusal *refusal);

#endif
