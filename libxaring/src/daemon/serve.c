/* SPDX-License-Identifier: MIT */
/*
 * Accepts programs on a socket, reads what they say, holds their deadlines and rates, and sees them
 * go. It grants nothing: each OPEN is the caller's to answer.
 */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bucket.h"
#include "hold.h"
#include "loop.h"
#include "now.h"
#include "user-rate.h"

#define GREETING_MS       1000 /* a program that connects says OPEN within */
#define WAITING_MS        2000 /* longer than a worker may keep what has ended */
#define GREETING_MAX      96   /* connections without a stream: more end silent ones */
#define GREETING_USER_MAX 32   /* of one user */
#define WATCHING_MAX      64   /* mixers, and those of root's */
#define WATCHING_USER_MAX 16   /* of one user */
#define ACCEPTS_PER_WAKE  64
#define MESSAGES_PER_WAKE 8
#define KEPT_MAX          256 /* connections that are still to be closed: few of 1024 descriptors */
#define KEPT_FEW          32 /* so many do not wait for a tick; while they wait nothing is accepted */
#define TICK_MS           50

/* Connections may come faster than streams: each is answered, at this multiple of their rate. For a user. */
#define ACCEPTS_BURST 256
#define ACCEPTS_RATE  16

/*
 * For all users, however many. Those that their user has too many of do not count: they are ended as fast as
 * they come, for whoever is behind them in the kernel's queue, or finds it full, cannot be told from them
 * before. Who makes us do it does as much for it.
 */
#define ACCEPTS_ALL_BURST     1024
#define ACCEPTS_ALL_REFILL_MS 1

/* More kicks than any program needs, one with the smallest buffer in steady underrun included; and of mixers. */
#define SAYS_BURST     64
#define SAYS_REFILL_MS 10

enum client_state {
	CLIENT_GREETING,
	CLIENT_WAITING, /* for the answer to its OPEN */
	CLIENT_PLAYING,
	CLIENT_WATCHING /* a mixer */
};

struct serve_client {
	struct serve_client *next; /* in the order of their coming */
	struct serve *serve;
	enum client_state state;
	int fd;
	struct xaring_peer peer;
	struct loop_source *io;
	uint64_t deadline_ms; /* of a stranger */
	struct xaring_open open;
	struct bucket says; /* what it says beyond its OPEN or WATCH */
	bool paused;        /* not read from, for too much of that */
	void *owner;
};

struct serve {
	struct loop *loop;
	struct xaring_listener *listener;
	const struct serve_events *events;
	void *data;
	int status; /* borrowed */
	struct loop_source *io;
	struct loop_source *tick; /* runs while something has a deadline */
	int spare_fd; /* given up for a moment to answer when descriptors have run out, or -1 */
	struct user_rate accepts;
	struct bucket accepts_all;
	bool paused; /* nothing is accepted */
	struct serve_client *clients;
	struct serve_client *retried; /* the next one, while serve_retry() runs */
	uint32_t strangers;           /* clients without a stream */
	int kept[KEPT_MAX];           /* what is over, and may make us wait when it is closed */
	uint32_t kept_count;
	bool is_keeping;    /* it could not be closed at the last tick */
	bool is_change_due; /* mixers are to be told */
};

/* Something has a deadline: it is looked at every few ms until nothing has one any more. */
static void tick(struct serve *s)
{
	loop_repeat_timer(s->tick, TICK_MS);
}

/* Has neither a stream nor a mixer's place. */
static bool is_stranger(const struct serve_client *c)
{
	return c->state == CLIENT_GREETING || c->state == CLIENT_WAITING;
}

