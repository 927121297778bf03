/* SPDX-License-Identifier: MIT */
/* Whose PipeWire is played to: what counts more, what is refused, and what the seat makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pwd.h>

#include "audience.h"

static char error[AUDIENCE_ERROR_BYTES];

static struct audience_choice choose(const struct audience_given *given)
{
	struct audience_choice choice;

	assert_int_equal(audience_choose(given, &choice, error), 0);
	return choice;
}

static void assert_socket(const struct audience_given *given, const char *socket)
{
	struct audience_choice choice = choose(given);

	assert_int_equal(choice.kind, AUDIENCE_SOCKET);
	assert_string_equal(choice.socket, socket);
}

/* The next one counts when the one before is not there. */
static void what_is_given_first_counts(void **state)
{
	struct audience_given given = {
		.is_root = true,
		.option_socket = "/option",
		.option_user = "auto",
		.config_socket = "/config",
		.config_user = "root",
		.remote = "/remote",
		.pipewire_dir = "/pipewire",
		.session_dir = "/session",
	};

	(void)state;
	assert_socket(&given, "/option");
	given.option_socket = NULL;
	assert_int_equal(choose(&given).kind, AUDIENCE_SEAT);
	given.option_user = NULL;
	assert_socket(&given, "/config");
	given.config_socket = NULL;
	assert_int_equal(choose(&given).kind, AUDIENCE_USER);
	given.config_user = NULL;
	assert_socket(&given, "/remote");
	given.remote = "relative";
	assert_socket(&given, "/pipewire/pipewire-0");
	given.pipewire_dir = NULL;
	/* Root's own session is no reason: the seat is. */
	assert_int_equal(choose(&given).kind, AUDIENCE_SEAT);
	given.session_dir = NULL;
	assert_int_equal(choose(&given).kind, AUDIENCE_SEAT);
}

static void ordinary_user_plays_to_the_own_session(void **state)
{
	struct audience_given given = {.config_user = "auto", .session_dir = "/run/user/7"};
	struct audience_choice choice;

	(void)state;
	assert_socket(&given, "/run/user/7/pipewire-0");
	given.option_user = "auto";
	assert_int_equal(audience_choose(&given, &choice, error), -EINVAL);
	assert_string_equal(error, "--audio-user auto is refused: it is accepted of root only, all "
				   "others play to their own PipeWire");
	given = (struct audience_given){.config_user = "auto"};
	assert_int_equal(audience_choose(&given, &choice, error), -EINVAL);
	assert_non_null(strstr(error, "give --pipewire SOCKET"));
}

static void user_is_found_by_name(void **state)
{
	struct audience_given given = {.is_root = true, .option_user = "nobody"};
	struct audience_choice choice = choose(&given);

	(void)state;
	assert_int_equal(choice.kind, AUDIENCE_USER);
	assert_int_equal(choice.uid, getpwnam("nobody")->pw_uid);
}

static void unknown_user_is_refused(void **state)
{
	struct audience_given given = {.is_root = true, .option_user = "no such user"};
	struct audience_choice choice = {.socket = "untouched"};

	(void)state;
	assert_int_equal(audience_choose(&given, &choice, error), -EINVAL);
	assert_string_equal(error, "--audio-user no such user is refused: auto or the name of a "
				   "user of this machine is accepted");
	given.option_user = "";
	assert_int_equal(audience_choose(&given, &choice, error), -EINVAL);
	given = (struct audience_given){.is_root = true, .config_user = "no such user"};
	assert_int_equal(audience_choose(&given, &choice, error), -EINVAL);
	assert_memory_equal(error, "audio.user no such", 18);
	assert_string_equal(choice.socket, "untouched");
}

static void socket_has_a_longest_path(void **state)
{
	char path[AUDIENCE_SOCKET_BYTES + 1];
	struct audience_given given = {.option_socket = path};
	struct audience_choice choice;

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[AUDIENCE_SOCKET_BYTES] = '\0';
	assert_int_equal(audience_choose(&given, &choice, error), -EINVAL);
	assert_non_null(strstr(error, "at most 107 bytes is accepted"));
	path[AUDIENCE_SOCKET_BYTES - 1] = '\0';
	assert_socket(&given, path);
	given = (struct audience_given){.session_dir = path};
	assert_int_equal(audience_choose(&given, &choice, error), -EINVAL);
}

