/* SPDX-License-Identifier: MIT */
/*
 * Who a VM is: its key, which policy, remembered volume and node names belong to, and what people
 * see. Made of what the administrator or dom0's nodes say, and of nothing that a guest says.
 *
 * Pure. Thread: any. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_IDENTITY_H
#define XARING_BROKER_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "../ipc.h"

struct policy;

struct identity {
	char key[IPC_VM_NAME_BYTES];   /* [A-Za-z0-9._-], 1 to 63 characters */
	char title[IPC_VM_NAME_BYTES]; /* what people see; cleaned and cut */
	char name[IPC_VM_NAME_BYTES];  /* what dom0 calls the domain, cleaned; local: the key */
	char uuid[IPC_UUID_BYTES];     /* "" = none */
	char kind[IPC_KIND_BYTES];     /* of domain, as rules match it; local: "" */
	int32_t domid;                 /* -1 = local transport */
};

/* A VM of the local transport. key: as above. */
void identity_local(struct identity *identity, const char *key, const char *title);

#endif
