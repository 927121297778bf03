/* SPDX-License-Identifier: MIT */
/*
 * How often each user may do something, so that one who does it without end takes nothing from others.
 *
 * Pure: times come from the caller. Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_DAEMON_USER_RATE_H
#define XARING_DAEMON_USER_RATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bucket.h"

/* Of more users those are forgotten who have been quiet for longest: they lose nothing by it. */
#define USER_RATE_MAX 128u

struct user_rate_user {
	uid_t uid;
	struct bucket tokens;
};

struct user_rate {
	uint32_t burst;
	uint32_t refill_ms;
	uint32_t count;
	struct user_rate_user users[USER_RATE_MAX];
};

/* For each user a bucket like that; both are at least 1. */
void user_rate_init(struct user_rate *rate, uint32_t burst, uint32_t refill_ms);

/* Takes a token of that user, or returns false when there is none. */
bool user_rate_take(struct user_rate *rate, uid_t uid, uint64_t now_ms);

/* The same, but leaves that many of them for something else. */
bool user_rate_take_above(struct user_rate *rate, uid_t uid, uint32_t left, uint64_t now_ms);

#endif
