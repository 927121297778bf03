/* SPDX-License-Identifier: MIT */
/* Parameters: what is offered, what a server's refusal turns into, channel maps. */
#include "case.h"

static void assert_range(snd_pcm_t *pcm, unsigned int rate_max, unsigned int channels_max)
{
	unsigned int value;
	snd_pcm_hw_params_t *hw;
	int dir;

	snd_pcm_hw_params_alloca(&hw);
	assert_true(snd_pcm_hw_params_any(pcm, hw) >= 0);
	assert_int_equal(snd_pcm_hw_params_get_rate_min(hw, &value, &dir), 0);
	assert_int_equal(value, 8000);
	assert_int_equal(snd_pcm_hw_params_get_rate_max(hw, &value, &dir), 0);
	assert_int_equal(value, rate_max);
	assert_int_equal(snd_pcm_hw_params_get_channels_min(hw, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(snd_pcm_hw_params_get_channels_max(hw, &value), 0);
	assert_int_equal(value, channels_max);
}

static void everything_of_the_protocol_is_offered(void **state)
{
	const snd_pcm_format_t formats[] = {SND_PCM_FORMAT_U8,     SND_PCM_FORMAT_S16_LE,
					    SND_PCM_FORMAT_S24_LE, SND_PCM_FORMAT_S24_3LE,
					    SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_FLOAT_LE};
	struct test_case *c = *state;
	snd_pcm_uframes_t size;
	snd_pcm_hw_params_t *hw;

	if (case_lacks_backend())
		return;
	case_open(c, 0);
	assert_range(c->pcm, 192000, 8);
	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_hw_params_any(c->pcm, hw);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(snd_pcm_hw_params_test_format(c->pcm, hw, formats[i]), 0);
	assert_int_not_equal(snd_pcm_hw_params_test_format(c->pcm, hw, SND_PCM_FORMAT_S16_BE), 0);
	assert_int_equal(snd_pcm_hw_params_test_access(c->pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED),
			 0);
	assert_int_equal(snd_pcm_hw_params_test_access(c->pcm, hw, SND_PCM_ACCESS_MMAP_INTERLEAVED),
			 0);
	assert_int_equal(snd_pcm_hw_params_can_pause(hw), 1);
	assert_int_equal(snd_pcm_hw_params_can_resume(hw), 0);
	snd_pcm_hw_params_set_format(c->pcm, hw, SND_PCM_FORMAT_S32_LE);
	snd_pcm_hw_params_set_channels(c->pcm, hw, 2);
	snd_pcm_hw_params_set_rate(c->pcm, hw, 48000, 0);
	assert_int_equal(snd_pcm_hw_params_get_buffer_size_max(hw, &size), 0);
	assert_int_equal(size, 24000);
}

/* Applications ask for times, and for the nearest of everything. */
static void near_values_are_found(void **state)
{
	struct test_case *c = *state;
	unsigned int rate = 22050, channels = 40, time_us = 500000, period_us = 125000;
	snd_pcm_uframes_t buffer, period;
	snd_pcm_hw_params_t *hw;

	case_open(c, 0);
	snd_pcm_hw_params_alloca(&hw);
	snd_pcm_hw_params_any(c->pcm, hw);
	snd_pcm_hw_params_set_access(c->pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED);
	snd_pcm_hw_params_set_format(c->pcm, hw, SND_PCM_FORMAT_S16_LE);
	assert_int_equal(snd_pcm_hw_params_set_channels_near(c->pcm, hw, &channels), 0);
	channels = 2;
	snd_pcm_hw_params_any(c->pcm, hw);
	snd_pcm_hw_params_set_access(c->pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED);
	snd_pcm_hw_params_set_format(c->pcm, hw, SND_PCM_FORMAT_S16_LE);
	assert_int_equal(snd_pcm_hw_params_set_channels(c->pcm, hw, channels), 0);
	assert_int_equal(snd_pcm_hw_params_set_rate_near(c->pcm, hw, &rate, NULL), 0);
	assert_int_equal(snd_pcm_hw_params_set_buffer_time_near(c->pcm, hw, &time_us, NULL), 0);
	assert_int_equal(snd_pcm_hw_params_set_period_time_near(c->pcm, hw, &period_us, NULL), 0);
	assert_int_equal(snd_pcm_hw_params(c->pcm, hw), 0);
	snd_pcm_hw_params_get_buffer_size(hw, &buffer);
	snd_pcm_hw_params_get_period_size(hw, &period, NULL);
	assert_true(buffer >= 2 * period);
	assert_in_range(buffer, 10000, 12000);
}

/* Every size at the edge works with every width of frame: nothing that was offered fails. */
static void smallest_and_largest_are_accepted(void **state)
{
	const snd_pcm_format_t formats[] = {SND_PCM_FORMAT_U8, SND_PCM_FORMAT_S24_3LE,
					    SND_PCM_FORMAT_FLOAT_LE};
	struct test_case *c = *state;
	snd_pcm_hw_params_t *hw;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	snd_pcm_hw_params_alloca(&hw);
	for (unsigned int i = 0; i < 3 * 2 * 2; i++) {
		snd_pcm_t *pcm = case_open(c, 0);

		snd_pcm_hw_params_any(pcm, hw);
		snd_pcm_hw_params_set_access(pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED);
		snd_pcm_hw_params_set_format(pcm, hw, formats[i % 3]);
		snd_pcm_hw_params_set_channels(pcm, hw, i / 3 % 2 ? 8 : 1);
		snd_pcm_hw_params_set_rate(pcm, hw, i / 6 ? 192000 : 8000, 0);
		if (i / 6) {
			snd_pcm_hw_params_set_buffer_size_last(pcm, hw, &(snd_pcm_uframes_t){0});
			snd_pcm_hw_params_set_period_size_last(pcm, hw, &(snd_pcm_uframes_t){0},
							       NULL);
		} else {
			snd_pcm_hw_params_set_buffer_size_first(pcm, hw, &(snd_pcm_uframes_t){0});
		}
		assert_int_equal(snd_pcm_hw_params(pcm, hw), 0);
		snd_pcm_close(pcm);
		c->pcm = NULL;
	}
}

static void what_was_chosen_reaches_the_server(void **state)
{
	struct test_case *c = *state;
	struct xaring_params params;

	if (case_lacks_backend())
		return;
	case_serve(c, 1024);
	case_open(c, 0);
	case_shape(c, (struct shape){.format = SND_PCM_FORMAT_S24_3LE,
				     .channels = 6,
				     .rate = 44100,
				     .period = 441,
				     .buffer = 2205});
	fake_params(c->backend, 0, &params);
	assert_int_equal(params.direction, XARING_PLAYBACK);
	assert_int_equal(params.format, XARING_FORMAT_S24_3);
	assert_int_equal(params.channels, 6);
	assert_int_equal(params.rate_hz, 44100);
	assert_int_equal(params.period, 441);
	assert_int_equal(params.buffer, 2205);
	assert_int_equal(params.map[3], XARING_CHANNEL_RR);
}

static void serve_refusing(struct test_case *c, struct xaring_refusal refusal)
{
	struct fake_options options = {.refusal = refusal};

	assert_int_equal(fake_start(c->socket, &options, &c->backend), 0);
}

static void policy_is_eperm_with_a_text(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	serve_refusing(c, (struct xaring_refusal){.reason = XARING_REASON_POLICY});
	case_open(c, 0);
	assert_int_equal(case_try_shape(c, c->pcm, (struct shape){0}), -EPERM);
	assert_non_null(strstr(c->errors, "xen: "));
	assert_true(strlen(c->errors) > 10);
	c->errors[0] = '\0';
	/* The handle is as good as new afterwards. */
	fake_refuse(c->backend, &(struct xaring_refusal){0}, false);
	assert_int_equal(case_try_shape(c, c->pcm, (struct shape){0}), 0);
	assert_string_equal(c->errors, "");
}

/* For who may not record in his guest: at once, and no silence that looks as if it were sound. */
static void recording_that_the_guest_forbids_is_eperm(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	serve_refusing(c, (struct xaring_refusal){.reason = XARING_REASON_USER});
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_CAPTURE, 0, NULL, &c->pcm), 0);
	assert_int_equal(case_try_shape(c, c->pcm, (struct shape){0}), -EPERM);
	assert_non_null(strstr(c->errors, "xen: by the guest's own rules, recording is refused: "
					  "members of the group audio"));
	c->errors[0] = '\0';
}

