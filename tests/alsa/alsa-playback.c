/* SPDX-License-Identifier: MIT */
/* Playing: in real time without a backend, exact with one, for every way of writing. */
#include "case.h"

static void play(struct test_case *c, int mode, struct shape shape, uint32_t frames, uint32_t piece)
{
	case_open(c, mode);
	case_shape(c, shape);
	case_write(c, frames, piece);
	assert_int_equal(snd_pcm_nonblock(c->pcm, 0), 0);
	if (snd_pcm_state(c->pcm) == SND_PCM_STATE_PREPARED && frames == 0)
		return;
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_SETUP);
}

static void assert_took(uint64_t begin_ns, uint32_t ms, uint32_t more_ms)
{
	uint64_t took_ns = case_now_ns() - begin_ns;

	assert_true(took_ns > (ms - 5) * NS_PER_MS);
	case_timing(took_ns < (ms + more_ms) * NS_PER_MS);
}

static void void_takes_real_time(void **state)
{
	const int modes[] = {0, SND_PCM_NONBLOCK};
	struct test_case *c = *state;

	for (size_t i = 0; i < 4; i++) {
		uint64_t begin_ns = case_now_ns();

		play(c, modes[i % 2], (struct shape){.mmap = i >= 2}, 24000, 1000);
		assert_took(begin_ns, 500, 200);
		snd_pcm_close(c->pcm);
		c->pcm = NULL;
	}
}

static void every_way_of_writing_is_exact(void **state)
{
	struct test_case *c = *state;

	for (uint32_t i = 0; i < 4; i++) {
		fake_stop(c->backend);
		c->backend = NULL;
		case_serve(c, 1024);
		c->written = 0;
		play(c, i % 2 ? SND_PCM_NONBLOCK : 0, (struct shape){.mmap = i >= 2}, 30011,
		     i < 2 ? 777 : 5000);
		case_expect(c, 0, 0, 30011);
		if (c->backend)
			case_timing(fake_xruns(c->backend, 0) == 0);
		snd_pcm_close(c->pcm);
		c->pcm = NULL;
	}
}

static void every_format_is_exact(void **state)
{
	const struct shape shapes[] = {
		{.format = SND_PCM_FORMAT_U8, .channels = 1, .rate = 8000},
		{.format = SND_PCM_FORMAT_S16_LE, .channels = 6, .rate = 44100},
		{.format = SND_PCM_FORMAT_S24_LE, .channels = 2, .rate = 96000},
		{.format = SND_PCM_FORMAT_S24_3LE, .channels = 3, .rate = 48000},
		{.format = SND_PCM_FORMAT_S32_LE, .channels = 1, .rate = 192000},
		{.format = SND_PCM_FORMAT_FLOAT_LE, .channels = 8, .rate = 48000},
	};
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	for (uint32_t i = 0; i < 6; i++) {
		c->written = 0;
		play(c, 0, shapes[i], shapes[i].rate / 5, 1024);
		case_expect(c, i, 0, shapes[i].rate / 5);
		snd_pcm_close(c->pcm);
		c->pcm = NULL;
	}
}

/* Buffers far below the quantum: what wakes the application is the timer, not the backend's cycle. */
static void small_buffer_is_exact(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns = case_now_ns();

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	play(c, 0, (struct shape){.period = 512, .buffer = 1024}, 24000, 512);
	assert_took(begin_ns, 500, 300);
	case_expect(c, 0, 0, 24000);
	case_timing(fake_xruns(c->backend, 0) == 0);
}

/* Below what a whole quantum needs there are gaps; an application that recovers still finishes. */
static void tiny_buffer_finishes_in_real_time(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns = case_now_ns();
	uint32_t left = 12000;

	case_serve(c, 1024);
	case_open(c, 0);
	case_shape(c, (struct shape){.period = 64, .buffer = 128, .stop = FOREVER});
	while (left > 0) {
		snd_pcm_sframes_t res = case_write_some(c, left < 64 ? left : 64);

		assert_true(res > 0);
		left -= (uint32_t)res;
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_took(begin_ns, 250, 1500);
	if (c->backend)
		case_expect(c, 0, 0, 12000);
}

static void start_threshold_starts(void **state)
{
	const struct {
		snd_pcm_uframes_t threshold;
		uint32_t before, at;
	} thresholds[] = {{1, 0, 1}, {1024, 1023, 1}, {4096, 4095, 1}, {3000, 2999, 1}};
	struct test_case *c = *state;

	case_serve(c, 1024);
	for (size_t i = 0; i < 4; i++) {
		case_open(c, 0);
		case_shape(c, (struct shape){.start = thresholds[i].threshold});
		if (thresholds[i].before)
			case_write(c, thresholds[i].before, 5000);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
		case_write(c, thresholds[i].at, 5000);
		assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
		snd_pcm_close(c->pcm);
		c->pcm = NULL;
	}
}

static void nothing_is_played_before_start(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	case_open(c, SND_PCM_NONBLOCK);
	case_shape(c, (struct shape){.start = FOREVER});
	case_write(c, 4096, 4096);
	assert_true(case_write_some(c, 1) <= 0);
	case_pass(60);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
	assert_int_equal(snd_pcm_avail(c->pcm), 0);
	if (c->backend)
		assert_int_equal(fake_consumed(c->backend, 0), 0);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	assert_int_equal(snd_pcm_start(c->pcm), -EBADFD);
	case_wait_consumed(c, 0, 1024);
	snd_pcm_drop(c->pcm);
}

/* What was prewritten is kept when the server appears only then. */
static void server_between_write_and_start_loses_nothing(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	case_open(c, 0);
	case_shape(c, (struct shape){.start = FOREVER});
	case_write(c, 4000, 4000);
	case_serve(c, 256);
	case_wait_until(snd_pcm_avail(c->pcm) >= 0 && fake_streams(c->backend) == 1);
	case_wait_until(snd_pcm_avail(c->pcm) >= 0 && fake_cycles(c->backend, 0) > 0);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 4000);
}

