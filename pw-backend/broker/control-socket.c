/* SPDX-License-Identifier: MIT */
/*
 * Who is connected to the control socket: who may be, for how long, and what happens is told to those who
 * monitor. What is asked for is control-handler.c's.
 *
 * A connection is read from only while nothing waits to be sent to it, and a list is made VM by VM as fast
 * as it is read: so only events pile up, and they have a bound.
 */
#include "control-socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <xaring/server.h>

#include "broker-private.h"
#include "control-answer.h"
#include "control-private.h"
#include "hold.h"
#include "lease.h"
#include "loop.h"
#include "now.h"
#include "vm.h"

#define ACCEPTS_PER_WAKE 16
#define REQUESTS_BURST   100 /* of a user; connecting counts as one */
#define REQUESTS_RATE_MS 20
#define TICK_MS          1000

/* Of all users: who connects without end is hung up on as fast, and takes no more of our time than this. */
#define ACCEPTS_BURST   256
#define ACCEPTS_RATE_MS 4
#define PAUSE_MS        50

/* ---- hanging up ---- */

/* Does not wait for what its peer may have sent. Returns false when that is not possible now. */
static bool close_safely(int fd)
{
	struct hold hold;

	if (hold_discard(fd)) {
		close(fd);
		return true;
	}
	if (hold_init(&hold, &fd, 1) < 0)
		return false;
	close(fd);
	hold_finish(&hold);
	return true;
}

/* There is room: what is connected may still come to this, and nothing is accepted from CONTROL_KEPT_MAX on. */
static void hang_up(struct control *c, int fd)
{
	if (close_safely(fd))
		return;
	c->kept[c->kept_count++] = fd;
	loop_repeat_timer(c->tick, TICK_MS);
}

static void close_kept(struct control *c)
{
	while (c->kept_count > 0 && close_safely(c->kept[c->kept_count - 1]))
		c->kept_count--;
}

static void drop(struct connection *n)
{
	struct control *c = n->control;
	struct connection **at = &c->connections;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	c->count--;
	loop_remove(n->io);
	while (n->first) {
		struct packet *sent = n->first;

		n->first = sent->next;
		free(sent);
	}
	hang_up(c, n->fd);
	free(n);
}

static bool may(const struct control *c, const struct control_peer *peer)
{
	struct seat_state seat;

	c->setup.seat(c->setup.data, &seat);
	return control_peer_may(peer, &seat);
}

/* One request in each round of the loop, for whoever comes after. */
static void hear(struct connection *n)
{
	char text[CONTROL_REQUEST_BYTES + 1];
	ssize_t bytes = control_receive(n->fd, text, sizeof(text));

	if (bytes == -EAGAIN)
		return;
	n->heard_ms = clock_now_ms();
	if (bytes <= 0)
		n->is_over = true;
	else if (!user_rate_take(&n->control->requests, n->peer.uid, n->heard_ms))
		control_say_error(n, "busy", "too many requests: 50 in a second are accepted");
	else if (n->monitors)
		control_say_error(n, "request", "a connection that monitors is asked nothing else");
	else
		control_handle(n, text, (size_t)bytes);
}

/* May free the connection. */
static void settle(struct connection *n)
{
	if (n->is_over)
		drop(n);
	else
		loop_update_io(n->io, n->first ? EPOLLOUT : EPOLLIN);
}

static void on_connection(void *data, uint32_t events)
{
	struct connection *n = data;

	if (n->is_over || (events & EPOLLERR)) {
		n->is_over = true;
	} else if (n->first) {
		n->is_over |= (events & EPOLLHUP) != 0;
		if (control_flush(n) == 0)
			control_go_on_listing(n);
	} else {
		hear(n);
	}
	settle(n);
}

/* ---- connecting ---- */

/* Says why, and hangs up. */
static void turn_away(struct control *c, int fd, const char *error, const char *text)
{
	struct json_object *o = answer_error(error, text);
	const char *answer = o ? control_text_of(o) : NULL;

	if (answer)
		(void)control_send_text(fd, answer, strlen(answer));
	json_object_put(o);
	hang_up(c, fd);
}