static void limit_is_ebusy(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	serve_refusing(c, (struct xaring_refusal){XARING_REASON_STREAMS, 9, 0, 8});
	case_open(c, 0);
	assert_int_equal(case_try_shape(c, c->pcm, (struct shape){0}), -EBUSY);
	assert_non_null(strstr(c->errors, "8"));
	c->errors[0] = '\0';
}

/* What would be accepted is what is offered next, so a client that looks for the nearest gets it. */
static void refused_value_narrows_the_offer(void **state)
{
	struct test_case *c = *state;

	if (case_lacks_backend())
		return;
	serve_refusing(c, (struct xaring_refusal){XARING_REASON_RATE, 96000, 8000, 48000});
	case_open(c, 0);
	assert_int_equal(case_try_shape(c, c->pcm, (struct shape){.rate = 96000}), -EINVAL);
	assert_non_null(strstr(c->errors, "96000"));
	assert_non_null(strstr(c->errors, "48000"));
	c->errors[0] = '\0';
	assert_range(c->pcm, 48000, 8);
	fake_refuse(c->backend, &(struct xaring_refusal){XARING_REASON_CHANNELS, 6, 1, 2}, false);
	assert_int_equal(case_try_shape(c, c->pcm, (struct shape){.channels = 6, .buffer = 2048}),
			 -EINVAL);
	assert_range(c->pcm, 48000, 2);
	fake_refuse(c->backend, &(struct xaring_refusal){0}, false);
	assert_int_equal(case_try_shape(c, c->pcm, (struct shape){0}), 0);
	c->errors[0] = '\0';
}

