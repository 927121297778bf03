/* SPDX-License-Identifier: MIT */
/*
 * Keeps what belongs to a VM and not to one of its streams. Opens no socket, talks to nobody.
 */
#include "vm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lease.h"
#include "now.h"

/* Programs that look for a device that works open and close a dozen streams in a moment. */
#define OPENS_BURST 120

/* Mixers of a VM look for the microphone with a stream as often as they are started: who plays is left what he needs. */
#define OPENS_LEFT_TO_PLAY (OPENS_BURST / 2)

int vm_create(uint32_t id, const struct identity *identity, const struct policy *policy,
	      struct vm **out)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	vm->id = id;
	vm->identity = *identity;
	vm->policy = *policy;
	microphone_init(&vm->microphone, policy->microphone);
	bucket_init(&vm->opens, OPENS_BURST, policy->reconnect_ms, clock_now_ms());
	limited_log_init(&vm->log);
	*out = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	status_page_finish(&vm->status);
	free(vm);
}

bool vm_may_record(const struct vm *vm)
{
	return microphone_state(&vm->microphone) == MICROPHONE_ALLOWED;
}

void vm_set_policy(struct vm *vm, const struct policy *policy)
{
	bool is_disconnected = vm->policy.is_disconnected;

	vm->policy = *policy;
	vm->policy.is_disconnected = is_disconnected;
	vm->opens.refill_ms = policy->reconnect_ms;
}

void vm_set_backend(struct vm *vm, bool present)
{
	status_page_set(&vm->status, XARING_STATUS_BACKEND, present);
}

bool vm_has_ending(const struct vm *vm)
{
	for (const struct lease *l = vm->leases; l; l = l->next) {
		if (l->ending)
			return true;
	}
	return false;
}

bool vm_may_open(struct vm *vm, uint32_t direction)
{
	return bucket_take_above(&vm->opens, direction == XARING_CAPTURE ? OPENS_LEFT_TO_PLAY : 0,
				 clock_now_ms());
}

void vm_log(struct vm *vm, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	limited_log_line(&vm->log, XARING_LOG_WARN, "vm %s %s", vm->identity.key, text);
}

void vm_log_refusal(struct vm *vm, const char *what, const struct xaring_refusal *refusal)
{
	bool is_disconnected =
		refusal->reason == XARING_REASON_POLICY && vm->policy.is_disconnected;
	char reason[160];

	xaring_refusal_text(refusal, reason, sizeof(reason));
	limited_log_line(&vm->log, XARING_LOG_WARN, "vm %s %s: %s%s%s%s", vm->identity.key, what,
			 reason,
			 is_disconnected ? ": it is disconnected, and xaringctl connect " : "",
			 is_disconnected ? vm->identity.key : "",
			 is_disconnected ? " takes that back" : "");
}
