/* SPDX-License-Identifier: MIT */
/*
 * Puts what the broker knows into JSON. Changes nothing and knows no connection.
 */
#include "control-answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xaring/format.h>
#include <xaring/record.h>

#include "broker-private.h"
#include "lease.h"
#include "permission.h"
#include "vm.h"

void answer_add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text ? json_object_new_string(text) : NULL);
}

static void add_number(struct json_object *o, const char *key, int64_t number)
{
	json_object_object_add(o, key, json_object_new_int64(number));
}

/* NULL in the place of what there is none of. */
static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

/* ---- streams ---- */

static const char *state_of_stream(const struct lease *l)
{
	static const char *const names[] = {
		[XARING_STATE_STOPPED] = "stopped",
		[XARING_STATE_RUNNING] = "running",
		[XARING_STATE_DRAINING] = "draining",
		[XARING_STATE_PAUSED] = "paused",
	};

	return l->state <= XARING_STATE_PAUSED ? names[l->state] : names[XARING_STATE_STOPPED];
}

static void add_node(struct json_object *o, const struct lease *l, const char *direction)
{
	char node[IPC_VM_NAME_BYTES + 40];

	snprintf(node, sizeof(node), "xen.%s.%s.%u", l->vm->identity.key, direction, l->number);
	answer_add_text(o, "node", node);
}

/* What may not record has no node: what is known of its latency is from before, when it had one. */
static bool has_latency(const struct lease *l)
{
	return l->latency > 0 && (l->params.direction != XARING_CAPTURE || vm_may_record(l->vm));
}

/* To a tenth of a ms: more would be more than is known. */
static void add_latency(struct json_object *to, const struct lease *l)
{
	uint64_t tenths = (uint64_t)l->latency * 10000 / l->params.rate_hz;
	char text[32];

	snprintf(text, sizeof(text), "%llu.%llu", (unsigned long long)tenths / 10,
		 (unsigned long long)tenths % 10);
	json_object_object_add(to, "latency_ms",
			       has_latency(l) ? json_object_new_double_s((double)tenths / 10, text)
					      : NULL);
}

/* In the percents of mixers, which are cubic. */
static void add_volume_in_guest(struct json_object *to, uint32_t volume)
{
	struct json_object *o = volume ? json_object_new_object() : NULL;

	if (o) {
		add_number(o, "percent",
			   lround(cbrt((double)(volume & XARING_VOLUME_MASK) /
				       XARING_VOLUME_UNITY) *
				  100));
		json_object_object_add(o, "muted",
				       json_object_new_boolean((volume & XARING_VOLUME_MUTED) !=
							       0));
	}
	json_object_object_add(to, "volume_in_guest", o);
}

static struct json_object *answer_stream(const struct lease *l)
{
	const char *direction = l->params.direction == XARING_CAPTURE ? "capture" : "playback";
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	answer_add_text(o, "direction", direction);
	add_number(o, "number", l->number);
	answer_add_text(o, "name", or_null(l->name));
	add_node(o, l, direction);
	answer_add_text(o, "state", state_of_stream(l));
	answer_add_text(o, "format", xaring_format_name(l->params.format));
	add_number(o, "rate_hz", l->params.rate_hz);
	add_number(o, "channels", l->params.channels);
	add_number(o, "buffer", l->params.buffer);
	add_number(o, "period", l->params.period);
	add_number(o, "xruns", l->xruns);
	add_number(o, "gap", l->gap);
	add_latency(o, l);
	add_volume_in_guest(o, l->volume);
	return o;
}

static int compare_age(const void *a, const void *b)
{
	uint32_t x = (*(const struct lease *const *)a)->id,
		 y = (*(const struct lease *const *)b)->id;

	return x < y ? -1 : x > y;
}

/* Oldest first: what is shown keeps its place while others come. */
static struct json_object *answer_streams(const struct vm *vm)
{
	struct json_object *all = json_object_new_array();
	const struct lease *leases[POLICY_STREAMS_MAX];
	size_t count = 0;

	for (const struct lease *l = vm->leases; l && count < POLICY_STREAMS_MAX; l = l->next) {
		if (!l->ending)
			leases[count++] = l;
	}
	qsort(leases, count, sizeof(leases[0]), compare_age);
	for (size_t i = 0; i < count && all; i++)
		json_object_array_add(all, answer_stream(leases[i]));
	return all;
}

/* ---- microphone ---- */

static const char *rule_of(const struct vm *vm)
{
	switch (vm->policy.microphone) {
	case POLICY_MICROPHONE_ALLOW:
		return "allow";
	case POLICY_MICROPHONE_DENY:
		return "deny";
	case POLICY_MICROPHONE_ASK:
		break;
	}
	return "ask";
}

static const char *state_of_microphone(const struct vm *vm)
{
	switch (microphone_state(&vm->microphone)) {
	case MICROPHONE_ALLOWED:
		return "allowed";
	case MICROPHONE_ASKED:
		return "asked";
	case MICROPHONE_DENIED:
		break;
	}
	return "denied";
}

static const char *name_of(enum consent_choice choice)
{
	switch (choice) {
	case CONSENT_ALLOW:
		return "allow";
	case CONSENT_DENY:
		return "deny";
	case CONSENT_NONE:
		break;
	}
	return NULL;
}

static const char *span_of_kept(int64_t until_s)
{
	if (until_s == 0)
		return NULL;
	return until_s == CONSENT_FOREVER ? "always" : "for";
}

