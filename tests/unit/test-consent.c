/* SPDX-License-Identifier: MIT */
/* What is decided about microphones holds across restarts, for as long as was said, and for nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>

#include "broker/consent.h"

#define SECOND INT64_C(1000)
#define NOW    (1800000000 * SECOND) /* in ms */

static char folder[] = "/tmp/xaring-consent.XXXXXX";
static char path[sizeof(folder) + 20];

static int setup(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/xaring-consent.XXXXXX", sizeof(folder));
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/microphone", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	chmod(folder, 0700);
	unlink(path);
	return rmdir(folder);
}

static void write_file(const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void assert_file(const char *expected)
{
	char text[512] = "";
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) < sizeof(text) - 1);
	fclose(file);
	assert_string_equal(text, expected);
}

static struct consent *opened(unsigned skipped)
{
	struct consent *c;
	unsigned count;

	assert_int_equal(consent_open(path, &c, &count), 0);
	assert_int_equal(count, skipped);
	return c;
}

/* As the broker does it. */
static int decide(struct consent *c, const char *key, enum consent_choice choice, int64_t until_ms,
		  int64_t now_ms)
{
	int res;

	consent_forget_over(c, now_ms);
	res = consent_decide(c, key, choice, until_ms);
	return res < 0 ? res : consent_save(c);
}

static struct consent *reopened(struct consent *c)
{
	consent_close(c);
	return opened(0);
}

static void nobody_has_decided_at_first(void **state)
{
	struct consent *c = opened(0);

	(void)state;
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_NONE);
	assert_true(consent_look_ms(c, NOW) == UINT64_MAX);
	consent_close(c);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_decision_is_kept(void **state)
{
	struct consent *c = opened(0);

	(void)state;
	assert_int_equal(decide(c, "work", CONSENT_ALLOW, CONSENT_FOREVER, NOW), 0);
	assert_int_equal(decide(c, "play", CONSENT_DENY, CONSENT_FOREVER, NOW), 0);
	c = reopened(c);
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_ALLOW);
	assert_int_equal(consent_of(c, "play", NOW), CONSENT_DENY);
	assert_int_equal(consent_of(c, "wor", NOW), CONSENT_NONE);
	assert_int_equal(consent_of(c, "works", NOW), CONSENT_NONE);
	assert_file("work allow\nplay deny\n");
	assert_int_equal(decide(c, "work", CONSENT_DENY, CONSENT_FOREVER, NOW), 0);
	assert_int_equal(decide(c, "play", CONSENT_NONE, CONSENT_FOREVER, NOW), 0);
	assert_int_equal(decide(c, "none", CONSENT_NONE, CONSENT_FOREVER, NOW), 0);
	c = reopened(c);
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_DENY);
	assert_int_equal(consent_of(c, "play", NOW), CONSENT_NONE);
	assert_file("work deny\n");
	consent_close(c);
}

static void a_decision_ends(void **state)
{
	struct consent *c = opened(0);

	(void)state;
	assert_int_equal(decide(c, "work", CONSENT_ALLOW, NOW + 600 * SECOND, NOW), 0);
	assert_int_equal(decide(c, "play", CONSENT_ALLOW, NOW + 60 * SECOND, NOW), 0);
	assert_int_equal(decide(c, "other", CONSENT_DENY, CONSENT_FOREVER, NOW), 0);
	c = reopened(c);
	assert_int_equal(consent_look_ms(c, NOW + 15 * SECOND), 45000);
	assert_int_equal(consent_of(c, "play", NOW + 59 * SECOND), CONSENT_ALLOW);
	assert_int_equal(consent_of(c, "play", NOW + 60 * SECOND), CONSENT_NONE);
	assert_int_equal(consent_look_ms(c, NOW + 570 * SECOND), 30000);
	assert_true(consent_look_ms(c, NOW + 600 * SECOND) == UINT64_MAX);
	/* It is forgotten with the next decision. */
	assert_int_equal(decide(c, "other", CONSENT_ALLOW, CONSENT_FOREVER, NOW + 60 * SECOND), 0);
	assert_file("work allow 1800000600\nother allow\n");
	consent_close(c);
}

/* The clock is set back, or was behind when the machine started. */
static void what_is_over_does_not_come_back(void **state)
{
	struct consent *c = opened(0);

	(void)state;
	assert_int_equal(decide(c, "work", CONSENT_ALLOW, NOW + 60 * SECOND, NOW), 0);
	assert_false(consent_forget_over(c, NOW + 59 * SECOND));
	assert_true(consent_forget_over(c, NOW + 60 * SECOND));
	assert_false(consent_forget_over(c, NOW + 60 * SECOND));
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_NONE);
	assert_int_equal(consent_save(c), 0);
	c = reopened(c);
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_NONE);
	consent_close(c);
}

/* The disk may take its time. */
static void a_decision_holds_before_it_is_written(void **state)
{
	struct consent *c = opened(0);

	(void)state;
	assert_int_equal(decide(c, "work", CONSENT_ALLOW, CONSENT_FOREVER, NOW), 0);
	assert_int_equal(consent_decide(c, "work", CONSENT_DENY, CONSENT_FOREVER), 0);
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_DENY);
	assert_file("work allow\n");
	consent_close(c);
}

