/* SPDX-License-Identifier: MIT */
/* Where things are kept, and that the folder is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-folder.h"

static void assert_chosen(struct state_folder_given given, const char *expected)
{
	char path[64];

	assert_int_equal(state_folder_choose(&given, path, sizeof(path)), 0);
	assert_string_equal(path, expected);
}

static void the_first_that_is_given_counts(void **state)
{
	struct state_folder_given given = {"/option", "/unit:/other", true, "/state", "/house/me"};

	(void)state;
	assert_chosen(given, "/option");
	given.option = NULL;
	assert_chosen(given, "/unit");
	given.systemd = "";
	assert_chosen(given, "/var/lib/xaring");
	given.is_root = false;
	assert_chosen(given, "/state/xaring");
	given.state_home = "relative";
	assert_chosen(given, "/house/me/.local/state/xaring");
}

static void without_any_there_is_none(void **state)
{
	struct state_folder_given given = {0};
	char path[8];

	(void)state;
	assert_int_equal(state_folder_choose(&given, path, sizeof(path)), -ENOENT);
	given.is_root = true;
	assert_int_equal(state_folder_choose(&given, path, sizeof(path)), -ENAMETOOLONG);
}

static void it_is_made(void **state)
{
	char folder[] = "/tmp/xaring-state.XXXXXX", path[64];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a/b", folder);
	assert_int_equal(state_folder_make(path), 0);
	assert_int_equal(state_folder_make(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(state_folder_make("/dev/null/x"), -ENOTDIR);
	assert_int_equal(rmdir(path), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void write_text(FILE *file, const void *data)
{
	fputs(data, file);
}

static void assert_text(const char *path, const char *expected)
{
	char text[64] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text) - 1, file), strlen(expected));
	assert_string_equal(text, expected);
	fclose(file);
}

/* Its folder is made; where the new one cannot be written the old one stays, and what was in the way goes. */
static void a_file_is_replaced_as_a_whole(void **state)
{
	char folder[] = "/tmp/xaring-state-XXXXXX", inner[64], path[80], fresh[96];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(inner, sizeof(inner), "%s/a", folder);
	snprintf(path, sizeof(path), "%s/file", inner);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	assert_int_equal(state_folder_replace(path, write_text, "one\n"), 0);
	assert_text(path, "one\n");
	assert_int_equal(state_folder_replace(path, write_text, "another\n"), 0);
	assert_text(path, "another\n");
	assert_int_equal(symlink("nowhere/new", fresh), 0);
	assert_int_equal(state_folder_replace(path, write_text, "third\n"), -ENOENT);
	assert_text(path, "another\n");
	assert_int_equal(access(fresh, F_OK), -1);
	assert_int_equal(state_folder_replace(path, write_text, "fourth\n"), 0);
	assert_text(path, "fourth\n");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(inner), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_is_given_counts),
		cmocka_unit_test(without_any_there_is_none),
		cmocka_unit_test(it_is_made),
		cmocka_unit_test(a_file_is_replaced_as_a_whole),
	};

	return cmocka_run_group_tests_name("state-folder", tests, NULL, NULL);
}
