/* SPDX-License-Identifier: MIT */
/*
 * What the broker asks of xenstore, as jobs of its thread: which domains there are, what one of them
 * is and publishes, and the answers to be written there. Each job reads and writes a bounded number
 * of nodes of bounded length, whatever a guest has put there.
 *
 * Scan, answers and roster begin with their job, which is what done() gets.
 *
 * Functions are the loop's thread's. Blocks: no, the jobs do. Logs: no.
 */
#ifndef XARING_BROKER_XEN_SCAN_H
#define XARING_BROKER_XEN_SCAN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "identity.h"
#include "offer.h"
#include "store.h"
#include "xen-nodes.h"

#define SCAN_STREAMS_MAX 128      /* that are read; the rest of a domain is ignored */
#define SCAN_UNLISTED    UINT_MAX /* so many that xenstored cannot list them: none is known */
#define SCAN_ANSWERS_MAX 4        /* that are written by one job: others wait behind it, */
#define SCAN_ANSWERS_MS  250      /* and after so long no other one is begun */

/* Where dom0 says who is a guest. In dom0 those are all domains. */
struct scan_place {
	uint32_t own_domid;
	bool by_list; /* we are an audio domain: those in xaring/guest of our own home */
};

/* Below the home of the domain that it is about. */
void scan_path(char *path, size_t bytes, uint32_t domid, const char *below);

/* The watched folder, and what dom0 says of a guest in it (by_list only). */
#define SCAN_LIST "xaring/guest"

/* ---- one domain ---- */

struct scan {
	struct store_job job;
	void *owner; /* of whoever waits for it */

	struct scan_place place;
	uint32_t domid;

	/* What was found. */
	bool exists; /* as xenstored knows it; nothing else is set without */
	struct identity_facts facts;
	bool has_token;
	int64_t kick;     /* -1 = none */
	unsigned ignored; /* names of streams that are none, or too many; or SCAN_UNLISTED */
	unsigned count;
	struct xen_text texts[SCAN_STREAMS_MAX];
};

/* Reads it; done() gets 0, a lost connection (store.h), -ECANCELED or another errno, and frees the scan. */
int scan_start(struct store *store, const struct scan_place *place, uint32_t domid,
	       store_done_fn done, void *owner, struct scan **out);
void scan_free(struct scan *scan);

/* ---- answers ---- */

struct scan_answer {
	struct xen_text text;          /* to what; the job's copy */
	struct xaring_refusal refusal; /* reason NONE: an earlier answer is taken away */
};

struct scan_answers {
	struct store_job job;
	void *owner;
	uint32_t domid;
	/* The caller's, for one who turns out to be deaf when the owner is gone: by what name, and where. */
	char key[IPC_VM_NAME_BYTES];
	struct deaf *deaf;
	uint32_t took_ms; /* others waited for it so long */
	unsigned written; /* the first ones; the others when time was over */
	unsigned count;
	struct scan_answer items[SCAN_ANSWERS_MAX];
};

/* An empty set for that domain. NULL without memory. */
struct scan_answers *scan_answers_create(uint32_t domid);

/* Copies the text. Returns 0, -ENOSPC when it is full, -ENOMEM. */
int scan_answers_add(struct scan_answers *answers, const struct xen_text *text,
		     const struct xaring_refusal *refusal);

/*
 * Writes those whose streams still have the same text, so that nothing is left behind of streams
 * that are gone; fewer than all when that takes long. done() then frees the set; it gets -ETIMEDOUT
 * when xenstored does not serve us any more because of them (store.h): the guest has asked to be told,
 * and does not listen.
 */
void scan_answers_start(struct store *store, struct scan_answers *answers, store_done_fn done,
			void *owner);
void scan_answers_free(struct scan_answers *answers);

/* ---- all domains ---- */

struct scan_domain {
	uint32_t domid;
	int exists; /* 1, 0, or -1: was not asked */
};

struct scan_roster {
	struct store_job job;
	void *owner;

	struct scan_place place;
	bool asks; /* whether each of them exists */

	unsigned count;
	struct scan_domain *domains; /* in the order of their ids */
};

int scan_roster_start(struct store *store, const struct scan_place *place, bool asks,
		      store_done_fn done, void *owner, struct scan_roster **out);
void scan_roster_free(struct scan_roster *roster);

#endif
