/* SPDX-License-Identifier: MIT */
/*
 * A bucket of tokens, for rates: holds at most burst, gains one every refill_ms.
 *
 * Pure: times come from the caller. Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_DAEMON_BUCKET_H
#define XARING_DAEMON_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint32_t burst;
	uint32_t refill_ms;
	uint32_t level;
	uint64_t since_ms; /* when the level was last counted */
};

/* A full bucket. burst and refill_ms are at least 1. */
void bucket_init(struct bucket *bucket, uint32_t burst, uint32_t refill_ms, uint64_t now_ms);

/* Takes a token, or returns false when there is none. */
bool bucket_take(struct bucket *bucket, uint64_t now_ms);

/* The same, but leaves that many to others. */
bool bucket_take_above(struct bucket *bucket, uint32_t left, uint64_t now_ms);

/* Tells whether a token is there. */
bool bucket_has(struct bucket *bucket, uint64_t now_ms);

#endif