static void client_unlink(struct serve_client *c)
{
	struct serve_client **at = &c->serve->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (c->serve->retried == c)
		c->serve->retried = c->next;
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* All at once, by one thread. When none can be made they are kept until the next tick. */
static void close_kept(struct serve *s)
{
	struct hold hold;

	if (s->kept_count == 0)
		return;
	qsort(s->kept, s->kept_count, sizeof(s->kept[0]), compare_fds);
	if (hold_init(&hold, s->kept, s->kept_count) < 0) {
		if (!s->is_keeping)
			s->events->on_limit(
				s->data, "has sent descriptors that cannot be closed until others "
					 "are: a file system in user space does not answer (as "
					 "root: echo 1 | tee /sys/fs/fuse/connections/*/abort)");
		s->is_keeping = true;
		return;
	}
	for (uint32_t i = 0; i < s->kept_count; i++)
		close(s->kept[i]);
	s->kept_count = 0;
	s->is_keeping = false;
	hold_finish(&hold);
}

static void keep(struct serve *s, int fd)
{
	if (s->kept_count == KEPT_MAX) {
		s->events->on_limit(s->data, "has sent descriptors that cannot be closed: one of "
					     "ours is lost");
		return;
	}
	s->kept[s->kept_count++] = fd;
	/* What they have been sent counts for their user, who may send no more of it than a process may open. */
	if (s->kept_count >= KEPT_FEW && !s->is_keeping)
		close_kept(s);
	tick(s);
}

/*
 * What is sent before arrives, if nothing is left unread: that would give the client an ECONNRESET
 * instead. Nothing that it has sent makes us wait: rather than that, its connection is kept for a tick, over
 * as it is, and a thread is made for many of them.
 */
static void hang_up(struct serve *s, int fd)
{
	if (hold_discard(fd))
		close(fd);
	else
		keep(s, fd);
}

void serve_client_drop(struct serve_client *c)
{
	struct serve *s = c->serve;

	if (is_stranger(c))
		s->strangers--;
	loop_remove(c->io);
	hang_up(s, c->fd);
	client_unlink(c);
	if (c->owner)
		s->events->on_gone(s->data, c);
	free(c);
}

void serve_client_refuse(struct serve_client *c, const struct xaring_refusal *refusal)
{
	xaring_server_send_refusal(c->fd, refusal);
	serve_client_drop(c);
}

static void refuse_message(struct serve_client *c)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_MESSAGE};
	struct serve *s = c->serve;
	char text[160];

	xaring_refusal_text(&refusal, text, sizeof(text));
	s->events->on_limit(s->data, text);
	serve_client_refuse(c, &refusal);
}

static void client_plays(struct serve_client *c)
{
	c->state = CLIENT_PLAYING;
	c->serve->strangers--;
}

int serve_client_give(struct serve_client *c, const struct xaring_accept *accept, int control,
		      int data, int status)
{
	bool plays = c->state == CLIENT_PLAYING;
	int res = xaring_server_send_pages(c->fd,
					   plays ? XARING_MESSAGE_RELINK : XARING_MESSAGE_ACCEPT,
					   accept, control, data, status);

	if (res == 0 && !plays)
		client_plays(c);
	return res;
}

int serve_client_keep(struct serve_client *c, uint64_t epoch, int status)
{
	int res = xaring_server_send_keep(c->fd, epoch, status);

	if (res < 0)
		return res;
	client_plays(c);
	return 0;
}

void serve_client_set_owner(struct serve_client *c, void *owner)
{
	c->owner = owner;
}

void *serve_client_owner(const struct serve_client *c)
{
	return c->owner;
}

uid_t serve_client_uid(const struct serve_client *c)
{
	return c->peer.uid;
}

int serve_client_fd(const struct serve_client *c)
{
	return c->fd;
}

static void handle_open(struct serve_client *c, const struct xaring_open *open)
{
	struct serve *s = c->serve;

	c->open = *open;
	c->state = CLIENT_WAITING;
	c->deadline_ms = clock_now_ms() + WAITING_MS;
	s->events->on_open(s->data, c, &c->open);
}

/* It is read from again when it may say more. */
static void client_pause(struct serve_client *c)
{
	c->paused = true;
	loop_update_io(c->io, 0);
	tick(c->serve);
}

static void handle_kick(struct serve_client *c, enum xaring_kick kick)
{
	struct serve *s = c->serve;

	/* One beyond is lost: the worker finds the work by itself a little later. */
	if (bucket_take(&c->says, clock_now_ms()))
		s->events->on_kick(s->data, c, kick);
	else
		client_pause(c);
}

/* ---- mixers ---- */

