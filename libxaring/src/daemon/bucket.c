/* SPDX-License-Identifier: MIT */
/*
 * Counts tokens. Whole intervals are gained at once, so a bucket that nobody looks at costs nothing.
 */
#include "bucket.h"

void bucket_init(struct bucket *bucket, uint32_t burst, uint32_t refill_ms, uint64_t now_ms)
{
	bucket->burst = burst;
	bucket->refill_ms = refill_ms;
	bucket->level = burst;
	bucket->since_ms = now_ms;
}

bool bucket_has(struct bucket *bucket, uint64_t now_ms)
{
	uint64_t gained;

	if (now_ms < bucket->since_ms)
		return bucket->level > 0;
	gained = (now_ms - bucket->since_ms) / bucket->refill_ms;
	if (gained >= bucket->burst - bucket->level) {
		bucket->level = bucket->burst;
		bucket->since_ms = now_ms;
	} else {
		bucket->level += (uint32_t)gained;
		bucket->since_ms += gained * bucket->refill_ms;
	}
	return bucket->level > 0;
}

bool bucket_take_above(struct bucket *bucket, uint32_t left, uint64_t now_ms)
{
	if (!bucket_has(bucket, now_ms) || bucket->level <= left)
		return false;
	bucket->level--;
	return true;
}

bool bucket_take(struct bucket *bucket, uint64_t now_ms)
{
	return bucket_take_above(bucket, 0, now_ms);
}
