/* SPDX-License-Identifier: MIT */
/* Polling: the level, what it says, and when the timer wakes. */
#include <pthread.h>

#include "case.h"

/* The descriptor alone, as applications see it that saved it long ago. */
static bool is_level_on(const struct pollfd *saved)
{
	struct pollfd pfd = *saved;

	return poll(&pfd, 1, 0) > 0;
}

static struct pollfd descriptor(snd_pcm_t *pcm)
{
	struct pollfd pfd;

	assert_int_equal(snd_pcm_poll_descriptors(pcm, &pfd, 1), 1);
	return pfd;
}

static void descriptor_never_changes(void **state)
{
	struct test_case *c = *state;
	struct pollfd first, later;

	case_open(c, SND_PCM_NONBLOCK);
	first = descriptor(c->pcm);
	for (int i = 0; i < 2; i++) {
		case_shape(c, (struct shape){.start = 1});
		later = descriptor(c->pcm);
		assert_int_equal(first.fd, later.fd);
		assert_int_equal(first.events, later.events);
		case_write(c, 2000, 2000);
		later = descriptor(c->pcm);
		assert_int_equal(first.fd, later.fd);
		snd_pcm_drop(c->pcm);
		snd_pcm_hw_free(c->pcm);
		if (i == 0)
			case_serve(c, 1024);
	}
}

/* Before the start: room there is, or not. */
static void prepared_is_ready_until_full(void **state)
{
	struct test_case *c = *state;
	struct pollfd saved;

	case_serve(c, 1024);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.start = FOREVER});
	saved = descriptor(c->pcm);
	assert_true(is_level_on(&saved));
	assert_int_equal(case_poll(c->pcm, 0), POLLOUT);
	case_write(c, 3072, 3072);
	assert_true(is_level_on(&saved));
	assert_int_equal(case_poll(c->pcm, 0), POLLOUT);
	case_write(c, 1, 1);
	assert_false(is_level_on(&saved));
	assert_int_equal(case_poll(c->pcm, 50), 0);
	/* Room again without anything being played. */
	assert_int_equal(snd_pcm_rewind(c->pcm, 500), 500);
	assert_true(snd_pcm_avail_update(c->pcm) >= 1024);
	assert_true(is_level_on(&saved));
	assert_int_equal(snd_pcm_drop(c->pcm), 0);
	if (case_is_ioplug(c, "after a drop a poll is no error"))
		assert_int_equal(case_poll(c->pcm, 0), POLLOUT);
	else
		assert_int_equal(case_poll(c->pcm, 0), POLLOUT | POLLERR);
}

/* Wakes come when avail_min is reached, not before, and little after; never a spurious POLLOUT. */
static void wakes_at_avail_min(void **state)
{
	const snd_pcm_uframes_t mins[] = {256, 1024, 3000, 4000};
	struct test_case *c = *state;

	case_serve(c, 256);
	for (size_t i = 0; i < 4; i++) {
		snd_pcm_sframes_t late = 0;
		int wakes = 0;

		case_open(c, SND_PCM_NONBLOCK);
		case_shape(c, (struct shape){.period = 256, .avail_min = mins[i]});
		case_write(c, 4096, 4096);
		while (wakes < 10) {
			unsigned short revents = case_poll(c->pcm, 3000);
			snd_pcm_sframes_t avail = snd_pcm_avail_update(c->pcm);

			if (!revents)
				continue;
			assert_int_equal(revents, POLLOUT);
			assert_true(avail >= (snd_pcm_sframes_t)mins[i]);
			if (avail - (snd_pcm_sframes_t)mins[i] > late)
				late = avail - (snd_pcm_sframes_t)mins[i];
			wakes++;
			case_write(c, (uint32_t)avail, 4096);
		}
		/* A card tells of whole periods. */
		case_timing(late < (case_is_other() ? 600 : 200));
		snd_pcm_close(c->pcm);
		c->pcm = NULL;
	}
}

