/* SPDX-License-Identifier: MIT */
/*
 * Refinement of the hardware parameters, alone and in pairs: what is offered can be had, what is not
 * offered is refused and changes nothing, and odd sizes play as any others.
 *
 * Access and format are set first, then channels and rate, then sizes, as alsa-lib chooses itself: its
 * ioplug does not find out which frames are left when a size in bytes and one in frames are known.
 */
#include "case.h"

#include <stdio.h>

enum parameter { CHANNELS, RATE, PERIOD, PERIODS, BUFFER, PERIOD_TIME, BUFFER_TIME, PARAMETERS };

static const char *const names[PARAMETERS] = {
	"channels", "rate", "period", "periods", "buffer", "period time", "buffer time",
};

enum bound { LEAST, MOST };

/* Values of all of them are of one type here. */
static int get(snd_pcm_hw_params_t *hw, enum parameter p, enum bound which, unsigned long *out)
{
	bool least = which == LEAST;
	snd_pcm_uframes_t frames = 0;
	unsigned int value = 0;
	int res = -EINVAL, dir;

	if (p == CHANNELS)
		res = (least ? snd_pcm_hw_params_get_channels_min
			     : snd_pcm_hw_params_get_channels_max)(hw, &value);
	else if (p == RATE)
		res = (least ? snd_pcm_hw_params_get_rate_min
			     : snd_pcm_hw_params_get_rate_max)(hw, &value, &dir);
	else if (p == PERIODS)
		res = (least ? snd_pcm_hw_params_get_periods_min
			     : snd_pcm_hw_params_get_periods_max)(hw, &value, &dir);
	else if (p == PERIOD_TIME)
		res = (least ? snd_pcm_hw_params_get_period_time_min
			     : snd_pcm_hw_params_get_period_time_max)(hw, &value, &dir);
	else if (p == BUFFER_TIME)
		res = (least ? snd_pcm_hw_params_get_buffer_time_min
			     : snd_pcm_hw_params_get_buffer_time_max)(hw, &value, &dir);
	else if (p == PERIOD)
		res = (least ? snd_pcm_hw_params_get_period_size_min
			     : snd_pcm_hw_params_get_period_size_max)(hw, &frames, &dir);
	else if (p == BUFFER)
		res = (least ? snd_pcm_hw_params_get_buffer_size_min
			     : snd_pcm_hw_params_get_buffer_size_max)(hw, &frames);
	*out = p == PERIOD || p == BUFFER ? frames : value;
	return res;
}

static unsigned long bound_of(snd_pcm_hw_params_t *hw, enum parameter p, enum bound which)
{
	unsigned long value;

	assert_int_equal(get(hw, p, which, &value), 0);
	return value;
}

static int set(snd_pcm_t *pcm, snd_pcm_hw_params_t *hw, enum parameter p, unsigned long value)
{
	unsigned int number = (unsigned int)value;

	switch (p) {
	case CHANNELS:
		return snd_pcm_hw_params_set_channels(pcm, hw, number);
	case RATE:
		return snd_pcm_hw_params_set_rate(pcm, hw, number, 0);
	case PERIOD:
		return snd_pcm_hw_params_set_period_size(pcm, hw, value, 0);
	case PERIODS:
		return snd_pcm_hw_params_set_periods(pcm, hw, number, 0);
	case BUFFER:
		return snd_pcm_hw_params_set_buffer_size(pcm, hw, value);
	case PERIOD_TIME:
		return snd_pcm_hw_params_set_period_time(pcm, hw, number, 0);
	case BUFFER_TIME:
		return snd_pcm_hw_params_set_buffer_time(pcm, hw, number, 0);
	default:
		return -EINVAL;
	}
}

/* The first or last value that can be had: the bound itself need not be one. */
static int set_end(snd_pcm_t *pcm, snd_pcm_hw_params_t *hw, enum parameter p, enum bound which)
{
	bool least = which == LEAST;
	snd_pcm_uframes_t frames;
	unsigned int value;
	int dir;

	switch (p) {
	case CHANNELS:
		return (least ? snd_pcm_hw_params_set_channels_first
			      : snd_pcm_hw_params_set_channels_last)(pcm, hw, &value);
	case RATE:
		return (least ? snd_pcm_hw_params_set_rate_first
			      : snd_pcm_hw_params_set_rate_last)(pcm, hw, &value, &dir);
	case PERIOD:
		return (least ? snd_pcm_hw_params_set_period_size_first
			      : snd_pcm_hw_params_set_period_size_last)(pcm, hw, &frames, &dir);
	case PERIODS:
		return (least ? snd_pcm_hw_params_set_periods_first
			      : snd_pcm_hw_params_set_periods_last)(pcm, hw, &value, &dir);
	case BUFFER:
		return (least ? snd_pcm_hw_params_set_buffer_size_first
			      : snd_pcm_hw_params_set_buffer_size_last)(pcm, hw, &frames);
	case PERIOD_TIME:
		return (least ? snd_pcm_hw_params_set_period_time_first
			      : snd_pcm_hw_params_set_period_time_last)(pcm, hw, &value, &dir);
	case BUFFER_TIME:
		return (least ? snd_pcm_hw_params_set_buffer_time_first
			      : snd_pcm_hw_params_set_buffer_time_last)(pcm, hw, &value, &dir);
	default:
		return -EINVAL;
	}
}

