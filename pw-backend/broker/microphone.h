/* SPDX-License-Identifier: MIT */
/*
 * Whether one VM may hear the room: what the rules say, what people have decided, and whether it asks.
 *
 * Where the rules leave it to people, a VM may not until somebody allows it. What was decided for this
 * start of the VM comes before what is kept for all of them. A VM that records while nobody has decided
 * asks: after MICROPHONE_ASK_MS, since mixers record for a moment to show a level; and once in its life,
 * since they do that again and again.
 *
 * Pure: times come from the caller, in ms of one clock. Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_MICROPHONE_H
#define XARING_BROKER_MICROPHONE_H

#include <stdbool.h>
#include <stdint.h>

#include "consent.h"
#include "policy.h"

#define MICROPHONE_ASK_MS 2000u
#define MICROPHONE_NEVER  UINT64_MAX

enum microphone_state {
	MICROPHONE_DENIED,
	MICROPHONE_ALLOWED,
	MICROPHONE_ASKED /* denied, and somebody is to decide */
};

/* How long a decision for this start of the VM holds. */
enum microphone_span {
	MICROPHONE_SHUTDOWN, /* until the VM ends */
	MICROPHONE_ONCE /* until the last of its streams that record has stopped; one may be to come */
};

struct microphone {
	enum policy_microphone rule;
	enum consent_choice kept; /* for every start of the VM */
	enum consent_choice here; /* for this one; comes before */
	enum microphone_span span;
	uint32_t recording; /* streams that do */
	bool waits;         /* records, and nobody has decided */
	uint64_t since_ms;  /* it waits */
	bool asks;
	bool has_asked;
};

void microphone_init(struct microphone *m, enum policy_microphone rule);

/* What has changed; each looks anew, see microphone_look(). */
void microphone_set_rule(struct microphone *m, enum policy_microphone rule, uint64_t now_ms);
void microphone_set_kept(struct microphone *m, enum consent_choice kept, uint64_t now_ms);
void microphone_set_recording(struct microphone *m, uint32_t streams, uint64_t now_ms);

/*
 * Decides for this start of the VM. CONSENT_NONE takes such a decision back, and lets the VM ask again.
 * Whether the rules leave it to people is the caller's to check: otherwise it has no effect.
 */
void microphone_decide(struct microphone *m, enum consent_choice choice, enum microphone_span span,
		       uint64_t now_ms);

/* Time has passed: the VM may begin to ask by it. */
void microphone_look(struct microphone *m, uint64_t now_ms);

/* When to look again by that, or MICROPHONE_NEVER. */
uint64_t microphone_next_ms(const struct microphone *m);

enum microphone_state microphone_state(const struct microphone *m);

/* Tells whether somebody has decided: allow, deny, or NONE. The rules are not asked. */
enum consent_choice microphone_choice(const struct microphone *m);

#endif