static uint32_t count_watching(const struct serve *s, const uid_t *uid)
{
	uint32_t count = 0;

	for (const struct serve_client *c = s->clients; c; c = c->next)
		count += c->state == CLIENT_WATCHING && (!uid || c->peer.uid == *uid);
	return count;
}

/* What users take is not root's. */
static bool has_room_for_mixer(const struct serve *s, uid_t uid)
{
	return count_watching(s, &uid) < WATCHING_USER_MAX &&
	       (uid == 0 || count_watching(s, NULL) < WATCHING_MAX);
}

/* Returns 0, or a negative errno and sets *refusal. */
static int check_watch(const struct serve_client *c, const struct xaring_watch *watch,
		       uint32_t *version, struct xaring_refusal *refusal)
{
	const struct serve *s = c->serve;
	int res = xaring_server_agree_version(watch->version_min, watch->version, version, refusal);

	if (res < 0)
		return res;
	if (has_room_for_mixer(s, c->peer.uid))
		return 0;
	s->events->on_limit(s->data, "has too many mixers open: one is refused");
	*refusal = (struct xaring_refusal){.reason = XARING_REASON_BUSY};
	return -EBUSY;
}

static void handle_watch(struct serve_client *c, const struct xaring_watch *watch)
{
	struct serve *s = c->serve;
	struct xaring_refusal refusal;
	uint32_t version;

	if (check_watch(c, watch, &version, &refusal) < 0) {
		serve_client_refuse(c, &refusal);
	} else if (xaring_server_send_status(c->fd, version, s->status) < 0) {
		serve_client_drop(c);
	} else {
		c->state = CLIENT_WATCHING;
		s->strangers--;
	}
}

/* One that does not read has another one waiting. In a tick, however often it is set. */
static void tell_watching(struct serve *s)
{
	if (!s->is_change_due)
		return;
	s->is_change_due = false;
	for (const struct serve_client *c = s->clients; c; c = c->next) {
		if (c->state == CLIENT_WATCHING)
			(void)xaring_server_send_changed(c->fd, false);
	}
}

static void handle_set_volume(struct serve_client *c, const struct xaring_set_volume *set)
{
	struct serve *s = c->serve;
	struct xaring_refusal refusal;
	int res = s->events->on_set_volume(s->data, c, set, &refusal);

	if (res < 0) {
		serve_client_refuse(c, &refusal);
		return;
	}
	(void)xaring_server_send_changed(c->fd, true);
	if (res > 0) {
		s->is_change_due = true;
		tick(s);
	}
	if (!bucket_take(&c->says, clock_now_ms()))
		client_pause(c);
}

/* Returns false when the client is gone afterwards, or not to be read from for now. */
static bool handle_message(struct serve_client *c, struct xaring_message *m)
{
	if (m->type == XARING_MESSAGE_KICK && c->state == CLIENT_PLAYING) {
		handle_kick(c, m->u.kick);
		return !c->paused;
	}
	if (m->type == XARING_MESSAGE_OPEN && c->state == CLIENT_GREETING)
		handle_open(c, &m->u.open);
	else if (m->type == XARING_MESSAGE_WATCH && c->state == CLIENT_GREETING)
		handle_watch(c, &m->u.watch);
	else if (m->type == XARING_MESSAGE_SET_VOLUME && c->state == CLIENT_WATCHING)
		handle_set_volume(c, &m->u.set_volume);
	else
		refuse_message(c);
	return false;
}

static void on_client_io(void *data, uint32_t events)
{
	struct serve_client *c = data;
	struct xaring_message m;

	if (c->paused && (events & (EPOLLHUP | EPOLLERR))) {
		serve_client_drop(c);
		return;
	}
	for (int i = 0; i < MESSAGES_PER_WAKE; i++) {
		int res = xaring_wire_receive_bare(c->fd, &m);

		if (res == -EAGAIN)
			return;
		if (res == -EPROTO) {
			refuse_message(c);
			return;
		}
		if (res < 0) {
			serve_client_drop(c);
			return;
		}
		if (!handle_message(c, &m))
			return;
	}
}

