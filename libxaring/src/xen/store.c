/* SPDX-License-Identifier: MIT */
/*
 * The thread that waits for xenstore, and the loop that does not. The loop hands in jobs and watches
 * under the lock, and is told what came of them by an eventfd. A watch belongs to the thread, which
 * alone sets, unsets and frees it; the loop only marks it as removed.
 *
 * The thread may be stuck in an operation when the store is destroyed. It then owns what it needs,
 * and frees that should it ever come back.
 */
#include "store.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <xaring/log.h>

#include "loop.h"
#include "now.h"
#include "store-link.h"

#define RETRY_FIRST_MS  100
#define RETRY_LAST_MS   2000
#define SETTLED_MS      2000 /* a connection that lasted so long makes the next wait short */
#define FLOOD_EVENTS    200  /* of one watch, in */
#define FLOOD_WINDOW_MS 1000
#define AWAY_MS         5000
#define LOOK_MS         10000 /* for a connection that ended without a sign */
#define SLOW_MS         10000
#define SAY_MS          60000
#define DESTROY_MS      2000

struct store_watch {
	struct store_watch *next;       /* store::watches */
	struct store_watch *next_fired; /* store::fired, while is_fired */
	struct store *store;
	char *path;
	char token[24];
	const char *suffix;
	void (*fired)(void *data);
	void *data;

	/* Under the lock. */
	bool is_fired;
	bool removed;

	/* The thread's. */
	bool set;        /* xenstored has it */
	bool flooding;   /* to be taken away */
	uint64_t due_ms; /* when it is to be set, unless it is */
	uint64_t window_ms;
	uint32_t events;  /* in the window */
	uint64_t said_ms; /* when it was last complained about; 0 = never */
};

struct job_queue {
	struct store_job *head, **tail;
};

struct watch_queue {
	struct store_watch *head, **tail;
	uint32_t count;
};

/* What the thread has to say. */
struct news {
	bool connected;
	int lost; /* errno, or 0 */
	char watch[192];
};

struct store {
	struct loop *loop;
	store_connected_fn connected;
	void *data;
	struct loop_source *io, *timer;
	bool absent;            /* a loss was logged, the return was not */
	bool timing;            /* the timer is armed */
	uint64_t slow_since_ms; /* what was logged as slow began then */
	uint64_t watch_ids;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t exit;
	int wake_fd; /* wakes the thread */
	int told_fd; /* wakes the loop */

	/* Under the lock. */
	bool quit, exited, abandoned;
	bool told;
	struct job_queue waiting, finished;
	struct store_watch *watches; /* taken out by the thread only */
	struct watch_queue fired;
	struct news news;
	uint64_t busy_since_ms; /* an operation is under way; 0 = none */

	/* The thread's. */
	struct store_link link;
	uint64_t linked_ms;
	uint64_t retry_ms;
	uint32_t retry_delay_ms;
	bool loss_told;
};

/* ---- what both sides use ---- */

static void queue_init(struct job_queue *queue)
{
	queue->head = NULL;
	queue->tail = &queue->head;
}

static void queue_put(struct job_queue *queue, struct store_job *job)
{
	job->next = NULL;
	*queue->tail = job;
	queue->tail = &job->next;
}

static struct store_job *queue_take(struct job_queue *queue)
{
	struct store_job *job = queue->head;

	if (!job)
		return NULL;
	queue->head = job->next;
	if (!queue->head)
		queue->tail = &queue->head;
	return job;
}

static void event_raise(int fd)
{
	uint64_t one = 1;
	ssize_t res = write(fd, &one, sizeof(one));

	(void)res; /* full means raised */
}

static void event_clear(int fd)
{
	uint64_t count;
	ssize_t res = read(fd, &count, sizeof(count));

	(void)res;
}

/* Locked. */
static void tell_loop(struct store *s)
{
	if (s->told)
		return;
	s->told = true;
	event_raise(s->told_fd);
}

static void watch_free(struct store_watch *watch)
{
	free(watch->path);
	free(watch);
}

static void store_free(struct store *s)
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
	free(s);
}

/* ---- the thread: watches ---- */

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
	if (res == 0 || res == -ENOTCONN)
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

/* ---- the thread: the connection ---- */

static void retry_later(struct store *s, int error)
{
	s->retry_ms = clock_now_ms() + s->retry_delay_ms;
	s->retry_delay_ms *= 2;
	if (s->retry_delay_ms > RETRY_LAST_MS)
		s->retry_delay_ms = RETRY_LAST_MS;
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

static void handle_loss(struct store *s)
{
	if (!s->link.xs || !s->link.lost)
		return;
	link_close(&s->link);
	pthread_mutex_lock(&s->lock);
	for (struct store_watch *watch = s->watches; watch; watch = watch->next) {
		watch->set = false;
		watch->flooding = false;
		watch->due_ms = 0;
	}
	pthread_mutex_unlock(&s->lock);
	if (clock_now_ms() - s->linked_ms >= SETTLED_MS)
		s->retry_delay_ms = RETRY_FIRST_MS;
	retry_later(s, ENOTCONN);
}

/* ---- the thread: jobs ---- */

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
	if (s->watches)
		due_ms = clock_now_ms() + LOOK_MS;
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
	struct pollfd fds[1 + LINK_FDS] = {{.fd = s->wake_fd, .events = POLLIN}};

	link_fds(&s->link, fds + 1);
	poll(fds, 1 + LINK_FDS, timeout_until(next_due(s)));
	event_clear(s->wake_fd);
	link_look(&s->link);
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
	if (!s->link.xs && clock_now_ms() >= s->retry_ms)
		connect_to_xenstore(s);
	link_drain(&s->link);
	handle_watches(s);
	handle_loss(s);
	if (!run_job(s))
		wait_for_something(s);
	handle_loss(s);
}

static void *run(void *data)
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

/* ---- the loop ---- */

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
	loop_arm_timer(s->timer, (uint32_t)ms, 0);
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
	s->retry_delay_ms = RETRY_FIRST_MS;
	link_init(&s->link, on_event, s);
	res = open_events(s);
	if (res < 0)
		goto err_store;
	res = init_threads(s);
	if (res < 0)
		goto err_events;
	*out = s;
	return 0;

err_events:
	close(s->told_fd);
	close(s->wake_fd);
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
	res = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -res;
}

int store_create(struct loop *loop, store_connected_fn connected, void *data, struct store **out)
{
	struct store *s;
	int res = store_alloc(&s);

	if (res < 0)
		return res;
	s->loop = loop;
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

void store_run(struct store *s, struct store_job *job)
{
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
