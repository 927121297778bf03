/* SPDX-License-Identifier: MIT */
/*
 * Connections to the broker: one that monitors, and short ones for all else. Knows no notification.
 */
#include "broker-link.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <xaring/log.h>

#include "../ctl/request.h"

#define PATIENCE_S  2
#define RETRY_MIN_S 1u
#define RETRY_MAX_S 60u
#define S_US        1000000ull
#define NO_ANSWER   "xaring-pw does not run, or elsewhere"

struct broker_link {
	sd_event *loop;
	const char *socket; /* or NULL */
	const struct broker_link_events *events;
	void *data;
	int fd;                 /* that monitors; -1 while there is none */
	sd_event_source *io;    /* of that */
	sd_event_source *retry; /* armed while there is none */
	unsigned retry_s;       /* the next pause */
	bool was_accepted;      /* ever */
	bool is_missed;         /* it was logged why there is no broker */
};

/* ---- what it says ---- */

/* An event about a microphone, or a VM of a list. */
static void take_microphone(struct broker_link *l, struct json_object *o)
{
	const char *state = request_text(request_object(o, "microphone"), "state");
	const char *key = request_text(o, "vm");

	if (strcmp(state, "asked") == 0)
		l->events->on_asks(l->data, key, request_text(o, "title"));
	else
		l->events->on_rests(l->data, key);
}

static void take_event(struct broker_link *l, struct json_object *o)
{
	const char *event = request_text(o, "event");

	if (strcmp(event, "microphone") == 0)
		take_microphone(l, o);
	else if (strcmp(event, "vm-goes") == 0)
		l->events->on_rests(l->data, request_text(o, "vm"));
}

/* ---- requests ---- */

static int connect_to_broker(const struct broker_link *l)
{
	char path[REQUEST_PATH_BYTES];

	request_find(l->socket, path);
	return request_connect(path);
}

/* A short connection. Returns as request_ask(), and sets *out as that does. */
static int ask(const struct broker_link *l, const char *request, struct answer *out)
{
	int fd = connect_to_broker(l), res;

	*out = (struct answer){0};
	if (fd < 0)
		return fd;
	res = request_ask(fd, PATIENCE_S, request, out);
	close(fd);
	return res;
}

int broker_link_do(struct broker_link *l, const char *request, char why[BROKER_LINK_TEXT_BYTES])
{
	struct answer a;
	int res = ask(l, request, &a);

	if (res == -EREMOTEIO)
		snprintf(why, BROKER_LINK_TEXT_BYTES, "%s", request_text(a.end, "text"));
	else if (res < 0)
		snprintf(why, BROKER_LINK_TEXT_BYTES, "xaring-pw does not answer: %s",
			 strerror(-res));
	request_forget(&a);
	return res;
}

/* Those that ask already. What comes meanwhile waits at the connection that monitors, and is newer. */
static int list(struct broker_link *l)
{
	struct answer a;
	int res = ask(l, "list", &a);

	for (size_t i = 0; res == 0 && i < json_object_array_length(a.items); i++)
		take_microphone(l, json_object_array_get_idx(a.items, i));
	request_forget(&a);
	return res;
}

/* ---- the connection ---- */

static void hang_up(struct broker_link *l)
{
	l->io = sd_event_source_disable_unref(l->io);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

/* Later, and later each time. Why is said once, until it is there again. */
static void pause_for_now(struct broker_link *l, const char *why)
{
	if (!l->is_missed)
		xaring_log(XARING_LOG_INFO, "%s; it is tried again from time to time", why);
	l->is_missed = true;
	sd_event_source_set_time_relative(l->retry, l->retry_s * S_US);
	sd_event_source_set_enabled(l->retry, SD_EVENT_ONESHOT);
	l->retry_s = l->retry_s * 2 < RETRY_MAX_S ? l->retry_s * 2 : RETRY_MAX_S;
}

static void lose(struct broker_link *l)
{
	hang_up(l);
	l->events->on_lost(l->data);
	pause_for_now(l, "xaring-pw is gone");
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct broker_link *l = data;
	struct json_object *o;

	(void)source, (void)events;
	if (request_receive(fd, PATIENCE_S, &o) < 0) {
		lose(l);
		return 0;
	}
	take_event(l, o);
	json_object_put(o);
	return 0;
}

/* Who was let in once is let in again, when the session is the active one: that is waited for. */
static void give_up(struct broker_link *l, int res, const struct answer *a)
{
	bool is_refusal = res == -EREMOTEIO;

	if (is_refusal && !l->was_accepted &&
	    strcmp(request_text(a->end, "error"), "permission") == 0)
		l->events->on_refused(l->data, request_text(a->end, "text"));
	else
		pause_for_now(l, is_refusal ? request_text(a->end, "text") : NO_ANSWER);
}

static int start_monitoring(struct broker_link *l)
{
	int res = sd_event_add_io(l->loop, &l->io, l->fd, EPOLLIN, on_readable, l);

	l->was_accepted = true;
	if (res >= 0)
		res = list(l);
	if (res < 0)
		return res;
	l->is_missed = false;
	l->retry_s = RETRY_MIN_S;
	xaring_log(XARING_LOG_INFO, "xaring-pw answers");
	return 0;
}

/* Before the list, so that nothing happens between the two that is in neither of them. */
static void try(struct broker_link *l)
{
	struct answer a;
	int res;

	l->fd = connect_to_broker(l);
	if (l->fd < 0) {
		pause_for_now(l, NO_ANSWER);
		return;
	}
	res = request_ask(l->fd, PATIENCE_S, "monitor", &a);
	if (res == 0 && start_monitoring(l) < 0) {
		lose(l);
	} else if (res < 0) {
		hang_up(l);
		give_up(l, res, &a);
	}
	request_forget(&a);
}

static int on_retry(sd_event_source *source, uint64_t now_us, void *data)
{
	(void)source, (void)now_us;
	try(data);
	return 0;
}

int broker_link_open(sd_event *loop, const char *socket, const struct broker_link_events *events,
		     void *data, struct broker_link **out)
{
	struct broker_link *l = calloc(1, sizeof(*l));
	int res;

	if (!l)
		return -ENOMEM;
	*l = (struct broker_link){.loop = loop,
				  .socket = socket,
				  .events = events,
				  .data = data,
				  .fd = -1,
				  .retry_s = RETRY_MIN_S};
	res = sd_event_add_time_relative(loop, &l->retry, CLOCK_MONOTONIC, 0, 0, on_retry, l);
	if (res < 0) {
		free(l);
		return res;
	}
	*out = l;
	return 0;
}

void broker_link_close(struct broker_link *l)
{
	if (!l)
		return;
	hang_up(l);
	sd_event_source_disable_unref(l->retry);
	free(l);
}
