/* SPDX-License-Identifier: MIT */
/*
 * Calls and signals of the notification server. Knows no VM but what it is given to show, and decides nothing.
 */
#include "desktop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>

#define SERVER "org.freedesktop.Notifications"
#define PATH   "/org/freedesktop/Notifications"
#define DRIVER "org.freedesktop.DBus"

#define ICON     "audio-input-microphone"
#define CATEGORY "device"
#define NEVER    0    /* it expires */
#define SOMETIME (-1) /* as the server likes */

#define URGENCY_NORMAL 1
#define OWNER_BYTES    256 /* the bus allows 255 */

struct desktop {
	sd_bus *bus;
	const struct desktop_events *events;
	void *data;
	char owner[OWNER_BYTES]; /* of the server's name, "" = there is none */
	bool is_ready;           /* what it can do is known */
	struct wording_server server;
};

/* A notification whose number is to come. */
struct sending {
	struct desktop *desktop;
	uint32_t ticket;
};

sd_bus *desktop_bus(struct desktop *d)
{
	return d->bus;
}

const struct wording_server *desktop_server(const struct desktop *d)
{
	return d->is_ready ? &d->server : NULL;
}

/* Anybody may send us a signal directly, whatever we have asked the bus for. */
static bool is_of_server(const struct desktop *d, sd_bus_message *m)
{
	const char *sender = sd_bus_message_get_sender(m);

	return sender && d->owner[0] && strcmp(sender, d->owner) == 0;
}

/* ---- what the server can do ---- */

static void take_ability(struct wording_server *server, const char *name)
{
	if (strcmp(name, "actions") == 0)
		server->has_actions = true;
	else if (strcmp(name, "body-markup") == 0)
		server->has_markup = true;
}

static void read_abilities(sd_bus_message *m, struct wording_server *server)
{
	const char *name;

	*server = (struct wording_server){0};
	if (sd_bus_message_enter_container(m, 'a', "s") < 0)
		return;
	while (sd_bus_message_read(m, "s", &name) > 0)
		take_ability(server, name);
}

static void set_ready(struct desktop *d)
{
	d->is_ready = true;
	xaring_log(XARING_LOG_INFO, "the notification server is there, %s actions",
		   d->server.has_actions ? "with" : "without");
	d->events->on_ready(d->data);
}

/* One that does not know the call can do nothing that is asked about there. It may have been asked twice. */
static int on_abilities(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct desktop *d = data;

	(void)error;
	if (!is_of_server(d, m)) {
		xaring_log(XARING_LOG_DEBUG, "no notification server has answered");
		return 0;
	}
	read_abilities(m, &d->server);
	if (!d->is_ready)
		set_ready(d);
	return 0;
}

void desktop_wake_server(struct desktop *d)
{
	int res = sd_bus_call_method_async(d->bus, NULL, SERVER, PATH, SERVER, "GetCapabilities",
					   on_abilities, d, NULL);

	if (res < 0)
		xaring_log(XARING_LOG_WARN, "the session bus: %s", strerror(-res));
}

/* ---- who the server is ---- */

static void set_owner(struct desktop *d, const char *owner)
{
	if (strcmp(d->owner, owner) == 0)
		return;
	d->is_ready = false;
	snprintf(d->owner, sizeof(d->owner), "%s", owner);
	d->events->on_gone(d->data);
	if (owner[0])
		desktop_wake_server(d);
}

static int on_owner_changed(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const char *sender = sd_bus_message_get_sender(m), *name, *old, *owner;

	(void)error;
	if (!sender || strcmp(sender, DRIVER) != 0 ||
	    sd_bus_message_read(m, "sss", &name, &old, &owner) < 0 || strcmp(name, SERVER) != 0)
		return 0;
	set_owner(data, owner);
	return 0;
}

static int on_owner(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const char *owner;

	(void)error;
	if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "s", &owner) >= 0)
		set_owner(data, owner);
	return 0;
}

/* ---- what it says ---- */

static int on_action(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct desktop *d = data;
	const char *action;
	uint32_t id;

	(void)error;
	if (is_of_server(d, m) && sd_bus_message_read(m, "us", &id, &action) >= 0)
		d->events->on_action(d->data, id, action);
	return 0;
}

static int on_closed(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct desktop *d = data;
	uint32_t id, reason;

	(void)error;
	if (is_of_server(d, m) && sd_bus_message_read(m, "uu", &id, &reason) >= 0)
		d->events->on_closed(d->data, id);
	return 0;
}

static int on_disconnected(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct desktop *d = data;

	(void)error, (void)m;
	if (sd_bus_is_open(d->bus) <= 0)
		d->events->on_lost(d->data);
	return 0;
}

/* ---- showing ---- */

static int append_choices(sd_bus_message *m, bool has_actions)
{
	int res = sd_bus_message_open_container(m, 'a', "s");

	for (unsigned i = 0; i < ASKING_CHOICES && has_actions && res >= 0; i++)
		res = sd_bus_message_append(m, "ss", asking_action((enum asking_choice)i),
					    asking_label((enum asking_choice)i));
	return res < 0 ? res : sd_bus_message_close_container(m);
}

