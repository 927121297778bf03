/* SPDX-License-Identifier: MIT */
/*
 * Every call in every state: what it answers, and the state afterwards. The tables say what a kernel
 * device does; where alsa-lib's ioplug does something else by itself, they say that beside it.
 */
#include <stdio.h>

#include "case.h"

enum { OPEN, SETUP, PREPARED, RUNNING, XRUN, DRAINING, PAUSED, STATES };

static const struct {
	const char *name;
	snd_pcm_state_t state;
} states[STATES] = {
	[OPEN] = {"OPEN", SND_PCM_STATE_OPEN},
	[SETUP] = {"SETUP", SND_PCM_STATE_SETUP},
	[PREPARED] = {"PREPARED", SND_PCM_STATE_PREPARED},
	[RUNNING] = {"RUNNING", SND_PCM_STATE_RUNNING},
	[XRUN] = {"XRUN", SND_PCM_STATE_XRUN},
	[DRAINING] = {"DRAINING", SND_PCM_STATE_DRAINING},
	[PAUSED] = {"PAUSED", SND_PCM_STATE_PAUSED},
};

#define FRAMES 3000 /* in the buffer, in those states that have any */

struct answer {
	long res; /* SOME: what was done is told, and is no error */
	int then;
};

#define SOME LONG_MAX

struct expected {
	struct answer card;
	bool is_other; /* an ioplug does this instead: */
	struct answer ioplug;
};

#define BOTH(res, then)               \
	{                             \
		.card = { res, then } \
	}
#define OWN(res, then, other, then_other) \
	{                                 \
		{res, then}, true,        \
		{                         \
			other, then_other \
		}                         \
	}

static void begin_draining(struct test_case *c)
{
	assert_int_equal(snd_pcm_nonblock(c->pcm, 1), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), -EAGAIN);
	assert_int_equal(snd_pcm_nonblock(c->pcm, 0), 0);
}

/* Opens the PCM and brings it into the state. Returns false when it does not offer that. */
static bool bring(struct test_case *c, int state)
{
	case_serve_anew(c, 256);
	case_open(c, 0);
	if (state == OPEN)
		return true;
	case_shape(c, (struct shape){.period = 1500,
				     .buffer = 6000,
				     .start = state == PREPARED ? FOREVER : 1,
				     .stop = state == XRUN ? 6000 : FOREVER});
	if (state == PAUSED && !case_can_pause(c))
		return false;
	if (state == SETUP)
		assert_int_equal(snd_pcm_drop(c->pcm), 0);
	else
		case_write(c, state == XRUN ? 500 : FRAMES, FRAMES);
	if (state == XRUN)
		case_wait_until(snd_pcm_avail(c->pcm) == -EPIPE);
	if (state == DRAINING)
		begin_draining(c);
	if (state == PAUSED)
		assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	assert_int_equal(snd_pcm_state(c->pcm), states[state].state);
	return true;
}

/* The same for a capture, in which frames are left from RUNNING on. It drains with a card only. */
static bool bring_capture(struct test_case *c, int state)
{
	case_serve_anew(c, 256);
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_CAPTURE, 0, NULL, &c->pcm), 0);
	if (state == OPEN)
		return true;
	case_shape(c, (struct shape){.period = 500,
				     .buffer = 2000,
				     .start = 1,
				     .stop = state == XRUN ? 2000 : FOREVER});
	if (state == DRAINING || (state == PAUSED && !case_can_pause(c)))
		return false;
	if (state == SETUP)
		assert_int_equal(snd_pcm_drop(c->pcm), 0);
	if (state >= RUNNING)
		assert_int_equal(snd_pcm_start(c->pcm), 0);
	if (state >= RUNNING && state != XRUN)
		case_wait_until(snd_pcm_avail(c->pcm) >= 500);
	if (state == XRUN)
		case_wait_until(snd_pcm_avail(c->pcm) == -EPIPE);
	if (state == PAUSED)
		assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	assert_int_equal(snd_pcm_state(c->pcm), states[state].state);
	return true;
}

static bool is_same(const struct answer *answer, long res, snd_pcm_state_t then)
{
	return (answer->res == SOME ? res >= 0 : res == answer->res) &&
	       then == states[answer->then].state;
}