static struct audience decide(enum audience_kind kind, enum seat_presence presence, uid_t uid)
{
	const struct audience_choice choice = {.kind = kind, .socket = "/there/pw", .uid = 1000};
	const struct seat_state seat = {presence, uid};
	struct audience audience;

	audience_decide(&choice, &seat, &audience);
	return audience;
}

static void socket_and_user_stay_whoever_is_at_the_seat(void **state)
{
	static const enum seat_presence presences[] = {SEAT_UNKNOWN, SEAT_EMPTY, SEAT_TAKEN};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct audience a = decide(AUDIENCE_SOCKET, presences[i], 1001);

		assert_string_equal(a.socket, "/there/pw");
		assert_false(a.is_user);
		a = decide(AUDIENCE_USER, presences[i], 1001);
		assert_string_equal(a.socket, "/run/user/1000/pipewire-0");
		assert_true(a.is_user);
		assert_int_equal(a.uid, 1000);
	}
}

static void seat_is_followed(void **state)
{
	struct audience a = decide(AUDIENCE_SEAT, SEAT_TAKEN, 1001);

	(void)state;
	assert_string_equal(a.socket, "/run/user/1001/pipewire-0");
	assert_true(a.is_user);
	assert_int_equal(a.uid, 1001);
	assert_string_equal(a.text, a.socket);
	a = decide(AUDIENCE_SEAT, SEAT_TAKEN, 4294967294);
	assert_string_equal(a.socket, "/run/user/4294967294/pipewire-0");
}

static void assert_nobody(enum seat_presence presence, uid_t uid, const char *text)
{
	struct audience a = decide(AUDIENCE_SEAT, presence, uid);

	assert_string_equal(a.socket, "");
	assert_false(a.is_user);
	assert_string_equal(a.text, text);
}

static void nobody_hears_when_no_user_is_there(void **state)
{
	(void)state;
	assert_nobody(SEAT_UNKNOWN, 1001, "nobody: who is at the seat is not known");
	assert_nobody(SEAT_EMPTY, 1001, "nobody: no session of a user is active on seat0");
	/* What guests write is not for a process of root's, unless somebody says so. */
	assert_nobody(SEAT_TAKEN, 0,
		      "nobody: the session on seat0 is root's, which audio.user = root allows");
}

static void another_audience_is_another_socket_or_owner(void **state)
{
	struct audience user = decide(AUDIENCE_USER, SEAT_EMPTY, 0);
	struct audience seat = decide(AUDIENCE_SEAT, SEAT_TAKEN, 1000);
	struct audience other = decide(AUDIENCE_SEAT, SEAT_TAKEN, 1001);
	struct audience empty = decide(AUDIENCE_SEAT, SEAT_EMPTY, 0);
	struct audience unknown = decide(AUDIENCE_SEAT, SEAT_UNKNOWN, 0);
	struct audience any = user;

	(void)state;
	assert_true(audience_is_same(&user, &seat));
	assert_true(audience_is_same(&empty, &unknown));
	assert_false(audience_is_same(&seat, &other));
	assert_false(audience_is_same(&seat, &empty));
	any.is_user = false;
	assert_false(audience_is_same(&user, &any));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_given_first_counts),
		cmocka_unit_test(ordinary_user_plays_to_the_own_session),
		cmocka_unit_test(user_is_found_by_name),
		cmocka_unit_test(unknown_user_is_refused),
		cmocka_unit_test(socket_has_a_longest_path),
		cmocka_unit_test(socket_and_user_stay_whoever_is_at_the_seat),
		cmocka_unit_test(seat_is_followed),
		cmocka_unit_test(nobody_hears_when_no_user_is_there),
		cmocka_unit_test(another_audience_is_another_socket_or_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
