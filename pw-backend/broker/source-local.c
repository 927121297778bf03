/* SPDX-License-Identifier: MIT */
/*
 * Accepts programs on a VM's socket, answers OPEN with pages or a refusal, forwards kicks, and sees
 * programs go. It decides nothing (policy.c) and does not know the worker (lease.c).
 */
#include "source-local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xaring/pages.h>
#include <xaring/server.h>

#include "broker-private.h"
#include "clock.h"
#include "lease.h"
#include "loop.h"
#include "vm.h"

#define GREETING_MS       1000 /* a program that connects says OPEN within */
#define WAITING_MS        2000 /* longer than a worker may keep what has ended */
#define GREETING_MAX      32   /* connections of a VM without a stream */
#define ACCEPTS_PER_WAKE  8
#define MESSAGES_PER_WAKE 8
#define DISCARD_MAX       64

/* Connections may come faster than streams: each is answered, at this multiple of their rate. */
#define ACCEPTS_BURST 256
#define ACCEPTS_RATE  16

/* More kicks than any program needs, one with the smallest buffer in steady underrun included. */
#define KICKS_BURST     64
#define KICKS_REFILL_MS 10

enum client_state {
	CLIENT_GREETING,
	CLIENT_WAITING, /* for room that an ending stream of the VM still takes */
	CLIENT_PLAYING
};

struct client {
	struct client *next; /* in the order of their coming */
	struct local *local;
	enum client_state state;
	int fd;
	struct loop_source *io;
	uint64_t deadline_ms; /* not when playing */
	struct xaring_open open;
	struct policy_bucket kicks;
	bool paused; /* not read from, for too many kicks */
	struct lease *lease;
};

struct local {
	struct vm *vm;
	struct loop *loop;
	struct xaring_listener *listener;
	struct loop_source *io;
	struct policy_bucket accepts;
	bool paused; /* nothing is accepted */
	struct client *clients;
	uint32_t strangers; /* clients without a stream */
};

static void client_unlink(struct client *c)
{
	struct client **at = &c->local->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

static void client_drop(struct client *c)
{
	if (c->state != CLIENT_PLAYING)
		c->local->strangers--;
	loop_remove(c->io);
	close(c->fd);
	client_unlink(c);
	if (c->lease)
		lease_end(c->lease);
	free(c);
}

/*
 * Answers with a refusal such that it arrives: what lies unread in our queue when we close would
 * give the client an ECONNRESET instead.
 */
static void send_last_word(int fd, const struct xaring_refusal *refusal)
{
	char byte;

	xaring_server_send_refusal(fd, refusal);
	shutdown(fd, SHUT_RD);
	for (int i = 0; i < DISCARD_MAX; i++) {
		if (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT) <= 0)
			return;
	}
}

static void client_refuse(struct client *c, const struct xaring_refusal *refusal)
{
	char who[40] = "playback";

	if (c->lease)
		lease_describe(c->lease, who, sizeof(who));
	vm_log_refusal(c->local->vm, who, refusal);
	send_last_word(c->fd, refusal);
	client_drop(c);
}

static void refuse_for(struct client *c, enum xaring_reason reason)
{
	struct xaring_refusal refusal = {.reason = reason};

	client_refuse(c, &refusal);
}

static void on_lease_refused(void *data, const struct xaring_refusal *refusal)
{
	client_refuse(data, refusal);
}

/* A random number other than 0. */
static int random_number(uint64_t *number)
{
	do {
		if (getrandom(number, sizeof(*number), 0) != sizeof(*number))
			return -EIO;
	} while (*number == 0);
	return 0;
}

/* Gives the pages to the client; the descriptors stay ours. */
static int send_accept(struct client *c, const struct policy_grant *grant, int control, int data)
{
	struct xaring_accept accept = {
		.version = grant->version,
		.features = grant->features,
		.capacity = grant->shape.capacity,
		.data_pages = grant->shape.data_pages,
	};
	int res = random_number(&accept.epoch);

	if (res < 0)
		return res;
	return xaring_server_send_pages(c->fd, XARING_MESSAGE_ACCEPT, &accept, control, data,
					c->local->vm->status_read);
}