/* Returns whether the answer is the expected one; says so otherwise. */
static bool judge(struct test_case *c, const struct expected *e, const char *name, int state,
		  long res)
{
	snd_pcm_state_t then = snd_pcm_state(c->pcm);
	const struct answer *answer = &e->card;
	char what[100];

	snprintf(what, sizeof(what), "%s in %s: %ld, then %s", name, states[state].name, res,
		 snd_pcm_state_name(then));
	if (e->is_other && !is_same(answer, res, then) && case_is_ioplug(c, what))
		answer = &e->ioplug;
	if (is_same(answer, res, then))
		return true;
	print_error("%s; expected were %ld, then %s\n", what, answer->res,
		    states[answer->then].name);
	return false;
}

typedef bool (*bring_fn)(struct test_case *c, int state);
typedef long (*call_fn)(snd_pcm_t *pcm);

static void in_states_from(struct test_case *c, int first, bring_fn to, const char *name,
			   call_fn call, const struct expected expected[STATES])
{
	bool is_right = true;

	for (int state = first; state < STATES; state++) {
		if (to(c, state))
			is_right &= judge(c, &expected[state], name, state, call(c->pcm));
		case_close(c);
	}
	assert_true(is_right);
}

static void in_each_state(struct test_case *c, const char *name, call_fn call,
			  const struct expected expected[STATES])
{
	in_states_from(c, OPEN, bring, name, call, expected);
}

static void in_each_state_of_a_capture(struct test_case *c, const char *name, call_fn call,
				       const struct expected expected[STATES])
{
	in_states_from(c, OPEN, bring_capture, name, call, expected);
}

static long prepare(snd_pcm_t *pcm)
{
	return snd_pcm_prepare(pcm);
}

static void prepare_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),      [SETUP] = BOTH(0, PREPARED),
		[PREPARED] = BOTH(0, PREPARED), [RUNNING] = OWN(-EBUSY, RUNNING, 0, PREPARED),
		[XRUN] = BOTH(0, PREPARED),     [DRAINING] = OWN(-EBUSY, DRAINING, 0, PREPARED),
		[PAUSED] = BOTH(0, PREPARED),
	};

	in_each_state(*state, "prepare", prepare, expected);
}

static long start(snd_pcm_t *pcm)
{
	return snd_pcm_start(pcm);
}

static void start_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),
		[SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(0, RUNNING),
		[RUNNING] = BOTH(-EBADFD, RUNNING),
		[XRUN] = OWN(-EBADFD, XRUN, -EPIPE, XRUN),
		[DRAINING] = BOTH(-EBADFD, DRAINING),
		[PAUSED] = BOTH(-EBADFD, PAUSED),
	};

	in_each_state(*state, "start", start, expected);
}

static long drop(snd_pcm_t *pcm)
{
	return snd_pcm_drop(pcm);
}

static void drop_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),  [SETUP] = BOTH(0, SETUP), [PREPARED] = BOTH(0, SETUP),
		[RUNNING] = BOTH(0, SETUP), [XRUN] = BOTH(0, SETUP),  [DRAINING] = BOTH(0, SETUP),
		[PAUSED] = BOTH(0, SETUP),
	};

	in_each_state(*state, "drop", drop, expected);
}

static long drain(snd_pcm_t *pcm)
{
	return snd_pcm_drain(pcm);
}

static void drain_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),  [SETUP] = BOTH(0, SETUP), [PREPARED] = BOTH(0, SETUP),
		[RUNNING] = BOTH(0, SETUP), [XRUN] = BOTH(0, SETUP),  [DRAINING] = BOTH(0, SETUP),
		[PAUSED] = BOTH(0, SETUP),
	};

	in_each_state(*state, "drain", drain, expected);
}

static long drain_at_once(snd_pcm_t *pcm)
{
	assert_int_equal(snd_pcm_nonblock(pcm, 1), 0);
	return snd_pcm_drain(pcm);
}

static void nonblocking_drain_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),
		[SETUP] = OWN(-EAGAIN, SETUP, 0, SETUP),
		[PREPARED] = BOTH(-EAGAIN, DRAINING),
		[RUNNING] = BOTH(-EAGAIN, DRAINING),
		[XRUN] = OWN(-EAGAIN, SETUP, 0, SETUP),
		[DRAINING] = BOTH(-EAGAIN, DRAINING),
		[PAUSED] = OWN(-EAGAIN, DRAINING, 0, SETUP),
	};

	in_each_state(*state, "drain without blocking", drain_at_once, expected);
}

