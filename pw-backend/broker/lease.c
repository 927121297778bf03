/* SPDX-License-Identifier: MIT */
/*
 * The life of a lease between its source and the worker. Judges nothing: what comes
 * here is allowed. Never looks into the pages.
 */
#include "lease.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xaring/log.h>

#include "broker-private.h"
#include "vm.h"

struct lease *lease_find(const struct vm *vm, uint32_t id)
{
	for (struct lease *l = vm->leases; l; l = l->next) {
		if (l->id == id)
			return l;
	}
	return NULL;
}

void lease_enforce(const struct vm *vm)
{
	const struct xaring_refusal refusal = {.reason = XARING_REASON_POLICY};
	struct lease *next;

	for (struct lease *l = vm->leases; l; l = next) {
		next = l->next;
		if (!l->ending && !policy_allows(&vm->policy, l->params.direction))
			l->on_refused(l, &refusal);
	}
}

static bool number_is_taken(const struct vm *vm, enum xaring_direction direction, uint32_t number)
{
	for (const struct lease *l = vm->leases; l; l = l->next) {
		if (l->params.direction == direction && l->number == number)
			return true;
	}
	return false;
}

/* The smallest that is free, so that node names stay the same from one start to the next. */
static uint32_t free_number(const struct vm *vm, enum xaring_direction direction)
{
	uint32_t number = 1;

	while (number_is_taken(vm, direction, number))
		number++;
	return number;
}

static void close_pages(const struct lease_pages *pages)
{
	if (pages->control >= 0)
		close(pages->control);
	if (pages->data >= 0 && pages->data != pages->control)
		close(pages->data);
}

static void announce(const struct lease *l)
{
	struct ipc_message m;

	ipc_message_init(&m, IPC_STREAM, l->vm->id, l->id);
	m.u.stream.params = l->params;
	m.u.stream.features = l->features;
	m.u.stream.time_secret_ns = l->time_secret_ns;
	m.u.stream.number = l->number;
	m.u.stream.control_offset = l->pages.control_offset;
	m.u.stream.data_offset = l->pages.data_offset;
	memcpy(m.u.stream.name, l->name, sizeof(m.u.stream.name));
	m.fds[0] = l->pages.control;
	m.fds[1] = l->pages.data;
	supervisor_send(l->vm->broker->supervisor, &m);
}

int lease_create(struct vm *vm, const struct lease_setup *setup, struct lease **out)
{
	struct lease *l = calloc(1, sizeof(*l));
	const struct xaring_open *open = setup->open;

	if (!l) {
		close_pages(&setup->pages);
		return -ENOMEM;
	}
	l->vm = vm;
	l->id = ++vm->broker->last_lease;
	l->number = free_number(vm, open->params.direction);
	l->params = open->params;
	l->features = setup->grant->features;
	l->time_secret_ns = setup->time_secret_ns;
	l->page_count = setup->grant->shape.pages;
	xaring_text_clean(l->name, sizeof(l->name), open->name, sizeof(open->name));
	l->pages = setup->pages;
	l->on_refused = setup->on_refused;
	l->retake = setup->retake;
	l->source = setup->source;
	l->mapped = true;

	vm->use.streams++;
	vm->use.pages += l->page_count;
	l->next = vm->leases;
	vm->leases = l;
	announce(l);
	broker_stream_came(l);
	*out = l;
	return 0;
}

/* The last worker's are given up first. */
static int retake(struct lease *l)
{
	close_pages(&l->pages);
	l->pages = (struct lease_pages){.control = -1, .data = -1};
	return l->retake(l, &l->pages);
}

void lease_renew(struct lease *l)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_INTERNAL};
	int res = l->retake ? retake(l) : 0;

	if (res == 0) {
		announce(l);
		return;
	}
	l->mapped = false;
	l->on_refused(l, &refusal);
}

/* A kick is a hint: a worker that is behind finds the work by itself. */
void lease_kick(const struct lease *l, enum xaring_kick kick)
{
	struct supervisor *supervisor = l->vm->broker->supervisor;
	struct ipc_message m;

	if (supervisor_is_congested(supervisor))
		return;
	ipc_message_init(&m, IPC_KICK, l->vm->id, l->id);
	m.u.kick.kick = kick;
	supervisor_send(supervisor, &m);
}

void lease_end(struct lease *l)
{
	struct supervisor *supervisor = l->vm->broker->supervisor;
	struct ipc_message m;

	l->source = NULL;
	l->state = XARING_STATE_STOPPED;
	broker_stream_goes(l);
	if (!l->mapped || !supervisor_is_alive(supervisor)) {
		lease_release(l);
		return;
	}
	l->ending = true;
	broker_tick(l->vm->broker);
	ipc_message_init(&m, IPC_END, l->vm->id, l->id);
	supervisor_send(supervisor, &m);
}

void lease_release(struct lease *l)
{
	struct vm *vm = l->vm;
	struct lease **at = &vm->leases;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	vm->use.streams--;
	vm->use.pages -= l->page_count;
	close_pages(&l->pages);
	free(l);
}

void lease_describe(const struct lease *l, char *text, uint32_t text_bytes)
{
	snprintf(text, text_bytes, "%s %u",
		 l->params.direction == XARING_PLAYBACK ? "playback" : "capture", l->number);
}
