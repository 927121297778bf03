/* SPDX-License-Identifier: MIT */
/*
 * The way from a stream to its server: connecting, messages, swapping pages, trying again. Nothing
 * here waits, and nothing that a server sends, or fails to send, ends the stream: without usable
 * pages it goes on in the void.
 */
#include "client-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xaring/log.h>
#include <xaring/shared.h>

#define RETRY_FIRST_MS    50u
#define RETRY_MAX_MS      500u
#define BROKEN_FIRST_MS   250u
#define BROKEN_MAX_MS     10000u
#define REFUSED_MS        10000u /* policy and shape: they rarely change */
#define REFUSED_LIMIT_MS  1000u  /* limits: somebody else's stream may end */
#define ANSWER_MS         5000u  /* a server that does not answer is left */
#define HEALTHY_NS        NS_PER_S
#define HEALTHY_BROKEN_NS (10 * NS_PER_S)

/* How long pages are kept without a server while nothing moves, so that no record tells of use. */
#define KEEP_NS (10 * NS_PER_S)

/* How long an attached stream does not hear a server that is not where the backend is. */
#define DEAF_NS NS_PER_S

#define MESSAGES_MAX 4u /* in one update */

#define CARRY_BYTES 4096u

/* New pages in a second: more than any server has a reason for. */
#define RELINKS_MAX 16u

void client_link_kick(struct xaring_client *c, enum xaring_kick kick)
{
	struct xaring_message message = {.type = XARING_MESSAGE_KICK,
					 .u.kick = kick,
					 .fds = {-1, -1, -1}};

	/* A hint: one that is lost costs a second, and a dead server is noticed when reading. */
	if (c->link == LINK_UP)
		(void)xaring_wire_send(c->socket_fd, &message);
}

void client_link_close(struct xaring_client *c)
{
	if (c->socket_fd < 0)
		return;
	/* The copies of a forked relative keep the connection and the poll set from noticing. */
	if (client_is_user(c)) {
		(void)epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, c->socket_fd, NULL);
		(void)shutdown(c->socket_fd, SHUT_RDWR);
	}
	close(c->socket_fd);
	c->socket_fd = -1;
}

static void try_again_in(struct xaring_client *c, uint32_t ms)
{
	c->next_ns = NEVER;
	c->next_in_ms = ms;
}

static void try_again_later(struct xaring_client *c)
{
	c->retry_ms = c->retry_ms ? c->retry_ms * 2 : RETRY_FIRST_MS;
	if (c->retry_ms > RETRY_MAX_MS)
		c->retry_ms = RETRY_MAX_MS;
	try_again_in(c, c->retry_ms);
}

/* Copies what is in the ring and not used up yet into another one of the same shape. */
static void carry_over(struct xaring_client *c, const struct xaring_ring *to, uint32_t pos)
{
	bool playback = c->params.direction == XARING_PLAYBACK;
	uint32_t from = playback ? pos : c->published;
	uint32_t frames = (playback ? c->published : c->delivered) - from;
	uint8_t bytes[CARRY_BYTES];
	uint32_t chunk = CARRY_BYTES / c->shape.frame_bytes;

	if (frames > c->shape.capacity) {
		c->delivered = from;
		return;
	}
	while (frames > 0) {
		uint32_t now = frames < chunk ? frames : chunk;

		xaring_ring_read(&c->ring, from, bytes, now);
		client_volume_carry(c, from, bytes, now);
		xaring_ring_write(to, from, bytes, now);
		from += now;
		frames -= now;
	}
}

/* Goes on in other pages, from the present position and not attached. */
void client_use_pages(struct xaring_client *c, const struct xaring_pages *pages, uint64_t now_ns)
{
	uint32_t pos = xaring_position_at(&c->position, now_ns, c->published);
	struct xaring_ring ring = {.data = pages->data,
				   .capacity = c->shape.capacity,
				   .frame_bytes = c->shape.frame_bytes};

	if (c->control)
		carry_over(c, &ring, pos);
	c->ring = ring;
	c->control = pages->control;
	c->seq = 0;
	c->attach = 0;
	c->failed = 0;
	c->answer_ns = 0;
	c->xruns_known = false;
	c->told_volume = 0;
	xaring_store(&c->control->guest.alive, 1);
	xaring_store(&c->control->guest.base, pos);
	xaring_store(&c->control->guest.pos, c->published);
	client_store_word(c, 0);
	if (client_is_moving(c) && c->position.mode != XARING_POSITION_FREE)
		xaring_position_free(&c->position, now_ns);
}

