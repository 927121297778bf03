/* SPDX-License-Identifier: MIT */
/*
 * What a desktop has on its buses, as far as xaring-notify sees it: for tests, on a private bus.
 *
 *   fake-desktop notifications   a notification server with actions and markup
 *   fake-desktop plain           one that has neither
 *   fake-desktop screen          logind's session and the screensaver; neither is locked at first
 *   fake-desktop logind          the first of these alone
 *   fake-desktop stranger        none of these
 *
 * Prints a JSON object for each call, and one with "ready" when it has its names. Commands, lines on standard input:
 *
 *   action ID NAME               somebody has chosen that
 *   close ID                     somebody has closed it
 *   active|locked|saver 0|1      of the screen
 *   send DESTINATION ID NAME     a signal as of "action", to one connection only
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <json-c/json.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define SERVER      "org.freedesktop.Notifications"
#define SERVER_PATH "/org/freedesktop/Notifications"
#define LOGIND      "org.freedesktop.login1"
#define SAVER       "org.freedesktop.ScreenSaver"

struct desktop {
	sd_event *loop;
	sd_bus *bus;
	bool is_plain;
	uint32_t last_id;
	int active, locked, saver; /* properties of the bus are ints */
	char input[1024];
	size_t input_bytes;
};

static struct desktop desktop = {.active = 1};

static void check(int res, const char *what)
{
	if (res >= 0)
		return;
	fprintf(stderr, "fake-desktop: %s: %s\n", what, strerror(-res));
	exit(1);
}

/* ---- saying what happens ---- */

static struct json_object *call(const char *name)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "call", json_object_new_string(name));
	return o;
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text));
}

static void add_number(struct json_object *o, const char *key, int64_t number)
{
	json_object_object_add(o, key, json_object_new_int64(number));
}

static void say(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(o);
}

/* ---- the notification server ---- */

static void read_texts(sd_bus_message *m, struct json_object *o)
{
	const char *app, *icon, *summary, *body;
	uint32_t replaces;

	check(sd_bus_message_read(m, "susss", &app, &replaces, &icon, &summary, &body), "Notify");
	add_text(o, "app", app);
	add_number(o, "replaces", replaces);
	add_text(o, "icon", icon);
	add_text(o, "summary", summary);
	add_text(o, "body", body);
}

static void read_actions(sd_bus_message *m, struct json_object *o)
{
	struct json_object *actions = json_object_new_object();
	const char *name, *label;

	check(sd_bus_message_enter_container(m, 'a', "s"), "actions");
	while (sd_bus_message_read(m, "s", &name) > 0 && sd_bus_message_read(m, "s", &label) > 0)
		add_text(actions, name, label);
	check(sd_bus_message_exit_container(m), "actions");
	json_object_object_add(o, "actions", actions);
}

static void read_hint(sd_bus_message *m, struct json_object *o)
{
	const char *name, *type, *text;
	uint8_t number;

	check(sd_bus_message_read(m, "s", &name), "hint");
	check(sd_bus_message_peek_type(m, NULL, &type), "hint");
	if (strcmp(type, "y") == 0) {
		check(sd_bus_message_read(m, "v", "y", &number), "hint");
		add_number(o, name, number);
	} else {
		check(sd_bus_message_read(m, "v", "s", &text), "hint");
		add_text(o, name, text);
	}
}

static void read_hints(sd_bus_message *m, struct json_object *o)
{
	int32_t expires_ms;

	check(sd_bus_message_enter_container(m, 'a', "{sv}"), "hints");
	while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
		read_hint(m, o);
		check(sd_bus_message_exit_container(m), "hint");
	}
	check(sd_bus_message_exit_container(m), "hints");
	check(sd_bus_message_read(m, "i", &expires_ms), "expiry");
	add_number(o, "expires_ms", expires_ms);
}

static int on_notify(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct desktop *d = data;
	struct json_object *o = call("Notify");

	(void)error;
	add_text(o, "from", sd_bus_message_get_sender(m));
	add_number(o, "id", ++d->last_id);
	read_texts(m, o);
	read_actions(m, o);
	read_hints(m, o);
	say(o);
	return sd_bus_reply_method_return(m, "u", d->last_id);
}

static int on_close(sd_bus_message *m, void *data, sd_bus_error *error)
{
	struct json_object *o = call("CloseNotification");
	uint32_t id;

	(void)data, (void)error;
	check(sd_bus_message_read(m, "u", &id), "CloseNotification");
	add_number(o, "id", id);
	say(o);
	return sd_bus_reply_method_return(m, "");
}

static int on_capabilities(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct desktop *d = data;

	(void)error;
	if (d->is_plain)
		return sd_bus_reply_method_return(m, "as", 1, "body");
	return sd_bus_reply_method_return(m, "as", 3, "actions", "body", "body-markup");
}