static int client_create(struct serve *s, int fd, const struct xaring_peer *peer)
{
	struct serve_client *c = calloc(1, sizeof(*c));
	struct serve_client **at = &s->clients;
	uint64_t now_ms = clock_now_ms();
	int res;

	if (!c)
		return -ENOMEM;
	c->serve = s;
	c->fd = fd;
	c->peer = *peer;
	c->state = CLIENT_GREETING;
	c->deadline_ms = now_ms + GREETING_MS;
	bucket_init(&c->says, SAYS_BURST, SAYS_REFILL_MS, now_ms);
	res = loop_add_io(s->loop, fd, EPOLLIN, on_client_io, c, &c->io);
	if (res < 0) {
		free(c);
		return res;
	}
	while (*at)
		at = &(*at)->next;
	*at = c;
	s->strangers++;
	tick(s);
	return 0;
}

/* Connections wait in the kernel's queue, which is short, until the next tick or later. */
static void pause_listening(struct serve *s)
{
	s->paused = true;
	loop_update_io(s->io, 0);
	tick(s);
}

/* Refuses a connection that has not become a client. */
static void turn_away(struct serve *s, int fd, enum xaring_reason reason)
{
	struct xaring_refusal refusal = {.reason = reason};

	xaring_server_send_refusal(fd, &refusal);
	hang_up(s, fd);
}

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: the spare one's place serves to answer, so that nobody waits in vain. */
static void refuse_without_descriptor(struct serve *s)
{
	struct xaring_peer peer;
	int fd;

	if (s->spare_fd >= 0) {
		close(s->spare_fd);
		fd = xaring_listener_accept(s->listener, &peer);
		if (fd >= 0)
			turn_away(s, fd, XARING_REASON_INTERNAL);
	}
	s->spare_fd = open_spare();
	s->events->on_limit(s->data, "is refused a stream, there is no free descriptor");
	pause_listening(s);
}

