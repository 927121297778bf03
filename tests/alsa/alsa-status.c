/* SPDX-License-Identifier: MIT */
/* What a stream tells of itself: status, time stamps, the delay and how true it is, links to others. */
#include "case.h"

static uint64_t ns_of(const snd_htimestamp_t *when)
{
	return (uint64_t)when->tv_sec * NS_PER_S + (uint64_t)when->tv_nsec;
}

/* With time stamps of the monotonic clock. */
static void open_stamped(struct test_case *c, int mode, struct shape shape)
{
	snd_pcm_sw_params_t *sw;

	case_open(c, mode);
	case_shape(c, shape);
	snd_pcm_sw_params_alloca(&sw);
	assert_int_equal(snd_pcm_sw_params_current(c->pcm, sw), 0);
	assert_int_equal(snd_pcm_sw_params_set_tstamp_mode(c->pcm, sw, SND_PCM_TSTAMP_ENABLE), 0);
	snd_pcm_sw_params_set_tstamp_type(c->pcm, sw, SND_PCM_TSTAMP_TYPE_MONOTONIC);
	assert_int_equal(snd_pcm_sw_params(c->pcm, sw), 0);
}

static void time_stamps_are_monotonic_and_of_now(void **state)
{
	struct test_case *c = *state;
	snd_pcm_uframes_t avail;
	snd_htimestamp_t when;
	uint64_t last_ns = 0, before_ns;

	case_serve(c, 256);
	open_stamped(c, 0, (struct shape){.start = 1, .period = 480, .buffer = 4800});
	case_write(c, 4800, 4800);
	case_wait_until(snd_pcm_avail(c->pcm) > 480);
	for (int i = 0; i < 300; i++) {
		before_ns = case_now_ns();
		assert_true(snd_pcm_avail(c->pcm) >= 0);
		assert_int_equal(snd_pcm_htimestamp(c->pcm, &avail, &when), 0);
		assert_true(ns_of(&when) >= last_ns);
		assert_true(ns_of(&when) <= case_now_ns());
		/* Of the last time that the position was looked at, with a card. */
		assert_true(ns_of(&when) + 50 * NS_PER_MS > before_ns || case_is_busy());
		last_ns = ns_of(&when);
	}
}

/* Sound servers compare them with that clock, and do not ask for it. */
static void time_stamps_are_monotonic_by_themselves(void **state)
{
	snd_pcm_tstamp_type_t type = SND_PCM_TSTAMP_TYPE_GETTIMEOFDAY;
	struct test_case *c = *state;
	snd_pcm_sw_params_t *sw;

	case_open(c, 0);
	case_shape(c, (struct shape){0});
	snd_pcm_sw_params_alloca(&sw);
	assert_int_equal(snd_pcm_sw_params_current(c->pcm, sw), 0);
	assert_int_equal(snd_pcm_sw_params_get_tstamp_type(sw, &type), 0);
	assert_int_equal(type, SND_PCM_TSTAMP_TYPE_MONOTONIC);
}

static void status_is_one_moment(void **state)
{
	struct test_case *c = *state;
	snd_pcm_sframes_t last_delay = INT_MAX;
	snd_pcm_uframes_t last_avail = 0, avail;
	snd_pcm_status_t *status;
	snd_htimestamp_t when;
	uint64_t last_ns = 0;

	case_serve(c, 256);
	open_stamped(c, 0, (struct shape){.start = 1, .period = 1500, .buffer = 12000});
	case_write(c, 12000, 12000);
	snd_pcm_status_alloca(&status);
	for (int i = 0; i < 100; i++) {
		case_pass(1);
		assert_int_equal(snd_pcm_status(c->pcm, status), 0);
		assert_int_equal(snd_pcm_status_get_state(status), SND_PCM_STATE_RUNNING);
		avail = snd_pcm_status_get_avail(status);
		assert_in_range(avail, last_avail, 12000);
		assert_true(snd_pcm_status_get_delay(status) >= 12000 - (snd_pcm_sframes_t)avail);
		/* Behind the buffer there are no more than two quanta, and some steps of the position. */
		assert_true(snd_pcm_status_get_delay(status) <= last_delay + 1024);
		snd_pcm_status_get_htstamp(status, &when);
		assert_true(ns_of(&when) >= last_ns && ns_of(&when) <= case_now_ns());
		last_ns = ns_of(&when);
		last_avail = avail;
		last_delay = snd_pcm_status_get_delay(status);
	}
	assert_int_equal(snd_pcm_status_get_overrange(status), 0);
}

