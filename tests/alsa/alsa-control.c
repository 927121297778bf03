/* SPDX-License-Identifier: MIT */
/* The control device: what its element says, that it holds nothing, and what it refuses. */
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

static void name_element(snd_ctl_elem_value_t *value)
{
	snd_ctl_elem_value_set_interface(value, SND_CTL_ELEM_IFACE_MIXER);
	snd_ctl_elem_value_set_name(value, "Capture Switch");
}

static bool is_on(void)
{
	snd_ctl_elem_value_t *value;

	snd_ctl_elem_value_alloca(&value);
	name_element(value);
	assert_int_equal(snd_ctl_elem_read(ctl, value), 0);
	return snd_ctl_elem_value_get_boolean(value, 0);
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

static void it_is_one_switch_that_is_read(void **state)
{
	struct test_case *c = *state;
	snd_ctl_elem_list_t *list;
	snd_ctl_elem_info_t *info;

	open_control(c);
	snd_ctl_elem_list_alloca(&list);
	assert_int_equal(snd_ctl_elem_list(ctl, list), 0);
	assert_int_equal(snd_ctl_elem_list_get_count(list), 1);
	snd_ctl_elem_info_alloca(&info);
	for (unsigned int numid = 0; numid < 2; numid++) {
		snd_ctl_elem_info_clear(info);
		snd_ctl_elem_info_set_interface(info, SND_CTL_ELEM_IFACE_MIXER);
		snd_ctl_elem_info_set_name(info, "Capture Switch");
		snd_ctl_elem_info_set_numid(info, numid);
		assert_int_equal(snd_ctl_elem_info(ctl, info), 0);
		assert_int_equal(snd_ctl_elem_info_get_type(info), SND_CTL_ELEM_TYPE_BOOLEAN);
		assert_int_equal(snd_ctl_elem_info_get_count(info), 1);
		assert_true(snd_ctl_elem_info_is_readable(info));
		assert_false(snd_ctl_elem_info_is_writable(info));
	}
	snd_ctl_elem_info_clear(info);
	snd_ctl_elem_info_set_interface(info, SND_CTL_ELEM_IFACE_MIXER);
	snd_ctl_elem_info_set_name(info, "Master Playback Volume");
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

static void it_cannot_be_set(void **state)
{
	struct test_case *c = *state;
	snd_ctl_elem_value_t *value;

	open_control(c);
	snd_ctl_elem_value_alloca(&value);
	name_element(value);
	snd_ctl_elem_value_set_boolean(value, 0, 1);
	assert_int_equal(snd_ctl_elem_write(ctl, value), -EPERM);
	close_control();
}

/* A mixer that waits for events is never woken, and waits for nothing of ours. */
static void there_are_no_events(void **state)
{
	struct test_case *c = *state;
	snd_ctl_event_t *event;

	open_control(c);
	assert_int_equal(snd_ctl_subscribe_events(ctl, 1), 0);
	assert_int_equal(snd_ctl_poll_descriptors_count(ctl), 0);
	snd_ctl_event_alloca(&event);
	assert_int_equal(snd_ctl_read(ctl, event), -EAGAIN);
	close_control();
}

static void mixers_show_it(void **state)
{
	struct test_case *c = *state;
	snd_mixer_elem_t *elem;
	snd_mixer_t *mixer;
	snd_hctl_t *hctl;
	int on = 0;

	case_serve(c, 512);
	fake_hear(c->backend, true);
	open_control(c);
	assert_int_equal(snd_hctl_open_ctl(&hctl, ctl), 0);
	assert_int_equal(snd_mixer_open(&mixer, 0), 0);
	assert_int_equal(snd_mixer_attach_hctl(mixer, hctl), 0);
	assert_int_equal(snd_mixer_selem_register(mixer, NULL, NULL), 0);
	assert_int_equal(snd_mixer_load(mixer), 0);
	elem = snd_mixer_first_elem(mixer);
	assert_non_null(elem);
	assert_string_equal(snd_mixer_selem_get_name(elem), "Capture");
	assert_int_equal(snd_mixer_selem_get_capture_switch(elem, SND_MIXER_SCHN_MONO, &on), 0);
	assert_int_equal(on, 1);
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
		case_test(it_is_one_switch_that_is_read),
		case_test(nobody_there_is_off_at_once),
		case_test(it_is_on_while_the_backend_allows_it),
		case_test(an_open_control_asks_once_in_a_second),
		case_test(refusal_is_off),
		case_test(it_cannot_be_set),
		case_test(there_are_no_events),
		case_test(mixers_show_it),
		case_test(nothing_is_left_behind),
		case_test(wrong_configuration_is_refused),
	};

	if (case_is_other())
		return 77;
	return case_run(tests);
}
