/* SPDX-License-Identifier: MIT */
/* The command line of xaringctl: what is understood, and what is refused with what would be accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <getopt.h>
#include <unistd.h>

#include "options.h"

#define WORDS_MAX 10

static struct options options;

static char said[4096];

/* Parses the words. What is said is in `said`. */
static int parse_words(char **words, int count)
{
	int code, out = dup(STDERR_FILENO);
	FILE *file = tmpfile();
	size_t length;

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	optind = 0;
	code = options_parse(&options, count, words);
	fflush(stderr);
	dup2(out, STDERR_FILENO);
	close(out);
	rewind(file);
	length = fread(said, 1, sizeof(said) - 1, file);
	said[length] = '\0';
	fclose(file);
	return code;
}

/* The same of words that are separated by blanks. */
static int parse(const char *line)
{
	static char copy[256];
	char *words[WORDS_MAX + 2] = {(char *)"xaringctl"}, *rest = NULL;
	int count = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	return parse_words(words, count);
}

static void taken(const char *line)
{
	if (parse(line) != -1)
		fail_msg("\"%s\" is refused: %s", line, said);
}

static void refused(const char *line, const char *why)
{
	assert_int_equal(parse(line), 2);
	if (!strstr(said, why))
		fail_msg("\"%s\" does not say \"%s\"", said, why);
}

static void commands_are_understood(void **state)
{
	(void)state;
	taken("list");
	assert_int_equal(options.command, COMMAND_LIST);
	assert_false(options.json);
	taken("--json status work --socket /x");
	assert_int_equal(options.command, COMMAND_STATUS);
	assert_string_equal(options.vm, "work");
	assert_string_equal(options.socket, "/x");
	assert_true(options.json);
	taken("top -b -n 3");
	assert_true(options.batch);
	assert_int_equal(options.count, 3);
	taken("disconnect work");
	assert_int_equal(options.command, COMMAND_DISCONNECT);
}

static void decisions_are_understood(void **state)
{
	(void)state;
	taken("mic allow work");
	assert_string_equal(options.mic, "allow");
	assert_string_equal(options.vm, "work");
	assert_int_equal(options.mic_span, MIC_ALWAYS);
	taken("mic deny work --until-shutdown");
	assert_int_equal(options.mic_span, MIC_SHUTDOWN);
	taken("mic --once allow work");
	assert_int_equal(options.mic_span, MIC_ONCE);
	taken("mic allow work --for 10m");
	assert_int_equal(options.mic_span, MIC_FOR);
	assert_int_equal(options.mic_seconds, 600);
	taken("mic ask work");
}

static void times_are_understood(void **state)
{
	static const char *const wrong[] = {"",
					    "5",
					    "m",
					    "0s",
					    "-5m",
					    "5 m",
					    "5x",
					    "5mm",
					    "1.5h",
					    "367d",
					    "9999999999999999999999s"};
	uint32_t seconds = 0;

	(void)state;
	assert_true(options_read_time("30s", &seconds) && seconds == 30);
	assert_true(options_read_time("10m", &seconds) && seconds == 600);
	assert_true(options_read_time("2h", &seconds) && seconds == 7200);
	assert_true(options_read_time("366d", &seconds) && seconds == 366u * 86400);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(options_read_time(wrong[i], &seconds));
}

static void assert_volume(const char *text, enum volume_kind kind, int percent)
{
	struct volume_change change;

	assert_true(options_read_volume(text, &change));
	assert_int_equal(change.kind, kind);
	assert_int_equal(change.percent, percent);
}

