/* SPDX-License-Identifier: MIT */
/*
 * The control device: what its elements say, what becomes of what is set, events, and what is refused. Capture holds
 * nothing.
 */
#include <stdio.h>
#include <unistd.h>

#include "case.h"
#include "descriptors.h"

static snd_ctl_t *ctl;

static int try_open(const struct test_case *c, const char *config)
{
	char text[600];
	snd_config_t *top;
	int res;

	snprintf(text, sizeof(text),
		 "ctl_type.xen { lib \"%s\" } ctl.xen { type xen socket \"%s\" %s }", CONTROL,
		 c->socket, config);
	assert_int_equal(snd_config_load_string(&top, text, 0), 0);
	res = snd_ctl_open_lconf(&ctl, "xen", 0, top);
	snd_config_delete(top);
	return res;
}

static void open_control(const struct test_case *c)
{
	assert_int_equal(try_open(c, ""), 0);
}

static void close_control(void)
{
	assert_int_equal(snd_ctl_close(ctl), 0);
	ctl = NULL;
}

#define VOLUME  "Master Playback Volume"
#define SWITCH  "Master Playback Switch"
#define CAPTURE "Capture Switch"

static void name_element(snd_ctl_elem_value_t *value, const char *name)
{
	snd_ctl_elem_value_set_interface(value, SND_CTL_ELEM_IFACE_MIXER);
	snd_ctl_elem_value_set_name(value, name);
}

static long get(const char *name)
{
	snd_ctl_elem_value_t *value;

	snd_ctl_elem_value_alloca(&value);
	name_element(value, name);
	assert_int_equal(snd_ctl_elem_read(ctl, value), 0);
	return snd_ctl_elem_value_get_integer(value, 0);
}

static int set(const char *name, long to)
{
	snd_ctl_elem_value_t *value;

	snd_ctl_elem_value_alloca(&value);
	name_element(value, name);
	snd_ctl_elem_value_set_integer(value, 0, to);
	return snd_ctl_elem_write(ctl, value);
}

static bool is_on(void)
{
	return get(CAPTURE);
}

/* What a mixer reads that was opened just now. */
static bool reads_on(const struct test_case *c)
{
	bool on;

	open_control(c);
	on = is_on();
	close_control();
	return on;
}

static void elements_are_what_mixers_expect(void **state)
{
	static const struct {
		const char *name;
		snd_ctl_elem_type_t type;
		bool is_writable;
	} expected[] = {
		{VOLUME, SND_CTL_ELEM_TYPE_INTEGER, true},
		{SWITCH, SND_CTL_ELEM_TYPE_BOOLEAN, true},
		{CAPTURE, SND_CTL_ELEM_TYPE_BOOLEAN, false},
	};
	struct test_case *c = *state;
	snd_ctl_elem_list_t *list;
	snd_ctl_elem_info_t *info;

	open_control(c);
	snd_ctl_elem_list_alloca(&list);
	assert_int_equal(snd_ctl_elem_list(ctl, list), 0);
	assert_int_equal(snd_ctl_elem_list_get_count(list), 3);
	snd_ctl_elem_info_alloca(&info);
	for (unsigned int i = 0; i < 6; i++) {
		snd_ctl_elem_info_clear(info);
		if (i < 3)
			snd_ctl_elem_info_set_numid(info, i + 1);
		snd_ctl_elem_info_set_interface(info, SND_CTL_ELEM_IFACE_MIXER);
		if (i >= 3)
			snd_ctl_elem_info_set_name(info, expected[i % 3].name);
		assert_int_equal(snd_ctl_elem_info(ctl, info), 0);
		assert_int_equal(snd_ctl_elem_info_get_type(info), expected[i % 3].type);
		assert_int_equal(snd_ctl_elem_info_get_count(info), 1);
		assert_true(snd_ctl_elem_info_is_readable(info));
		assert_int_equal(snd_ctl_elem_info_is_writable(info), expected[i % 3].is_writable);
	}
	snd_ctl_elem_info_clear(info);
	snd_ctl_elem_info_set_interface(info, SND_CTL_ELEM_IFACE_MIXER);
	snd_ctl_elem_info_set_name(info, "PCM Playback Volume");
	assert_true(snd_ctl_elem_info(ctl, info) < 0);
	close_control();
}

static void nobody_there_is_off_at_once(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns = case_now_ns();

	assert_false(reads_on(c));
	case_timing(case_now_ns() - begin_ns < 100 * NS_PER_MS);
	assert_string_equal(c->errors, "");
}