static void turn_away_stranger(struct control *c, int fd, const struct control_peer *peer)
{
	limited_log_line(&c->log, XARING_LOG_WARN, "control: user %u is turned away",
			 (unsigned)peer->uid);
	turn_away(c, fd, "permission",
		  "not permitted: root, the user who is at the seat and members of the group "
		  "\"" CONTROL_GROUP "\" are accepted");
}

static bool is_ours(const struct control_peer *peer)
{
	return peer->uid == 0 || peer->uid == geteuid();
}

static bool has_room(const struct control *c, const struct control_peer *peer)
{
	unsigned others = 0;

	for (const struct connection *n = c->connections; n; n = n->next)
		others += !is_ours(&n->peer);
	return c->count < CONTROL_CONNECTIONS && (is_ours(peer) || others < CONTROL_OTHERS);
}

static int add_connection(struct control *c, int fd, const struct control_peer *peer)
{
	struct connection *n = calloc(1, sizeof(*n));
	int res;

	if (!n)
		return -ENOMEM;
	*n = (struct connection){.control = c, .fd = fd, .peer = *peer, .heard_ms = clock_now_ms()};
	res = loop_add_io(c->setup.loop, fd, EPOLLIN, on_connection, n, &n->io);
	if (res < 0) {
		free(n);
		return res;
	}
	n->next = c->connections;
	c->connections = n;
	c->count++;
	loop_repeat_timer(c->tick, TICK_MS);
	return 0;
}

static void take(struct control *c, int fd)
{
	struct control_peer peer;

	if (c->setup.peer(fd, c->group, &peer) < 0)
		turn_away(c, fd, "internal", "who you are cannot be found out");
	else if (!user_rate_take(&c->requests, peer.uid, clock_now_ms()))
		turn_away(c, fd, "busy", "too many requests: 50 in a second are accepted");
	else if (!may(c, &peer))
		turn_away_stranger(c, fd, &peer);
	else if (!has_room(c, &peer))
		turn_away(c, fd, "busy", "too many connections: 32 are accepted, 24 of users");
	else if (add_connection(c, fd, &peer) < 0)
		turn_away(c, fd, "internal", "out of memory or descriptors");
}

/* Whoever connects waits in the kernel's queue. */
static void pause_listening(struct control *c)
{
	loop_update_io(c->io, 0);
	loop_arm_timer(c->pause, PAUSE_MS);
}

static void on_pause_over(void *data)
{
	struct control *c = data;

	loop_update_io(c->io, EPOLLIN);
}

static bool may_accept(struct control *c)
{
	return c->kept_count < CONTROL_KEPT_MAX && bucket_take(&c->accepts, clock_now_ms());
}

/* Without a free descriptor, too, it would be tried again at once, for good. */
static void on_listener(void *data, uint32_t events)
{
	struct control *c = data;
	struct xaring_peer peer;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
		int fd = may_accept(c) ? xaring_listener_accept(c->listener, &peer) : -EBUSY;

		if (fd == -EAGAIN)
			return;
		if (fd < 0) {
			pause_listening(c);
			return;
		}
		take(c, fd);
	}
}

/* ---- time, events ---- */

static bool is_idle(const struct connection *n, uint64_t now_ms)
{
	return !n->monitors && now_ms - n->heard_ms >= CONTROL_IDLE_MS;
}

static void drop_those_over(struct control *c)
{
	struct connection *next;

	for (struct connection *n = c->connections; n; n = next) {
		next = n->next;
		if (n->is_over)
			drop(n);
	}
}

static bool has_deadlines(const struct control *c)
{
	for (const struct connection *n = c->connections; n; n = n->next) {
		if (!n->monitors)
			return true;
	}
	return false;
}

static void on_tick(void *data)
{
	struct control *c = data;
	uint64_t now_ms = clock_now_ms();

	close_kept(c);
	for (struct connection *n = c->connections; n; n = n->next)
		n->is_over |= is_idle(n, now_ms);
	drop_those_over(c);
	/* Who monitors has no deadline. */
	if (c->kept_count == 0 && !has_deadlines(c))
		loop_arm_timer(c->tick, 0);
}

