/* SPDX-License-Identifier: MIT */
/*
 * The backend of the plugin's tests. Everything happens on its thread under one lock; the functions
 * for the test take the lock.
 */
#include "fake-backend.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <xaring/log.h>
#include <xaring/pages.h>
#include <xaring/record.h>
#include <xaring/server.h>
#include <xaring/shared.h>

#include "pump.h"

#define GRAPH_HZ    48000u
#define NS_PER_S    UINT64_C(1000000000)
#define FRAME_BYTES 32u
#define CYCLE_MAX   (8192u * 4)

struct fake_stream {
	int fd; /* -1 = gone */
	bool is_open;
	bool is_mixer;
	bool is_orphan; /* without a server, and going on */
	uint64_t epoch;
	uint64_t quiet_ns; /* no cycle before */
	uint32_t features;
	struct xaring_params params;
	struct xaring_shape shape;
	struct xaring_pages pages;
	struct pump pump;
	uint64_t rest; /* of frames * GRAPH_HZ, carried to the next cycle */
	char *sound;   /* what was consumed */
	uint32_t frames, room;
};

struct fake_backend {
	pthread_t thread;
	pthread_mutex_t lock;
	struct fake_options options;
	char path[108];
	uint32_t returned;
	struct xaring_listener *listener;
	int wake_fd;
	int timer_fd;
	int status_fd; /* read-only, for the clients */
	struct xaring_status_page *status;
	bool is_stalled;
	bool is_stuck;
	bool is_hearing;
	bool is_over;
	uint64_t next_ns; /* when the next cycle is due */
	uint64_t late_ns;
	uint32_t count;
	struct fake_stream streams[FAKE_STREAMS_MAX];
	char out[CYCLE_MAX * FRAME_BYTES];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void stream_end(struct fake_stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->is_orphan = false;
	xaring_pages_unmap(&s->pages);
}

static bool stream_is_alive(const struct fake_stream *s)
{
	return s->is_open && (s->fd >= 0 || s->is_orphan);
}

/* Keeps the frames that the pump took: they come first in the buffer. */
static void stream_keep(struct fake_stream *s, const void *from, uint32_t frames)
{
	if (frames == 0)
		return;
	if (s->frames + frames > s->room) {
		s->room = (s->frames + frames) * 2;
		s->sound = realloc(s->sound, (size_t)s->room * s->shape.frame_bytes);
		if (!s->sound)
			abort();
	}
	memcpy(s->sound + (size_t)s->frames * s->shape.frame_bytes, from,
	       (size_t)frames * s->shape.frame_bytes);
	s->frames += frames;
}

static void set_flags(const struct fake_backend *b, struct fake_stream *s)
{
	xaring_store(&s->pages.control->backend.flags,
		     b->is_hearing ? XARING_FLAG_CAPTURE_ALLOWED : 0);
}

/* Each frame begins with its number, the first one with 1. */
static const void *stream_hear(struct fake_backend *b, struct fake_stream *s, uint32_t frames)
{
	memset(b->out, 0, (size_t)frames * s->shape.frame_bytes);
	for (uint32_t i = 0; i < frames; i++) {
		s->frames++;
		memcpy(b->out + (size_t)i * s->shape.frame_bytes, &s->frames, sizeof(s->frames));
	}
	return b->out;
}

static void stream_cycle(struct fake_backend *b, struct fake_stream *s, uint64_t time_ns)
{
	uint64_t want = (uint64_t)b->options.quantum * s->params.rate_hz + s->rest;
	uint32_t frames = (uint32_t)(want / GRAPH_HZ);
	uint32_t before = s->pump.consumed;
	uint64_t age_ns = now_ns() - time_ns;
	struct pump_cycle cycle = {
		.time_ns = time_ns,
		.age_ns = age_ns < NS_PER_S ? (uint32_t)age_ns : (uint32_t)NS_PER_S,
		.rate_mhz = s->params.rate_hz * 1000,
		.delay = frames,
	};

	s->rest = want % GRAPH_HZ;
	set_flags(b, s);
	if (s->params.direction == XARING_CAPTURE) {
		pump_capture(&s->pump, b->is_hearing ? stream_hear(b, s, frames) : NULL, frames,
			     &cycle);
		return;
	}
	pump_playback(&s->pump, b->out, frames, &cycle);
	stream_keep(s, b->out, s->pump.consumed - before);
}

/* A record that answers whatever the guest says, at the position where the guest began. */
static void stream_stick(struct fake_backend *b, struct fake_stream *s, uint64_t time_ns)
{
	struct xaring_record record = {
		.word = xaring_load(&s->pages.control->guest.word),
		.pos = xaring_load(&s->pages.control->guest.base),
		.frames = b->options.quantum,
		.time_ns = time_ns,
		.rate_mhz = s->params.rate_hz * 1000,
	};

	xaring_record_publish(&s->pages.control->record, &s->pump.seq, &record);
}

static uint64_t cycle_ns(const struct fake_backend *b)
{
	return b->options.quantum * NS_PER_S / GRAPH_HZ;
}

static void run_cycle(struct fake_backend *b)
{
	uint64_t expired, time_ns;

	if (read(b->timer_fd, &expired, sizeof(expired)) != sizeof(expired))
		return;
	/* Cycles that a busy machine missed are not made up for: nobody could keep up with that. */
	time_ns = now_ns();
	if (time_ns > b->next_ns && time_ns - b->next_ns > b->late_ns)
		b->late_ns = time_ns - b->next_ns;
	b->next_ns += cycle_ns(b);
	if (b->next_ns < time_ns)
		b->next_ns = time_ns;
	for (uint32_t i = 0; !b->is_stalled && i < b->count; i++)
		if (stream_is_alive(&b->streams[i]) && time_ns >= b->streams[i].quiet_ns)
			(b->is_stuck ? stream_stick : stream_cycle)(b, &b->streams[i], time_ns);
}

/* Makes the pages, maps them and gives them to the client. Returns 0 or a negative errno. */
static int stream_give(struct fake_backend *b, struct fake_stream *s, enum xaring_message_type type)
{
	struct xaring_accept accept = {
		.version = XARING_PROTOCOL_VERSION,
		.features = b->options.is_far ? 0 : s->features & XARING_FEATURE_SAME_CLOCK,
		.epoch = now_ns() | 1,
		.capacity = s->shape.capacity,
		.data_pages = s->shape.data_pages,
	};
	bool is_capture = s->params.direction == XARING_CAPTURE;
	int control, data, data_read, res;

	res = xaring_memfd_stream(&s->shape, &control, &data, &data_read);
	if (res < 0)
		return res;
	s->epoch = accept.epoch;
	xaring_pages_unmap(&s->pages);
	res = xaring_pages_map(&s->pages, &s->shape, control, 0, is_capture ? data : data_read, 0,
			       is_capture);
	if (res == 0) {
		pump_init(&s->pump, &s->params, &s->shape, &s->pages, 0);
		set_flags(b, s);
		pump_attach(&s->pump);
		res = xaring_server_send_pages(s->fd, type, &accept, control, data, b->status_fd);
	}
	close(control);
	close(data);
	close(data_read);
	return res;
}

/* Gives the connection to the stream whose pages it presents, if there is one. */
static bool stream_return(struct fake_backend *b, struct fake_stream *s,
			  const struct xaring_open *open)
{
	for (uint32_t i = 0; i < b->count; i++) {
		struct fake_stream *old = &b->streams[i];

		if (!old->is_orphan || old->epoch != open->epoch)
			continue;
		old->fd = s->fd;
		old->is_orphan = false;
		s->fd = -1;
		xaring_server_send_keep(old->fd, old->epoch, b->status_fd);
		b->returned++;
		return true;
	}
	return false;
}

/* As the broker counts: with this one there would be so many, and there may be at most so many. */
static int check_pages(const struct fake_backend *b, const struct fake_stream *s,
		       struct xaring_refusal *refusal)
{
	uint32_t pages = s->shape.pages;