static long pause_it(snd_pcm_t *pcm)
{
	return snd_pcm_pause(pcm, 1);
}

/* Of playback, and of a capture, which does not drain. */
static const struct expected pausing[STATES] = {
	[OPEN] = BOTH(-EIO, OPEN),
	[SETUP] = BOTH(-EBADFD, SETUP),
	[PREPARED] = BOTH(-EBADFD, PREPARED),
	[RUNNING] = BOTH(0, PAUSED),
	[XRUN] = BOTH(-EBADFD, XRUN),
	[DRAINING] = BOTH(-EBADFD, DRAINING),
	[PAUSED] = BOTH(-EBADFD, PAUSED),
};

static bool lacks_pause(struct test_case *c)
{
	bool lacks;

	case_open(c, 0);
	case_shape(c, (struct shape){0});
	lacks = case_lacks_pause(c);
	case_close(c);
	return lacks;
}

static void pause_in_each_state(void **state)
{
	struct test_case *c = *state;

	if (lacks_pause(c))
		return;
	in_each_state(c, "pause", pause_it, pausing);
}

static long go_on(snd_pcm_t *pcm)
{
	return snd_pcm_pause(pcm, 0);
}

static void going_on_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),
		[SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(-EBADFD, PREPARED),
		[RUNNING] = BOTH(-EBADFD, RUNNING),
		[XRUN] = BOTH(-EBADFD, XRUN),
		[DRAINING] = BOTH(-EBADFD, DRAINING),
		[PAUSED] = BOTH(0, RUNNING),
	};
	struct test_case *c = *state;

	if (lacks_pause(c))
		return;
	in_each_state(c, "going on", go_on, expected);
}

static long resume(snd_pcm_t *pcm)
{
	return snd_pcm_resume(pcm);
}

/* Nothing is ever suspended here. */
static void resume_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),
		[SETUP] = OWN(-EBADFD, SETUP, 0, SETUP),
		[PREPARED] = OWN(-EBADFD, PREPARED, 0, PREPARED),
		[RUNNING] = OWN(-EBADFD, RUNNING, 0, RUNNING),
		[XRUN] = OWN(-EBADFD, XRUN, 0, XRUN),
		[DRAINING] = OWN(-EBADFD, DRAINING, 0, DRAINING),
		[PAUSED] = OWN(-EBADFD, PAUSED, 0, PAUSED),
	};

	in_each_state(*state, "resume", resume, expected);
}

static long reset(snd_pcm_t *pcm)
{
	return snd_pcm_reset(pcm);
}

static void reset_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),
		[SETUP] = OWN(-EBADFD, SETUP, 0, SETUP),
		[PREPARED] = BOTH(0, PREPARED),
		[RUNNING] = BOTH(0, RUNNING),
		[XRUN] = OWN(-EBADFD, XRUN, 0, XRUN),
		[DRAINING] = OWN(-EBADFD, DRAINING, 0, DRAINING),
		[PAUSED] = BOTH(0, PAUSED),
	};

	in_each_state(*state, "reset", reset, expected);
}

static long delay(snd_pcm_t *pcm)
{
	snd_pcm_sframes_t frames = -1;
	int res = snd_pcm_delay(pcm, &frames);

	if (res == 0)
		assert_in_range(frames, 0, 48000);
	return res;
}

static void delay_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),      [SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(0, PREPARED), [RUNNING] = BOTH(0, RUNNING),
		[XRUN] = BOTH(-EPIPE, XRUN),    [DRAINING] = BOTH(0, DRAINING),
		[PAUSED] = BOTH(0, PAUSED),
	};

	in_each_state(*state, "delay", delay, expected);
}

static long avail(snd_pcm_t *pcm)
{
	return snd_pcm_avail(pcm);
}

static void avail_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),
		[SETUP] = OWN(-EBADFD, SETUP, SOME, SETUP),
		[PREPARED] = BOTH(6000 - FRAMES, PREPARED),
		[RUNNING] = BOTH(SOME, RUNNING),
		[XRUN] = BOTH(-EPIPE, XRUN),
		[DRAINING] = BOTH(SOME, DRAINING),
		[PAUSED] = BOTH(SOME, PAUSED),
	};

	in_each_state(*state, "avail", avail, expected);
}

