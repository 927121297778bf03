/* SPDX-License-Identifier: MIT */
/* Software parameters at their edges: when a stream starts, stops, wakes, and is silent. */
#include "case.h"

#define MINUS_ONE ULONG_MAX

static snd_pcm_uframes_t boundary_of(snd_pcm_t *pcm)
{
	snd_pcm_uframes_t boundary;
	snd_pcm_sw_params_t *sw;

	snd_pcm_sw_params_alloca(&sw);
	assert_int_equal(snd_pcm_sw_params_current(pcm, sw), 0);
	assert_int_equal(snd_pcm_sw_params_get_boundary(sw, &boundary), 0);
	return boundary;
}

static void open_shaped(struct test_case *c, int mode, struct shape shape)
{
	c->written = 0;
	case_open(c, mode);
	case_shape(c, shape);
}

static void the_boundary_is_a_multiple_of_the_buffer(void **state)
{
	static const snd_pcm_uframes_t buffers[] = {2048, 3072, 4096, 5120};
	struct test_case *c = *state;

	for (int i = 0; i < 4; i++) {
		snd_pcm_uframes_t boundary;

		open_shaped(c, 0, (struct shape){.buffer = buffers[i]});
		boundary = boundary_of(c->pcm);
		assert_int_equal(boundary % buffers[i], 0);
		assert_true(boundary > LONG_MAX / 4);
		case_close(c);
	}
}

static void what_was_set_is_told(void **state)
{
	struct test_case *c = *state;
	snd_pcm_uframes_t value;
	snd_pcm_sw_params_t *sw;

	open_shaped(c, 0,
		    (struct shape){.start = 1234,
				   .stop = 2345,
				   .avail_min = 3456,
				   .silence_threshold = 1500,
				   .silence_size = 1400});
	snd_pcm_sw_params_alloca(&sw);
	assert_int_equal(snd_pcm_sw_params_current(c->pcm, sw), 0);
	assert_int_equal(snd_pcm_sw_params_get_start_threshold(sw, &value), 0);
	assert_int_equal(value, 1234);
	assert_int_equal(snd_pcm_sw_params_get_stop_threshold(sw, &value), 0);
	assert_int_equal(value, 2345);
	assert_int_equal(snd_pcm_sw_params_get_avail_min(sw, &value), 0);
	assert_int_equal(value, 3456);
	assert_int_equal(snd_pcm_sw_params_get_silence_threshold(sw, &value), 0);
	assert_int_equal(value, 1500);
	assert_int_equal(snd_pcm_sw_params_get_silence_size(sw, &value), 0);
	assert_int_equal(value, 1400);
}

static void a_full_buffer_does_not_start_what_waits_for_more(void **state)
{
	struct test_case *c = *state;

	for (int i = 0; i < 3; i++) {
		snd_pcm_uframes_t thresholds[] = {4097, FOREVER, LONG_MAX - 1};

		case_serve_anew(c, 256);
		open_shaped(c, SND_PCM_NONBLOCK, (struct shape){.start = thresholds[i]});
		case_write(c, 4096, 4096);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
		assert_true(case_write_some(c, 1) <= 0);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
		assert_int_equal(snd_pcm_nonblock(c->pcm, 0), 0);
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		case_expect(c, 0, 0, 4096);
		case_close(c);
	}
}

/*
 * Zero is reached by any write. So is -1 for the kernel and for alsa-lib until 1.2.10, which compare
 * signed numbers; for later ones it is never reached.
 */
static void zero_and_minus_one_start_at_once_or_never(void **state)
{
	struct test_case *c = *state;
	snd_pcm_uframes_t boundary;
	snd_pcm_sw_params_t *sw;

	snd_pcm_sw_params_alloca(&sw);
	for (int i = 0; i < 2; i++) {
		case_serve_anew(c, 256);
		open_shaped(c, 0, (struct shape){0});
		boundary = boundary_of(c->pcm);
		assert_int_equal(snd_pcm_sw_params_current(c->pcm, sw), 0);
		snd_pcm_sw_params_set_start_threshold(c->pcm, sw, i ? MINUS_ONE : 0);
		snd_pcm_sw_params_set_stop_threshold(c->pcm, sw, boundary);
		assert_int_equal(snd_pcm_sw_params(c->pcm, sw), 0);
		case_write(c, 1, 1);
		if (i == 0 || !case_has_alsa_lib(11))
			assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
		else if (!case_is_other())
			assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
		case_write(c, 3000, 1000);
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		case_expect(c, 0, 0, 3001);
		case_close(c);
	}
}

/* Who maps the buffer starts by itself. */
static void a_commit_starts_nothing(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, 0, (struct shape){.mmap = true, .start = 1});
	while (c->written < 4096)
		assert_true(case_write_some(c, 4096) > 0);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 4096);
}

