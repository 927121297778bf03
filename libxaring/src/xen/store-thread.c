/* SPDX-License-Identifier: MIT */
/*
 * The store's thread: connects, sets watches, runs jobs, reads events, and connects again. It alone
 * sets, unsets and frees watches; the loop marks them as removed.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "now.h"
#include "store-private.h"

#define RETRY_FIRST_MS  100
#define RETRY_LAST_MS   2000
#define SETTLED_MS      2000 /* a connection that lasted so long makes the next wait short */
#define FLOOD_EVENTS    200  /* of one watch, in */
#define FLOOD_WINDOW_MS 1000
#define AWAY_MS         5000
#define SAY_MS          60000

/* Locked. */
static void tell_loop(struct store *s)
{
	if (s->told)
		return;
	s->told = true;
	event_raise(s->told_fd);
}

/* ---- watches ---- */

static void set_busy(struct store *s, bool busy)
{
	pthread_mutex_lock(&s->lock);
	s->busy_since_ms = busy ? clock_now_ms() : 0;
	pthread_mutex_unlock(&s->lock);
}

/* Locked. */
static void fire(struct store *s, struct store_watch *watch)
{
	if (watch->is_fired)
		return;
	watch->is_fired = true;
	watch->next_fired = NULL;
	*s->fired.tail = watch;
	s->fired.tail = &watch->next_fired;
	s->fired.count++;
	tell_loop(s);
}

static bool ends_with(const char *path, const char *suffix)
{
	size_t length = strlen(path), end = strlen(suffix);

	return length >= end && memcmp(path + length - end, suffix, end) == 0;
}

static void count_event(struct store_watch *watch)
{
	uint64_t now_ms = clock_now_ms();

	if (now_ms - watch->window_ms >= FLOOD_WINDOW_MS) {
		watch->window_ms = now_ms;
		watch->events = 0;
	}
	if (++watch->events > FLOOD_EVENTS)
		watch->flooding = true;
}

/* Locked. */
static struct store_watch *find_watch(struct store *s, const char *token)
{
	struct store_watch *watch = s->watches;

	while (watch && strcmp(watch->token, token) != 0)
		watch = watch->next;
	return watch;
}

/* What was still on its way when a watch was taken away does not count. */
static void on_event(void *data, const char *path, const char *token)
{
	struct store *s = data;
	struct store_watch *watch;

	pthread_mutex_lock(&s->lock);
	watch = find_watch(s, token);
	if (watch && watch->set && !watch->removed) {
		count_event(watch);
		if (!watch->suffix || ends_with(path, watch->suffix) ||
		    strcmp(path, watch->path) == 0)
			fire(s, watch);
	}
	pthread_mutex_unlock(&s->lock);
}

/* The first watch for which there is something to do. */
static struct store_watch *next_watch(struct store *s, bool *removed)
{
	struct store_watch *watch;
	uint64_t now_ms = clock_now_ms();

	pthread_mutex_lock(&s->lock);
	for (watch = s->watches; watch; watch = watch->next) {
		if (watch->removed || (watch->set && watch->flooding) ||
		    (!watch->set && !s->link.lost && now_ms >= watch->due_ms))
			break;
	}
	*removed = watch && watch->removed;
	pthread_mutex_unlock(&s->lock);
	return watch;
}

static void say_watch(struct store *s, struct store_watch *watch, const char *what)
{
	uint64_t now_ms = clock_now_ms();

	if (watch->said_ms && now_ms - watch->said_ms < SAY_MS)
		return;
	watch->said_ms = now_ms;
	pthread_mutex_lock(&s->lock);
	(void)snprintf(s->news.watch, sizeof(s->news.watch), "%.100s %s", watch->path, what);
	tell_loop(s);
	pthread_mutex_unlock(&s->lock);
}

static void unset_watch(struct store *s, struct store_watch *watch)
{
	if (watch->set)
		link_unwatch(&s->link, watch->path, watch->token);
	watch->set = false;
	watch->flooding = false;
	watch->due_ms = clock_now_ms() + AWAY_MS;
}

static void set_watch(struct store *s, struct store_watch *watch)
{
	int res;

	watch->events = 0;
	watch->set = true; /* its first event may come before the answer */
	res = link_watch(&s->link, watch->path, watch->token);
	if (res == 0 || store_is_lost(res))
		return;
	watch->set = false;
	watch->due_ms = clock_now_ms() + AWAY_MS;
	say_watch(s, watch, "cannot be watched: trying again every 5 s");
}

static void remove_watch(struct store *s, struct store_watch *watch)
{
	struct store_watch **at = &s->watches;

	unset_watch(s, watch);
	pthread_mutex_lock(&s->lock);
	while (*at != watch)
		at = &(*at)->next;
	*at = watch->next;
	pthread_mutex_unlock(&s->lock);
	watch_free(watch);
}

static void handle_watches(struct store *s)
{
	struct store_watch *watch;
	bool removed;

	while ((watch = next_watch(s, &removed)) != NULL) {
		set_busy(s, true);
		if (removed) {
			remove_watch(s, watch);
		} else if (watch->flooding) {
			unset_watch(s, watch);
			say_watch(s, watch,
				  "changes more than 200 times in a second: not watched for 5 s");
		} else {
			set_watch(s, watch);
		}
		set_busy(s, false);
	}
}