static bool is_size(enum parameter p)
{
	return p >= PERIOD;
}

/* All that may be set before these two: 48 kHz and two channels, unless it is about that. */
static void begin(struct test_case *c, snd_pcm_hw_params_t *hw, enum parameter p, enum parameter q)
{
	assert_true(snd_pcm_hw_params_any(c->pcm, hw) >= 0);
	assert_int_equal(snd_pcm_hw_params_set_access(c->pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED),
			 0);
	assert_int_equal(snd_pcm_hw_params_set_format(c->pcm, hw, SND_PCM_FORMAT_S16_LE), 0);
	if (p != CHANNELS && q != CHANNELS && is_size(q))
		assert_int_equal(set(c->pcm, hw, CHANNELS, 2), 0);
	if (p != RATE && q != RATE && is_size(q))
		assert_int_equal(set(c->pcm, hw, RATE, 48000), 0);
}

static void assert_within(snd_pcm_hw_params_t *hw, snd_pcm_hw_params_t *wider)
{
	for (enum parameter p = 0; p < PARAMETERS; p++) {
		assert_true(bound_of(hw, p, LEAST) >= bound_of(wider, p, LEAST));
		assert_true(bound_of(hw, p, MOST) <= bound_of(wider, p, MOST));
		assert_true(bound_of(hw, p, LEAST) <= bound_of(hw, p, MOST));
	}
}

/* What is installed is what was chosen, and PREPARED. */
static void install(struct test_case *c, snd_pcm_hw_params_t *hw)
{
	snd_pcm_hw_params_t *before;

	snd_pcm_hw_params_alloca(&before);
	snd_pcm_hw_params_copy(before, hw);
	assert_int_equal(snd_pcm_hw_params(c->pcm, hw), 0);
	assert_within(hw, before);
	assert_int_equal(snd_pcm_state(c->pcm), SND_PCM_STATE_PREPARED);
	assert_int_equal(snd_pcm_hw_free(c->pcm), 0);
}

/* Some cards remember what was installed once. */
static void reopen(struct test_case *c)
{
	case_close(c);
	case_open(c, 0);
}

static void each_parameter_has_both_its_ends(void **state)
{
	struct test_case *c = *state;
	snd_pcm_hw_params_t *hw, *any;

	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_hw_params_alloca(&any);
	case_open(c, 0);
	for (enum parameter p = 0; p < PARAMETERS; p++)
		for (enum bound which = LEAST; which <= MOST; which++) {
			reopen(c);
			begin(c, any, p, p);
			begin(c, hw, p, p);
			assert_int_equal(set_end(c->pcm, hw, p, which), 0);
			assert_within(hw, any);
			install(c, hw);
		}
}

/* Beyond the ends there is nothing, and asking for it takes nothing away. */
static void beyond_its_ends_a_parameter_is_refused(void **state)
{
	struct test_case *c = *state;
	snd_pcm_hw_params_t *hw, *any;

	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_hw_params_alloca(&any);
	case_open(c, 0);
	for (enum parameter p = 0; p < PARAMETERS; p++) {
		unsigned long least, most;

		reopen(c);
		begin(c, any, p, p);
		begin(c, hw, p, p);
		least = bound_of(any, p, LEAST);
		most = bound_of(any, p, MOST);
		if (least > 1)
			assert_int_equal(set(c->pcm, hw, p, least - 1), -EINVAL);
		if (most < INT_MAX)
			assert_int_equal(set(c->pcm, hw, p, most + 1), -EINVAL);
		assert_int_equal(set(c->pcm, hw, p, 0), -EINVAL);
		assert_within(hw, any);
		assert_within(any, hw);
		install(c, hw);
	}
}

