/* SPDX-License-Identifier: MIT */
/* Keys of `type xen`: what is accepted, and that everything else is named in the refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf.h"

static char error[200];

static int read_text(const char *text, struct conf *conf)
{
	snd_config_t *top, *node;
	int res;

	error[0] = '\0';
	assert_int_equal(snd_config_load_string(&top, text, 0), 0);
	assert_int_equal(snd_config_search(top, "x", &node), 0);
	res = conf_read(node, conf, error, sizeof(error));
	snd_config_delete(top);
	return res;
}

static void assert_refused(const char *text, const char *key, const char *value)
{
	struct conf conf = {.name = "untouched"};

	assert_int_equal(read_text(text, &conf), -EINVAL);
	assert_non_null(strstr(error, key));
	assert_non_null(strstr(error, value));
	assert_non_null(strstr(error, "accepted"));
	assert_string_equal(conf.name, "untouched");
}

static void defaults_are_used(void **state)
{
	struct conf conf;

	(void)state;
	assert_int_equal(read_text("x { type xen }", &conf), 0);
	assert_string_equal(conf.socket, XARING_SOCKET_DEFAULT);
	assert_string_equal(conf.name, "");
}

static void all_keys_are_read(void **state)
{
	struct conf conf;

	(void)state;
	assert_int_equal(read_text("x { type xen comment \"c\" socket \"/a/b\" name \"Radio\" "
				   "hint { show on description \"d\" } }",
				   &conf),
			 0);
	assert_string_equal(conf.socket, "/a/b");
	assert_string_equal(conf.name, "Radio");
}

static void unknown_key_is_refused(void **state)
{
	(void)state;
	assert_refused("x { type xen sokcet \"/a/b\" }", "sokcet", "/a/b");
	assert_refused("x { type xen sokcet \"/a/b\" }", "socket STRING", "name STRING");
	assert_refused("x { type xen rate 48000 }", "rate", "48000");
	assert_refused("x { type xen slave { pcm hw } }", "slave", "{...}");
}

static void wrong_type_is_refused(void **state)
{
	(void)state;
	assert_refused("x { type xen socket 5 }", "socket", "5");
	assert_refused("x { type xen name 1.5 }", "name", "1.5");
	assert_refused("x { type xen name { a b } }", "name", "{...}");
	assert_refused("x \"text\"", "accepted", "socket");
}

static void impossible_socket_is_refused(void **state)
{
	char path[160], text[200];

	(void)state;
	assert_refused("x { socket \"relative\" }", "socket", "relative");
	assert_refused("x { socket \"\" }", "socket", "absolute");
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	snprintf(text, sizeof(text), "x { socket \"%s\" }", path);
	assert_refused(text, "socket", "107");
	path[107] = '\0';
	snprintf(text, sizeof(text), "x { socket \"%s\" }", path);
	assert_int_equal(read_text(text, &(struct conf){0}), 0);
}

static void long_name_is_cut(void **state)
{
	struct conf conf;

	(void)state;
	assert_int_equal(
		read_text("x { name \"0123456789012345678901234567890123456789012345678901234567890"
			  "123456789\" }",
			  &conf),
		0);
	assert_int_equal(strlen(conf.name), XARING_NAME_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_used),
		cmocka_unit_test(all_keys_are_read),
		cmocka_unit_test(unknown_key_is_refused),
		cmocka_unit_test(wrong_type_is_refused),
		cmocka_unit_test(impossible_socket_is_refused),
		cmocka_unit_test(long_name_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