void control_check(struct control *c)
{
	if (!c)
		return;
	c->group = control_peer_group(CONTROL_GROUP);
	for (struct connection *n = c->connections; n; n = n->next)
		n->is_over |= !may(c, &n->peer);
	drop_those_over(c);
}

/* Takes the object. No connection is freed here: who tells is in the middle of something. */
static void tell(struct control *c, struct json_object *event)
{
	for (struct connection *n = c->connections; n; n = n->next) {
		if (!n->monitors || n->is_over)
			continue;
		control_say(n, json_object_get(event));
		if (n->first)
			loop_update_io(n->io, EPOLLOUT);
		if (n->is_over)
			loop_repeat_timer(c->tick, TICK_MS);
	}
	json_object_put(event);
}

static bool is_watched(const struct control *c)
{
	for (const struct connection *n = c->connections; n; n = n->next) {
		if (n->monitors)
			return true;
	}
	return false;
}

static void on_vm(void *data, const struct vm *vm, bool came)
{
	if (is_watched(data))
		tell(data, answer_event(came ? "vm-appears" : "vm-goes", vm, NULL));
}

static void on_stream(void *data, const struct lease *lease, bool came)
{
	if (is_watched(data))
		tell(data, answer_event(came ? "stream-opens" : "stream-closes", lease->vm, lease));
}

static void on_microphone(void *data, const struct vm *vm)
{
	struct json_object *event;

	if (!is_watched(data))
		return;
	event = answer_event("microphone", vm, NULL);
	if (event)
		answer_add_microphone(event, vm);
	tell(data, event);
}

static void on_vm_connected(void *data, const struct vm *vm, bool connected)
{
	if (is_watched(data))
		tell(data, answer_event(connected ? "vm-connected" : "vm-disconnected", vm, NULL));
}

static const struct broker_events broker_events = {
	.on_vm = on_vm,
	.on_stream = on_stream,
	.on_microphone = on_microphone,
	.on_vm_connected = on_vm_connected,
};

/* ---- beginning and end ---- */

int control_open(const struct control_setup *setup, struct control **out)
{
	struct control *c = calloc(1, sizeof(*c));
	int res;

	if (!c)
		return -ENOMEM;
	c->setup = *setup;
	c->setup.path = NULL;
	c->group = control_peer_group(CONTROL_GROUP);
	user_rate_init(&c->requests, REQUESTS_BURST, REQUESTS_RATE_MS);
	bucket_init(&c->accepts, ACCEPTS_BURST, ACCEPTS_RATE_MS, clock_now_ms());
	limited_log_init(&c->log);
	limited_log_init(&c->decisions);
	res = xaring_listener_open(setup->path, 0666, &c->listener);
	if (res < 0)
		goto err_free;
	res = loop_add_timer(setup->loop, on_tick, c, &c->tick);
	if (res < 0)
		goto err_listener;
	res = loop_add_timer(setup->loop, on_pause_over, c, &c->pause);
	if (res < 0)
		goto err_tick;
	res = loop_add_io(setup->loop, xaring_listener_fd(c->listener), EPOLLIN, on_listener, c,
			  &c->io);
	if (res < 0)
		goto err_pause;
	broker_watch(setup->broker, &broker_events, c);
	*out = c;
	return 0;

err_pause:
	loop_remove(c->pause);
err_tick:
	loop_remove(c->tick);
err_listener:
	xaring_listener_close(c->listener);
err_free:
	free(c);
	return res;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	broker_watch(c->setup.broker, NULL, NULL);
	for (struct connection *n = c->connections; n; n = n->next)
		n->is_over = true;
	drop_those_over(c);
	/* What cannot be closed even now goes with the process, which waits for none of it. */
	close_kept(c);
	loop_remove(c->pause);
	loop_remove(c->tick);
	loop_remove(c->io);
	hold_close_listener(c->listener);
	free(c);
}
