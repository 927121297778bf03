/* SPDX-License-Identifier: MIT */
/*
 * A bucket for each user, as far as they have done something lately. Nothing is allocated here.
 */
#include "user-rate.h"

#include <string.h>

void user_rate_init(struct user_rate *rate, uint32_t burst, uint32_t refill_ms)
{
	memset(rate, 0, sizeof(*rate));
	rate->burst = burst;
	rate->refill_ms = refill_ms;
}

static struct user_rate_user *find(struct user_rate *rate, uid_t uid)
{
	for (uint32_t i = 0; i < rate->count; i++) {
		if (rate->users[i].uid == uid)
			return &rate->users[i];
	}
	return NULL;
}

/* The one with the most tokens left. */
static struct user_rate_user *find_quiet(struct user_rate *rate, uint64_t now_ms)
{
	struct user_rate_user *quiet = &rate->users[0];

	for (uint32_t i = 0; i < rate->count; i++) {
		struct user_rate_user *user = &rate->users[i];

		(void)bucket_has(&user->tokens, now_ms);
		if (user->tokens.level > quiet->tokens.level)
			quiet = user;
	}
	return quiet;
}

static struct user_rate_user *add(struct user_rate *rate, uid_t uid, uint64_t now_ms)
{
	struct user_rate_user *user = rate->count < USER_RATE_MAX ? &rate->users[rate->count++]
								  : find_quiet(rate, now_ms);

	user->uid = uid;
	bucket_init(&user->tokens, rate->burst, rate->refill_ms, now_ms);
	return user;
}

bool user_rate_take_above(struct user_rate *rate, uid_t uid, uint32_t left, uint64_t now_ms)
{
	struct user_rate_user *user = find(rate, uid);

	if (!user)
		user = add(rate, uid, now_ms);
	return bucket_take_above(&user->tokens, left, now_ms);
}

bool user_rate_take(struct user_rate *rate, uid_t uid, uint64_t now_ms)
{
	return user_rate_take_above(rate, uid, 0, now_ms);
}
