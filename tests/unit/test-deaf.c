/* SPDX-License-Identifier: MIT */
/* Who is remembered as deaf, for how long, and who makes room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/deaf.h"

static const char work[IPC_VM_NAME_BYTES] = "work";

static void they_are_remembered_for_a_while(void **state)
{
	struct deaf deaf = {0};

	(void)state;
	assert_false(deaf_has(&deaf, work, 1000));
	deaf_add(&deaf, work, 1000);
	assert_true(deaf_has(&deaf, work, 1000));
	assert_true(deaf_has(&deaf, work, 1000 + DEAF_MS - 1));
	assert_false(deaf_has(&deaf, work, 1000 + DEAF_MS));
	assert_false(deaf_has(&deaf, "works", 1000));
	assert_false(deaf_has(&deaf, "", 1000));
}

static void once_more_is_longer(void **state)
{
	struct deaf deaf = {0};

	(void)state;
	deaf_add(&deaf, work, 1000);
	deaf_add(&deaf, work, 2000);
	assert_true(deaf_has(&deaf, work, 1999 + DEAF_MS));
	assert_false(deaf_has(&deaf, work, 2000 + DEAF_MS));
}

static void of_too_many_the_last_are_remembered(void **state)
{
	char key[IPC_VM_NAME_BYTES] = "";
	struct deaf deaf = {0};

	(void)state;
	deaf_add(&deaf, work, 1000);
	for (unsigned i = 0; i < DEAF_MAX; i++) {
		assert_true(deaf_has(&deaf, work, 1000));
		(void)snprintf(key, sizeof(key), "vm-%u", i);
		deaf_add(&deaf, key, 1000);
	}
	assert_false(deaf_has(&deaf, work, 1000));
	assert_true(deaf_has(&deaf, "vm-0", 1000));
	assert_true(deaf_has(&deaf, key, 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_remembered_for_a_while),
		cmocka_unit_test(once_more_is_longer),
		cmocka_unit_test(of_too_many_the_last_are_remembered),
	};

	return cmocka_run_group_tests_name("deaf", tests, NULL, NULL);
}