static void two_handles_play_at_once(void **state)
{
	struct test_case *c = *state, other = *c;
	uint32_t frames = 20000;

	case_serve(c, 512);
	case_open(c, 0);
	case_shape(c, (struct shape){0});
	case_open(&other, 0);
	case_shape(&other, (struct shape){.channels = 1});
	while (c->written < frames || other.written < frames) {
		if (c->written < frames)
			case_write(c, 400, 400);
		if (other.written < frames)
			case_write(&other, 500, 500);
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_int_equal(snd_pcm_drain(other.pcm), 0);
	snd_pcm_close(other.pcm);
	case_expect(c, 0, 0, frames);
	other.backend = c->backend;
	case_expect(&other, 1, 0, frames);
}

/* Between two cycles the position moves on, in small steps, never back, at the nominal rate. */
static void position_moves_evenly(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t last, most = 0, first;
	uint64_t begin_ns, last_ns;
	double error;

	if (case_lacks_backend())
		return;
	case_serve(c, 2048);
	case_open(c, 0);
	case_shape(c, (struct shape){.period = 6000, .buffer = 24000, .start = 1});
	case_write(c, 24000, 24000);
	case_wait_until(snd_pcm_avail(c->pcm) > 0);
	begin_ns = last_ns = case_now_ns();
	last = first = snd_pcm_avail(c->pcm);
	while (last < 18000) {
		snd_pcm_sframes_t avail = snd_pcm_avail(c->pcm);
		uint64_t now_ns = case_now_ns();
		/* What a busy machine did not let us see is no step of the position. */
		snd_pcm_sframes_t step =
			avail - last - (snd_pcm_sframes_t)((now_ns - last_ns) * 48 / 1000000);

		assert_true(avail >= last);
		if (step > most)
			most = step;
		last = avail;
		last_ns = now_ns;
		case_pass(1);
	}
	error = (double)(last - first) - (double)(last_ns - begin_ns) * 48e-6;
	case_timing(error > -500 && error < 500);
	case_timing(most < 500);
}

/* The delay is what the backend has not consumed, and what lies behind it. */
static void delay_is_true(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t delay;

	case_serve(c, 1024);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = FOREVER});
	assert_int_equal(snd_pcm_delay(c->pcm, &delay), 0);
	assert_int_equal(delay, 0);
	case_write(c, 3000, 3000);
	assert_int_equal(snd_pcm_delay(c->pcm, &delay), 0);
	assert_int_equal(delay, 3000);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	for (uint32_t i = 0; i < 200; i++) {
		case_write(c, 300, 300);
		assert_int_equal(snd_pcm_delay(c->pcm, &delay), 0);
		assert_true(delay >= 0);
		if (c->backend && i > 50) {
			uint32_t consumed = fake_consumed(c->backend, 0);

			/* The pump's record says a quantum for its buffer and one behind it. */
			case_timing(delay >= (snd_pcm_sframes_t)(c->written - consumed) - 1);
			case_timing(delay <= (snd_pcm_sframes_t)(c->written - consumed) + 2100);
		}
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_int_equal(snd_pcm_delay(c->pcm, &delay), -EBADFD);
	assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	assert_int_equal(snd_pcm_delay(c->pcm, &delay), 0);
	assert_int_equal(delay, 0);
}

static void status_agrees_with_the_single_calls(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t avail, delay;
	snd_pcm_status_t *status;
	snd_htimestamp_t when;

	case_serve(c, 1024);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = 1});
	case_write(c, 4000, 4000);
	snd_pcm_status_alloca(&status);
	assert_int_equal(snd_pcm_status(c->pcm, status), 0);
	assert_int_equal(snd_pcm_avail_delay(c->pcm, &avail, &delay), 0);
	assert_int_equal(snd_pcm_status_get_state(status), SND_PCM_STATE_RUNNING);
	assert_in_range(avail, snd_pcm_status_get_avail(status),
			snd_pcm_status_get_avail(status) + 1024);
	assert_true(delay >= 4096 - avail - 1024);
	snd_pcm_status_get_htstamp(status, &when);
	if (!case_is_other())
		assert_true(case_now_ns() -
				    ((uint64_t)when.tv_sec * NS_PER_S + (uint64_t)when.tv_nsec) <
			    NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(void_takes_real_time),
		case_test(every_way_of_writing_is_exact),
		case_test(every_format_is_exact),
		case_test(small_buffer_is_exact),
		case_test(tiny_buffer_finishes_in_real_time),
		case_test(start_threshold_starts),
		case_test(nothing_is_played_before_start),
		case_test(server_between_write_and_start_loses_nothing),
		case_test(two_handles_play_at_once),
		case_test(position_moves_evenly),
		case_test(delay_is_true),
		case_test(status_agrees_with_the_single_calls),
	};

	return case_run(tests);
}
