/* SPDX-License-Identifier: MIT */
/*
 * The event loop of the daemons, over epoll(7), timerfd and signalfd. It owns its own descriptors
 * and the sources, never those that were given to it, and knows nothing about what they mean.
 *
 * epoll reports pointers to sources. A source that is removed while a round is worked off may still
 * be in that round's list, so it is only marked and put on the dead list; the next round frees it.
 */
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define ROUND_EVENTS 32

enum source_kind { SOURCE_IO, SOURCE_TIMER, SOURCE_SIGNAL };

struct loop_source {
	struct loop *loop;
	struct loop_source *next, *prev; /* loop::live; next also loop::dead */
	enum source_kind kind;
	bool dead;
	bool repeats; /* SOURCE_TIMER: until it is armed once, or disarmed */
	int fd;       /* SOURCE_IO: borrowed */
	void *data;
	union {
		loop_io_fn io;
		loop_timer_fn timer;
		loop_signal_fn signal;
	} fn;
};

struct loop {
	int epoll_fd;
	bool quit;
	int code;
	struct loop_source *live;
	struct loop_source *dead;
};

int loop_create(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int res;

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		res = -errno;
		free(loop);
		return res;
	}
	*out = loop;
	return 0;
}

static void free_dead(struct loop *loop)
{
	while (loop->dead) {
		struct loop_source *source = loop->dead;

		loop->dead = source->next;
		free(source);
	}
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->live)
		loop_remove(loop->live);
	free_dead(loop);
	close(loop->epoll_fd);
	free(loop);
}

/* Copies what was made. Unless it is borrowed, its descriptor is closed when that fails. */
static int source_add(struct loop *loop, const struct loop_source *made, uint32_t events,
		      struct loop_source **out)
{
	struct loop_source *source = calloc(1, sizeof(*source));
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (!source || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, made->fd, &event) < 0) {
		int res = -errno;

		free(source);
		if (made->kind != SOURCE_IO)
			close(made->fd);
		return res;
	}
	*source = *made;
	source->loop = loop;
	source->next = loop->live;
	if (loop->live)
		loop->live->prev = source;
	loop->live = source;
	if (out)
		*out = source;
	return 0;
}

int loop_add_io(struct loop *loop, int fd, uint32_t events, loop_io_fn fn, void *data,
		struct loop_source **out)
{
	const struct loop_source io = {.kind = SOURCE_IO, .fd = fd, .fn.io = fn, .data = data};

	return source_add(loop, &io, events, out);
}

void loop_update_io(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

int loop_add_timer(struct loop *loop, loop_timer_fn fn, void *data, struct loop_source **out)
{
	const struct loop_source timer = {.kind = SOURCE_TIMER,
					  .fd = timerfd_create(CLOCK_MONOTONIC,
							       TFD_CLOEXEC | TFD_NONBLOCK),
					  .fn.timer = fn,
					  .data = data};

	return timer.fd < 0 ? -errno : source_add(loop, &timer, EPOLLIN, out);
}

static void set_timer(struct loop_source *source, uint32_t ms, bool repeats)
{
	const struct timespec at = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	struct itimerspec spec = {.it_value = at};

	if (repeats)
		spec.it_interval = at;
	source->repeats = repeats;
	timerfd_settime(source->fd, 0, &spec, NULL);
}

void loop_arm_timer(struct loop_source *source, uint32_t ms)
{
	set_timer(source, ms, false);
}

void loop_repeat_timer(struct loop_source *source, uint32_t ms)
{
	if (!source->repeats)
		set_timer(source, ms, true);
}

int loop_add_signal(struct loop *loop, int signal, loop_signal_fn fn, void *data,
		    struct loop_source **out)
{
	struct loop_source source = {.kind = SOURCE_SIGNAL, .fn.signal = fn, .data = data};
	sigset_t set;

	sigemptyset(&set);
	if (sigaddset(&set, signal) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	source.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return source.fd < 0 ? -errno : source_add(loop, &source, EPOLLIN, out);
}

void loop_remove(struct loop_source *source)
{
	struct loop *loop;

	if (!source || source->dead)
		return;
	loop = source->loop;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	if (source->kind != SOURCE_IO)
		close(source->fd);
	if (source->next)
		source->next->prev = source->prev;
	if (source->prev)
		source->prev->next = source->next;
	else
		loop->live = source->next;
	source->dead = true;
	source->next = loop->dead;
	loop->dead = source;
}

static void dispatch_timer(struct loop_source *source)
{
	uint64_t expirations;

	/* Armed anew by an earlier callback of the same round: not over yet. */
	if (read(source->fd, &expirations, sizeof(expirations)) != sizeof(expirations))
		return;
	source->fn.timer(source->data);
}

static void dispatch_signal(struct loop_source *source)
{
	struct signalfd_siginfo info;

	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	source->fn.signal(source->data, (int)info.ssi_signo);
}

static void dispatch(struct loop_source *source, uint32_t events)
{
	if (source->dead)
		return;
	switch (source->kind) {
	case SOURCE_IO:
		source->fn.io(source->data, events);
		break;
	case SOURCE_TIMER:
		dispatch_timer(source);
		break;
	case SOURCE_SIGNAL:
		dispatch_signal(source);
		break;
	}
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[ROUND_EVENTS];

	loop->quit = false;
	while (!loop->quit) {
		int count;

		free_dead(loop);
		count = epoll_wait(loop->epoll_fd, events, ROUND_EVENTS, -1);
		if (count < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < count && !loop->quit; i++)
			dispatch(events[i].data.ptr, events[i].events);
	}
	return loop->code;
}

void loop_quit(struct loop *loop, int code)
{
	loop->quit = true;
	loop->code = code;
}
