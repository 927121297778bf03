/* SPDX-License-Identifier: MIT */
/*
 * Rewinding and forwarding: how far one may, and what comes out of the speaker. Frames that replace
 * others have numbers of their own, so that what they replace would show.
 */
#include "case.h"

#define OTHER 1000000 /* number of the first frame that replaces another */

static void open_shaped(struct test_case *c, struct shape shape)
{
	case_serve_anew(c, 64);
	case_open(c, 0);
	case_shape(c, shape);
}

/* The backend has consumed frames 0 ... kept - 1, then those from OTHER on, and nothing else. */
static void expect_replaced(struct test_case *c, uint32_t kept, uint32_t replaced)
{
	uint32_t count = kept + replaced, consumed;
	char *sound, *expected;

	if (!case_has_consumed(c, 0, count))
		return;
	sound = fake_sound(c->backend, 0, &consumed);
	expected = malloc((size_t)count * c->frame_bytes + 1);
	assert_non_null(expected);
	case_fill(c, expected, 0, kept);
	case_fill(c, expected + (size_t)kept * c->frame_bytes, OTHER, replaced);
	assert_int_equal(consumed, count);
	assert_memory_equal(sound, expected, (size_t)count * c->frame_bytes);
	free(expected);
	free(sound);
}

static void replace(struct test_case *c, uint32_t frames, uint32_t by)
{
	assert_int_equal(snd_pcm_rewind(c->pcm, frames), frames);
	c->written = OTHER;
	case_write(c, by, 700);
}

static void before_the_start_everything_can_be_taken_back(void **state)
{
	static const uint32_t frames[] = {1, 7, 1023, 1024, 1025, 2999, 3000};
	struct test_case *c = *state;

	for (int i = 0; i < 14; i++) {
		uint32_t back = frames[i / 2];

		open_shaped(c, (struct shape){.mmap = i % 2, .start = FOREVER});
		case_write(c, 3000, 3000);
		assert_int_equal(snd_pcm_rewindable(c->pcm), 3000);
		assert_int_equal(snd_pcm_forwardable(c->pcm), 1096);
		replace(c, back, back / 2 + 5);
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		expect_replaced(c, 3000 - back, back / 2 + 5);
		case_close(c);
	}
}

