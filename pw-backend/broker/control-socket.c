/* SPDX-License-Identifier: MIT */
/*
 * Connections of the control socket: who may, whose turn it is, what is still to be sent. What a request means
 * is found out by control-request.c, what an answer says by control-answer.c.
 *
 * A connection is read from only while nothing waits to be sent to it, and a list is made VM by VM as fast
 * as it is read: so only events pile up, and they have a bound.
 */
#include "control-socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xaring/server.h>

#include "../control.h"
#include "broker-private.h"
#include "control-answer.h"
#include "control-request.h"
#include "hold.h"
#include "lease.h"
#include "limited-log.h"
#include "loop.h"
#include "now.h"
#include "user-rate.h"
#include "vm.h"

#define ACCEPTS_PER_WAKE 16
#define REQUESTS_BURST   100 /* of a user; connecting counts as one */
#define REQUESTS_RATE_MS 20
#define TICK_MS          1000
#define KEPT_MAX         32 /* connections that cannot be closed yet: with these no more are accepted */
#define KEPT_ROOM        (KEPT_MAX + CONTROL_CONNECTIONS)

struct packet {
	struct packet *next;
	size_t bytes;
	char text[];
};

struct connection {
	struct connection *next;
	struct control *control;
	int fd;
	struct control_peer peer;
	struct loop_source *io;
	uint64_t heard_ms; /* when it last said something */
	bool monitors;
	bool lists; /* is being told of the VMs behind `listed`; something waits to be sent then */
	uint32_t listed;
	struct packet *first; /* to be sent */
	size_t waiting_bytes;
	bool is_over; /* hung up on at the next occasion */
};

struct control {
	struct control_setup setup;
	struct xaring_listener *listener;
	struct loop_source *io;
	struct loop_source *tick;
	gid_t group;
	struct connection *connections;
	unsigned count;
	struct user_rate requests;
	struct limited_log log;
	struct limited_log
		decisions; /* of people: what others do keeps none of these from the log */
	int kept[KEPT_ROOM];
	unsigned kept_count;
};

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

/* There is room: what is connected may still come to this, and nothing is accepted from KEPT_MAX on. */
static void hang_up(struct control *c, int fd)
{
	if (close_safely(fd))
		return;
	c->kept[c->kept_count++] = fd;
	if (c->kept_count >= KEPT_MAX)
		loop_update_io(c->io, 0);
	loop_repeat_timer(c->tick, TICK_MS);
}

