/* SPDX-License-Identifier: MIT */
/* One who comes without end takes nothing from others, however many they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "user-rate.h"

#define ALICE 1000
#define BOB   1001
#define BURST 10

static struct user_rate rate;

static int begin(void **state)
{
	(void)state;
	user_rate_init(&rate, BURST, 100);
	return 0;
}

static unsigned take_all(uid_t uid, uint64_t now_ms)
{
	unsigned count = 0;

	while (count < 1000 && user_rate_take(&rate, uid, now_ms))
		count++;
	return count;
}

static void each_has_his_own(void **state)
{
	(void)state;
	assert_int_equal(take_all(ALICE, 0), BURST);
	assert_int_equal(take_all(BOB, 0), BURST);
	assert_int_equal(take_all(ALICE, 300), 3);
	assert_int_equal(take_all(BOB, 300), 3);
}

/* Nobody gets more by the others' coming, and none of them is refused. */
static void the_quiet_ones_are_forgotten(void **state)
{
	(void)state;
	assert_int_equal(take_all(ALICE, 0), BURST);
	for (uid_t uid = 2000; uid < 2000 + 3 * USER_RATE_MAX; uid++)
		assert_true(user_rate_take(&rate, uid, 1));
	assert_false(user_rate_take(&rate, ALICE, 1));
	assert_true(user_rate_take(&rate, BOB, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_has_his_own, begin),
		cmocka_unit_test_setup(the_quiet_ones_are_forgotten, begin),
	};

	return cmocka_run_group_tests_name("user-rate", tests, NULL, NULL);
}
