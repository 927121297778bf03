/* SPDX-License-Identifier: MIT */
/*
 * The states of one stream. Decides only; what it decides is done in stream.c.
 */
#include "session.h"

#include <string.h>

void session_init(struct session *s, bool records)
{
	memset(s, 0, sizeof(*s));
	s->records = records;
	s->phase = SESSION_WAITING;
	s->patience = SESSION_STALL_SWEEPS;
}

bool session_is_playing(const struct session *s, const struct session_look *look)
{
	if (s->records)
		return look->allowed && look->guest == XARING_STATE_RUNNING &&
		       !(s->is_stuck && look->read == s->read);
	return look->guest == XARING_STATE_RUNNING ||
	       (look->guest == XARING_STATE_DRAINING && !look->drained);
}

static bool is_over(const struct session *s)
{
	return s->phase == SESSION_TAIL || s->phase == SESSION_BROKEN || s->phase == SESSION_LEFT ||
	       s->phase == SESSION_ENDED;
}

/* What there is of a node goes. */
static uint32_t drop_node(const struct session *s)
{
	bool has_one = s->phase == SESSION_ACTIVE || (s->phase == SESSION_IDLE && !s->records);

	return has_one ? SESSION_DO_DESTROY : 0;
}

static uint32_t activate(struct session *s, const struct session_look *look)
{
	s->phase = SESSION_ACTIVE;
	s->quiet = 0;
	s->stalled = 0;
	s->cycles = look->cycles;
	s->moved = look->moved;
	s->unread = 0;
	s->is_stuck = false;
	return s->records ? SESSION_DO_CREATE | SESSION_DO_ACTIVATE : SESSION_DO_ACTIVATE;
}

/* The graph is to run without it. */
static uint32_t deactivate(struct session *s)
{
	s->phase = SESSION_IDLE;
	return s->records ? SESSION_DO_DESTROY : SESSION_DO_DEACTIVATE;
}

uint32_t session_linked(struct session *s, const struct session_look *look)
{
	if (s->phase != SESSION_WAITING)
		return 0;
	s->phase = SESSION_IDLE;
	if (session_is_playing(s, look))
		return SESSION_DO_CREATE | activate(s, look);
	return s->records ? 0 : SESSION_DO_CREATE;
}

uint32_t session_lost(struct session *s)
{
	uint32_t todo = drop_node(s);

	switch (s->phase) {
	case SESSION_IDLE:
	case SESSION_ACTIVE:
		s->phase = SESSION_WAITING;
		return todo;
	case SESSION_TAIL:
		return session_tail_over(s);
	default:
		return 0;
	}
}

uint32_t session_failed(struct session *s)
{
	return session_lost(s);
}

uint32_t session_manager_came(struct session *s, bool is_run)
{
	uint32_t anew = SESSION_DO_DESTROY | SESSION_DO_CREATE;

	if (is_run || (s->phase != SESSION_IDLE && s->phase != SESSION_ACTIVE))
		return 0;
	if (s->records && s->phase == SESSION_IDLE)
		return 0;
	s->stalled = 0;
	s->patience = SESSION_STALL_SWEEPS;
	return s->phase == SESSION_ACTIVE ? anew | SESSION_DO_ACTIVATE : anew;
}

uint32_t session_kick(struct session *s, const struct session_look *look)
{
	if (s->phase == SESSION_ACTIVE)
		s->quiet = 0;
	if (s->phase != SESSION_IDLE || !session_is_playing(s, look))
		return 0;
	return activate(s, look);
}

/* The guest's fault: the pump found something impossible, or the word is. */
static uint32_t found_broken(struct session *s, const struct session_look *look)
{
	uint32_t todo = SESSION_DO_CONDEMN | drop_node(s);

	s->reason = look->reason != XARING_REASON_NONE ? look->reason : XARING_REASON_WORD;
	s->phase = SESSION_BROKEN;
	return todo;
}

/* Its program was killed while nobody in the guest could tell us: there is nothing to wait for. */
static uint32_t found_left(struct session *s)
{
	uint32_t todo = drop_node(s);

	s->phase = SESSION_LEFT;
	return todo;
}

/*
 * The graph does not run the node although it should. A session manager with very many new nodes
 * takes seconds, and one that is gone is waited for elsewhere: this is the last resort.
 */
static uint32_t found_stalled(struct session *s)
{
	if (++s->stalled < s->patience)
		return 0;
	s->stalled = 0;
	if (s->patience < SESSION_STALL_SWEEPS_MAX)
		s->patience *= 2;
	return SESSION_DO_DESTROY | SESSION_DO_CREATE | SESSION_DO_ACTIVATE;
}

