/* SPDX-License-Identifier: MIT */
/*
 * Signals in the middle of every call that blocks: nothing is lost and nothing fails, unless the program
 * has asked for it with SND_PCM_EINTR, which alsa-lib knows since 1.2.9.
 */
#include <signal.h>
#include <time.h>

#include "case.h"

/* Older headers lack it, and older libraries do not look at it. */
#define OPEN_EINTR 0x80

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

struct storm {
	struct sigaction before;
	timer_t timer;
};

/* A signal that interrupts system calls, from now on every so many microseconds. */
static void begin_storm(struct storm *storm, long first_us, long every_us)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct sigaction action = {.sa_handler = on_signal};
	struct itimerspec spec = {
		.it_value = {.tv_nsec = first_us * 1000},
		.it_interval = {.tv_nsec = every_us * 1000},
	};

	signals = 0;
	assert_int_equal(sigaction(SIGUSR1, &action, &storm->before), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &storm->timer), 0);
	assert_int_equal(timer_settime(storm->timer, 0, &spec, NULL), 0);
}

static void end_storm(struct storm *storm)
{
	timer_delete(storm->timer);
	sigaction(SIGUSR1, &storm->before, NULL);
	assert_true(signals > 0);
}

/* A card's calls end with -EINTR, as any system call; alsa-lib's own go on. */
static bool is_interrupted(struct test_case *c, long res)
{
	return res == -EINTR && snd_pcm_type(c->pcm) != SND_PCM_TYPE_IOPLUG;
}

static void write_in_storm(struct test_case *c, uint32_t frames, uint32_t piece)
{
	while (frames > 0) {
		snd_pcm_sframes_t res = case_write_some(c, frames < piece ? frames : piece);

		if (is_interrupted(c, res))
			continue;
		assert_true(res > 0);
		frames -= (uint32_t)res;
	}
}

static void drain_in_storm(struct test_case *c)
{
	int res;

	do
		res = snd_pcm_drain(c->pcm);
	while (is_interrupted(c, res));
	assert_int_equal(res, 0);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
}

static void writes_lose_nothing(void **state)
{
	struct test_case *c = *state;
	struct storm storm;

	for (int i = 0; i < 3; i++) {
		static const uint32_t pieces[] = {100, 1000, 20000};

		case_serve_anew(c, 512);
		case_open(c, 0);
		case_shape(c, (struct shape){0});
		begin_storm(&storm, 500, 700);
		write_in_storm(c, 20000, pieces[i]);
		end_storm(&storm);
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		case_expect(c, 0, 0, 20000);
		case_close(c);
	}
}

static void drains_lose_nothing(void **state)
{
	struct test_case *c = *state;
	struct storm storm;
	uint64_t begin_ns;

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1, .period = 3000, .buffer = 12000});
	case_write(c, 12000, 12000);
	begin_ns = case_now_ns();
	begin_storm(&storm, 500, 700);
	drain_in_storm(c);
	end_storm(&storm);
	assert_true(case_now_ns() - begin_ns > 200 * NS_PER_MS);
	case_expect(c, 0, 0, 12000);
}

static void waits_take_their_time(void **state)
{
	struct test_case *c = *state;
	struct storm storm;
	uint64_t begin_ns;
	int res;

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = FOREVER, .avail_min = 2048, .period = 512});
	case_write(c, 4096, 4096);
	begin_storm(&storm, 500, 2000);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	begin_ns = case_now_ns();
	res = snd_pcm_wait(c->pcm, 5000);
	end_storm(&storm);
	assert_int_equal(res, 1);
	assert_true(snd_pcm_avail_update(c->pcm) >= 2048);
	assert_true(case_now_ns() - begin_ns > 30 * NS_PER_MS);
}

static void mmap_loses_nothing(void **state)
{
	struct test_case *c = *state;
	struct storm storm;

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.mmap = true});
	begin_storm(&storm, 500, 1000);
	case_write(c, 20000, 1000);
	end_storm(&storm);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 20000);
}

static void polls_lose_nothing(void **state)
{
	struct test_case *c = *state;
	struct storm storm;

	case_serve(c, 512);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){0});
	case_write(c, 4096, 4096);
	begin_storm(&storm, 500, 700);
	while (c->written < 20000)
		if (case_poll(c->pcm, 1000) & POLLOUT)
			assert_true(case_write_some(c, 1000) != -EINTR);
	end_storm(&storm);
	assert_int_equal(snd_pcm_nonblock(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, c->written);
}

