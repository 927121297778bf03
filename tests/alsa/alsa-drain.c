/* SPDX-License-Identifier: MIT */
/* Draining: everything is played, and nobody waits for ever. */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "case.h"

static void open_and_write(struct test_case *c, int mode, struct shape shape, uint32_t frames)
{
	case_open(c, mode);
	case_shape(c, shape);
	case_write(c, frames, 1024);
}

/* A kernel device that does not block never says 0, but comes to the same end. */
static void drain_by_asking(struct test_case *c)
{
	case_wait_until(snd_pcm_drain(c->pcm) == 0 || snd_pcm_state(c->pcm) == SND_PCM_STATE_SETUP);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
}

static void drain_plays_to_the_last_frame(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 1024);
	open_and_write(c, 0, (struct shape){.start = 1}, 7001);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
	case_expect(c, 0, 0, 7001);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
}

static void drain_starts_what_was_not_started(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 1024);
	open_and_write(c, 0, (struct shape){.start = FOREVER}, 333);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 333);
}

/* The predicted position is at the end, the backend is not. */
static void drain_at_the_predicted_end_loses_nothing(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 2048);
	for (int mode = 0; mode <= SND_PCM_NONBLOCK; mode += SND_PCM_NONBLOCK) {
		c->written = 0;
		open_and_write(c, mode, (struct shape){.start = 1}, 1500);
		case_wait_until(snd_pcm_avail(c->pcm) >= 4096 - 16);
		drain_by_asking(c);
		case_expect(c, mode ? 1 : 0, 0, 1500);
		snd_pcm_close(c->pcm);
		c->pcm = NULL;
	}
}

static void drain_of_nothing_returns_at_once(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	case_serve(c, 1024);
	open_and_write(c, 0, (struct shape){0}, 0);
	begin_ns = case_now_ns();
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_timing(case_now_ns() - begin_ns < 50 * NS_PER_MS);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
}

static void drain_ten_times(void **state)
{
	struct test_case *c = *state;
	uint32_t all = 0;

	case_serve(c, 512);
	open_and_write(c, 0, (struct shape){0}, 0);
	for (uint32_t i = 0; i < 10; i++) {
		case_write(c, 1000 + i, 1024);
		all += 1000 + i;
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	}
	case_expect(c, 0, 0, all);
}

static void nonblocking_drain_is_finished_by_polling(void **state)
{
	struct test_case *c = *state;
	uint32_t looks = 0;

	case_serve(c, 1024);
	open_and_write(c, SND_PCM_NONBLOCK, (struct shape){.start = 1}, 4000);
	assert_int_equal(snd_pcm_drain(c->pcm), -EAGAIN);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_DRAINING);
	while (snd_pcm_state(c->pcm) == SND_PCM_STATE_DRAINING) {
		unsigned short revents = case_poll(c->pcm, 5000);

		looks++;
		if (snd_pcm_state(c->pcm) == SND_PCM_STATE_DRAINING)
			assert_int_equal(revents, 0);
		else if (case_is_ioplug(c, "after a drain a poll is no error"))
			assert_int_equal(revents, POLLOUT);
		else
			assert_int_equal(revents, POLLOUT | POLLERR);
	}
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
	assert_int_equal(snd_pcm_nonblock(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_true(looks < 60);
	case_expect(c, 0, 0, 4000);
}

static void nonblocking_drain_is_finished_by_asking(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 1024);
	open_and_write(c, SND_PCM_NONBLOCK, (struct shape){.start = FOREVER}, 4000);
	drain_by_asking(c);
	case_expect(c, 0, 0, 4000);
}

static void drain_without_backend_takes_real_time(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	open_and_write(c, 0, (struct shape){.start = FOREVER, .period = 3000, .buffer = 12000},
		       12000);
	begin_ns = case_now_ns();
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_true(case_now_ns() - begin_ns > 240 * NS_PER_MS);
	case_timing(case_now_ns() - begin_ns < 350 * NS_PER_MS);
}

static void drain_of_a_paused_stream_ends(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	case_serve(c, 1024);
	open_and_write(c, 0, (struct shape){.start = 1}, 4000);
	if (case_lacks_pause(c))
		return;
	assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	begin_ns = case_now_ns();
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	if (case_is_ioplug(c, "a drain drops what is paused"))
		case_timing(case_now_ns() - begin_ns < 50 * NS_PER_MS);
	else
		assert_true(case_now_ns() - begin_ns > 50 * NS_PER_MS);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
}

