/* SPDX-License-Identifier: MIT */
/*
 * Brings VMs, their sources and the worker together: what the worker says about a stream reaches
 * its source, and a new worker is told all that there is. Nothing the worker says is taken for
 * granted.
 */
#include "broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xaring/gain.h>

#include "broker-private.h"
#include "lease.h"
#include "loop.h"
#include "permission.h"
#include "source-local.h"
#include "vm.h"

#define TICK_MS 50

/* Pages that the worker does not unmap within a second are taken from it by killing it. When the whole
 * machine stands still, that is one tick. */
#define GONE_TICKS 20

void broker_tick(struct broker *b)
{
	loop_repeat_timer(b->tick, TICK_MS);
}

static struct vm *find_vm(const struct broker *b, uint32_t id)
{
	for (struct vm *vm = b->vms; vm; vm = vm->next) {
		if (vm->id == id)
			return vm;
	}
	return NULL;
}

/*
 * The worker's time to unmap is over: what it does not give back is taken. One that is not ready has mapped
 * nothing and reads nothing yet: its time begins then.
 */
static bool check_ending(struct broker *b, const struct vm *vm)
{
	bool ready = supervisor_is_ready(b->supervisor), any = false;

	for (struct lease *l = vm->leases; l; l = l->next) {
		if (!l->ending)
			continue;
		any = true;
		if (!ready)
			l->ending_ticks = 0;
		else if (++l->ending_ticks > GONE_TICKS)
			supervisor_kill(b->supervisor, "it did not unmap a stream in time");
	}
	return any;
}

static void on_tick(void *data)
{
	struct broker *b = data;
	bool busy = false;

	for (struct vm *vm = b->vms; vm; vm = vm->next)
		busy |= check_ending(b, vm);
	if (!busy)
		loop_arm_timer(b->tick, 0);
}

void broker_tell_microphone(struct vm *vm)
{
	struct ipc_message m;

	ipc_message_init(&m, IPC_MICROPHONE, vm->id, 0);
	m.u.microphone.allowed = vm_may_record(vm);
	supervisor_send(vm->broker->supervisor, &m);
}

void broker_set_policy(struct vm *vm, const struct policy *policy)
{
	vm_set_policy(vm, policy);
	permission_rule_changed(vm->broker->permission, vm);
	lease_enforce(vm);
}

static void announce_vm(struct broker *b, struct vm *vm)
{
	const struct identity *id = &vm->identity;
	struct ipc_message m;

	ipc_message_init(&m, IPC_VM, vm->id, 0);
	memcpy(m.u.vm.name, id->title, sizeof(m.u.vm.name));
	memcpy(m.u.vm.key, id->key, sizeof(m.u.vm.key));
	memcpy(m.u.vm.domain, id->name, sizeof(m.u.vm.domain));
	memcpy(m.u.vm.uuid, id->uuid, sizeof(m.u.vm.uuid));
	memcpy(m.u.vm.kind, id->kind, sizeof(m.u.vm.kind));
	m.u.vm.domid = id->domid;
	supervisor_send(b->supervisor, &m);
	/* A worker takes it that a VM may not. */
	if (vm_may_record(vm))
		broker_tell_microphone(vm);
}

static void on_worker_start(void *data)
{
	struct broker *b = data;
	struct lease *next;

	for (struct vm *vm = b->vms; vm; vm = vm->next) {
		announce_vm(b, vm);
		for (struct lease *l = vm->leases; l; l = next) {
			next = l->next;
			lease_renew(l);
		}
	}
}

static void release_ending(struct vm *vm)
{
	struct lease *next;

	for (struct lease *l = vm->leases; l; l = next) {
		next = l->next;
		if (l->ending)
			lease_release(l);
	}
	vm->source_ops->retry(vm->source);
}

static void on_worker_end(void *data)
{
	struct broker *b = data;
	struct vm *next;

	/* One whose streams are all over may go. */
	for (struct vm *vm = b->vms; vm; vm = next) {
		next = vm->next;
		vm_set_backend(vm, false);
		release_ending(vm);
	}
}

/* What a worker says about a VM may have crossed what it was told of that VM's end. */
static bool vm_was_known(const struct broker *b, uint32_t id)
{
	return id > 0 && id <= b->last_vm;
}

static int handle_ready(struct broker *b)
{
	for (struct vm *vm = b->vms; vm; vm = vm->next)
		vm_set_backend(vm, true);
	if (b->setup.on_ready)
		b->setup.on_ready(b->setup.data);
	return 0;
}