	for (uint32_t i = 0; i < b->count; i++)
		if (stream_is_alive(&b->streams[i]))
			pages += b->streams[i].shape.pages;
	if (b->options.pages_max == 0 || pages <= b->options.pages_max)
		return 0;
	*refusal = (struct xaring_refusal){.reason = XARING_REASON_PAGES,
					   .value = pages,
					   .min = 2,
					   .max = b->options.pages_max};
	return -EDQUOT;
}

static void stream_open(struct fake_backend *b, struct fake_stream *s,
			const struct xaring_open *open)
{
	struct xaring_refusal refusal = b->options.refusal;
	uint32_t version;

	if (b->options.is_mute || stream_return(b, s, open))
		return;
	s->params = open->params;
	if (refusal.reason == XARING_REASON_NONE &&
	    xaring_server_agree(open, &version, &s->features, &refusal) == 0 &&
	    xaring_params_shape(&s->params, &s->shape, &refusal) == 0 &&
	    check_pages(b, s, &refusal) == 0) {
		s->is_open = stream_give(b, s, XARING_MESSAGE_ACCEPT) == 0;
		if (!s->is_open)
			stream_end(s);
		return;
	}
	xaring_server_send_refusal(s->fd, &refusal);
	stream_end(s);
}

/* ---- mixers ---- */

static void watch(struct fake_backend *b, struct fake_stream *s)
{
	if (b->options.is_mute)
		return;
	if (b->options.refusal.reason == XARING_REASON_BUSY) {
		xaring_server_send_refusal(s->fd, &b->options.refusal);
		stream_end(s);
		return;
	}
	s->is_mixer = true;
	(void)xaring_server_send_status(s->fd, XARING_PROTOCOL_VERSION, b->status_fd);
	if (b->options.ends_mixers)
		stream_end(s);
}

static void tell_mixers(const struct fake_backend *b)
{
	for (uint32_t i = 0; i < b->count; i++)
		if (b->streams[i].is_mixer && b->streams[i].fd >= 0)
			(void)xaring_server_send_changed(b->streams[i].fd, false);
}

static void set_volume(struct fake_backend *b, struct fake_stream *s,
		       const struct xaring_set_volume *set)
{
	if (b->options.refusal.reason != XARING_REASON_NONE) {
		xaring_server_send_refusal(s->fd, &b->options.refusal);
		stream_end(s);
		return;
	}
	if (set->what & XARING_SET_VOLUME)
		xaring_store(&b->status->volume, set->volume);
	if (set->what & XARING_SET_MUTED)
		xaring_store(&b->status->flags,
			     XARING_STATUS_BACKEND | (set->muted ? XARING_STATUS_GUEST_MUTED : 0));
	(void)xaring_server_send_changed(s->fd, true);
	tell_mixers(b);
}

void fake_set_volume(struct fake_backend *b, uint32_t volume, bool muted)
{
	pthread_mutex_lock(&b->lock);
	xaring_store(&b->status->volume, volume);
	xaring_store(&b->status->flags,
		     XARING_STATUS_BACKEND | (muted ? XARING_STATUS_GUEST_MUTED : 0));
	tell_mixers(b);
	pthread_mutex_unlock(&b->lock);
}

uint32_t fake_mixers(struct fake_backend *b)
{
	uint32_t count = 0;

	pthread_mutex_lock(&b->lock);
	for (uint32_t i = 0; i < b->count; i++)
		count += b->streams[i].is_mixer && b->streams[i].fd >= 0;
	pthread_mutex_unlock(&b->lock);
	return count;
}

static void stream_receive(struct fake_backend *b, struct fake_stream *s)
{
	struct xaring_message message;
	int res = xaring_wire_receive(s->fd, &message);

	if (res == -EAGAIN)
		return;
	if (res < 0 || (message.type == XARING_MESSAGE_OPEN && s->is_open)) {
		stream_end(s);
		return;
	}
	if (message.type == XARING_MESSAGE_OPEN)
		stream_open(b, s, &message.u.open);
	else if (message.type == XARING_MESSAGE_WATCH)
		watch(b, s);
	else if (message.type == XARING_MESSAGE_SET_VOLUME && s->is_mixer)
		set_volume(b, s, &message.u.set_volume);
	xaring_message_finish(&message);
}

/* A place that nobody had, or else one whose stream is over. NULL when all live. */
static struct fake_stream *free_place(struct fake_backend *b)
{
	if (b->count < FAKE_STREAMS_MAX)
		return &b->streams[b->count++];
	for (uint32_t i = 0; i < b->count; i++) {
		struct fake_stream *s = &b->streams[i];

		if (s->fd >= 0 || s->is_orphan)
			continue;
		free(s->sound);
		*s = (struct fake_stream){0};
		return s;
	}
	return NULL;
}

static void take_client(struct fake_backend *b)
{
	struct xaring_peer peer;
	int fd = b->listener ? xaring_listener_accept(b->listener, &peer) : -1;
	struct fake_stream *s;

	if (fd < 0)
		return;
	s = free_place(b);
	if (s)
		s->fd = fd;
	else
		close(fd);
}

static void run_once(struct fake_backend *b)
{
	struct pollfd pfds[3 + FAKE_STREAMS_MAX] = {
		{.fd = b->wake_fd, .events = POLLIN},
		{.fd = b->timer_fd, .events = POLLIN},
		{.fd = b->listener ? xaring_listener_fd(b->listener) : -1, .events = POLLIN},
	};
	uint32_t count = b->count;
	uint64_t wakes;

	for (uint32_t i = 0; i < count; i++)
		pfds[3 + i] = (struct pollfd){.fd = b->streams[i].fd, .events = POLLIN};
	pthread_mutex_unlock(&b->lock);
	poll(pfds, 3 + count, -1);
	pthread_mutex_lock(&b->lock);
	if (pfds[0].revents)
		(void)!read(b->wake_fd, &wakes, sizeof(wakes));
	for (uint32_t i = 0; i < count; i++)
		if (pfds[3 + i].revents && b->streams[i].fd == pfds[3 + i].fd)
			stream_receive(b, &b->streams[i]);
	if (pfds[1].revents)
		run_cycle(b);
	if (pfds[2].revents)
		take_client(b);
}

static void *run(void *data)
{
	struct fake_backend *b = data;
	sigset_t all;

	/* Signals are for the test's own thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	pthread_mutex_lock(&b->lock);
	while (!b->is_over)
		run_once(b);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

static int status_open(struct fake_backend *b)
{
	int write_fd, res = xaring_memfd_status(&write_fd, &b->status_fd);

	if (res < 0)
		return res;
	res = xaring_status_map(write_fd, true, &b->status);
	close(write_fd);
	if (res == 0)
		xaring_store(&b->status->flags, XARING_STATUS_BACKEND);
	return res;
}

static int timer_open(struct fake_backend *b)
{
	struct itimerspec spec = {
		.it_interval = {.tv_nsec = (long)cycle_ns(b)},
		.it_value = {.tv_nsec = (long)cycle_ns(b)},
	};

	b->next_ns = now_ns() + cycle_ns(b);
	b->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (b->timer_fd < 0 || timerfd_settime(b->timer_fd, 0, &spec, NULL) < 0)
		return -errno;
	return 0;
}

static void close_all(struct fake_backend *b)
{
	for (uint32_t i = 0; i < b->count; i++) {
		stream_end(&b->streams[i]);
		free(b->streams[i].sound);
	}
	if (b->listener)
		xaring_listener_close(b->listener);
	xaring_status_unmap(b->status);
	if (b->status_fd >= 0)
		close(b->status_fd);
	if (b->timer_fd >= 0)
		close(b->timer_fd);
	if (b->wake_fd >= 0)
		close(b->wake_fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

int fake_start(const char *path, const struct fake_options *options, struct fake_backend **out)
{
	struct fake_backend *b = calloc(1, sizeof(*b));
	int res;

	if (!b)
		return -ENOMEM;
	b->timer_fd = b->status_fd = -1;
	b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (options)
		b->options = *options;
	if (!b->options.quantum)
		b->options.quantum = 1024;
	pthread_mutex_init(&b->lock, NULL);
	res = status_open(b);
	if (res == 0)
		res = timer_open(b);
	strncpy(b->path, path, sizeof(b->path) - 1);
	if (res == 0)
		res = xaring_listener_open(path, 0600, &b->listener);
	if (res == 0)
		res = -pthread_create(&b->thread, NULL, run, b);
	if (res < 0) {
		close_all(b);
		return res;
	}
	*out = b;
	return 0;
}

/* Its poll set is another one now. */
static void wake_up(struct fake_backend *b)
{
	uint64_t one = 1;

	if (write(b->wake_fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

void fake_stop(struct fake_backend *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->is_over = true;
	pthread_mutex_unlock(&b->lock);
	wake_up(b);
	pthread_join(b->thread, NULL);
	close_all(b);
}

void fake_hear(struct fake_backend *b, bool hearing)
{
	pthread_mutex_lock(&b->lock);
	b->is_hearing = hearing;
	pthread_mutex_unlock(&b->lock);
}

void fake_stall(struct fake_backend *b, bool stalled)
{
	pthread_mutex_lock(&b->lock);
	b->is_stalled = stalled;
	pthread_mutex_unlock(&b->lock);
}

void fake_stick(struct fake_backend *b)
{
	pthread_mutex_lock(&b->lock);
	b->is_stuck = true;
	pthread_mutex_unlock(&b->lock);
}

void fake_lose_server(struct fake_backend *b)
{
	pthread_mutex_lock(&b->lock);
	xaring_listener_close(b->listener);
	b->listener = NULL;
	for (uint32_t i = 0; i < b->count; i++) {
		struct fake_stream *s = &b->streams[i];

		if (s->fd < 0)
			continue;
		close(s->fd);
		s->fd = -1;
		s->is_orphan = s->is_open;
	}
	pthread_mutex_unlock(&b->lock);
	wake_up(b);
}

int fake_find_server(struct fake_backend *b)
{
	int res;

	pthread_mutex_lock(&b->lock);
	res = xaring_listener_open(b->path, 0600, &b->listener);
	pthread_mutex_unlock(&b->lock);
	wake_up(b);
	return res;
}

uint32_t fake_returned(struct fake_backend *b)
{
	uint32_t count;

	pthread_mutex_lock(&b->lock);
	count = b->returned;
	pthread_mutex_unlock(&b->lock);
	return count;
}

int fake_relink(struct fake_backend *b, uint32_t first_ms)
{
	int res = 0;

	pthread_mutex_lock(&b->lock);
	for (uint32_t i = 0; res == 0 && i < b->count; i++) {
		struct fake_stream *s = &b->streams[i];

		if (s->fd < 0 || !s->is_open)
			continue;
		s->quiet_ns = now_ns() + first_ms * UINT64_C(1000000);
		res = stream_give(b, s, XARING_MESSAGE_RELINK);
	}
	pthread_mutex_unlock(&b->lock);
	return res;
}

void fake_refuse(struct fake_backend *b, const struct xaring_refusal *refusal, bool late)
{
	pthread_mutex_lock(&b->lock);
	b->options.refusal = *refusal;
	for (uint32_t i = 0; late && i < b->count; i++) {
		if (b->streams[i].fd < 0)
			continue;
		xaring_server_send_refusal(b->streams[i].fd, refusal);
		stream_end(&b->streams[i]);
	}
	pthread_mutex_unlock(&b->lock);
}

uint32_t fake_streams(struct fake_backend *b)
{
	uint32_t count;

	pthread_mutex_lock(&b->lock);
	count = b->count;
	pthread_mutex_unlock(&b->lock);
	return count;
}

uint32_t fake_streams_alive(struct fake_backend *b)
{
	uint32_t count = 0;

	pthread_mutex_lock(&b->lock);
	for (uint32_t i = 0; i < b->count; i++)
		count += b->streams[i].fd >= 0;
	pthread_mutex_unlock(&b->lock);
	return count;
}

void fake_params(struct fake_backend *b, uint32_t i, struct xaring_params *params)
{
	pthread_mutex_lock(&b->lock);
	*params = b->streams[i].params;
	pthread_mutex_unlock(&b->lock);
}

uint32_t fake_consumed(struct fake_backend *b, uint32_t i)
{
	uint32_t frames;

	pthread_mutex_lock(&b->lock);
	frames = b->streams[i].frames;
	pthread_mutex_unlock(&b->lock);
	return frames;
}

void *fake_sound(struct fake_backend *b, uint32_t i, uint32_t *frames)
{
	struct fake_stream *s = &b->streams[i];
	void *copy = NULL;

	pthread_mutex_lock(&b->lock);
	*frames = s->frames;
	if (s->frames) {
		copy = malloc((size_t)s->frames * s->shape.frame_bytes);
		if (copy)
			memcpy(copy, s->sound, (size_t)s->frames * s->shape.frame_bytes);
	}
	pthread_mutex_unlock(&b->lock);
	return copy;
}

uint32_t fake_xruns(struct fake_backend *b, uint32_t i)
{
	uint32_t xruns;

	pthread_mutex_lock(&b->lock);
	xruns = b->streams[i].pump.xruns;
	pthread_mutex_unlock(&b->lock);
	return xruns;
}

uint64_t fake_late_ns(struct fake_backend *b)
{
	uint64_t late_ns;

	pthread_mutex_lock(&b->lock);
	late_ns = b->late_ns;
	pthread_mutex_unlock(&b->lock);
	return late_ns;
}

uint32_t fake_cycles(struct fake_backend *b, uint32_t i)
{
	uint32_t cycles;

	pthread_mutex_lock(&b->lock);
	cycles = b->streams[i].pump.cycles;
	pthread_mutex_unlock(&b->lock);
	return cycles;
}