static void nothing_is_nothing(void **state)
{
	struct test_case *c = *state;

	open_shaped(c, (struct shape){.start = FOREVER});
	assert_int_equal(snd_pcm_rewindable(c->pcm), 0);
	assert_int_equal(snd_pcm_rewind(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_forward(c->pcm, 0), 0);
	case_write(c, 3000, 3000);
	assert_int_equal(snd_pcm_rewind(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_forward(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 3000);
}

static void again_and_again_is_the_same(void **state)
{
	struct test_case *c = *state;

	open_shaped(c, (struct shape){.start = FOREVER});
	case_write(c, 3000, 3000);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(snd_pcm_rewind(c->pcm, 1000 + i), 1000 + i);
		assert_int_equal(snd_pcm_rewindable(c->pcm), 2000 - i);
		c->written = OTHER;
		case_write(c, 1000 + i, 300);
	}
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	expect_replaced(c, 3000 - 1049, 1049);
}

/* The last ones that may be taken back are some that are not heard yet, by a margin of two quanta. */
static void what_is_not_yet_heard_is_replaced(void **state)
{
	struct test_case *c = *state;

	for (int i = 0; i < 4; i++) {
		uint32_t kept, back;

		open_shaped(c, (struct shape){.mmap = i % 2,
					      .start = 1,
					      .period = 3000,
					      .buffer = 12000});
		case_write(c, 12000, 12000);
		if (snd_pcm_state(c->pcm) == SND_PCM_STATE_PREPARED)
			assert_int_equal(snd_pcm_start(c->pcm), 0);
		case_wait_until(snd_pcm_avail(c->pcm) > 1000);
		back = (uint32_t)snd_pcm_rewindable(c->pcm);
		assert_in_range(back, 1000, 11000);
		back = back / 2 * (i < 2 ? 1 : 2) - (i < 2 ? 0 : 500);
		kept = 12000 - back;
		replace(c, back, 600);
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		if (c->backend && fake_late_ns(c->backend) < 5 * NS_PER_MS)
			expect_replaced(c, kept, 600);
		case_close(c);
	}
}

static void a_paused_stream_is_rewound(void **state)
{
	struct test_case *c = *state;
	uint32_t back;

	open_shaped(c, (struct shape){.start = 1});
	if (case_lacks_pause(c))
		return;
	case_write(c, 4000, 4000);
	assert_int_equal(snd_pcm_pause(c->pcm, 1), 0);
	back = (uint32_t)snd_pcm_rewindable(c->pcm);
	assert_in_range(back, 1000, 4000);
	case_pass(60);
	assert_int_equal(snd_pcm_rewindable(c->pcm), back);
	back -= 500; /* most of what was not heard before the pause */
	assert_int_equal(snd_pcm_rewind(c->pcm, back), back);
	c->written = OTHER;
	case_write(c, 500, 500);
	assert_int_equal(snd_pcm_pause(c->pcm, 0), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	expect_replaced(c, 4000 - back, 500);
}

/*
 * More than there is: a card takes back what it has. alsa-lib's ioplug goes back as far as it is told;
 * what is written then comes too late, and the stream lives on.
 */
static void too_far_is_no_harm(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t res;

	open_shaped(c, (struct shape){.start = FOREVER});
	case_write(c, 1000, 1000);
	res = snd_pcm_rewind(c->pcm, 3000);
	if (!case_is_ioplug(c, "one may rewind too far"))
		assert_in_range(res, 0, 1000);
	assert_true(snd_pcm_avail(c->pcm) >= 3096);
	assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	c->written = 0;
	case_write(c, 2000, 2000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 2000);
}

static void too_far_is_no_harm_while_it_plays(void **state)
{
	struct test_case *c = *state;

	open_shaped(c, (struct shape){.start = 1, .period = 3000, .buffer = 12000});
	case_write(c, 8000, 8000);
	case_wait_until(snd_pcm_avail(c->pcm) > 5000);
	assert_true(snd_pcm_rewind(c->pcm, 9000) >= 0);
	case_pass(30);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_RUNNING);
	if (c->backend)
		assert_true(fake_consumed(c->backend, 0) <= 8000);
	assert_int_equal(snd_pcm_drop(c->pcm), 0);
	assert_int_equal(snd_pcm_prepare(c->pcm), 0);
	assert_int_equal(snd_pcm_avail(c->pcm), 12000);
}

/* What lies in the buffer is played: here what was written and taken back. */
static void forwarded_frames_are_what_lies_there(void **state)
{
	static const uint32_t frames[] = {1, 9, 500, 1000};
	struct test_case *c = *state;

	for (int i = 0; i < 4; i++) {
		open_shaped(c, (struct shape){.start = FOREVER, .period = 1500, .buffer = 6000});
		case_write(c, 3000, 3000);
		assert_int_equal(snd_pcm_rewind(c->pcm, 1000), 1000);
		assert_int_equal(snd_pcm_forward(c->pcm, frames[i]), frames[i]);
		assert_int_equal(snd_pcm_rewindable(c->pcm), 2000 + frames[i]);
		c->written = OTHER;
		case_write(c, 400, 400);
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		expect_replaced(c, 2000 + frames[i], 400);
		case_close(c);
	}
}

static void forwarding_a_stream_that_plays_keeps_its_order(void **state)
{
	struct test_case *c = *state;

	open_shaped(c, (struct shape){.start = 1, .period = 3000, .buffer = 12000});
	case_write(c, 9000, 9000);
	case_wait_until(snd_pcm_avail(c->pcm) > 3500);
	assert_int_equal(snd_pcm_rewind(c->pcm, 3000), 3000);
	assert_int_equal(snd_pcm_forward(c->pcm, 2000), 2000);
	c->written = OTHER;
	case_write(c, 1000, 1000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	if (c->backend && fake_late_ns(c->backend) < 5 * NS_PER_MS)
		expect_replaced(c, 8000, 1000);
}

static void forwardable_is_what_is_free(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t free_frames;

	open_shaped(c, (struct shape){.start = 1, .period = 3000, .buffer = 12000});
	assert_int_equal(snd_pcm_forwardable(c->pcm), 12000);
	case_write(c, 9000, 9000);
	for (int i = 0; i < 5; i++) {
		case_pass(5);
		free_frames = snd_pcm_avail(c->pcm);
		assert_in_range(snd_pcm_forwardable(c->pcm), free_frames, free_frames + 2000);
		assert_in_range(snd_pcm_rewindable(c->pcm), 0, 12000 - free_frames);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(before_the_start_everything_can_be_taken_back),
		case_test(nothing_is_nothing),
		case_test(again_and_again_is_the_same),
		case_test(what_is_not_yet_heard_is_replaced),
		case_test(a_paused_stream_is_rewound),
		case_test(too_far_is_no_harm),
		case_test(too_far_is_no_harm_while_it_plays),
		case_test(forwarded_frames_are_what_lies_there),
		case_test(forwarding_a_stream_that_plays_keeps_its_order),
		case_test(forwardable_is_what_is_free),
	};

	return case_run(tests);
}