static void disconnect(struct xaring_client *c)
{
	client_link_close(c);
	c->link = LINK_NONE;
}

/* Gives the server's pages and the connection up, for the void. There is no way back to them. */
static void leave(struct xaring_client *c, uint64_t now_ns)
{
	disconnect(c);
	c->epoch = 0;
	if (!c->linked.control)
		return;
	client_use_pages(c, &c->none, now_ns);
	xaring_pages_unmap(&c->linked);
	xaring_status_unmap(c->status);
	c->status = NULL;
}

static int send_open(const struct xaring_client *c, int fd)
{
	struct xaring_message message = {.type = XARING_MESSAGE_OPEN, .fds = {-1, -1, -1}};
	struct xaring_open *open = &message.u.open;

	open->version_min = XARING_PROTOCOL_VERSION_MIN;
	open->version = XARING_PROTOCOL_VERSION;
	open->features = CLIENT_FEATURES;
	open->params = c->params;
	open->epoch = c->epoch;
	memcpy(open->name, c->name, XARING_NAME_BYTES);
	return xaring_wire_send(fd, &message);
}

int client_link_open(struct xaring_client *c)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = -1, res;

	res = xaring_wire_connect(c->path, &fd);
	if (res < 0)
		goto err;
	event.data.fd = fd;
	res = send_open(c, fd);
	if (res < 0)
		goto err_close;
	if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		res = -errno;
		goto err_close;
	}
	c->socket_fd = fd;
	c->link = LINK_ASKED;
	try_again_in(c, ANSWER_MS);
	return 0;
err_close:
	close(fd);
err:
	try_again_later(c);
	return res;
}

/* Tells whether the link was up for so long. */
static bool has_held(const struct xaring_client *c, uint64_t now_ns, uint64_t long_ns)
{
	return c->link == LINK_UP && c->up_ns != NEVER && now_ns > c->up_ns &&
	       now_ns - c->up_ns >= long_ns;
}

/*
 * Tells whether the pages may be of use without their server: the backend consumes from them, or
 * may when it is asked. One that is on this machine ends with its server, and is not waited for.
 */
static bool is_worth_keeping(const struct xaring_client *c)
{
	switch (c->position.mode) {
	case XARING_POSITION_LIVE:
		return true;
	case XARING_POSITION_FREE:
		return false;
	case XARING_POSITION_STOPPED:
	case XARING_POSITION_WAITING:
		break;
	}
	return !c->clock.same;
}

/* The server is gone. It may be a restart: one that held for a while is tried again at once. */
static void link_lost(struct xaring_client *c, uint64_t now_ns)
{
	bool held = has_held(c, now_ns, HEALTHY_NS);

	xaring_log(XARING_LOG_DEBUG, "link to %s lost", c->path);
	if (c->link == LINK_UP)
		c->kept_ns = now_ns;
	if (c->linked.control && c->epoch != 0 && is_worth_keeping(c))
		disconnect(c);
	else
		leave(c, now_ns);
	if (held) {
		c->retry_ms = 0;
		(void)client_link_open(c);
	} else {
		try_again_later(c);
	}
}

void client_link_broken(struct xaring_client *c, uint64_t now_ns)
{
	bool held = has_held(c, now_ns, HEALTHY_BROKEN_NS);

	xaring_log(XARING_LOG_DEBUG, "link to %s broken", c->path);
	leave(c, now_ns);
	c->broken_ms = c->broken_ms && !held ? c->broken_ms * 2 : BROKEN_FIRST_MS;
	if (c->broken_ms > BROKEN_MAX_MS)
		c->broken_ms = BROKEN_MAX_MS;
	try_again_in(c, c->broken_ms);
}

static void link_refused(struct xaring_client *c, const struct xaring_refusal *refusal,
			 uint64_t now_ns)
{
	uint32_t wait_ms = REFUSED_MS;

	leave(c, now_ns);
	c->refused = true;
	c->refusal = *refusal;
	if (refusal->reason == XARING_REASON_BUSY)
		wait_ms = RETRY_MAX_MS;
	else if (xaring_refusal_errno(refusal) == -EBUSY)
		wait_ms = REFUSED_LIMIT_MS;
	try_again_in(c, wait_ms);
}

/*
 * "Too often" in answer to an OPEN that has presented kept pages says nothing about these: they are
 * presented again.
 */
