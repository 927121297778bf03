/* SPDX-License-Identifier: MIT */
/*
 * Goes from a change to its consequences: every function here notes what is new, and settle() tells those
 * whom it concerns. What a VM may is decided in microphone.c.
 */
#include "permission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xaring/log.h>

#include "broker-private.h"
#include "lease.h"
#include "loop.h"
#include "now.h"
#include "vm.h"

struct permission {
	struct broker *broker;
	char *file;
	struct consent *consent; /* NULL = nothing can be kept */
	struct loop_source *timer;
};

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum consent_choice permission_kept(const struct permission *p, const char *key)
{
	return p->consent ? consent_of(p->consent, key, wall_ms()) : CONSENT_NONE;
}

static enum consent_choice kept_of(const struct permission *p, const struct vm *vm)
{
	return permission_kept(p, vm->identity.key);
}

/* ---- when to look again ---- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* In ms from now, or MICROPHONE_NEVER; likewise what follows. */
static uint64_t until_consent_ends(const struct permission *p)
{
	return p->consent ? consent_look_ms(p->consent, wall_ms()) : MICROPHONE_NEVER;
}

static uint64_t until_one_asks(const struct permission *p)
{
	uint64_t now_ms = clock_now_ms(), first_ms = MICROPHONE_NEVER;

	for (const struct vm *vm = p->broker->vms; vm; vm = vm->next)
		first_ms = sooner(first_ms, microphone_next_ms(&vm->microphone));
	if (first_ms == MICROPHONE_NEVER)
		return first_ms;
	return first_ms > now_ms ? first_ms - now_ms : 1;
}

static void arm(struct permission *p)
{
	uint64_t ms = sooner(until_consent_ends(p), until_one_asks(p));

	loop_arm_timer(p->timer, ms == MICROPHONE_NEVER ? 0 : (uint32_t)ms + (ms == 0));
}

/* ---- what follows ---- */

static const char *describe(enum microphone_state state)
{
	if (state == MICROPHONE_ALLOWED)
		return "may record from now on";
	return state == MICROPHONE_ASKED ? "records, and nobody has decided whether it may: it asks"
					 : "may not record from now on";
}

static void view(const struct permission *p, const struct vm *vm, struct vm_microphone_view *to)
{
	const struct microphone *m = &vm->microphone;

	*to = (struct vm_microphone_view){.state = microphone_state(m),
					  .rule = m->rule,
					  .choice = microphone_choice(m),
					  .is_here = m->here != CONSENT_NONE};
	if (to->is_here)
		to->span = m->span;
	else if (m->kept != CONSENT_NONE)
		to->until_s = permission_until_s(p, vm->identity.key);
}

static void tell_news(const struct permission *p, struct vm *vm)
{
	const struct vm_microphone_view told = vm->told;
	struct vm_microphone_view *now = &vm->told;

	view(p, vm, now);
	if (now->state != told.state || now->rule != told.rule || now->choice != told.choice ||
	    now->is_here != told.is_here || now->span != told.span || now->until_s != told.until_s)
		broker_microphone_changed(vm);
}

/* Who only asks, or does so no longer, may do what it could before. */
static void settle(struct permission *p, struct vm *vm, enum microphone_state before)
{
	enum microphone_state now = microphone_state(&vm->microphone);

	arm(p);
	if (now != before && (now == MICROPHONE_ALLOWED || before == MICROPHONE_ALLOWED))
		broker_tell_microphone(vm);
	if (now != before && (now != MICROPHONE_DENIED || before == MICROPHONE_ALLOWED))
		limited_log_line(&vm->log, XARING_LOG_INFO, "vm %s %s", vm->identity.key,
				 describe(now));
	tell_news(p, vm);
}

/* What is kept may be another thing, and time has passed. */
static void look(struct permission *p, struct vm *vm)
{
	enum microphone_state before = microphone_state(&vm->microphone);
	uint64_t now_ms = clock_now_ms();

	microphone_set_kept(&vm->microphone, kept_of(p, vm), now_ms);
	microphone_look(&vm->microphone, now_ms);
	settle(p, vm, before);
}

