/* SPDX-License-Identifier: MIT */
/*
 * From a request to what the broker does, and to the answer.
 */
#include "control-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker-private.h"
#include "control-answer.h"
#include "control-request.h"
#include "vm.h"

static void say_that_there_is_none(struct connection *n, const char *key)
{
	struct json_object *o;
	char text[160];

	snprintf(text, sizeof(text), "there is no VM %s", key);
	o = answer_error("no-such-vm", text);
	if (o)
		answer_add_names(o, n->control->setup.broker);
	control_say(n, o);
}

static void refuse_by_rule(struct connection *n, const struct vm *vm)
{
	const char *rule = vm->policy.microphone == POLICY_MICROPHONE_ALLOW ? "allow" : "deny";
	char text[320];

	snprintf(text, sizeof(text),
		 "the rules say microphone = %s for %s, and are not overruled from here: with "
		 "microphone = ask in xaring-pw.conf(5), actions policy, it is decided here",
		 rule, vm->identity.key);
	control_say_error(n, "rule", text);
}

static void say_that_nothing_is_kept(struct connection *n, const char *file, int res)
{
	char text[512];

	if (res == -E2BIG)
		snprintf(
			text, sizeof(text),
			"%s is full: at most %u VMs are accepted; remove lines, and restart xaring-pw",
			file, CONSENT_ENTRIES_MAX);
	else if (!file || res == -ENOMEM)
		snprintf(text, sizeof(text),
			 "this cannot be kept; --once and --until-shutdown are accepted");
	else
		snprintf(text, sizeof(text),
			 "%s could not be read when xaring-pw was started, and is not "
			 "overwritten; --once and --until-shutdown are accepted",
			 file);
	control_say_error(n, "not-kept", text);
}

static const char *name_of(enum consent_choice choice)
{
	if (choice == CONSENT_NONE)
		return "ask";
	return choice == CONSENT_ALLOW ? "allow" : "deny";
}

/* What cannot be written is not for good: text is empty then, as where there is nothing to say. */
static void describe_span(const struct permission_decision *d, int unwritten, char text[40])
{
	text[0] = '\0';
	if (d->choice == CONSENT_NONE)
		return;
	if (d->span == PERMISSION_FOR)
		snprintf(text, 40, " for %u s", (unsigned)d->seconds);
	else if (d->span == PERMISSION_ONCE)
		snprintf(text, 40, " once");
	else if (d->span == PERMISSION_SHUTDOWN)
		snprintf(text, 40, " until it shuts down");
	else if (unwritten == 0)
		snprintf(text, 40, " for good");
}

static void log_decision(struct connection *n, const struct control_request *request, int unwritten)
{
	char span[40];

	describe_span(&request->decision, unwritten, span);
	limited_log_line(&n->control->decisions, XARING_LOG_INFO,
			 "control: user %u has decided about the microphone of vm %s: %s%s%s",
			 (unsigned)n->peer.uid, request->vm, name_of(request->decision.choice),
			 span, unwritten < 0 ? ", until xaring-pw ends: it cannot be written" : "");
}

/* vm: NULL when it is not there. unwritten: of permission_decide(). */
static void say_microphone(struct connection *n, const struct control_request *request,
			   const struct vm *vm, int unwritten)
{
	const struct permission *permission = n->control->setup.broker->permission;
	struct json_object *o = answer_ok();
	char text[512];

	log_decision(n, request, unwritten);
	if (o) {
		answer_add_text(o, "vm", request->vm);
		if (vm)
			answer_add_microphone(o, vm);
		else
			answer_add_kept(o, permission, request->vm);
	}
	if (o && unwritten < 0) {
		snprintf(text, sizeof(text),
			 "%s cannot be written (%s): this holds until xaring-pw ends",
			 permission_file(permission), strerror(-unwritten));
		answer_add_text(o, "warning", text);
	}
	control_say(n, o);
}

static void decide(struct connection *n, struct vm *vm, const struct control_request *request)
{
	struct permission *permission = n->control->setup.broker->permission;
	int unwritten,
		res = permission_decide(permission, request->vm, &request->decision, &unwritten);

	if (res == -EPERM)
		refuse_by_rule(n, vm);
	else if (res < 0)
		say_that_nothing_is_kept(n, permission_file(permission), res);
	else
		say_microphone(n, request, vm, unwritten);
}

static void refuse_for_this_start(struct connection *n, const char *key)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "%s is not there: once and until-shutdown are accepted while it is", key);
	control_say_error(n, "no-such-vm", text);
}

/* A VM that does not run: it is known by what is kept about it. */
static void decide_absent(struct connection *n, const struct control_request *request)
{
	struct permission *permission = n->control->setup.broker->permission;
	int unwritten, res;

	res = permission_decide_absent(permission, request->vm, &request->decision, &unwritten);
	if (res == -ENOENT)
		say_that_there_is_none(n, request->vm);
	else if (res == -EINVAL)
		refuse_for_this_start(n, request->vm);
	else if (res < 0)
		say_that_nothing_is_kept(n, permission_file(permission), res);
	else
		say_microphone(n, request, NULL, unwritten);
}

/* vm: the first of those that are called so. */
static void connect_vms(struct connection *n, struct vm *vm, bool connect)
{
	limited_log_line(&n->control->decisions, XARING_LOG_INFO, "vm %s is %s by user %u",
			 vm->identity.key, connect ? "connected" : "disconnected",
			 (unsigned)n->peer.uid);
	for (struct vm *next; vm; vm = next) {
		next = broker_find_next(vm);
		if (connect)
			broker_connect(vm);
		else
			broker_disconnect(vm);
	}
	control_say(n, answer_ok());
}

static void list(struct connection *n)
{
	n->lists = true;
	n->listed = 0;
	control_go_on_listing(n);
}

static void monitor(struct connection *n)
{
	n->monitors = true;
	control_say(n, answer_ok());
}

static void do_about_vm(struct connection *n, const struct control_request *request)
{
	struct vm *vm = broker_find_vm(n->control->setup.broker, request->vm);

	if (!vm && request->verb == CONTROL_MIC) {
		decide_absent(n, request);
		return;
	}
	if (!vm) {
		say_that_there_is_none(n, request->vm);
		return;
	}
	switch (request->verb) {
	case CONTROL_STATUS:
		control_say(n, answer_vm(vm));
		control_say_end_of_list(n);
		break;
	case CONTROL_MIC:
		decide(n, vm, request);
		break;
	default:
		connect_vms(n, vm, request->verb == CONTROL_CONNECT);
	}
}

void control_handle(struct connection *n, const char *text, size_t bytes)
{
	char error[CONTROL_REQUEST_TEXT_BYTES];
	struct control_request request;

	if (control_request_read(text, bytes, &request, error) < 0)
		control_say_error(n, "request", error);
	else if (request.verb == CONTROL_LIST)
		list(n);
	else if (request.verb == CONTROL_MONITOR)
		monitor(n);
	else
		do_about_vm(n, &request);
}
