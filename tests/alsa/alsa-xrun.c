/* SPDX-License-Identifier: MIT */
/* Underruns and stop thresholds, recovering, rewinding, pausing: what the backend gets of it. */
#include "case.h"

static void open_shaped(struct test_case *c, struct shape shape)
{
	case_open(c, 0);
	case_shape(c, shape);
}

static void wait_for_xrun(struct test_case *c)
{
	case_wait_until(snd_pcm_avail(c->pcm) == -EPIPE);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_XRUN);
}

static void empty_buffer_is_an_xrun(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t delay;
	char frame[4] = {0};

	case_serve(c, 512);
	open_shaped(c, (struct shape){.start = 1, .stop = 4096});
	case_write(c, 3000, 3000);
	wait_for_xrun(c);
	assert_int_equal(snd_pcm_writei(c->pcm, frame, 1), -EPIPE);
	assert_int_equal(snd_pcm_delay(c->pcm, &delay), -EPIPE);
	assert_int_equal(snd_pcm_start(c->pcm),
			 case_is_ioplug(c, "a start in an xrun says so") ? -EPIPE : -EBADFD);
	case_expect(c, 0, 0, 3000);
	if (c->backend)
		assert_int_equal(fake_xruns(c->backend, 0), 1);
}

static void recovered_stream_plays_on(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 512);
	open_shaped(c, (struct shape){.start = 1, .stop = 4096});
	for (uint32_t i = 1; i <= 5; i++) {
		case_write(c, 2000, 2000);
		wait_for_xrun(c);
		assert_int_equal(snd_pcm_recover(c->pcm, -EPIPE, 1), 0);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
		assert_int_equal(snd_pcm_avail(c->pcm), 4096);
	}
	case_write(c, 2000, 2000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 12000);
}

/* The position rests at the end of the data, and goes on with what is written then. */
static void boundary_never_stops(void **state)
{
	struct test_case *c = *state;

	if (case_is_other()) {
		case_lacks("it runs on beyond the data");
		return;
	}
	case_serve(c, 512);
	open_shaped(c, (struct shape){.start = 1, .stop = FOREVER});
	for (uint32_t i = 0; i < 4; i++) {
		case_write(c, 2000, 2000);
		case_wait_until(snd_pcm_avail(c->pcm) == 4096);
		case_pass(60);
		assert_int_equal(snd_pcm_avail(c->pcm), 4096);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
	}
	case_expect(c, 0, 0, 8000);
	assert_true(fake_xruns(c->backend, 0) >= 3);
	assert_true(fake_xruns(c->backend, 0) < 5);
}

static void lower_threshold_stops_earlier(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, (struct shape){.start = 4096, .stop = 2048});
	case_write(c, 4096, 4096);
	wait_for_xrun(c);
	if (c->backend) {
		assert_int_equal(fake_xruns(c->backend, 0), 0);
		case_timing(fake_consumed(c->backend, 0) > 1500 &&
			    fake_consumed(c->backend, 0) < 3000);
	}
}

/* A position that is predicted would say so up to a quantum too early. */
static void empty_means_consumed(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	case_serve(c, 2048);
	for (uint32_t i = 1; i <= 3; i++) {
		open_shaped(c, (struct shape){.start = 1});
		case_write(c, 1500, 1500);
		case_wait_until(snd_pcm_avail(c->pcm) == 4096);
		assert_int_equal(fake_consumed(c->backend, i - 1), 1500);
		snd_pcm_close(c->pcm);
		c->pcm = NULL;
	}
}

/* In the void there are no gaps that anybody could hear. */
static void void_has_no_xruns(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	open_shaped(c, (struct shape){.start = 1, .stop = 4096});
	case_write(c, 2000, 2000);
	case_wait_until(snd_pcm_avail(c->pcm) == 4096);
	case_pass(50);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
	case_write(c, 2000, 2000);
	case_timing(snd_pcm_avail(c->pcm) < 2600);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
}

/* A backend that rests longer than any cycle is no underrun of ours, and nothing is played twice. */
static void stall_is_no_xrun(void **state)
{
	struct test_case *c = *state;
	uint32_t frames, lost = 0;
	char *sound, *expected;

	if (case_lacks_backend())
		return;
	case_serve(c, 512);
	open_shaped(c, (struct shape){.stop = 4096});
	case_write(c, 20000, 1024);
	fake_stall(c->backend, true);
	case_write(c, 24000, 1024);
	fake_stall(c->backend, false);
	case_write(c, 20000, 1024);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	sound = fake_sound(c->backend, 0, &frames);
	expected = malloc(64000u * 4);
	case_fill(c, expected, 0, 64000);
	assert_in_range(frames, 30000, 60000);
	/* One gap: the first part, and then the rest up to the end. */
	while (lost < frames && memcmp(sound + lost * 4, expected + lost * 4, 4) == 0)
		lost++;
	assert_memory_equal(sound + lost * 4, expected + (64000 - frames + lost) * 4,
			    (frames - lost) * 4);
	free(expected);
	free(sound);
}

static void rewound_frames_are_replaced(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, (struct shape){.start = FOREVER});
	case_write(c, 3000, 3000);
	assert_int_equal(snd_pcm_rewind(c->pcm, 1000), 1000);
	assert_int_equal(snd_pcm_avail(c->pcm), 4096 - 2000);
	c->written = 2000; /* other frames than those that lie there would show as well */
	case_write(c, 100, 100);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 2100);
}

