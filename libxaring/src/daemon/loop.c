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
	int fd; /* SOURCE_IO: borrowed */
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

static int source_add(struct loop *loop, enum source_kind kind, int fd, uint32_t events,
		      struct loop_source **out)
{
	struct loop_source *source = calloc(1, sizeof(*source));
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (!source)
		return -ENOMEM;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int res = -errno;

		free(source);
		return res;
	}
	source->loop = loop;
	source->kind = kind;
	source->fd = fd;
	source->next = loop->live;
	if (loop->live)
		loop->live->prev = source;
	loop->live = source;
	*out = source;
	return 0;
}

int loop_add_io(struct loop *loop, int fd, uint32_t events, loop_io_fn fn, void *data,
		struct loop_source **out)
{
	struct loop_source *source;
	int res = source_add(loop, SOURCE_IO, fd, events, &source);

	if (res < 0)
		return res;
	source->fn.io = fn;
	source->data = data;
	*out = source;
	return 0;
}

int loop_update_io(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno
											: 0;
}

int loop_add_timer(struct loop *loop, loop_timer_fn fn, void *data, struct loop_source **out)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct loop_source *source;
	int res;

	if (fd < 0)
		return -errno;
	res = source_add(loop, SOURCE_TIMER, fd, EPOLLIN, &source);
	if (res < 0) {
		close(fd);
		return res;
	}
	source->fn.timer = fn;
	source->data = data;
	*out = source;
	return 0;
}

static struct timespec timespec_of_ms(uint32_t ms)
{
	return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
}

int loop_arm_timer(struct loop_source *source, uint32_t first_ms, uint32_t repeat_ms)
{
	struct itimerspec spec = {.it_interval = timespec_of_ms(repeat_ms)};

	/* Zero would disarm it: with a repetition it means the first time is one interval away. */
	spec.it_value = timespec_of_ms(first_ms > 0 ? first_ms : repeat_ms);
	return timerfd_settime(source->fd, 0, &spec, NULL) < 0 ? -errno : 0;
}

int loop_add_signal(struct loop *loop, int signal, loop_signal_fn fn, void *data,
		    struct loop_source **out)
{
	struct loop_source *source;
	sigset_t set;
	int fd, res;

	sigemptyset(&set);
	if (sigaddset(&set, signal) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	res = source_add(loop, SOURCE_SIGNAL, fd, EPOLLIN, &source);
	if (res < 0) {
		close(fd);
		return res;
	}
	source->fn.signal = fn;
	source->data = data;
	*out = source;
	return 0;
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