static void it_is_on_while_the_backend_allows_it(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 512);
	assert_false(reads_on(c));
	fake_hear(c->backend, true);
	assert_true(reads_on(c));
	fake_hear(c->backend, false);
	assert_false(reads_on(c));
	assert_string_equal(c->errors, "");
}

/* Nor does reading again and again ask each time; but who has a mixer open sees what has changed. */
static void an_open_control_asks_once_in_a_second(void **state)
{
	struct test_case *c = *state;
	uint64_t begin_ns;

	case_serve(c, 512);
	open_control(c);
	case_pass(20);
	assert_int_equal(fake_streams(c->backend), 0);
	begin_ns = case_now_ns();
	for (int i = 0; i < 20; i++)
		assert_false(is_on());
	case_timing(case_now_ns() - begin_ns < NS_PER_S);
	if (case_now_ns() - begin_ns < NS_PER_S)
		assert_int_equal(fake_streams(c->backend), 1);
	fake_hear(c->backend, true);
	case_wait_until(is_on());
	assert_in_range(fake_streams(c->backend), 2, 6);
	close_control();
}

static void refusal_is_off(void **state)
{
	struct test_case *c = *state;
	struct xaring_refusal refusal = {.reason = XARING_REASON_USER};

	case_serve(c, 512);
	fake_hear(c->backend, true);
	fake_refuse(c->backend, &refusal, false);
	assert_false(reads_on(c));
	assert_string_equal(c->errors, "");
}

static void capture_cannot_be_set(void **state)
{
	struct test_case *c = *state;

	open_control(c);
	assert_int_equal(set(CAPTURE, 1), -EPERM);
	close_control();
}

static void what_is_set_is_read(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 512);
	open_control(c);
	assert_int_equal(get(VOLUME), 100);
	assert_int_equal(get(SWITCH), 1);
	assert_int_equal(set(VOLUME, 50), 1);
	assert_int_equal(get(VOLUME), 50);
	assert_int_equal(set(VOLUME, 50), 0); /* it was before */
	assert_int_equal(set(SWITCH, 0), 1);
	assert_int_equal(get(SWITCH), 0);
	assert_int_equal(get(VOLUME), 50);
	for (long step = 0; step <= 100; step++) {
		assert_true(set(VOLUME, step) >= 0);
		assert_int_equal(get(VOLUME), step);
	}
	assert_int_equal(set(VOLUME, 101), -EINVAL);
	assert_int_equal(set(VOLUME, -1), -EINVAL);
	assert_int_equal(fake_mixers(c->backend), 1);
	close_control();
	assert_string_equal(c->errors, "");
}

static void who_may_not_set_it_is_told_why(void **state)
{
	struct test_case *c = *state;
	struct xaring_refusal refusal = {.reason = XARING_REASON_USER};

	case_serve(c, 512);
	fake_refuse(c->backend, &refusal, false);
	open_control(c);
	assert_int_equal(set(VOLUME, 10), -EPERM);
	assert_non_null(strstr(c->errors, "members of the group audio may"));
	c->errors[0] = '\0';
	assert_int_equal(get(VOLUME), 100);
	close_control();
}

static void expect_unset(struct test_case *c, const struct fake_options *options, int error,
			 const char *reason)
{
	assert_int_equal(fake_start(c->socket, options, &c->backend), 0);
	open_control(c);
	assert_int_equal(set(VOLUME, 50), error);
	assert_non_null(strstr(c->errors, reason));
	c->errors[0] = '\0';
	close_control();
	fake_stop(c->backend);
	c->backend = NULL;
}

/* Nor is a mixer told so that there is one too many of: a person looks where the reason points. */
static void who_does_not_answer_is_not_nobody(void **state)
{
	const struct fake_options mute = {.is_mute = true};
	const struct fake_options busy = {.refusal = {.reason = XARING_REASON_BUSY}};
	struct test_case *c = *state;

	expect_unset(c, &mute, -ETIMEDOUT, "does not answer");
	expect_unset(c, &busy, -EBUSY, "too many mixers");
}

static void nobody_there_is_not_set(void **state)
{
	struct test_case *c = *state;

	open_control(c);
	assert_int_equal(get(VOLUME), 100);
	assert_int_equal(get(SWITCH), 1);
	assert_int_equal(set(SWITCH, 0), -ENODEV);
	assert_non_null(strstr(c->errors, "nobody keeps it"));
	c->errors[0] = '\0';
	/* What is shown is a guess: neither is it so, nor a step from it what is meant. And it is said once. */
	assert_int_equal(set(VOLUME, 100), -ENODEV);
	assert_int_equal(set(VOLUME, 97), -ENODEV);
	assert_string_equal(c->errors, "");
	close_control();
}