/* Nobody takes what is recorded: the microphone is let go until somebody does. */
static bool is_unread(struct session *s, const struct session_look *look)
{
	if (!s->records || look->moved != s->moved)
		s->unread = 0;
	else
		s->unread++;
	s->moved = look->moved;
	return s->unread >= SESSION_UNREAD_SWEEPS;
}

static uint32_t found_unread(struct session *s, const struct session_look *look)
{
	s->is_stuck = true;
	s->read = look->read;
	return deactivate(s);
}

static uint32_t sweep_active(struct session *s, const struct session_look *look)
{
	bool ran = look->cycles != s->cycles;

	s->cycles = look->cycles;
	if (ran && is_unread(s, look))
		return found_unread(s, look);
	if (session_is_playing(s, look)) {
		s->quiet = 0;
		if (!ran)
			return found_stalled(s);
		s->stalled = 0;
		s->patience = SESSION_STALL_SWEEPS;
		return 0;
	}
	if (!s->records && ++s->quiet < SESSION_QUIET_SWEEPS)
		return 0;
	return deactivate(s);
}

uint32_t session_sweep(struct session *s, const struct session_look *look)
{
	if (is_over(s))
		return 0;
	if (look->reason != XARING_REASON_NONE || look->guest < 0)
		return found_broken(s, look);
	if (look->left)
		return found_left(s);
	switch (s->phase) {
	case SESSION_WAITING:
		return look->linked ? session_linked(s, look) : 0;
	case SESSION_IDLE:
		return session_is_playing(s, look) ? activate(s, look) : 0;
	case SESSION_ACTIVE:
		return sweep_active(s, look);
	default:
		return 0;
	}
}

uint32_t session_revoked(struct session *s)
{
	return s->phase == SESSION_ACTIVE ? deactivate(s) : 0;
}

uint32_t session_end(struct session *s)
{
	enum session_phase before = s->phase;
	uint32_t todo = SESSION_DO_DETACH | drop_node(s) | SESSION_DO_FREE;

	s->phase = SESSION_ENDED;
	switch (before) {
	case SESSION_ACTIVE:
		if (s->records)
			return todo;
		s->phase = SESSION_TAIL;
		return SESSION_DO_DETACH | SESSION_DO_LINGER;
	case SESSION_IDLE:
	case SESSION_WAITING:
	case SESSION_BROKEN:
	case SESSION_LEFT:
		return todo;
	case SESSION_TAIL:
		s->phase = SESSION_TAIL;
		return 0;
	default:
		return 0;
	}
}

uint32_t session_tail_over(struct session *s)
{
	if (s->phase != SESSION_TAIL)
		return 0;
	s->phase = SESSION_ENDED;
	return SESSION_DO_DESTROY | SESSION_DO_FREE;
}

/* Who decides about the microphone is told of every recording; one ends in sweeps only, so this is bounded as well. */
static bool begins_to_record(const struct session *s, uint32_t state)
{
	return s->records && state == XARING_STATE_RUNNING && s->told.state != XARING_STATE_RUNNING;
}

/* What a guest says that nobody is there for any more is no news: for people its stream has stopped. */
static uint32_t state_of(const struct session *s, const struct session_look *look)
{
	return s->phase == SESSION_LEFT || look->guest < 0 ? XARING_STATE_STOPPED
							   : (uint32_t)look->guest;
}

bool session_report(const struct session *s, const struct session_look *look, uint64_t now_ns,
		    struct session_report *report)
{
	bool broken = s->phase == SESSION_BROKEN;

	report->backend = broken ? XARING_BACKEND_BROKEN : XARING_BACKEND_ACCEPTED;
	report->reason = broken ? s->reason : XARING_REASON_NONE;
	report->state = state_of(s, look);
	report->xruns = look->xruns;
	report->gap = look->gap;
	report->volume = look->volume;

	if (!s->was_told)
		return true;
	if (memcmp(report, &s->told, sizeof(*report)) == 0)
		return false;
	return report->backend != s->told.backend || begins_to_record(s, report->state) ||
	       now_ns - s->told_ns >= SESSION_REPORT_INTERVAL_NS;
}

void session_told(struct session *s, const struct session_report *report, uint64_t now_ns)
{
	s->told = *report;
	s->told_ns = now_ns;
	s->was_told = true;
}