static void look_at_all(struct permission *p)
{
	for (struct vm *vm = p->broker->vms; vm; vm = vm->next)
		look(p, vm);
	arm(p);
}

/* Nobody has decided that just now: the log is to say why it is no longer so. */
static void log_end(struct vm *vm, const char *why)
{
	limited_log_line(&vm->log, XARING_LOG_INFO,
			 "vm %s: what was decided about its microphone is over: %s",
			 vm->identity.key, why);
}

/* And writes that down. */
static void forget_over(struct permission *p)
{
	bool is_over = p->consent && consent_forget_over(p->consent, wall_ms());
	int res = is_over ? consent_save(p->consent) : 0;

	if (res < 0)
		xaring_log(
			XARING_LOG_WARN,
			"%s cannot be written (%s): what is over in it counts again after a restart "
			"with a clock that is behind",
			p->file, strerror(-res));
}

static void on_timer(void *data)
{
	struct permission *p = data;

	for (struct vm *vm = p->broker->vms; vm; vm = vm->next) {
		if (vm->microphone.kept != CONSENT_NONE && kept_of(p, vm) == CONSENT_NONE)
			log_end(vm, "it was for a time, which has passed");
	}
	look_at_all(p);
	forget_over(p);
}

void permission_vm_came(struct permission *p, struct vm *vm)
{
	if (!p)
		return;
	microphone_set_kept(&vm->microphone, kept_of(p, vm), clock_now_ms());
	view(p, vm, &vm->told);
	arm(p);
}

void permission_rule_changed(struct permission *p, struct vm *vm)
{
	enum microphone_state before = microphone_state(&vm->microphone);

	if (!p)
		return;
	microphone_set_rule(&vm->microphone, vm->policy.microphone, clock_now_ms());
	settle(p, vm, before);
}

static uint32_t count_recording(const struct vm *vm)
{
	uint32_t count = 0;

	for (const struct lease *l = vm->leases; l; l = l->next)
		count += !l->ending && l->params.direction == XARING_CAPTURE &&
			 l->state == XARING_STATE_RUNNING;
	return count;
}

void permission_streams_changed(struct permission *p, struct vm *vm)
{
	enum microphone_state before = microphone_state(&vm->microphone);
	bool was_decided_here = vm->microphone.here != CONSENT_NONE;

	if (!p)
		return;
	microphone_set_recording(&vm->microphone, count_recording(vm), clock_now_ms());
	if (was_decided_here && vm->microphone.here == CONSENT_NONE)
		log_end(vm, "it was for once, and the last stream that recorded has stopped");
	settle(p, vm, before);
}

/* ---- deciding ---- */

/* For this start of the VM; NONE lets what is kept count. */
static void decide_here(struct permission *p, struct vm *vm, enum consent_choice choice,
			enum permission_span span)
{
	enum microphone_state before = microphone_state(&vm->microphone);

	microphone_decide(&vm->microphone, choice,
			  span == PERMISSION_ONCE ? MICROPHONE_ONCE : MICROPHONE_SHUTDOWN,
			  clock_now_ms());
	settle(p, vm, before);
}

static bool is_left_to_people(const struct vm *vm)
{
	return vm->policy.microphone == POLICY_MICROPHONE_ASK;
}

static bool asks(const struct vm *vm)
{
	return microphone_state(&vm->microphone) == MICROPHONE_ASKED;
}

/* How many of those that have the key are like that. */
static unsigned count(const struct permission *p, const char *key,
		      bool (*is_such)(const struct vm *))
{
	unsigned n = 0;

	for (const struct vm *vm = broker_find_vm(p->broker, key); vm; vm = broker_find_next(vm))
		n += is_such(vm);
	return n;
}

/* Of all that have the key; once is for those that ask, where one does. */
static void decide_for_this_start(struct permission *p, const char *key,
				  const struct permission_decision *d)
{
	bool is_answer = d->span == PERMISSION_ONCE && count(p, key, asks) > 0;

	for (struct vm *vm = broker_find_vm(p->broker, key); vm; vm = broker_find_next(vm)) {
		if (is_left_to_people(vm) && (!is_answer || asks(vm)))
			decide_here(p, vm, d->choice, d->span);
	}
}

