/* SPDX-License-Identifier: MIT */
/*
 * The store on the loop, which never waits: it hands in jobs and watches under the lock, and is told
 * what came of them by an eventfd.
 *
 * The thread may be stuck in an operation when the store is destroyed. It then owns what it needs,
 * and frees that should it ever come back.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <xaring/log.h>

#include "loop.h"
#include "now.h"
#include "store-private.h"

#define SLOW_MS    15000 /* more than one request may take */
#define DESTROY_MS 2000

void store_free(struct store *s)
{
	while (s->watches) {
		struct store_watch *watch = s->watches;

		s->watches = watch->next;
		watch_free(watch);
	}
	close(s->told_fd);
	close(s->wake_fd);
	pthread_cond_destroy(&s->exit);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

static void finish_jobs(struct job_queue *queue)
{
	struct store_job *job;

	while ((job = queue_take(queue)) != NULL)
		job->done(job, job->res);
}

/* Empties one queue into another one. Locked. */
static void queue_move(struct job_queue *from, struct job_queue *to)
{
	struct store_job *job;

	while ((job = queue_take(from)) != NULL)
		queue_put(to, job);
}

static struct store_watch *take_fired(struct store *s)
{
	struct store_watch *watch;

	pthread_mutex_lock(&s->lock);
	watch = s->fired.head;
	if (watch) {
		s->fired.head = watch->next_fired;
		if (!s->fired.head)
			s->fired.tail = &s->fired.head;
		s->fired.count--;
		watch->is_fired = false;
	}
	pthread_mutex_unlock(&s->lock);
	return watch;
}

/* As many as there were; one that fires meanwhile has its turn in the loop's next round. */
static void call_fired(struct store *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct store_watch *watch = take_fired(s);

		if (!watch)
			return;
		watch->fired(watch->data);
	}
}

static void log_news(struct store *s, const struct news *news)
{
	if (news->lost && !s->absent) {
		xaring_log(XARING_LOG_WARN, "no connection to xenstore (%s): trying until there is",
			   strerror(news->lost));
		s->absent = true;
	}
	if (news->connected && s->absent) {
		xaring_log(XARING_LOG_INFO, "xenstore is there again");
		s->absent = false;
	}
	if (news->watch[0])
		xaring_log(XARING_LOG_WARN, "xenstore: %s", news->watch);
}

/* Jobs come first: one that failed for the lost connection is followed by the news of the next one. */
static void on_told(void *data, uint32_t events)
{
	struct store *s = data;
	struct job_queue finished;
	struct news news;
	uint32_t fired;

	(void)events;
	queue_init(&finished);
	pthread_mutex_lock(&s->lock);
	event_clear(s->told_fd);
	s->told = false;
	queue_move(&s->finished, &finished);
	news = s->news;
	memset(&s->news, 0, sizeof(s->news));
	fired = s->fired.count;
	pthread_mutex_unlock(&s->lock);

	log_news(s, &news);
	finish_jobs(&finished);
	if (news.connected && s->connected)
		s->connected(s->data);
	call_fired(s, fired);
}

static void arm(struct store *s, uint64_t ms)
{
	s->timing = ms > 0;
	loop_arm_timer(s->timer, (uint32_t)ms);
}

static void on_slow(void *data)
{
	struct store *s = data;
	uint64_t since_ms, now_ms = clock_now_ms();

	pthread_mutex_lock(&s->lock);
	since_ms = s->busy_since_ms;
	pthread_mutex_unlock(&s->lock);
	if (s->slow_since_ms && since_ms != s->slow_since_ms) {
		xaring_log(XARING_LOG_INFO, "xenstore answers again");
		s->slow_since_ms = 0;
	}
	if (!since_ms) {
		arm(s, 0);
	} else if (now_ms - since_ms < SLOW_MS) {
		arm(s, SLOW_MS - (now_ms - since_ms));
	} else {
		if (!s->slow_since_ms)
			xaring_log(XARING_LOG_WARN, "xenstore has not answered for %u s",
				   (uint32_t)((now_ms - since_ms) / 1000));
		s->slow_since_ms = since_ms;
		arm(s, SLOW_MS);
	}
}

/* Something was handed in. */
static void wake_thread(struct store *s)
{
	event_raise(s->wake_fd);
	if (!s->timing)
		arm(s, SLOW_MS);
}

static int init_threads(struct store *s)
{
	pthread_condattr_t attributes;

	if (pthread_mutex_init(&s->lock, NULL) != 0)
		return -ENOMEM;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	if (pthread_cond_init(&s->exit, &attributes) != 0) {
		pthread_mutex_destroy(&s->lock);
		return -ENOMEM;
	}
	pthread_condattr_destroy(&attributes);
	return 0;
}

static int open_events(struct store *s)
{
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		return -errno;
	s->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->told_fd < 0) {
		int res = -errno;

		close(s->wake_fd);
		return res;
	}
	return 0;
}

