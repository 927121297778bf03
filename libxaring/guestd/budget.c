/* SPDX-License-Identifier: MIT */
/*
 * Counts pages; openings are counted by user-rate.c. Decides only; nothing is allocated or logged here.
 *
 * In the table are those who have pages.
 */
#include "budget.h"

#include <errno.h>
#include <string.h>

/*
 * Programs that look for a device that works open and close a dozen streams in a moment. The backend lets
 * a whole guest begin twice as many, at once and in the long run: what one user may not take is there for
 * the others.
 */
#define OPENS_BURST     60
#define OPENS_REFILL_MS 500

/*
 * A mixer looks for the microphone with a stream whenever it is started, which is at each press of the keys for the
 * volume where these run one. That is not to keep a program from playing.
 */
#define OPENS_LEFT_TO_PLAY (OPENS_BURST / 2)

void budget_init(struct budget *b, uint32_t pages_max, uint32_t user_pages_max)
{
	memset(b, 0, sizeof(*b));
	b->pages_max = pages_max;
	b->user_pages_max = user_pages_max;
	user_rate_init(&b->opens, OPENS_BURST, OPENS_REFILL_MS);
}

/* The user's place in the table, or user_count. */
static uint32_t find(const struct budget *b, uid_t uid)
{
	uint32_t at = 0;

	while (at < b->user_count && b->users[at].uid != uid)
		at++;
	return at;
}

bool budget_may_open(struct budget *b, uid_t uid, bool records, uint64_t now_ms)
{
	return user_rate_take_above(&b->opens, uid, records ? OPENS_LEFT_TO_PLAY : 0, now_ms);
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

void budget_take(struct budget *b, uid_t uid, uint32_t pages)
{
	uint32_t at = find(b, uid);

	b->pages += pages;
	/* There is room for all who can have pages. */
	if (uid == BUDGET_NOBODY || at == BUDGET_USERS_MAX)
		return;
	if (at == b->user_count)
		b->users[b->user_count++] = (struct budget_user){.uid = uid};
	b->users[at].pages += pages;
}

void budget_give(struct budget *b, uid_t uid, uint32_t pages)
{
	uint32_t at = find(b, uid);

	b->pages -= pages;
	if (at == b->user_count)
		return;
	b->users[at].pages -= pages;
	if (b->users[at].pages == 0)
		b->users[at] = b->users[--b->user_count];
}