static void close_kept(struct control *c)
{
	while (c->kept_count > 0 && close_safely(c->kept[c->kept_count - 1]))
		c->kept_count--;
	if (c->kept_count < KEPT_MAX)
		loop_update_io(c->io, EPOLLIN);
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

/* ---- sending ---- */

static const char *text_of(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* Returns 0, -EAGAIN, or another negative errno when the peer is gone or takes no such packet. */
static int send_text(int fd, const char *text, size_t bytes)
{
	return send(fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int enqueue(struct connection *n, const char *text, size_t bytes)
{
	struct packet **at = &n->first, *packet;

	if (n->waiting_bytes + bytes > CONTROL_WAITING_BYTES)
		return -ENOBUFS;
	packet = malloc(sizeof(*packet) + bytes);
	if (!packet)
		return -ENOMEM;
	packet->next = NULL;
	packet->bytes = bytes;
	memcpy(packet->text, text, bytes);
	while (*at)
		at = &(*at)->next;
	*at = packet;
	n->waiting_bytes += bytes;
	return 0;
}

/* Takes the object. A connection to which nothing can be said is over. */
static void say(struct connection *n, struct json_object *o)
{
	const char *text = o ? text_of(o) : NULL;
	size_t bytes = text ? strlen(text) : 0;
	int res = -ENOMEM;

	if (text && bytes <= CONTROL_ANSWER_BYTES)
		res = n->first ? -EAGAIN : send_text(n->fd, text, bytes);
	if (res == -EAGAIN)
		res = enqueue(n, text, bytes);
	if (res == -ENOBUFS)
		limited_log_line(&n->control->log, XARING_LOG_WARN,
				 "control: user %u does not read what it monitors: hung up on",
				 (unsigned)n->peer.uid);
	n->is_over |= res < 0;
	json_object_put(o);
}

static void say_error(struct connection *n, const char *error, const char *text)
{
	say(n, answer_error(error, text));
}

/* Sends what waits. Returns 0, or -EAGAIN while something still does. */
static int flush(struct connection *n)
{
	while (n->first && !n->is_over) {
		struct packet *p = n->first;
		int res = send_text(n->fd, p->text, p->bytes);

		if (res == -EAGAIN)
			return res;
		n->is_over |= res < 0;
		n->first = p->next;
		n->waiting_bytes -= p->bytes;
		free(p);
	}
	return 0;
}

static const char *pipewire_of(const struct control *c)
{
	const char *path = c->setup.pipewire ? c->setup.pipewire(c->setup.data) : NULL;

	return path && path[0] ? path : NULL;
}

static void say_end_of_list(struct connection *n)
{
	struct json_object *o = answer_ok();

	if (o) {
		answer_add_text(o, "pipewire", pipewire_of(n->control));
		answer_add_text(o, "version", XARING_VERSION);
	}
	say(n, o);
}

static void go_on_listing(struct connection *n)
{
	while (n->lists && !n->first && !n->is_over) {
		const struct vm *vm = broker_next_vm(n->control->setup.broker, n->listed);

		n->lists = vm != NULL;
		if (!vm) {
			say_end_of_list(n);
			return;
		}
		n->listed = vm->id;
		say(n, answer_vm(vm));
	}
}

/* ---- requests ---- */

static struct vm *find_vm(struct connection *n, const char *key)
{
	struct broker *b = n->control->setup.broker;
	struct vm *vm = broker_find_vm(b, key);
	struct json_object *o;
	char text[160];

	if (vm)
		return vm;
	snprintf(text, sizeof(text), "there is no VM %s", key);
	o = answer_error("no-such-vm", text);
	if (o)
		answer_add_names(o, b);
	say(n, o);
	return NULL;
}

static void refuse_by_rule(struct connection *n, const struct vm *vm)
{
	const char *rule = vm->policy.microphone == POLICY_MICROPHONE_ALLOW ? "allow" : "deny";
	char text[320];

	snprintf(text, sizeof(text),
		 "the rules say microphone = %s for %s, and are not overruled from here: with "
		 "microphone = ask in xaring-pw.conf(5), actions policy, it is decided here",
		 rule, vm->identity.key);
	say_error(n, "rule", text);
}

static void say_that_nothing_is_kept(struct connection *n, const char *file, int res)
{
	char text[512];

	if (res == -E2BIG)
		snprintf(
			text, sizeof(text),
			"%s is full: at most %u VMs are accepted; remove lines, and restart xaring-pw",
			file, CONSENT_ENTRIES_MAX);
	else if (!file || res == -ENOMEM)
		snprintf(text, sizeof(text),
			 "this cannot be kept; --once and --until-shutdown are accepted");
	else
		snprintf(text, sizeof(text),
			 "%s could not be read when xaring-pw was started, and is not "
			 "overwritten; --once and --until-shutdown are accepted",
			 file);
	say_error(n, "not-kept", text);
}

static void say_microphone(struct connection *n, const struct vm *vm, const char *file, int res)
{
	struct json_object *o = answer_ok();
	char text[512];

	if (o) {
		answer_add_text(o, "vm", vm->identity.key);
		answer_add_microphone(o, vm);
	}
	if (o && res < 0) {
		snprintf(text, sizeof(text),
			 "%s cannot be written (%s): this holds until xaring-pw ends", file,
			 strerror(-res));
		answer_add_text(o, "warning", text);
	}
	say(n, o);
}

static const char *name_of(enum consent_choice choice)
{
	if (choice == CONSENT_NONE)
		return "ask";
	return choice == CONSENT_ALLOW ? "allow" : "deny";
}

static void decide(struct connection *n, struct vm *vm, const struct permission_decision *decision)
{
	struct broker *b = n->control->setup.broker;
	const char *file = permission_file(b->permission);
	int res;

	limited_log_line(&n->control->decisions, XARING_LOG_INFO,
			 "control: user %u decides about the microphone of vm %s: %s",
			 (unsigned)n->peer.uid, vm->identity.key, name_of(decision->choice));
	res = broker_decide(b, vm, decision);
	if (res == -EPERM)
		refuse_by_rule(n, vm);
	else if (res == -ENOTSUP || res == -E2BIG || res == -ENOMEM)
		say_that_nothing_is_kept(n, file, res);
	else
		say_microphone(n, vm, file, res);
}

static void connect_vm(struct connection *n, struct vm *vm, bool connect)
{
	limited_log_line(&n->control->decisions, XARING_LOG_INFO, "vm %s is %s by user %u",
			 vm->identity.key, connect ? "connected" : "disconnected",
			 (unsigned)n->peer.uid);
	if (connect)
		broker_connect(vm);
	else
		broker_disconnect(vm);
	say(n, answer_ok());
}

static void list(struct connection *n)
{
	n->lists = true;
	n->listed = 0;
	go_on_listing(n);
}

static void monitor(struct connection *n)
{
	n->monitors = true;
	say(n, answer_ok());
}

static void do_about_vm(struct connection *n, const struct control_request *request)
{
	struct vm *vm = find_vm(n, request->vm);

	if (!vm)
		return;
	switch (request->verb) {
	case CONTROL_STATUS:
		say(n, answer_vm(vm));
		say_end_of_list(n);
		break;
	case CONTROL_MIC:
		decide(n, vm, &request->decision);
		break;
	default:
		connect_vm(n, vm, request->verb == CONTROL_CONNECT);
	}
}

static void handle(struct connection *n, const char *text, size_t bytes)
{
	char error[CONTROL_REQUEST_TEXT_BYTES];
	struct control_request request;

	if (control_request_read(text, bytes, &request, error) < 0)
		say_error(n, "request", error);
	else if (request.verb == CONTROL_LIST)
		list(n);
	else if (request.verb == CONTROL_MONITOR)
		monitor(n);
	else
		do_about_vm(n, &request);
}

static bool may(const struct control *c, const struct control_peer *peer)
{
	struct seat_state seat;

	c->setup.seat(c->setup.data, &seat);
	return control_peer_may(peer, &seat);
}

/*
 * Looks first: descriptors are cut off, but they would be closed here with the packet when it is taken.
 * Returns the number of bytes, which may be more than there is room for; 0 at the end; or a negative errno.
 */
static ssize_t receive(int fd, char *text, size_t room)
{
	struct iovec iov = {.iov_base = text, .iov_len = room};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t bytes = recvmsg(fd, &msg, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	if (bytes < 0)
		return -errno;
	if (msg.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	if (bytes > 0 && recv(fd, NULL, 0, MSG_DONTWAIT) < 0)
		return -errno;
	return bytes;
}

/* One request in each round of the loop, for whoever comes after. */
static void hear(struct connection *n)
{
	char text[CONTROL_REQUEST_BYTES + 1];
	ssize_t bytes = receive(n->fd, text, sizeof(text));

	if (bytes == -EAGAIN)
		return;
	n->heard_ms = clock_now_ms();
	if (bytes <= 0)
		n->is_over = true;
	else if (!user_rate_take(&n->control->requests, n->peer.uid, n->heard_ms))
		say_error(n, "busy", "too many requests: 50 in a second are accepted");
	else if (n->monitors)
		say_error(n, "request", "a connection that monitors is asked nothing else");
	else
		handle(n, text, (size_t)bytes);
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
		if (flush(n) == 0)
			go_on_listing(n);
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
	const char *answer = o ? text_of(o) : NULL;

	if (answer)
		(void)send_text(fd, answer, strlen(answer));
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

static void on_listener(void *data, uint32_t events)
{
	struct control *c = data;
	struct xaring_peer peer;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_WAKE && c->kept_count < KEPT_MAX; i++) {
		int fd = xaring_listener_accept(c->listener, &peer);

		if (fd >= 0) {
			take(c, fd);
			continue;
		}
		/* Without a descriptor it would be tried again at once, for good. */
		if (fd != -EAGAIN) {
			loop_update_io(c->io, 0);
			loop_repeat_timer(c->tick, TICK_MS);
		}
		return;
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
		say(n, json_object_get(event));
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

static const struct broker_events broker_events = {
	.on_vm = on_vm,
	.on_stream = on_stream,
	.on_microphone = on_microphone,
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
	limited_log_init(&c->log);
	limited_log_init(&c->decisions);
	res = xaring_listener_open(setup->path, 0666, &c->listener);
	if (res < 0)
		goto err_free;
	res = loop_add_timer(setup->loop, on_tick, c, &c->tick);
	if (res < 0)
		goto err_listener;
	res = loop_add_io(setup->loop, xaring_listener_fd(c->listener), EPOLLIN, on_listener, c,
			  &c->io);
	if (res < 0)
		goto err_tick;
	broker_watch(setup->broker, &broker_events, c);
	*out = c;
	return 0;

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
	/* At the end it may be waited for. */
	while (c->kept_count > 0)
		close(c->kept[--c->kept_count]);
	loop_remove(c->tick);
	loop_remove(c->io);
	xaring_listener_close(c->listener);
	free(c);
}
