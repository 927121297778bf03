/* SPDX-License-Identifier: MIT */
/*
 * The ALSA device `xen`: thin callbacks of alsa-lib's ioplug around a stream of libxaring. Decides
 * nothing that hwparams, position and pollstate can decide, and has no thread.
 *
 * start, stop, pointer, transfer, pause and delay come with the PCM's lock, all others without.
 * The plugin's own lock therefore covers everything below struct pcm_xen but io; it is taken after
 * the PCM's, and nothing of alsa-lib that takes the PCM's is called under it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>

#include <xaring/client.h>
#include <xaring/log.h>

#include "conf.h"
#include "hwparams.h"
#include "now.h"
#include "pollstate.h"
#include "position.h"

#define SETUP_TIMEOUT_MS 250

/* Beyond the time of the data itself: the longest rest after a start, and a stalled backend's notice. */
#define DRAIN_MARGIN_NS UINT64_C(3000000000)

#define NS_PER_S UINT64_C(1000000000)

/* How long an application sleeps without a look at the backend: while it plays, and before. */
#define SLEEP_ATTACHED_NS (NS_PER_S / 2)
#define SLEEP_WAITING_NS  (NS_PER_S / 50)

/* An open mode that alsa-lib has since 1.2.9. */
#ifndef SND_PCM_EINTR
#define SND_PCM_EINTR 0x80
#endif

/* How far the client's time may be from the nominal one and still be the better of the two. */
#define NOMINAL_SLACK_NS (NS_PER_S / 1000)

/* What dom0 has said of a stream that records. */
enum microphone { MICROPHONE_UNKNOWN, MICROPHONE_DENIED, MICROPHONE_ALLOWED };

struct pcm_xen {
	snd_pcm_ioplug_t io;
	pthread_mutex_t lock;
	struct xaring_client *client;
	struct xaring_client_state state; /* as last seen */
	struct hwparams_limits limits;
	struct position position;
	uint64_t told_hw; /* what pointer last answered */

	/* Software parameters. */
	uint64_t avail_min;
	uint64_t stop_threshold;
	bool period_event;

	uint64_t armed_ns;        /* what the poll descriptor's timer is set for */
	uint64_t total_told;      /* position.total of the newest period event that is done with */
	uint64_t total_seen;      /* position.total when the application last asked about events */
	uint32_t xruns_published; /* state.xruns at that time */
	uint32_t published;       /* ring index of the application, as last given to the client */
	bool has_shape;
	bool is_started; /* from start to stop, pauses included */
	bool is_draining;
	bool is_interruptible; /* a signal ends a wait */
	bool is_refusal_told;
	bool is_debugged;
	enum microphone microphone_told; /* for XARING_DEBUG */
};

static struct pcm_xen *pcm_of(const snd_pcm_ioplug_t *io)
{
	return io->private_data;
}

static void tell_refusal(struct pcm_xen *p)
{
	struct xaring_refusal refusal;
	char text[160];

	if (!p->state.refused || p->is_refusal_told)
		return;
	p->is_refusal_told = true;
	xaring_client_refusal(p->client, &refusal);
	xaring_refusal_text(&refusal, text, sizeof(text));
	SNDERR("xen: %s; the stream goes on without sound", text);
}

/* A rewind moves the application's pointer without a callback, so this is asked at every look. */
static void publish(struct pcm_xen *p, uint32_t index)
{
	if (index == p->published)
		return;
	p->published = index;
	p->xruns_published = p->state.xruns;
	xaring_client_publish(p->client, index);
}

/* For XARING_DEBUG: what a person wants to know who hears nothing. */
static void tell_link(const struct pcm_xen *p)
{
	char text[200];

	if (!p->is_debugged)
		return;
	xaring_client_describe(p->client, text, sizeof(text));
	xaring_log(XARING_LOG_DEBUG, "%s", text);
}

