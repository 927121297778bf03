/* SPDX-License-Identifier: MIT */
/*
 * VMs that do not read what they watch in xenstore, at which oxenstored leaves whoever writes there
 * without an answer. They are remembered by their keys, because a VM gets another domain with each
 * reboot; and not for good, because it may have been somebody else who did not read: any program of
 * dom0 may watch the same.
 *
 * Pure. Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_DEAF_H
#define XARING_BROKER_DEAF_H

#include <stdbool.h>
#include <stdint.h>

#include "../ipc.h"

#define DEAF_MAX 64     /* who comes beyond takes the place of who came first */
#define DEAF_MS  600000 /* so long */

/* Empty when zeroed. */
struct deaf {
	unsigned next;
	struct {
		char key[IPC_VM_NAME_BYTES];
		uint64_t until_ms;
	} items[DEAF_MAX];
};

/* From now on, for DEAF_MS. Times are of one clock, and not 0. */
void deaf_add(struct deaf *deaf, const char key[IPC_VM_NAME_BYTES], uint64_t now_ms);

bool deaf_has(const struct deaf *deaf, const char *key, uint64_t now_ms);

#endif
