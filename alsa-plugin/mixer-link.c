/* SPDX-License-Identifier: MIT */
/*
 * Holds a connection while there is one, and looks for another one when it is gone. Knows nothing of ALSA.
 */
#include "mixer-link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "now.h"

#define ANSWER_MS 250
#define RETRY_MS  1000

struct mixer_link {
	char *socket;
	int epoll_fd;
	int timer_fd; /* runs while a server is looked for; and once, at once, after a change of ours */
	struct xaring_mixer *mixer;
	uint64_t tried_ms; /* when a server was looked for; 0 = never */
	int error;         /* of the last try */
	bool watches;
	bool knows;                /* a server has said it */
	struct xaring_volume last; /* as it was seen last */
	struct xaring_volume told; /* by mixer_link_look() */
};

/* Looks for a server when nobody asks, if events are wanted. */
static void arm(struct mixer_link *l)
{
	struct itimerspec spec = {0};

	if (!l->mixer && l->watches)
		spec.it_value.tv_sec = spec.it_interval.tv_sec = RETRY_MS / 1000;
	(void)timerfd_settime(l->timer_fd, 0, &spec, NULL);
}

static void leave(struct mixer_link *l)
{
	if (!l->mixer)
		return;
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, xaring_mixer_fd(l->mixer), NULL);
	xaring_mixer_close(l->mixer);
	l->mixer = NULL;
	arm(l);
}

static int find(struct mixer_link *l)
{
	struct epoll_event event = {.events = EPOLLIN};
	int res;

	l->tried_ms = clock_now_ms();
	res = xaring_mixer_open(l->socket, ANSWER_MS, &l->mixer);
	if (res == 0 &&
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, xaring_mixer_fd(l->mixer), &event) < 0) {
		res = -errno;
		xaring_mixer_close(l->mixer);
		l->mixer = NULL;
	}
	l->error = res;
	arm(l);
	return res;
}

/* What the server has said of our own change was taken already: who waits for events is to see it as well. */
static void wake(const struct mixer_link *l)
{
	const struct itimerspec now = {.it_value.tv_nsec = 1};

	if (l->watches)
		(void)timerfd_settime(l->timer_fd, 0, &now, NULL);
}

static void listen_to_server(struct mixer_link *l)
{
	uint64_t expired;

	(void)!read(l->timer_fd, &expired, sizeof(expired));
	if (l->mixer && xaring_mixer_take(l->mixer) < 0)
		leave(l);
}

/* Listens, and looks for a server when that was not done just now: one that ends at once would be found without end. */
static void renew(struct mixer_link *l)
{
	listen_to_server(l);
	if (!l->mixer && (l->tried_ms == 0 || clock_now_ms() - l->tried_ms >= RETRY_MS))
		(void)find(l);
}

static void refresh(struct mixer_link *l)
{
	renew(l);
	if (!l->mixer)
		return;
	xaring_mixer_get(l->mixer, &l->last);
	l->knows = true;
}

static bool is_same(const struct xaring_volume *a, const struct xaring_volume *b)
{
	return a->linear == b->linear && a->muted == b->muted;
}

bool mixer_link_get(struct mixer_link *l, struct xaring_volume *volume)
{
	refresh(l);
	/* What was taken here is not in the socket any more, and has not been told. */
	if (l->mixer && !is_same(&l->last, &l->told))
		wake(l);
	*volume = l->last;
	return l->mixer != NULL;
}

bool mixer_link_knows(const struct mixer_link *l)
{
	return l->knows;
}

int mixer_link_error(const struct mixer_link *l)
{
	return l->error == -EBUSY || l->error == -ETIMEDOUT ? l->error : -ENODEV;
}

bool mixer_link_look(struct mixer_link *l)
{
	struct xaring_volume before = l->told;

	refresh(l);
	l->told = l->last;
	return !is_same(&before, &l->told);
}

int mixer_link_set(struct mixer_link *l, uint32_t what, const struct xaring_volume *volume)
{
	int res;

	listen_to_server(l);
	res = l->mixer ? 0 : find(l);
	if (res == 0)
		res = xaring_mixer_set(l->mixer, what, volume, ANSWER_MS);
	if (res < 0)
		leave(l);
	else
		wake(l);
	return res;
}

void mixer_link_watch(struct mixer_link *l, bool watch)
{
	l->watches = watch;
	if (watch)
		(void)mixer_link_look(l);
	arm(l);
}

int mixer_link_fd(const struct mixer_link *l)
{
	return l->epoll_fd;
}

static int make_descriptors(struct mixer_link *l)
{
	struct epoll_event event = {.events = EPOLLIN};

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return -errno;
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timer_fd < 0)
		return -errno;
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &event) < 0 ? -errno : 0;
}

int mixer_link_create(const char *socket, struct mixer_link **out)
{
	struct mixer_link *l = calloc(1, sizeof(*l));
	int res;

	if (!l)
		return -ENOMEM;
	*l = (struct mixer_link){.socket = strdup(socket),
				 .epoll_fd = -1,
				 .timer_fd = -1,
				 .last = {.linear = XARING_VOLUME_UNITY},
				 .told = {.linear = XARING_VOLUME_UNITY}};
	res = l->socket ? make_descriptors(l) : -ENOMEM;
	if (res < 0) {
		mixer_link_close(l);
		return res;
	}
	*out = l;
	return 0;
}

void mixer_link_close(struct mixer_link *l)
{
	if (!l)
		return;
	xaring_mixer_close(l->mixer);
	if (l->timer_fd >= 0)
		close(l->timer_fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	free(l->socket);
	free(l);
}
