/* SPDX-License-Identifier: MIT */
/* A server in a guest: one that is killed and comes back, and one that gives new pages. */
#include <pthread.h>

#include "case.h"

/* Plays on until the stream was shown to a next server so many times. */
static void play_until_returned(struct test_case *c, uint32_t times)
{
	uint64_t begin_ns = case_now_ns();

	while (fake_returned(c->backend) < times) {
		case_write(c, 1024, 1024);
		assert_true(case_now_ns() - begin_ns < 5 * NS_PER_S);
		case_timing(case_now_ns() - begin_ns < 1200 * NS_PER_MS);
	}
}

/* Everything that was written is played once, and in its order; nobody notices anything. */
static void a_killed_server_is_not_heard(void **state)
{
	struct test_case *c = *state;

	case_serve_far(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){0});
	case_write(c, 24000, 1024);
	for (uint32_t i = 0; i < 3; i++) {
		fake_lose_server(c->backend);
		case_write(c, 12000 * (i + 1), 1024);
		assert_int_equal(fake_find_server(c->backend), 0);
		play_until_returned(c, i + 1);
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, c->written);
	case_timing(fake_xruns(c->backend, 0) == 0);
	assert_int_equal(fake_streams_alive(c->backend), 1);
	assert_string_equal(c->errors, "");
}

/* A program that sleeps in poll() notices at once, and is not woken any more afterwards. */
static void a_killed_server_wakes_a_poller_once(void **state)
{
	struct test_case *c = *state;
	uint32_t wakes = 0;
	uint64_t begin_ns;

	case_serve_far(c, 1024);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.buffer = 24000, .period = 12000, .start = 1});
	case_write(c, 24000, 12000);
	case_wait_consumed(c, 0, 1000);
	fake_lose_server(c->backend);
	begin_ns = case_now_ns();
	while (case_now_ns() - begin_ns < 60 * NS_PER_MS) {
		assert_int_equal(case_poll(c->pcm, 20), 0);
		wakes++;
	}
	assert_in_range(wakes, 1, 12);
	assert_int_equal(fake_find_server(c->backend), 0);
	begin_ns = case_now_ns();
	while (fake_returned(c->backend) == 0 && case_now_ns() - begin_ns < 5 * NS_PER_S)
		if (case_poll(c->pcm, 20) == POLLOUT)
			case_write_some(c, 12000);
	assert_int_equal(fake_returned(c->backend), 1);
	snd_pcm_nonblock(c->pcm, 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, c->written);
}

static void a_killed_server_does_not_hold_a_drain(void **state)
{
	struct test_case *c = *state;

	case_serve_far(c, 1024);
	case_open(c, 0);
	case_shape(c, (struct shape){.buffer = 24000, .period = 6000, .start = 1});
	case_write(c, 24000, 6000);
	case_wait_consumed(c, 0, 3000);
	fake_lose_server(c->backend);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 24000);
}

static void a_paused_stream_outlives_a_killed_server(void **state)
{
	struct test_case *c = *state;

	case_serve_far(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	case_write(c, 10000, 1024);
	assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	fake_lose_server(c->backend);
	case_poll(c->pcm, 50);
	assert_int_equal(fake_find_server(c->backend), 0);
	case_wait_until((case_poll(c->pcm, 10),
			 fake_returned(c->backend) == 1 || snd_pcm_avail(c->pcm) < 0));
	assert_int_equal(snd_pcm_pause(c->pcm, 0), 0);
	case_write(c, 10000, 1024);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 20000);
}

struct restore {
	struct fake_backend *backend;
	uint32_t after_ms, first_ms;
	int res;
};

static void *restore_later(void *data)
{
	struct restore *r = data;

	case_pass(r->after_ms);
	r->res = fake_relink(r->backend, r->first_ms);
	return NULL;
}

static void begin_restore(struct test_case *c, struct restore *r, pthread_t *thread)
{
	r->backend = c->backend;
	assert_int_equal(pthread_create(thread, NULL, restore_later, r), 0);
}