/* A backend that stops in the middle, and one that never began: bounded, without an error. */
static void stalled_backend_does_not_hold_a_drain(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	for (uint32_t i = 0; i < 2; i++) {
		if (i == 1)
			fake_stall(c->backend, true);
		open_and_write(c, 0, (struct shape){.start = i ? FOREVER : 1}, 4096);
		if (i == 0)
			case_wait_until(snd_pcm_avail(c->pcm) > 500);
		fake_stall(c->backend, true);
		begin_ns = case_now_ns();
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		assert_true(case_now_ns() - begin_ns < 4 * NS_PER_S);
		snd_pcm_close(c->pcm);
		c->pcm = NULL;
	}
}

/* One that lives and tells of it in every cycle, and never takes a frame. */
static void stuck_backend_does_not_hold_a_drain(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns = case_now_ns();

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	open_and_write(c, 0, (struct shape){.start = FOREVER}, 4096);
	fake_stick(c->backend);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_true(case_now_ns() - begin_ns < 4 * NS_PER_S);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
	assert_int_equal(fake_consumed(c->backend, 0), 0);
}

static void vanishing_backend_does_not_hold_a_drain(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	open_and_write(c, 0, (struct shape){.start = 1, .buffer = 24000, .period = 6000}, 24000);
	case_wait_until(snd_pcm_avail(c->pcm) > 500);
	fake_stop(c->backend);
	c->backend = NULL;
	begin_ns = case_now_ns();
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_true(case_now_ns() - begin_ns > 400 * NS_PER_MS);
	case_timing(case_now_ns() - begin_ns < 600 * NS_PER_MS);
}

static snd_pcm_t *aborted;

static void on_signal(int number)
{
	(void)number;
	snd_pcm_abort(aborted);
}

/* A timer of its own: the program's deadline is the alarm. */
static timer_t signal_in(uint32_t ms)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec spec = {.it_value = {.tv_nsec = (long)ms * 1000000}};
	timer_t timer;

	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &spec, NULL), 0);
	return timer;
}

static void abort_ends_a_drain(void **state)
{
	struct sigaction action = {.sa_handler = on_signal}, before;
	struct test_case *c = *state;
	uint64_t begin_ns = case_now_ns();
	timer_t timer;

	open_and_write(c, 0, (struct shape){.start = FOREVER, .period = 3000, .buffer = 12000},
		       12000);
	aborted = c->pcm;
	sigaction(SIGUSR1, &action, &before);
	timer = signal_in(100);
	assert_int_equal(snd_pcm_drain(c->pcm), -EINTR);
	case_timing(case_now_ns() - begin_ns < 200 * NS_PER_MS);
	timer_delete(timer);
	sigaction(SIGUSR1, &before, NULL);
}

static void *drop_later(void *data)
{
	case_pass(100);
	snd_pcm_drop(data);
	return NULL;
}

static void drop_of_another_thread_ends_a_drain(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns = case_now_ns();
	pthread_t thread;

	open_and_write(c, 0, (struct shape){.start = FOREVER, .period = 3000, .buffer = 12000},
		       12000);
	assert_int_equal(pthread_create(&thread, NULL, drop_later, c->pcm), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_timing(case_now_ns() - begin_ns < 200 * NS_PER_MS);
	pthread_join(thread, NULL);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(drain_plays_to_the_last_frame),
		case_test(drain_starts_what_was_not_started),
		case_test(drain_at_the_predicted_end_loses_nothing),
		case_test(drain_of_nothing_returns_at_once),
		case_test(drain_ten_times),
		case_test(nonblocking_drain_is_finished_by_polling),
		case_test(nonblocking_drain_is_finished_by_asking),
		case_test(drain_without_backend_takes_real_time),
		case_test(drain_of_a_paused_stream_ends),
		case_test(stalled_backend_does_not_hold_a_drain),
		case_test(stuck_backend_does_not_hold_a_drain),
		case_test(vanishing_backend_does_not_hold_a_drain),
		case_test(abort_ends_a_drain),
		case_test(drop_of_another_thread_ends_a_drain),
	};

	return case_run(tests);
}