/* Everything but the thread, the loop's sources, and what they use. */
static int store_alloc(struct store **out)
{
	struct store *s = calloc(1, sizeof(*s));
	int res;

	if (!s)
		return -ENOMEM;
	queue_init(&s->waiting);
	queue_init(&s->finished);
	s->fired.tail = &s->fired.head;
	res = store_thread_init(s);
	if (res < 0)
		goto err_store;
	res = open_events(s);
	if (res < 0)
		goto err_path;
	res = init_threads(s);
	if (res < 0)
		goto err_events;
	*out = s;
	return 0;

err_events:
	close(s->told_fd);
	close(s->wake_fd);
err_path:
	free(s->path);
err_store:
	free(s);
	return res;
}

/* Signals are the loop's. */
static int start_thread(struct store *s)
{
	sigset_t all, before;
	int res;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	res = pthread_create(&s->thread, NULL, store_thread_run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -res;
}

int store_create(struct loop *loop, store_connected_fn connected, void *data, struct store **out)
{
	struct store *s;
	int res = store_alloc(&s);

	if (res < 0)
		return res;
	s->connected = connected;
	s->data = data;
	res = loop_add_io(loop, s->told_fd, EPOLLIN, on_told, s, &s->io);
	if (res < 0)
		goto err_store;
	res = loop_add_timer(loop, on_slow, s, &s->timer);
	if (res < 0)
		goto err_io;
	res = start_thread(s);
	if (res < 0)
		goto err_timer;
	*out = s;
	return 0;

err_timer:
	loop_remove(s->timer);
err_io:
	loop_remove(s->io);
err_store:
	store_free(s);
	return res;
}

static struct timespec deadline_in(uint32_t ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/*
 * Waits for the thread, not for ever. Takes all jobs but one that is under way. Returns false when
 * the thread is left to itself: the store is its own from then on.
 */
static bool stop_thread(struct store *s, struct job_queue *finished, struct job_queue *waiting)
{
	struct timespec deadline = deadline_in(DESTROY_MS);
	bool exited;
	int res = 0;

	pthread_mutex_lock(&s->lock);
	s->quit = true;
	event_raise(s->wake_fd);
	while (!s->exited && res == 0)
		res = pthread_cond_timedwait(&s->exit, &s->lock, &deadline);
	exited = s->exited;
	s->abandoned = !exited;
	queue_move(&s->finished, finished);
	queue_move(&s->waiting, waiting);
	if (!exited)
		pthread_detach(s->thread);
	pthread_mutex_unlock(&s->lock);
	return exited;
}

void store_destroy(struct store *s)
{
	struct job_queue finished, waiting;
	struct store_job *job;

	if (!s)
		return;
	queue_init(&finished);
	queue_init(&waiting);
	loop_remove(s->io);
	loop_remove(s->timer);
	if (stop_thread(s, &finished, &waiting)) {
		pthread_join(s->thread, NULL);
		store_free(s);
	} else {
		xaring_log(XARING_LOG_WARN, "xenstore does not answer: not waiting for it");
	}
	finish_jobs(&finished);
	while ((job = queue_take(&waiting)) != NULL)
		job->done(job, -ECANCELED);
}

void store_run(struct store *s, struct store_job *job, store_work_fn work, store_done_fn done)
{
	job->work = work;
	job->done = done;
	pthread_mutex_lock(&s->lock);
	queue_put(&s->waiting, job);
	pthread_mutex_unlock(&s->lock);
	wake_thread(s);
}

int store_add_watch(struct store *s, const char *path, const char *suffix,
		    void (*fired)(void *data), void *data, struct store_watch **out)
{
	struct store_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->path = strdup(path);
	if (!watch->path) {
		free(watch);
		return -ENOMEM;
	}
	watch->store = s;
	watch->suffix = suffix;
	watch->fired = fired;
	watch->data = data;
	(void)snprintf(watch->token, sizeof(watch->token), "%llu",
		       (unsigned long long)++s->watch_ids);
	pthread_mutex_lock(&s->lock);
	watch->next = s->watches;
	s->watches = watch;
	pthread_mutex_unlock(&s->lock);
	wake_thread(s);
	if (out)
		*out = watch;
	return 0;
}

/* Locked. */
static void forget_fired(struct store *s, struct store_watch *watch)
{
	struct store_watch **at = &s->fired.head;

	if (!watch->is_fired)
		return;
	while (*at != watch)
		at = &(*at)->next_fired;
	*at = watch->next_fired;
	if (!*at)
		s->fired.tail = at;
	s->fired.count--;
	watch->is_fired = false;
}

void store_remove_watch(struct store_watch *watch)
{
	struct store *s;

	if (!watch)
		return;
	s = watch->store;
	pthread_mutex_lock(&s->lock);
	watch->removed = true;
	forget_fired(s, watch);
	pthread_mutex_unlock(&s->lock);
	wake_thread(s);
}