static void running_rewind_takes_back(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, (struct shape){.start = 1, .buffer = 12000, .period = 3000});
	case_write(c, 12000, 12000);
	case_wait_until(snd_pcm_avail(c->pcm) > 2100);
	/* A quantum of safety: what the position predicts may be taken already. */
	assert_int_equal(snd_pcm_rewind(c->pcm, 7000), 7000);
	assert_true(snd_pcm_avail(c->pcm) >= 9000);
	c->written = 5000;
	case_write(c, 3000, 3000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 8000);
}

/* Nothing is written afterwards: what was taken back is not played all the same. */
static void running_rewind_alone_takes_back(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	case_serve(c, 256);
	open_shaped(c, (struct shape){.start = 1, .buffer = 24000, .period = 6000});
	case_write(c, 20000, 20000);
	case_wait_until(snd_pcm_avail(c->pcm) > 4100);
	assert_int_equal(snd_pcm_rewind(c->pcm, 15000), 15000);
	case_wait_until(snd_pcm_avail(c->pcm) == 24000);
	case_pass(60);
	assert_int_equal(fake_consumed(c->backend, 0), 5000);
}

/* Forwarding over frames plays what lies there: here what was rewound before. */
static void forwarded_frames_are_played(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	open_shaped(c, (struct shape){.start = FOREVER});
	case_write(c, 3000, 3000);
	assert_int_equal(snd_pcm_rewind(c->pcm, 1000), 1000);
	assert_int_equal(snd_pcm_forward(c->pcm, 600), 600);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 2600);
}

/* Drops what is left and begins anew at zero, without any callback to the plugin. */
static void reset_drops_what_is_left(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t avail;

	if (case_lacks_backend())
		return;
	case_serve(c, 256);
	open_shaped(c,
		    (struct shape){.start = 1, .stop = FOREVER, .buffer = 24000, .period = 6000});
	case_write(c, 20000, 20000);
	case_wait_until(snd_pcm_avail(c->pcm) > 6000);
	assert_int_equal(snd_pcm_reset(c->pcm), 0);
	avail = snd_pcm_avail(c->pcm);
	case_timing(avail >= 24000 - 300);
	case_write(c, 3000, 3000);
	assert_true(snd_pcm_avail(c->pcm) >= 21000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_timing(fake_consumed(c->backend, 0) > 3000 + 1500 &&
		    fake_consumed(c->backend, 0) < 3000 + 3500);
}

static void pause_keeps_everything(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t avail, delay, later;

	case_serve(c, 512);
	open_shaped(c, (struct shape){.start = 1});
	if (case_lacks_pause(c))
		return;
	for (uint32_t i = 0; i < 5; i++) {
		case_write(c, 6000, 1024);
		assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PAUSED);
		avail = snd_pcm_avail(c->pcm);
		assert_int_equal(snd_pcm_delay(c->pcm, &delay), 0);
		assert_true(delay >= 4096 - avail);
		case_pass(60);
		assert_int_equal(snd_pcm_avail(c->pcm), avail);
		assert_int_equal(snd_pcm_delay(c->pcm, &later), 0);
		assert_int_equal(delay, later);
		assert_int_equal(snd_pcm_pause(c->pcm, 1), -EBADFD);
		assert_int_equal(snd_pcm_pause(c->pcm, 0), 0);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 30000);
	if (c->backend)
		case_timing(fake_xruns(c->backend, 0) == 0);
}

static void writing_while_paused_fills(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 512);
	open_shaped(c, (struct shape){.start = 1});
	if (case_lacks_pause(c))
		return;
	case_write(c, 1500, 1500);
	assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	case_write(c, 2000, 2000);
	assert_int_equal(snd_pcm_pause(c->pcm, 0), 0);
	case_write(c, 2000, 500);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 5500);
}

/* Dropped frames are not heard later: not after prepare, not with the next start. */
static void drop_discards(void **state)
{
	struct test_case *c = *state;
	uint32_t before;

	if (case_lacks_backend())
		return;
	case_serve(c, 256);
	open_shaped(c, (struct shape){.start = FOREVER});
	for (uint32_t i = 0; i < 5; i++) {
		case_write(c, 4096, 4096);
		assert_int_equal(snd_pcm_start(c->pcm), 0);
		case_wait_until(snd_pcm_avail(c->pcm) > 600);
		assert_int_equal(snd_pcm_drop(c->pcm), 0);
		assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	}
	case_pass(30);
	before = fake_consumed(c->backend, 0);
	assert_in_range(before, 5 * 100, 5 * 4000);
	c->written = 0;
	case_write(c, 1000, 1000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_wait_consumed(c, 0, before + 1000);
	assert_int_equal(fake_consumed(c->backend, 0), before + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(empty_buffer_is_an_xrun),
		case_test(recovered_stream_plays_on),
		case_test(boundary_never_stops),
		case_test(lower_threshold_stops_earlier),
		case_test(empty_means_consumed),
		case_test(void_has_no_xruns),
		case_test(stall_is_no_xrun),
		case_test(rewound_frames_are_replaced),
		case_test(running_rewind_takes_back),
		case_test(running_rewind_alone_takes_back),
		case_test(forwarded_frames_are_played),
		case_test(reset_drops_what_is_left),
		case_test(pause_keeps_everything),
		case_test(writing_while_paused_fills),
		case_test(drop_discards),
	};

	return case_run(tests);
}
