/* SPDX-License-Identifier: MIT */
/*
 * What the broker tells on its control socket, as JSON: VMs, streams, events, results. The names of fields are
 * documented in xaringctl(1) and stay as they are.
 *
 * Texts of guests in it are cleaned. Objects belong to the caller, who gives them back by json_object_put();
 * NULL when there is no memory.
 *
 * Thread: the loop's. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_CONTROL_ANSWER_H
#define XARING_BROKER_CONTROL_ANSWER_H

#include <stdbool.h>

#include <json-c/json.h>

struct broker;
struct lease;
struct permission;
struct vm;

struct json_object *answer_vm(const struct vm *vm);

/* Events. name: what happens, see xaringctl(1). lease may be NULL. */
struct json_object *answer_event(const char *name, const struct vm *vm, const struct lease *lease);

struct json_object *answer_ok(void);

/* error: a word for programs; text: for people. */
struct json_object *answer_error(const char *error, const char *text);

/* Adds what the microphone of the VM is. */
void answer_add_microphone(struct json_object *object, const struct vm *vm);

/* Likewise, of one that is not there: what is kept about it. */
void answer_add_kept(struct json_object *object, const struct permission *permission,
		     const char *key);

/* Adds the names of all VMs. */
void answer_add_names(struct json_object *object, const struct broker *broker);

void answer_add_text(struct json_object *object, const char *key, const char *text);

#endif