/* Sets the PCM up for its usual format and this buffer, or the nearest to it that is offered. */
static int try_near(snd_pcm_t *pcm, snd_pcm_uframes_t *buffer)
{
	snd_pcm_hw_params_t *hw;

	snd_pcm_hw_params_alloca(&hw);
	assert_true(snd_pcm_hw_params_any(pcm, hw) >= 0);
	assert_int_equal(snd_pcm_hw_params_set_access(pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED), 0);
	assert_int_equal(snd_pcm_hw_params_set_format(pcm, hw, SND_PCM_FORMAT_S16_LE), 0);
	assert_int_equal(snd_pcm_hw_params_set_channels(pcm, hw, 2), 0);
	assert_int_equal(snd_pcm_hw_params_set_rate(pcm, hw, 48000, 0), 0);
	assert_int_equal(snd_pcm_hw_params_set_buffer_size_near(pcm, hw, buffer), 0);
	return snd_pcm_hw_params(pcm, hw);
}

/* A player that does not give up, on a machine that has nearly all its pages in use. */
static void fewer_pages_are_a_smaller_buffer(void **state)
{
	struct fake_options options = {.pages_max = 17 + 5};
	struct test_case *c = *state;
	snd_pcm_uframes_t buffer = 8192;
	snd_pcm_t *other;
	char frames[4 * 1000] = {1};

	if (case_lacks_backend())
		return;
	assert_int_equal(fake_start(c->socket, &options, &c->backend), 0);
	case_open(c, 0);
	case_shape(c, (struct shape){.buffer = 8192, .period = 2048}); /* 16 data pages */
	assert_int_equal(case_try_open(c, SND_PCM_STREAM_PLAYBACK, 0, NULL, &other), 0);
	assert_int_equal(try_near(other, &buffer), -EBUSY);
	assert_int_equal(buffer, 8192);
	/* What was refused, and what would be accepted. */
	assert_non_null(strstr(c->errors, "34 pages"));
	assert_non_null(strstr(c->errors, "to 22 are accepted"));
	assert_non_null(strstr(c->errors, "up to 2048 frames"));
	c->errors[0] = '\0';
	assert_int_equal(try_near(other, &buffer), 0);
	assert_int_equal(buffer, 2048);
	assert_string_equal(c->errors, "");
	for (int i = 0; i < 10; i++)
		assert_int_equal(snd_pcm_writei(other, frames, 1000), 1000);
	assert_int_equal(snd_pcm_drain(other), 0);
	assert_int_equal(snd_pcm_close(other), 0);
	case_wait_until(fake_streams_alive(c->backend) == 1);
}