static void reads_lose_nothing(void **state)
{
	struct test_case *c = *state;
	uint32_t left = 9600, number, heard = 0;
	char frames[480 * 4];
	struct storm storm;

	case_serve(c, 512);
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_CAPTURE, 0, NULL, &c->pcm), 0);
	case_shape(c, (struct shape){.start = 1});
	if (c->backend)
		fake_hear(c->backend, true);
	begin_storm(&storm, 500, 700);
	while (left > 0) {
		snd_pcm_sframes_t res = snd_pcm_readi(c->pcm, frames, left < 480 ? left : 480);

		if (is_interrupted(c, res))
			continue;
		assert_true(res > 0);
		left -= (uint32_t)res;
		for (snd_pcm_sframes_t i = 0; c->backend && i < res; i++) {
			memcpy(&number, frames + i * 4, 4);
			assert_true(heard == 0 || number == heard + 1);
			heard = number;
		}
	}
	end_storm(&storm);
	if (c->backend)
		case_timing(heard > 0);
}

/* The wait for a server that never answers is as long as without signals. */
static void a_setup_takes_its_time(void **state)
{
	struct fake_options options = {.is_mute = true};
	struct test_case *c = *state;
	struct storm storm;
	uint64_t begin_ns;

	if (case_lacks_backend())
		return;
	assert_int_equal(fake_start(c->socket, &options, &c->backend), 0);
	case_open(c, 0);
	begin_ns = case_now_ns();
	begin_storm(&storm, 500, 700);
	case_shape(c, (struct shape){0});
	end_storm(&storm);
	assert_true(case_now_ns() - begin_ns > 200 * NS_PER_MS);
	case_timing(case_now_ns() - begin_ns < 350 * NS_PER_MS);
}

static void a_setup_is_answered(void **state)
{
	struct test_case *c = *state;
	struct storm storm;

	for (int i = 0; i < 10; i++) {
		case_serve_anew(c, 512);
		case_open(c, 0);
		begin_storm(&storm, 1, 100);
		case_shape(c, (struct shape){0});
		end_storm(&storm);
		if (c->backend)
			assert_int_equal(fake_streams(c->backend), 1);
		case_close(c);
	}
}

/* Opens a stream of a quarter of a second that is full and plays. */
static void open_full(struct test_case *c, bool is_started)
{
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_PLAYBACK, OPEN_EINTR, NULL, &c->pcm), 0);
	case_shape(c, (struct shape){.start = is_started ? 1 : FOREVER,
				     .period = 6000,
				     .buffer = 12000,
				     .avail_min = 12000});
	case_write(c, 12000, 12000);
}

static bool lacks_eintr(void)
{
	return !case_has_alsa_lib(9) && case_lacks("this alsa-lib does not know the mode");
}

/*
 * In this mode a signal ends the call, soon, and the call after it goes on. More than one comes: who is
 * not yet asleep, or has just been woken, does not notice the first.
 */
static void eintr_mode_ends_a_wait(void **state)
{
	struct test_case *c = *state;
	struct storm storm;
	uint64_t begin_ns;
	int res;

	if (lacks_eintr())
		return;
	case_serve(c, 512);
	open_full(c, true);
	begin_ns = case_now_ns();
	begin_storm(&storm, 20000, 10000);
	res = snd_pcm_wait(c->pcm, 2000);
	case_timing(case_now_ns() - begin_ns < 100 * NS_PER_MS);
	end_storm(&storm);
	assert_int_equal(res, -EINTR);
	assert_int_equal(snd_pcm_wait(c->pcm, 2000), 1);
}

static void eintr_mode_ends_a_write(void **state)
{
	struct test_case *c = *state;
	struct storm storm;
	uint64_t begin_ns;
	snd_pcm_sframes_t res;

	if (lacks_eintr())
		return;
	case_serve(c, 512);
	open_full(c, true);
	begin_ns = case_now_ns();
	begin_storm(&storm, 20000, 10000);
	res = case_write_some(c, 12000);
	case_timing(case_now_ns() - begin_ns < 100 * NS_PER_MS);
	end_storm(&storm);
	assert_true(res == -EINTR || (res > 0 && res < 12000));
	case_write(c, 24000 - c->written, 12000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 24000);
}

static void eintr_mode_ends_a_drain(void **state)
{
	struct test_case *c = *state;
	struct storm storm;
	uint64_t begin_ns;
	int res;

	case_serve(c, 512);
	open_full(c, false);
	begin_ns = case_now_ns();
	begin_storm(&storm, 20000, 10000);
	res = snd_pcm_drain(c->pcm);
	case_timing(case_now_ns() - begin_ns < 100 * NS_PER_MS);
	end_storm(&storm);
	assert_int_equal(res, -EINTR);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_DRAINING);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
	case_expect(c, 0, 0, 12000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(writes_lose_nothing),     case_test(drains_lose_nothing),
		case_test(waits_take_their_time),   case_test(mmap_loses_nothing),
		case_test(polls_lose_nothing),      case_test(reads_lose_nothing),
		case_test(a_setup_takes_its_time),  case_test(a_setup_is_answered),
		case_test(eintr_mode_ends_a_wait),  case_test(eintr_mode_ends_a_write),
		case_test(eintr_mode_ends_a_drain),
	};

	return case_run(tests);
}