/* As an application does that never asks alsa-lib about the descriptors again. */
static void saved_descriptor_wakes(void **state)
{
	struct test_case *c = *state;
	struct pollfd saved;
	uint32_t empty = 0;

	case_serve(c, 1024);
	case_open(c, SND_PCM_NONBLOCK);
	saved = descriptor(c->pcm);
	case_shape(c, (struct shape){0});
	case_write(c, 4096, 4096);
	while (c->written < 40000) {
		assert_int_equal(poll(&saved, 1, 2000), 1);
		snd_pcm_sframes_t avail = snd_pcm_avail_update(c->pcm);

		assert_true(avail >= 0);
		if (avail < 1024)
			empty++;
		else
			case_write(c, (uint32_t)avail, 4096);
	}
	case_timing(empty < 10);
	snd_pcm_nonblock(c->pcm, 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, c->written);
}

static void level_stays_until_written(void **state)
{
	struct test_case *c = *state;
	struct pollfd saved;

	case_serve(c, 1024);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.start = 1});
	case_write(c, 4096, 4096);
	saved = descriptor(c->pcm);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(snd_pcm_wait(c->pcm, 1000), 1);
		assert_int_equal(case_poll(c->pcm, 0), POLLOUT);
		assert_true(is_level_on(&saved));
	}
}

static void paused_is_ready_only_with_room(void **state)
{
	struct test_case *c = *state;
	struct pollfd saved;

	case_serve(c, 1024);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.start = 1});
	if (case_lacks_pause(c))
		return;
	saved = descriptor(c->pcm);
	case_write(c, 4096, 4096);
	assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	case_write(c, (uint32_t)snd_pcm_avail_update(c->pcm), 4096);
	assert_int_equal(case_poll(c->pcm, 100), 0);
	assert_false(is_level_on(&saved));
	assert_int_equal(snd_pcm_pause(c->pcm, 0), 0);
	case_wait_until(case_poll(c->pcm, 1000) == POLLOUT);
}

static void period_event_wakes_each_period(void **state)
{
	struct test_case *c = *state;
	int events = 0;

	case_serve(c, 1024);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.period = 1200,
				     .buffer = 12000,
				     .avail_min = 12000,
				     .start = FOREVER,
				     .period_event = true});
	case_write(c, 12000, 12000);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	/* A quarter of a second of sound, and ten periods in it. */
	while (events < 5) {
		unsigned short revents = case_poll(c->pcm, 1000);

		assert_true((revents & ~POLLOUT) == 0);
		if (revents)
			events++;
	}
	assert_in_range(snd_pcm_avail_update(c->pcm), 5 * 1200, 12000 - 1);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
}

/* PulseAudio wants one frame; it is woken once in a period, not at each step of the position. */
static void small_avail_min_does_not_spin(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;
	int wakes = 0;

	case_serve(c, 1024);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.period = 1200,
				     .buffer = 4800,
				     .avail_min = 1,
				     .period_event = true});
	case_write(c, 4800, 4800);
	case_wait_until(snd_pcm_avail_update(c->pcm) > 0);
	begin_ns = case_now_ns();
	while (case_now_ns() - begin_ns < 500 * NS_PER_MS) {
		snd_pcm_sframes_t avail;

		case_poll(c->pcm, 1000);
		wakes++;
		avail = snd_pcm_avail_update(c->pcm);
		assert_true(avail >= 0);
		if (avail > 0)
			case_write(c, (uint32_t)avail, 4800);
	}
	assert_true(wakes < 32);
}

/* Nothing happens meanwhile: the wait takes its time, and at most most_ms. */
static void expect_no_event(const struct test_case *c, int ms, uint64_t most_ms)
{
	uint64_t begin_ns = case_now_ns(), took_ns;

	assert_int_equal(snd_pcm_wait(c->pcm, ms), 0);
	took_ns = case_now_ns() - begin_ns;
	assert_true(took_ns > (uint64_t)(ms - 5) * NS_PER_MS);
	case_timing(took_ns < most_ms * NS_PER_MS);
}

static void wait_ends_in_time(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = FOREVER});
	assert_int_equal(snd_pcm_wait(c->pcm, 0), 1);
	case_write(c, 4096, 4096);
	expect_no_event(c, 100, 120);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	begin_ns = case_now_ns();
	assert_int_equal(snd_pcm_wait(c->pcm, 1000), 1);
	/* A period, and the wait for the first cycle and its priming. */
	assert_true(case_now_ns() - begin_ns > 20 * NS_PER_MS);
	case_timing(case_now_ns() - begin_ns < 60 * NS_PER_MS);
}

