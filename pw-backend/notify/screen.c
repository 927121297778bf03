/* SPDX-License-Identifier: MIT */
/*
 * Asks about the screen, each time anew: an answer that was kept would be an old one. Starts no program by asking.
 */
#include "screen.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <xaring/log.h>

#define ANSWER_US 1000000ull

#define LOGIND  "org.freedesktop.login1"
#define SESSION LOGIND ".Session"
/* Of who asks; for a user's service logind takes the session with that user's screen. */
#define SESSION_PATH "/org/freedesktop/login1/session/auto"

#define SAVER      "org.freedesktop.ScreenSaver"
#define SAVER_PATH "/org/freedesktop/ScreenSaver"

/* ---- the system bus ---- */

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Until the bus has accepted us: a call would wait for that, and longer than for its answer. */
static int wait_for_bus(sd_bus *bus)
{
	uint64_t until_us = now_us() + ANSWER_US, at_us;
	int res;

	while ((res = sd_bus_is_ready(bus)) == 0) {
		res = sd_bus_process(bus, NULL);
		if (res < 0)
			return res;
		at_us = now_us();
		if (at_us >= until_us)
			return -ETIMEDOUT;
		if (res == 0)
			sd_bus_wait(bus, until_us - at_us);
	}
	return res < 0 ? res : 0;
}

static int open_system_bus(sd_bus **out)
{
	sd_bus *bus = NULL;
	int res = sd_bus_open_system(&bus);

	if (res >= 0)
		res = sd_bus_set_method_call_timeout(bus, ANSWER_US);
	if (res >= 0)
		res = wait_for_bus(bus);
	if (res < 0) {
		sd_bus_close_unref(bus);
		return res;
	}
	*out = bus;
	return 0;
}

/* ---- logind ---- */

static int read_flag(sd_bus *bus, const char *name, bool *out)
{
	int flag = 0;
	int res = sd_bus_get_property_trivial(bus, LOGIND, SESSION_PATH, SESSION, name, NULL, 'b',
					      &flag);

	*out = flag;
	return res;
}

static int read_session(bool *is_active, bool *is_locked)
{
	sd_bus *bus;
	int res = open_system_bus(&bus);

	if (res < 0)
		return res;
	res = read_flag(bus, "Active", is_active);
	if (res >= 0)
		res = read_flag(bus, "LockedHint", is_locked);
	sd_bus_close_unref(bus);
	return res < 0 ? res : 0;
}

static enum screen ask_logind(void)
{
	bool is_active, is_locked;
	int res = read_session(&is_active, &is_locked);

	if (res < 0) {
		xaring_log(XARING_LOG_WARN, "logind cannot be asked about the screen: %s",
			   strerror(-res));
		return SCREEN_UNKNOWN;
	}
	if (!is_active)
		return SCREEN_INACTIVE;
	return is_locked ? SCREEN_LOCKED : SCREEN_OPEN;
}

/* ---- the screensaver ---- */

/* There is none, or one that does not tell. */
static bool is_absence(const sd_bus_error *error)
{
	static const char *const names[] = {
		SD_BUS_ERROR_SERVICE_UNKNOWN,   SD_BUS_ERROR_NAME_HAS_NO_OWNER,
		SD_BUS_ERROR_UNKNOWN_METHOD,    SD_BUS_ERROR_UNKNOWN_OBJECT,
		SD_BUS_ERROR_UNKNOWN_INTERFACE, SD_BUS_ERROR_NOT_SUPPORTED,
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (sd_bus_error_has_name(error, names[i]))
			return true;
	}
	return false;
}

static enum screen explain(const sd_bus_error *error)
{
	if (is_absence(error))
		return SCREEN_OPEN;
	xaring_log(XARING_LOG_WARN, "the screensaver does not say whether it is active: %s",
		   error->name ? error->name : "no answer");
	return SCREEN_UNKNOWN;
}

static enum screen read_saver(sd_bus_message *reply)
{
	int is_active;

	if (sd_bus_message_read(reply, "b", &is_active) < 0)
		return SCREEN_UNKNOWN;
	return is_active ? SCREEN_LOCKED : SCREEN_OPEN;
}

static enum screen ask_saver(sd_bus *bus)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	enum screen screen = SCREEN_UNKNOWN;

	if (sd_bus_message_new_method_call(bus, &m, SAVER, SAVER_PATH, SAVER, "GetActive") >= 0 &&
	    sd_bus_message_set_auto_start(m, 0) >= 0)
		screen = sd_bus_call(bus, m, ANSWER_US, &error, &reply) < 0 ? explain(&error)
									    : read_saver(reply);
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return screen;
}

enum screen screen_look(sd_bus *session_bus)
{
	enum screen session = ask_logind(), saver;

	if (session == SCREEN_LOCKED || session == SCREEN_INACTIVE)
		return session;
	saver = ask_saver(session_bus);
	return saver == SCREEN_OPEN ? session : saver;
}
