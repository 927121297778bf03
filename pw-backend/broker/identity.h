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
#include <stddef.h>
#include <stdint.h>

#include "../ipc.h"

struct policy;

/* In all bytes, those that are not used are zero: two of them can be compared as memory. */
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

#define IDENTITY_NAME_BYTES 128

/* What dom0's nodes say about a domain. */
struct identity_facts {
	uint32_t domid;
	bool is_self;                   /* we run in it */
	bool is_stubdomain;             /* it runs the device model of another one */
	char name[IDENTITY_NAME_BYTES]; /* as it is written; "" = it has none */
	char uuid[IPC_UUID_BYTES];      /* "" = none */
};

/*
 * A domain, by its name: what is not allowed in a key becomes "_". One without a name is
 * "domain-ID". The kind is guest, dom0, self, stubdomain or nameless.
 */
void identity_domain(struct identity *identity, const struct identity_facts *facts);

/* By the UUID, or as a VM that was named by hand, where the rules want that. */
void identity_choose(struct identity *identity, const struct policy *policy);

/* Domains that are no guests may do nothing unless the rules say which VM they are. */
void identity_restrict(const struct identity *identity, struct policy *policy);

/*
 * Tells whether this is the name of a domain that is just being restored or moved, NAME--incoming or
 * NAME--migratedaway: nobody becomes or ceases to be a VM under such a name.
 */
bool identity_is_passing(const char *name);

/*
 * Takes the UUID out of a domain's path below /vm, or as it is. Returns false, and sets "", when
 * there is none.
 */
bool identity_read_uuid(const char *text, size_t bytes, char uuid[IPC_UUID_BYTES]);

#endif