/* Nothing can make it ready: neither the pointer gets so far, nor does an underrun stop it. */
static void wait_for_nothing_ends_in_time(void **state)
{
	struct test_case *c = *state;

	if (case_is_other()) {
		case_lacks("it runs on beyond the data");
		return;
	}
	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1, .avail_min = 4097, .stop = FOREVER});
	case_write(c, 4096, 4096);
	expect_no_event(c, 300, 340);
}

static void wait_for_more_than_a_recording_ends_in_time(void **state)
{
	struct test_case *c = *state;

	if (case_is_other()) {
		case_lacks("it runs on beyond the buffer");
		return;
	}
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_CAPTURE, 0, NULL, &c->pcm), 0);
	case_shape(c, (struct shape){.avail_min = 4097, .stop = FOREVER});
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	expect_no_event(c, 300, 340);
}

/* There is no more room than the buffer: with a card the underrun ends the wait, whoever hears it. */
static void wait_for_more_than_the_buffer_ends_with_the_data(void **state)
{
	struct test_case *c = *state;

	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1, .avail_min = 4097, .stop = 4096});
	case_write(c, 4096, 4096);
	assert_int_equal(snd_pcm_wait(c->pcm, 3000), -EPIPE);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_XRUN);
}

/* What stops it is a second away: until then nobody need look whether it has come. */
static void wait_for_an_xrun_ends_in_time(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.rate = 8000,
				     .period = 2000,
				     .buffer = 8000,
				     .start = 1,
				     .avail_min = 8001,
				     .stop = 8000});
	case_write(c, 8000, 8000);
	/* It is looked at until the first cycle has come, and each look is a new beginning for alsa-lib. */
	expect_no_event(c, 200, 500);
	assert_int_equal(snd_pcm_wait(c->pcm, 5000), -EPIPE);
}

static void xrun_wakes_with_an_error(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.start = 1, .avail_min = 4097, .stop = 4096});
	case_write(c, 1000, 1000);
	case_wait_until(case_poll(c->pcm, 3000) == (POLLOUT | POLLERR));
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_XRUN);
	assert_int_equal(snd_pcm_wait(c->pcm, 1000), -EPIPE);
	assert_int_equal(case_poll(c->pcm, 0), POLLOUT | POLLERR);
}

static void *wait_in_thread(void *data)
{
	struct pollfd pfd = descriptor(data);

	return poll(&pfd, 1, 3000) == 1 ? data : NULL;
}

static void drop_wakes_a_poller(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns = case_now_ns();
	pthread_t thread;
	void *res;

	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.start = FOREVER});
	case_write(c, 4096, 4096);
	assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, c->pcm), 0);
	case_pass(50);
	assert_int_equal(snd_pcm_drop(c->pcm), 0);
	pthread_join(thread, &res);
	assert_non_null(res);
	assert_true(case_now_ns() - begin_ns < NS_PER_S);
}

/* A player thread that writes and another that polls, as some programs have. */
static void *poll_in_thread(void *data)
{
	while (snd_pcm_state(data) == SND_PCM_STATE_RUNNING)
		case_poll(data, 20);
	return NULL;
}

static void writer_and_poller_may_be_two_threads(void **state)
{
	struct test_case *c = *state;
	pthread_t thread;

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	case_write(c, 4000, 4000);
	assert_int_equal(pthread_create(&thread, NULL, poll_in_thread, c->pcm), 0);
	case_write(c, 44000, 300);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	pthread_join(thread, NULL);
	case_expect(c, 0, 0, 48000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(descriptor_never_changes),
		case_test(prepared_is_ready_until_full),
		case_test(wakes_at_avail_min),
		case_test(saved_descriptor_wakes),
		case_test(level_stays_until_written),
		case_test(paused_is_ready_only_with_room),
		case_test(period_event_wakes_each_period),
		case_test(small_avail_min_does_not_spin),
		case_test(wait_ends_in_time),
		case_test(wait_for_nothing_ends_in_time),
		case_test(wait_for_more_than_a_recording_ends_in_time),
		case_test(wait_for_more_than_the_buffer_ends_with_the_data),
		case_test(wait_for_an_xrun_ends_in_time),
		case_test(xrun_wakes_with_an_error),
		case_test(drop_wakes_a_poller),
		case_test(writer_and_poller_may_be_two_threads),
	};

	return case_run(tests);
}
