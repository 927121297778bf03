/* SPDX-License-Identifier: MIT */
/*
 * ALSA's pointers and the ring's indexes: arithmetic only.
 */
#include "position.h"

void position_begin(struct position *p, uint32_t index)
{
	p->hw = 0;
	p->index = index;
	p->total = 0;
}

int32_t position_fill(const struct position *p, uint64_t appl)
{
	uint64_t ahead, behind;

	if (p->boundary == 0)
		return 0;
	ahead = appl >= p->hw ? appl - p->hw : appl + p->boundary - p->hw;
	behind = p->boundary - ahead;
	if (ahead <= behind)
		return (int32_t)(ahead < p->buffer ? ahead : p->buffer);
	return -(int32_t)(behind < p->buffer ? behind : p->buffer);
}

uint32_t position_index(const struct position *p, uint64_t appl)
{
	return p->index + (uint32_t)position_fill(p, appl);
}

void position_advance(struct position *p, uint32_t index, uint64_t appl, bool hold)
{
	int32_t ahead = (int32_t)(index - p->index);
	int32_t fill = position_fill(p, appl);

	if (hold && ahead >= fill)
		ahead = fill - 1;
	if (ahead <= 0 || p->boundary == 0)
		return;
	p->index += (uint32_t)ahead;
	p->total += (uint32_t)ahead;
	p->hw += (uint32_t)ahead;
	if (p->hw >= p->boundary)
		p->hw -= p->boundary;
}

bool position_is_xrun(const struct position *p, uint32_t xruns, uint64_t avail,
		      uint64_t stop_threshold)
{
	if (stop_threshold > p->buffer)
		return false;
	if (xruns > 0)
		return true;
	return stop_threshold < p->buffer && avail >= stop_threshold;
}