static int make(struct desktop *d, const char *summary, const char *body, bool has_choices,
		sd_bus_message **out)
{
	sd_bus_message *m = NULL;
	int res = sd_bus_message_new_method_call(d->bus, &m, SERVER, PATH, SERVER, "Notify");

	if (res >= 0)
		res = sd_bus_message_append(m, "susss", "xaring", 0u, ICON, summary, body);
	if (res >= 0)
		res = append_choices(m, has_choices);
	if (res >= 0)
		res = sd_bus_message_append(m, "a{sv}i", 2, "urgency", "y", URGENCY_NORMAL,
					    "category", "s", CATEGORY,
					    has_choices ? NEVER : SOMETIME);
	if (res < 0) {
		sd_bus_message_unref(m);
		return res;
	}
	*out = m;
	return 0;
}

/* The bus says in place of a server that it has ended, and sd-bus that it has not answered in time. */
static int on_shown(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct sending *s = data;
	struct desktop *d = s->desktop;
	uint32_t id = 0;

	(void)error;
	if (sd_bus_message_is_method_error(m, NULL))
		xaring_log(XARING_LOG_WARN, "a question is not shown: %s",
			   sd_bus_message_get_error(m)->name);
	else if (!is_of_server(d, m))
		/* Of one that has ended meanwhile: what was shown there is there no more. */
		return 0;
	else if (sd_bus_message_read(m, "u", &id) < 0)
		id = 0;
	d->events->on_shown(d->data, s->ticket, id);
	return 0;
}

/* The ticket lives as long as its call, also when that is never answered. */
static int send_question(struct desktop *d, sd_bus_message *m, uint32_t ticket)
{
	struct sending *s = calloc(1, sizeof(*s));
	sd_bus_slot *slot = NULL;
	int res;

	if (!s)
		return -ENOMEM;
	*s = (struct sending){d, ticket};
	res = sd_bus_call_async(d->bus, &slot, m, on_shown, s, 0);
	if (res < 0) {
		free(s);
		return res;
	}
	sd_bus_slot_set_destroy_callback(slot, free);
	sd_bus_slot_set_floating(slot, 1);
	sd_bus_slot_unref(slot);
	return 0;
}

int desktop_ask(struct desktop *d, const struct asking_vm *vm, uint32_t ticket)
{
	char summary[WORDING_BYTES], body[WORDING_BYTES];
	sd_bus_message *m;
	int res;

	wording_question_summary(vm, summary);
	wording_question_body(vm, &d->server, body);
	res = make(d, summary, body, d->server.has_actions, &m);
	if (res < 0)
		return res;
	res = send_question(d, m, ticket);
	sd_bus_message_unref(m);
	return res;
}

void desktop_tell(struct desktop *d, const char *summary, const char *body)
{
	sd_bus_message *m;

	if (make(d, summary, body, false, &m) < 0)
		return;
	sd_bus_send(d->bus, m, NULL);
	sd_bus_message_unref(m);
}

/* That it is not there any more is no error, and nothing else comes of it. */
void desktop_hide(struct desktop *d, uint32_t id)
{
	sd_bus_message *m = NULL;

	if (sd_bus_message_new_method_call(d->bus, &m, SERVER, PATH, SERVER, "CloseNotification") >=
		    0 &&
	    sd_bus_message_append(m, "u", id) >= 0 && sd_bus_message_set_expect_reply(m, 0) >= 0)
		sd_bus_send(d->bus, m, NULL);
	sd_bus_message_unref(m);
}

/* ---- the bus ---- */

static const struct signal {
	const char *match;
	sd_bus_message_handler_t fn;
} signals[] = {
	{"type='signal',sender='" DRIVER "',path='/org/freedesktop/DBus',interface='" DRIVER "',"
	 "member='NameOwnerChanged',arg0='" SERVER "'",
	 on_owner_changed},
	{"type='signal',sender='" SERVER "',path='" PATH "',interface='" SERVER "',"
	 "member='ActionInvoked'",
	 on_action},
	{"type='signal',sender='" SERVER "',path='" PATH "',interface='" SERVER "',"
	 "member='NotificationClosed'",
	 on_closed},
	{"type='signal',sender='org.freedesktop.DBus.Local',path='/org/freedesktop/DBus/Local',"
	 "interface='org.freedesktop.DBus.Local',member='Disconnected'",
	 on_disconnected},
};

static int watch(struct desktop *d)
{
	int res = 0;

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]) && res >= 0; i++)
		res = sd_bus_add_match_async(d->bus, NULL, signals[i].match, signals[i].fn, NULL,
					     d);
	if (res >= 0)
		res = sd_bus_call_method_async(d->bus, NULL, DRIVER, "/org/freedesktop/DBus",
					       DRIVER, "GetNameOwner", on_owner, d, "s", SERVER);
	return res < 0 ? res : 0;
}

int desktop_open(sd_event *loop, const struct desktop_events *events, void *data,
		 struct desktop **out)
{
	struct desktop *d = calloc(1, sizeof(*d));
	int res;

	if (!d)
		return -ENOMEM;
	d->events = events;
	d->data = data;
	res = sd_bus_open_user_with_description(&d->bus, "xaring-notify");
	if (res >= 0)
		res = sd_bus_attach_event(d->bus, loop, SD_EVENT_PRIORITY_NORMAL);
	if (res >= 0)
		res = watch(d);
	if (res < 0) {
		desktop_close(d);
		return res;
	}
	*out = d;
	return 0;
}

void desktop_close(struct desktop *d)
{
	if (!d)
		return;
	/* Of a loop that has ended it is closed already, with all that was said. */
	if (d->bus)
		sd_bus_detach_event(d->bus);
	sd_bus_close_unref(d->bus);
	free(d);
}