/* And who records nothing. It lies in a shared page: looking at every look costs a load. */
static void tell_microphone(struct pcm_xen *p)
{
	struct xaring_client_view view;
	enum microphone microphone = MICROPHONE_DENIED;

	if (!p->is_debugged || !p->position.is_capture)
		return;
	xaring_client_peek(p->client, &view);
	if (view.flags & XARING_FLAG_CAPTURE_ALLOWED)
		microphone = MICROPHONE_ALLOWED;
	if (view.backend != XARING_BACKEND_ACCEPTED || microphone == p->microphone_told)
		return;
	p->microphone_told = microphone;
	xaring_log(XARING_LOG_DEBUG,
		   microphone == MICROPHONE_ALLOWED
			   ? "microphone: allowed by the backend"
			   : "microphone: denied by the backend, silence is recorded");
}

/* And what a program asks for: one that drops what it has written ends too early, whoever plays it. */
static void tell_asked(const struct pcm_xen *p, const char *asked, uint64_t now_ns)
{
	int32_t fill, delay;

	if (!p->is_debugged)
		return;
	if (p->position.is_capture) {
		xaring_log(XARING_LOG_DEBUG, "%s", asked);
		return;
	}
	fill = position_fill(&p->position, p->io.appl_ptr);
	delay = (int32_t)xaring_client_delay(p->client, now_ns);
	/* What the backend has taken, and nobody has heard yet, goes with the rest. */
	if (p->is_started && !p->state.drained && delay > fill)
		fill = delay;
	xaring_log(XARING_LOG_DEBUG, "%s, %d of %lu frames are not played", asked, (int)fill,
		   p->io.appl_ptr);
}

static void update(struct pcm_xen *p, uint64_t now_ns)
{
	struct xaring_client_state before = p->state;

	xaring_client_update(p->client, now_ns, &p->state);
	tell_refusal(p);
	if (p->state.linked != before.linked || p->state.attached != before.attached)
		tell_link(p);
	tell_microphone(p);
}

/*
 * Tells whether the backend may still have frames to take although the position that is predicted
 * is at the end: it takes a quantum at once. An underrun, or the end of a drain, is the proof.
 */
static bool is_end_open(const struct pcm_xen *p)
{
	if (!p->state.attached)
		return false;
	return p->is_draining ? !p->state.drained : p->state.xruns == p->xruns_published;
}

/* Looks where the backend is, and tells it where the application is. */
static void observe(struct pcm_xen *p, uint64_t now_ns)
{
	uint64_t appl = p->io.appl_ptr;

	if (!p->has_shape)
		return;
	publish(p, position_index(&p->position, appl));
	update(p, now_ns);
	if (p->is_started)
		position_advance(&p->position, p->state.pos, appl, is_end_open(p));
}

static struct pollstate pollstate_of(const struct pcm_xen *p, snd_pcm_state_t state, uint64_t appl)
{
	return (struct pollstate){
		.is_capture = p->position.is_capture,
		.state = state,
		.avail = position_avail(&p->position, appl),
		.avail_min = p->avail_min,
		.buffer = p->position.buffer,
		.period = (uint32_t)p->io.period_size,
		.total = p->position.total,
		.period_event = p->period_event,
		.stop = p->stop_threshold,
		.total_told = p->total_told,
	};
}

/*
 * When the pointer gets as far as `ahead`.
 *
 * The client wants to look at every record, and to wait for the first one. The application needs
 * neither: nothing can be there before the nominal time. So it sleeps for whole periods, whatever the
 * quantum is; but not too long, since what ends the records is noticed at a look only.
 */
static uint64_t when_ahead(const struct pcm_xen *p, uint64_t now_ns, int64_t ahead)
{
	uint64_t when_ns =
		xaring_client_when(p->client, now_ns, p->position.index + (uint32_t)ahead);
	uint64_t longest_ns = p->state.attached ? SLEEP_ATTACHED_NS : SLEEP_WAITING_NS;
	uint64_t sleep_ns = (uint64_t)ahead * NS_PER_S / p->io.rate;

	if (sleep_ns > longest_ns)
		sleep_ns = longest_ns;
	return now_ns + sleep_ns > when_ns + NOMINAL_SLACK_NS ? now_ns + sleep_ns : when_ns;
}

