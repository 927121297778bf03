/* SPDX-License-Identifier: MIT */
/* What the programs of a guest may take: all together, each user, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "budget.h"

#define ALICE 1000
#define BOB   1001

static struct budget budget;

static int begin(void **state)
{
	(void)state;
	budget_init(&budget, 100, 60);
	return 0;
}

static void assert_refused(uid_t uid, uint32_t pages, uint32_t value, uint32_t min, uint32_t max)
{
	struct xaring_refusal refusal = {0};

	assert_int_equal(budget_check(&budget, uid, pages, &refusal), -EDQUOT);
	assert_int_equal(refusal.reason, XARING_REASON_PAGES);
	assert_int_equal(refusal.value, value);
	assert_int_equal(refusal.min, min);
	assert_int_equal(refusal.max, max);
}

static void assert_granted(uid_t uid, uint32_t pages)
{
	struct xaring_refusal refusal;

	assert_int_equal(budget_check(&budget, uid, pages, &refusal), 0);
	budget_take(&budget, uid, pages);
}

static void one_user_gets_the_share_of_one(void **state)
{
	(void)state;
	assert_granted(ALICE, 60);
	assert_refused(ALICE, 2, 62, 2, 60);
	assert_granted(BOB, 40);
}

static void all_together_get_the_whole(void **state)
{
	(void)state;
	assert_granted(ALICE, 60);
	assert_refused(BOB, 41, 101, 2, 100);
	assert_granted(BOB, 40);
	assert_refused(ALICE, 2, 102, 2, 100);
}

static void what_is_given_back_can_be_taken(void **state)
{
	(void)state;
	assert_granted(ALICE, 60);
	budget_give(&budget, ALICE, 60);
	assert_int_equal(budget.pages, 0);
	assert_granted(ALICE, 60);
}

/* Streams that an earlier daemon has left: of the guest's budget, and of nobody's share. */
static void nobodys_pages_are_no_users(void **state)
{
	(void)state;
	assert_granted(BUDGET_NOBODY, 60);
	assert_granted(BUDGET_NOBODY, 30);
	assert_refused(ALICE, 11, 101, 2, 100);
	budget_give(&budget, BUDGET_NOBODY, 60);
	budget_take(&budget, ALICE, 60);
	assert_refused(ALICE, 2, 62, 2, 60);
	assert_granted(BOB, 10);
}

/* What was had before the start is not taken away: it is waited for. */
static void nothing_is_granted_while_there_is_too_much(void **state)
{
	(void)state;
	assert_granted(ALICE, 50);
	budget_take(&budget, BUDGET_NOBODY, 90);
	assert_refused(BOB, 2, 142, 2, 100);
	budget_give(&budget, BUDGET_NOBODY, 90);
	budget_take(&budget, ALICE, 90);
	assert_refused(ALICE, 2, 142, 2, 100);
	assert_refused(BOB, 2, 142, 2, 100);
	budget_give(&budget, ALICE, 50);
	assert_refused(ALICE, 2, 92, 2, 60);
	assert_granted(BOB, 10);
	budget_give(&budget, ALICE, 90);
	assert_granted(ALICE, 60);
}

/* Each user has the smallest stream: of all that is given, and of all that an earlier daemon has left. */
static void all_who_can_have_pages_are_counted(void **state)
{
	uid_t end = ALICE + XARING_GUEST_PAGES_MAX / BUDGET_PAGES_MIN + BUDGET_LEFT_MAX;

	(void)state;
	budget_init(&budget, XARING_GUEST_PAGES_MAX, 60);
	for (uid_t uid = ALICE; uid < end; uid++)
		budget_take(&budget, uid, BUDGET_PAGES_MIN);
	assert_int_equal(budget.user_count, BUDGET_USERS_MAX);
	for (uid_t uid = ALICE; uid < end; uid++)
		budget_give(&budget, uid, BUDGET_PAGES_MIN);
	assert_int_equal(budget.pages, 0);
	assert_int_equal(budget.user_count, 0);
	assert_granted(end - 1, 60);
	assert_refused(end - 1, 2, 62, 2, 60);
}

static void offer_is_what_there_is_room_for(void **state)
{
	struct xaring_refusal refusal;

	(void)state;
	assert_granted(ALICE, 20);
	budget_offer(&budget, 30, 10, &refusal);
	assert_int_equal(refusal.reason, XARING_REASON_PAGES);
	assert_int_equal(refusal.value, 50);
	assert_int_equal(refusal.min, 2);
	assert_int_equal(refusal.max, 30);
}

static void nothing_is_offered_without_room(void **state)
{
	struct xaring_refusal refusal;

	(void)state;
	budget_offer(&budget, 30, 1, &refusal);
	assert_int_equal(refusal.value, 30);
	assert_int_equal(refusal.max, 0);
}

/* It was refused, so it cannot be what is offered. */
static void offer_is_less_than_what_was_refused(void **state)
{
	struct xaring_refusal refusal;

	(void)state;
	budget_offer(&budget, 30, 30, &refusal);
	assert_int_equal(refusal.max, 29);
}

static unsigned open_all(uid_t uid, uint64_t now_ms)
{
	unsigned count = 0;

	while (count < 1000 && budget_may_open(&budget, uid, false, now_ms))
		count++;
	return count;
}

static void one_who_opens_too_often_waits_alone(void **state)
{
	(void)state;
	assert_int_equal(open_all(ALICE, 0), 60);
	assert_int_equal(open_all(BOB, 0), 60);
	assert_int_equal(open_all(ALICE, 4000), 8);
}

/* Of the 120 at once, and the one in 250 ms, that the backend takes of a guest. */
static void one_who_opens_too_often_leaves_half_to_others(void **state)
{
	unsigned count = 0;

	(void)state;
	for (uint64_t now_ms = 0; now_ms <= 60000; now_ms += 10)
		count += open_all(ALICE, now_ms);
	assert_in_range(count, 60, (120 + 60000 / 250) / 2);
}

/* Mixers, which look for the microphone each time that they are started. */
static void one_who_records_too_often_may_play(void **state)
{
	unsigned count = 0;

	(void)state;
	while (count < 1000 && budget_may_open(&budget, ALICE, true, 0))
		count++;
	assert_int_equal(count, 30);
	assert_int_equal(open_all(ALICE, 0), 30);
	assert_false(budget_may_open(&budget, ALICE, true, 0));
	assert_true(budget_may_open(&budget, BOB, true, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_user_gets_the_share_of_one, begin),
		cmocka_unit_test_setup(all_together_get_the_whole, begin),
		cmocka_unit_test_setup(what_is_given_back_can_be_taken, begin),
		cmocka_unit_test_setup(nobodys_pages_are_no_users, begin),
		cmocka_unit_test_setup(nothing_is_granted_while_there_is_too_much, begin),
		cmocka_unit_test_setup(all_who_can_have_pages_are_counted, begin),
		cmocka_unit_test_setup(offer_is_what_there_is_room_for, begin),
		cmocka_unit_test_setup(nothing_is_offered_without_room, begin),
		cmocka_unit_test_setup(offer_is_less_than_what_was_refused, begin),
		cmocka_unit_test_setup(one_who_opens_too_often_waits_alone, begin),
		cmocka_unit_test_setup(one_who_opens_too_often_leaves_half_to_others, begin),
		cmocka_unit_test_setup(one_who_records_too_often_may_play, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