static long write_one(snd_pcm_t *pcm)
{
	char frame[4] = {0};

	return snd_pcm_writei(pcm, frame, 1);
}

static void write_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),      [SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(1, PREPARED), [RUNNING] = BOTH(1, RUNNING),
		[XRUN] = BOTH(-EPIPE, XRUN),    [DRAINING] = BOTH(-EBADFD, DRAINING),
		[PAUSED] = BOTH(1, PAUSED),
	};

	in_each_state(*state, "write", write_one, expected);
}

static long rewindable(snd_pcm_t *pcm)
{
	return snd_pcm_rewindable(pcm);
}

static void rewindable_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),           [SETUP] = OWN(0, SETUP, -EBADFD, SETUP),
		[PREPARED] = BOTH(FRAMES, PREPARED), [RUNNING] = BOTH(SOME, RUNNING),
		[XRUN] = BOTH(SOME, XRUN),           [DRAINING] = BOTH(SOME, DRAINING),
		[PAUSED] = BOTH(SOME, PAUSED),
	};

	in_each_state(*state, "rewindable", rewindable, expected);
}

static long rewind_one(snd_pcm_t *pcm)
{
	return snd_pcm_rewind(pcm, 1);
}

static void rewind_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),           [SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(1, PREPARED),      [RUNNING] = BOTH(1, RUNNING),
		[XRUN] = OWN(-EPIPE, XRUN, 1, XRUN), [DRAINING] = BOTH(1, DRAINING),
		[PAUSED] = BOTH(1, PAUSED),
	};

	in_each_state(*state, "rewind", rewind_one, expected);
}

static long forward_one(snd_pcm_t *pcm)
{
	return snd_pcm_forward(pcm, 1);
}

static void forward_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),           [SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(1, PREPARED),      [RUNNING] = BOTH(1, RUNNING),
		[XRUN] = OWN(-EPIPE, XRUN, 1, XRUN), [DRAINING] = BOTH(1, DRAINING),
		[PAUSED] = BOTH(1, PAUSED),
	};

	in_each_state(*state, "forward", forward_one, expected);
}

static long software(snd_pcm_t *pcm)
{
	snd_pcm_sw_params_t *sw;
	int res;

	snd_pcm_sw_params_alloca(&sw);
	res = snd_pcm_sw_params_current(pcm, sw);
	return res < 0 ? res : snd_pcm_sw_params(pcm, sw);
}

static void software_parameters_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),      [SETUP] = BOTH(0, SETUP),
		[PREPARED] = BOTH(0, PREPARED), [RUNNING] = BOTH(0, RUNNING),
		[XRUN] = BOTH(0, XRUN),         [DRAINING] = BOTH(0, DRAINING),
		[PAUSED] = BOTH(0, PAUSED),
	};

	in_each_state(*state, "software parameters", software, expected);
}

static long hardware(snd_pcm_t *pcm)
{
	snd_pcm_hw_params_t *hw;

	snd_pcm_hw_params_alloca(&hw);
	assert_true(snd_pcm_hw_params_any(pcm, hw) >= 0);
	assert_int_equal(snd_pcm_hw_params_set_format(pcm, hw, SND_PCM_FORMAT_S16_LE), 0);
	assert_int_equal(snd_pcm_hw_params_set_channels(pcm, hw, 2), 0);
	assert_int_equal(snd_pcm_hw_params_set_rate(pcm, hw, 48000, 0), 0);
	return snd_pcm_hw_params(pcm, hw);
}

static void hardware_parameters_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(0, PREPARED),
		[SETUP] = BOTH(0, PREPARED),
		[PREPARED] = BOTH(0, PREPARED),
		[RUNNING] = OWN(-EBADFD, RUNNING, 0, PREPARED),
		[XRUN] = OWN(-EBADFD, XRUN, 0, PREPARED),
		[DRAINING] = OWN(-EBADFD, DRAINING, 0, PREPARED),
		[PAUSED] = OWN(-EBADFD, PAUSED, 0, PREPARED),
	};

	in_each_state(*state, "hardware parameters", hardware, expected);
}

