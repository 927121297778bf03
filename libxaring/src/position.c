/* SPDX-License-Identifier: MIT */
/*
 * The predicted hardware pointer. What a record says is bounded here before it is used: it comes
 * from a peer that is not trusted, and it may shape the pointer but never stop or reverse it.
 *
 * No 128-bit arithmetic, for 32-bit hosts: durations are cut before they are multiplied.
 */
#include <xaring/position.h>

#include <errno.h>

#include <xaring/format.h>
#include <xaring/ring.h>

#define NS_PER_S UINT64_C(1000000000)

/* frames * 1e12 and ns * rate_mhz both stay below 2^63 for what is no longer than this. */
#define LONGEST_S 2u

/*
 * Records that move slower than this part of the nominal rate are a backend that holds us up. A
 * cycle that primes consumes nothing, so two quanta may bring one.
 */
#define SLOWEST_PART 4u

/* After so many seconds a free clock's frames are a multiple of every step at every rate. */
#define FREE_REBASE_S ((uint64_t)XARING_POSITION_STEP)

static uint64_t frames_in(uint64_t ns, uint32_t rate_mhz)
{
	if (ns > LONGEST_S * 2 * NS_PER_S)
		ns = LONGEST_S * 2 * NS_PER_S;
	return ns * rate_mhz / (NS_PER_S * 1000);
}

/* The first moment at which frames_in() says this many. */
static uint64_t time_of(uint64_t frames, uint32_t rate_mhz)
{
	return (frames * NS_PER_S * 1000 + rate_mhz - 1) / rate_mhz;
}

