/* SPDX-License-Identifier: MIT */
/* When a poll returns, what it says, and for when the timer is set: as a kernel device does it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>

#include "pollstate.h"

#define NOW  UINT64_C(1000000000000)
#define MS   UINT64_C(1000000)
#define EVER POLLSTATE_NEVER

/* 4 periods of 1000 frames; full, one second after the prepare. */
static struct pollstate full(snd_pcm_state_t state)
{
	return (struct pollstate){
		.state = state,
		.avail = 0,
		.avail_min = 1000,
		.buffer = 4000,
		.period = 1000,
		.stop = 4000,
		.total = 48000,
		.total_told = 48000,
	};
}

static void playback_is_ready_from_avail_min_on(void **state)
{
	const snd_pcm_state_t states[] = {SND_PCM_STATE_PREPARED, SND_PCM_STATE_RUNNING,
					  SND_PCM_STATE_PAUSED};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct pollstate s = full(states[i]);

		assert_false(pollstate_is_ready(&s));
		assert_int_equal(pollstate_events(&s), 0);
		s.avail = 999;
		assert_false(pollstate_is_ready(&s));
		s.avail = 1000;
		assert_int_equal(pollstate_events(&s), POLLOUT);
	}
}

static void draining_is_not_ready(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_DRAINING);

	(void)state;
	s.avail = 3999;
	assert_false(pollstate_is_ready(&s));
	assert_int_equal(pollstate_ahead(&s), 1);
	s.avail = 0;
	assert_int_equal(pollstate_ahead(&s), 4000);
}

static void setup_is_ready_without_error(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_SETUP);

	(void)state;
	assert_int_equal(pollstate_events(&s), POLLOUT);
	s.is_capture = true;
	assert_int_equal(pollstate_events(&s), POLLIN | POLLERR);
}

static void other_states_are_errors(void **state)
{
	const snd_pcm_state_t states[] = {SND_PCM_STATE_OPEN, SND_PCM_STATE_XRUN,
					  SND_PCM_STATE_DISCONNECTED};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct pollstate s = full(states[i]);

		assert_int_equal(pollstate_events(&s), POLLOUT | POLLERR);
		s.is_capture = true;
		assert_int_equal(pollstate_events(&s), POLLIN | POLLERR);
	}
}

static void capture_is_not_ready_before_start(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_PREPARED);

	(void)state;
	s.is_capture = true;
	s.avail = 2000;
	assert_false(pollstate_is_ready(&s));
	s.state = SND_PCM_STATE_RUNNING;
	assert_int_equal(pollstate_events(&s), POLLIN);
	s.avail = 0;
	assert_int_equal(pollstate_ahead(&s), 1000);
}

static void ahead_is_what_lacks_of_avail_min(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);

	(void)state;
	assert_int_equal(pollstate_ahead(&s), 1000);
	s.avail = 400;
	s.total += 123;
	assert_int_equal(pollstate_ahead(&s), 600);
	s.avail = 1000;
	assert_int_equal(pollstate_ahead(&s), 0);
	s.avail = 0;
	s.avail_min = 1;
	assert_int_equal(pollstate_ahead(&s), 1);
	s.state = SND_PCM_STATE_PREPARED;
	assert_int_equal(pollstate_ahead(&s), -1);
}

static void avail_min_beyond_the_data_never_comes(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);

	(void)state;
	s.stop = 4001;
	s.avail_min = 4001;
	assert_int_equal(pollstate_ahead(&s), -1);
	s.avail_min = UINT64_MAX;
	assert_int_equal(pollstate_ahead(&s), -1);
	s.avail_min = 4000;
	assert_int_equal(pollstate_ahead(&s), 4000);
}

static void what_comes_first_is_waited_for(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);

	(void)state;
	s.avail = 100;
	s.avail_min = UINT64_MAX;
	assert_int_equal(pollstate_ahead(&s), 3900);
	s.avail_min = 3000;
	assert_int_equal(pollstate_ahead(&s), 2900);
	s.stop = 2000;
	assert_int_equal(pollstate_ahead(&s), 1900);
	s.avail = 2500;
	assert_int_equal(pollstate_ahead(&s), 0);
}

/* alsa-lib's snd_pcm_wait() counts its time anew after each wake-up. */
static void what_nothing_makes_ready_wakes_nobody(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);

	(void)state;
	s.avail_min = 4001;
	assert_int_not_equal(pollstate_timer(&s, EVER, NOW, NOW + MS), EVER);
	s.stop = 4001;
	assert_int_equal(pollstate_timer(&s, EVER, NOW, NOW + MS), EVER);
	s.avail_min = 4000;
	assert_int_not_equal(pollstate_timer(&s, EVER, NOW, NOW + MS), EVER);
}

