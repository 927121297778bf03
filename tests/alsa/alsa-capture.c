/* SPDX-License-Identifier: MIT */
/*
 * Recording: silence in real time where there is no microphone, and what it hears where there is one, by every way
 * of reading.
 */
#include "case.h"

/* The number of the frame that was heard last; 0 = nobody is heard, and all is silent. */
static uint32_t heard;
static bool is_hearing;

static void open_capture(struct test_case *c, int mode, struct shape shape)
{
	is_hearing = false;
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_CAPTURE, mode, NULL, &c->pcm), 0);
	case_shape(c, shape);
}

static void assert_silence(const struct test_case *c, const uint8_t *bytes, uint32_t frames)
{
	uint8_t silence = c->format == SND_PCM_FORMAT_U8 ? 0x80 : 0;

	for (uint32_t i = 0; i < frames * c->frame_bytes; i++)
		assert_int_equal(bytes[i], silence);
}

/* Frame after frame, once the first has come. */
static void assert_heard(const struct test_case *c, const uint8_t *bytes, uint32_t frames)
{
	for (uint32_t i = 0; i < frames; i++) {
		uint32_t number;

		memcpy(&number, bytes + (size_t)i * c->frame_bytes, sizeof(number));
		if (heard == 0 && number == 0)
			continue;
		if (heard > 0)
			assert_int_equal(number, heard + 1);
		heard = number;
	}
}

static void assert_recorded(const struct test_case *c, const uint8_t *bytes, uint32_t frames)
{
	if (case_is_other())
		return;
	(is_hearing ? assert_heard : assert_silence)(c, bytes, frames);
}

static void assert_recorded_at(const struct test_case *c, const snd_pcm_channel_area_t *areas,
			       snd_pcm_uframes_t offset, snd_pcm_uframes_t frames)
{
	assert_recorded(c, (uint8_t *)areas->addr + areas->first / 8 + offset * c->frame_bytes,
			(uint32_t)frames);
}