static int handle_want(struct broker *b, const struct ipc_message *m)
{
	struct ipc_message answer;
	int fd;

	if (!vm_was_known(b, m->vm))
		return -EPROTO;
	if (!find_vm(b, m->vm))
		return 0;
	fd = b->setup.remote(b->setup.data);
	if (fd == -ESTALE) {
		supervisor_replace(b->supervisor, "another user is to hear the guests now");
		return 0;
	}
	ipc_message_init(&answer, IPC_SOCKET, m->vm, 0);
	answer.error = fd < 0 ? fd : 0;
	answer.fds[0] = fd < 0 ? -1 : fd;
	supervisor_send(b->supervisor, &answer);
	if (fd >= 0)
		close(fd);
	return 0;
}

/*
 * Finds the stream that a message is about. Returns 0 and sets *out, to NULL when the stream has
 * ended meanwhile; -EPROTO when there never was one.
 */
static int find_lease(const struct broker *b, const struct ipc_message *m, struct lease **out)
{
	const struct vm *vm = find_vm(b, m->vm);

	if (!vm_was_known(b, m->vm) || m->stream == 0 || m->stream > b->last_lease)
		return -EPROTO;
	*out = vm ? lease_find(vm, m->stream) : NULL;
	return 0;
}

/* What the guest is doing, and what it has missed. */
static void note_state(struct lease *l, const struct ipc_message *m)
{
	bool changed = l->state != m->u.state.state;

	l->xruns = m->u.state.xruns;
	l->gap = m->u.state.gap;
	l->latency = m->u.state.latency;
	l->volume = m->u.state.volume;
	l->state = m->u.state.state;
	if (changed)
		permission_streams_changed(l->vm->broker->permission, l->vm);
}

static int handle_state(struct broker *b, const struct ipc_message *m)
{
	struct xaring_refusal refusal = {.reason = (enum xaring_reason)m->u.state.reason};
	uint32_t backend = m->u.state.backend;
	struct lease *l;
	int res = find_lease(b, m, &l);

	if (res < 0)
		return res;
	if (backend > XARING_BACKEND_BROKEN || m->u.state.reason > XARING_REASON_LAST ||
	    m->u.state.state > XARING_STATE_PAUSED ||
	    (m->u.state.volume != 0 && !xaring_volume_is_told(m->u.state.volume)))
		return -EPROTO;
	if (l && !l->ending)
		note_state(l, m);
	if (backend != XARING_BACKEND_BROKEN && backend != XARING_BACKEND_REFUSED)
		return 0;
	if (m->u.state.reason == XARING_REASON_NONE)
		return -EPROTO;
	if (l && !l->ending)
		l->on_refused(l, &refusal);
	return 0;
}

/* GONE for a stream that nobody has ended: the worker could not keep it. */
static int handle_gone(struct broker *b, const struct ipc_message *m)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_INTERNAL};
	struct lease *l;
	struct vm *vm;
	int res = find_lease(b, m, &l);

	if (res < 0 || !l)
		return res;
	vm = l->vm;
	l->mapped = false;
	if (l->ending)
		lease_release(l);
	else
		l->on_refused(l, &refusal);
	vm->source_ops->retry(vm->source);
	return 0;
}

static int on_worker_message(void *data, struct ipc_message *m)
{
	switch (m->type) {
	case IPC_READY:
		return handle_ready(data);
	case IPC_WANT:
		return handle_want(data, m);
	case IPC_STATE:
		return handle_state(data, m);
	case IPC_GONE:
		return handle_gone(data, m);
	default:
		ipc_message_finish(m);
		return -EPROTO;
	}
}

static const struct supervisor_events worker_events = {
	.on_worker_start = on_worker_start,
	.on_worker_message = on_worker_message,
	.on_worker_end = on_worker_end,
};

int broker_create(const struct broker_setup *setup, struct broker **out)
{
	struct broker *b = calloc(1, sizeof(*b));
	int res;

	if (!b)
		return -ENOMEM;
	b->setup = *setup;
	res = loop_add_timer(setup->loop, on_tick, b, &b->tick);
	if (res < 0)
		goto err_free;
	res = permission_open(b, setup->consent_file, &b->permission);
	if (res < 0)
		goto err_tick;
	b->setup.consent_file = NULL;
	res = supervisor_create(setup->loop, &worker_events, b, setup->spawn, setup->data,
				&b->supervisor);
	if (res < 0)
		goto err_permission;
	*out = b;
	return 0;

err_permission:
	permission_close(b->permission);
err_tick:
	loop_remove(b->tick);
err_free:
	free(b);
	return res;
}

/* The worker goes first, so that pages are unmapped before they are given up. */
void broker_destroy(struct broker *b)
{
	if (!b)
		return;
	supervisor_destroy(b->supervisor);
	b->supervisor = NULL;
	/* What follows is nobody's news. */
	b->events = NULL;
	permission_close(b->permission);
	b->permission = NULL;
	while (b->vms) {
		struct vm *vm = b->vms;

		b->vms = vm->next;
		vm->source_ops->close(vm->source);
		while (vm->leases)
			lease_release(vm->leases);
		vm_destroy(vm);
	}
	loop_remove(b->tick);
	free(b);
}