/* Of what is recorded there is no more than the buffer has, either. */
static void capture_waits_for_no_more_than_the_buffer(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);

	(void)state;
	s.is_capture = true;
	s.stop = 4001;
	s.avail_min = 4000;
	assert_int_equal(pollstate_ahead(&s), 4000);
	assert_int_not_equal(pollstate_timer(&s, EVER, NOW, NOW + MS), EVER);
	s.avail_min = 4001;
	assert_int_equal(pollstate_ahead(&s), -1);
	assert_int_equal(pollstate_timer(&s, EVER, NOW, NOW + MS), EVER);
	s.avail = 4000;
	assert_int_equal(pollstate_timer(&s, EVER, NOW, NOW + MS), EVER);
	s.stop = 4000;
	assert_int_not_equal(pollstate_timer(&s, EVER, NOW, NOW + MS), EVER);
}

static void period_event_wakes_at_each_period(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);

	(void)state;
	s.avail_min = 4000;
	s.period_event = true;
	assert_int_equal(pollstate_ahead(&s), 1000);
	s.total = 48999;
	s.avail = 999;
	assert_int_equal(pollstate_ahead(&s), 1);
	assert_int_equal(pollstate_events(&s), 0);
	s.total = 49000;
	s.avail = 1000;
	assert_int_equal(pollstate_events(&s), POLLOUT);
	/* Told once. */
	s.total_told = 49000;
	assert_int_equal(pollstate_events(&s), 0);
	s.period_event = false;
	s.total = 60000;
	assert_int_equal(pollstate_events(&s), 0);
}

static void ready_sets_the_level_once(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);

	(void)state;
	s.avail = 1000;
	/* The timer lies ahead: it goes off now. It is over: it stays as it is. */
	assert_int_equal(pollstate_timer(&s, NOW + MS, NOW, NOW), 0);
	assert_int_equal(pollstate_timer(&s, EVER, NOW, NOW), 0);
	assert_int_equal(pollstate_timer(&s, NOW - MS, NOW, NOW), NOW - MS);
	assert_int_equal(pollstate_timer(&s, 0, NOW, NOW), 0);
}

static void busy_sets_the_time(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);

	(void)state;
	assert_int_equal(pollstate_timer(&s, 0, NOW, NOW + 20 * MS), NOW + 20 * MS);
	assert_int_equal(pollstate_timer(&s, NOW - MS, NOW, NOW + 20 * MS), NOW + 20 * MS);
	assert_int_equal(pollstate_timer(&s, EVER, NOW, NOW + 20 * MS), NOW + 20 * MS);
	/* Sooner than it is set for. */
	assert_int_equal(pollstate_timer(&s, NOW + 30 * MS, NOW, NOW + 20 * MS), NOW + 20 * MS);
	/* Later, or nearly the same: left alone. */
	assert_int_equal(pollstate_timer(&s, NOW + 10 * MS, NOW, NOW + 20 * MS), NOW + 10 * MS);
	assert_int_equal(pollstate_timer(&s, NOW + 20 * MS + 1, NOW, NOW + 20 * MS),
			 NOW + 20 * MS + 1);
}

static void nothing_to_wait_for_disarms(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_PAUSED);

	(void)state;
	assert_int_equal(pollstate_timer(&s, NOW + MS, NOW, EVER), EVER);
	assert_int_equal(pollstate_timer(&s, EVER, NOW, EVER), EVER);
}

static void a_time_that_is_over_is_looked_at_again_soon(void **state)
{
	struct pollstate s = full(SND_PCM_STATE_RUNNING);
	uint64_t at;

	(void)state;
	at = pollstate_timer(&s, NOW - MS, NOW, NOW);
	assert_in_range(at, NOW + 1, NOW + MS);
	s.state = SND_PCM_STATE_DRAINING;
	at = pollstate_timer(&s, NOW - MS, NOW, NOW);
	assert_in_range(at, NOW + MS, NOW + 5 * MS);
	s.state = SND_PCM_STATE_RUNNING;
	s.avail_min = 5000;
	at = pollstate_timer(&s, NOW - MS, NOW, NOW);
	assert_in_range(at, NOW + 10 * MS, NOW + 50 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(playback_is_ready_from_avail_min_on),
		cmocka_unit_test(draining_is_not_ready),
		cmocka_unit_test(setup_is_ready_without_error),
		cmocka_unit_test(other_states_are_errors),
		cmocka_unit_test(capture_is_not_ready_before_start),
		cmocka_unit_test(ahead_is_what_lacks_of_avail_min),
		cmocka_unit_test(avail_min_beyond_the_data_never_comes),
		cmocka_unit_test(what_comes_first_is_waited_for),
		cmocka_unit_test(what_nothing_makes_ready_wakes_nobody),
		cmocka_unit_test(capture_waits_for_no_more_than_the_buffer),
		cmocka_unit_test(period_event_wakes_at_each_period),
		cmocka_unit_test(ready_sets_the_level_once),
		cmocka_unit_test(busy_sets_the_time),
		cmocka_unit_test(nothing_to_wait_for_disarms),
		cmocka_unit_test(a_time_that_is_over_is_looked_at_again_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