/* ---- the connection ---- */

/* The next wait is twice as long, up to a limit. */
static void retry_later(struct store *s, int error)
{
	uint32_t delay_ms = s->retry_delay_ms;

	s->retry_ms = clock_now_ms() + delay_ms;
	s->retry_delay_ms = delay_ms * 2 < RETRY_LAST_MS ? delay_ms * 2 : RETRY_LAST_MS;
	if (s->loss_told)
		return;
	s->loss_told = true;
	pthread_mutex_lock(&s->lock);
	s->news.lost = error;
	tell_loop(s);
	pthread_mutex_unlock(&s->lock);
}

static void connect_to_xenstore(struct store *s)
{
	int res;

	set_busy(s, true);
	res = link_open(&s->link);
	set_busy(s, false);
	if (res < 0) {
		retry_later(s, -res);
		return;
	}
	s->linked_ms = clock_now_ms();
	s->loss_told = false;
	pthread_mutex_lock(&s->lock);
	s->news.connected = true;
	tell_loop(s);
	pthread_mutex_unlock(&s->lock);
}

static void forget_watches(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	for (struct store_watch *watch = s->watches; watch; watch = watch->next) {
		watch->set = false;
		watch->flooding = false;
		watch->due_ms = 0;
	}
	pthread_mutex_unlock(&s->lock);
}

static void handle_loss(struct store *s)
{
	uint64_t lasted_ms = clock_now_ms() - s->linked_ms;
	bool is_silent = s->link.is_silent;

	if (!link_is_open(&s->link) || !s->link.lost)
		return;
	link_close(&s->link);
	forget_watches(s);
	if (lasted_ms >= SETTLED_MS)
		s->retry_delay_ms = RETRY_FIRST_MS;
	retry_later(s, is_silent ? ETIMEDOUT : ENOTCONN);
}

/* ---- jobs ---- */

static struct store_job *begin_job(struct store *s)
{
	struct store_job *job;

	pthread_mutex_lock(&s->lock);
	job = s->quit ? NULL : queue_take(&s->waiting);
	if (job)
		s->busy_since_ms = clock_now_ms();
	pthread_mutex_unlock(&s->lock);
	return job;
}

static void end_job(struct store *s, struct store_job *job, int res)
{
	pthread_mutex_lock(&s->lock);
	s->busy_since_ms = 0;
	if (!s->abandoned) {
		job->res = res;
		queue_put(&s->finished, job);
		tell_loop(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static bool run_job(struct store *s)
{
	struct store_job *job = begin_job(s);

	if (!job)
		return false;
	end_job(s, job, s->link.lost ? -ENOTCONN : job->work(job, &s->link));
	return true;
}

/* ---- the thread ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When there is something to do if nothing happens. */
static uint64_t next_due(struct store *s)
{
	uint64_t due_ms = UINT64_MAX;

	if (s->link.lost)
		return s->retry_ms;
	pthread_mutex_lock(&s->lock);
	for (struct store_watch *watch = s->watches; watch; watch = watch->next) {
		if (!watch->set)
			due_ms = earlier(due_ms, watch->due_ms);
	}
	pthread_mutex_unlock(&s->lock);
	return due_ms;
}

static int timeout_until(uint64_t due_ms)
{
	uint64_t now_ms = clock_now_ms();

	if (due_ms == UINT64_MAX)
		return -1;
	return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static void wait_for_something(struct store *s)
{
	struct pollfd fds[] = {{.fd = s->wake_fd, .events = POLLIN},
			       {.fd = link_fd(&s->link), .events = POLLIN}};

	if (poll(fds, 2, timeout_until(next_due(s))) < 0 && errno != EINTR && !s->link.lost)
		s->link.lost = -ENOTCONN;
	event_clear(s->wake_fd);
}

static bool is_quitting(struct store *s)
{
	bool quit;

	pthread_mutex_lock(&s->lock);
	quit = s->quit;
	pthread_mutex_unlock(&s->lock);
	return quit;
}

static void step(struct store *s)
{
	if (!link_is_open(&s->link) && clock_now_ms() >= s->retry_ms)
		connect_to_xenstore(s);
	link_hear(&s->link);
	handle_watches(s);
	handle_loss(s);
	if (!run_job(s))
		wait_for_something(s);
	handle_loss(s);
}

int store_thread_init(struct store *s)
{
	const char *path = getenv("XENSTORED_PATH");

	s->path = path ? strdup(path) : NULL;
	if (path && !s->path)
		return -ENOMEM;
	s->retry_delay_ms = RETRY_FIRST_MS;
	link_init(&s->link, s->path, on_event, s);
	return 0;
}

void *store_thread_run(void *data)
{
	struct store *s = data;
	bool abandoned;

	while (!is_quitting(s))
		step(s);
	link_close(&s->link);
	pthread_mutex_lock(&s->lock);
	s->exited = true;
	abandoned = s->abandoned;
	pthread_cond_signal(&s->exit);
	pthread_mutex_unlock(&s->lock);
	if (abandoned)
		store_free(s);
	return NULL;
}
