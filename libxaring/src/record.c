/* SPDX-License-Identifier: MIT */
/*
 * The position record under its sequence counter.
 *
 * Every field is stored with release and loaded with acquire instead of stand-alone fences, which
 * ThreadSanitizer does not model. A reader that sees any field of the next record therefore sees
 * the odd counter that was stored before it, and throws the copy away.
 */
#include <xaring/record.h>

#include <xaring/shared.h>

#define READ_TRIES 4

void xaring_record_publish(struct xaring_record_line *line, uint32_t *seq,
			   const struct xaring_record *record)
{
	xaring_store(&line->seq, *seq + 1);
	xaring_store(&line->word, record->word);
	xaring_store(&line->pos, record->pos);
	xaring_store(&line->frames, record->frames);
	xaring_store(&line->time_lo, (uint32_t)record->time_ns);
	xaring_store(&line->time_hi, (uint32_t)(record->time_ns >> 32));
	xaring_store(&line->age_ns, record->age_ns);
	xaring_store(&line->rate_mhz, record->rate_mhz);
	xaring_store(&line->delay, record->delay);
	xaring_store(&line->xruns, record->xruns);
	xaring_store(&line->gap, record->gap);
	xaring_store(&line->echo, record->echo);
	xaring_store(&line->echo_age_ns, record->echo_age_ns);
	*seq += 2;
	xaring_store(&line->seq, *seq);
}

static void load_fields(const struct xaring_record_line *line, struct xaring_record *record)
{
	uint32_t lo, hi;

	record->word = xaring_load(&line->word);
	record->pos = xaring_load(&line->pos);
	record->frames = xaring_load(&line->frames);
	lo = xaring_load(&line->time_lo);
	hi = xaring_load(&line->time_hi);
	record->time_ns = (uint64_t)hi << 32 | lo;
	record->age_ns = xaring_load(&line->age_ns);
	record->rate_mhz = xaring_load(&line->rate_mhz);
	record->delay = xaring_load(&line->delay);
	record->xruns = xaring_load(&line->xruns);
	record->gap = xaring_load(&line->gap);
	record->echo = xaring_load(&line->echo);
	record->echo_age_ns = xaring_load(&line->echo_age_ns);
}

int xaring_record_read(const struct xaring_record_line *line, uint32_t *seq,
		       struct xaring_record *record)
{
	struct xaring_record copy;

	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t now = xaring_load(&line->seq);

		if (now == *seq)
			return 0;
		if (now & 1)
			continue;
		load_fields(line, &copy);
		if (xaring_load(&line->seq) != now)
			continue;
		*record = copy;
		*seq = now;
		return 1;
	}
	return 0;
}
