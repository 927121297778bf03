/* SPDX-License-Identifier: MIT */
/*
 * A lease: the pages that a stream has, from the broker's side, and what the worker knows of them.
 *
 * One that its guest has left is *ending* until the worker has unmapped its pages: it counts as
 * in use, and its number is not given to another one.
 *
 * Thread: the loop's. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_LEASE_H
#define XARING_BROKER_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/wire.h>

#include "policy.h"

struct lease;
struct vm;

/* Tells the stream's source that the worker does not play it (any more). It calls lease_end(). */
typedef void (*lease_refused_fn)(struct lease *lease, const struct xaring_refusal *refusal);

/* What the worker maps. */
struct lease_pages {
	int control;
	int data;                /* for reading only (playback), unless it is control as well */
	uint64_t control_offset; /* to give to mmap() with the two */
	uint64_t data_offset;
};

/*
 * Takes the pages of a stream once more, for another worker: what one has mapped may be of no use to the
 * next. Returns 0 or a negative errno.
 */
typedef int (*lease_retake_fn)(const struct lease *lease, struct lease_pages *pages);

struct lease_setup {
	const struct xaring_open *open;
	const struct policy_grant *grant;
	struct lease_pages pages; /* taken over, also on failure */
	uint64_t time_secret_ns;  /* 0 when guest and backend read one clock */
	lease_refused_fn on_refused;
	lease_retake_fn retake; /* NULL: every worker can map the pages */
	void *source;
};

struct lease {
	struct lease *next; /* of the VM */
	struct vm *vm;
	uint32_t id;     /* never used twice */
	uint32_t number; /* within VM and direction: 1, 2, ... */
	struct xaring_params params;
	uint32_t features;
	uint64_t time_secret_ns;
	char name[XARING_NAME_BYTES];
	uint32_t page_count;
	struct lease_pages pages;
	lease_refused_fn on_refused;
	lease_retake_fn retake;
	uint32_t
		state; /* of the guest, enum xaring_state, as the worker last said; likewise what follows */
	uint32_t xruns;
	uint32_t gap;
	uint32_t latency; /* 0 = not known */
	uint32_t volume;  /* that the guest applies itself: XARING_VOLUME_TOLD, or 0 = not known */
	void *source;     /* the stream, as its source knows it; NULL when ending */
	bool mapped;      /* by the worker, or will be when there is one */
	bool ending;
	uint32_t ending_ticks; /* in which the worker could have unmapped it */
};

/* The VM's policy is another one: streams that it does not allow at all any more are refused. */
void lease_enforce(const struct vm *vm);

/* Makes a lease, and tells the worker and who watches the broker. It is the VM's. Returns 0 or -ENOMEM. */
int lease_create(struct vm *vm, const struct lease_setup *setup, struct lease **out);

/* Tells a new worker what it is to play. The lease is refused, and may be gone, when its pages cannot be had. */
void lease_renew(struct lease *lease);

void lease_kick(const struct lease *lease, enum xaring_kick kick);

/* The guest is gone: the worker is told, and the lease goes when it says GONE. */
void lease_end(struct lease *lease);

/* The pages are unmapped: gives everything back, frees the lease. */
void lease_release(struct lease *lease);

/* The VM's lease with this id, or NULL. */
struct lease *lease_find(const struct vm *vm, uint32_t id);

/* Writes "playback 3" and the like. */
void lease_describe(const struct lease *lease, char *text, uint32_t text_bytes);

#endif
