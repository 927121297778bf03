/* SPDX-License-Identifier: MIT */
/* What a VM may do: every limit refuses with its reason, the value and what would be accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "policy.h"

static struct xaring_open usual_open(void)
{
	struct xaring_open open = {
		.version_min = XARING_PROTOCOL_VERSION_MIN,
		.version = XARING_PROTOCOL_VERSION,
		.features = XARING_FEATURE_SAME_CLOCK,
		.params = {.direction = XARING_PLAYBACK,
			   .format = XARING_FORMAT_S16,
			   .rate_hz = 48000,
			   .channels = 2,
			   .buffer = 4096,
			   .period = 1024},
	};

	return open;
}

struct judgement {
	struct policy policy;
	struct policy_use use;
	struct xaring_open open;
	struct policy_grant grant;
	struct xaring_refusal refusal;
};

static struct judgement usual(void)
{
	struct judgement j = {.open = usual_open()};

	policy_init(&j.policy);
	return j;
}

static int judge(struct judgement *j)
{
	memset(&j->refusal, 0xff, sizeof(j->refusal));
	return policy_check(&j->policy, &j->use, &j->open, &j->grant, &j->refusal);
}

static void assert_refused(struct judgement *j, int error, enum xaring_reason reason)
{
	assert_int_equal(judge(j), error);
	assert_int_equal(j->refusal.reason, reason);
}

static void assert_range(const struct judgement *j, uint32_t value, uint32_t min, uint32_t max)
{
	assert_int_equal(j->refusal.value, value);
	assert_int_equal(j->refusal.min, min);
	assert_int_equal(j->refusal.max, max);
}

static void usual_stream_is_granted(void **state)
{
	struct judgement j = usual();

	(void)state;
	assert_int_equal(judge(&j), 0);
	assert_int_equal(j.grant.version, XARING_PROTOCOL_VERSION);
	assert_int_equal(j.grant.features, XARING_FEATURE_SAME_CLOCK);
	assert_int_equal(j.grant.shape.capacity, 8192);
	assert_int_equal(j.grant.shape.pages, 9);
}

static void defaults_are_those_of_the_manual(void **state)
{
	struct policy policy;

	(void)state;
	policy_init(&policy);
	assert_true(policy.playback);
	assert_int_equal(policy.max_streams, 8);
	assert_int_equal(policy.max_pages, 480);
	assert_int_equal(policy.reconnect_ms, 250);
}

static void version_of_the_future_is_refused_with_ours(void **state)
{
	struct judgement j = usual();

	(void)state;
	j.open.version_min = XARING_PROTOCOL_VERSION + 1;
	j.open.version = XARING_PROTOCOL_VERSION + 5;
	assert_refused(&j, -ENOTSUP, XARING_REASON_VERSION);
	assert_range(&j, XARING_PROTOCOL_VERSION + 5, XARING_PROTOCOL_VERSION_MIN,
		     XARING_PROTOCOL_VERSION);
}

static void impossible_rate_is_refused_with_the_range(void **state)
{
	struct judgement j = usual();

	(void)state;
	j.open.params.rate_hz = 4000;
	assert_refused(&j, -EINVAL, XARING_REASON_RATE);
	assert_range(&j, 4000, XARING_RATE_MIN, XARING_RATE_MAX);
}

/* What it records is silence, which is nobody's secret. */
static void capture_is_never_refused_by_policy(void **state)
{
	struct judgement j = usual();

	(void)state;
	assert_int_equal(j.policy.microphone, POLICY_MICROPHONE_ASK);
	j.open.params.direction = XARING_CAPTURE;
	j.policy.playback = false;
	assert_int_equal(policy_check(&j.policy, &j.use, &j.open, &j.grant, &j.refusal), 0);
	j.policy.max_streams = j.use.streams;
	assert_refused(&j, -EDQUOT, XARING_REASON_STREAMS);
}

static void playback_that_is_denied_is_refused_by_policy(void **state)
{
	struct judgement j = usual();

	(void)state;
	j.policy.playback = false;
	assert_refused(&j, -EACCES, XARING_REASON_POLICY);
}

static void last_stream_is_granted_and_one_more_refused(void **state)
{
	struct judgement j = usual();

	(void)state;
	j.policy.max_streams = 3;
	j.use.streams = 2;
	assert_int_equal(judge(&j), 0);
	j.use.streams = 3;
	assert_refused(&j, -EDQUOT, XARING_REASON_STREAMS);
	assert_range(&j, 4, 1, 3);
}

static void last_page_is_granted_and_one_more_refused(void **state)
{
	struct judgement j = usual();

	(void)state;
	j.policy.max_pages = 100;
	j.use.pages = 91;
	assert_int_equal(judge(&j), 0);
	j.use.pages = 92;
	assert_refused(&j, -EDQUOT, XARING_REASON_PAGES);
	assert_range(&j, 101, POLICY_PAGES_MIN, 100);
}

static void use_beyond_a_lowered_limit_is_no_overflow(void **state)
{
	struct judgement j = usual();

	(void)state;
	j.policy.max_pages = 10;
	j.policy.max_streams = 100;
	j.use.pages = 400;
	j.use.streams = 50;
	assert_refused(&j, -EDQUOT, XARING_REASON_PAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_stream_is_granted),
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(version_of_the_future_is_refused_with_ours),
		cmocka_unit_test(impossible_rate_is_refused_with_the_range),
		cmocka_unit_test(capture_is_never_refused_by_policy),
		cmocka_unit_test(playback_that_is_denied_is_refused_by_policy),
		cmocka_unit_test(last_stream_is_granted_and_one_more_refused),
		cmocka_unit_test(last_page_is_granted_and_one_more_refused),
		cmocka_unit_test(use_beyond_a_lowered_limit_is_no_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