/* Returns the element of the next event, or 0 for none. */
static unsigned int next_event(void)
{
	snd_ctl_event_t *event;

	snd_ctl_event_alloca(&event);
	if (snd_ctl_read(ctl, event) != 1)
		return 0;
	assert_int_equal(snd_ctl_event_get_type(event), SND_CTL_EVENT_ELEM);
	assert_int_equal(snd_ctl_event_elem_get_mask(event), SND_CTL_EVENT_MASK_VALUE);
	assert_string_equal(snd_ctl_event_elem_get_name(event),
			    snd_ctl_event_elem_get_numid(event) == 1 ? VOLUME : SWITCH);
	return snd_ctl_event_elem_get_numid(event);
}

static bool is_told(void)
{
	return snd_ctl_wait(ctl, 0) > 0;
}

/* Of what it has set itself, too, as with a card of the kernel's. */
static void a_change_is_an_event(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 512);
	open_control(c);
	assert_int_equal(snd_ctl_nonblock(ctl, 1), 0);
	assert_int_equal(next_event(), 0);
	assert_int_equal(snd_ctl_subscribe_events(ctl, 1), 0);
	assert_int_equal(snd_ctl_poll_descriptors_count(ctl), 1);
	assert_int_equal(next_event(), 0);
	fake_set_volume(c->backend, 1000, false);
	case_wait_until(is_told());
	assert_int_equal(next_event(), 1);
	assert_int_equal(next_event(), 2);
	assert_int_equal(next_event(), 0);
	assert_false(is_told());
	assert_int_equal(set(SWITCH, 0), 1);
	case_wait_until(is_told());
	assert_int_equal(get(SWITCH), 0);
	assert_int_equal(next_event(), 1);
	assert_int_equal(next_event(), 2);
	assert_int_equal(next_event(), 0);
	assert_int_equal(snd_ctl_subscribe_events(ctl, 0), 0);
	fake_set_volume(c->backend, 77, true);
	assert_int_equal(next_event(), 0);
	close_control();
}

/* Without a look of its program's. What the next server keeps is another volume, and so an event. */
static void another_server_is_found(void **state)
{
	struct test_case *c = *state;

	case_serve(c, 512);
	open_control(c);
	assert_int_equal(snd_ctl_nonblock(ctl, 1), 0);
	assert_int_equal(snd_ctl_subscribe_events(ctl, 1), 0);
	fake_set_volume(c->backend, 0, false);
	case_wait_until(next_event() == 1);
	assert_int_equal(next_event(), 2);
	fake_stop(c->backend);
	c->backend = NULL;
	case_wait_until(is_told());
	assert_int_equal(next_event(), 0);
	assert_int_equal(get(VOLUME), 0); /* as it was last */
	case_serve(c, 512);
	case_wait_until(is_told() && next_event() == 1);
	assert_int_equal(get(VOLUME), 100);
	close_control();
}

/* One that dies of each mixer is looked for now and then, and not as fast as it can be found. */
static void a_server_that_ends_at_once_is_left_for_a_while(void **state)
{
	const struct fake_options options = {.ends_mixers = true};
	struct test_case *c = *state;
	uint64_t begin_ns;
	int woken = 0;

	assert_int_equal(fake_start(c->socket, &options, &c->backend), 0);
	open_control(c);
	assert_int_equal(snd_ctl_nonblock(ctl, 1), 0);
	assert_int_equal(snd_ctl_subscribe_events(ctl, 1), 0);
	begin_ns = case_now_ns();
	while (case_now_ns() - begin_ns < NS_PER_S / 2) {
		case_pass(1);
		if (!is_told())
			continue;
		assert_int_equal(next_event(), 0);
		woken++;
	}
	assert_in_range(woken, 1, 5);
	close_control();
}

static snd_mixer_t *open_mixer(const struct test_case *c)
{
	snd_mixer_t *mixer;
	snd_hctl_t *hctl;

	open_control(c);
	assert_int_equal(snd_hctl_open_ctl(&hctl, ctl), 0);
	assert_int_equal(snd_mixer_open(&mixer, 0), 0);
	assert_int_equal(snd_mixer_attach_hctl(mixer, hctl), 0);
	assert_int_equal(snd_mixer_selem_register(mixer, NULL, NULL), 0);
	assert_int_equal(snd_mixer_load(mixer), 0);
	return mixer;
}

