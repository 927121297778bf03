/* SPDX-License-Identifier: MIT */
/*
 * Puts desktop, screen and broker together. Every choice is for the VM that its notification was about, and none has
 * an effect before the screen was looked at.
 */
#include "notifier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>

#include "asking.h"
#include "broker-link.h"
#include "desktop.h"
#include "screen.h"
#include "wording.h"

struct notifier {
	sd_event *loop;
	struct desktop *desktop;
	struct broker_link *broker;
	struct asking asking;
	sd_event_source *last; /* what is done when the loop ends */
};

/* ---- questions ---- */

/* One that cannot be sent waits for the next occasion, and so do those behind it. */
static void show_all(struct notifier *n)
{
	struct asking_vm *vm;

	while (desktop_server(n->desktop) && (vm = asking_next(&n->asking))) {
		uint32_t ticket = asking_send(&n->asking, vm);
		int res = desktop_ask(n->desktop, vm, ticket);

		if (res < 0) {
			xaring_log(XARING_LOG_WARN, "vm %s asks, which cannot be shown: %s",
				   vm->key, strerror(-res));
			asking_shown(&n->asking, ticket, 0);
			return;
		}
	}
}

static void on_ready(void *data)
{
	show_all(data);
}

static void on_gone(void *data)
{
	struct notifier *n = data;

	asking_lost(&n->asking);
}

static void on_shown(void *data, uint32_t ticket, uint32_t id)
{
	struct notifier *n = data;

	if (!asking_shown(&n->asking, ticket, id))
		desktop_hide(n->desktop, id);
}

static void on_closed(void *data, uint32_t id)
{
	struct notifier *n = data;

	asking_closed(&n->asking, id);
}

static void on_bus_lost(void *data)
{
	struct notifier *n = data;

	xaring_log(XARING_LOG_INFO, "the session bus has ended, and so does this");
	sd_event_exit(n->loop, EXIT_SUCCESS);
}

/* ---- choices ---- */

static enum asking_reason reason_of(enum screen screen)
{
	switch (screen) {
	case SCREEN_LOCKED:
		return ASKING_LOCKED;
	case SCREEN_INACTIVE:
		return ASKING_INACTIVE;
	case SCREEN_UNKNOWN:
		return ASKING_UNKNOWN;
	case SCREEN_OPEN:
		break;
	}
	return ASKING_NEW;
}

static void tell_failure(struct notifier *n, const struct asking_vm *vm, enum asking_choice choice,
			 const char *why)
{
	char summary[WORDING_BYTES], body[WORDING_BYTES];

	xaring_log(XARING_LOG_WARN, "vm %s: \"%s\" was not done: %s", vm->key,
		   asking_action(choice), why);
	wording_failure_summary(vm, choice, summary);
	wording_failure_body(why, desktop_server(n->desktop), body);
	desktop_tell(n->desktop, summary, body);
}

/* The broker tells of the decision as of any other one, and then the VM asks no longer. */
static void decide(struct notifier *n, struct asking_vm *vm, enum asking_choice choice)
{
	char request[ASKING_REQUEST_BYTES], why[BROKER_LINK_TEXT_BYTES];

	asking_request(vm, choice, request);
	if (broker_link_do(n->broker, request, why) < 0) {
		tell_failure(n, vm, choice, why);
		asking_again(vm, choice, ASKING_FAILED);
		return;
	}
	xaring_log(XARING_LOG_INFO, "vm %s: \"%s\" was chosen", vm->key, asking_action(choice));
}

/* Not every server closes a notification whose action was chosen. */
static void on_action(void *data, uint32_t id, const char *action)
{
	struct notifier *n = data;
	enum asking_choice choice;
	struct asking_vm *vm = asking_choose(&n->asking, id, action, &choice);
	enum screen screen;

	if (!vm)
		return;
	desktop_hide(n->desktop, id);
	screen = screen_look(desktop_bus(n->desktop));
	if (screen == SCREEN_OPEN) {
		decide(n, vm, choice);
	} else {
		xaring_log(XARING_LOG_WARN,
			   "vm %s: \"%s\" was chosen without effect: the screen is locked, not "
			   "ours, or not known",
			   vm->key, asking_action(choice));
		asking_again(vm, choice, reason_of(screen));
	}
	show_all(n);
}

/* ---- VMs ---- */

static void on_asks(void *data, const char *key, const char *title)
{
	struct notifier *n = data;
	int res = asking_add(&n->asking, key, title);

	if (res == -ENOSPC)
		xaring_log(XARING_LOG_WARN,
			   "vm %s asks, and is not shown: at most %u are, at once; xaringctl list "
			   "shows all",
			   key, ASKING_MAX);
	if (res < 0)
		return;
	if (desktop_server(n->desktop))
		show_all(n);
	else
		desktop_wake_server(n->desktop);
}

static void on_rests(void *data, const char *key)
{
	struct notifier *n = data;
	uint32_t id = asking_remove(&n->asking, key);

	if (id)
		desktop_hide(n->desktop, id);
}

static void on_broker_lost(void *data)
{
	struct notifier *n = data;

	while (n->asking.count > 0)
		on_rests(n, n->asking.vms[0].key);
}

/* The buttons of what is shown would have no effect any more. */
static int on_last(sd_event_source *source, void *data)
{
	(void)source;
	on_broker_lost(data);
	return 0;
}

/* The bus is closed by the loop when that ends; before this nothing can be taken back. */
static int watch_end(struct notifier *n)
{
	int res = sd_event_add_exit(n->loop, &n->last, on_last, n);

	return res < 0 ? res : sd_event_source_set_priority(n->last, SD_EVENT_PRIORITY_IMPORTANT);
}

static void on_refused(void *data, const char *text)
{
	struct notifier *n = data;

	xaring_log(XARING_LOG_INFO, "nothing to do here: %s", text);
	sd_event_exit(n->loop, EXIT_SUCCESS);
}

static const struct desktop_events desktop_events = {
	.on_ready = on_ready,
	.on_gone = on_gone,
	.on_shown = on_shown,
	.on_action = on_action,
	.on_closed = on_closed,
	.on_lost = on_bus_lost,
};

static const struct broker_link_events broker_events = {
	.on_asks = on_asks,
	.on_rests = on_rests,
	.on_lost = on_broker_lost,
	.on_refused = on_refused,
};

int notifier_open(sd_event *loop, const char *socket, struct notifier **out)
{
	struct notifier *n = calloc(1, sizeof(*n));
	int res;

	if (!n)
		return -ENOMEM;
	n->loop = loop;
	res = desktop_open(loop, &desktop_events, n, &n->desktop);
	if (res < 0)
		res = res == -ENOMEM ? res : -ENOTCONN;
	else
		res = watch_end(n);
	if (res >= 0)
		res = broker_link_open(loop, socket, &broker_events, n, &n->broker);
	if (res < 0) {
		notifier_close(n);
		return res;
	}
	*out = n;
	return 0;
}

void notifier_close(struct notifier *n)
{
	if (!n)
		return;
	sd_event_source_disable_unref(n->last);
	broker_link_close(n->broker);
	desktop_close(n->desktop);
	free(n);
}