/* Of all that have the key. It holds before it is written: a disk may take its time. */
static int keep(struct permission *p, const char *key, const struct permission_decision *d,
		int *unwritten)
{
	int64_t now_ms = wall_ms();
	int64_t until_ms =
		d->span == PERMISSION_FOR ? now_ms + (int64_t)d->seconds * 1000 : CONSENT_FOREVER;
	int res;

	if (!p->consent)
		return -ENOTSUP;
	consent_forget_over(p->consent, now_ms);
	res = consent_decide(p->consent, key, d->choice, until_ms);
	if (res < 0)
		return res;
	look_at_all(p);
	/* After that: between the two nobody may what both forbid. */
	for (struct vm *vm = broker_find_vm(p->broker, key); vm; vm = broker_find_next(vm))
		decide_here(p, vm, CONSENT_NONE, d->span);
	*unwritten = consent_save(p->consent);
	return 0;
}

/* It is not kept. */
static bool is_for_this_start(const struct permission_decision *d)
{
	return d->span == PERMISSION_ONCE || d->span == PERMISSION_SHUTDOWN;
}

int permission_decide(struct permission *p, const char *key, const struct permission_decision *d,
		      int *unwritten)
{
	if (count(p, key, is_left_to_people) == 0)
		return -EPERM;
	/* There is nothing to forget where nothing is kept. */
	if (d->choice == CONSENT_NONE ? !p->consent : is_for_this_start(d)) {
		decide_for_this_start(p, key, d);
		*unwritten = 0;
		return 0;
	}
	return keep(p, key, d, unwritten);
}

int permission_decide_absent(struct permission *p, const char *key,
			     const struct permission_decision *d, int *unwritten)
{
	if (permission_kept(p, key) == CONSENT_NONE)
		return -ENOENT;
	if (is_for_this_start(d))
		return -EINVAL;
	return keep(p, key, d, unwritten);
}

const char *permission_file(const struct permission *p)
{
	return p->file;
}

int64_t permission_until_s(const struct permission *p, const char *key)
{
	int64_t until_ms = p->consent ? consent_until_ms(p->consent, key, wall_ms()) : 0;

	return until_ms == CONSENT_FOREVER ? CONSENT_FOREVER : until_ms / 1000;
}

/* ---- the file ---- */

static void say_what_was_read(const struct permission *p, int res, unsigned skipped)
{
	if (res < 0)
		xaring_log(
			XARING_LOG_ERROR,
			"%s cannot be read (%s): what was decided about microphones is not known, "
			"and nothing can be kept until it can be and xaring-pw is restarted",
			p->file, strerror(-res));
	else if (skipped > 0)
		xaring_log(XARING_LOG_WARN,
			   "%s: %u lines are not understood and count for nothing: accepted is KEY "
			   "allow|deny [SECONDS since the epoch]",
			   p->file, skipped);
}

static int open_file(struct permission *p, const char *file)
{
	unsigned skipped = 0;
	int res;

	if (!file)
		return 0;
	p->file = strdup(file);
	if (!p->file)
		return -ENOMEM;
	res = consent_open(file, &p->consent, &skipped);
	if (res == 0)
		consent_forget_over(p->consent, wall_ms());
	say_what_was_read(p, res, skipped);
	return 0;
}

int permission_open(struct broker *b, const char *file, struct permission **out)
{
	struct permission *p = calloc(1, sizeof(*p));
	int res = -ENOMEM;

	if (!p)
		return res;
	p->broker = b;
	res = loop_add_timer(b->setup.loop, on_timer, p, &p->timer);
	if (res == 0)
		res = open_file(p, file);
	if (res < 0) {
		permission_close(p);
		return res;
	}
	*out = p;
	return 0;
}

void permission_close(struct permission *p)
{
	if (!p)
		return;
	loop_remove(p->timer);
	consent_close(p->consent);
	free(p->file);
	free(p);
}
