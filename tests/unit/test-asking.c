/* SPDX-License-Identifier: MIT */
/* Which question is shown when, what follows from what the notification server says, and what people read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "asking.h"
#include "wording.h"

static struct asking asking;
static char text[WORDING_BYTES];

static int begin(void **state)
{
	(void)state;
	asking = (struct asking){0};
	return 0;
}

/* A VM asks, and is shown as the notification id. */
static struct asking_vm *show(const char *key, uint32_t id)
{
	struct asking_vm *vm;

	assert_int_equal(asking_add(&asking, key, key), 0);
	vm = asking_next(&asking);
	assert_non_null(vm);
	assert_string_equal(vm->key, key);
	assert_true(asking_shown(&asking, asking_send(&asking, vm), id));
	assert_int_equal(vm->state, ASKING_SHOWN);
	return vm;
}

static void assert_has(const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" has no \"%s\"", text, part);
}

static void each_is_shown_once(void **state)
{
	(void)state;
	show("work", 7);
	assert_null(asking_next(&asking));
	assert_int_equal(asking_add(&asking, "work", "again"), 0);
	assert_null(asking_next(&asking));
	show("mail", 8);
	assert_int_equal(asking.count, 2);
	assert_int_equal(asking_remove(&asking, "work"), 7);
	assert_int_equal(asking_remove(&asking, "work"), 0);
	assert_string_equal(asking.vms[0].key, "mail");
	assert_int_equal(asking_remove(&asking, "mail"), 8);
}

static void choices_become_requests(void **state)
{
	static const char *const actions[] = {"once", "until-shutdown", "always", "never"};
	static const char *const requests[] = {"mic work allow once",
					       "mic work allow until-shutdown",
					       "mic work allow always", "mic work deny always"};
	char request[ASKING_REQUEST_BYTES];

	(void)state;
	for (unsigned i = 0; i < ASKING_CHOICES; i++) {
		struct asking_vm *vm = show("work", i + 1);
		enum asking_choice choice;

		assert_string_equal(asking_action((enum asking_choice)i), actions[i]);
		assert_ptr_equal(asking_choose(&asking, i + 1, actions[i], &choice), vm);
		asking_request(vm, choice, request);
		assert_string_equal(request, requests[i]);
		/* It was closed with that, and nothing is left to be closed. */
		assert_null(asking_choose(&asking, i + 1, actions[i], &choice));
		assert_int_equal(asking_remove(&asking, "work"), 0);
	}
}

static void what_is_not_ours_does_not_count(void **state)
{
	enum asking_choice choice;

	(void)state;
	assert_null(asking_choose(&asking, 0, "always", &choice));
	assert_int_equal(asking_add(&asking, "work", "Work"), 0);
	assert_null(asking_choose(&asking, 0, "always", &choice));
	asking_closed(&asking, 0);
	assert_non_null(asking_next(&asking));
	show("work", 7);
	assert_null(asking_choose(&asking, 8, "always", &choice));
	assert_null(asking_choose(&asking, 7, "default", &choice));
	assert_null(asking_choose(&asking, 7, "", &choice));
	asking_closed(&asking, 8);
	assert_non_null(asking_choose(&asking, 7, "never", &choice));
	assert_int_equal(choice, ASKING_NEVER);
}

static void closed_by_the_user_is_closed(void **state)
{
	(void)state;
	show("work", 7);
	asking_closed(&asking, 7);
	assert_null(asking_next(&asking));
	asking_lost(&asking);
	assert_null(asking_next(&asking));
	/* Until it asks anew. */
	assert_int_equal(asking_remove(&asking, "work"), 0);
	show("work", 9);
}

static void a_new_server_is_shown_all(void **state)
{
	enum asking_choice choice;
	uint32_t ticket;

	(void)state;
	show("work", 7);
	assert_int_equal(asking_add(&asking, "mail", "Mail"), 0);
	ticket = asking_send(&asking, asking_next(&asking));
	asking_lost(&asking);
	/* The answer of the old one, which comes late: that notification is nobody's. */
	assert_false(asking_shown(&asking, ticket, 8));
	assert_null(asking_choose(&asking, 7, "always", &choice));
	assert_string_equal(asking_next(&asking)->key, "work");
	assert_true(asking_shown(&asking, asking_send(&asking, asking_next(&asking)), 1));
	assert_string_equal(asking_next(&asking)->key, "mail");
}

static void an_answer_that_comes_too_late(void **state)
{
	uint32_t first, second;

	(void)state;
	assert_int_equal(asking_add(&asking, "work", "Work"), 0);
	first = asking_send(&asking, asking_next(&asking));
	assert_int_equal(asking_remove(&asking, "work"), 0);
	assert_int_equal(asking_add(&asking, "work", "Work"), 0);
	second = asking_send(&asking, asking_next(&asking));
	assert_false(asking_shown(&asking, first, 7));
	assert_true(asking_shown(&asking, second, 8));
	assert_int_equal(asking.vms[0].id, 8);
}

