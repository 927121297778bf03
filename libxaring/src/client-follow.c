/* SPDX-License-Identifier: MIT */
/*
 * Following the backend through the control page: its records, its attaches, and the guest's word
 * that answers them. Every value found there may be a lie; a lie may cost sound, never memory, and
 * never the progress of the position for long. No system call but the kick of an answer.
 */
#include "client-private.h"

#include <xaring/shared.h>

/* Rests in a row that no progress followed: the next answer is put off, up to this. */
#define ANSWER_PAUSE_MS     100u
#define ANSWER_PAUSE_MAX_MS 1000u

#define SILENCE_BYTES 4096u

/* A cycle that takes longer to write its record is one that is late. */
#define AGE_MAX_NS 5000000u

bool client_is_moving(const struct xaring_client *c)
{
	return xaring_state_is_moving(c->state);
}

/* Of pages that are kept, this is what was so when the server went. */
static bool is_accepted(const struct xaring_client *c)
{
	uint32_t status;

	if (!c->linked.control)
		return false;
	status = xaring_load(&c->control->backend.status) & XARING_BACKEND_STATE_MASK;
	return status == XARING_BACKEND_ACCEPTED;
}

bool client_has_backend(const struct xaring_client *c)
{
	return is_accepted(c) ||
	       (c->linked.control && (xaring_load(&c->status->flags) & XARING_STATUS_BACKEND));
}

bool client_hears_nothing(const struct xaring_client *c)
{
	uint32_t flags;

	if (c->params.direction != XARING_CAPTURE || !is_accepted(c))
		return false;
	flags = xaring_load(&c->control->backend.flags);
	return !(flags & XARING_FLAG_CAPTURE_ALLOWED) || (flags & XARING_FLAG_NO_SINK);
}

void client_store_word(struct xaring_client *c, uint32_t attach)
{
	c->word = xaring_word(c->generation, c->state, attach);
	xaring_store(&c->control->guest.word, c->word);
}

void client_begin_wait(struct xaring_client *c, uint64_t now_ns, uint64_t longest_ns)
{
	c->wait_ns = now_ns;
	xaring_position_wait(&c->position, now_ns + longest_ns);
}

/* When the record was written, on our clock. */
static uint64_t record_time(struct xaring_client *c, const struct xaring_record *record,
			    uint64_t now_ns)
{
	uint64_t echo_ns = xaring_clock_unstamp(record->echo, now_ns, c->stamp_secret);

	xaring_clock_update(&c->clock, record->time_ns + record->age_ns, now_ns, record->echo != 0,
			    echo_ns, record->echo_age_ns);
	if (!xaring_clock_is_known(&c->clock))
		return now_ns;
	return xaring_clock_to_guest(&c->clock, record->time_ns);
}

/*
 * The first record of an attach only says from where to count. Gaps of an earlier generation are
 * not this start's.
 */
static void count_xruns(struct xaring_client *c, const struct xaring_record *record)
{
	if (c->xruns_known &&
	    xaring_word_generation(record->word) == xaring_word_generation(c->word))
		c->xruns += record->xruns - c->xruns_last;
	c->xruns_last = record->xruns;
	c->xruns_known = true;
}

int client_take_record(struct xaring_client *c, uint64_t now_ns)
{
	bool was_live = c->position.mode == XARING_POSITION_LIVE;
	struct xaring_record record;
	uint64_t at_ns;
	int res;

	if (!xaring_record_read(&c->control->record, &c->seq, &record))
		return 0;
	at_ns = record_time(c, &record, now_ns);
	if (!xaring_word_attach(c->word) ||
	    xaring_word_attach(record.word) != xaring_word_attach(c->word))
		return 0;
	count_xruns(c, &record);
	if (record.word != c->word || !client_is_moving(c))
		return 0;
	res = xaring_position_record(&c->position, &record, at_ns, now_ns, c->published,
				     c->shape.capacity);
	if (res < 0)
		return res;
	c->delivered = record.pos;
	c->age_ns = record.age_ns < AGE_MAX_NS ? record.age_ns : AGE_MAX_NS;
	/* The first one of an attach shows no progress yet. */
	if (was_live && c->position.seen_ns == now_ns)
		c->failed = 0;
	c->drained = c->state == XARING_STATE_DRAINING && (int32_t)(c->published - record.pos) <= 0;
	return 0;
}