/* Each end of one, and then each end that is left of another: what a space offers can be installed. */
static void each_pair_goes_together(struct test_case *c, enum parameter p, enum parameter q)
{
	snd_pcm_hw_params_t *hw, *narrowed;

	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_hw_params_alloca(&narrowed);
	for (int ends = 0; ends < 4; ends++) {
		int res;

		begin(c, hw, p, q);
		assert_int_equal(set_end(c->pcm, hw, p, ends & 1 ? MOST : LEAST), 0);
		snd_pcm_hw_params_copy(narrowed, hw);
		res = set_end(c->pcm, hw, q, ends & 2 ? MOST : LEAST);
		if (res != 0)
			print_error("%s at its end leaves no %s\n", names[p], names[q]);
		assert_int_equal(res, 0);
		assert_within(hw, narrowed);
		install(c, hw);
	}
}

static void each_pair_has_all_its_ends(void **state)
{
	struct test_case *c = *state;

	for (enum parameter p = 0; p < PARAMETERS; p++)
		for (enum parameter q = 0; q < PARAMETERS; q++) {
			if (p == q || (is_size(p) && !is_size(q)))
				continue;
			case_open(c, 0);
			each_pair_goes_together(c, p, q);
			case_close(c);
		}
}

/* The same for values in the middle, of which some may not be offered: those change nothing. */
static void values_in_the_middle_are_had_or_refused(void **state)
{
	static const unsigned long values[PARAMETERS][6] = {
		[CHANNELS] = {1, 2, 3, 5, 7, 8},
		[RATE] = {8000, 11025, 22050, 44100, 44101, 96000},
		[PERIOD] = {64, 97, 441, 1000, 1021, 2048},
		[PERIODS] = {2, 3, 5, 7, 16, 31},
		[BUFFER] = {127, 1013, 2205, 3001, 4093, 8192},
		[PERIOD_TIME] = {2000, 5333, 10000, 10001, 21333, 40000},
		[BUFFER_TIME] = {9973, 20000, 21333, 42666, 99991, 100000},
	};
	struct test_case *c = *state;
	snd_pcm_hw_params_t *hw, *before;

	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_hw_params_alloca(&before);
	case_open(c, 0);
	for (int i = 0; i < PARAMETERS * PARAMETERS * 36; i++) {
		enum parameter p = (enum parameter)(i / 36 % PARAMETERS);
		enum parameter q = (enum parameter)(i / 36 / PARAMETERS);
		unsigned long value = values[p][i % 6], other = values[q][i / 6 % 6];

		if (is_size(p) && !is_size(q))
			continue;
		begin(c, hw, p, q);
		if (set(c->pcm, hw, p, value) != 0)
			continue;
		assert_int_equal(bound_of(hw, p, LEAST), value);
		snd_pcm_hw_params_copy(before, hw);
		if (set(c->pcm, hw, q, other) != 0)
			assert_within(before, hw);
		else
			assert_int_equal(bound_of(hw, q, MOST), other);
		if (i % 7 == 0) {
			install(c, hw);
			reopen(c);
		}
	}
}

static void play_in_sizes(struct test_case *c, bool by_mmap, uint32_t piece)
{
	case_write(c, 5003, by_mmap ? 5003 : piece);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 5003);
}

static void odd_and_prime_sizes_are_exact(void **state)
{
	static const snd_pcm_uframes_t periods[] = {97, 101, 333, 441, 769, 1000, 1021, 1023, 1999};
	struct test_case *c = *state;
	uint32_t offered = 0;

	for (uint32_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
		struct shape shape = {.mmap = i % 3 == 0,
				      .period = periods[i],
				      .buffer = periods[i] * (i % 4 + 2)};

		case_serve_anew(c, i % 2 ? 64 : 256);
		case_open(c, 0);
		if (case_try_shape(c, c->pcm, shape) == 0) {
			play_in_sizes(c, shape.mmap, i % 2 ? 777 : (uint32_t)periods[i]);
			offered++;
		} else {
			assert_true(case_is_other());
		}
		case_close(c);
	}
	if (offered == 0)
		case_lacks("it has no such sizes");
}

/*
 * A buffer that is no whole number of periods: many cards do not have that, and alsa-lib's ioplug never
 * does. Who asks for the nearest gets one that plays.
 */