static uint64_t since(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

static int32_t ahead(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static uint64_t step_down(uint64_t frames)
{
	return frames / XARING_POSITION_STEP * XARING_POSITION_STEP;
}

static uint64_t step_up(uint64_t frames)
{
	return step_down(frames + XARING_POSITION_STEP - 1);
}

void xaring_position_init(struct xaring_position *p, enum xaring_direction direction,
			  uint32_t rate_hz)
{
	*p = (struct xaring_position){
		.direction = direction,
		.mode = XARING_POSITION_STOPPED,
		.rate_hz = rate_hz,
		.rate_mhz = rate_hz * 1000,
	};
}

void xaring_position_start(struct xaring_position *p, uint32_t index, uint64_t deadline_ns)
{
	p->pos = index;
	xaring_position_wait(p, deadline_ns);
}

void xaring_position_wait(struct xaring_position *p, uint64_t deadline_ns)
{
	p->mode = XARING_POSITION_WAITING;
	p->record_pos = p->pos;
	p->deadline_ns = deadline_ns;
}

void xaring_position_stop(struct xaring_position *p)
{
	p->mode = XARING_POSITION_STOPPED;
	p->record_pos = p->pos;
}

void xaring_position_free(struct xaring_position *p, uint64_t now_ns)
{
	p->mode = XARING_POSITION_FREE;
	p->record_pos = p->pos;
	p->record_ns = now_ns;
}

/* The rate, quantum and delay that are believed. */
static void take_values(struct xaring_position *p, const struct xaring_record *r)
{
	uint32_t nominal = p->rate_hz * 1000;
	uint32_t off = r->rate_mhz > nominal ? r->rate_mhz - nominal : nominal - r->rate_mhz;
	uint32_t longest = LONGEST_S * p->rate_hz;

	p->rate_mhz = off > nominal / 20 ? nominal : r->rate_mhz;
	p->delay = r->delay > longest ? 0 : r->delay;
	p->frames = r->frames;
	if (r->frames > longest)
		p->frames = xaring_headroom(p->rate_hz);
	if (p->frames)
		p->quantum = p->frames;
}

/* Tells whether the backend took its part of what it had since the last time it did so. */
static bool is_progress(const struct xaring_position *p, uint32_t pos, uint32_t fill,
			uint64_t now_ns)
{
	uint64_t least = frames_in(since(p->seen_ns, now_ns), p->rate_hz * 1000) / SLOWEST_PART;
	int32_t moved = ahead(pos, p->seen_pos);

	if (p->mode != XARING_POSITION_LIVE || p->direction == XARING_CAPTURE || fill == 0)
		return true;
	if (least < 1)
		least = 1;
	if (least > p->seen_fill)
		least = p->seen_fill;
	return moved >= 0 && (uint32_t)moved >= least;
}

int xaring_position_record(struct xaring_position *p, const struct xaring_record *record,
			   uint64_t at_ns, uint64_t now_ns, uint32_t written, uint32_t capacity)
{
	uint32_t fill;

	if (xaring_ring_fill(written, record->pos, capacity, &fill) < 0)
		return -EPROTO;
	if (at_ns > now_ns || now_ns - at_ns > NS_PER_S)
		at_ns = now_ns;
	take_values(p, record);
	if (is_progress(p, record->pos, fill, now_ns)) {
		p->seen_ns = now_ns;
		p->seen_pos = record->pos;
		p->seen_fill = fill;
	}
	p->mode = XARING_POSITION_LIVE;
	p->record_pos = record->pos;
	p->record_ns = at_ns;
	return 0;
}

uint64_t xaring_position_stale_ns(const struct xaring_position *p)
{
	uint64_t ns = time_of(p->quantum, p->rate_hz * 1000) * XARING_POSITION_STALE_QUANTA;

	return ns > XARING_POSITION_STALE_MIN_NS ? ns : XARING_POSITION_STALE_MIN_NS;
}

/* LIVE: when the records count as stopped. */
static uint64_t stale_at(const struct xaring_position *p)
{
	return p->seen_ns + xaring_position_stale_ns(p);
}

/* LIVE: where prediction begins. Capture reports what arrived one quantum ago as it would come. */
static uint32_t live_base(const struct xaring_position *p)
{
	return p->direction == XARING_CAPTURE ? p->record_pos - p->frames : p->record_pos;
}

bool xaring_position_reaches(const struct xaring_position *p, uint32_t index)
{
	return ahead(index, live_base(p)) <= (int64_t)p->frames;
}

static uint64_t live_frames(const struct xaring_position *p, uint64_t now_ns)
{
	uint64_t frames = frames_in(since(p->record_ns, now_ns), p->rate_mhz);

	return frames >= p->frames ? p->frames : step_down(frames);
}

/* Moves on to base + frames, but neither backwards nor, in playback, beyond what was written. */
static void advance(struct xaring_position *p, uint32_t base, uint64_t frames, uint32_t written)
{
	uint32_t pos = base + (uint32_t)frames;

	if (p->direction == XARING_PLAYBACK) {
		int32_t room = ahead(written, base);

		if (room < 0 || frames > (uint32_t)room)
			pos = written;
	}
	if (ahead(pos, p->pos) > 0)
		p->pos = pos;
}

/* Keeps the multiplication in free_frames() and the counters far from their limits. */
static void free_rebase(struct xaring_position *p, uint64_t now_ns)
{
	uint64_t turns = since(p->record_ns, now_ns) / (FREE_REBASE_S * NS_PER_S);

	p->record_ns += turns * FREE_REBASE_S * NS_PER_S;
	p->record_pos += (uint32_t)(turns * FREE_REBASE_S * p->rate_hz);
}

static uint64_t free_frames(const struct xaring_position *p, uint64_t now_ns)
{
	uint64_t ns = since(p->record_ns, now_ns);
	uint64_t whole = ns / NS_PER_S;

	/* A clock of another world (a guest that slept for years) is no reason to overflow. */
	if (whole > UINT32_MAX)
		whole = UINT32_MAX;
	return step_down(whole * p->rate_hz + ns % NS_PER_S * p->rate_hz / NS_PER_S);
}

static void free_advance(struct xaring_position *p, uint64_t now_ns, uint32_t written)
{
	uint64_t frames = free_frames(p, now_ns);
	int32_t room = ahead(written, p->record_pos);

	if (p->direction == XARING_PLAYBACK && (room < 0 || frames >= (uint32_t)room)) {
		/* At the end it rests, and goes on from here when more is written. */
		if (ahead(written, p->pos) > 0)
			p->pos = written;
		xaring_position_free(p, now_ns);
		return;
	}
	advance(p, p->record_pos, frames, written);
	free_rebase(p, now_ns);
}

uint32_t xaring_position_at(struct xaring_position *p, uint64_t now_ns, uint32_t written)
{
	if (p->mode == XARING_POSITION_WAITING && now_ns >= p->deadline_ns)
		xaring_position_free(p, p->deadline_ns);
	if (p->mode == XARING_POSITION_LIVE) {
		uint64_t stale_ns = stale_at(p);

		advance(p, live_base(p), live_frames(p, now_ns), written);
		if (now_ns >= stale_ns)
			xaring_position_free(p, stale_ns);
	}
	if (p->mode == XARING_POSITION_FREE)
		free_advance(p, now_ns, written);
	return p->pos;
}

static uint64_t later(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns > b_ns ? a_ns : b_ns;
}

static uint64_t live_when(const struct xaring_position *p, uint32_t index)
{
	int32_t need = ahead(index, live_base(p));
	uint64_t frames;

	if (need <= 0)
		return 0;
	if (!xaring_position_reaches(p, index))
		return stale_at(p);
	frames = step_up((uint32_t)need);
	return p->record_ns + time_of(frames < p->frames ? frames : p->frames, p->rate_mhz);
}

static uint64_t free_when(const struct xaring_position *p, uint32_t index)
{
	int32_t need = ahead(index, p->record_pos);

	if (need <= 0)
		return 0;
	return p->record_ns + (step_up((uint32_t)need) * NS_PER_S + p->rate_hz - 1) / p->rate_hz;
}

uint64_t xaring_position_when(const struct xaring_position *p, uint64_t now_ns, uint32_t index)
{
	if (ahead(index, p->pos) <= 0)
		return now_ns;
	switch (p->mode) {
	case XARING_POSITION_WAITING:
		return later(now_ns, p->deadline_ns);
	case XARING_POSITION_LIVE:
		return later(now_ns, live_when(p, index));
	case XARING_POSITION_FREE:
		return later(now_ns, free_when(p, index));
	case XARING_POSITION_STOPPED:
		break;
	}
	return UINT64_MAX;
}

/* LIVE: frames between frame `index` and the sound, by the record alone. */
static int64_t live_delay(const struct xaring_position *p, uint64_t now_ns, uint32_t index)
{
	int64_t distance = ahead(index, p->record_pos);
	int64_t moved = (int64_t)frames_in(since(p->record_ns, now_ns), p->rate_mhz);

	if (p->direction == XARING_CAPTURE)
		return moved + p->delay - distance;
	return distance + p->delay - moved;
}

uint32_t xaring_position_delay(const struct xaring_position *p, uint64_t now_ns, uint32_t written)
{
	bool capture = p->direction == XARING_CAPTURE;
	int64_t visible = capture ? ahead(p->pos, written) : ahead(written, p->pos);
	int64_t delay;

	if (p->mode == XARING_POSITION_LIVE)
		delay = live_delay(p, now_ns, written);
	else if (p->mode == XARING_POSITION_FREE)
		delay = visible;
	else
		delay = visible + p->delay; /* at rest */
	if (delay < visible)
		delay = visible;
	return delay < 0 ? 0 : (uint32_t)delay;
}