static void refused_by_the_server(void **state)
{
	(void)state;
	assert_int_equal(asking_add(&asking, "work", "Work"), 0);
	assert_true(asking_shown(&asking, asking_send(&asking, asking_next(&asking)), 0));
	assert_non_null(asking_next(&asking));
}

static void bounded(void **state)
{
	char key[ASKING_KEY_BYTES];

	(void)state;
	for (unsigned i = 0; i < ASKING_MAX; i++) {
		snprintf(key, sizeof(key), "vm%u", i);
		show(key, i + 1);
	}
	assert_int_equal(asking_add(&asking, "vm0", ""), 0);
	assert_int_equal(asking_add(&asking, "more", ""), -ENOSPC);
	assert_int_equal(asking_remove(&asking, "vm3"), 4);
	assert_int_equal(asking_add(&asking, "more", ""), 0);
}

static void keys_are_one_word(void **state)
{
	static const char *const none[] = {"",        "a b",      "a\n", "a;b",
					   "a allow", "\xc3\xa4", "<b>", "$(reboot)"};
	char key[ASKING_KEY_BYTES + 1];

	(void)state;
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(asking_add(&asking, none[i], ""), -EINVAL);
	memset(key, 'k', sizeof(key));
	key[ASKING_KEY_BYTES] = '\0';
	assert_int_equal(asking_add(&asking, key, ""), -EINVAL);
	key[ASKING_KEY_BYTES - 1] = '\0';
	assert_int_equal(asking_add(&asking, key, ""), 0);
}

static void titles_are_fit_to_be_shown(void **state)
{
	char title[400];
	struct asking_vm *vm;

	(void)state;
	assert_int_equal(asking_add(&asking, "a", "a\nb\033[31m\xe2\x80\xae\xff"), 0);
	vm = asking_next(&asking);
	wording_question_summary(vm, text);
	assert_string_equal(text, "ab[31m asks for the microphone");
	asking_remove(&asking, "a");
	memset(title, 'x', sizeof(title));
	title[sizeof(title) - 1] = '\0';
	assert_int_equal(asking_add(&asking, "a", title), 0);
	assert_int_equal(strlen(vm->title), ASKING_TITLE_BYTES - 1);
	asking_remove(&asking, "a");
	assert_int_equal(asking_add(&asking, "a", "\n"), 0);
	assert_string_equal(vm->title, "a");
}

static void questions_are_worded(void **state)
{
	struct wording_server server = {.has_actions = true, .has_markup = true};
	struct asking_vm *vm = show("work", 7);
	enum asking_choice choice;

	(void)state;
	wording_question_body(vm, &server, text);
	assert_string_equal(text, "Until somebody decides, what work records is silence.");
	server.has_actions = false;
	wording_question_body(vm, &server, text);
	assert_has("xaringctl mic allow work ");
	assert_has("xaringctl mic deny work");
	assert_ptr_equal(asking_choose(&asking, 7, "always", &choice), vm);
	asking_again(vm, choice, ASKING_LOCKED);
	assert_ptr_equal(asking_next(&asking), vm);
	wording_question_body(vm, &server, text);
	assert_has("You chose \"Always\", but the screen was locked: nothing was decided. ");
}

static void failures_are_escaped(void **state)
{
	struct wording_server server = {.has_markup = true};
	const struct asking_vm *vm = show("work", 7);
	char why[3000];

	(void)state;
	wording_failure_summary(vm, ASKING_NEVER, text);
	assert_string_equal(text, "work: \"Never\" was not done");
	wording_failure_body("<a href=\"x\">&amp;\n</a>", &server, text);
	assert_string_equal(text, "&lt;a href=\"x\"&gt;&amp;amp;&lt;/a&gt;");
	server.has_markup = false;
	wording_failure_body("a < b & c", &server, text);
	assert_string_equal(text, "a < b & c");
	server.has_markup = true;
	memset(why, '&', sizeof(why));
	why[sizeof(why) - 1] = '\0';
	wording_failure_body(why, &server, text);
	assert_string_equal(text + strlen(text) - 5, "&amp;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_is_shown_once, begin),
		cmocka_unit_test_setup(choices_become_requests, begin),
		cmocka_unit_test_setup(what_is_not_ours_does_not_count, begin),
		cmocka_unit_test_setup(closed_by_the_user_is_closed, begin),
		cmocka_unit_test_setup(a_new_server_is_shown_all, begin),
		cmocka_unit_test_setup(an_answer_that_comes_too_late, begin),
		cmocka_unit_test_setup(refused_by_the_server, begin),
		cmocka_unit_test_setup(bounded, begin),
		cmocka_unit_test_setup(keys_are_one_word, begin),
		cmocka_unit_test_setup(titles_are_fit_to_be_shown, begin),
		cmocka_unit_test_setup(questions_are_worded, begin),
		cmocka_unit_test_setup(failures_are_escaped, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