static snd_mixer_elem_t *find_element(snd_mixer_t *mixer, const char *name)
{
	snd_mixer_selem_id_t *id;

	snd_mixer_selem_id_alloca(&id);
	snd_mixer_selem_id_set_name(id, name);
	return snd_mixer_find_selem(mixer, id);
}

static void mixers_show_it(void **state)
{
	struct test_case *c = *state;
	snd_mixer_elem_t *master, *capture;
	snd_mixer_t *mixer;
	long least, most, volume;
	int on = 0;

	case_serve(c, 512);
	fake_hear(c->backend, true);
	mixer = open_mixer(c);
	capture = find_element(mixer, "Capture");
	master = find_element(mixer, "Master");
	assert_non_null(capture);
	assert_non_null(master);
	assert_int_equal(snd_mixer_get_count(mixer), 2);
	assert_int_equal(snd_mixer_selem_get_capture_switch(capture, SND_MIXER_SCHN_MONO, &on), 0);
	assert_int_equal(on, 1);
	assert_int_equal(snd_mixer_selem_get_playback_volume_range(master, &least, &most), 0);
	assert_int_equal(least, 0);
	assert_int_equal(most, 100);
	assert_int_equal(snd_mixer_selem_get_playback_dB_range(master, &least, &most), 0);
	assert_int_equal(least, SND_CTL_TLV_DB_GAIN_MUTE);
	assert_int_equal(most, 0);
	/* Half of the way is an eighth of the amplitude: 18.06 dB, see loudness.h. */
	assert_int_equal(snd_mixer_selem_set_playback_volume_all(master, 50), 0);
	assert_int_equal(snd_mixer_selem_get_playback_dB(master, SND_MIXER_SCHN_MONO, &volume), 0);
	assert_in_range(volume + 1806 + 30, 0, 60);
	assert_int_equal(snd_mixer_selem_set_playback_dB_all(master, -600, 0), 0);
	assert_int_equal(snd_mixer_selem_get_playback_volume(master, SND_MIXER_SCHN_MONO, &volume),
			 0);
	assert_in_range(volume, 79, 80);
	snd_mixer_close(mixer);
	ctl = NULL;
}

/* As alsamixer does it: what others change is shown when its descriptor has told of it. */
static void mixers_see_what_others_set(void **state)
{
	struct test_case *c = *state;
	snd_mixer_elem_t *master;
	snd_mixer_t *mixer;
	long volume;
	int on;

	case_serve(c, 512);
	mixer = open_mixer(c);
	master = find_element(mixer, "Master");
	assert_non_null(master);
	fake_set_volume(c->backend, 65536 / 8, true);
	assert_int_equal(snd_mixer_wait(mixer, 5000), 0);
	assert_true(snd_mixer_handle_events(mixer) > 0);
	assert_int_equal(snd_mixer_selem_get_playback_volume(master, SND_MIXER_SCHN_MONO, &volume),
			 0);
	assert_int_equal(volume, 50);
	assert_int_equal(snd_mixer_selem_get_playback_switch(master, SND_MIXER_SCHN_MONO, &on), 0);
	assert_int_equal(on, 0);
	snd_mixer_close(mixer);
	ctl = NULL;
}

static void nothing_is_left_behind(void **state)
{
	struct test_case *c = *state;
	uint32_t before;

	case_serve(c, 512);
	before = open_descriptors();
	for (int i = 0; i < 5; i++)
		(void)reads_on(c);
	/* The backend, in this process as well, closes its ends when it sees that ours are closed. */
	case_wait_until(open_descriptors() == before);
}

static void wrong_configuration_is_refused(void **state)
{
	struct test_case *c = *state;

	assert_int_equal(try_open(c, "sokcet \"/x\""), -EINVAL);
	assert_non_null(strstr(c->errors, "key sokcet with the value '/x' is refused"));
	c->errors[0] = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_test(elements_are_what_mixers_expect),
		case_test(nobody_there_is_off_at_once),
		case_test(it_is_on_while_the_backend_allows_it),
		case_test(an_open_control_asks_once_in_a_second),
		case_test(refusal_is_off),
		case_test(capture_cannot_be_set),
		case_test(what_is_set_is_read),
		case_test(who_may_not_set_it_is_told_why),
		case_test(who_does_not_answer_is_not_nobody),
		case_test(nobody_there_is_not_set),
		case_test(a_change_is_an_event),
		case_test(another_server_is_found),
		case_test(a_server_that_ends_at_once_is_left_for_a_while),
		case_test(mixers_show_it),
		case_test(mixers_see_what_others_set),
		case_test(nothing_is_left_behind),
		case_test(wrong_configuration_is_refused),
	};

	return case_run_with_backend(tests);
}
