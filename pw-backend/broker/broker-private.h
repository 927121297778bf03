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

struct loop_source;
struct vm;

struct broker {
	struct broker_setup setup;
	struct supervisor *supervisor;
	struct vm *vms;
	uint32_t last_vm;
	uint32_t last_lease;
	struct loop_source *tick;
	bool ticking;
};

/* Something has a deadline: it is looked at every few ms until nothing has one any more. */
void broker_tick(struct broker *broker);

#endif