/* Sets the timer of the poll descriptor for the stream as it is in this state. */
static void rearm(struct pcm_xen *p, uint64_t now_ns, snd_pcm_state_t state, uint64_t appl)
{
	struct pollstate s = pollstate_of(p, state, appl);
	uint64_t when_ns = POLLSTATE_NEVER;

	if (p->has_shape && (state == SND_PCM_STATE_RUNNING || state == SND_PCM_STATE_DRAINING)) {
		int64_t ahead = pollstate_ahead(&s);

		when_ns = when_ahead(p, now_ns, ahead >= 0 ? ahead : 0);
	}
	/* The client compares: after a fork its timer is another one than it was. */
	p->armed_ns = pollstate_timer(&s, p->armed_ns, now_ns, when_ns);
	xaring_client_arm(p->client, p->armed_ns);
}

static void start_stream(struct pcm_xen *p, uint64_t now_ns)
{
	publish(p, position_index(&p->position, p->io.appl_ptr));
	p->state.xruns = 0;
	p->state.drained = false;
	p->xruns_published = 0;
	xaring_client_start(p->client, now_ns, p->position.index);
	p->is_started = true;
	p->is_draining = false;
}

static void stop_stream(struct pcm_xen *p)
{
	if (p->is_started)
		xaring_client_stop(p->client);
	p->is_started = false;
	p->is_draining = false;
}

/* As with a card: to play nothing is an underrun already, unless underruns are not to stop the stream. */
static bool has_nothing_to_play(const struct pcm_xen *p)
{
	return !p->position.is_capture && p->stop_threshold < p->position.boundary &&
	       position_fill(&p->position, p->io.appl_ptr) <= 0;
}

static int on_start(snd_pcm_ioplug_t *io)
{
	struct pcm_xen *p = pcm_of(io);
	uint64_t now_ns = clock_now_ns();
	int res = 0;

	pthread_mutex_lock(&p->lock);
	if (has_nothing_to_play(p)) {
		res = -EPIPE;
	} else {
		start_stream(p, now_ns);
		rearm(p, now_ns, SND_PCM_STATE_RUNNING, io->appl_ptr);
	}
	pthread_mutex_unlock(&p->lock);
	return res;
}

