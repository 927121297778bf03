/* SPDX-License-Identifier: MIT */
/*
 * Follows questions from the first to the last. Knows neither the desktop nor the broker.
 */
#include "asking.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <xaring/log.h>

static const struct choice {
	const char *action, *label, *words;
} choices[ASKING_CHOICES] = {
	[ASKING_ONCE] = {"once", "Once", "allow once"},
	[ASKING_UNTIL_SHUTDOWN] = {"until-shutdown", "Until it shuts down", "allow until-shutdown"},
	[ASKING_ALWAYS] = {"always", "Always", "allow always"},
	[ASKING_NEVER] = {"never", "Never", "deny always"},
};

/* What the broker makes of names, and nothing that could be another word of a request. */
static bool is_key(const char *key)
{
	size_t bytes = strlen(key);

	return bytes > 0 && bytes < ASKING_KEY_BYTES &&
	       strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
		       bytes;
}

static struct asking_vm *find(struct asking *a, const char *key)
{
	for (unsigned i = 0; i < a->count; i++) {
		if (strcmp(a->vms[i].key, key) == 0)
			return &a->vms[i];
	}
	return NULL;
}

static struct asking_vm *find_shown(struct asking *a, uint32_t id)
{
	for (unsigned i = 0; i < a->count; i++) {
		if (a->vms[i].state == ASKING_SHOWN && a->vms[i].id == id)
			return &a->vms[i];
	}
	return NULL;
}

int asking_add(struct asking *a, const char *key, const char *title)
{
	struct asking_vm *vm;

	if (!is_key(key))
		return -EINVAL;
	if (find(a, key))
		return 0;
	if (a->count == ASKING_MAX)
		return -ENOSPC;
	vm = &a->vms[a->count++];
	*vm = (struct asking_vm){.state = ASKING_WAITS};
	snprintf(vm->key, sizeof(vm->key), "%s", key);
	xaring_text_clean(vm->title, sizeof(vm->title), title, strlen(title));
	if (vm->title[0] == '\0')
		snprintf(vm->title, sizeof(vm->title), "%s", key);
	return 0;
}

uint32_t asking_remove(struct asking *a, const char *key)
{
	struct asking_vm *vm = find(a, key);
	uint32_t id;

	if (!vm)
		return 0;
	id = vm->id;
	a->count--;
	memmove(vm, vm + 1, (size_t)(&a->vms[a->count] - vm) * sizeof(*vm));
	return id;
}

struct asking_vm *asking_next(struct asking *a)
{
	for (unsigned i = 0; i < a->count; i++) {
		if (a->vms[i].state == ASKING_WAITS)
			return &a->vms[i];
	}
	return NULL;
}

uint32_t asking_send(struct asking *a, struct asking_vm *vm)
{
	vm->state = ASKING_SENT;
	vm->ticket = ++a->tickets;
	return vm->ticket;
}

static struct asking_vm *find_sent(struct asking *a, uint32_t ticket)
{
	for (unsigned i = 0; i < a->count; i++) {
		if (a->vms[i].state == ASKING_SENT && a->vms[i].ticket == ticket)
			return &a->vms[i];
	}
	return NULL;
}

bool asking_shown(struct asking *a, uint32_t ticket, uint32_t id)
{
	struct asking_vm *vm = find_sent(a, ticket);

	if (!vm)
		return id == 0;
	vm->state = id ? ASKING_SHOWN : ASKING_WAITS;
	vm->id = id;
	return true;
}

static bool read_action(const char *action, enum asking_choice *choice)
{
	for (unsigned i = 0; i < ASKING_CHOICES; i++) {
		if (strcmp(action, choices[i].action) == 0) {
			*choice = (enum asking_choice)i;
			return true;
		}
	}
	return false;
}

struct asking_vm *asking_choose(struct asking *a, uint32_t id, const char *action,
				enum asking_choice *choice)
{
	struct asking_vm *vm = find_shown(a, id);

	if (!vm || !read_action(action, choice))
		return NULL;
	vm->state = ASKING_CLOSED;
	vm->id = 0;
	return vm;
}

void asking_again(struct asking_vm *vm, enum asking_choice chosen, enum asking_reason reason)
{
	vm->state = ASKING_WAITS;
	vm->chosen = chosen;
	vm->reason = reason;
}

void asking_closed(struct asking *a, uint32_t id)
{
	struct asking_vm *vm = find_shown(a, id);

	if (!vm)
		return;
	vm->state = ASKING_CLOSED;
	vm->id = 0;
}

void asking_lost(struct asking *a)
{
	for (unsigned i = 0; i < a->count; i++) {
		a->vms[i].id = 0;
		if (a->vms[i].state != ASKING_CLOSED)
			a->vms[i].state = ASKING_WAITS;
	}
}

const char *asking_action(enum asking_choice choice)
{
	return choices[choice].action;
}

const char *asking_label(enum asking_choice choice)
{
	return choices[choice].label;
}

void asking_request(const struct asking_vm *vm, enum asking_choice choice,
		    char request[ASKING_REQUEST_BYTES])
{
	snprintf(request, ASKING_REQUEST_BYTES, "mic %s %s", vm->key, choices[choice].words);
}