static uint64_t trigger_ns(struct test_case *c)
{
	snd_pcm_status_t *status;
	snd_htimestamp_t when;

	snd_pcm_status_alloca(&status);
	assert_int_equal(snd_pcm_status(c->pcm, status), 0);
	snd_pcm_status_get_trigger_htstamp(status, &when);
	return ns_of(&when);
}

static void the_trigger_is_the_start_and_the_stop(void **state)
{
	struct test_case *c = *state;
	uint64_t before_ns, started_ns;

	case_serve(c, 256);
	open_stamped(c, 0, (struct shape){.start = FOREVER});
	case_write(c, 4096, 4096);
	before_ns = case_now_ns();
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	started_ns = trigger_ns(c);
	assert_true(started_ns >= before_ns && started_ns <= case_now_ns());
	case_pass(20);
	assert_int_equal(trigger_ns(c), started_ns);
	before_ns = case_now_ns();
	assert_int_equal(snd_pcm_drop(c->pcm), 0);
	assert_true(trigger_ns(c) >= before_ns && trigger_ns(c) <= case_now_ns());
}

/* The largest that anybody has seen. */
static void avail_max_is_the_most(void **state)
{
	struct test_case *c = *state;
	snd_pcm_uframes_t most = 0;
	snd_pcm_status_t *status;

	case_serve(c, 256);
	open_stamped(c, 0, (struct shape){.start = 1});
	case_write(c, 4096, 4096);
	for (int i = 0; i < 5; i++) {
		snd_pcm_sframes_t avail;

		case_pass(5);
		avail = snd_pcm_avail(c->pcm);
		assert_true(avail >= 0);
		if ((snd_pcm_uframes_t)avail > most)
			most = (snd_pcm_uframes_t)avail;
	}
	snd_pcm_status_alloca(&status);
	assert_int_equal(snd_pcm_status(c->pcm, status), 0);
	assert_true(snd_pcm_status_get_avail_max(status) >= most);
	assert_true(snd_pcm_status_get_avail_max(status) <= 4096);
}

/* Frames that are played are as many as the time stamps say that there should be. */
static void the_position_keeps_the_time_of_the_stamps(void **state)
{
	snd_pcm_uframes_t first, last;
	snd_htimestamp_t begin, end;
	struct test_case *c = *state;
	double frames;

	case_serve(c, 256);
	open_stamped(c, 0, (struct shape){.start = 1, .period = 480, .buffer = 12000});
	case_write(c, 12000, 12000);
	case_wait_until(snd_pcm_avail(c->pcm) > 1000);
	assert_int_equal(snd_pcm_htimestamp(c->pcm, &first, &begin), 0);
	case_wait_until(snd_pcm_avail(c->pcm) > 10000);
	assert_int_equal(snd_pcm_htimestamp(c->pcm, &last, &end), 0);
	frames = (double)(ns_of(&end) - ns_of(&begin)) * 48e-6;
	case_timing(frames - (double)(last - first) < 300 && (double)(last - first) - frames < 300);
}

/* When it says that the last frame is so far away, it takes so long until it is played. */
static void the_delay_is_how_long_it_takes(void **state)
{
	static const uint32_t lengths[] = {500, 1000, 2500, 6000, 11000};
	struct test_case *c = *state;
	snd_pcm_sframes_t delay, took;
	uint64_t begin_ns;

	for (int i = 0; i < 5; i++) {
		case_serve_anew(c, 64);
		open_stamped(c, 0, (struct shape){.start = 1, .period = 240, .buffer = 12000});
		case_write(c, lengths[i], 12000);
		case_wait_until(snd_pcm_avail(c->pcm) >
				12000 - (snd_pcm_sframes_t)lengths[i] + 100);
		begin_ns = case_now_ns();
		assert_int_equal(snd_pcm_delay(c->pcm, &delay), 0);
		assert_true(delay <= (snd_pcm_sframes_t)lengths[i] + 64 * 2 + 240);
		assert_int_equal(snd_pcm_drain(c->pcm), 0);
		took = (snd_pcm_sframes_t)((case_now_ns() - begin_ns) * 48 / 1000000);
		/* A drain ends with the backend's cycle, and with a card at the end of a period. */
		case_timing(took > delay - 64 * 3 - 48);
		case_timing(took < delay + (case_is_other() ? 240 : 64) * 2 + 96);
		case_close(c);
	}
}

