/* SPDX-License-Identifier: MIT */
/*
 * Counts pages and openings. Decides only; nothing is allocated or logged here.
 *
 * The table of users has room for all who can have pages. Of the others it remembers how often they
 * came lately: the one who has been quiet for longest makes room.
 */
#include "budget.h"

#include <errno.h>
#include <string.h>

/*
 * Programs that look for a device that works open and close a dozen streams in a moment. The backend lets
 * a whole guest begin twice as many, at once and in the long run: what one user may not
 * take is there for the others.
 */
#define OPENS_BURST     60
#define OPENS_REFILL_MS 500

void budget_init(struct budget *b, uint32_t pages_max, uint32_t user_pages_max)
{
	memset(b, 0, sizeof(*b));
	b->pages_max = pages_max;
	b->user_pages_max = user_pages_max;
}

/* The user's place in the table, or user_count. */
static uint32_t find(const struct budget *b, uid_t uid)
{
	uint32_t at = 0;

	while (at < b->user_count && b->users[at].uid != uid)
		at++;
	return at;
}

/* The one who can be forgotten: without pages, and with the most tokens left. */
static struct budget_user *find_quiet(struct budget *b, uint64_t now_ms)
{
	struct budget_user *quiet = NULL;

	for (uint32_t i = 0; i < b->user_count; i++) {
		struct budget_user *user = &b->users[i];

		if (user->pages > 0)
			continue;
		(void)bucket_has(&user->opens, now_ms);
		if (!quiet || user->opens.level > quiet->opens.level)
			quiet = user;
	}
	return quiet;
}

/* Finds or adds the user. NULL only when more have pages than pages there are. */
static struct budget_user *get(struct budget *b, uid_t uid, uint64_t now_ms)
{
	uint32_t at = find(b, uid);
	struct budget_user *user;

	if (at < b->user_count)
		return &b->users[at];
	user = b->user_count < BUDGET_USERS_MAX ? &b->users[b->user_count++]
						: find_quiet(b, now_ms);
	if (!user)
		return NULL;
	user->uid = uid;
	user->pages = 0;
	bucket_init(&user->opens, OPENS_BURST, OPENS_REFILL_MS, now_ms);
	return user;
}

bool budget_may_open(struct budget *b, uid_t uid, uint64_t now_ms)
{
	struct budget_user *user = get(b, uid, now_ms);

	return user && bucket_take(&user->opens, now_ms);
}

static void refuse(struct xaring_refusal *refusal, uint32_t value, uint32_t max)
{
	*refusal = (struct xaring_refusal){.reason = XARING_REASON_PAGES, .value = value};
	if (max < BUDGET_PAGES_MIN)
		return;
	refusal->min = BUDGET_PAGES_MIN;
	refusal->max = max;
}

int budget_check(const struct budget *b, uid_t uid, uint32_t pages, struct xaring_refusal *refusal)
{
	uint32_t at = find(b, uid);
	uint32_t of_user = (at < b->user_count ? b->users[at].pages : 0) + pages;

	if (b->pages + pages > b->pages_max) {
		refuse(refusal, b->pages + pages, b->pages_max);
		return -EDQUOT;
	}
	if (of_user > b->user_pages_max) {
		refuse(refusal, of_user, b->user_pages_max);
		return -EDQUOT;
	}
	return 0;
}

void budget_offer(const struct budget *b, uint32_t pages, uint32_t room,
		  struct xaring_refusal *refusal)
{
	uint32_t total = b->pages + pages;
	uint32_t max = b->pages + room;

	/* It may have room by now, and did not have it. */
	refuse(refusal, total, max < total ? max : total - 1);
}

void budget_take(struct budget *b, uid_t uid, uint32_t pages, uint64_t now_ms)
{
	struct budget_user *user = uid == BUDGET_NOBODY ? NULL : get(b, uid, now_ms);

	b->pages += pages;
	if (user)
		user->pages += pages;
}

void budget_give(struct budget *b, uid_t uid, uint32_t pages)
{
	uint32_t at = find(b, uid);

	b->pages -= pages;
	if (at < b->user_count)
		b->users[at].pages -= pages;
}