static bool is_put_off(const struct xaring_client *c, const struct xaring_refusal *refusal)
{
	return refusal->reason == XARING_REASON_BUSY && c->link == LINK_ASKED &&
	       c->linked.control && c->epoch != 0 && is_worth_keeping(c);
}

static void take_refusal(struct xaring_client *c, const struct xaring_refusal *refusal,
			 uint64_t now_ns)
{
	if (!is_put_off(c, refusal)) {
		link_refused(c, refusal, now_ns);
		return;
	}
	disconnect(c);
	try_again_in(c, RETRY_MAX_MS);
}

static bool accept_fits(const struct xaring_client *c, const struct xaring_accept *accept)
{
	return accept->version >= XARING_PROTOCOL_VERSION_MIN &&
	       accept->version <= XARING_PROTOCOL_VERSION &&
	       (accept->features & ~CLIENT_FEATURES) == 0 &&
	       accept->capacity == c->shape.capacity && accept->data_pages == c->shape.data_pages;
}

/* Maps what ACCEPT or RELINK brought and goes on there. Into capture pages silence is put where nothing comes. */
static int link_take(struct xaring_client *c, const struct xaring_message *message, uint64_t now_ns)
{
	const struct xaring_accept *accept = &message->u.accept;
	struct xaring_status_page *status;
	struct xaring_pages pages = {0};
	int res;

	if (!accept_fits(c, accept))
		return -EPROTO;
	res = xaring_pages_map(&pages, &c->shape, message->fds[0], accept->control_offset,
			       message->fds[1], accept->data_offset, true);
	if (res < 0)
		return res;
	res = xaring_status_map(message->fds[2], false, &status);
	if (res < 0) {
		xaring_pages_unmap(&pages);
		return res;
	}
	xaring_clock_init(&c->clock, accept->features & XARING_FEATURE_SAME_CLOCK);
	xaring_status_unmap(c->status);
	c->status = status;
	client_use_pages(c, &pages, now_ns);
	xaring_pages_unmap(&c->linked);
	c->linked = pages;
	c->epoch = accept->epoch;
	return 0;
}

static void link_up(struct xaring_client *c, uint64_t now_ns)
{
	c->link = LINK_UP;
	c->up_ns = now_ns;
	c->refused = false;
	if (client_is_moving(c))
		client_link_kick(c, XARING_KICK_START);
}

/* New pages are costly: a server that sends them without end would take a processor. */
static bool relinks_too_often(struct xaring_client *c, uint64_t now_ns)
{
	if (now_ns - c->relinks_ns >= NS_PER_S) {
		c->relinks_ns = now_ns;
		c->relinks = 0;
	}
	return ++c->relinks > RELINKS_MAX;
}

/* Takes ACCEPT in the one state that it belongs to, and RELINK in the other. */
static int take_pages(struct xaring_client *c, const struct xaring_message *message,
		      uint64_t now_ns)
{
	bool relink = message->type == XARING_MESSAGE_RELINK;

	if (c->link != (relink ? LINK_UP : LINK_ASKED))
		return -EPROTO;
	if (relink && relinks_too_often(c, now_ns))
		return -EPROTO;
	return link_take(c, message, now_ns);
}

/* The server goes on with the pages that are kept; all that is new is its status page. */
static int take_keep(struct xaring_client *c, const struct xaring_message *message)
{
	struct xaring_status_page *status;
	int res;

	if (c->link != LINK_ASKED || !c->linked.control || message->u.keep_epoch != c->epoch)
		return -EPROTO;
	res = xaring_status_map(message->fds[0], false, &status);
	if (res < 0)
		return res;
	xaring_status_unmap(c->status);
	c->status = status;
	return 0;
}

static void handle_message(struct xaring_client *c, const struct xaring_message *message,
			   uint64_t now_ns)
{
	switch (message->type) {
	case XARING_MESSAGE_ACCEPT:
	case XARING_MESSAGE_RELINK:
		if (take_pages(c, message, now_ns) == 0)
			link_up(c, now_ns);
		else
			client_link_broken(c, now_ns);
		break;
	case XARING_MESSAGE_KEEP:
		if (take_keep(c, message) == 0)
			link_up(c, now_ns);
		else
			client_link_broken(c, now_ns);
		break;
	case XARING_MESSAGE_REFUSE:
		take_refusal(c, &message->u.refusal, now_ns);
		break;
	case XARING_MESSAGE_OPEN:
	case XARING_MESSAGE_KICK:
	case XARING_MESSAGE_WATCH:
	case XARING_MESSAGE_STATUS:
	case XARING_MESSAGE_CHANGED:
	case XARING_MESSAGE_SET_VOLUME:
		client_link_broken(c, now_ns);
		break;
	}
}

