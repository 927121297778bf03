/* SPDX-License-Identifier: MIT */
/* Who may hear the room, when a VM asks, and how long a decision for one start of it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/microphone.h"

#define T0 UINT64_C(5000)

static struct microphone with(enum policy_microphone rule)
{
	struct microphone m;

	microphone_init(&m, rule);
	return m;
}

static void nobody_may_until_somebody_decides(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_ASK);

	(void)state;
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
	assert_int_equal(microphone_choice(&m), CONSENT_NONE);
	microphone_set_kept(&m, CONSENT_ALLOW, T0);
	assert_int_equal(microphone_state(&m), MICROPHONE_ALLOWED);
	microphone_set_kept(&m, CONSENT_NONE, T0);
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
}

static void rules_come_before_people(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_DENY);

	(void)state;
	microphone_set_kept(&m, CONSENT_ALLOW, T0);
	microphone_decide(&m, CONSENT_ALLOW, MICROPHONE_SHUTDOWN, T0);
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
	microphone_set_rule(&m, POLICY_MICROPHONE_ALLOW, T0);
	microphone_decide(&m, CONSENT_DENY, MICROPHONE_SHUTDOWN, T0);
	assert_int_equal(microphone_state(&m), MICROPHONE_ALLOWED);
	microphone_set_rule(&m, POLICY_MICROPHONE_ASK, T0);
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
}

static void this_start_comes_before_what_is_kept(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_ASK);

	(void)state;
	microphone_set_kept(&m, CONSENT_ALLOW, T0);
	microphone_decide(&m, CONSENT_DENY, MICROPHONE_SHUTDOWN, T0);
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
	microphone_decide(&m, CONSENT_NONE, MICROPHONE_SHUTDOWN, T0);
	assert_int_equal(microphone_state(&m), MICROPHONE_ALLOWED);
}

static bool asks_at(struct microphone *m, uint64_t now_ms)
{
	microphone_look(m, now_ms);
	return microphone_state(m) == MICROPHONE_ASKED;
}

static void it_asks_after_two_seconds(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_ASK);

	(void)state;
	assert_true(microphone_next_ms(&m) == MICROPHONE_NEVER);
	microphone_set_recording(&m, 1, T0);
	assert_true(microphone_next_ms(&m) == T0 + 2000);
	microphone_set_recording(&m, 2, T0 + 500);
	assert_false(asks_at(&m, T0 + 1999));
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
	assert_true(asks_at(&m, T0 + 2000));
	assert_true(microphone_next_ms(&m) == MICROPHONE_NEVER);
	assert_true(asks_at(&m, T0 + 9000));
	microphone_set_recording(&m, 0, T0 + 9000);
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
}

static void a_level_meter_does_not_ask(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_ASK);

	(void)state;
	microphone_set_recording(&m, 1, T0);
	microphone_set_recording(&m, 0, T0 + 1500);
	assert_false(asks_at(&m, T0 + 2000));
	microphone_set_recording(&m, 1, T0 + 3000);
	assert_true(microphone_next_ms(&m) == T0 + 5000);
}

static void it_asks_once(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_ASK);

	(void)state;
	microphone_set_recording(&m, 1, T0);
	assert_true(asks_at(&m, T0 + 2000));
	microphone_set_recording(&m, 0, T0 + 3000);
	microphone_set_recording(&m, 1, T0 + 4000);
	assert_false(asks_at(&m, T0 + 9000));
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
	/* To be asked again is a decision, too. */
	microphone_decide(&m, CONSENT_NONE, MICROPHONE_SHUTDOWN, T0 + 9000);
	assert_true(asks_at(&m, T0 + 9000));
}

static void who_has_decided_is_not_asked(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_ASK);

	(void)state;
	microphone_set_kept(&m, CONSENT_DENY, T0);
	microphone_set_recording(&m, 1, T0);
	assert_false(asks_at(&m, T0 + 9000));
	m = with(POLICY_MICROPHONE_DENY);
	microphone_set_recording(&m, 1, T0);
	assert_false(asks_at(&m, T0 + 9000));
	/* A decision while it asks ends that. */
	m = with(POLICY_MICROPHONE_ASK);
	microphone_set_recording(&m, 1, T0);
	assert_true(asks_at(&m, T0 + 2000));
	microphone_decide(&m, CONSENT_DENY, MICROPHONE_SHUTDOWN, T0 + 2500);
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
}

static void once_is_until_nothing_records_any_more(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_ASK);

	(void)state;
	microphone_set_recording(&m, 2, T0);
	microphone_decide(&m, CONSENT_ALLOW, MICROPHONE_ONCE, T0);
	microphone_set_recording(&m, 1, T0 + 10);
	assert_int_equal(microphone_state(&m), MICROPHONE_ALLOWED);
	microphone_set_recording(&m, 0, T0 + 20);
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
	/* Said before anything records it is for the next time. */
	microphone_decide(&m, CONSENT_ALLOW, MICROPHONE_ONCE, T0 + 30);
	microphone_set_recording(&m, 0, T0 + 40);
	assert_int_equal(microphone_state(&m), MICROPHONE_ALLOWED);
	microphone_set_recording(&m, 1, T0 + 50);
	microphone_set_recording(&m, 0, T0 + 60);
	assert_int_equal(microphone_state(&m), MICROPHONE_DENIED);
}

static void until_shutdown_outlives_its_streams(void **state)
{
	struct microphone m = with(POLICY_MICROPHONE_ASK);

	(void)state;
	microphone_decide(&m, CONSENT_ALLOW, MICROPHONE_SHUTDOWN, T0);
	microphone_set_recording(&m, 1, T0);
	microphone_set_recording(&m, 0, T0);
	assert_int_equal(microphone_state(&m), MICROPHONE_ALLOWED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_may_until_somebody_decides),
		cmocka_unit_test(rules_come_before_people),
		cmocka_unit_test(this_start_comes_before_what_is_kept),
		cmocka_unit_test(it_asks_after_two_seconds),
		cmocka_unit_test(a_level_meter_does_not_ask),
		cmocka_unit_test(it_asks_once),
		cmocka_unit_test(who_has_decided_is_not_asked),
		cmocka_unit_test(once_is_until_nothing_records_any_more),
		cmocka_unit_test(until_shutdown_outlives_its_streams),
	};

	return cmocka_run_group_tests_name("microphone", tests, NULL, NULL);
}
