/* SPDX-License-Identifier: MIT */
/*
 * A few facts about one VM, and what follows from them. Tells nobody: who changes a fact compares the
 * state before and after.
 */
#include "microphone.h"

void microphone_init(struct microphone *m, enum policy_microphone rule)
{
	*m = (struct microphone){.rule = rule};
}

enum consent_choice microphone_choice(const struct microphone *m)
{
	return m->here != CONSENT_NONE ? m->here : m->kept;
}

enum microphone_state microphone_state(const struct microphone *m)
{
	bool allowed = m->rule == POLICY_MICROPHONE_ALLOW ||
		       (m->rule == POLICY_MICROPHONE_ASK && microphone_choice(m) == CONSENT_ALLOW);

	if (allowed)
		return MICROPHONE_ALLOWED;
	return m->asks ? MICROPHONE_ASKED : MICROPHONE_DENIED;
}

/* A VM that waits does so since the last change that made it wait. */
static void update(struct microphone *m, uint64_t now_ms)
{
	bool waits = m->rule == POLICY_MICROPHONE_ASK && microphone_choice(m) == CONSENT_NONE &&
		     m->recording > 0;

	if (waits && !m->waits)
		m->since_ms = now_ms;
	if (!waits)
		m->asks = false;
	m->waits = waits;
}

void microphone_set_rule(struct microphone *m, enum policy_microphone rule, uint64_t now_ms)
{
	m->rule = rule;
	update(m, now_ms);
}

void microphone_set_kept(struct microphone *m, enum consent_choice kept, uint64_t now_ms)
{
	m->kept = kept;
	update(m, now_ms);
}

void microphone_set_recording(struct microphone *m, uint32_t streams, uint64_t now_ms)
{
	bool ends = m->recording > 0 && streams == 0;

	m->recording = streams;
	if (ends && m->span == MICROPHONE_ONCE)
		m->here = CONSENT_NONE;
	update(m, now_ms);
}

void microphone_decide(struct microphone *m, enum consent_choice choice, enum microphone_span span,
		       uint64_t now_ms)
{
	m->here = choice;
	m->span = span;
	if (choice == CONSENT_NONE)
		m->has_asked = false;
	update(m, now_ms);
}

void microphone_look(struct microphone *m, uint64_t now_ms)
{
	if (now_ms < microphone_next_ms(m))
		return;
	m->asks = true;
	m->has_asked = true;
}

uint64_t microphone_next_ms(const struct microphone *m)
{
	return m->waits && !m->has_asked ? m->since_ms + MICROPHONE_ASK_MS : MICROPHONE_NEVER;
}