static snd_pcm_sframes_t read_mmap(struct test_case *c, snd_pcm_uframes_t frames)
{
	const snd_pcm_channel_area_t *areas;
	snd_pcm_uframes_t offset;
	snd_pcm_sframes_t avail = snd_pcm_avail_update(c->pcm);

	if (avail <= 0)
		return avail < 0 ? avail : -EAGAIN;
	/* Twice: looking again changes nothing. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(snd_pcm_mmap_begin(c->pcm, &areas, &offset, &frames), 0);
	assert_recorded_at(c, areas, offset, frames);
	return snd_pcm_mmap_commit(c->pcm, offset, frames);
}

static snd_pcm_sframes_t read_some(struct test_case *c, bool by_mmap, uint32_t frames)
{
	uint8_t *bytes;
	snd_pcm_sframes_t res;

	if (by_mmap)
		return read_mmap(c, frames);
	bytes = malloc((size_t)frames * c->frame_bytes);
	assert_non_null(bytes);
	memset(bytes, 0x55, (size_t)frames * c->frame_bytes);
	res = snd_pcm_readi(c->pcm, bytes, frames);
	if (res > 0)
		assert_recorded(c, bytes, (uint32_t)res);
	free(bytes);
	return res;
}

static void record(struct test_case *c, bool by_mmap, uint32_t frames)
{
	if (snd_pcm_state(c->pcm) == SND_PCM_STATE_PREPARED)
		assert_int_equal(snd_pcm_start(c->pcm), 0);
	while (frames > 0) {
		snd_pcm_sframes_t res = read_some(c, by_mmap, frames < 700 ? frames : 700);

		if (res == -EAGAIN) {
			assert_int_equal(snd_pcm_wait(c->pcm, 2000), 1);
			continue;
		}
		assert_true(res > 0);
		frames -= (uint32_t)res;
	}
}

static void silence_comes_in_real_time(void **state)
{
	struct test_case *c = *state;

	for (int i = 0; i < 4; i++) {
		uint64_t begin_ns, took_ns;

		open_capture(c, i % 2 ? SND_PCM_NONBLOCK : 0,
			     (struct shape){.mmap = i >= 2,
					    .format = i || case_is_other() ? SND_PCM_FORMAT_S16_LE
									   : SND_PCM_FORMAT_U8});
		begin_ns = case_now_ns();
		record(c, i >= 2, 14400);
		took_ns = case_now_ns() - begin_ns;
		assert_true(took_ns > 299 * NS_PER_MS);
		case_timing(took_ns < 350 * NS_PER_MS);
		assert_int_equal(snd_pcm_close(c->pcm), 0);
		c->pcm = NULL;
	}
}

/* It is there, and gives nothing: as if it were not. */
static void a_backend_that_may_not_give_any_is_silence(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	open_capture(c, 0, (struct shape){0});
	begin_ns = case_now_ns();
	record(c, false, 24000);
	case_timing(case_now_ns() - begin_ns < 600 * NS_PER_MS);
	assert_int_equal(fake_streams(c->backend), 1);
	assert_string_equal(c->errors, "");
}

static void begin_hearing(struct test_case *c)
{
	heard = 0;
	is_hearing = true;
	fake_hear(c->backend, true);
}

static void what_the_microphone_hears_is_read(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	for (int i = 0; i < 4; i++) {
		open_capture(c, i % 2 ? SND_PCM_NONBLOCK : 0, (struct shape){.mmap = i >= 2});
		begin_hearing(c);
		record(c, i >= 2, 24000);
		assert_true(heard >= 16000);
		is_hearing = false;
		assert_int_equal(snd_pcm_close(c->pcm), 0);
		c->pcm = NULL;
	}
	assert_string_equal(c->errors, "");
}

/* Without a backend there is silence, and never what was in the ring before; and it is heard again with the next. */
static void a_backend_that_goes_leaves_silence(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	open_capture(c, 0, (struct shape){0});
	begin_hearing(c);
	record(c, false, 12000);
	assert_true(heard > 0);
	fake_stop(c->backend);
	c->backend = NULL;
	is_hearing = false;
	/* What had been delivered comes first. */
	while (heard > 0) {
		uint8_t bytes[4096];
		uint32_t number;

		assert_int_equal(snd_pcm_readi(c->pcm, bytes, 480), 480);
		memcpy(&number, bytes + 479 * (size_t)c->frame_bytes, sizeof(number));
		heard = number;
	}
	record(c, false, 12000);
	case_serve(c, 1024);
	begin_hearing(c);
	record(c, false, 24000);
	is_hearing = false;
	assert_true(heard > 4800);
	assert_string_equal(c->errors, "");
}

static void polls_as_a_kernel_device(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t delay;

	open_capture(c, SND_PCM_NONBLOCK, (struct shape){0});
	assert_int_equal(case_poll(c->pcm, 50), 0);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	for (int i = 0; i < 5; i++) {
		unsigned short revents = 0;

		while (!revents)
			revents = case_poll(c->pcm, 1000);
		assert_int_equal(revents, POLLIN);
		assert_in_range(snd_pcm_avail(c->pcm), 1024, 4096);
		assert_int_equal(snd_pcm_delay(c->pcm, &delay), 0);
		assert_true(delay >= 1024);
		assert_int_equal(case_poll(c->pcm, 0), POLLIN);
		record(c, false, (uint32_t)snd_pcm_avail_update(c->pcm));
	}
	assert_int_equal(snd_pcm_drop(c->pcm), 0);
	assert_int_equal(case_poll(c->pcm, 0), POLLIN | POLLERR);
}

/* Looking at the frames through mmap does not take them: the descriptor stays ready. */
static void frames_that_were_only_looked_at_are_still_there(void **state)
{
	struct test_case *c = *state;
	const snd_pcm_channel_area_t *areas;
	snd_pcm_uframes_t offset, frames = 4096;
	struct pollfd pfd;

	open_capture(c, SND_PCM_NONBLOCK, (struct shape){.mmap = true});
	assert_int_equal(snd_pcm_poll_descriptors(c->pcm, &pfd, 1), 1);
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	assert_int_equal(snd_pcm_wait(c->pcm, 1000), 1);
	assert_int_equal(snd_pcm_mmap_begin(c->pcm, &areas, &offset, &frames), 0);
	assert_true(frames >= 1024);
	assert_int_equal(poll(&pfd, 1, 0), 1);
	assert_int_equal(snd_pcm_mmap_commit(c->pcm, offset, frames), frames);
	assert_in_range(snd_pcm_avail_update(c->pcm), 0, 4096 - 1024);
}

/* PipeWire asks once, and goes on at the buffer's begin: a card has all that is there in its buffer. */
static void what_is_beyond_the_end_of_the_buffer_is_there(void **state)
{
	struct test_case *c = *state;
	const snd_pcm_channel_area_t *areas;
	snd_pcm_uframes_t offset, frames = 1024;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	open_capture(c, SND_PCM_NONBLOCK, (struct shape){.mmap = true});
	begin_hearing(c);
	for (int i = 0; i < 3; i++) {
		record(c, true, i ? 4096 - 1024 : 2 * 4096 + 3800);
		case_wait_until(snd_pcm_avail(c->pcm) >= 1024);
		assert_int_equal(snd_pcm_mmap_begin(c->pcm, &areas, &offset, &frames), 0);
		assert_int_equal(frames, 4096 - 3800);
		assert_recorded_at(c, areas, offset, frames);
		assert_recorded_at(c, areas, 0, 1024 - frames);
		assert_int_equal(snd_pcm_mmap_commit(c->pcm, offset, 1024), 1024);
		frames = 1024;
	}
	assert_true(heard >= 4096);
}

static void overrun_stops_unless_told_not_to(void **state)
{
	struct test_case *c = *state;

	open_capture(c, 0, (struct shape){.stop = 4096});
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	case_wait_until(snd_pcm_avail(c->pcm) == -EPIPE);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_XRUN);
	assert_int_equal(snd_pcm_recover(c->pcm, -EPIPE, 1), 0);
	record(c, false, 2000);
	snd_pcm_close(c->pcm);
	c->pcm = NULL;
	if (case_lacks_backend())
		return;
	open_capture(c, 0, (struct shape){.stop = FOREVER});
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	case_wait_until(snd_pcm_avail(c->pcm) == 4096);
	case_pass(100);
	assert_int_equal(snd_pcm_avail(c->pcm), 4096);
	/* What was lost is not made up for: after what is there, the rest comes in real time. */
	record(c, false, 4096);
	case_timing(snd_pcm_avail(c->pcm) < 500);
}

