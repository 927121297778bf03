/* SPDX-License-Identifier: MIT */
/*
 * Ring to buffer, once per graph cycle, by the rules of pump.h. What the guest can write is loaded
 * once per cycle into a local variable and checked there; nothing here waits, allocates or logs.
 */
#include "pump.h"

#include <errno.h>
#include <string.h>

#include <xaring/gain.h>
#include <xaring/ring.h>
#include <xaring/shared.h>

/* Of the bits of a float: where its exponent is, and that of 2^24. */
#define FLOAT_EXPONENT     0x7f800000u
#define FLOAT_EXPONENT_MAX 0x4b800000u

/* So much silence is written at once. */
#define SILENCE_BYTES 1024u

/* What one cycle works on. */
struct work {
	uint8_t *out;
	const uint8_t *in;
	uint32_t frames; /* wanted */
	uint32_t given;  /* frames of out that are filled; the rest will be silence */
	uint32_t word;   /* the guest's, loaded once */
	const struct pump_cycle *cycle;
};

/* A word without its state: what tells one run of frames from another. */
static uint32_t run_of(uint32_t word)
{
	return word & ~XARING_WORD_STATE_MASK;
}

static void tell(uint32_t *field, uint32_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static void tell_more(uint32_t *field, uint32_t more)
{
	tell(field, *field + more);
}

static void say_status(const struct pump *p, enum xaring_backend_state state,
		       enum xaring_reason reason)
{
	xaring_store(&p->control->backend.status,
		     (uint32_t)state | (uint32_t)reason << XARING_BACKEND_REASON_SHIFT);
}

void pump_init(struct pump *p, const struct xaring_params *params, const struct xaring_shape *shape,
	       const struct xaring_pages *pages, uint64_t time_secret_ns)
{
	*p = (struct pump){
		.direction = params->direction,
		.ring = {.data = pages->data,
			 .capacity = shape->capacity,
			 .frame_bytes = shape->frame_bytes},
		.control = pages->control,
		.format = params->format,
		.rate_hz = params->rate_hz,
		.predict_max = shape->capacity - params->buffer,
		.time_secret_ns = time_secret_ns,
	};
	/* Our own line, of a worker before us: only a number to go on from. */
	p->seq = (xaring_load(&p->control->record.seq) + 1) & ~1u;
	xaring_store(&p->control->backend.alive, 1);
	say_status(p, XARING_BACKEND_ACCEPTED, XARING_REASON_NONE);
}

void pump_attach(struct pump *p)
{
	if (p->attach == 0)
		p->attach = xaring_load(&p->control->backend.attach);
	p->attach = xaring_attach_next(p->attach);
	xaring_store(&p->control->backend.attach, p->attach);
}

int pump_peek(const struct pump *p)
{
	uint32_t state = xaring_word_state(xaring_load(&p->control->guest.word));

	return state > XARING_STATE_PAUSED ? -EPROTO : (int)state;
}

bool pump_guest_is_alive(const struct pump *p)
{
	return (xaring_load(&p->control->guest.alive) & 0xff) != 0;
}

bool pump_is_drained(const struct pump *p)
{
	return __atomic_load_n(&p->drained, __ATOMIC_RELAXED) != 0;
}

void pump_condemn(const struct pump *p, enum xaring_reason reason)
{
	say_status(p, XARING_BACKEND_BROKEN, reason);
}

static void silence(const struct pump *p, uint8_t *out, uint32_t frames)
{
	xaring_format_silence(p->format, out, (size_t)frames * p->ring.frame_bytes);
}

/* Sticky: no later cycle reads the pages. */
static void break_off(struct pump *p, enum xaring_reason reason)
{
	tell(&p->reason, (uint32_t)reason);
	tell(&p->drained, 0);
	pump_condemn(p, reason);
}

/* A counter that does not fit its word is a lie, unless the word is no longer that one. */
static void doubt_counter(struct pump *p, uint32_t word)
{
	if (xaring_load(&p->control->guest.word) == word)
		break_off(p, XARING_REASON_COUNTER);
}

/* When the cycle looks at the page. */
static uint64_t looked_ns(const struct pump_cycle *cycle)
{
	return cycle->time_ns + cycle->age_ns;
}

static void take_stamp(struct pump *p, const struct pump_cycle *cycle)
{
	uint32_t stamp = xaring_load(&p->control->guest.stamp);

	if (stamp == p->stamp)
		return;
	p->stamp = stamp;
	p->stamp_ns = looked_ns(cycle);
}

/* Less than it is says less, and is never wrong: a clock that went back, and four seconds. */
static uint32_t stamp_age_ns(const struct pump *p, const struct pump_cycle *cycle)
{
	uint64_t now_ns = looked_ns(cycle);
	uint64_t age_ns = now_ns > p->stamp_ns ? now_ns - p->stamp_ns : 0;

	return age_ns < UINT32_MAX ? (uint32_t)age_ns : UINT32_MAX;
}

static void publish(struct pump *p, const struct work *w, uint32_t predict)
{
	struct xaring_record r = {
		.word = w->word,
		.pos = p->index,
		.frames = predict < p->predict_max ? predict : p->predict_max,
		.time_ns = w->cycle->time_ns + p->time_secret_ns,
		.age_ns = w->cycle->age_ns,
		.rate_mhz = w->cycle->rate_mhz,
		.delay = w->cycle->delay,
		.xruns = p->xruns - p->xruns_before,
		.gap = p->gap - p->gap_before,
		.echo = p->stamp,
		.echo_age_ns = p->stamp ? stamp_age_ns(p, w->cycle) : 0,
	};

	/* The frame at pos is the first of the next buffer in playback, and of no buffer in capture. */
	if (p->direction == XARING_PLAYBACK)
		r.delay += w->frames;
	xaring_record_publish(&p->control->record, &p->seq, &r);
}

/* Ramp. Integer samples are scaled as such, so that the first one is nearly the last one given out. */

static int32_t load_sample(const struct pump *p, const uint8_t *at)
{
	switch (p->format) {
	case XARING_FORMAT_U8:
		return at[0] - 0x80;
	case XARING_FORMAT_S16:
		return (int16_t)(at[0] | at[1] << 8);
	case XARING_FORMAT_S24:
	case XARING_FORMAT_S24_3:
		return (int32_t)((uint32_t)at[0] << 8 | (uint32_t)at[1] << 16 |
				 (uint32_t)at[2] << 24) /
		       256;
	default:
		return (int32_t)((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
				 (uint32_t)at[3] << 24);
	}
}

static void store_sample(const struct pump *p, uint8_t *at, uint32_t bytes, int32_t value)
{
	uint32_t bits = (uint32_t)value;

	if (p->format == XARING_FORMAT_U8)
		bits += 0x80;
	for (uint32_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(bits >> (8 * i));
}

static void scale_sample(const struct pump *p, uint8_t *to, const uint8_t *from, uint32_t part,
			 uint32_t whole)
{
	uint32_t bytes = xaring_format_bytes(p->format);
	float f;

	if (p->format == XARING_FORMAT_FLOAT) {
		memcpy(&f, from, sizeof(f));
		f *= (float)part / (float)whole;
		memcpy(to, &f, sizeof(f));
		return;
	}
	store_sample(p, to, bytes,
		     (int32_t)((int64_t)load_sample(p, from) * (int64_t)part / (int64_t)whole));
}

/* Goes from the last frame given out to silence, within the frames that are missing. */
static void ramp_down(const struct pump *p, struct work *w)
{
	uint32_t sample = xaring_format_bytes(p->format);
	uint32_t bytes = p->ring.frame_bytes;
	uint32_t length = (uint32_t)((uint64_t)p->rate_hz * PUMP_RAMP_US / 1000000);
	uint8_t *out = w->out + (size_t)w->given * bytes;

	if (length > w->frames - w->given)
		length = w->frames - w->given;
	for (uint32_t i = 0; i < length; i++, out += bytes)
		for (uint32_t at = 0; at < bytes; at += sample)
			scale_sample(p, out + at, p->last + at, length - 1 - i, length);
	w->given += length;
}

/*
 * What is not finite would poison every filter behind us, of all guests; and what is finite and huge
 * becomes infinite there, where it is mixed, resampled or made louder. Sound is within 1, so that what is
 * below 2^24 may be much too loud, and still stays far away from that. The exponent tells it all: that of
 * infinite values, and of those that are no numbers, is the largest.
 */
static void scrub(uint8_t *out, size_t bytes)
{
	uint32_t bits;

	for (size_t at = 0; at < bytes; at += sizeof(bits)) {
		memcpy(&bits, out + at, sizeof(bits));
		if ((bits & FLOAT_EXPONENT) >= FLOAT_EXPONENT_MAX)
			memset(out + at, 0, sizeof(bits));
	}
}

/*
 * Tells whether what was just copied is what the word stands for: the guest may have stopped, or
 * started anew, and written other frames there meanwhile.
 */
static bool is_still(const struct pump *p, uint32_t word)
{
	uint32_t now = xaring_load(&p->control->guest.word);

	return run_of(now) == run_of(word) && xaring_word_state(now) != XARING_STATE_STOPPED;
}

static bool consume(struct pump *p, struct work *w, uint32_t frames)
{
	size_t bytes = (size_t)frames * p->ring.frame_bytes;

	if (frames == 0)
		return true;
	xaring_ring_read(&p->ring, p->index, w->out, frames);
	if (!is_still(p, w->word))
		return false;
	if (p->format == XARING_FORMAT_FLOAT)
		scrub(w->out, bytes);
	memcpy(p->last, w->out + bytes - p->ring.frame_bytes, p->ring.frame_bytes);
	w->given = frames;
	p->index += frames;
	p->unsettled = 0;
	tell_more(&p->consumed, frames);
	return true;
}

static void count_gap(struct pump *p, uint32_t missing)
{
	if (!p->in_gap)
		tell_more(&p->xruns, 1);
	p->in_gap = true;
	tell_more(&p->gap, missing);
}

/* Rule 2. Silence; a running guest that is not attached is asked, but not in every cycle. */
static void not_attached(struct pump *p, const struct work *w, bool moving)
{
	if (!moving || xaring_word_attach(w->word) != 0)
		return;
	p->waited += w->frames;
	if (p->raised && p->waited < p->rate_hz / 1000 * PUMP_RETRY_MS)
		return;
	p->raised = true;
	p->waited = 0;
	pump_attach(p);
}

/* Rule 3: the guest says where its valid frames begin. */
static void take_over(struct pump *p, uint32_t word)
{
	uint32_t base = xaring_load(&p->control->guest.base);

	if (xaring_word_attach(word) != xaring_word_attach(p->word)) {
		p->xruns_before = p->xruns;
		p->gap_before = p->gap;
	}
	p->index = base;
	p->word = word;
	p->primed = false;
	p->in_gap = false;
	p->settled = false;
	silence(p, p->last, 1);
}

/* Rule 6. */
static void rest(struct pump *p, const struct work *w)
{
	p->primed = false;
	p->in_gap = false;
	if (run_of(w->word) != run_of(p->word) || (p->settled && w->word == p->word))
		return;
	publish(p, w, 0);
	p->settled = true;
	p->word = w->word;
}

/* Rules 4 and 5: consumes up to fill. */
static void give(struct pump *p, struct work *w, uint32_t fill, bool draining)
{
	uint32_t frames = fill < w->frames ? fill : w->frames;
	bool was_in_gap = p->in_gap;

	if (!consume(p, w, frames))
		return;
	if (frames) {
		p->in_gap = false;
		p->primed = true;
	}
	if (frames < w->frames && !draining) {
		count_gap(p, w->frames - frames);
		if (!was_in_gap)
			ramp_down(p, w);
		p->primed = false;
	}
	publish(p, w, w->frames);
}

/* Consumes nothing, so that the guest's prediction never overtakes what really happens. */
static void prime(struct pump *p, const struct work *w)
{
	if (p->in_gap)
		count_gap(p, w->frames);
	p->in_gap = false;
	p->primed = true;
	publish(p, w, w->frames);
}

/* A gap goes on while there is nothing; what ends it is primed, unless it is the rest of a drain. */
static void play(struct pump *p, struct work *w, bool draining)
{
	uint32_t written = xaring_load(&p->control->guest.pos);
	uint32_t fill;

	if (xaring_ring_fill(written, p->index, p->ring.capacity, &fill) < 0) {
		doubt_counter(p, w->word);
		return;
	}
	p->settled = false;
	p->word = w->word;
	if (p->primed || (p->in_gap && (fill == 0 || draining)))
		give(p, w, fill, draining);
	else
		prime(p, w);
	tell(&p->drained, draining && p->index - written <= p->ring.capacity);
}

/* Rule 1, and the count of words that never settle. Returns the state, or -EPROTO when broken. */
static int look_at_word(struct pump *p, uint32_t word)
{
	uint32_t state = xaring_word_state(word);

	if (state > XARING_STATE_PAUSED) {
		break_off(p, XARING_REASON_WORD);
		return -EPROTO;
	}
	p->unsettled = run_of(word) != run_of(p->seen) ? p->unsettled + 1 : 0;
	if (p->unsettled >= PUMP_UNSETTLED_MAX) {
		break_off(p, XARING_REASON_UNSETTLED);
		return -EPROTO;
	}
	if (word != p->seen)
		p->raised = false;
	p->seen = word;
	return (int)state;
}

/* Rules 1 to 3 are the same for both directions. Returns the state that w->word is to be run in. */
static int begin(struct pump *p, struct work *w)
{
	int state;
	bool moving;

	if (p->attach == 0)
		pump_attach(p);
	/* The stamp first: it may be older than the record that echoes it, never younger. */
	take_stamp(p, w->cycle);
	w->word = xaring_load(&p->control->guest.word);
	state = look_at_word(p, w->word);
	if (state < 0)
		return state;
	tell(&p->drained, 0);
	moving = xaring_state_is_moving((uint32_t)state);
	if (xaring_word_attach(w->word) != (p->attach & XARING_WORD_ATTACH_MASK)) {
		not_attached(p, w, moving);
		return -EAGAIN;
	}
	if (state != XARING_STATE_STOPPED && run_of(w->word) != run_of(p->word))
		take_over(p, w->word);
	return state;
}

static void play_cycle(struct pump *p, struct work *w)
{
	int state = begin(p, w);

	if (state == XARING_STATE_RUNNING)
		play(p, w, false);
	else if (state == XARING_STATE_DRAINING)
		play(p, w, true);
	else if (state >= 0)
		rest(p, w);
}

void pump_playback(struct pump *p, void *out, uint32_t frames, const struct pump_cycle *cycle)
{
	struct work w = {.out = out, .frames = frames, .cycle = cycle};

	tell_more(&p->cycles, 1);
	if (p->reason == XARING_REASON_NONE)
		play_cycle(p, &w);
	silence(p, w.out + (size_t)w.given * p->ring.frame_bytes, frames - w.given);
}

/* Frames of silence into the ring, from index on. */
static void write_silence(const struct pump *p, uint32_t index, uint32_t frames)
{
	uint8_t bytes[SILENCE_BYTES];
	uint32_t chunk = SILENCE_BYTES / p->ring.frame_bytes;

	silence(p, bytes, chunk);
	while (frames > 0) {
		uint32_t now = frames < chunk ? frames : chunk;

		xaring_ring_write(&p->ring, index, bytes, now);
		index += now;
		frames -= now;
	}
}

void pump_erase(struct pump *p)
{
	write_silence(p, 0, p->ring.capacity);
}

uint32_t pump_read_by_guest(const struct pump *p)
{
	return xaring_load(&p->control->guest.pos);
}

uint32_t pump_volume_of_guest(const struct pump *p)
{
	uint32_t word = xaring_load(&p->control->guest.volume);

	return xaring_volume_is_told(word) ? word : 0;
}

/* Capture: rule 4 the other way round. What does not fit is a gap, one until something fits again. */
static void deliver(struct pump *p, const struct work *w)
{
	uint32_t read = xaring_load(&p->control->guest.pos);
	uint32_t space, frames;

	if (xaring_ring_space(p->index, read, p->ring.capacity, &space) < 0) {
		doubt_counter(p, w->word);
		return;
	}
	p->settled = false;
	p->word = w->word;
	frames = space < w->frames ? space : w->frames;
	if (w->in)
		xaring_ring_write(&p->ring, p->index, w->in, frames);
	else
		write_silence(p, p->index, frames);
	p->index += frames;
	tell_more(&p->consumed, frames);
	if (frames)
		p->unsettled = 0;
	if (frames < w->frames)
		count_gap(p, w->frames - frames);
	else
		p->in_gap = false;
	publish(p, w, frames);
}

void pump_capture(struct pump *p, const void *in, uint32_t frames, const struct pump_cycle *cycle)
{
	struct work w = {.in = in, .frames = frames, .cycle = cycle};
	int state;

	tell_more(&p->cycles, 1);
	if (p->reason != XARING_REASON_NONE)
		return;
	state = begin(p, &w);
	if (state == XARING_STATE_RUNNING)
		deliver(p, &w);
	else if (state >= 0)
		rest(p, &w);
}