static const sd_bus_vtable server_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetCapabilities", "", "as", on_capabilities, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Notify", "susssasa{sv}i", "u", on_notify, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("CloseNotification", "u", "", on_close, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* ---- the screen ---- */

static int on_get_active(sd_bus_message *m, void *data, sd_bus_error *error)
{
	const struct desktop *d = data;

	(void)error;
	say(call("GetActive"));
	return sd_bus_reply_method_return(m, "b", d->saver);
}

static const sd_bus_vtable saver_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetActive", "", "b", on_get_active, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable session_table[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Active", "b", NULL, offsetof(struct desktop, active), 0),
	SD_BUS_PROPERTY("LockedHint", "b", NULL, offsetof(struct desktop, locked), 0),
	SD_BUS_VTABLE_END,
};

/* ---- commands ---- */

static void emit(struct desktop *d, const char *to, uint32_t id, const char *action)
{
	sd_bus_message *m = NULL;

	check(sd_bus_message_new_signal(d->bus, &m, SERVER_PATH, SERVER, "ActionInvoked"),
	      "signal");
	check(sd_bus_message_append(m, "us", id, action), "signal");
	if (to)
		check(sd_bus_message_set_destination(m, to), "signal");
	check(sd_bus_send(d->bus, m, NULL), "signal");
	sd_bus_message_unref(m);
}

static int *find_flag(struct desktop *d, const char *name)
{
	if (strcmp(name, "active") == 0)
		return &d->active;
	if (strcmp(name, "locked") == 0)
		return &d->locked;
	return strcmp(name, "saver") == 0 ? &d->saver : NULL;
}

static void set_flag(struct desktop *d, const char *line)
{
	char name[16];
	int value, *flag;

	if (sscanf(line, "%15s %d", name, &value) != 2)
		return;
	flag = find_flag(d, name);
	if (flag)
		*flag = value;
}

/* Each one is confirmed, so that a test knows that it was read. */
static void obey(struct desktop *d, const char *line)
{
	char action[64], to[64];
	uint32_t id;

	if (sscanf(line, "action %u %63s", &id, action) == 2)
		emit(d, NULL, id, action);
	else if (sscanf(line, "send %63s %u %63s", to, &id, action) == 3)
		emit(d, to, id, action);
	else if (sscanf(line, "close %u", &id) == 1)
		check(sd_bus_emit_signal(d->bus, SERVER_PATH, SERVER, "NotificationClosed", "uu",
					 id, 2u),
		      "signal");
	else
		set_flag(d, line);
	check(sd_bus_flush(d->bus), "flush");
	say(call(line));
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct desktop *d = data;
	ssize_t bytes = read(fd, d->input + d->input_bytes, sizeof(d->input) - 1 - d->input_bytes);
	char *end;

	(void)source, (void)events;
	if (bytes <= 0)
		return sd_event_exit(d->loop, 0);
	d->input_bytes += (size_t)bytes;
	d->input[d->input_bytes] = '\0';
	while ((end = strchr(d->input, '\n'))) {
		*end = '\0';
		obey(d, d->input);
		d->input_bytes -= (size_t)(end + 1 - d->input);
		memmove(d->input, end + 1, d->input_bytes + 1);
	}
	return 0;
}

/* ---- names ---- */

static void play(struct desktop *d, const char *name, const char *path, const char *interface,
		 const sd_bus_vtable *table)
{
	check(sd_bus_add_object_vtable(d->bus, NULL, path, interface, table, d), path);
	check(sd_bus_request_name(d->bus, name, 0), name);
}

static void play_role(struct desktop *d, const char *role)
{
	d->is_plain = strcmp(role, "plain") == 0;
	if (d->is_plain || strcmp(role, "notifications") == 0)
		play(d, SERVER, SERVER_PATH, SERVER, server_table);
	if (strcmp(role, "screen") == 0 || strcmp(role, "logind") == 0)
		play(d, LOGIND, "/org/freedesktop/login1/session/auto", LOGIND ".Session",
		     session_table);
	if (strcmp(role, "screen") == 0)
		play(d, SAVER, "/org/freedesktop/ScreenSaver", SAVER, saver_table);
	say(call("ready"));
}

int main(int argc, char **argv)
{
	struct desktop *d = &desktop;

	if (argc != 2)
		return 2;
	check(sd_event_new(&d->loop), "loop");
	check(sd_bus_open_user(&d->bus), "bus");
	check(sd_bus_attach_event(d->bus, d->loop, SD_EVENT_PRIORITY_NORMAL), "bus");
	check(sd_event_add_io(d->loop, NULL, STDIN_FILENO, EPOLLIN, on_input, d), "input");
	play_role(d, argv[1]);
	check(sd_event_loop(d->loop), "loop");
	sd_bus_flush_close_unref(d->bus);
	sd_event_unref(d->loop);
	return 0;
}