/* Takes what the server has said: a few messages, so that no flood keeps the caller here. */
void client_link_receive(struct xaring_client *c, uint64_t now_ns)
{
	struct xaring_message message;

	c->looks = 0;
	c->heard_ns = now_ns;
	for (uint32_t i = 0; i < MESSAGES_MAX && c->link != LINK_NONE; i++) {
		int res = xaring_wire_receive(c->socket_fd, &message);

		if (res == -EAGAIN)
			return;
		if (res == 0)
			handle_message(c, &message, now_ns);
		else if (res == -EPROTO)
			client_link_broken(c, now_ns);
		else
			link_lost(c, now_ns);
		xaring_message_finish(&message);
	}
}

/* What the control page says about the link, when the socket has not said it. */
static void check_status(struct xaring_client *c, uint32_t status, uint64_t now_ns)
{
	uint32_t reason = status >> XARING_BACKEND_REASON_SHIFT;
	struct xaring_refusal refusal = {.reason = XARING_REASON_INTERNAL};

	if ((status & XARING_BACKEND_STATE_MASK) == XARING_BACKEND_BROKEN) {
		client_link_broken(c, now_ns);
		return;
	}
	if (reason > XARING_REASON_NONE && reason <= XARING_REASON_LAST)
		refusal.reason = (enum xaring_reason)reason;
	link_refused(c, &refusal, now_ns);
}

static bool status_is_final(uint32_t status)
{
	uint32_t state = status & XARING_BACKEND_STATE_MASK;

	return state == XARING_BACKEND_REFUSED || state == XARING_BACKEND_BROKEN;
}

/*
 * An attached stream has no reason to look at its socket: a system call for each look. A frontend
 * that polls says that it was woken, and one that only turns in a circle is noticed by its looks.
 * Where the server is the backend's, its end stops the records soon after. A server in the guest can
 * end unnoticed by a frontend that does not poll, and another one has to know the stream.
 */
static bool may_be_deaf(struct xaring_client *c, uint64_t now_ns)
{
	if (c->position.mode != XARING_POSITION_LIVE || ++c->looks >= CLIENT_LOOKS_MAX)
		return false;
	return c->clock.same || now_ns - c->heard_ns < DEAF_NS;
}

static void step_up(struct xaring_client *c, uint64_t now_ns)
{
	uint32_t status = xaring_load(&c->control->backend.status);

	if (c->up_ns == NEVER)
		c->up_ns = now_ns;
	if (may_be_deaf(c, now_ns) && !status_is_final(status))
		return;
	client_link_receive(c, now_ns);
	if (c->link == LINK_UP && status_is_final(status))
		check_status(c, status, now_ns);
}

/*
 * The server is away. While something moves, the records tell whether the backend uses the pages;
 * while nothing does, time has to. An OPEN that has presented them is not true any more afterwards.
 */
static void step_kept(struct xaring_client *c, uint64_t now_ns)
{
	uint32_t status = xaring_load(&c->control->backend.status);
	bool asked = c->link == LINK_ASKED;

	if (status_is_final(status)) {
		check_status(c, status, now_ns);
		return;
	}
	if (c->position.mode != XARING_POSITION_STOPPED || c->kept_ns == NEVER)
		c->kept_ns = now_ns;
	if (is_worth_keeping(c) && now_ns - c->kept_ns < KEEP_NS)
		return;
	leave(c, now_ns);
	if (asked)
		(void)client_link_open(c);
}

void client_link_step(struct xaring_client *c, uint64_t now_ns)
{
	if (c->link == LINK_UP) {
		step_up(c, now_ns);
		return;
	}
	if (c->linked.control)
		step_kept(c, now_ns);
	if (c->next_ns == NEVER)
		c->next_ns = now_ns + c->next_in_ms * NS_PER_MS;
	if (c->link == LINK_ASKED) {
		client_link_receive(c, now_ns);
		if (c->link == LINK_ASKED && now_ns >= c->next_ns)
			link_lost(c, now_ns);
		return;
	}
	if (now_ns >= c->next_ns)
		(void)client_link_open(c);
}
