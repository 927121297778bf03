/* SPDX-License-Identifier: MIT */
/*
 * One stream on the main thread: its pages, its session, and carrying out what the session decides.
 */
#include "glue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <spa/utils/result.h>

#include <xaring/log.h>
#include <xaring/shared.h>

/* Whole cache lines, so that no stream slows another one down. */
#define STREAM_ALIGN 64u
#define STREAM_BYTES SPA_ROUND_UP_N(sizeof(struct stream), STREAM_ALIGN)

/* Who says it, and the arguments for that. */
#define WHO "vm %s %s %u: "
#define WHO_IS(s)                                                             \
	(s)->guest->vm.u.vm.name, stream_records(s) ? "capture" : "playback", \
		(s)->open.u.stream.number

#define LOG(s, level, format, ...) xaring_log(level, WHO format, WHO_IS(s), ##__VA_ARGS__)

/* For what the VM causes as often as it opens streams. */
#define LOG_LIMITED(s, level, format, ...) \
	limited_log_line(&(s)->guest->log, level, WHO format, WHO_IS(s), ##__VA_ARGS__)

static void look(struct stream *s, struct session_look *look)
{
	const struct pump *p = &s->pump;
	bool is_alive = s->pages.control && pump_guest_is_alive(p);

	*look = (struct session_look){
		.linked = s->guest->core && !s->guest->is_lost,
		.allowed = s->guest->may_record,
		.reason = __atomic_load_n(&p->reason, __ATOMIC_RELAXED),
		.cycles = __atomic_load_n(&p->cycles, __ATOMIC_RELAXED),
		.moved = __atomic_load_n(&p->consumed, __ATOMIC_RELAXED),
		.xruns = __atomic_load_n(&p->xruns, __ATOMIC_RELAXED),
		.gap = __atomic_load_n(&p->gap, __ATOMIC_RELAXED),
	};
	if (s->pages.control) {
		look->guest = pump_peek(p);
		look->read = pump_read_by_guest(p);
		look->volume = stream_records(s) ? 0 : pump_volume_of_guest(p);
		look->drained = pump_is_drained(p);
		look->left = s->was_alive && !is_alive;
		s->was_alive |= is_alive;
	}
}

static void send_gone(struct worker *w, const struct ipc_message *open)
{
	struct ipc_message message;

	ipc_message_init(&message, IPC_GONE, open->vm, open->stream);
	worker_post(w, &message);
}

/* The quantum and what is downstream of it. 0 = the node has not run yet. */
static uint32_t latency(const struct stream *s)
{
	return __atomic_load_n(&s->rt_frames, __ATOMIC_RELAXED) +
	       __atomic_load_n(&s->rt_delay, __ATOMIC_RELAXED);
}

/* It is for people, and wanders by a few frames: what is a quarter more or less is told. */
static bool latency_is_news(const struct stream *s)
{
	uint32_t now = latency(s), told = s->told_latency;

	return (now > told ? now - told : told - now) > told / 4;
}

static void send_state(struct stream *s, const struct session_report *report)
{
	struct ipc_message message;

	ipc_message_init(&message, IPC_STATE, s->open.vm, s->open.stream);
	message.u.state.backend = report->backend;
	message.u.state.reason = report->reason;
	message.u.state.state = report->state;
	message.u.state.xruns = report->xruns;
	message.u.state.gap = report->gap;
	message.u.state.latency = latency(s);
	message.u.state.volume = report->volume;
	if (worker_send(s->guest->worker, &message) < 0)
		return;
	s->told_latency = message.u.state.latency;
	session_told(&s->session, report, worker_now_ns());
}

static void report(struct stream *s, const struct session_look *look)
{
	struct session_report report;
	bool is_news;

	if (!s->pages.control)
		return;
	is_news = session_report(&s->session, look, worker_now_ns(), &report);
	if (is_news || latency_is_news(s))
		send_state(s, &report);
}

static void detach(struct stream *s)
{
	if (!s->pages.control)
		return;
	node_detach(s);
	if (stream_records(s))
		pump_erase(&s->pump);
	xaring_pages_unmap(&s->pages);
	send_gone(s->guest->worker, &s->open);
}

static void condemn(struct stream *s)
{
	uint32_t reason = s->session.reason;

	/* The guest causes it as often as it likes: the broker tells people, within limits. */
	LOG(s, XARING_LOG_DEBUG, "the guest broke the protocol (reason %u), the stream is shut",
	    reason);
	pump_condemn(&s->pump, reason);
}

static void set_flags(struct stream *s)
{
	uint32_t flags = (s->is_muted ? XARING_FLAG_MUTED : 0) |
			 (s->is_unheard ? XARING_FLAG_NO_SINK : 0) |
			 (s->guest->may_record ? XARING_FLAG_CAPTURE_ALLOWED : 0);

	if (s->pages.control)
		xaring_store(&s->pages.control->backend.flags, flags);
}

/* A node that records is known to whoever watches what it hears before it can hear anything. */
static int make_node(struct stream *s, bool active)
{
	int res = stream_records(s) ? microphones_watch(s->guest) : 0;

	/* What the last one had to say is not said of this one. */
	s->is_unheard = false;
	set_flags(s);
	return res < 0 ? res : node_create(s, active);
}

static void create_node(struct stream *s, bool active)
{
	int res = make_node(s, active);

	if (res < 0) {
		/* The sweep tries again; the log says it once. */
		if (!s->is_refused)
			LOG_LIMITED(s, XARING_LOG_WARN,
				    "PipeWire refused the node (%s), trying again",
				    spa_strerror(res));
		(void)session_failed(&s->session);
	}
	s->is_refused = res < 0;
}

static void stream_free(struct stream *s)
{
	struct worker *w = s->guest->worker;

	pw_loop_destroy_source(w->loop, s->timer);
	spa_list_remove(&s->link);
	free(s);
	worker_count_stream(w, -1);
}

/* In the order of the bits. Nothing may be done with s after SESSION_DO_FREE. */
static void carry_out(struct stream *s, uint32_t todo)
{
	bool active = todo & SESSION_DO_ACTIVATE;

	if (todo & SESSION_DO_DETACH)
		detach(s);
	if (todo & SESSION_DO_CONDEMN)
		condemn(s);
	if (todo & SESSION_DO_DESTROY)
		node_destroy(s);
	if (todo & SESSION_DO_CREATE)
		create_node(s, active);
	else if (active)
		pw_stream_set_active(s->node, true);
	if (todo & SESSION_DO_DEACTIVATE)
		pw_stream_set_active(s->node, false);
	if (todo & SESSION_DO_LINGER)
		worker_arm(s->guest->worker, s->timer, node_tail_ms(s));
	if (todo & SESSION_DO_FREE)
		stream_free(s);
}

static void on_timer(void *data, uint64_t expirations)
{
	struct stream *s = data;

	(void)expirations;
	if (s->is_failed)
		carry_out(s, session_failed(&s->session));
	else
		carry_out(s, session_tail_over(&s->session));
}

void stream_node_failed(struct stream *s, const char *why)
{
	if (s->is_failed)
		return;
	/* The news of a lost connection comes here as well; that is the guest's business. */
	LOG(s, XARING_LOG_DEBUG, "the node failed: %s", why);
	s->is_failed = true;
	worker_arm(s->guest->worker, s->timer, 0);
}

void stream_node_heard(struct stream *s, const char *why_not)
{
	if (why_not && !s->is_told)
		LOG_LIMITED(s, XARING_LOG_INFO, "nothing to %s: %s",
			    stream_records(s) ? "record" : "play to", why_not);
	s->is_unheard = why_not != NULL;
	s->is_told = s->is_unheard;
	set_flags(s);
}

/* By ourselves, or because its sink is gone; the session manager may link it to another one. */
void stream_node_parked(struct stream *s)
{
	s->is_unheard = s->session.phase == SESSION_ACTIVE;
	set_flags(s);
}

void stream_node_muted(struct stream *s, bool muted)
{
	s->is_muted = muted;
	set_flags(s);
}

/* Maps the pages and makes the pump. */
static int open_pages(struct stream *s, const struct ipc_message *message)
{
	const struct xaring_params *params = &message->u.stream.params;
	struct xaring_refusal refusal;
	struct xaring_shape shape;
	int res = xaring_params_shape(params, &shape, &refusal);

	if (res < 0)
		return res;
	res = xaring_pages_map(&s->pages, &shape, message->fds[0], message->u.stream.control_offset,
			       message->fds[1], message->u.stream.data_offset,
			       params->direction == XARING_CAPTURE);
	if (res < 0)
		return res;
	s->frame_bytes = shape.frame_bytes;
	/* Before it is accepted: a guest that is not to record need not wait for a first frame. */
	set_flags(s);
	pump_init(&s->pump, params, &shape, &s->pages, message->u.stream.time_secret_ns);
	return 0;
}

/* A running guest is asked by the first cycle, so that it rests no longer than needed. */
static void attach(struct stream *s)
{
	int state = pump_peek(&s->pump);

	if (state < 0 || !xaring_state_is_moving((uint32_t)state))
		pump_attach(&s->pump);
}

/* The microphone may have been taken while no worker was there: what the last one left is for nobody now. */
static void erase_what_is_left(struct stream *s)
{
	if (stream_records(s) && !s->guest->may_record)
		pump_erase(&s->pump);
}

static int stream_create(struct guest *g, struct ipc_message *message, struct stream **out)
{
	struct stream *s = aligned_alloc(STREAM_ALIGN, STREAM_BYTES);
	int res = -ENOMEM;

	if (!s)
		return res;
	memset(s, 0, STREAM_BYTES);
	s->guest = g;
	s->open = *message;
	s->timer = pw_loop_add_timer(g->worker->loop, on_timer, s);
	if (!s->timer)
		goto error_free;
	res = open_pages(s, message);
	if (res < 0)
		goto error_timer;
	session_init(&s->session, stream_records(s));
	erase_what_is_left(s);
	attach(s);
	spa_list_append(&g->streams, &s->link);
	*out = s;
	return 0;

error_timer:
	pw_loop_destroy_source(g->worker->loop, s->timer);
error_free:
	free(s);
	return res;
}

/* What a device says of references that were never granted is about what the guest has said. */
static uint32_t reason_of(int res)
{
	return res == -EINVAL ? XARING_REASON_MESSAGE : XARING_REASON_INTERNAL;
}

static void send_refusal(struct worker *w, const struct ipc_message *open, int res)
{
	struct ipc_message message;

	ipc_message_init(&message, IPC_STATE, open->vm, open->stream);
	message.u.state.backend = XARING_BACKEND_REFUSED;
	message.u.state.reason = reason_of(res);
	worker_post(w, &message);
	send_gone(w, open);
}

void stream_open(struct guest *g, struct ipc_message *message)
{
	struct session_look l;
	struct stream *s = NULL;
	int res = stream_create(g, message, &s);

	ipc_message_finish(message);
	if (res < 0) {
		/* Guests cause it as often as they like: the broker tells people, within limits. */
		xaring_log(XARING_LOG_DEBUG, "vm %s: a stream cannot be opened: %s",
			   g->vm.u.vm.name, spa_strerror(res));
		send_refusal(g->worker, message, res);
		return;
	}
	worker_count_stream(g->worker, 1);
	LOG(s, XARING_LOG_DEBUG, "opened: %s, %u Hz, %u channels, buffer %u frames",
	    xaring_format_name(s->open.u.stream.params.format), s->open.u.stream.params.rate_hz,
	    s->open.u.stream.params.channels, s->open.u.stream.params.buffer);
	look(s, &l);
	report(s, &l);
	if (l.linked)
		stream_linked(s);
	else
		guest_want(g);
}

void stream_linked(struct stream *s)
{
	struct session_look l;

	look(s, &l);
	carry_out(s, session_linked(&s->session, &l));
}

void stream_lost(struct stream *s)
{
	carry_out(s, session_lost(&s->session));
}

void stream_manager_came(struct stream *s)
{
	uint32_t todo = session_manager_came(&s->session, node_is_run(s));

	if (todo)
		LOG(s, XARING_LOG_DEBUG, "made anew for a new session manager");
	carry_out(s, todo);
}

void stream_kick(struct stream *s)
{
	struct session_look l;
	uint32_t todo;

	look(s, &l);
	todo = session_kick(&s->session, &l);
	carry_out(s, todo);
	if (!(todo & SESSION_DO_FREE))
		report(s, &l);
}

void stream_sweep(struct stream *s)
{
	struct session_look l;
	uint32_t todo;

	look(s, &l);
	todo = session_sweep(&s->session, &l);
	if (todo & SESSION_DO_CREATE && s->node)
		LOG_LIMITED(s, XARING_LOG_INFO, "PipeWire does not run the node, making it anew");
	carry_out(s, todo);
	if (!(todo & SESSION_DO_FREE))
		report(s, &l);
}

bool stream_is_playing(struct stream *s)
{
	struct session_look l;

	look(s, &l);
	return s->pages.control && session_is_playing(&s->session, &l);
}

/* What was recorded until now and not read yet is not for the guest any more either. */
static void take_microphone(struct stream *s)
{
	node_open(s, false);
	carry_out(s, session_revoked(&s->session));
	pump_erase(&s->pump);
}

void stream_microphone_changed(struct stream *s)
{
	if (!s->pages.control)
		return;
	set_flags(s);
	if (!stream_records(s))
		return;
	if (s->guest->may_record)
		stream_kick(s);
	else
		take_microphone(s);
}

void stream_end(struct stream *s)
{
	LOG(s, XARING_LOG_DEBUG, "closed");
	carry_out(s, session_end(&s->session));
}

void stream_destroy(struct stream *s)
{
	detach(s);
	node_destroy(s);
	stream_free(s);
}
