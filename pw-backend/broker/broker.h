/* SPDX-License-Identifier: MIT */
/*
 * The broker: which VMs there are, what they may do, and which streams they have. It makes pages,
 * hands them to the worker and takes them back; it never maps a guest's page.
 *
 * Thread: one, the loop's. Blocks: no, but for broker_destroy(). Logs: what happens to VMs.
 */
#ifndef XARING_BROKER_H
#define XARING_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor.h"

struct broker;
struct identity;
struct policy;

struct lease;
struct vm;

/* What happens, for who watches. Nothing of the broker may be changed in these. */
struct broker_events {
	void (*on_vm)(void *data, const struct vm *vm, bool came); /* it goes after this */
	void (*on_stream)(void *data, const struct lease *lease, bool came);
	void (*on_microphone)(void *data, const struct vm *vm); /* what people see of it is new */
	void (*on_vm_connected)(void *data, const struct vm *vm,
				bool connected); /* or not any more */
};

struct broker_setup {
	struct loop *loop;
	const char *consent_file;  /* permission_open(); borrowed for broker_create() */
	supervisor_spawn_fn spawn; /* makes a worker; also gets data */

	/*
	 * Connects to PipeWire for the worker. Returns the descriptor or a negative errno; -ESTALE
	 * when this worker must not have it, and is to be replaced.
	 */
	int (*remote)(void *data);

	/* What the rules say about a VM. */
	void (*policy)(void *data, const struct identity *identity, struct policy *policy);

	/* A worker has become ready; may be NULL. */
	void (*on_ready)(void *data);
	void *data;
};

struct broker_vm {
	const char *key;         /* [A-Za-z0-9._-], 1 to 63 characters */
	const char *title;       /* what people see; cleaned and cut */
	const char *socket;      /* path of the socket that it listens on */
	mode_t mode;             /* of that socket */
	const char *volume_file; /* volume_open(); or NULL */
};

/* Copies *setup. Owner: the caller; broker_destroy(). Returns 0 or a negative errno. */
int broker_create(const struct broker_setup *setup, struct broker **out);

/* Removes the sockets, ends the streams and the worker. Accepts NULL. */
void broker_destroy(struct broker *broker);

/* Adds a local VM and listens for it. The strings are borrowed for the call. */
int broker_add_vm(struct broker *broker, const struct broker_vm *vm);

/* The rules have changed, for the streams to come: those that play go on. */
void broker_reload(struct broker *broker);

/* Who is told what happens (borrowed); NULL = nobody. */
void broker_watch(struct broker *broker, const struct broker_events *events, void *data);

/* Its VM with the smallest number above `after`, 0 = the first; NULL at the end. See vm.h. */
struct vm *broker_next_vm(const struct broker *broker, uint32_t after);

/* The first VM with that key, or NULL; and the next one with the key of that. Two may have the same: see identity.h. */
struct vm *broker_find_vm(const struct broker *broker, const char *key);
struct vm *broker_find_next(const struct vm *vm);

/*
 * Ends the streams of the VM and refuses it others, until it is let in again or we end. Its programs go on in
 * silence, and come back by themselves.
 */
void broker_disconnect(struct vm *vm);
void broker_connect(struct vm *vm); /* the VM may be gone afterwards */

/* Starts the worker. */
void broker_start(struct broker *broker);

/*
 * Has another worker take over all streams: what spawn() would start now is something else. Only
 * after broker_start(). `why` completes the sentence "worker is replaced: ...".
 */
void broker_replace_worker(struct broker *broker, const char *why);

#endif