/* Whenever in a second it began, and it is looked: it lasts as long as was said. The file has whole seconds. */
static void a_decision_ends_in_time(void **state)
{
	struct consent *c = opened(0);
	int64_t began_ms = NOW + 250, end_ms = began_ms + 2 * SECOND;

	(void)state;
	assert_int_equal(decide(c, "work", CONSENT_ALLOW, end_ms, began_ms), 0);
	assert_int_equal(consent_look_ms(c, began_ms), 2000);
	assert_int_equal(consent_look_ms(c, NOW + 900), 1350);
	assert_int_equal(consent_of(c, "work", end_ms - 1), CONSENT_ALLOW);
	assert_int_equal(consent_of(c, "work", end_ms), CONSENT_NONE);
	c = reopened(c);
	assert_int_equal(consent_until_ms(c, "work", began_ms), NOW + 2 * SECOND);
	consent_close(c);
}

static void what_is_not_understood_decides_nothing(void **state)
{
	char text[600] = "work allow\n"
			 "no-choice\n"
			 "play maybe\n"
			 "a/b allow\n"
			 "x allow 12 13\n"
			 "y allow soon\n"
			 "z allow -5\n"
			 "v allow 99999999999999999999\n"
			 "u allow 9223372036854775807\n"
			 "\n"
			 "long allow ";
	struct consent *c;

	(void)state;
	memset(text + strlen(text), '1', 200);
	strcat(text, "\nlast deny\nunfinished allow");
	write_file(text);
	c = opened(11);
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_ALLOW);
	assert_int_equal(consent_of(c, "last", NOW), CONSENT_DENY);
	assert_int_equal(consent_of(c, "play", NOW), CONSENT_NONE);
	assert_int_equal(consent_of(c, "unfinished", NOW), CONSENT_NONE);
	assert_int_equal(decide(c, "work", CONSENT_NONE, CONSENT_FOREVER, NOW), 0);
	assert_file("last deny\n");
	consent_close(c);
}

static void a_folder_that_is_none_is_an_error(void **state)
{
	struct consent *c;
	unsigned skipped;

	(void)state;
	assert_int_equal(consent_open("/dev/null/microphone", &c, &skipped), -ENOTDIR);
}

static void what_cannot_be_written_holds_until_the_end(void **state)
{
	struct consent *c = opened(0);
	char moved[sizeof(folder) + 4];
	FILE *file;

	(void)state;
	snprintf(moved, sizeof(moved), "%s.x", folder);
	assert_int_equal(rename(folder, moved), 0);
	file = fopen(folder, "we");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(decide(c, "work", CONSENT_ALLOW, CONSENT_FOREVER, NOW), -ENOTDIR);
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_ALLOW);
	assert_int_equal(unlink(folder), 0);
	assert_int_equal(rename(moved, folder), 0);
	c = reopened(c);
	assert_int_equal(consent_of(c, "work", NOW), CONSENT_NONE);
	consent_close(c);
}

static void the_folder_is_made_when_it_is_needed(void **state)
{
	struct consent *c;
	unsigned count;
	char deep[sizeof(folder) + 20];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/a/microphone", folder);
	assert_int_equal(consent_open(deep, &c, &count), 0);
	assert_int_equal(decide(c, "work", CONSENT_ALLOW, CONSENT_FOREVER, NOW), 0);
	consent_close(c);
	assert_int_equal(unlink(deep), 0);
	*strrchr(deep, '/') = '\0';
	assert_int_equal(rmdir(deep), 0);
}

/* However far the clock is set forward, what is over by it is so within a minute. */
static void it_is_looked_again_every_minute(void **state)
{
	struct consent *c = opened(0);

	(void)state;
	assert_true(consent_look_ms(c, NOW) == UINT64_MAX);
	assert_int_equal(decide(c, "work", CONSENT_ALLOW, NOW + 86400 * SECOND, NOW), 0);
	assert_true(consent_look_ms(c, NOW) == 60000);
	assert_true(consent_look_ms(c, NOW + 86370 * SECOND) == 30000);
	assert_true(consent_look_ms(c, NOW + 86370 * SECOND + 999) == 29001);
	assert_true(consent_look_ms(c, NOW + 86400 * SECOND) == UINT64_MAX);
	consent_close(c);
}

static void there_are_not_endlessly_many(void **state)
{
	FILE *file = fopen(path, "we");
	struct consent *c;

	(void)state;
	for (unsigned i = 0; i < CONSENT_ENTRIES_MAX; i++)
		fprintf(file, "vm%u allow\n", i);
	fclose(file);
	c = opened(0);
	assert_int_equal(decide(c, "more", CONSENT_ALLOW, CONSENT_FOREVER, NOW), -E2BIG);
	assert_int_equal(consent_of(c, "more", NOW), CONSENT_NONE);
	assert_int_equal(decide(c, "vm7", CONSENT_DENY, CONSENT_FOREVER, NOW), 0);
	consent_close(c);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(nobody_has_decided_at_first),
		WITH_FOLDER(a_decision_is_kept),
		WITH_FOLDER(a_decision_ends),
		WITH_FOLDER(what_is_over_does_not_come_back),
		WITH_FOLDER(a_decision_holds_before_it_is_written),
		WITH_FOLDER(a_decision_ends_in_time),
		WITH_FOLDER(what_is_not_understood_decides_nothing),
		WITH_FOLDER(a_folder_that_is_none_is_an_error),
		WITH_FOLDER(what_cannot_be_written_holds_until_the_end),
		WITH_FOLDER(the_folder_is_made_when_it_is_needed),
		WITH_FOLDER(it_is_looked_again_every_minute),
		WITH_FOLDER(there_are_not_endlessly_many),
	};

	return cmocka_run_group_tests_name("consent", tests, NULL, NULL);
}