void broker_policy(struct broker *b, const struct identity *identity, struct policy *policy)
{
	b->setup.policy(b->setup.data, identity, policy);
}

int broker_make_vm(struct broker *b, const struct identity *identity, const struct policy *policy,
		   struct vm **out)
{
	struct vm *vm;
	int res = vm_create(b->last_vm + 1, identity, policy, &vm);

	if (res < 0)
		return res;
	b->last_vm++;
	vm->broker = b;
	*out = vm;
	return 0;
}

void broker_adopt_vm(struct vm *vm)
{
	struct broker *b = vm->broker;
	struct vm **at = &b->vms;

	while (*at)
		at = &(*at)->next;
	*at = vm;
	permission_vm_came(b->permission, vm);
	if (supervisor_is_alive(b->supervisor))
		announce_vm(b, vm);
	vm_set_backend(vm, supervisor_is_ready(b->supervisor));
	if (b->events)
		b->events->on_vm(b->events_data, vm, true);
}

void broker_remove_vm(struct vm *vm)
{
	struct broker *b = vm->broker;
	struct vm **at = &b->vms;
	struct ipc_message m;

	while (*at != vm)
		at = &(*at)->next;
	*at = vm->next;
	if (b->events)
		b->events->on_vm(b->events_data, vm, false);
	ipc_message_init(&m, IPC_VM_END, vm->id, 0);
	supervisor_send(b->supervisor, &m);
	vm_destroy(vm);
}

int broker_add_vm(struct broker *b, const struct broker_vm *setup)
{
	struct identity identity;
	struct policy policy;
	struct vm *vm;
	int res;

	identity_local(&identity, setup->key, setup->title);
	broker_policy(b, &identity, &policy);
	res = broker_make_vm(b, &identity, &policy, &vm);
	if (res < 0)
		return res;
	res = local_open(vm, setup);
	if (res < 0) {
		vm_destroy(vm);
		return res;
	}
	broker_adopt_vm(vm);
	return 0;
}

/* A VM that is another one by the new rules may go, and come back at the end. */
void broker_reload(struct broker *b)
{
	struct vm *next;

	for (struct vm *vm = b->vms; vm; vm = next) {
		next = vm->next;
		vm->source_ops->reload(vm->source);
	}
}

/* ---- for who watches and steers ---- */

void broker_watch(struct broker *b, const struct broker_events *events, void *data)
{
	b->events = events;
	b->events_data = data;
}

void broker_stream_came(const struct lease *l)
{
	const struct broker *b = l->vm->broker;

	if (b->events)
		b->events->on_stream(b->events_data, l, true);
}

void broker_stream_goes(const struct lease *l)
{
	const struct broker *b = l->vm->broker;

	if (b->events)
		b->events->on_stream(b->events_data, l, false);
	permission_streams_changed(b->permission, l->vm);
}

void broker_microphone_changed(const struct vm *vm)
{
	const struct broker *b = vm->broker;

	if (b->events)
		b->events->on_microphone(b->events_data, vm);
}

struct vm *broker_next_vm(const struct broker *b, uint32_t after)
{
	struct vm *next = NULL;

	for (struct vm *vm = b->vms; vm; vm = vm->next) {
		if (vm->id > after && (!next || vm->id < next->id))
			next = vm;
	}
	return next;
}

struct vm *broker_find_vm(const struct broker *b, const char *key)
{
	struct vm *vm = b->vms;

	while (vm && strcmp(vm->identity.key, key) != 0)
		vm = vm->next;
	return vm;
}

struct vm *broker_find_next(const struct vm *vm)
{
	struct vm *next = vm->next;

	while (next && strcmp(next->identity.key, vm->identity.key) != 0)
		next = next->next;
	return next;
}

static void set_disconnected(struct vm *vm, bool is_disconnected)
{
	const struct broker *b = vm->broker;
	bool was_disconnected = vm->policy.is_disconnected;

	vm->policy.is_disconnected = is_disconnected;
	if (b->events && was_disconnected != is_disconnected)
		b->events->on_vm_connected(b->events_data, vm, !is_disconnected);
}

void broker_disconnect(struct vm *vm)
{
	set_disconnected(vm, true);
	lease_enforce(vm);
}

/* What was refused meanwhile is judged anew as after a change of the rules. */
void broker_connect(struct vm *vm)
{
	set_disconnected(vm, false);
	vm->source_ops->reload(vm->source);
}

void broker_start(struct broker *b)
{
	supervisor_start(b->supervisor);
}

void broker_replace_worker(struct broker *b, const char *why)
{
	supervisor_replace(b->supervisor, why);
}
