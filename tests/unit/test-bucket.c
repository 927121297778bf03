/* SPDX-License-Identifier: MIT */
/* Rates: a burst, then a token in each interval. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bucket.h"

static void bucket_gives_its_burst_and_then_its_rate(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 3, 100, 1000);
	for (int i = 0; i < 3; i++)
		assert_true(bucket_take(&b, 1000));
	assert_false(bucket_take(&b, 1000));
	assert_false(bucket_take(&b, 1099));
	assert_true(bucket_take(&b, 1100));
	assert_false(bucket_take(&b, 1199));
	assert_true(bucket_take(&b, 1250));
	/* What was left of the time before counts. */
	assert_true(bucket_take(&b, 1300));
}

static void bucket_never_holds_more_than_its_burst(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 3, 100, 0);
	assert_true(bucket_take(&b, UINT64_C(1) << 60));
	assert_true(bucket_take(&b, UINT64_C(1) << 60));
	assert_true(bucket_take(&b, UINT64_C(1) << 60));
	assert_false(bucket_take(&b, UINT64_C(1) << 60));
}

static void bucket_stands_a_clock_that_goes_back(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1, 100, 1000);
	assert_true(bucket_take(&b, 1000));
	assert_false(bucket_take(&b, 0));
	assert_true(bucket_take(&b, 1100));
}

static void asking_takes_nothing(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1, 100, 0);
	assert_true(bucket_has(&b, 0));
	assert_true(bucket_has(&b, 0));
	assert_true(bucket_take(&b, 0));
	assert_false(bucket_has(&b, 0));
}

static void what_is_left_to_others_is_not_taken(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 3, 100, 0);
	assert_true(bucket_take_above(&b, 2, 0));
	assert_false(bucket_take_above(&b, 2, 99));
	assert_true(bucket_take(&b, 99));
	assert_true(bucket_take(&b, 99));
	/* What comes back is for those others first. */
	assert_false(bucket_take_above(&b, 2, 200));
	assert_true(bucket_take_above(&b, 2, 300));
	assert_false(bucket_take_above(&b, 2, 300));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bucket_gives_its_burst_and_then_its_rate),
		cmocka_unit_test(bucket_never_holds_more_than_its_burst),
		cmocka_unit_test(bucket_stands_a_clock_that_goes_back),
		cmocka_unit_test(asking_takes_nothing),
		cmocka_unit_test(what_is_left_to_others_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