static int on_stop(snd_pcm_ioplug_t *io)
{
	struct pcm_xen *p = pcm_of(io);
	uint64_t now_ns = clock_now_ns();

	pthread_mutex_lock(&p->lock);
	if (p->is_started) {
		/* Whether or not somebody reads what is told: there is one way to stop. */
		observe(p, now_ns);
		tell_asked(p, "stopped", now_ns);
	}
	stop_stream(p);
	rearm(p, now_ns, SND_PCM_STATE_SETUP, io->appl_ptr);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* snd_pcm_reset() zeroes both pointers without a callback: what was written is dropped. */
static void notice_reset(struct pcm_xen *p)
{
	if (p->is_started && p->io.hw_ptr != p->told_hw)
		position_begin(&p->position, p->position.index);
}

/*
 * In the void nobody hears a gap, so there is none. But a program that wants more room than there can be is woken by
 * nothing else, and would wait for ever.
 */
static bool is_xrun_waited_for(const struct pcm_xen *p)
{
	return !p->position.is_capture && !p->state.attached && p->avail_min > p->position.buffer &&
	       p->stop_threshold <= p->position.buffer &&
	       position_fill(&p->position, p->io.appl_ptr) <= 0;
}

static bool is_xrun(const struct pcm_xen *p)
{
	if (p->io.state != SND_PCM_STATE_RUNNING || !p->is_started)
		return false;
	return position_is_xrun(&p->position, p->io.appl_ptr, p->state.xruns, p->stop_threshold) ||
	       is_xrun_waited_for(p);
}

/* Looks at the backend, and stops at an xrun: it would go on with silence otherwise. */
static int look(struct pcm_xen *p, uint64_t now_ns)
{
	notice_reset(p);
	observe(p, now_ns);
	if (!is_xrun(p))
		return 0;
	stop_stream(p);
	return -EPIPE;
}

static snd_pcm_sframes_t on_pointer(snd_pcm_ioplug_t *io)
{
	struct pcm_xen *p = pcm_of(io);
	uint64_t now_ns = clock_now_ns();
	int res;

	pthread_mutex_lock(&p->lock);
	res = look(p, now_ns);
	rearm(p, now_ns, res < 0 ? SND_PCM_STATE_XRUN : io->state, io->appl_ptr);
	p->told_hw = p->position.hw;
	pthread_mutex_unlock(&p->lock);
	return res < 0 ? res : (snd_pcm_sframes_t)p->told_hw;
}

static void write_frames(struct pcm_xen *p, const void *from, uint32_t frames)
{
	uint32_t index = position_index(&p->position, p->io.appl_ptr);

	xaring_client_write(p->client, index, from, frames);
	publish(p, index + frames);
	rearm(p, clock_now_ns(), p->io.state, p->io.appl_ptr + frames);
}

/*
 * Through mmap this comes for every look at the buffer, often for the same frames again, and not
 * when they are done with: what was read is published at the next look, from appl_ptr.
 */
static void read_frames(struct pcm_xen *p, void *to, uint32_t frames)
{
	xaring_client_read(p->client, position_index(&p->position, p->io.appl_ptr), to, frames);
	if (p->io.access == SND_PCM_ACCESS_RW_INTERLEAVED)
		rearm(p, clock_now_ns(), p->io.state, p->io.appl_ptr + frames);
}

/*
 * Through mmap alsa-lib asks for what is there up to the end of its buffer. A program may go on at the buffer's begin
 * without asking again (PipeWire does): of a card the rest is there, and so it is of ours.
 */
static void read_beyond_end(struct pcm_xen *p, void *begin, uint32_t offset, uint32_t frames)
{
	uint64_t avail = position_avail(&p->position, p->io.appl_ptr);
	uint32_t rest;

	if (p->io.access == SND_PCM_ACCESS_RW_INTERLEAVED ||
	    (uint64_t)offset + frames != p->io.buffer_size || avail <= frames)
		return;
	rest = (uint32_t)avail - frames;
	xaring_client_read(p->client, position_index(&p->position, p->io.appl_ptr) + frames, begin,
			   rest < offset ? rest : offset);
}

static snd_pcm_sframes_t on_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
				     snd_pcm_uframes_t offset, snd_pcm_uframes_t size)
{
	char *begin = (char *)areas->addr + areas->first / 8;
	char *at = begin + areas->step / 8 * offset;
	struct pcm_xen *p = pcm_of(io);

	pthread_mutex_lock(&p->lock);
	p->total_told = p->total_seen;
	if (p->position.is_capture) {
		read_frames(p, at, (uint32_t)size);
		read_beyond_end(p, begin, (uint32_t)offset, (uint32_t)size);
	} else {
		write_frames(p, at, (uint32_t)size);
	}
	pthread_mutex_unlock(&p->lock);
	return (snd_pcm_sframes_t)size;
}

static int on_delay(snd_pcm_ioplug_t *io, snd_pcm_sframes_t *delay)
{
	struct pcm_xen *p = pcm_of(io);
	uint64_t now_ns = clock_now_ns();
	int32_t fill;
	int res;

	/* As with a card: between two streams there is nothing to be late. */
	if (io->state == SND_PCM_STATE_SETUP)
		return -EBADFD;
	pthread_mutex_lock(&p->lock);
	res = look(p, now_ns);
	fill = position_fill(&p->position, io->appl_ptr);
	if (p->position.is_capture)
		fill = -fill;
	*delay = fill > 0 ? fill : 0;
	if (res == 0 && p->is_started) {
		snd_pcm_sframes_t true_delay =
			(snd_pcm_sframes_t)xaring_client_delay(p->client, now_ns);

		*delay = true_delay > *delay ? true_delay : *delay;
	}
	pthread_mutex_unlock(&p->lock);
	if (res < 0)
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_XRUN);
	return io->state == SND_PCM_STATE_XRUN ? -EPIPE : 0;
}