static void refused_buffer_is_offered_smaller(void **state)
{
	struct test_case *c = *state;
	snd_pcm_uframes_t buffer = 8192;

	if (case_lacks_backend())
		return;
	serve_refusing(c, (struct xaring_refusal){XARING_REASON_BUFFER, 8192, 32, 3000});
	case_open(c, 0);
	assert_int_equal(try_near(c->pcm, &buffer), -EINVAL);
	assert_non_null(strstr(c->errors, "8192"));
	assert_non_null(strstr(c->errors, "3000"));
	c->errors[0] = '\0';
	fake_refuse(c->backend, &(struct xaring_refusal){0}, false);
	assert_int_equal(try_near(c->pcm, &buffer), 0);
	assert_in_range(buffer, 2900, 3000);
}

static void server_that_never_answers_costs_a_quarter_second(void **state)
{
	struct fake_options options = {.is_mute = true};
	struct test_case *c = *state;
	uint64_t begin_ns, took_ns;

	if (case_lacks_backend())
		return;
	assert_int_equal(fake_start(c->socket, &options, &c->backend), 0);
	case_open(c, 0);
	begin_ns = case_now_ns();
	case_shape(c, (struct shape){0});
	took_ns = case_now_ns() - begin_ns;
	assert_true(took_ns > 200 * NS_PER_MS);
	case_timing(took_ns < 300 * NS_PER_MS);
	case_write(c, 9600, 1024);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
}

static void usual_maps_are_offered_and_set(void **state)
{
	struct test_case *c = *state;
	snd_pcm_chmap_query_t **maps;
	snd_pcm_chmap_t *map;

	if (case_lacks_backend())
		return;
	case_open(c, 0);
	maps = snd_pcm_query_chmaps(c->pcm);
	assert_non_null(maps);
	for (unsigned int i = 0; i < 8; i++) {
		assert_non_null(maps[i]);
		assert_int_equal(maps[i]->type, SND_CHMAP_TYPE_FIXED);
		assert_int_equal(maps[i]->map.channels, i + 1);
	}
	assert_null(maps[8]);
	snd_pcm_free_chmaps(maps);
	assert_null(snd_pcm_get_chmap(c->pcm));
	case_shape(c, (struct shape){.channels = 6, .buffer = 4096});
	map = snd_pcm_get_chmap(c->pcm);
	assert_non_null(map);
	assert_int_equal(map->channels, 6);
	assert_int_equal(map->pos[0], SND_CHMAP_FL);
	assert_int_equal(map->pos[4], SND_CHMAP_FC);
	assert_int_equal(map->pos[5], SND_CHMAP_LFE);
	assert_int_equal(snd_pcm_set_chmap(c->pcm, map), 0);
	map->pos[0] = SND_CHMAP_FR;
	assert_true(snd_pcm_set_chmap(c->pcm, map) < 0);
	free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(everything_of_the_protocol_is_offered),
		case_test(near_values_are_found),
		case_test(smallest_and_largest_are_accepted),
		case_test(what_was_chosen_reaches_the_server),
		case_test(policy_is_eperm_with_a_text),
		case_test(recording_that_the_guest_forbids_is_eperm),
		case_test(limit_is_ebusy),
		case_test(refused_value_narrows_the_offer),
		case_test(fewer_pages_are_a_smaller_buffer),
		case_test(refused_buffer_is_offered_smaller),
		case_test(server_that_never_answers_costs_a_quarter_second),
		case_test(usual_maps_are_offered_and_set),
	};

	return case_run(tests);
}