static int make_stream(struct client *c, const struct policy_grant *grant)
{
	struct lease_setup setup = {.open = &c->open,
				    .grant = grant,
				    .on_refused = on_lease_refused,
				    .source = c};
	int data_write;
	int res = 0;

	/* A guest that does not share our clock is not to learn it. */
	if (!(grant->features & XARING_FEATURE_SAME_CLOCK))
		res = random_number(&setup.time_secret_ns);
	if (res < 0)
		return res;
	res = xaring_memfd_stream(&grant->shape, &setup.control, &data_write, &setup.data);
	if (res < 0)
		return res;
	res = send_accept(c, grant, setup.control, data_write);
	close(data_write);
	if (res < 0) {
		close(setup.control);
		close(setup.data);
		return res;
	}
	return lease_create(c->local->vm, &setup, &c->lease);
}

static bool vm_has_ending(const struct vm *vm)
{
	for (const struct lease *l = vm->leases; l; l = l->next) {
		if (l->ending)
			return true;
	}
	return false;
}

static void start_playing(struct client *c, const struct policy_grant *grant)
{
	int res = make_stream(c, grant);

	if (res == -ENODEV || res == -EAGAIN) {
		client_drop(c);
		return;
	}
	if (res < 0) {
		refuse_for(c, XARING_REASON_INTERNAL);
		return;
	}
	c->state = CLIENT_PLAYING;
	c->local->strangers--;
}

static void wait_for_room(struct client *c)
{
	if (c->state == CLIENT_WAITING)
		return;
	c->state = CLIENT_WAITING;
	c->deadline_ms = clock_now_ms() + WAITING_MS;
}

/* Answers the OPEN that the client sent, now or, when room is about to come, later. */
static void answer_open(struct client *c)
{
	struct vm *vm = c->local->vm;
	struct xaring_refusal refusal = {0};
	struct policy_grant grant;
	int res = policy_check(&vm->policy, &vm->use, &c->open, &grant, &refusal);

	if (res == -EDQUOT && vm_has_ending(vm))
		wait_for_room(c);
	else if (res < 0)
		client_refuse(c, &refusal);
	else
		start_playing(c, &grant);
}

static void handle_open(struct client *c, const struct xaring_open *open)
{
	c->open = *open;
	if (vm_may_open(c->local->vm))
		answer_open(c);
	else
		refuse_for(c, XARING_REASON_BUSY);
}

static void handle_kick(struct client *c, enum xaring_kick kick)
{
	if (!policy_bucket_take(&c->kicks, clock_now_ms())) {
		/* This one is lost: the worker finds the work by itself a little later. */
		c->paused = true;
		loop_update_io(c->io, 0);
		broker_tick(c->local->vm->broker);
		return;
	}
	lease_kick(c->lease, kick);
}

/* Returns false when the client is gone afterwards, or not to be read from for now. */
static bool handle_message(struct client *c, struct xaring_message *m)
{
	bool playing = c->state == CLIENT_PLAYING;

	if (m->type == XARING_MESSAGE_KICK && playing) {
		handle_kick(c, m->u.kick);
		return !c->paused;
	}
	if (m->type == XARING_MESSAGE_OPEN && c->state == CLIENT_GREETING) {
		handle_open(c, &m->u.open);
		return false;
	}
	xaring_message_finish(m);
	refuse_for(c, XARING_REASON_MESSAGE);
	return false;
}

static void on_client_io(void *data, uint32_t events)
{
	struct client *c = data;
	struct xaring_message m;

	if (c->paused && (events & (EPOLLHUP | EPOLLERR))) {
		client_drop(c);
		return;
	}
	for (int i = 0; i < MESSAGES_PER_WAKE; i++) {
		int res = xaring_wire_receive(c->fd, &m);

		if (res == -EAGAIN)
			return;
		if (res == -EPROTO) {
			refuse_for(c, XARING_REASON_MESSAGE);
			return;
		}
		if (res < 0) {
			client_drop(c);
			return;
		}
		if (!handle_message(c, &m))
			return;
	}
}

static int client_create(struct local *l, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	struct client **at = &l->clients;
	uint64_t now_ms = clock_now_ms();
	int res;

	if (!c)
		return -ENOMEM;
	c->local = l;
	c->fd = fd;
	c->state = CLIENT_GREETING;
	c->deadline_ms = now_ms + GREETING_MS;
	policy_bucket_init(&c->kicks, KICKS_BURST, KICKS_REFILL_MS, now_ms);
	res = loop_add_io(l->loop, fd, EPOLLIN, on_client_io, c, &c->io);
	if (res < 0) {
		free(c);
		return res;
	}
	while (*at)
		at = &(*at)->next;
	*at = c;
	l->strangers++;
	broker_tick(l->vm->broker);
	return 0;
}