static void pause_and_drain(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t avail;
	uint64_t begin_ns;

	open_capture(c, 0, (struct shape){.stop = FOREVER});
	if (case_lacks_pause(c))
		return;
	record(c, false, 2000);
	assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	avail = snd_pcm_avail(c->pcm);
	case_pass(50);
	assert_int_equal(snd_pcm_avail(c->pcm), avail);
	assert_int_equal(snd_pcm_pause(c->pcm, 0), 0);
	record(c, false, 2000);
	case_wait_until(snd_pcm_avail(c->pcm) > 0);
	begin_ns = case_now_ns();
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_timing(case_now_ns() - begin_ns < 50 * NS_PER_MS);
	assert_int_equal(snd_pcm_state(c->pcm), case_is_ioplug(c, "a drain drops what was not read")
							? SND_PCM_STATE_SETUP
							: SND_PCM_STATE_DRAINING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(silence_comes_in_real_time),
		case_test(a_backend_that_may_not_give_any_is_silence),
		case_test(what_the_microphone_hears_is_read),
		case_test(a_backend_that_goes_leaves_silence),
		case_test(polls_as_a_kernel_device),
		case_test(frames_that_were_only_looked_at_are_still_there),
		case_test(what_is_beyond_the_end_of_the_buffer_is_there),
		case_test(overrun_stops_unless_told_not_to),
		case_test(pause_and_drain),
	};

	return case_run(tests);
}
