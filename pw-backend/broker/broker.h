/* SPDX-License-Identifier: MIT */
/*
 * The broker: which VMs there are, what they may do, and which streams they have. It makes pages,
 * hands them to the worker and takes them back; it never maps a guest's page.
 *
 * Thread: one, the loop's. Blocks: no, but for broker_destroy(). Logs: what happens to VMs.
 */
#ifndef XARING_BROKER_H
#define XARING_BROKER_H

#include <sys/types.h>

#include "supervisor.h"

struct broker;
struct identity;
struct policy;

struct broker_setup {
	struct loop *loop;
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
	const char *key;    /* [A-Za-z0-9._-], 1 to 63 characters */
	const char *title;  /* what people see; cleaned and cut */
	const char *socket; /* path of the socket that it listens on */
	mode_t mode;        /* of that socket */
};

/* Copies *setup. Owner: the caller; broker_destroy(). Returns 0 or a negative errno. */
int broker_create(const struct broker_setup *setup, struct broker **out);

/* Removes the sockets, ends the streams and the worker. Accepts NULL. */
void broker_destroy(struct broker *broker);

/* Adds a local VM and listens for it. The strings are borrowed for the call. */
int broker_add_vm(struct broker *broker, const struct broker_vm *vm);

/* The rules have changed, for the streams to come: those that play go on. */
void broker_reload(struct broker *broker);

/* Starts the worker. */
void broker_start(struct broker *broker);

/*
 * Has another worker take over all streams: what spawn() would start now is something else. Only
 * after broker_start(). `why` completes the sentence "worker is replaced: ...".
 */
void broker_replace_worker(struct broker *broker, const char *why);

#endif
