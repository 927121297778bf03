/* SPDX-License-Identifier: MIT */
/*
 * Asks logind's files through sd-login. Decides nothing but whether a session is that of a user who
 * is there.
 */
#include "seat.h"

#include <errno.h>

#ifdef XARING_SYSTEMD
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-login.h>

#include "loop.h"

#define SEAT "seat0"

/* What of logind is watched: which session is active, and what becomes of it. */
static const char *const categories[] = {"seat", "session"};
#define WATCHES (sizeof(categories) / sizeof(categories[0]))

struct watch {
	struct seat *seat;
	sd_login_monitor *monitor;
	struct loop_source *io;
};

struct seat {
	seat_change_fn on_change;
	void *data;
	struct watch watches[WATCHES];
};

static void on_monitor(void *data, uint32_t events)
{
	struct watch *w = data;

	(void)events;
	sd_login_monitor_flush(w->monitor);
	w->seat->on_change(w->seat->data);
}

/* Monitors are inotify, without a timeout to heed. */
static int open_watch(struct watch *w, struct loop *loop, const char *category)
{
	int res = sd_login_monitor_new(category, &w->monitor);

	if (res < 0)
		return res;
	return loop_add_io(loop, sd_login_monitor_get_fd(w->monitor), EPOLLIN, on_monitor, w,
			   &w->io);
}

int seat_open(struct loop *loop, seat_change_fn on_change, void *data, struct seat **out)
{
	struct seat *seat = calloc(1, sizeof(*seat));

	if (!seat)
		return -ENOMEM;
	seat->on_change = on_change;
	seat->data = data;
	for (unsigned i = 0; i < WATCHES; i++) {
		int res;

		seat->watches[i].seat = seat;
		res = open_watch(&seat->watches[i], loop, categories[i]);
		if (res < 0) {
			seat_close(seat);
			return res;
		}
	}
	*out = seat;
	return 0;
}

void seat_close(struct seat *seat)
{
	if (!seat)
		return;
	for (unsigned i = 0; i < WATCHES; i++) {
		loop_remove(seat->watches[i].io);
		sd_login_monitor_unref(seat->watches[i].monitor);
	}
	free(seat);
}

/* A getter of sd-login, compared with a word; what cannot be read is not equal. */
static bool session_has(const char *session, int (*get)(const char *, char **), const char *word)
{
	char *value = NULL;
	bool equal = get(session, &value) >= 0 && strcmp(value, word) == 0;

	free(value);
	return equal;
}

void seat_read(const struct seat *seat, struct seat_state *state)
{
	char *session = NULL;
	uid_t uid;

	*state = (struct seat_state){seat ? SEAT_EMPTY : SEAT_UNKNOWN, 0};
	if (!seat || sd_seat_get_active(SEAT, &session, NULL) < 0)
		return;
	if (session_has(session, sd_session_get_class, "user") &&
	    !session_has(session, sd_session_get_state, "closing") &&
	    sd_session_get_uid(session, &uid) >= 0)
		*state = (struct seat_state){SEAT_TAKEN, uid};
	free(session);
}
#else
int seat_open(struct loop *loop, seat_change_fn on_change, void *data, struct seat **out)
{
	(void)loop, (void)on_change, (void)data, (void)out;
	return -ENOTSUP;
}

void seat_close(struct seat *seat)
{
	(void)seat;
}

void seat_read(const struct seat *seat, struct seat_state *state)
{
	(void)seat;
	*state = (struct seat_state){SEAT_UNKNOWN, 0};
}
#endif