/* What it has said may not have been read yet. */
static bool is_silent(const struct serve_client *c)
{
	char byte;

	return c->state == CLIENT_GREETING &&
	       recv(c->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* The oldest connection that has said nothing, of that user or (NULL) of anybody; or NULL. */
static struct serve_client *find_silent(const struct serve *s, const uid_t *uid)
{
	struct serve_client *c = s->clients;

	while (c && ((uid && c->peer.uid != *uid) || !is_silent(c)))
		c = c->next;
	return c;
}

static uint32_t count_strangers(const struct serve *s, uid_t uid)
{
	uint32_t count = 0;

	for (const struct serve_client *c = s->clients; c; c = c->next)
		count += c->peer.uid == uid && is_stranger(c);
	return count;
}

/*
 * A new connection of that user needs room: of his own, or else of all, the oldest one that has said
 * nothing makes it. Returns -EBUSY when all of them wait for an answer.
 */
static int make_room(struct serve *s, uid_t uid)
{
	bool own = count_strangers(s, uid) >= GREETING_USER_MAX;
	struct serve_client *silent;

	if (!own && s->strangers < GREETING_MAX)
		return 0;
	silent = find_silent(s, own ? &uid : NULL);
	if (!silent)
		return -EBUSY;
	s->events->on_limit(s->data, "has many connections that say nothing: one is ended");
	serve_client_drop(silent);
	return 0;
}

static void take_client(struct serve *s, int fd, const struct xaring_peer *peer)
{
	(void)bucket_take(&s->accepts_all, clock_now_ms());
	if (make_room(s, peer->uid) < 0) {
		s->events->on_limit(s->data, "asks for too many streams at once: refused");
		turn_away(s, fd, XARING_REASON_BUSY);
	} else if (client_create(s, fd, peer) < 0) {
		turn_away(s, fd, XARING_REASON_INTERNAL);
	}
}

/* The program tries again by itself. */
static void end_at_once(struct serve *s, int fd)
{
	s->events->on_limit(s->data, "connects too often: its connections are ended");
	hang_up(s, fd);
}

/* Whose the next connection is shows when it is accepted: there has to be room for anybody's. */
static bool may_accept(struct serve *s)
{
	return s->kept_count < KEPT_FEW && bucket_has(&s->accepts_all, clock_now_ms()) &&
	       (s->strangers < GREETING_MAX || find_silent(s, NULL));
}

/* Returns false when nothing more can be accepted now. */
static bool accept_one(struct serve *s)
{
	struct xaring_peer peer;
	int fd;

	if (!may_accept(s)) {
		s->events->on_limit(s->data,
				    s->kept_count < KEPT_FEW
					    ? "is one of too many that connect: made to wait"
					    : "is made to wait until what others have "
					      "sent is closed");
		pause_listening(s);
		return false;
	}
	fd = xaring_listener_accept(s->listener, &peer);
	if (fd == -EMFILE || fd == -ENFILE) {
		refuse_without_descriptor(s);
		return false;
	}
	if (fd < 0) {
		if (fd != -EAGAIN)
			pause_listening(s);
		return false;
	}
	if (user_rate_take(&s->accepts, peer.uid, clock_now_ms()))
		take_client(s, fd, &peer);
	else
		end_at_once(s, fd);
	return true;
}

static void on_listener_io(void *data, uint32_t events)
{
	struct serve *s = data;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
		if (!accept_one(s))
			return;
	}
}

/* Returns true while the client has a deadline. */
static bool client_tick(struct serve_client *c, uint64_t now_ms)
{
	if (is_stranger(c) && now_ms >= c->deadline_ms) {
		serve_client_drop(c);
		return false;
	}
	if (c->paused && bucket_has(&c->says, now_ms)) {
		c->paused = false;
		loop_update_io(c->io, EPOLLIN);
	}
	return c->paused || is_stranger(c);
}

static void on_tick(void *data)
{
	struct serve *s = data;
	struct serve_client *next;
	uint64_t now_ms = clock_now_ms();
	bool busy = false;

	close_kept(s);
	tell_watching(s);
	for (struct serve_client *c = s->clients; c; c = next) {
		next = c->next;
		busy |= client_tick(c, now_ms);
	}
	if (s->paused && may_accept(s)) {
		s->paused = false;
		loop_update_io(s->io, EPOLLIN);
	}
	if (!busy && !s->paused && s->kept_count == 0)
		loop_arm_timer(s->tick, 0);
}

static uint32_t accept_refill_ms(uint32_t open_ms)
{
	return open_ms > ACCEPTS_RATE ? open_ms / ACCEPTS_RATE : 1;
}

int serve_open(struct loop *loop, const struct serve_setup *setup, struct serve **out)
{
	struct serve *s = calloc(1, sizeof(*s));
	int res = -ENOMEM;

	if (!s)
		goto err_listener;
	s->loop = loop;
	s->listener = setup->listener;
	s->events = setup->events;
	s->data = setup->data;
	s->status = setup->status;
	user_rate_init(&s->accepts, ACCEPTS_BURST, accept_refill_ms(setup->open_ms));
	bucket_init(&s->accepts_all, ACCEPTS_ALL_BURST, ACCEPTS_ALL_REFILL_MS, clock_now_ms());
	s->spare_fd = open_spare();
	res = loop_add_timer(loop, on_tick, s, &s->tick);
	if (res < 0)
		goto err_spare;
	res = loop_add_io(loop, xaring_listener_fd(s->listener), EPOLLIN, on_listener_io, s,
			  &s->io);
	if (res < 0)
		goto err_tick;
	*out = s;
	return 0;

err_tick:
	loop_remove(s->tick);
err_spare:
	if (s->spare_fd >= 0)
		close(s->spare_fd);
	free(s);
err_listener:
	xaring_listener_close(setup->listener);
	return res;
}

void serve_close(struct serve *s)
{
	struct serve_client *next;

	if (!s)
		return;
	loop_remove(s->io);
	hold_close_listener(s->listener);
	for (struct serve_client *c = s->clients; c; c = next) {
		next = c->next;
		serve_client_drop(c);
	}
	loop_remove(s->tick);
	close_kept(s);
	if (s->spare_fd >= 0)
		close(s->spare_fd);
	free(s);
}

void serve_retry(struct serve *s)
{
	struct serve_client *c;

	/* Any client may be dropped by what is tried, see client_unlink(). */
	for (s->retried = s->clients; s->retried;) {
		c = s->retried;
		s->retried = c->next;
		if (c->state == CLIENT_WAITING && !c->owner)
			s->events->on_retry(s->data, c, &c->open);
	}
}