static void volumes_are_understood(void **state)
{
	static const char *const wrong[] = {"",     "50",  "%",    "151%", "+151%", "5%%",
					    "+5%+", "5%x", "loud", "+-5%", "50 %",  "-%"};
	struct volume_change change;

	(void)state;
	assert_volume("50%", VOLUME_SET, 50);
	assert_volume("0%", VOLUME_SET, 0);
	assert_volume("150%", VOLUME_SET, 150);
	assert_volume("5%+", VOLUME_ADD, 5);
	assert_volume("5%-", VOLUME_ADD, -5);
	assert_volume("mute", VOLUME_MUTE, 0);
	assert_volume("unmute", VOLUME_UNMUTE, 0);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(options_read_volume(wrong[i], &change));
	/* What begins with a dash is no option. */
	taken("volume work -5%");
	assert_int_equal(options.volume.kind, VOLUME_ADD);
	assert_int_equal(options.volume.percent, -5);
	taken("volume work +5%");
	assert_int_equal(options.volume.kind, VOLUME_ADD);
	assert_int_equal(options.volume.percent, 5);
	taken("volume work 5%-");
	assert_int_equal(options.volume.percent, -5);
	taken("volume work");
	assert_int_equal(options.volume.kind, VOLUME_SHOW);
}

static void what_is_wrong_is_refused_with_what_is_right(void **state)
{
	(void)state;
	refused("", "a command is missing");
	refused("lst", "the command lst is refused: list, status");
	refused("help", "are accepted; more: xaringctl --help");
	refused("list all", "list with 1 words behind it is refused: accepted is xaringctl list");
	refused("status", "status needs a VM: accepted is xaringctl status VM");
	refused("mic",
		"mic needs allow, deny or ask, and a VM: accepted is xaringctl mic allow|deny VM");
	refused("mic allow", "mic needs allow, deny or ask, and a VM");
	refused("mic ask work now",
		"[--for TIME | --once | --until-shutdown], or xaringctl mic ask VM");
	refused("mic work allow", "mic work is refused: allow, deny and ask");
	refused("mic allow work --for 10", "--for 10 is refused: 1s to 366d");
	refused("mic allow work --once --for 1h", "one of --for, --once");
	refused("mic ask work --once", "mic ask is accepted alone");
	refused("list --once", "are accepted with mic");
	refused("list -b", "are accepted with top");
	refused("top -n 0", "--count 0 is refused");
	refused("volume work 5", "volume 5 is refused: 0% to 150%");
	refused("--frob list", "--help");
}

static int parse_vm(const char *vm)
{
	char copy[100],
		*words[] = {(char *)"xaringctl", (char *)"mic", (char *)"allow", copy, NULL};

	snprintf(copy, sizeof(copy), "%s", vm);
	return parse_words(words, 4);
}

static void a_name_that_is_none_is_not_asked_for(void **state)
{
	static const char *const wrong[] =
		{"",
		 "The Third",
		 "work ",
		 "a/b",
		 "caf\xc3\xa9",
		 "a123456789012345678901234567890123456789012345678901234567890123"};

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[200];

		assert_int_equal(parse_vm(wrong[i]), 2);
		snprintf(text, sizeof(text), "VM '%s' is refused: 1 to 63 of A-Z a-z 0-9",
			 wrong[i]);
		assert_non_null(strstr(said, text));
		assert_non_null(strstr(said, "xaringctl list shows them"));
	}
	assert_int_equal(parse_vm("The_3rd.vm-x"), -1);
	assert_int_equal(parse_vm(
				 "a12345678901234567890123456789012345678901234567890123456789012"),
			 -1);
	refused("status a/b", "VM 'a/b' is refused");
	refused("volume a/b 50%", "VM 'a/b' is refused");
	refused("connect a/b", "VM 'a/b' is refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_understood),
		cmocka_unit_test(decisions_are_understood),
		cmocka_unit_test(times_are_understood),
		cmocka_unit_test(volumes_are_understood),
		cmocka_unit_test(what_is_wrong_is_refused_with_what_is_right),
		cmocka_unit_test(a_name_that_is_none_is_not_asked_for),
	};

	return cmocka_run_group_tests_name("ctl-options", tests, NULL, NULL);
}
