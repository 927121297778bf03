/* SPDX-License-Identifier: MIT */
/*
 * Who may record in a guest, on a machine whose groups and sessions are the test's; and who a program
 * is, as the kernel tells of a socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "recorders.h"

#define AUDIO 29
#define LOCAL 1000 /* at the seat */
#define AFAR  1001

static int group_answer;

static int find_group(const char *name, gid_t *gid)
{
	assert_string_equal(name, "audio");
	if (group_answer == 0)
		*gid = AUDIO;
	return group_answer;
}

static bool is_at_seat(uid_t uid)
{
	return uid == LOCAL;
}

static const struct recorders_system machine = {.find_group = find_group, .is_at_seat = is_at_seat};

static bool may(int answer, uid_t uid, gid_t gid, gid_t other)
{
	gid_t groups[] = {4, other, 46};
	struct recorders_program program = {.uid = uid,
					    .gid = gid,
					    .groups = groups,
					    .groups_count = 3};
	struct recorders r;

	group_answer = answer;
	assert_int_equal(recorders_init(&r, &machine), answer);
	return recorders_allow(&r, &program);
}

static void root_members_and_local_users_may(void **state)
{
	(void)state;
	assert_true(may(0, 0, 0, 5));
	assert_true(may(0, AFAR, AFAR, AUDIO));
	assert_true(may(0, AFAR, AUDIO, 5));
	assert_true(may(0, LOCAL, LOCAL, 5));
}

static void others_may_not(void **state)
{
	(void)state;
	assert_false(may(0, AFAR, AFAR, 5));
	/* A user whose number is the group's. */
	assert_false(may(0, AUDIO, AFAR, 5));
}

/* The number that the group would have is not known: it is nobody's. */
static void without_the_group_nobody_is_in_it(void **state)
{
	const int answers[] = {-ENOENT, -EIO};

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_false(may(answers[i], AFAR, AFAR, AUDIO));
		assert_false(may(answers[i], AFAR, 0, 0));
		assert_true(may(answers[i], LOCAL, LOCAL, 5));
		assert_true(may(answers[i], 0, 0, 5));
	}
}

static void this_machine_answers(void **state)
{
	const struct group *group = getgrnam("audio");
	struct recorders r;

	(void)state;
	assert_int_equal(recorders_init(&r, NULL), group ? 0 : -ENOENT);
	if (group)
		assert_int_equal(r.group, group->gr_gid);
	/* Nobody's session; whether or not there is a logind. */
	assert_false(recorders_allow(&r, &(struct recorders_program){.uid = 4000000000u,
								     .gid = 4000000000u}));
}

static void assert_groups(const struct recorders_program *program, const gid_t *groups, int count)
{
	assert_int_equal(program->uid, geteuid());
	assert_int_equal(program->gid, getegid());
	assert_int_equal(program->groups_count, count);
	if (count > 0)
		assert_memory_equal(program->groups, groups, (size_t)count * sizeof(gid_t));
}

static void check_both_ways(const gid_t *groups, int count)
{
	struct recorders_program program;
	int fds[2];

	assert_int_equal(recorders_program_self(&program), 0);
	assert_groups(&program, groups, count);
	recorders_program_finish(&program);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(recorders_program_at(fds[0], &program), 0);
	assert_groups(&program, groups, count);
	recorders_program_finish(&program);
	assert_null(program.groups);
	close(fds[0]);
	close(fds[1]);
}

static void the_kernel_says_who_it_is(void **state)
{
	gid_t groups[1000];
	int count = getgroups(1000, groups);

	(void)state;
	assert_true(count >= 0);
	check_both_ways(groups, count);
}

/* More than are asked for at first, exactly as many, and none. */
static void any_number_of_groups_is_read(void **state)
{
	const int counts[] = {1000, 64, 65, 0};
	gid_t before[1000], groups[1000];
	int had = getgroups(1000, before);

	(void)state;
	if (geteuid() != 0) {
		print_message("only root has any groups\n");
		return;
	}
	for (int i = 0; i < 1000; i++)
		groups[i] = (gid_t)(2000 + i);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(setgroups((size_t)counts[i], groups), 0);
		check_both_ways(groups, counts[i]);
	}
	assert_int_equal(setgroups((size_t)had, before), 0);
}

static void what_is_no_socket_is_an_error(void **state)
{
	struct recorders_program program;

	(void)state;
	assert_int_equal(recorders_program_at(1000000, &program), -EBADF);
	recorders_program_finish(&program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_members_and_local_users_may),
		cmocka_unit_test(others_may_not),
		cmocka_unit_test(without_the_group_nobody_is_in_it),
		cmocka_unit_test(this_machine_answers),
		cmocka_unit_test(the_kernel_says_who_it_is),
		cmocka_unit_test(any_number_of_groups_is_read),
		cmocka_unit_test(what_is_no_socket_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
