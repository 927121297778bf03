/* SPDX-License-Identifier: MIT */
/*
 * One VM: its connection to PipeWire, which is made when a stream needs it, and made again when
 * PipeWire was restarted.
 */
#include "glue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <spa/utils/result.h>

#include <xaring/log.h>

#include "looks.h"

#define RETRY_MS_MIN     100u
#define RETRY_MS_PLAYING 250u
#define RETRY_MS_MAX     1000u
#define HEALTHY_NS       SPA_NSEC_PER_SEC /* a connection that held so long was one */

static bool is_playing(const struct guest *g)
{
	struct stream *s;

	spa_list_for_each(s, &g->streams, link)
	{
		if (stream_is_playing(s))
			return true;
	}
	return false;
}

/* Tries again, later each time, but not much later while somebody listens. */
static void retry(struct guest *g)
{
	uint32_t most = is_playing(g) ? RETRY_MS_PLAYING : RETRY_MS_MAX;

	g->retry_ms = g->retry_ms ? g->retry_ms * 2 : RETRY_MS_MIN;
	if (g->retry_ms > most)
		g->retry_ms = most;
	worker_arm(g->worker, g->timer, g->retry_ms);
}

void guest_want(struct guest *g)
{
	struct ipc_message message;

	if (g->core || g->is_asked || spa_list_is_empty(&g->streams))
		return;
	ipc_message_init(&message, IPC_WANT, g->vm.vm, 0);
	if (worker_send(g->worker, &message) < 0)
		retry(g);
	else
		g->is_asked = true;
}

static void on_info(void *data, const struct pw_core_info *info)
{
	struct guest *g = data;

	if (g->was_linked)
		return;
	limited_log_line(&g->link_log, XARING_LOG_INFO, "vm %s: linked to PipeWire %.64s",
			 g->vm.u.vm.name, info->version ? info->version : "");
	g->was_linked = true;
	g->linked_ns = worker_now_ns();
}

/* Other errors of the core are answers to something that came too late, and harm nobody. */
static bool is_loss(int res, const char *message)
{
	return res == -EPIPE || res == -ECONNRESET ||
	       (message && strcmp(message, "connection error") == 0);
}

static void on_error(void *data, uint32_t id, int seq, int res, const char *message)
{
	struct guest *g = data;

	(void)seq;
	if (id != PW_ID_CORE || !is_loss(res, message) || g->is_lost)
		return;
	if (g->was_linked)
		limited_log_line(&g->link_log, XARING_LOG_WARN, "vm %s: PipeWire is gone (%.64s)",
				 g->vm.u.vm.name, message ? message : "");
	/* The core calls this, so it cannot be freed here. */
	g->is_lost = true;
	worker_arm(g->worker, g->timer, 0);
}

static const struct pw_core_events core_events = {
	PW_VERSION_CORE_EVENTS,
	.info = on_info,
	.error = on_error,
};

static void disconnect(struct guest *g)
{
	if (!g->core)
		return;
	watch_guest_unlinked(g);
	microphones_ignore(g);
	spa_hook_remove(&g->core_listener);
	pw_core_disconnect(g->core);
	g->core = NULL;
	g->is_lost = false;
}

static void clean_up_lost(struct guest *g)
{
	struct stream *s, *next;

	spa_list_for_each_safe(s, next, &g->streams, link) stream_lost(s);
	disconnect(g);
	g->was_linked = false;
}

/* One that never worked, or only said hello, is no reason to try at once. */
static bool has_held(const struct guest *g)
{
	return g->was_linked && worker_now_ns() - g->linked_ns >= HEALTHY_NS;
}

static void on_timer(void *data, uint64_t expirations)
{
	struct guest *g = data;
	bool held = has_held(g);

	(void)expirations;
	if (!g->is_lost) {
		guest_want(g);
		return;
	}
	clean_up_lost(g);
	if (held) {
		g->retry_ms = 0;
		guest_want(g);
	} else {
		retry(g);
	}
}

/* Once for each absence: who hears nothing looks into the log. */
static void tell_absence(const struct guest *g, int error)
{
	enum xaring_log_level level = g->retry_ms ? XARING_LOG_DEBUG : XARING_LOG_WARN;

	xaring_log(level, "vm %s: nothing is heard until PipeWire can be reached: %s",
		   g->vm.u.vm.name, error == -ENXIO ? "no user is there" : spa_strerror(error));
}

void guest_take_socket(struct guest *g, int error, int fd)
{
	struct pw_properties *looks;
	struct stream *s, *next;

	g->is_asked = false;
	if (error < 0 || fd < 0) {
		tell_absence(g, error);
		retry(g);
		return;
	}
	if (g->core || spa_list_is_empty(&g->streams)) {
		close(fd);
		return;
	}
	looks = looks_of_client(g->worker->context, &g->vm);
	/* Takes looks and fd, whatever comes of it. */
	g->core = pw_context_connect_fd(g->worker->context, fd, looks, 0);
	if (!g->core) {
		xaring_log(XARING_LOG_WARN, "vm %s: PipeWire refused the connection: %m",
			   g->vm.u.vm.name);
		retry(g);
		return;
	}
	pw_core_add_listener(g->core, &g->core_listener, &core_events, g);
	watch_guest_linked(g);
	spa_list_for_each_safe(s, next, &g->streams, link) stream_linked(s);
}

static bool has_recorder(const struct guest *g)
{
	struct stream *s;

	spa_list_for_each(s, &g->streams, link)
	{
		if (stream_records(s) && s->node)
			return true;
	}
	return false;
}

void guest_sweep(struct guest *g)
{
	struct stream *s, *next;

	spa_list_for_each_safe(s, next, &g->streams, link) stream_sweep(s);
	if (!has_recorder(g))
		microphones_ignore(g);
}

void guest_manager_came(struct guest *g)
{
	struct stream *s, *next;

	spa_list_for_each_safe(s, next, &g->streams, link) stream_manager_came(s);
}

void guest_set_microphone(struct guest *g, bool allowed)
{
	struct stream *s, *next;

	g->may_record = allowed;
	spa_list_for_each_safe(s, next, &g->streams, link) stream_microphone_changed(s);
}

struct stream *guest_find_stream(struct guest *g, uint32_t id)
{
	struct stream *s;

	spa_list_for_each(s, &g->streams, link)
	{
		if (s->open.stream == id)
			return s;
	}
	return NULL;
}

int guest_create(struct worker *w, const struct ipc_message *vm, struct guest **out)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->worker = w;
	g->vm = *vm;
	spa_list_init(&g->streams);
	limited_log_init(&g->log);
	limited_log_init(&g->link_log);
	g->timer = pw_loop_add_timer(w->loop, on_timer, g);
	if (!g->timer) {
		free(g);
		return -ENOMEM;
	}
	spa_list_append(&w->guests, &g->link);
	*out = g;
	return 0;
}

void guest_destroy(struct guest *g)
{
	struct stream *s;

	spa_list_consume(s, &g->streams, link) stream_destroy(s);
	disconnect(g);
	pw_loop_destroy_source(g->worker->loop, g->timer);
	spa_list_remove(&g->link);
	free(g);
}