/* From there to the last frame that the backend has taken, while both go on. */
static void the_delay_is_what_was_not_consumed(void **state)
{
	struct test_case *c = *state;
	uint32_t before, after;
	snd_pcm_sframes_t delay;

	if (case_lacks_backend())
		return;
	case_serve(c, 64);
	open_stamped(c, 0, (struct shape){.period = 480, .buffer = 4800});
	for (int i = 0; i < 300; i++) {
		case_write(c, 100, 100);
		before = fake_consumed(c->backend, 0);
		assert_int_equal(snd_pcm_delay(c->pcm, &delay), 0);
		after = fake_consumed(c->backend, 0);
		if (c->written < 4800 + 1000 || after - before > 64)
			continue;
		/* The record says: one quantum behind the buffer. Predicted is less than another one. */
		case_timing(delay >= (snd_pcm_sframes_t)(c->written - after) - 64);
		case_timing(delay <= (snd_pcm_sframes_t)(c->written - before) + 3 * 64);
	}
}

static void info_names_the_pcm(void **state)
{
	struct test_case *c = *state;
	snd_pcm_info_t *info;

	snd_pcm_info_alloca(&info);
	for (snd_pcm_stream_t s = SND_PCM_STREAM_PLAYBACK; s <= SND_PCM_STREAM_CAPTURE; s++) {
		assert_int_equal(case_try_open(c, s, 0, NULL, &c->pcm), 0);
		assert_int_equal(snd_pcm_info(c->pcm, info), 0);
		assert_int_equal(snd_pcm_info_get_stream(info), s);
		assert_int_equal(snd_pcm_stream(c->pcm), s);
		assert_true(strlen(snd_pcm_info_get_id(info)) > 0);
		assert_true(snd_pcm_info_get_subdevices_count(info) >= 1);
		if (!case_is_other()) {
			assert_int_equal(snd_pcm_info_get_card(info), -1);
			assert_string_equal(snd_pcm_info_get_id(info), "xen");
			assert_string_equal(snd_pcm_name(c->pcm), "xen");
		}
		case_close(c);
	}
}

/* Together with a card's stream another one starts. Here each plays for itself, and says so. */
static void a_link_is_made_or_refused(void **state)
{
	struct test_case *c = *state, other = *c;
	int res;

	case_serve(c, 256);
	case_open(c, 0);
	case_open(&other, 0);
	case_shape(c, (struct shape){.start = FOREVER});
	case_shape(&other, (struct shape){.start = FOREVER});
	case_write(c, 3000, 3000);
	case_write(&other, 2000, 2000);
	res = snd_pcm_link(c->pcm, other.pcm);
	if (case_is_ioplug(c, "links are refused")) {
		assert_int_equal(res, -ENOSYS);
		assert_int_equal(snd_pcm_unlink(c->pcm), -ENOSYS);
	}
	assert_int_equal(snd_pcm_start(c->pcm), 0);
	assert_int_equal(snd_pcm_state(other.pcm),
			 res == 0 ? SND_PCM_STATE_RUNNING : SND_PCM_STATE_PREPARED);
	if (res == 0)
		assert_int_equal(snd_pcm_unlink(c->pcm), 0);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	assert_int_equal(snd_pcm_drain(other.pcm), 0);
	assert_int_equal(snd_pcm_close(other.pcm), 0);
	case_expect(c, 0, 0, 3000);
	other.backend = c->backend;
	case_expect(&other, 1, 0, 2000);
}

/* Neither side can do it, whoever is asked. */
static void a_link_to_another_kind_is_refused(void **state)
{
	struct test_case *c = *state;
	snd_config_t *top;
	snd_pcm_t *other;

	case_serve(c, 256);
	case_open(c, 0);
	case_shape(c, (struct shape){.start = FOREVER});
	assert_int_equal(snd_config_load_string(&top, "pcm.other { type null }", 0), 0);
	assert_int_equal(snd_pcm_open_lconf(&other, "other", SND_PCM_STREAM_PLAYBACK, 0, top), 0);
	snd_config_delete(top);
	assert_true(snd_pcm_link(c->pcm, other) < 0 || case_is_other());
	assert_true(snd_pcm_link(other, c->pcm) < 0 || case_is_other());
	assert_int_equal(snd_pcm_close(other), 0);
	case_write(c, 3000, 3000);
	assert_int_equal(snd_pcm_drain(c->pcm), 0);
	case_expect(c, 0, 0, 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(time_stamps_are_monotonic_and_of_now),
		case_test(time_stamps_are_monotonic_by_themselves),
		case_test(status_is_one_moment),
		case_test(the_trigger_is_the_start_and_the_stop),
		case_test(avail_max_is_the_most),
		case_test(the_position_keeps_the_time_of_the_stamps),
		case_test(the_delay_is_how_long_it_takes),
		case_test(the_delay_is_what_was_not_consumed),
		case_test(info_names_the_pcm),
		case_test(a_link_is_made_or_refused),
		case_test(a_link_to_another_kind_is_refused),
	};

	return case_run(tests);
}