static int on_prepare(snd_pcm_ioplug_t *io)
{
	struct pcm_xen *p = pcm_of(io);
	uint64_t now_ns = clock_now_ns();

	pthread_mutex_lock(&p->lock);
	stop_stream(p);
	update(p, now_ns);
	position_begin(&p->position, p->state.pos);
	publish(p, p->position.index);
	p->told_hw = 0;
	p->total_told = 0;
	p->total_seen = 0;
	rearm(p, now_ns, SND_PCM_STATE_PREPARED, 0);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static int on_pause(snd_pcm_ioplug_t *io, int enable)
{
	struct pcm_xen *p = pcm_of(io);
	uint64_t now_ns = clock_now_ns();

	pthread_mutex_lock(&p->lock);
	observe(p, now_ns);
	tell_asked(p, enable ? "paused" : "resumed", now_ns);
	if (enable)
		xaring_client_pause(p->client, now_ns);
	else
		xaring_client_resume(p->client, now_ns);
	rearm(p, now_ns, enable ? SND_PCM_STATE_PAUSED : SND_PCM_STATE_RUNNING, io->appl_ptr);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* Begins the drain, and the stream with it when it was never started. */
static void begin_drain(struct pcm_xen *p, uint64_t now_ns)
{
	if (!p->is_started)
		start_stream(p, now_ns);
	if (p->is_draining)
		return;
	observe(p, now_ns);
	tell_asked(p, "drains", now_ns);
	xaring_client_drain(p->client, now_ns);
	p->is_draining = true;
}

/* Returns 1 when there is nothing left to wait for, or 0. */
static int look_drained(struct pcm_xen *p)
{
	uint64_t now_ns = clock_now_ns();
	int done;

	pthread_mutex_lock(&p->lock);
	observe(p, now_ns);
	done = !p->is_started || p->state.drained;
	if (!done)
		rearm(p, now_ns, SND_PCM_STATE_DRAINING, p->io.appl_ptr);
	pthread_mutex_unlock(&p->lock);
	return done;
}

/* Waits for the end of the drain; an application must not hang here whatever the backend does. */
static int wait_drained(struct pcm_xen *p, uint64_t deadline_ns)
{
	struct pollfd pfd = {.fd = p->io.poll_fd, .events = POLLIN};

	while (!look_drained(p)) {
		uint64_t now_ns = clock_now_ns();

		if (now_ns >= deadline_ns) {
			xaring_log(XARING_LOG_WARN, "drain: given up, the backend takes no data");
			return 0;
		}
		if (poll(&pfd, 1, (int)((deadline_ns - now_ns) / 1000000) + 1) < 0 &&
		    errno == EINTR && (p->is_interruptible || p->io.nonblock == 2))
			return -EINTR;
	}
	return 0;
}

static int on_drain(snd_pcm_ioplug_t *io)
{
	struct pcm_xen *p = pcm_of(io);
	uint64_t now_ns = clock_now_ns();
	uint64_t data_ns = 0;
	bool is_done;
	int32_t fill;

	pthread_mutex_lock(&p->lock);
	fill = position_fill(&p->position, io->appl_ptr);
	/* What was captured until now is the last; what was never written is played already. */
	is_done = p->position.is_capture || (fill <= 0 && !p->is_started);
	if (!is_done)
		begin_drain(p, now_ns);
	if (fill > 0)
		data_ns = (uint64_t)fill * NS_PER_S / io->rate;
	pthread_mutex_unlock(&p->lock);
	if (is_done)
		return 0;
	if (io->nonblock == 1)
		return look_drained(p) ? 0 : -EAGAIN;
	return wait_drained(p, now_ns + data_ns + DRAIN_MARGIN_NS);
}

static int on_poll_revents(snd_pcm_ioplug_t *io, struct pollfd *pfd, unsigned int nfds,
			   unsigned short *revents)
{
	struct pcm_xen *p = pcm_of(io);
	struct pollstate s;

	if (nfds != 1)
		return -EINVAL;
	*revents = 0;
	if (pfd->revents & ~POLLIN) {
		*revents = POLLERR;
		return 0;
	}
	if (pfd->revents) {
		pthread_mutex_lock(&p->lock);
		xaring_client_woken(p->client, clock_now_ns());
		pthread_mutex_unlock(&p->lock);
	}
	/* Moves the pointers, finds xruns, and ends a drain that nobody waits for. */
	snd_pcm_avail_update(io->pcm);

	pthread_mutex_lock(&p->lock);
	/* A period event lasts until the application writes, or asks again without having written. */
	p->total_told = p->total_seen;
	s = pollstate_of(p, io->state, io->appl_ptr);
	if (pfd->revents)
		*revents = pollstate_events(&s);
	p->total_seen = p->position.total;
	rearm(p, clock_now_ns(), io->state, io->appl_ptr);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* Gaps are silent in any case; what a card would refuse is refused all the same. */
static bool is_silence_possible(const snd_pcm_sw_params_t *params, snd_pcm_uframes_t boundary,
				snd_pcm_uframes_t buffer)
{
	snd_pcm_uframes_t threshold, size;

	snd_pcm_sw_params_get_silence_threshold(params, &threshold);
	snd_pcm_sw_params_get_silence_size(params, &size);
	return size >= boundary ? threshold == 0 : size <= threshold && threshold <= buffer;
}

static int on_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
{
	struct pcm_xen *p = pcm_of(io);
	snd_pcm_uframes_t avail_min, stop_threshold, boundary;
	int period_event;

	snd_pcm_sw_params_get_avail_min(params, &avail_min);
	snd_pcm_sw_params_get_stop_threshold(params, &stop_threshold);
	snd_pcm_sw_params_get_boundary(params, &boundary);
	snd_pcm_sw_params_get_period_event(params, &period_event);
	if (!is_silence_possible(params, boundary, io->buffer_size))
		return -EINVAL;

	pthread_mutex_lock(&p->lock);
	p->avail_min = avail_min;
	p->stop_threshold = stop_threshold;
	p->period_event = period_event;
	p->position.boundary = boundary;
	rearm(p, clock_now_ns(), io->state, io->appl_ptr);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* One clear sentence for the person, and the limits for the application's next try. */
static int refuse(struct pcm_xen *p, int error, const struct xaring_refusal *refusal,
		  const struct xaring_params *params)
{
	uint32_t left = hwparams_buffer_left(refusal, params);
	char text[160];

	if (refusal->reason == XARING_REASON_NONE)
		return error;
	xaring_refusal_text(refusal, text, sizeof(text));
	if (left)
		SNDERR("xen: %s; a buffer of up to %u frames fits", text, left);
	else
		SNDERR("xen: %s", text);
	if (hwparams_narrow(&p->limits, refusal, params))
		hwparams_apply(&p->limits, &p->io);
	return error;
}

static int on_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *unused)
{
	struct pcm_xen *p = pcm_of(io);
	struct xaring_refusal refusal = {.reason = XARING_REASON_NONE};
	struct xaring_params params;
	int res;

	(void)unused;
	res = hwparams_choice(io, &params);
	if (res < 0)
		return res;
	pthread_mutex_lock(&p->lock);
	p->is_refusal_told = false;
	res = xaring_client_setup(p->client, &params, SETUP_TIMEOUT_MS, &refusal);
	p->has_shape = res == 0;
	p->state = (struct xaring_client_state){0};
	p->microphone_told = MICROPHONE_UNKNOWN;
	tell_link(p);
	p->published = 0;
	p->position = (struct position){
		.is_capture = params.direction == XARING_CAPTURE,
		.buffer = (uint32_t)io->buffer_size,
	};
	pthread_mutex_unlock(&p->lock);
	return res < 0 ? refuse(p, res, &refusal, &params) : 0;
}

static int on_hw_free(snd_pcm_ioplug_t *io)
{
	struct pcm_xen *p = pcm_of(io);

	pthread_mutex_lock(&p->lock);
	stop_stream(p);
	xaring_client_release(p->client);
	p->has_shape = false;
	pthread_mutex_unlock(&p->lock);
	/* alsa-lib would leave the state of the stream that is no more. */
	return snd_pcm_ioplug_set_state(io, SND_PCM_STATE_OPEN);
}

static void destroy(struct pcm_xen *p)
{
	xaring_client_close(p->client);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int on_close(snd_pcm_ioplug_t *io)
{
	destroy(pcm_of(io));
	return 0;
}

static void on_dump(snd_pcm_ioplug_t *io, snd_output_t *out)
{
	struct pcm_xen *p = pcm_of(io);
	char text[200];

	pthread_mutex_lock(&p->lock);
	xaring_client_describe(p->client, text, sizeof(text));
	pthread_mutex_unlock(&p->lock);
	snd_output_printf(out, "%s\n%s\n", io->name, text);
	if (p->has_shape) {
		snd_output_printf(out, "Its setup is:\n");
		snd_pcm_dump_setup(io->pcm, out);
	}
}

static snd_pcm_chmap_query_t **on_query_chmaps(snd_pcm_ioplug_t *io)
{
	(void)io;
	return hwparams_query_chmaps();
}

static snd_pcm_chmap_t *on_get_chmap(snd_pcm_ioplug_t *io)
{
	return hwparams_chmap(io->channels);
}

static int on_set_chmap(snd_pcm_ioplug_t *io, const snd_pcm_chmap_t *map)
{
	return hwparams_check_chmap(io->channels, map);
}

/* No resume: nothing here is ever SUSPENDED, and alsa-lib would tell applications that it may be. */
static const snd_pcm_ioplug_callback_t callbacks = {
	.start = on_start,
	.stop = on_stop,
	.pointer = on_pointer,
	.transfer = on_transfer,
	.close = on_close,
	.hw_params = on_hw_params,
	.hw_free = on_hw_free,
	.sw_params = on_sw_params,
	.prepare = on_prepare,
	.drain = on_drain,
	.pause = on_pause,
	.poll_revents = on_poll_revents,
	.dump = on_dump,
	.delay = on_delay,
	.query_chmaps = on_query_chmaps,
	.get_chmap = on_get_chmap,
	.set_chmap = on_set_chmap,
};

static void print_log(enum xaring_log_level level, const char *text)
{
	(void)level;
	fprintf(stderr, "xaring[%d]: %s\n", (int)getpid(), text);
}

/* Without it libxaring stays silent, or with the handler of an application that uses it as well. */
static bool is_debug_wanted(void)
{
	const char *debug = getenv("XARING_DEBUG");

	return debug && *debug && strcmp(debug, "0") != 0;
}

static int create(const struct conf *conf, struct pcm_xen **out)
{
	const char *name = conf->name[0] ? conf->name : program_invocation_short_name;
	struct pcm_xen *p = calloc(1, sizeof(*p));
	int res;

	if (!p)
		return -ENOMEM;
	res = xaring_client_create(conf->socket, name, &p->client);
	if (res < 0) {
		free(p);
		return res;
	}
	pthread_mutex_init(&p->lock, NULL);
	hwparams_init(&p->limits);
	p->is_debugged = is_debug_wanted();
	p->armed_ns = POLLSTATE_NEVER;
	p->io = (snd_pcm_ioplug_t){
		.version = SND_PCM_IOPLUG_VERSION,
		.name = "Sound of the host, by xaring",
		.flags = SND_PCM_IOPLUG_FLAG_BOUNDARY_WA | SND_PCM_IOPLUG_FLAG_MONOTONIC,
		.callback = &callbacks,
		.private_data = p,
		.poll_fd = xaring_client_poll_fd(p->client),
		.poll_events = POLLIN,
	};
	*out = p;
	return 0;
}

/* alsa-lib calls the close callback when a PCM that exists is deleted, and destroys p with it. */
static int open_pcm(struct pcm_xen *p, const char *name, snd_pcm_stream_t stream, int mode)
{
	int res;

	/* alsa-lib tells of later changes only. */
	p->io.nonblock = (mode & SND_PCM_NONBLOCK) != 0;
	p->is_interruptible = (mode & SND_PCM_EINTR) != 0;
	res = snd_pcm_ioplug_create(&p->io, name, stream, mode);
	if (res < 0) {
		destroy(p);
		return res;
	}
	res = hwparams_apply(&p->limits, &p->io);
	if (res < 0)
		snd_pcm_ioplug_delete(&p->io);
	return res;
}

/* The two names that alsa-lib looks up; everything else is hidden. */
#pragma GCC visibility push(default)

SND_PCM_PLUGIN_DEFINE_FUNC(xen);

SND_PCM_PLUGIN_DEFINE_FUNC(xen)
{
	struct conf settings;
	struct pcm_xen *p;
	char error[200];
	int res;

	(void)root;
	if (is_debug_wanted())
		xaring_log_set(print_log, XARING_LOG_DEBUG);
	res = conf_read(conf, &settings, error, sizeof(error));
	if (res < 0) {
		SNDERR("xen: %s", error);
		return res;
	}
	res = create(&settings, &p);
	if (res < 0)
		return res;
	res = open_pcm(p, name, stream, mode);
	if (res < 0)
		return res;
	*pcmp = p->io.pcm;
	return 0;
}

SND_PCM_PLUGIN_SYMBOL(xen);

#pragma GCC visibility pop
