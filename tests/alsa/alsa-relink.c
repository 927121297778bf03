/* SPDX-License-Identifier: MIT */
/* A server in a guest that is killed and comes back. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(a_killed_server_is_not_heard),
		case_test(a_killed_server_wakes_a_poller_once),
		case_test(a_killed_server_does_not_hold_a_drain),
		case_test(a_paused_stream_outlives_a_killed_server),
	};

	if (case_is_other())
		return 77;
	return case_run(tests);
}
