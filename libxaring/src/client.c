/* SPDX-License-Identifier: MIT */
/*
 * The stream as a frontend sees it: shape, start and stop, frames, position, wake-ups. What the
 * server and the backend do meanwhile is client-link.c's and client-follow.c's. Reads no clock but
 * while xaring_client_setup() waits, and to learn that the machine has slept (client-sleep.c).
 */
#include "client-private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <xaring/shared.h>

#define START_WAIT_NS   (2 * NS_PER_S)
#define CAPTURE_WAIT_NS (250 * NS_PER_MS)
#define DOOR_STEP_MS    2
#define HEARTBEAT_NS    NS_PER_S
#define ARM_SLACK_NS    UINT64_C(100000)

/* Looks for a record that is late: after this slack, then in steps that double up to the largest. */
#define LATE_SLACK_NS    UINT64_C(500000)
#define LATE_STEP_NS     NS_PER_MS
#define LATE_STEP_MAX_NS (8 * NS_PER_MS)

/* Looks for the first record after a start: an eighth of what the wait has taken, within these. */
#define WAIT_STEP_NS     NS_PER_MS
#define WAIT_STEP_MAX_NS (32 * NS_PER_MS)

/* Looks for an attach of a backend that is silent. */
#define FREE_STEP_NS (100 * NS_PER_MS)

int xaring_client_create(const char *socket, const char *name, struct xaring_client **out)
{
	size_t path_bytes = strlen(socket) + 1;
	struct xaring_client *c;
	int res;

	if (path_bytes > CLIENT_PATH_BYTES)
		return -EINVAL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	memcpy(c->path, socket, path_bytes);
	memcpy(c->name, name, strnlen(name, XARING_NAME_BYTES));
	c->socket_fd = -1;
	if (getrandom(&c->stamp_secret, sizeof(c->stamp_secret), GRND_NONBLOCK) < 0)
		c->stamp_secret = 0; /* early at boot; the stamp hides little anyway */
	res = client_fork_init(&c->fork);
	if (res < 0)
		goto err_free;
	res = client_descriptors_create(c);
	if (res < 0)
		goto err_fork;
	client_claim(c);
	*out = c;
	return 0;
err_fork:
	client_fork_finish(&c->fork);
err_free:
	free(c);
	return res;
}

void xaring_client_close(struct xaring_client *c)
{
	if (!c)
		return;
	xaring_client_release(c);
	close(c->timer_fd);
	close(c->epoll_fd);
	client_fork_finish(&c->fork);
	free(c);
}

int xaring_client_poll_fd(const struct xaring_client *c)
{
	return c->epoll_fd;
}

static uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int left_ms(uint64_t end_ns)
{
	uint64_t now_ns = clock_now_ns();

	return now_ns < end_ns ? (int)((end_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

/* Asks the server and waits for its answer, or until the time is over. */
static void ask_and_wait(struct xaring_client *c, int timeout_ms)
{
	uint64_t end_ns = clock_now_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * NS_PER_MS;
	struct pollfd pfd = {.events = POLLIN};

	/* A server that is there but has many waiting at its door. */
	while (client_link_open(c) == -EAGAIN && left_ms(end_ns) > 0) {
		(void)poll(NULL, 0, DOOR_STEP_MS);
		c->retry_ms = 0;
	}
	while (c->link == LINK_ASKED && left_ms(end_ns) > 0) {
		pfd.fd = c->socket_fd;
		if (poll(&pfd, 1, left_ms(end_ns)) > 0)
			client_link_receive(c, NEVER);
	}
}

/* Everything of a stream that begins anew with a setup. */
static void stream_init(struct xaring_client *c)
{
	c->state = XARING_STATE_STOPPED;
	c->published = 0;
	c->delivered = 0;
	c->xruns = 0;
	c->drained = false;
	c->refused = false;
	c->has_gain = false;
	c->is_volume_known = false;
	c->volume = XARING_VOLUME_UNITY;
	c->epoch = 0;
	c->retry_ms = 0;
	c->broken_ms = 0;
	xaring_position_init(&c->position, c->params.direction, c->params.rate_hz);
	xaring_clock_init(&c->clock, false);
	client_sleep_init(&c->sleep);
}

int xaring_client_setup(struct xaring_client *c, const struct xaring_params *params, int timeout_ms,
			struct xaring_refusal *refusal)
{
	int res;

	xaring_client_release(c);
	res = xaring_params_shape(params, &c->shape, refusal);
	if (res < 0)
		return res;
	c->params = *params;
	res = xaring_pages_void(&c->none, &c->shape);
	if (res < 0)
		return res;
	client_claim(c);
	c->shaped = true;
	stream_init(c);
	client_use_pages(c, &c->none, NEVER);
	ask_and_wait(c, timeout_ms);
	if (c->refused) {
		*refusal = c->refusal;
		xaring_client_release(c);
		return xaring_refusal_errno(refusal);
	}
	return 0;
}

void xaring_client_release(struct xaring_client *c)
{
	if (!c->shaped)
		return;
	xaring_client_stop(c);
	client_link_close(c);
	c->link = LINK_NONE;
	xaring_pages_unmap(&c->linked);
	xaring_pages_unmap(&c->none);
	xaring_status_unmap(c->status);
	c->status = NULL;
	c->control = NULL;
	c->ring.data = NULL;
	c->shaped = false;
}

/* How long a start may take. */
static uint64_t longest_start_ns(const struct xaring_client *c)
{
	if (!client_has_backend(c) || client_hears_nothing(c))
		return 0;
	return c->params.direction == XARING_PLAYBACK ? START_WAIT_NS : CAPTURE_WAIT_NS;
}

/*
 * After the word: rests until the backend's first cycle, or runs free when none is to be expected. Both directions of
 * a program begin with dom0's graph then: time that went on in one of them alone would stay in its buffer.
 */
static void begin_moving(struct xaring_client *c, uint64_t now_ns)
{
	uint64_t longest_ns = longest_start_ns(c);

	if (longest_ns > 0)
		client_begin_wait(c, now_ns, longest_ns);
	else
		xaring_position_free(&c->position, now_ns);
}

void xaring_client_start(struct xaring_client *c, uint64_t now_ns, uint32_t index)
{
	uint32_t attach;

	if (!c->shaped)
		return;
	client_claim(c);
	(void)client_take_record(c, now_ns); /* gaps of before do not count */
	attach = xaring_load(&c->control->backend.attach);
	if (attach & XARING_WORD_ATTACH_MASK) {
		c->xruns_known = c->xruns_known && attach == c->attach;
		c->attach = attach;
	}
	c->generation++;
	c->state = XARING_STATE_RUNNING;
	c->delivered = index;
	c->xruns = 0;
	c->drained = false;
	c->failed = 0;
	c->answer_ns = 0;
	xaring_position_start(&c->position, index, now_ns);
	begin_moving(c, now_ns);
	xaring_store(&c->control->guest.base, index);
	xaring_store(&c->control->guest.pos, c->published);
	client_store_word(c, c->position.mode == XARING_POSITION_WAITING ? c->attach : 0);
	client_link_kick(c, XARING_KICK_START);
}

void xaring_client_pause(struct xaring_client *c, uint64_t now_ns)
{
	if (!c->shaped || !client_is_moving(c))
		return;
	client_claim(c);
	(void)client_take_record(c, now_ns);
	(void)xaring_position_at(&c->position, now_ns, c->published);
	xaring_position_stop(&c->position);
	c->resumes_as = c->state;
	c->state = XARING_STATE_PAUSED;
	client_store_word(c, c->word & XARING_WORD_ATTACH_MASK);
}

void xaring_client_resume(struct xaring_client *c, uint64_t now_ns)
{
	if (!c->shaped || c->state != XARING_STATE_PAUSED)
		return;
	client_claim(c);
	/* A record of the time before the pause would look like the first one after it. */
	(void)client_take_record(c, now_ns);
	c->state = c->resumes_as;
	begin_moving(c, now_ns);
	client_store_word(c, c->position.mode == XARING_POSITION_WAITING
				     ? c->word & XARING_WORD_ATTACH_MASK
				     : 0);
	client_link_kick(c, XARING_KICK_START);
}

void xaring_client_drain(struct xaring_client *c, uint64_t now_ns)
{
	if (!c->shaped)
		return;
	if (c->state == XARING_STATE_PAUSED)
		xaring_client_resume(c, now_ns);
	if (c->state != XARING_STATE_RUNNING)
		return;
	client_claim(c);
	(void)client_take_record(c, now_ns);
	c->state = XARING_STATE_DRAINING;
	c->drained = false;
	client_store_word(c, c->word & XARING_WORD_ATTACH_MASK);
	client_link_kick(c, XARING_KICK_DRAIN);
}

void xaring_client_stop(struct xaring_client *c)
{
	if (!c->shaped || c->state == XARING_STATE_STOPPED)
		return;
	c->state = XARING_STATE_STOPPED;
	c->has_gain = false;
	xaring_position_stop(&c->position);
	/* In a process that only has a copy, the stream of the other one goes on. */
	if (client_is_user(c))
		client_store_word(c, c->word & XARING_WORD_ATTACH_MASK);
}

void xaring_client_write(struct xaring_client *c, uint32_t index, const void *from, uint32_t frames)
{
	if (!c->shaped || frames > c->shape.capacity)
		return;
	client_claim(c);
	client_volume_write(c, index, from, frames);
}

/* Of frames from index on, how many the ring really has: nobody has filled what follows. */
static uint32_t count_delivered(const struct xaring_client *c, uint32_t index, uint32_t frames)
{
	int32_t ahead = (int32_t)(c->delivered - index);

	if (ahead <= 0)
		return 0;
	return (uint32_t)ahead < frames ? (uint32_t)ahead : frames;
}

void xaring_client_read(struct xaring_client *c, uint32_t index, void *to, uint32_t frames)
{
	size_t frame_bytes = c->shape.frame_bytes;
	uint32_t there;

	if (!c->shaped || frames > c->shape.capacity)
		return;
	client_claim(c);
	xaring_ring_read(&c->ring, index, to, frames);
	/* Only now: it may have been saved while it read. */
	client_distrust(c, index);
	there = count_delivered(c, index, frames);
	xaring_format_silence(c->params.format, (char *)to + there * frame_bytes,
			      (frames - there) * frame_bytes);
}

void xaring_client_publish(struct xaring_client *c, uint32_t index)
{
	if (!c->shaped)
		return;
	client_claim(c);
	c->published = index;
	c->drained = false;
	c->looks = 0;
	xaring_store(&c->control->guest.pos, index);
}

/* What the user of the stream owes the backend and the server after looking. */
static void serve(struct xaring_client *c, uint64_t now_ns)
{
	if (client_is_moving(c) && c->position.mode == XARING_POSITION_FREE &&
	    (c->word & XARING_WORD_ATTACH_MASK))
		client_withdraw(c, now_ns);
	client_answer_attach(c, now_ns);
	client_volume_tell(c);
	if (!c->clock.same)
		xaring_store(&c->control->guest.stamp, xaring_clock_stamp(now_ns, c->stamp_secret));
	client_link_step(c, now_ns);
}

/* A rewind may have taken back what was played already, so the end can lie behind the position. */
static bool is_drained(const struct xaring_client *c)
{
	if (c->state != XARING_STATE_DRAINING)
		return false;
	return c->drained || (c->position.mode == XARING_POSITION_FREE &&
			      (int32_t)(c->published - c->position.pos) <= 0);
}

void xaring_client_update(struct xaring_client *c, uint64_t now_ns,
			  struct xaring_client_state *state)
{
	bool is_user;
	int res;

	memset(state, 0, sizeof(*state));
	if (!c->shaped)
		return;
	is_user = client_is_user(c);
	client_distrust(c, c->published);
	res = client_take_record(c, now_ns);
	if (c->position.mode == XARING_POSITION_WAITING && client_hears_nothing(c))
		xaring_position_free(&c->position, now_ns);
	(void)xaring_position_at(&c->position, now_ns, c->published);
	if (is_user && res < 0)
		client_link_broken(c, now_ns);
	else if (is_user)
		serve(c, now_ns);
	state->pos = c->position.pos;
	state->xruns = c->xruns;
	state->drained = is_drained(c);
	state->linked = c->link == LINK_UP;
	state->attached = c->position.mode == XARING_POSITION_LIVE;
	state->refused = c->refused && c->refusal.reason != XARING_REASON_BUSY;
}

void xaring_client_refusal(const struct xaring_client *c, struct xaring_refusal *refusal)
{
	*refusal = c->refusal;
}

uint32_t xaring_client_delay(const struct xaring_client *c, uint64_t now_ns)
{
	return c->shaped ? xaring_position_delay(&c->position, now_ns, c->published) : 0;
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/*
 * The next look at a record that should be there by expected_ns: then, and after 1, 3, 7, 15, 23,
 * ... ms, so that a late cycle costs few wake-ups and a lost backend no busy loop.
 */
static uint64_t late_look(uint64_t expected_ns, uint64_t now_ns)
{
	uint64_t look_ns = expected_ns, step_ns = LATE_STEP_NS;

	while (look_ns <= now_ns && step_ns < LATE_STEP_MAX_NS) {
		look_ns += step_ns;
		step_ns *= 2;
	}
	if (look_ns <= now_ns)
		look_ns += ((now_ns - look_ns) / LATE_STEP_MAX_NS + 1) * LATE_STEP_MAX_NS;
	return look_ns;
}

/* LIVE: the time of index when the newest record reaches that far, else when to look for the next. */
static uint64_t when_live(const struct xaring_client *c, uint64_t now_ns, uint32_t index)
{
	const struct xaring_position *p = &c->position;
	uint64_t at_ns = xaring_position_when(p, now_ns, index);
	uint64_t quantum_ns = p->quantum * NS_PER_S / p->rate_hz;

	if (at_ns <= now_ns || xaring_position_reaches(p, index))
		return at_ns;
	return earlier(at_ns,
		       late_look(p->record_ns + quantum_ns + c->age_ns + LATE_SLACK_NS, now_ns));
}

static uint64_t when_waiting(const struct xaring_client *c, uint64_t now_ns, uint32_t index)
{
	uint64_t at_ns = xaring_position_when(&c->position, now_ns, index);
	uint64_t step_ns = now_ns > c->wait_ns ? (now_ns - c->wait_ns) / 8 : 0;

	if (step_ns < WAIT_STEP_NS)
		step_ns = WAIT_STEP_NS;
	return earlier(at_ns, now_ns + earlier(step_ns, WAIT_STEP_MAX_NS));
}

static uint64_t when_free(const struct xaring_client *c, uint64_t now_ns, uint32_t index)
{
	uint64_t at_ns = xaring_position_when(&c->position, now_ns, index);
	uint64_t link_ns = c->next_ns > now_ns ? c->next_ns : now_ns;

	if (c->link == LINK_UP)
		return earlier(at_ns, now_ns + FREE_STEP_NS);
	if (c->link == LINK_NONE && c->next_ns != NEVER)
		return earlier(at_ns, link_ns);
	return at_ns;
}

uint64_t xaring_client_when(const struct xaring_client *c, uint64_t now_ns, uint32_t index)
{
	uint64_t at_ns = NEVER;

	if (!c->shaped)
		return NEVER;
	switch (c->position.mode) {
	case XARING_POSITION_STOPPED:
		return NEVER;
	case XARING_POSITION_WAITING:
		at_ns = when_waiting(c, now_ns, index);
		break;
	case XARING_POSITION_LIVE:
		at_ns = when_live(c, now_ns, index);
		break;
	case XARING_POSITION_FREE:
		at_ns = when_free(c, now_ns, index);
		break;
	}
	return earlier(at_ns, now_ns + HEARTBEAT_NS);
}

void xaring_client_woken(struct xaring_client *c, uint64_t now_ns)
{
	if (c->shaped && now_ns < c->armed_ns)
		c->looks = CLIENT_LOOKS_MAX;
}

void xaring_client_arm(struct xaring_client *c, uint64_t when_ns)
{
	uint64_t apart_ns = when_ns > c->armed_ns ? when_ns - c->armed_ns : c->armed_ns - when_ns;
	struct itimerspec spec = {0};

	if (when_ns == c->armed_ns || (apart_ns <= ARM_SLACK_NS && when_ns != 0))
		return;
	if (!client_is_user(c))
		return;
	/* A zero would disarm: now is the first moment there is. */
	if (when_ns == 0)
		spec.it_value.tv_nsec = 1;
	else if (when_ns != NEVER)
		spec.it_value = (struct timespec){.tv_sec = (time_t)(when_ns / NS_PER_S),
						  .tv_nsec = (long)(when_ns % NS_PER_S)};
	if (timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
		c->armed_ns = when_ns;
}

void xaring_client_peek(const struct xaring_client *c, struct xaring_client_view *view)
{
	memset(view, 0, sizeof(*view));
	if (!c->shaped || !c->linked.control)
		return;
	view->backend = xaring_load(&c->control->backend.status) & XARING_BACKEND_STATE_MASK;
	view->flags = xaring_load(&c->control->backend.flags);
	view->status_flags = xaring_load(&c->status->flags);
	view->volume = xaring_load(&c->status->volume);
}

static const char *describe_link(const struct xaring_client *c)
{
	if (c->link == LINK_UP)
		return client_has_backend(c) ? "linked" : "linked, no backend";
	if (c->linked.control)
		return "not connected, pages kept";
	if (c->refused)
		return "refused";
	return c->link == LINK_ASKED ? "no answer" : "not connected";
}

void xaring_client_describe(const struct xaring_client *c, char *text, uint32_t text_bytes)
{
	static const char *const modes[] = {"stopped", "waiting for the backend", "attached",
					    "free running"};

	if (!c->shaped)
		(void)snprintf(text, text_bytes, "%s: no setup", c->path);
	else
		(void)snprintf(text, text_bytes,
			       "%s: %s, %s, quantum %u, delay %u, ring %u frames, xruns %u",
			       c->path, describe_link(c), modes[c->position.mode],
			       c->position.quantum, c->position.delay, c->shape.capacity, c->xruns);
}