static long hw_free(snd_pcm_t *pcm)
{
	return snd_pcm_hw_free(pcm);
}

static void hw_free_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(0, OPEN),
		[SETUP] = BOTH(0, OPEN),
		[PREPARED] = BOTH(0, OPEN),
		[RUNNING] = OWN(-EBADFD, RUNNING, 0, OPEN),
		[XRUN] = OWN(-EBADFD, XRUN, 0, OPEN),
		[DRAINING] = OWN(-EBADFD, DRAINING, 0, OPEN),
		[PAUSED] = OWN(-EBADFD, PAUSED, 0, OPEN),
	};

	in_each_state(*state, "hw_free", hw_free, expected);
}

static long status(snd_pcm_t *pcm)
{
	snd_pcm_status_t *told;
	int res;

	snd_pcm_status_alloca(&told);
	res = snd_pcm_status(pcm, told);
	if (res == 0)
		assert_int_equal(snd_pcm_status_get_state(told), snd_pcm_state(pcm));
	return res;
}

static void status_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(0, OPEN),         [SETUP] = BOTH(0, SETUP),
		[PREPARED] = BOTH(0, PREPARED), [RUNNING] = BOTH(0, RUNNING),
		[XRUN] = BOTH(0, XRUN),         [DRAINING] = BOTH(0, DRAINING),
		[PAUSED] = BOTH(0, PAUSED),
	};

	in_each_state(*state, "status", status, expected);
}

static long wait_now(snd_pcm_t *pcm)
{
	return snd_pcm_wait(pcm, 0);
}

/* There is room for 3000 frames of 6000, and avail_min is 1500. */
static void wait_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[SETUP] = BOTH(1, SETUP),       [PREPARED] = BOTH(1, PREPARED),
		[RUNNING] = BOTH(1, RUNNING),   [XRUN] = BOTH(-EPIPE, XRUN),
		[DRAINING] = BOTH(0, DRAINING), [PAUSED] = BOTH(1, PAUSED),
	};

	in_states_from(*state, SETUP, bring, "wait", wait_now, expected);
}

static long poll_now(snd_pcm_t *pcm)
{
	return case_poll(pcm, 0);
}

static void poll_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[SETUP] = OWN(POLLOUT | POLLERR, SETUP, POLLOUT, SETUP),
		[PREPARED] = BOTH(POLLOUT, PREPARED),
		[RUNNING] = BOTH(POLLOUT, RUNNING),
		[XRUN] = BOTH(POLLOUT | POLLERR, XRUN),
		[DRAINING] = BOTH(0, DRAINING),
		[PAUSED] = BOTH(POLLOUT, PAUSED),
	};

	in_states_from(*state, SETUP, bring, "poll", poll_now, expected);
}

static void capture_prepare_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),      [SETUP] = BOTH(0, PREPARED),
		[PREPARED] = BOTH(0, PREPARED), [RUNNING] = OWN(-EBUSY, RUNNING, 0, PREPARED),
		[XRUN] = BOTH(0, PREPARED),     [PAUSED] = BOTH(0, PREPARED),
	};

	in_each_state_of_a_capture(*state, "prepare", prepare, expected);
}

static void capture_start_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),
		[SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(0, RUNNING),
		[RUNNING] = BOTH(-EBADFD, RUNNING),
		[XRUN] = OWN(-EBADFD, XRUN, -EPIPE, XRUN),
		[PAUSED] = BOTH(-EBADFD, PAUSED),
	};

	in_each_state_of_a_capture(*state, "start", start, expected);
}

static void capture_drop_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),  [SETUP] = BOTH(0, SETUP), [PREPARED] = BOTH(0, SETUP),
		[RUNNING] = BOTH(0, SETUP), [XRUN] = BOTH(0, SETUP),  [PAUSED] = BOTH(0, SETUP),
	};

	in_each_state_of_a_capture(*state, "drop", drop, expected);
}

/* There is nothing to wait for. */
static long drain_capture(snd_pcm_t *pcm)
{
	uint64_t begin_ns = case_now_ns();
	int res = snd_pcm_drain(pcm);

	case_timing(case_now_ns() - begin_ns < 50 * NS_PER_MS);
	return res;
}