/* There is nothing to play, and that is an underrun where one stops the stream. */
static void an_empty_buffer_is_not_started(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, 0, (struct shape){.start = FOREVER, .stop = 4096});
	assert_int_equal(snd_pcm_start(c->pcm), -EPIPE);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
	case_write(c, 3000, 3000);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 3000);
	case_close(c);
	case_serve_anew(c, 256);
	open_shaped(c, 0, (struct shape){.start = FOREVER, .stop = FOREVER});
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
	case_write(c, 3000, 3000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	if (c->backend)
		case_expect(c, 0, 0, 3000);
}

/* A read for as many frames starts a capture. Each one does where alsa-lib reads by itself. */
static void a_read_starts_a_capture(void **state)
{
	struct test_case *c = *state;
	char frames[4096 * 4];

	case_serve(c, 256);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(case_try_open(c, SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK, NULL,
					       &c->pcm),
				 0);
		case_shape(c, (struct shape){.start = 2000});
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
		assert_true(snd_pcm_readi(c->pcm, frames, i ? 2000 : 1999) < 1999);
		assert_int_equal(snd_pcm_state(c->pcm),
				 i || case_is_ioplug(c, "any read starts a capture")
					 ? SND_PCM_STATE_RUNNING
					 : SND_PCM_STATE_PREPARED);
		case_close(c);
	}
}

static void assert_stops(struct test_case *c, snd_pcm_uframes_t threshold)
{
	case_serve_anew(c, 256);
	open_shaped(c, 0, (struct shape){.start = 4096, .stop = threshold});
	case_write(c, 4096, 4096);
	case_wait_until(snd_pcm_avail(c->pcm) == -EPIPE);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_XRUN);
	if (c->backend) {
		case_timing(fake_consumed(c->backend, 0) + 512 >= threshold);
		case_timing(fake_consumed(c->backend, 0) <= threshold + 1024);
	}
	assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	assert_int_equal(snd_pcm_avail(c->pcm), 4096);
	case_close(c);
}

static void each_stop_threshold_stops(void **state)
{
	static const snd_pcm_uframes_t thresholds[] = {1, 2, 1023, 1024, 2049, 4095, 4096};
	struct test_case *c = *state;

	for (size_t i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++)
		assert_stops(c, thresholds[i]);
}

static void beyond_the_boundary_nothing_stops(void **state)
{
	struct test_case *c = *state;

	for (int i = 0; i < 2; i++) {
		snd_pcm_uframes_t frames[] = {FOREVER, MINUS_ONE};

		case_serve_anew(c, 256);
		open_shaped(c, 0, (struct shape){.start = 1, .stop = frames[i]});
		case_write(c, 500, 500);
		case_wait_until(snd_pcm_avail(c->pcm) >= 4096);
		case_pass(50);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
		assert_true(snd_pcm_avail(c->pcm) >= 4096);
		case_close(c);
	}
}

/* A position runs on beyond the data with a card; with an ioplug there can be no more room than a buffer. */
static void a_threshold_beyond_the_buffer_is_reached_later(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, 0, (struct shape){.start = 1, .stop = 4096 + 1200});
	case_write(c, 500, 500);
	case_wait_until(snd_pcm_avail(c->pcm) == -EPIPE || snd_pcm_avail(c->pcm) >= 4096);
	if (case_is_ioplug(c, "a stop threshold beyond the buffer is never reached")) {
		case_pass(60);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
	} else {
		case_wait_until(snd_pcm_avail(c->pcm) == -EPIPE);
	}
}

/* Of a stream that runs: a lower one wakes at once, a higher one not before. */
static void avail_min_may_change_at_any_time(void **state)
{
	struct shape shape = {.period = 512, .buffer = 12288, .start = 1, .avail_min = 8000};
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, SND_PCM_NONBLOCK, shape);
	case_write(c, 12000, 12000);
	assert_int_equal(snd_pcm_wait(c->pcm, 10), 0);
	shape.avail_min = 1500;
	assert_int_equal(case_try_software(c->pcm, shape), 0);
	assert_int_equal(snd_pcm_wait(c->pcm, 2000), 1);
	assert_true(snd_pcm_avail_update(c->pcm) >= 1500);
	case_timing(snd_pcm_avail_update(c->pcm) < 4000);
	assert_int_equal(case_poll(c->pcm, 0), POLLOUT);
	shape.avail_min = 9000;
	assert_int_equal(case_try_software(c->pcm, shape), 0);
	case_timing(case_poll(c->pcm, 0) == 0);
	assert_int_equal(snd_pcm_wait(c->pcm, 2000), 1);
	assert_true(snd_pcm_avail_update(c->pcm) >= 9000);
}

