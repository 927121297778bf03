/* SPDX-License-Identifier: MIT */
/*
 * Keeps one worker alive. The death of a worker is the end of its socket and, when it is a process,
 * of that process: a new one is started only when the old one can no longer touch a page, or is kept from
 * ending by others.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xaring/log.h>

#include "loop.h"
#include "now.h"
#include "undead.h"

#define QUEUE_MAX         4096 /* messages: a worker so far behind does not read any more */
#define MESSAGES_PER_WAKE 32
#define BACKOFF_MIN_MS    100u
#define BACKOFF_MAX_MS    5000u
#define BACKOFF_STEPS     8 /* short lives after which the delay does not grow any more */
#define SHORT_LIFE_MS     1000
#define READY_MS          20000
#define STOP_MS           1000
#define DIE_MS            3000 /* after SIGKILL */

struct queued {
	struct queued *next;
	struct ipc_message message; /* its descriptors are our duplicates */
};

struct supervisor {
	struct loop *loop;
	const struct supervisor_events *events;
	void *data;
	supervisor_spawn_fn spawn;
	void *spawn_data;

	struct supervisor_child child; /* fd < 0: no talk; pidfd < 0: no process */
	struct loop_source *io;
	struct loop_source *exit;
	bool alive; /* not known to be dead: it may still touch pages */
	bool ready;
	bool leaving; /* asked to make room for another one */
	bool killed;
	bool stuck; /* killed long ago, and there are too many like it */
	uint64_t started_ms;

	struct queued *first, *last;
	unsigned queued;

	struct loop_source *restart; /* timer */
	struct loop_source *overdue; /* timer: for READY, or for the end of one that is to go */
	unsigned short_lives;        /* in a row */

	struct undead undead; /* those before */
};

static void start_worker(struct supervisor *s);

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void drop_first(struct supervisor *s)
{
	struct queued *q = s->first;

	s->first = q->next;
	if (!s->first)
		s->last = NULL;
	s->queued--;
	ipc_message_finish(&q->message);
	free(q);
}

static void drop_queue(struct supervisor *s)
{
	while (s->first)
		drop_first(s);
}

/* At once, but for a worker that died young after another one: those less and less soon. */
static uint32_t restart_delay_ms(struct supervisor *s)
{
	uint32_t delay_ms;

	if (clock_now_ms() - s->started_ms >= SHORT_LIFE_MS)
		s->short_lives = 0;
	else if (s->short_lives < BACKOFF_STEPS)
		s->short_lives++;
	if (s->short_lives <= 1)
		return 0;
	delay_ms = BACKOFF_MIN_MS << (s->short_lives - 2);
	return delay_ms < BACKOFF_MAX_MS ? delay_ms : BACKOFF_MAX_MS;
}

static void schedule_restart(struct supervisor *s)
{
	uint32_t delay_ms = s->leaving ? 0 : restart_delay_ms(s);

	s->leaving = false;
	if (delay_ms == 0) {
		start_worker(s);
		return;
	}
	xaring_log(XARING_LOG_WARN, "worker: the next one is started in %u ms", delay_ms);
	loop_arm_timer(s->restart, delay_ms);
}

static void close_talk(struct supervisor *s)
{
	loop_remove(s->io);
	s->io = NULL;
	close_fd(&s->child.fd);
	drop_queue(s);
	s->ready = false;
	loop_arm_timer(s->overdue, 0);
}

static void finish_worker(struct supervisor *s)
{
	close_talk(s);
	loop_remove(s->exit);
	s->exit = NULL;
	close_fd(&s->child.pidfd);
	s->child.pid = 0;
	s->alive = false;
	s->killed = false;
	s->stuck = false;
	s->events->on_worker_end(s->data);
	schedule_restart(s);
}

/* One that was told to make room may leave, or be killed for it, without a warning. */
static enum xaring_log_level exit_level(const struct supervisor *s, const siginfo_t *info)
{
	int usual = info->si_code == CLD_EXITED ? 0 : SIGKILL;

	return s->leaving && info->si_status == usual ? XARING_LOG_DEBUG : XARING_LOG_WARN;
}

static void log_exit(const struct supervisor *s, const siginfo_t *info)
{
	enum xaring_log_level level = exit_level(s, info);
	int pid = (int)s->child.pid;

	if (info->si_code == CLD_EXITED)
		xaring_log(level, "worker (pid %d) has ended with code %d", pid, info->si_status);
	else
		xaring_log(level, "worker (pid %d) was ended by signal %d (%s)", pid,
			   info->si_status, strsignal(info->si_status));
}

/*
 * A pidfd that is readable says that all threads are past their end, and their memory is gone. How it
 * went is another thing: of a process that is traced only the tracer learns that. Init buries it when we
 * have ended.
 */