/* Connections wait in the kernel's queue, which is short, until the next tick or later. */
static void pause_listening(struct local *l)
{
	l->paused = true;
	loop_update_io(l->io, 0);
	broker_tick(l->vm->broker);
}

static void say_internal(int fd)
{
	struct xaring_refusal refusal = {.reason = XARING_REASON_INTERNAL};

	send_last_word(fd, &refusal);
	close(fd);
}

/* Out of descriptors: the spare one's place serves to answer, so that nobody waits in vain. */
static void refuse_without_descriptor(struct local *l)
{
	struct broker *broker = l->vm->broker;
	struct xaring_peer peer;
	int fd;

	if (broker->spare_fd >= 0) {
		close(broker->spare_fd);
		fd = xaring_listener_accept(l->listener, &peer);
		if (fd >= 0)
			say_internal(fd);
	}
	broker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	vm_log_limit(l->vm, "playback: refused, the broker has no free descriptor");
	pause_listening(l);
}

/* Returns false when nothing more can be accepted now. */
static bool accept_one(struct local *l)
{
	struct xaring_peer peer;
	int fd;

	if (l->strangers >= GREETING_MAX || !policy_bucket_take(&l->accepts, clock_now_ms())) {
		vm_log_limit(l->vm, "connects too often: made to wait");
		pause_listening(l);
		return false;
	}
	fd = xaring_listener_accept(l->listener, &peer);
	if (fd == -EMFILE || fd == -ENFILE) {
		refuse_without_descriptor(l);
		return false;
	}
	if (fd < 0) {
		if (fd != -EAGAIN)
			pause_listening(l);
		return false;
	}
	if (client_create(l, fd) < 0)
		say_internal(fd);
	return true;
}

static void on_listener_io(void *data, uint32_t events)
{
	struct local *l = data;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
		if (!accept_one(l))
			return;
	}
}

static uint32_t accept_refill_ms(const struct policy *policy)
{
	return policy->reconnect_ms > ACCEPTS_RATE ? policy->reconnect_ms / ACCEPTS_RATE : 1;
}

int local_open(struct vm *vm, const char *path, mode_t mode, struct local **out)
{
	struct local *l = calloc(1, sizeof(*l));
	int res;

	if (!l)
		return -ENOMEM;
	l->vm = vm;
	l->loop = vm->broker->setup.loop;
	policy_bucket_init(&l->accepts, ACCEPTS_BURST, accept_refill_ms(&vm->policy),
			   clock_now_ms());
	res = xaring_listener_open(path, mode, &l->listener);
	if (res < 0)
		goto err_free;
	res = loop_add_io(l->loop, xaring_listener_fd(l->listener), EPOLLIN, on_listener_io, l,
			  &l->io);
	if (res < 0)
		goto err_listener;
	*out = l;
	return 0;

err_listener:
	xaring_listener_close(l->listener);
err_free:
	free(l);
	return res;
}

void local_close(struct local *l)
{
	struct client *next;

	if (!l)
		return;
	loop_remove(l->io);
	xaring_listener_close(l->listener);
	for (struct client *c = l->clients; c; c = next) {
		next = c->next;
		client_drop(c);
	}
	free(l);
}

void local_retry(struct local *l)
{
	struct client *next;

	for (struct client *c = l->clients; c; c = next) {
		next = c->next;
		if (c->state == CLIENT_WAITING)
			answer_open(c);
	}
}

static bool client_tick(struct client *c, uint64_t now_ms)
{
	if (c->state != CLIENT_PLAYING && now_ms >= c->deadline_ms) {
		client_drop(c);
		return false;
	}
	if (c->paused && policy_bucket_has(&c->kicks, now_ms)) {
		c->paused = false;
		loop_update_io(c->io, EPOLLIN);
	}
	return c->paused || c->state != CLIENT_PLAYING;
}

bool local_tick(struct local *l, uint64_t now_ms)
{
	struct client *next;
	bool busy = false;

	for (struct client *c = l->clients; c; c = next) {
		next = c->next;
		busy |= client_tick(c, now_ms);
	}
	if (l->paused && l->strangers < GREETING_MAX && policy_bucket_has(&l->accepts, now_ms)) {
		l->paused = false;
		loop_update_io(l->io, EPOLLIN);
	}
	return busy || l->paused;
}
