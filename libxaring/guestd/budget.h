/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this guest may take: pages, all together and of one user, and how often a
 * user may begin a stream. So no user leaves the others without sound.
 *
 * Pure: times come from the caller. Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_GUESTD_BUDGET_H
#define XARING_GUESTD_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <xaring/format.h>

#include "user-rate.h"

/* The smallest stream: the control page and one data page. */
#define BUDGET_PAGES_MIN 2u

/*
 * Streams that an earlier daemon may have left: their pages are had already, whatever the maximum.
 */
#define BUDGET_LEFT_MAX 256u

/* All who can have pages at a time. */
#define BUDGET_USERS_MAX (XARING_GUEST_PAGES_MAX / BUDGET_PAGES_MIN + BUDGET_LEFT_MAX)

/* Whose pages are those of a stream whose program has not been seen yet. */
#define BUDGET_NOBODY ((uid_t)-1)

struct budget_user {
	uid_t uid;
	uint32_t pages; /* at least one */
};

struct budget {
	uint32_t pages_max;
	uint32_t user_pages_max;
	uint32_t pages;
	uint32_t user_count;
	struct budget_user users[BUDGET_USERS_MAX];
	struct user_rate opens;
};

/* Both limits are from BUDGET_PAGES_MIN to XARING_GUEST_PAGES_MAX. */
void budget_init(struct budget *budget, uint32_t pages_max, uint32_t user_pages_max);

/*
 * Takes a token for a new stream, or returns false: this user begins too many. For what records half of them have to
 * be left.
 */
bool budget_may_open(struct budget *budget, uid_t uid, bool records, uint64_t now_ms);

/*
 * Tells whether this user may have so many pages more. Returns 0; -EDQUOT and sets *refusal with
 * the total that was asked for and the range that would be accepted.
 */
int budget_check(const struct budget *budget, uid_t uid, uint32_t pages,
		 struct xaring_refusal *refusal);

/*
 * The refusal of so many pages when the kernel has no more than room: what it would have given, as
 * budget_check() counts.
 */
void budget_offer(const struct budget *budget, uint32_t pages, uint32_t room,
		  struct xaring_refusal *refusal);

/*
 * Counts pages that a stream has, and that it has given back: as many, of the same user. Those that
 * were had before may exceed the limits; nothing more is granted then.
 */
void budget_take(struct budget *budget, uid_t uid, uint32_t pages);
void budget_give(struct budget *budget, uid_t uid, uint32_t pages);

#endif