static void on_worker_exit(void *data, uint32_t events)
{
	struct supervisor *s = data;
	siginfo_t info = {0};

	(void)events;
	if (waitid(P_PIDFD, (id_t)s->child.pidfd, &info, WEXITED | WNOHANG) == 0) {
		if (info.si_pid != 0)
			log_exit(s, &info);
		else
			xaring_log(XARING_LOG_WARN,
				   "worker (pid %d) has ended, only who traces it knows how",
				   (int)s->child.pid);
	}
	finish_worker(s);
}

static void kill_process(struct supervisor *s)
{
	s->killed = true;
	pidfd_send_signal(s->child.pidfd, SIGKILL, NULL, 0);
	loop_arm_timer(s->overdue, DIE_MS);
}

/*
 * A process is dead when its pidfd says so. What is no process is dead now, but that is told from
 * the loop as well: whoever sends something is in the middle of what on_worker_end() changes.
 */
static void end_worker(struct supervisor *s)
{
	close_talk(s);
	if (s->child.pidfd >= 0)
		kill_process(s);
	else
		loop_arm_timer(s->restart, 1);
}

void supervisor_kill(struct supervisor *s, const char *why)
{
	if (s->child.fd < 0)
		return;
	xaring_log(XARING_LOG_ERROR, "worker is killed: %s", why);
	end_worker(s);
}

/* One that plays gives back what it has; one that is not ready yet has nothing, and would be slow. */
static void ask_to_leave(struct supervisor *s)
{
	bool was_ready = s->ready;

	close_talk(s);
	s->leaving = true;
	if (s->child.pidfd < 0)
		loop_arm_timer(s->restart, 1);
	else if (was_ready)
		loop_arm_timer(s->overdue, STOP_MS);
	else
		kill_process(s);
}

void supervisor_replace(struct supervisor *s, const char *why)
{
	if (!s->alive) {
		s->short_lives = 0;
		loop_arm_timer(s->restart, 1);
	} else if (s->child.fd >= 0) {
		xaring_log(XARING_LOG_INFO, "worker is replaced: %s", why);
		ask_to_leave(s);
	}
}

static void note_ready(struct supervisor *s)
{
	s->ready = true;
	loop_arm_timer(s->overdue, 0);
	xaring_log(XARING_LOG_DEBUG, "worker (pid %d) is ready", (int)s->child.pid);
}

/* Returns 0 to go on reading. */
static int receive_one(struct supervisor *s)
{
	struct ipc_message message;
	int res = ipc_receive(s->child.fd, &message);

	if (res == -EAGAIN)
		return res;
	if (res == -ENODEV) {
		end_worker(s);
		return res;
	}
	if (res == 0 && message.type == IPC_READY) {
		if (s->ready)
			res = -EPROTO;
		else
			note_ready(s);
	}
	if (res == 0)
		res = s->events->on_worker_message(s->data, &message);
	if (res < 0)
		supervisor_kill(s, "it sent a message that makes no sense");
	return res;
}

static void flush(struct supervisor *s)
{
	while (s->first) {
		int res = ipc_send(s->child.fd, &s->first->message);

		if (res < 0) {
			if (res != -EAGAIN && res != -ENODEV)
				supervisor_kill(s, strerror(-res));
			return;
		}
		drop_first(s);
	}
	loop_update_io(s->io, EPOLLIN);
}

static void on_worker_io(void *data, uint32_t events)
{
	struct supervisor *s = data;

	if (events & EPOLLOUT)
		flush(s);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	for (int i = 0; i < MESSAGES_PER_WAKE && s->child.fd >= 0; i++) {
		if (receive_one(s) < 0)
			return;
	}
}

static int enqueue(struct supervisor *s, const struct ipc_message *message)
{
	struct queued *q;

	if (s->queued >= QUEUE_MAX)
		return -ENOBUFS;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->message = *message;
	for (int i = 0; i < IPC_FDS_MAX; i++) {
		q->message.fds[i] = -1;
		if (message->fds[i] < 0)
			continue;
		q->message.fds[i] = fcntl(message->fds[i], F_DUPFD_CLOEXEC, 0);
		if (q->message.fds[i] < 0)
			goto err_free;
	}
	if (s->last)
		s->last->next = q;
	else
		s->first = q;
	s->last = q;
	s->queued++;
	return 0;

err_free:
	ipc_message_finish(&q->message);
	free(q);
	return -EMFILE;
}

void supervisor_send(struct supervisor *s, const struct ipc_message *message)
{
	int res = -EAGAIN;

	if (s->child.fd < 0)
		return;
	if (!s->first)
		res = ipc_send(s->child.fd, message);
	/* The end of a dead worker is seen where it is read from. */
	if (res == 0 || res == -ENODEV)
		return;
	if (res == -EAGAIN) {
		res = enqueue(s, message);
		loop_update_io(s->io, EPOLLIN | EPOLLOUT);
	}
	if (res < 0)
		supervisor_kill(s, "it cannot be reached any more");
}