/* For how long what was decided holds; until_s: of what is kept. */
static const char *span_of(const struct vm *vm, int64_t until_s)
{
	if (vm->microphone.here != CONSENT_NONE)
		return vm->microphone.span == MICROPHONE_ONCE ? "once" : "until-shutdown";
	return span_of_kept(until_s);
}

static void add_span(struct json_object *o, const char *span, int64_t until_s)
{
	answer_add_text(o, "span", span);
	if (span && strcmp(span, "for") == 0)
		add_number(o, "until", until_s);
	else
		answer_add_text(o, "until", NULL);
}

void answer_add_microphone(struct json_object *to, const struct vm *vm)
{
	int64_t until_s = permission_until_s(vm->broker->permission, vm->identity.key);
	struct json_object *o = json_object_new_object();

	if (!o)
		return;
	answer_add_text(o, "state", state_of_microphone(vm));
	answer_add_text(o, "rule", rule_of(vm));
	answer_add_text(o, "decision", name_of(microphone_choice(&vm->microphone)));
	add_span(o, span_of(vm, until_s), until_s);
	add_number(o, "recording", vm->microphone.recording);
	json_object_object_add(to, "microphone", o);
}

/* The rules cannot be asked: what is kept counts where they leave it to people. */
void answer_add_kept(struct json_object *to, const struct permission *permission, const char *key)
{
	enum consent_choice kept = permission_kept(permission, key);
	int64_t until_s = permission_until_s(permission, key);
	struct json_object *o = json_object_new_object();

	if (!o)
		return;
	answer_add_text(o, "state", kept == CONSENT_ALLOW ? "allowed" : "denied");
	answer_add_text(o, "rule", NULL);
	answer_add_text(o, "decision", name_of(kept));
	add_span(o, span_of_kept(until_s), until_s);
	add_number(o, "recording", 0);
	json_object_object_add(to, "microphone", o);
}

/* ---- VMs ---- */

static const char *state_of_vm(const struct vm *vm)
{
	const char *state = "idle";

	if (vm->policy.is_disconnected)
		return "disconnected";
	for (const struct lease *l = vm->leases; l; l = l->next) {
		if (!l->ending && xaring_state_is_moving(l->state))
			state = "active";
	}
	return state;
}

/* All programs of a VM have one volume, but who does not play now may have said it long ago. */
static uint32_t volume_of_vm(const struct vm *vm)
{
	uint32_t volume = 0;

	for (const struct lease *l = vm->leases; l; l = l->next) {
		if (l->ending || l->volume == 0)
			continue;
		if (xaring_state_is_moving(l->state))
			return l->volume;
		volume = l->volume;
	}
	return volume;
}

static void add_limits(struct json_object *to, const struct vm *vm)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return;
	add_number(o, "streams", vm->use.streams);
	add_number(o, "streams_max", vm->policy.max_streams);
	add_number(o, "pages", vm->use.pages);
	add_number(o, "pages_max", vm->policy.max_pages);
	json_object_object_add(to, "use", o);
}

struct json_object *answer_vm(const struct vm *vm)
{
	const struct identity *id = &vm->identity;
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	answer_add_text(o, "vm", id->key);
	answer_add_text(o, "title", id->title);
	answer_add_text(o, "transport", id->domid < 0 ? "local" : "xen");
	answer_add_text(o, "domain", id->domid < 0 ? NULL : id->name);
	if (id->domid < 0)
		answer_add_text(o, "domid", NULL);
	else
		add_number(o, "domid", id->domid);
	answer_add_text(o, "uuid", or_null(id->uuid));
	answer_add_text(o, "state", state_of_vm(vm));
	json_object_object_add(o, "playback", json_object_new_boolean(vm->policy.playback));
	add_volume_in_guest(o, volume_of_vm(vm));
	answer_add_microphone(o, vm);
	add_limits(o, vm);
	json_object_object_add(o, "streams", answer_streams(vm));
	return o;
}

/* ---- the rest ---- */

/* Seconds since the epoch, to a ms. */
static struct json_object *answer_now(void)
{
	struct timespec now;
	char text[40];

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(text, sizeof(text), "%lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
	return json_object_new_double_s((double)now.tv_sec + (double)now.tv_nsec / 1e9, text);
}

struct json_object *answer_event(const char *name, const struct vm *vm, const struct lease *lease)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	answer_add_text(o, "event", name);
	json_object_object_add(o, "time", answer_now());
	answer_add_text(o, "vm", vm->identity.key);
	answer_add_text(o, "title", vm->identity.title);
	if (lease)
		json_object_object_add(o, "stream", answer_stream(lease));
	return o;
}

struct json_object *answer_ok(void)
{
	struct json_object *o = json_object_new_object();

	if (o)
		json_object_object_add(o, "ok", json_object_new_boolean(true));
	return o;
}

struct json_object *answer_error(const char *error, const char *text)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_object_object_add(o, "ok", json_object_new_boolean(false));
	answer_add_text(o, "error", error);
	answer_add_text(o, "text", text);
	return o;
}

/* Names enough to see what is meant, and few enough for a packet. */
#define NAMES_MAX 256

void answer_add_names(struct json_object *to, const struct broker *b)
{
	struct json_object *names = json_object_new_array();
	unsigned count = 0;

	for (const struct vm *vm = b->vms; vm && names && count < NAMES_MAX; vm = vm->next, count++)
		json_object_array_add(names, json_object_new_string(vm->identity.key));
	json_object_object_add(to, "vms", names);
}
