/* SPDX-License-Identifier: MIT */
/*
 * A VM as the broker sees it: identity, policy, what it uses, the status page that its programs
 * read. Knows neither how it is reached nor the worker.
 *
 * Thread: the loop's. Blocks: no. Logs: refusals, at a limited rate.
 */
#ifndef XARING_BROKER_VM_H
#define XARING_BROKER_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "bucket.h"
#include "identity.h"
#include "limited-log.h"
#include "microphone.h"
#include "policy.h"
#include "status-page.h"

struct broker;
struct lease;
struct source_ops;

/* What people see of a microphone: who watches is told when it is another thing. */
struct vm_microphone_view {
	enum microphone_state state;
	enum policy_microphone rule;
	enum consent_choice choice;
	bool is_here;              /* for this start of the VM */
	enum microphone_span span; /* of that, or zero */
	int64_t until_s;           /* of what is kept: permission_until_s(), or zero */
};

struct vm {
	struct vm *next;
	struct broker *broker;
	uint32_t id; /* never used twice */
	struct identity identity;

	struct policy policy;
	struct policy_use use;  /* streams that are ending included */
	struct bucket opens;    /* new streams */
	struct limited_log log; /* of what it is not given */

	struct microphone microphone;
	struct vm_microphone_view told;

	struct status_page status; /* zeroed unless its programs connect to us */

	struct lease *leases;
	const struct source_ops *source_ops;
	void *source;
};

/* Where the streams of a VM come from. */
struct source_ops {
	/* Something of the VM's was given back: what waits for room is served. */
	void (*retry)(void *source);

	/* The rules have changed: the VM's policy is asked for anew, broker_policy(). */
	void (*reload)(void *source);

	/* Ends all streams; the source, if it is the VM's alone, is freed. */
	void (*close)(void *source);
};

/* Tells whether the VM may hear the room. */
bool vm_may_record(const struct vm *vm);

/* Owner: the caller; vm_destroy(). Returns 0 or -ENOMEM. */
int vm_create(uint32_t id, const struct identity *identity, const struct policy *policy,
	      struct vm **out);
void vm_destroy(struct vm *vm);

/* The rules have changed; what is no rule (policy.h) stays. */
void vm_set_policy(struct vm *vm, const struct policy *policy);

/* Tells the VM's programs, if they can see it, whether a worker is there. */
void vm_set_backend(struct vm *vm, bool present);

/* Tells whether streams of the VM are ending: what they use is about to be given back. */
bool vm_has_ending(const struct vm *vm);

/* Takes a token for a new stream. For what records half of them have to be left. */
bool vm_may_open(struct vm *vm, uint32_t direction);

/* Logs one line about what this VM is not given; lines beyond the rate are only counted. */
void vm_log_refusal(struct vm *vm, const char *what, const struct xaring_refusal *refusal);
__attribute__((format(printf, 2, 3))) void vm_log(struct vm *vm, const char *format, ...);

#endif
