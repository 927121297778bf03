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

uint64_t position_avail(const struct position *p, uint64_t appl)
{
	int64_t fill = position_fill(p, appl);
	int64_t avail = p->is_capture ? -fill : p->buffer - fill;

	return avail > 0 ? (uint64_t)avail : 0;
}

static void move(struct position *p, uint32_t frames)
{
	p->total += frames;
	p->hw += frames;
	if (p->hw >= p->boundary)
		p->hw -= p->boundary;
}

static void advance_capture(struct position *p, uint32_t index, uint64_t appl)
{
	uint32_t ahead = index - p->index;
	uint32_t room = p->buffer - (uint32_t)position_avail(p, appl);

	p->index = index;
	move(p, ahead < room ? ahead : room);
}

void position_advance(struct position *p, uint32_t index, uint64_t appl, bool hold)
{
	int32_t ahead = (int32_t)(index - p->index);
	int32_t fill = position_fill(p, appl);

	if (hold && !p->is_capture && ahead >= fill)
		ahead = fill - 1;
	if (ahead <= 0 || p->boundary == 0)
		return;
	if (p->is_capture) {
		advance_capture(p, index, appl);
		return;
	}
	p->index += (uint32_t)ahead;
	move(p, (uint32_t)ahead);
}

bool position_is_xrun(const struct position *p, uint64_t appl, uint32_t xruns,
		      uint64_t stop_threshold)
{
	if (stop_threshold > p->buffer)
		return false;
	if (xruns > 0)
		return true;
	if (stop_threshold == p->buffer && !p->is_capture)
		return false;
	return position_avail(p, appl) >= stop_threshold;
}