/* With a card what was captured until then can still be read. */
static void capture_drain_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),
		[SETUP] = BOTH(0, SETUP),
		[PREPARED] = OWN(0, PREPARED, 0, SETUP),
		[RUNNING] = OWN(0, DRAINING, 0, SETUP),
		[XRUN] = OWN(0, XRUN, 0, SETUP),
		[PAUSED] = OWN(0, DRAINING, 0, SETUP),
	};

	in_each_state_of_a_capture(*state, "drain", drain_capture, expected);
}

static void capture_pause_in_each_state(void **state)
{
	struct test_case *c = *state;

	if (lacks_pause(c))
		return;
	in_each_state_of_a_capture(c, "pause", pause_it, pausing);
}

static long read_one(snd_pcm_t *pcm)
{
	char frame[4];

	return snd_pcm_readi(pcm, frame, 1);
}

static void read_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),     [SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(1, RUNNING), [RUNNING] = BOTH(1, RUNNING),
		[XRUN] = BOTH(-EPIPE, XRUN),   [PAUSED] = BOTH(1, PAUSED),
	};

	in_each_state_of_a_capture(*state, "read", read_one, expected);
}

static void capture_avail_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),      [SETUP] = OWN(-EBADFD, SETUP, SOME, SETUP),
		[PREPARED] = BOTH(0, PREPARED), [RUNNING] = BOTH(SOME, RUNNING),
		[XRUN] = BOTH(-EPIPE, XRUN),    [PAUSED] = BOTH(SOME, PAUSED),
	};

	in_each_state_of_a_capture(*state, "avail", avail, expected);
}

static void capture_delay_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[OPEN] = BOTH(-EIO, OPEN),      [SETUP] = BOTH(-EBADFD, SETUP),
		[PREPARED] = BOTH(0, PREPARED), [RUNNING] = BOTH(0, RUNNING),
		[XRUN] = BOTH(-EPIPE, XRUN),    [PAUSED] = BOTH(0, PAUSED),
	};

	in_each_state_of_a_capture(*state, "delay", delay, expected);
}

static void capture_poll_in_each_state(void **state)
{
	static const struct expected expected[STATES] = {
		[SETUP] = BOTH(POLLIN | POLLERR, SETUP), [PREPARED] = BOTH(0, PREPARED),
		[RUNNING] = BOTH(POLLIN, RUNNING),       [XRUN] = BOTH(POLLIN | POLLERR, XRUN),
		[PAUSED] = BOTH(POLLIN, PAUSED),
	};

	in_states_from(*state, SETUP, bring_capture, "poll", poll_now, expected);
}

/* Leaves each state by a close, which frees the stream. */
static void close_in_each_state_frees_the_stream(void **state)
{
	struct test_case *c = *state;

	for (int s = 0; s < 2 * STATES; s++) {
		(s % 2 ? bring_capture : bring)(c, s / 2);
		case_close(c);
		if (c->backend)
			case_wait_until(fake_streams_alive(c->backend) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(prepare_in_each_state),
		case_test(start_in_each_state),
		case_test(drop_in_each_state),
		case_test(drain_in_each_state),
		case_test(nonblocking_drain_in_each_state),
		case_test(pause_in_each_state),
		case_test(going_on_in_each_state),
		case_test(resume_in_each_state),
		case_test(reset_in_each_state),
		case_test(delay_in_each_state),
		case_test(avail_in_each_state),
		case_test(write_in_each_state),
		case_test(rewindable_in_each_state),
		case_test(rewind_in_each_state),
		case_test(forward_in_each_state),
		case_test(software_parameters_in_each_state),
		case_test(hardware_parameters_in_each_state),
		case_test(hw_free_in_each_state),
		case_test(status_in_each_state),
		case_test(wait_in_each_state),
		case_test(poll_in_each_state),
		case_test(capture_prepare_in_each_state),
		case_test(capture_start_in_each_state),
		case_test(capture_drop_in_each_state),
		case_test(capture_drain_in_each_state),
		case_test(capture_pause_in_each_state),
		case_test(read_in_each_state),
		case_test(capture_avail_in_each_state),
		case_test(capture_delay_in_each_state),
		case_test(capture_poll_in_each_state),
		case_test(close_in_each_state_frees_the_stream),
	};

	return case_run(tests);
}