static int watch_child(struct supervisor *s)
{
	int res = 0;

	if (s->child.pidfd >= 0)
		res = loop_add_io(s->loop, s->child.pidfd, EPOLLIN, on_worker_exit, s, &s->exit);
	if (res < 0)
		return res;
	return loop_add_io(s->loop, s->child.fd, EPOLLIN, on_worker_io, s, &s->io);
}

static bool ends_within(int pidfd, int ms)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	return poll(&end, 1, ms) > 0;
}

/* Undoes a start that cannot be watched. */
static void abandon_child(struct supervisor *s)
{
	siginfo_t info;

	loop_remove(s->exit);
	s->exit = NULL;
	close_fd(&s->child.fd);
	if (s->child.pidfd >= 0) {
		pidfd_send_signal(s->child.pidfd, SIGKILL, NULL, 0);
		ends_within(s->child.pidfd, DIE_MS);
		waitid(P_PIDFD, (id_t)s->child.pidfd, &info, WEXITED | WNOHANG);
		close_fd(&s->child.pidfd);
	}
}

static int spawn_and_watch(struct supervisor *s)
{
	struct supervisor_child child = {-1, -1, 0};
	int res = s->spawn(s->spawn_data, &child);

	if (res < 0)
		return res;
	s->child = child;
	res = watch_child(s);
	if (res < 0)
		abandon_child(s);
	return res;
}

static void start_worker(struct supervisor *s)
{
	int res;

	s->started_ms = clock_now_ms();
	res = spawn_and_watch(s);
	if (res < 0) {
		xaring_log(XARING_LOG_ERROR, "worker cannot be started: %s", strerror(-res));
		schedule_restart(s);
		return;
	}
	xaring_log(XARING_LOG_DEBUG, "worker (pid %d) is started", (int)s->child.pid);
	s->alive = true;
	loop_arm_timer(s->overdue, READY_MS);
	s->events->on_worker_start(s->data);
}

static void on_restart(void *data)
{
	struct supervisor *s = data;

	if (s->alive)
		finish_worker(s);
	else
		start_worker(s);
}

/* It does not end of being killed. What it has mapped stays taken, but not played by anybody. */
static void outlive_worker(struct supervisor *s)
{
	s->stuck = !undead_add(&s->undead, s->child.pidfd, s->child.pid, s->exit);
	if (s->stuck)
		return;
	s->exit = NULL;
	s->child.pidfd = -1;
	finish_worker(s);
}

static void on_undead_end(void *data)
{
	struct supervisor *s = data;

	if (s->stuck)
		outlive_worker(s);
}

static void on_overdue(void *data)
{
	struct supervisor *s = data;

	if (s->killed) {
		outlive_worker(s);
	} else if (s->leaving) {
		xaring_log(XARING_LOG_WARN, "worker is killed: it did not make room in time");
		kill_process(s);
	} else {
		supervisor_kill(s, "it was not ready in time");
	}
}

int supervisor_create(struct loop *loop, const struct supervisor_events *events, void *data,
		      supervisor_spawn_fn spawn, void *spawn_data, struct supervisor **out)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	int res;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->events = events;
	s->data = data;
	s->spawn = spawn;
	s->spawn_data = spawn_data;
	s->child = (struct supervisor_child){-1, -1, 0};
	undead_init(&s->undead, loop, on_undead_end, s);
	res = loop_add_timer(loop, on_restart, s, &s->restart);
	if (res < 0)
		goto err_free;
	res = loop_add_timer(loop, on_overdue, s, &s->overdue);
	if (res < 0)
		goto err_restart;
	*out = s;
	return 0;

err_restart:
	loop_remove(s->restart);
err_free:
	free(s);
	return res;
}

void supervisor_start(struct supervisor *s)
{
	start_worker(s);
}

bool supervisor_is_congested(const struct supervisor *s)
{
	return s->first != NULL;
}

bool supervisor_is_alive(const struct supervisor *s)
{
	return s && s->alive;
}

bool supervisor_is_ready(const struct supervisor *s)
{
	return s->ready && s->child.fd >= 0;
}

/*
 * The worker sees the end of its socket, unmaps and leaves; what does not is killed. One that does not
 * die of it is left to init, with what it has mapped.
 */
static void await_exit(const struct supervisor_child *child)
{
	siginfo_t info;

	if (!ends_within(child->pidfd, STOP_MS)) {
		pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
		if (!ends_within(child->pidfd, DIE_MS))
			xaring_log(XARING_LOG_ERROR,
				   "worker (pid %d) was killed and does not end: it is left behind",
				   (int)child->pid);
	}
	waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG);
}

void supervisor_destroy(struct supervisor *s)
{
	if (!s)
		return;
	close_talk(s);
	if (s->child.pidfd >= 0)
		await_exit(&s->child);
	loop_remove(s->exit);
	close_fd(&s->child.pidfd);
	undead_finish(&s->undead);
	loop_remove(s->restart);
	loop_remove(s->overdue);
	free(s);
}