/* All of it: ready when the last frame is played, and not before. */
static void an_avail_min_of_the_buffer_wakes_at_its_end(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, SND_PCM_NONBLOCK, (struct shape){.start = 1, .avail_min = 4096});
	assert_int_equal(case_poll(c->pcm, 0), POLLOUT);
	case_write(c, 2000, 2000);
	assert_int_equal(case_poll(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_wait(c->pcm, 2000), 1);
	assert_true(snd_pcm_avail_update(c->pcm) >= 4096);
	case_expect(c, 0, 0, 2000);
}

static void no_avail_min_is_refused_or_raised(void **state)
{
	struct test_case *c = *state;
	snd_pcm_uframes_t value;
	snd_pcm_sw_params_t *sw;

	snd_pcm_sw_params_alloca(&sw);
	open_shaped(c, 0, (struct shape){0});
	assert_int_equal(snd_pcm_sw_params_current(c->pcm, sw), 0);
	if (snd_pcm_sw_params_set_avail_min(c->pcm, sw, 0) == 0) {
		assert_int_equal(snd_pcm_sw_params_get_avail_min(sw, &value), 0);
		if (value == 0)
			assert_int_equal(snd_pcm_sw_params(c->pcm, sw), -EINVAL);
		else
			assert_int_equal(snd_pcm_sw_params(c->pcm, sw), 0);
	}
}

/* Twice in the buffer's length, although nothing is to be written before its end. */
static void period_events_come_with_each_period(void **state)
{
	struct test_case *c = *state;
	uint32_t events = 0;

	case_serve(c, 256);
	open_shaped(c, SND_PCM_NONBLOCK,
		    (struct shape){.period = 1200,
				   .buffer = 12000,
				   .avail_min = 12001,
				   .start = FOREVER,
				   .period_event = true});
	case_write(c, 12000, 12000);
	assert_int_equal(case_poll(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	for (uint32_t i = 0; i < 200 && snd_pcm_avail_update(c->pcm) < 10000; i++)
		events += case_poll(c->pcm, 100) == POLLOUT;
	assert_in_range(events, 3, 20);
	case_timing(events >= 7 && events <= 10);
}

/* As the kernel says: a block is not larger than the distance at which it is written, or all is silence. */
static void silence_has_its_limits(void **state)
{
	static const struct {
		snd_pcm_uframes_t threshold, size;
		int res;
	} wishes[] = {
		{0, 0, 0},       {1000, 0, 0},          {1000, 1000, 0},
		{4095, 4095, 0}, {0, FOREVER, 0},       {1000, 1001, -EINVAL},
		{0, 1, -EINVAL}, {1000, 4095, -EINVAL}, {1, FOREVER, -EINVAL},
	};
	struct test_case *c = *state;

	open_shaped(c, 0, (struct shape){0});
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		assert_int_equal(case_try_software(c->pcm,
						   (struct shape){.silence_threshold =
									  wishes[i].threshold,
								  .silence_size = wishes[i].size}),
				 wishes[i].res);
}

/* Once written, a frame is played once: never again in the gaps, whatever fills them. */
static void gaps_are_silent(void **state)
{
	static const snd_pcm_uframes_t silence[][2] = {{0, 0}, {4095, 2048}, {0, FOREVER}};
	struct test_case *c = *state;

	for (int i = 0; i < 3; i++) {
		case_serve_anew(c, 256);
		open_shaped(c, 0,
			    (struct shape){.start = 1,
					   .silence_threshold = silence[i][0],
					   .silence_size = silence[i][1]});
		for (int j = 0; j < 3; j++) {
			if (case_is_other() && j > 0)
				break; /* its position is far beyond the data */
			case_write(c, 1300, 1300);
			case_wait_until(snd_pcm_avail(c->pcm) >= 4096);
			case_pass(20);
		}
		if (c->backend)
			case_expect(c, 0, 0, 3900);
		assert_int_equal(snd_pcm_drop(c->pcm), 0);
		case_close(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(the_boundary_is_a_multiple_of_the_buffer),
		case_test(what_was_set_is_told),
		case_test(a_full_buffer_does_not_start_what_waits_for_more),
		case_test(zero_and_minus_one_start_at_once_or_never),
		case_test(a_commit_starts_nothing),
		case_test(an_empty_buffer_is_not_started),
		case_test(a_read_starts_a_capture),
		case_test(each_stop_threshold_stops),
		case_test(beyond_the_boundary_nothing_stops),
		case_test(a_threshold_beyond_the_buffer_is_reached_later),
		case_test(avail_min_may_change_at_any_time),
		case_test(an_avail_min_of_the_buffer_wakes_at_its_end),
		case_test(no_avail_min_is_refused_or_raised),
		case_test(period_events_come_with_each_period),
		case_test(silence_has_its_limits),
		case_test(gaps_are_silent),
	};

	return case_run(tests);
}