static void end_restore(const struct restore *r, pthread_t thread)
{
	pthread_join(thread, NULL);
	assert_int_equal(r->res, 0);
}

/* What the new pages brought is unbroken up to the last frame written. */
static void expect_end(struct test_case *c, uint32_t least)
{
	char *sound, *expected;
	uint32_t frames;

	sound = fake_sound(c->backend, 0, &frames);
	assert_in_range(frames, least, c->written);
	expected = malloc((size_t)least * c->frame_bytes);
	assert_non_null(expected);
	case_fill(c, expected, c->written - least, least);
	assert_memory_equal(sound + (size_t)(frames - least) * c->frame_bytes, expected,
			    (size_t)least * c->frame_bytes);
	free(expected);
	free(sound);
}

/*
 * A program that sleeps in a write when its guest is restored: the write ends, the clock goes on, and
 * the sound is back when the backend is.
 */
static void a_blocked_write_survives_new_pages(void **state)
{
	struct restore r = {.after_ms = 150, .first_ms = 3000};
	struct test_case *c = *state;
	uint64_t begin_ns, took_ms;
	pthread_t thread;

	case_serve_far(c, 1024);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	begin_ns = case_now_ns();
	begin_restore(c, &r, &thread);
	/* One write of more than three seconds. */
	case_write(c, 4 * 48000, 4 * 48000);
	took_ms = (case_now_ns() - begin_ns) / NS_PER_MS;
	assert_true(took_ms > 3700);
	case_timing(took_ms < 4500);
	end_restore(&r, thread);
	case_write(c, 48000, 1024);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_timing(fake_consumed(c->backend, 0) > 60000);
	expect_end(c, 48000);
	assert_string_equal(c->errors, "");
}

/* The old backend takes nothing any more, the new one is late: the clock ends the drain. */
static void a_drain_survives_new_pages(void **state)
{
	struct restore r = {.after_ms = 100, .first_ms = 1500};
	struct test_case *c = *state;
	uint64_t begin_ns;
	pthread_t thread;

	case_serve_far(c, 1024);
	case_open(c, 0);
	case_shape(c, (struct shape){.buffer = 24000, .period = 6000});
	case_write(c, 24000, 6000);
	begin_ns = case_now_ns();
	begin_restore(c, &r, &thread);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_true(case_now_ns() - begin_ns > 400 * NS_PER_MS);
	case_timing(case_now_ns() - begin_ns < 1000 * NS_PER_MS);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
	end_restore(&r, thread);
	/* The stream is as good as any. */
	assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	case_write(c, 48000 * 3, 6000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	expect_end(c, 24000);
}

/* A backend that is there at once plays the rest. */
static void a_drain_goes_on_in_new_pages(void **state)
{
	struct restore r = {.after_ms = 100, .first_ms = 0};
	struct test_case *c = *state;
	pthread_t thread;

	case_serve_far(c, 1024);
	case_open(c, 0);
	case_shape(c, (struct shape){.buffer = 24000, .period = 6000});
	case_write(c, 24000, 6000);
	begin_restore(c, &r, &thread);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	end_restore(&r, thread);
	expect_end(c, 10000);
	/* No more than what was on its way is lost, or played by two. */
	case_timing(fake_consumed(c->backend, 0) > 24000 - 6000);
}

/* Three times in a row, with no time to get used to it. */
static void new_pages_upon_new_pages(void **state)
{
	struct test_case *c = *state;

	case_serve_far(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	case_write(c, 10000, 1024);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(fake_relink(c->backend, i * 200), 0);
		case_write(c, 5000, 1024);
	}
	case_write(c, 72000, 1024);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	expect_end(c, 24000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(a_killed_server_is_not_heard),
		case_test(a_killed_server_wakes_a_poller_once),
		case_test(a_killed_server_does_not_hold_a_drain),
		case_test(a_paused_stream_outlives_a_killed_server),
		case_test(a_blocked_write_survives_new_pages),
		case_test(a_drain_survives_new_pages),
		case_test(a_drain_goes_on_in_new_pages),
		case_test(new_pages_upon_new_pages),
	};

	return case_run_with_backend(tests);
}
