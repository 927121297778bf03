/* SPDX-License-Identifier: MIT */
/* Messages reach the handler or nobody; a peer's text is shown only as far as it is harmless. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/log.h>

#include "limited-log.h"

static char seen[1024];
static enum xaring_log_level seen_level;
static unsigned seen_count;

static void on_message(enum xaring_log_level level, const char *text)
{
	assert_true(strlen(text) < sizeof(seen));
	strcpy(seen, text);
	seen_level = level;
	seen_count++;
	errno = EBADF;
}

static void a_message_reaches_the_handler(void **state)
{
	(void)state;
	seen_count = 0;
	xaring_log_set(on_message, XARING_LOG_INFO);
	errno = ENOENT;
	xaring_log(XARING_LOG_WARN, "%s %d", "stream", 7);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(seen, "stream 7");
	assert_int_equal(seen_level, XARING_LOG_WARN);
	assert_int_equal(seen_count, 1);
}

static void the_level_holds_back(void **state)
{
	(void)state;
	seen_count = 0;
	xaring_log_set(on_message, XARING_LOG_INFO);
	xaring_log(XARING_LOG_DEBUG, "not shown");
	assert_int_equal(seen_count, 0);
	xaring_log_set(on_message, XARING_LOG_DEBUG);
	xaring_log(XARING_LOG_DEBUG, "shown");
	assert_int_equal(seen_count, 1);
	xaring_log_set(NULL, XARING_LOG_DEBUG);
	xaring_log(XARING_LOG_ERROR, "lost");
	assert_int_equal(seen_count, 1);
}

static void lines_beyond_the_rate_are_counted(void **state)
{
	struct limited_log log;

	(void)state;
	seen_count = 0;
	xaring_log_set(on_message, XARING_LOG_INFO);
	limited_log_init(&log);
	for (int i = 0; i < 25; i++)
		limited_log_line(&log, XARING_LOG_INFO, "line %d", i);
	assert_int_equal(seen_count, 20);
	assert_string_equal(seen, "line 19");
	assert_int_equal(seen_level, XARING_LOG_INFO);
	log.lines.level = 1; /* some seconds later */
	limited_log_line(&log, XARING_LOG_WARN, "one more");
	assert_string_equal(seen, "one more (and 5 lines like this before)");
	assert_int_equal(seen_level, XARING_LOG_WARN);
}

static void a_long_message_is_cut(void **state)
{
	char text[600];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	xaring_log_set(on_message, XARING_LOG_INFO);
	xaring_log(XARING_LOG_INFO, "%s", text);
	assert_int_equal(strlen(seen), 400);
	xaring_log_set(NULL, XARING_LOG_INFO);
}

struct text_case {
	const char *from;
	const char *to;
};

static const struct text_case cases[] = {
	{"", ""},
	{"Firefox", "Firefox"},
	{"a\nb\tc\x1b[31m", "abc[31m"},
	{"\x7f", ""},
	{"B\xc3\xa4r \xe2\x82\xac \xf0\x9f\x8e\xb5", "B\xc3\xa4r \xe2\x82\xac \xf0\x9f\x8e\xb5"},
	{"a\xc2\x85z", "az"},                 /* C1 */
	{"a\xe2\x80\xaez", "az"},             /* right-to-left override */
	{"a\xe2\x81\xa6z\xe2\x81\xa9", "az"}, /* isolates */
	{"a\xe2\x80\x8fz\xd8\x9c", "az"},     /* marks */
	{"a\xe2\x80\xa8z", "az"},             /* line separator */
	{"\xef\xbb\xbfz", "z"},               /* byte order mark */
	{"a\xc0\xafz", "az"},                 /* overlong */
	{"a\xe0\x80\xafz", "az"},             /* overlong */
	{"a\xf0\x80\x80\xafz", "az"},         /* overlong */
	{"a\xed\xa0\x80z", "az"},             /* surrogate */
	{"a\xf4\x90\x80\x80z", "az"},         /* beyond U+10FFFF */
	{"a\xf5\x80\x80\x80z", "az"},         /* no first byte */
	{"a\x80\xbfz", "az"},                 /* not begun */
	{"a\xe2\x82", "a"},                   /* cut off */
	{"a\xe2\x82z", "az"},                 /* cut off in the middle */
	{"\xff\xfe", ""},
};

static void text_is_cleaned(void **state)
{
	char to[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(to, 'X', sizeof(to));
		xaring_text_clean(to, sizeof(to), cases[i].from, strlen(cases[i].from));
		assert_string_equal(to, cases[i].to);
	}
}

static void text_is_cut_at_a_character(void **state)
{
	const char from[] = "ab\xe2\x82\xac";
	char to[8];

	(void)state;
	for (size_t room = 3; room < 6; room++) {
		xaring_text_clean(to, room, from, sizeof(from) - 1);
		assert_string_equal(to, "ab");
	}
	xaring_text_clean(to, 6, from, sizeof(from) - 1);
	assert_string_equal(to, from);
	xaring_text_clean(to, 1, from, sizeof(from) - 1);
	assert_string_equal(to, "");
	to[0] = 'X';
	xaring_text_clean(to, 0, from, sizeof(from) - 1);
	assert_int_equal(to[0], 'X');
}

static void text_ends_at_its_size_or_at_zero(void **state)
{
	const char from[8] = {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'};
	char to[16];

	(void)state;
	xaring_text_clean(to, sizeof(to), from, 3);
	assert_string_equal(to, "abc");
	xaring_text_clean(to, sizeof(to), "ab\0cd", 5);
	assert_string_equal(to, "ab");
}

/* Whatever the bytes: the result is terminated, and clean when cleaned again. */
static void any_bytes_are_survived(void **state)
{
	uint64_t random = 88172645463325252ull;
	char from[24], to[24], again[24];

	(void)state;
	for (uint32_t i = 0; i < 200000; i++) {
		for (size_t at = 0; at < sizeof(from); at++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			from[at] = (char)(random >> 32);
		}
		xaring_text_clean(to, sizeof(to), from, sizeof(from));
		assert_non_null(memchr(to, 0, sizeof(to)));
		xaring_text_clean(again, sizeof(again), to, sizeof(to));
		assert_string_equal(again, to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_reaches_the_handler),
		cmocka_unit_test(the_level_holds_back),
		cmocka_unit_test(lines_beyond_the_rate_are_counted),
		cmocka_unit_test(a_long_message_is_cut),
		cmocka_unit_test(text_is_cleaned),
		cmocka_unit_test(text_is_cut_at_a_character),
		cmocka_unit_test(text_ends_at_its_size_or_at_zero),
		cmocka_unit_test(any_bytes_are_survived),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