/*
 * What is saved of a guest is not of one moment: the backend goes on writing while its pages are copied, and what
 * dom0 writes into a page that it has mapped is not copied again (Xen, xen/common/grant_table.c: a page becomes dirty
 * when it is unmapped). After a restore the ring can have frames of a round before where the newest record, which may
 * be of a later moment still, tells of new ones. So nothing counts as delivered but what was read before, and that
 * record is done with. Where the guest goes on in the same pages another record comes with the next cycle.
 */
void client_distrust(struct xaring_client *c, uint32_t index)
{
	struct xaring_record record;

	if (c->clock.same || c->params.direction != XARING_CAPTURE || !client_has_slept(&c->sleep))
		return;
	(void)xaring_record_read(&c->control->record, &c->seq, &record);
	if ((int32_t)(c->delivered - index) > 0)
		c->delivered = index;
}

/* Capture: what no backend has delivered until here is silence, whatever the ring had in its place. */
static void fill_hole(struct xaring_client *c, uint32_t base)
{
	uint8_t silence[SILENCE_BYTES];
	uint32_t chunk = SILENCE_BYTES / c->shape.frame_bytes;
	int32_t hole = (int32_t)(base - c->delivered);
	uint32_t left = hole > 0 ? (uint32_t)hole : 0;

	if (left > c->shape.capacity)
		left = c->shape.capacity;
	xaring_format_silence(c->params.format, silence, sizeof(silence));
	while (left > 0) {
		uint32_t now = left < chunk ? left : chunk;

		xaring_ring_write(&c->ring, base - left, silence, now);
		left -= now;
	}
	c->delivered = base;
}

/*
 * Answers an attach that has not been answered yet. What was predicted so far counts as played:
 * the backend begins at the present position, which rests meanwhile.
 */
void client_answer_attach(struct xaring_client *c, uint64_t now_ns)
{
	uint32_t attach = xaring_load(&c->control->backend.attach);
	bool moving = client_is_moving(c);
	uint32_t base;

	if (attach == c->attach || !(attach & XARING_WORD_ATTACH_MASK))
		return;
	if (moving && now_ns < c->answer_ns)
		return;
	c->attach = attach;
	c->xruns_known = false;
	base = xaring_position_at(&c->position, now_ns, c->published);
	if (c->params.direction == XARING_CAPTURE)
		fill_hole(c, base);
	xaring_store(&c->control->guest.base, base);
	xaring_store(&c->control->guest.pos, c->published);
	client_store_word(c, attach);
	if (!moving)
		return;
	/* A start's longer patience stays; it is not prolonged either, whatever the backend raises. */
	if (c->position.mode != XARING_POSITION_WAITING)
		client_begin_wait(c, now_ns, xaring_position_stale_ns(&c->position));
	client_link_kick(c, XARING_KICK_ATTACH);
}

/*
 * No record for too long: the backend may not consume any more until it attaches anew, since the
 * position moves on without it. A backend that attaches again and again and consumes nothing gets
 * its answers later and later, so that it cannot keep the position at rest.
 */
void client_withdraw(struct xaring_client *c, uint64_t now_ns)
{
	uint32_t pause_ms = 0;

	client_store_word(c, 0);
	if (c->failed > 0)
		pause_ms = ANSWER_PAUSE_MS << (c->failed < 5 ? c->failed - 1 : 4);
	if (pause_ms > ANSWER_PAUSE_MAX_MS)
		pause_ms = ANSWER_PAUSE_MAX_MS;
	c->failed++;
	c->answer_ns = now_ns + pause_ms * NS_PER_MS;
}
