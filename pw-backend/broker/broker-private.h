/* SPDX-License-Identifier: MIT */
/*
 * What the files of the broker share about it.
 *
 * Thread: the loop's.
 */
#ifndef XARING_BROKER_PRIVATE_H
#define XARING_BROKER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker.h"

struct identity;
struct lease;
struct loop_source;
struct permission;
struct vm;

struct broker {
	struct broker_setup setup;
	struct supervisor *supervisor;
	struct permission *permission;
	const struct broker_events *events; /* NULL = nobody watches */
	void *events_data;
	struct vm *vms;
	uint32_t last_vm;
	uint32_t last_lease;
	struct loop_source *tick;
};

/* Something has a deadline: it is looked at every few ms until nothing has one any more. */
void broker_tick(struct broker *broker);

/* What the rules say about this VM. */
void broker_policy(struct broker *broker, const struct identity *identity, struct policy *policy);

/* Tells the worker whether the VM may record. */
void broker_tell_microphone(struct vm *vm);

/* Tells who watches; the lease is the VM's, or about to go. */
void broker_stream_came(const struct lease *lease);
void broker_stream_goes(const struct lease *lease);
void broker_microphone_changed(const struct vm *vm);

/* The rules say something else about the VM: its streams, and whether it may record, follow that. */
void broker_set_policy(struct vm *vm, const struct policy *policy);

/*
 * Makes a VM that nobody knows of yet. Owner: the caller, broker_adopt_vm() or vm_destroy().
 * Returns 0 or -ENOMEM.
 */
int broker_make_vm(struct broker *broker, const struct identity *identity,
		   const struct policy *policy, struct vm **out);

/* The VM has its source: it becomes the broker's, and the worker is told. */
void broker_adopt_vm(struct vm *vm);

/* A VM that has no leases any more is gone: the worker is told, and it is freed. */
void broker_remove_vm(struct vm *vm);

#endif