static void sizes_that_are_no_multiples_play_or_are_refused(void **state)
{
	static const struct {
		snd_pcm_uframes_t period, buffer;
	} sizes[] = {{97, 1013},    {1000, 3001}, {333, 1000},
		     {2756, 11025}, {769, 1543},  {1023, 2047}};
	struct test_case *c = *state;
	snd_pcm_hw_params_t *hw;

	snd_pcm_hw_params_alloca(&hw);
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct shape shape = {.period = sizes[i].period, .buffer = sizes[i].buffer};
		int res;

		case_serve_anew(c, 256);
		case_open(c, 0);
		res = case_try_shape(c, c->pcm, shape);
		assert_true(res == 0 || res == -EINVAL);
		if (res != 0) {
			begin(c, hw, PERIOD, PERIOD);
			assert_int_equal(set(c->pcm, hw, PERIOD, shape.period), 0);
			assert_int_equal(snd_pcm_hw_params_set_buffer_size_near(c->pcm, hw,
										&shape.buffer),
					 0);
			assert_in_range(shape.buffer, sizes[i].buffer - sizes[i].period,
					sizes[i].buffer + sizes[i].period);
			case_shape(c, shape);
		}
		play_in_sizes(c, false, 777);
		case_close(c);
	}
}

/* The nearest value to one that can be had is that one, and to others it is no farther than an end. */
static void the_nearest_rate_is_near(void **state)
{
	static const unsigned int rates[] = {1, 7999, 8001, 44099, 44100, 48000, 191999, 1000000};
	struct test_case *c = *state;
	snd_pcm_hw_params_t *hw;

	snd_pcm_hw_params_alloca(&hw);
	case_open(c, 0);
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		unsigned int rate = rates[i];
		bool is_offered;

		begin(c, hw, RATE, RATE);
		is_offered = snd_pcm_hw_params_test_rate(c->pcm, hw, rate, 0) == 0;
		assert_int_equal(snd_pcm_hw_params_set_rate_near(c->pcm, hw, &rate, NULL), 0);
		assert_int_equal(bound_of(hw, RATE, LEAST), rate);
		assert_int_equal(bound_of(hw, RATE, MOST), rate);
		if (is_offered)
			assert_int_equal(rate, rates[i]);
		install(c, hw);
		reopen(c);
	}
}

static void other_parameters_may_follow(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 256);
	case_open(c, 0);
	for (uint32_t i = 0; i < 6; i++) {
		struct shape shape = {.channels = 1 + i % 2,
				      .rate = i % 3 ? 44100 : 48000,
				      .mmap = i >= 3};

		c->written = 0;
		if (case_try_shape(c, c->pcm, shape) != 0) {
			assert_true(case_is_other());
			case_lacks("it remembers what was installed once");
			return;
		}
		case_write(c, 2000, 500);
		if (i % 2)
			assert_int_equal(snd_pcm_drop(c->pcm), 0);
		else
			assert_int_equal(snd_pcm_drain(c->pcm), 0);
		if (c->backend && i % 2 == 0)
			case_expect(c, i, 0, 2000);
		if (i >= 4)
			assert_int_equal(snd_pcm_hw_free(c->pcm), 0);
	}
}

/* What alsa-lib tells of the setup is what was set. */
static void the_setup_is_told(void **state)
{
	struct test_case *c = *state;
	snd_pcm_uframes_t buffer, period;
	snd_pcm_hw_params_t *hw;

	case_open(c, 0);
	snd_pcm_hw_params_alloca(&hw);
	assert_int_equal(snd_pcm_hw_params_current(c->pcm, hw), -EBADFD);
	case_shape(c, (struct shape){.period = 512, .buffer = 2048});
	assert_int_equal(snd_pcm_hw_params_current(c->pcm, hw), 0);
	assert_int_equal(bound_of(hw, CHANNELS, MOST), 2);
	assert_int_equal(bound_of(hw, RATE, MOST), 48000);
	assert_int_equal(bound_of(hw, PERIODS, MOST), 4);
	assert_int_equal(bound_of(hw, BUFFER_TIME, LEAST), 42666);
	assert_int_equal(snd_pcm_get_params(c->pcm, &buffer, &period), 0);
	assert_int_equal(buffer, 2048);
	assert_int_equal(period, 512);
	assert_int_equal(snd_pcm_hw_params_get_sbits(hw), 16);
	assert_false(snd_pcm_hw_params_is_half_duplex(hw));
	assert_false(snd_pcm_hw_params_is_double(hw));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(each_parameter_has_both_its_ends),
		case_test(beyond_its_ends_a_parameter_is_refused),
		case_test(each_pair_has_all_its_ends),
		case_test(values_in_the_middle_are_had_or_refused),
		case_test(odd_and_prime_sizes_are_exact),
		case_test(sizes_that_are_no_multiples_play_or_are_refused),
		case_test(the_nearest_rate_is_near),
		case_test(other_parameters_may_follow),
		case_test(the_setup_is_told),
	};

	return case_run(tests);
}
