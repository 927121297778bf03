/* SPDX-License-Identifier: MIT */
/* One daemon for each runtime folder, and the second one learns whose it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lock.h"

static char folder[64];
static char path[96];

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/xaring-lock.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/lock", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void assert_file_holds(pid_t pid)
{
	char text[64] = "", expected[32];
	FILE *file = fopen(path, "r");
	size_t length;

	assert_non_null(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	snprintf(expected, sizeof(expected), "%d\n", (int)pid);
	assert_int_equal(length, strlen(expected));
	assert_string_equal(text, expected);
}

static void first_takes_it_and_leaves_its_pid(void **state)
{
	pid_t owner = -1;
	int fd = lock_take(path, &owner);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_file_holds(getpid());
	close(fd);
}

static void second_is_told_the_pid_of_the_first(void **state)
{
	pid_t owner = -1;
	int fd = lock_take(path, &owner);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(lock_take(path, &owner), -EWOULDBLOCK);
	assert_int_equal(owner, getpid());
	assert_int_equal(lock_owner(path), getpid());
	assert_file_holds(getpid());
	close(fd);
}

static void lock_of_a_dead_process_is_free(void **state)
{
	pid_t owner = -1;
	pid_t child = fork();
	int fd;

	(void)state;
	if (child == 0)
		_exit(lock_take(path, &owner) >= 0 ? 0 : 1);
	assert_int_equal(waitpid(child, &fd, 0), child);
	assert_int_equal(fd, 0);
	assert_file_holds(child);
	fd = lock_take(path, &owner);
	assert_true(fd >= 0);
	assert_file_holds(getpid());
	close(fd);
}

static void assert_mode_is(mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

/* Who may open it may lock it. */
static void only_its_owner_may_open_it(void **state)
{
	mode_t mask = umask(0);
	pid_t owner = -1;
	int fd = lock_take(path, &owner);

	(void)state;
	umask(mask);
	assert_true(fd >= 0);
	assert_mode_is(0600);
	close(fd);
	/* One that was made by an older version. */
	assert_int_equal(chmod(path, 0644), 0);
	fd = lock_take(path, &owner);
	assert_true(fd >= 0);
	assert_mode_is(0600);
	close(fd);
}

static void longer_text_of_before_is_replaced(void **state)
{
	pid_t owner;
	int fd;

	(void)state;
	write_file("123456789012345678901234567890\nmore\n");
	fd = lock_take(path, &owner);
	assert_true(fd >= 0);
	assert_file_holds(getpid());
	close(fd);
}

static void assert_owner_is_unknown(const char *text)
{
	pid_t owner = -1;
	int fd = lock_take(path, &owner);

	assert_true(fd >= 0);
	write_file(text);
	assert_int_equal(lock_take(path, &owner), -EWOULDBLOCK);
	assert_int_equal(owner, 0);
	assert_int_equal(lock_owner(path), 0);
	close(fd);
}

static void nonsense_in_the_file_is_no_pid(void **state)
{
	(void)state;
	assert_owner_is_unknown("");
	assert_owner_is_unknown("nobody\n");
	assert_owner_is_unknown("-5\n");
	assert_owner_is_unknown("99999999999999999999\n");
}

static void link_is_not_followed(void **state)
{
	char target[96];
	pid_t owner;
	struct stat st;

	(void)state;
	snprintf(target, sizeof(target), "%s/elsewhere", folder);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(lock_take(path, &owner), -ELOOP);
	assert_int_equal(stat(target, &st), -1);
}

static void missing_folder_is_an_error(void **state)
{
	pid_t owner;

	(void)state;
	assert_int_equal(lock_take("/nowhere/at/all/lock", &owner), -ENOENT);
	assert_int_equal(lock_owner("/nowhere/at/all/lock"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_takes_it_and_leaves_its_pid), TEST(second_is_told_the_pid_of_the_first),
		TEST(lock_of_a_dead_process_is_free),    TEST(longer_text_of_before_is_replaced),
		TEST(nonsense_in_the_file_is_no_pid),    TEST(link_is_not_followed),
		TEST(missing_folder_is_an_error),        TEST(only_its_owner_may_open_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
