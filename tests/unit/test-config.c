/* SPDX-License-Identifier: MIT */
/* The broker's part of xaring-pw.conf: where it is looked for, what it means, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "identity.h"

/* Two folders, as /usr/share/pipewire and /etc/pipewire: the second one comes later. */
static char root[64];
static char share[96];
static char etc[96];
static char error[CONFIG_ERROR_BYTES];

static int set_up(void **state)
{
	char path[160];

	(void)state;
	snprintf(root, sizeof(root), "/tmp/xaring-config.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(share, sizeof(share), "%s/share", root);
	snprintf(etc, sizeof(etc), "%s/etc", root);
	mkdir(share, 0755);
	mkdir(etc, 0755);
	snprintf(path, sizeof(path), "%s/xaring-pw.conf.d", share);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/xaring-pw.conf.d", etc);
	mkdir(path, 0755);
	memset(error, 'x', sizeof(error));
	error[sizeof(error) - 1] = '\0';
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int load(struct config **out)
{
	const char *const folders[] = {share, etc};

	return config_load(folders, 2, out, error);
}

static struct config *load_text(const char *text)
{
	struct config *config;

	write_file(etc, "xaring-pw.conf", text);
	assert_int_equal(load(&config), 0);
	assert_string_equal(error, "");
	return config;
}

/* The whole message is compared, for it is what the administrator gets. */
static void assert_refused(const char *text, const char *message)
{
	char expected[CONFIG_ERROR_BYTES];
	struct config *config = NULL;

	write_file(etc, "xaring-pw.conf", text);
	assert_int_equal(load(&config), -EINVAL);
	assert_null(config);
	snprintf(expected, sizeof(expected), "%s/xaring-pw.conf:%s", etc, message);
	assert_string_equal(error, expected);
}

static struct policy policy_of(const struct config *config, const char *key)
{
	struct identity identity;
	struct policy policy;

	identity_local(&identity, key, "A title");
	config_policy(config, &identity, &policy);
	return policy;
}

static void nothing_at_all_is_a_configuration(void **state)
{
	struct config *config;

	(void)state;
	assert_int_equal(load(&config), 0);
	assert_false(config->found);
	assert_int_equal(config->vm_count, 0);
	assert_null(config->pipewire_socket);
	assert_null(config->audio_user);
	assert_int_equal(policy_of(config, "work").max_streams, 8);
	config_destroy(config);
	config_destroy(NULL);
}

static void vms_have_names_titles_and_sockets(void **state)
{
	struct config *config = load_text(
		"# three\n"
		"xaring.vms = [ { name = work } { name = \"personal\" title = \"Für mich\" }\n"
		"  { name = u.n-t_1, socket = /srv/u } ]\n");

	(void)state;
	assert_true(config->found);
	assert_int_equal(config->vm_count, 3);
	assert_string_equal(config->vms[0].key, "work");
	assert_string_equal(config->vms[0].title, "work");
	assert_null(config->vms[0].socket);
	assert_string_equal(config->vms[1].key, "personal");
	assert_string_equal(config->vms[1].title, "Für mich");
	assert_string_equal(config->vms[2].key, "u.n-t_1");
	assert_string_equal(config->vms[2].socket, "/srv/u");
	config_destroy(config);
}

static void braces_around_the_file_are_accepted(void **state)
{
	struct config *config =
		load_text("{ \"xaring.vms\": [ { \"name\": \"work\" } ],\n"
			  "  \"xaring.properties\": { \"pipewire.socket\": \"/run/p w\" } }\n");

	(void)state;
	assert_int_equal(config->vm_count, 1);
	assert_string_equal(config->pipewire_socket, "/run/p w");
	config_destroy(config);
}

static void sections_of_others_are_skipped(void **state)
{
	struct config *config =
		load_text("context.properties = { log.level = 0 }\n"
			  "context.modules = [ { name = x args = { a = [ 1 2 ] } } ]\n"
			  "stream.properties = { }\n"
			  "xaring.vms = [ { name = work } ]\n");

	(void)state;
	assert_int_equal(config->vm_count, 1);
	config_destroy(config);
}

static void main_file_of_the_last_folder_is_the_one(void **state)
{
	struct config *config;

	(void)state;
	write_file(share, "xaring-pw.conf", "xaring.vms = [ { name = share } ]");
	write_file(etc, "xaring-pw.conf", "xaring.vms = [ { name = etc } ]");
	assert_int_equal(load(&config), 0);
	assert_int_equal(config->vm_count, 1);
	assert_string_equal(config->vms[0].key, "etc");
	config_destroy(config);
}

static void fragments_of_all_folders_are_added_in_order(void **state)
{
	static const char *const names[] = {"main", "s1", "s2", "e1", "e2"};
	struct config *config;

	(void)state;
	write_file(share, "xaring-pw.conf", "xaring.vms = [ { name = main } ]");
	write_file(etc, "xaring-pw.conf.d/2.conf", "xaring.vms = [ { name = e2 } ]");
	write_file(etc, "xaring-pw.conf.d/1.conf", "xaring.vms = [ { name = e1 } ]");
	write_file(share, "xaring-pw.conf.d/8.conf", "xaring.vms = [ { name = s1 } ]");
	write_file(share, "xaring-pw.conf.d/9.conf", "xaring.vms = [ { name = s2 } ]");
	write_file(etc, "xaring-pw.conf.d/3.conf~", "xaring.vms = [ { name = no } ]");
	write_file(etc, "xaring-pw.conf.d/.4.conf", "xaring.vms = [ { name = no } ]");
	write_file(etc, "xaring-pw.conf.d/README", "no configuration");
	assert_int_equal(load(&config), 0);
	assert_int_equal(config->vm_count, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_string_equal(config->vms[i].key, names[i]);
	config_destroy(config);
}

static void home_and_environment_are_not_looked_at(void **state)
{
	struct config *config;
	char home[160];

	(void)state;
	snprintf(home, sizeof(home), "%s/.config", root);
	mkdir(home, 0755);
	setenv("XDG_CONFIG_HOME", home, 1);
	setenv("HOME", root, 1);
	setenv("PIPEWIRE_CONFIG_DIR", home, 1);
	snprintf(home, sizeof(home), "%s/.config/pipewire", root);
	mkdir(home, 0755);
	write_file(home, "xaring-pw.conf", "xaring.vms = [ { name = users } ]");
	assert_int_equal(load(&config), 0);
	assert_false(config->found);
	assert_int_equal(config->vm_count, 0);
	config_destroy(config);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("PIPEWIRE_CONFIG_DIR");
}

static void rules_that_match_apply_in_their_order(void **state)
{
	struct config *config = load_text(
		"xaring.rules = [\n"
		" { matches = [ { xaring.key = \"~.*\" } ]\n"
		"   actions = { policy = { playback = false max-streams = 1 } } }\n"
		" { matches = [ { xen.domain.name = work } { xaring.key = play } ]\n"
		"   actions = { policy = { playback = true, max-pages = 60 reconnect-ms = 10 } } }\n"
		" { matches = [ { xaring.key = work xaring.transport = xen } ]\n"
		"   actions = { policy = { max-streams = 100 } } }\n"
		"]\n");
	struct policy policy = policy_of(config, "work");

	(void)state;
	assert_true(policy.playback);
	assert_int_equal(policy.max_streams, 1);
	assert_int_equal(policy.max_pages, 60);
	assert_int_equal(policy.reconnect_ms, 10);
	assert_true(policy_of(config, "play").playback);
	policy = policy_of(config, "other");
	assert_false(policy.playback);
	assert_int_equal(policy.max_pages, 480);
	config_destroy(config);
}

static struct policy policy_of_domain(const struct config *config,
				      const struct identity_facts *facts)
{
	struct identity identity;
	struct policy policy;

	identity_domain(&identity, facts);
	config_policy(config, &identity, &policy);
	return policy;
}

static void rules_choose_who_a_domain_is(void **state)
{
	static const struct identity_facts work = {.domid = 3,
						   .name = "work",
						   .uuid = "7f0c5b2e-0000-4000-8000-0123456789ab"};
	static const struct identity_facts other = {.domid = 4,
						    .name = "other",
						    .uuid = "11111111-0000-4000-8000-0123456789ab"};
	static const struct identity_facts stub = {.domid = 5,
						   .name = "work-dm",
						   .is_stubdomain = true};
	struct config *config = load_text("xaring.rules = [\n"
					  " { matches = [ { xaring.transport = xen } ]\n"
					  "   actions = { policy = { identity = uuid } } }\n"
					  " { matches = [ { xen.domain.name = work } ]\n"
					  "   actions = { policy = { identity = name } } }\n"
					  " { matches = [ { xen.domain.uuid = \"~^11111111-\" } ]\n"
					  "   actions = { policy = { max-streams = 3 } } }\n"
					  " { matches = [ { xen.domain.kind = stubdomain } ]\n"
					  "   actions = { policy = { vm = devices } } }\n"
					  "]\n");

	(void)state;
	assert_false(policy_of_domain(config, &work).by_uuid);
	assert_true(policy_of_domain(config, &other).by_uuid);
	assert_int_equal(policy_of_domain(config, &work).max_streams, 8);
	assert_int_equal(policy_of_domain(config, &other).max_streams, 3);
	assert_string_equal(policy_of_domain(config, &other).vm, "");
	assert_string_equal(policy_of_domain(config, &stub).vm, "devices");
	assert_false(policy_of(config, "work").by_uuid);
	config_destroy(config);
}

static void rules_of_later_files_come_later(void **state)
{
	struct config *config;

	(void)state;
	write_file(share, "xaring-pw.conf",
		   "xaring.rules = [ { matches = [ { xaring.key = work } ]"
		   " actions = { policy = { max-streams = 2 max-pages = 20 } } } ]");
	write_file(etc, "xaring-pw.conf.d/1.conf",
		   "xaring.rules = [ { matches = [ { xaring.key = work } ]"
		   " actions = { policy = { max-streams = 3 } } } ]");
	assert_int_equal(load(&config), 0);
	assert_int_equal(policy_of(config, "work").max_streams, 3);
	assert_int_equal(policy_of(config, "work").max_pages, 20);
	config_destroy(config);
}

static void looks_are_left_to_the_worker(void **state)
{
	struct config *config =
		load_text("xaring.rules = [ { matches = [ { xaring.key = work } ] actions = {\n"
			  "  update-props = { node.latency = 256/48000 whatever = [ 1 ] }\n"
			  "  policy = { max-streams = 5 } } } ]\n");

	(void)state;
	assert_int_equal(policy_of(config, "work").max_streams, 5);
	config_destroy(config);
}

static void names_of_vms_are_checked(void **state)
{
	(void)state;
	assert_true(config_key_is_valid("work"));
	assert_true(config_key_is_valid("A.b_c-9"));
	assert_true(config_key_is_valid("...."));
	assert_true(config_key_is_valid(
		"123456789012345678901234567890123456789012345678901234567890123"));
	assert_false(config_key_is_valid(
		"1234567890123456789012345678901234567890123456789012345678901234"));
	assert_false(config_key_is_valid(""));
	assert_false(config_key_is_valid("."));
	assert_false(config_key_is_valid(".."));
	assert_false(config_key_is_valid("a/b"));
	assert_false(config_key_is_valid("a b"));
	assert_false(config_key_is_valid("\xc3\xa4"));
}

static void wrong_values_are_refused_by_place_and_range(void **state)
{
	(void)state;
	assert_refused("\n\nxaring.rules = [ { matches = [ { xaring.key = a } ]\n"
		       " actions = { policy = { max-streams = 129 } } } ]",
		       "4: xaring.rules[0].actions.policy.max-streams = 129 is refused: "
		       "1 to 128 are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { max-streams = 0 } } } ]",
		       "1: xaring.rules[0].actions.policy.max-streams = 0 is refused: "
		       "1 to 128 are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { max-pages = -1 } } } ]",
		       "1: xaring.rules[0].actions.policy.max-pages = -1 is refused: "
		       "2 to 480 are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { reconnect-ms = 1e3 } } } ]",
		       "1: xaring.rules[0].actions.policy.reconnect-ms = 1e3 is refused: "
		       "1 to 60000 are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { max-pages = 4294967298 } } } ]",
		       "1: xaring.rules[0].actions.policy.max-pages = 4294967298 is refused: "
		       "2 to 480 are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { playback = yes } } } ]",
		       "1: xaring.rules[0].actions.policy.playback = yes is refused: "
		       "true and false are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { identity = mac } } } ]",
		       "1: xaring.rules[0].actions.policy.identity = mac is refused: name and uuid "
		       "are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { vm = \"a b\" } } } ]",
		       "1: xaring.rules[0].actions.policy.vm = \"a b\" is refused: 1 to 63 of A-Z, "
		       "a-z, 0-9, \".\", \"_\" and \"-\" are accepted");
}

static void unknown_keys_are_refused_with_the_known_ones(void **state)
{
	(void)state;
	assert_refused("xaring.vm = [ ]", "1: the key xaring.vm in the file is refused: "
					  "xaring.properties, xaring.vms and xaring.rules are "
					  "accepted");
	assert_refused("xaring.properties = { socket = x }",
		       "1: the key socket in xaring.properties is refused: audio.user and "
		       "pipewire.socket are accepted");
	assert_refused("xaring.vms = [ { name = a } { nam = b } ]",
		       "1: the key nam in xaring.vms[1] is refused: name, title and socket are "
		       "accepted");
	assert_refused("xaring.rules = [ ]\nxaring.rules = [ ]",
		       "2: the key xaring.rules in the file is refused: one of it in each file is "
		       "accepted");
	assert_refused("xaring.rules = [ { match = [ ] } ]",
		       "1: the key match in xaring.rules[0] is refused: matches and actions are "
		       "accepted");
	assert_refused("xaring.rules = [ { matches = [ { node.name = x } ] } ]",
		       "1: the key node.name in xaring.rules[0].matches[0] is refused: "
		       "xen.domain.name, xen.domain.uuid, xen.domain.kind, xaring.key and "
		       "xaring.transport are accepted");
	assert_refused("xaring.rules = [ { matches = [ { xaring.key = \"~(\" } ] } ]",
		       "1: xaring.rules[0].matches[0].xaring.key = \"~(\" is refused: a text or "
		       "\"~a regular expression\" is accepted");
	assert_refused("xaring.rules = [ { actions = { update = { } } } ]",
		       "1: the key update in xaring.rules[0].actions is refused: policy and "
		       "update-props are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { capture = true } } } ]",
		       "1: the key capture in xaring.rules[0].actions.policy is refused: "
		       "playback, microphone, max-streams, max-pages, reconnect-ms, identity and "
		       "vm are accepted");
	assert_refused("xaring.rules = [ { actions = { policy = { microphone = yes } } } ]",
		       "1: xaring.rules[0].actions.policy.microphone = yes is refused: deny, "
		       "ask and allow are accepted");
}

static void audio_user_is_auto_or_somebody(void **state)
{
	struct config *config = load_text("xaring.properties = { audio.user = auto }");

	(void)state;
	assert_string_equal(config->audio_user, "auto");
	config_destroy(config);
	config = load_text("xaring.properties = { audio.user = nobody }\n"
			   "xaring.properties = { audio.user = \"root\" }");
	assert_string_equal(config->audio_user, "root");
	config_destroy(config);
	assert_refused("xaring.properties = {\n audio.user = nosuchuser }",
		       "2: xaring.properties.audio.user = nosuchuser is refused: auto or the name "
		       "of a user of this machine is accepted");
	assert_refused("xaring.properties = { audio.user = \"\" }",
		       "1: xaring.properties.audio.user = \"\" is refused: auto or the name of a "
		       "user of this machine is accepted");
	assert_refused("xaring.properties = { audio.user = [ root ] }",
		       "1: xaring.properties.audio.user = [ root ] is refused: a text is "
		       "accepted");
}

static void wrong_vms_are_refused(void **state)
{
	(void)state;
	assert_refused("xaring.vms = [ { name = \"a b\" } ]",
		       "1: xaring.vms[0].name = \"a b\" is refused: 1 to 63 of A-Z, a-z, 0-9, "
		       "\".\", \"_\" and \"-\" are accepted");
	assert_refused("xaring.vms = [ { title = x } ]",
		       "1: xaring.vms[0] = { title = x } is refused: a VM with a name is accepted");
	assert_refused("xaring.vms = [ { name = a } { name = a } ]",
		       "1: xaring.vms[1] = { name = a } is refused: each name is accepted once");
	assert_refused("xaring.vms = [ { name = a socket = run/a } ]",
		       "1: xaring.vms[0].socket = run/a is refused: an absolute path of at most "
		       "107 bytes is accepted");
	assert_refused("xaring.vms = [ { name = [ a ] } ]",
		       "1: xaring.vms[0].name = [ a ] is refused: a text is accepted");
}

static void other_shapes_are_refused(void **state)
{
	(void)state;
	assert_refused("xaring.vms = { name = a }",
		       "1: xaring.vms = { name = a } is refused: [ value ... ] is accepted");
	assert_refused("xaring.vms = [ work ]",
		       "1: xaring.vms[0] = work is refused: { key = value ... } is accepted");
	assert_refused("xaring.rules = 5",
		       "1: xaring.rules = 5 is refused: [ value ... ] is accepted");
	assert_refused("xaring.rules = [ { actions = { policy = 1 } } ]",
		       "1: xaring.rules[0].actions.policy = 1 is refused: { key = value ... } is "
		       "accepted");
}

/* Whatever is cut off is an error or a smaller file, never a crash: the text ends where it ends. */
static void every_cut_is_survived(void **state)
{
	static const char whole[] =
		"xaring.properties = { pipewire.socket = \"/run/x\" }\n"
		"xaring.vms = [ { name = \"work\" title = \"W\\u00e4\" } { name = b } ]\n"
		"xaring.rules = [ { matches = [ { xaring.key = \"~.*\" } ]\n"
		" actions = { policy = { max-streams = 2 } update-props = { a = b } } } ]\n";
	char cut[sizeof(whole)];
	unsigned refused = 0;

	(void)state;
	for (size_t length = 0; length < sizeof(whole); length++) {
		struct config *config = NULL;

		memcpy(cut, whole, length);
		cut[length] = '\0';
		write_file(etc, "xaring-pw.conf", cut);
		if (load(&config) < 0)
			refused++;
		else
			policy_of(config, "work");
		config_destroy(config);
	}
	assert_true(refused > sizeof(whole) / 2);
}

static void syntax_errors_are_refused_by_line(void **state)
{
	struct config *config;

	(void)state;
	write_file(etc, "xaring-pw.conf", "a = b\nxaring.vms = [ { name = a ]\n");
	assert_int_equal(load(&config), -EINVAL);
	assert_non_null(strstr(error, "xaring-pw.conf:"));
	write_file(etc, "xaring-pw.conf", "xaring.vms\n");
	assert_int_equal(load(&config), -EINVAL);
	assert_non_null(strstr(error, "cannot be read: keys and values"));
}

static void what_is_no_file_is_refused(void **state)
{
	struct config *config;
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/xaring-pw.conf", etc);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(load(&config), -EISDIR);
	assert_non_null(strstr(error, "etc/xaring-pw.conf: cannot be read"));
	rmdir(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(load(&config), -EISDIR);
}

static void folders_with_too_long_names_are_refused(void **state)
{
	static char folder[PATH_MAX];
	const char *const folders[] = {folder};
	char expected[CONFIG_ERROR_BYTES];
	struct config *config;

	(void)state;
	memset(folder, 'a', sizeof(folder) - 1);
	assert_int_equal(config_load(folders, 1, &config, error), -ENAMETOOLONG);
	snprintf(expected, sizeof(expected), "%.300s: cannot be read: File name too long", folder);
	assert_string_equal(error, expected);
}

static void huge_files_are_refused(void **state)
{
	struct config *config;
	char path[256];

	(void)state;
	write_file(etc, "xaring-pw.conf", "");
	snprintf(path, sizeof(path), "%s/xaring-pw.conf", etc);
	assert_int_equal(truncate(path, (1 << 20) + 1), 0);
	assert_int_equal(load(&config), -EFBIG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_at_all_is_a_configuration),
		TEST(vms_have_names_titles_and_sockets),
		TEST(braces_around_the_file_are_accepted),
		TEST(sections_of_others_are_skipped),
		TEST(main_file_of_the_last_folder_is_the_one),
		TEST(fragments_of_all_folders_are_added_in_order),
		TEST(home_and_environment_are_not_looked_at),
		TEST(rules_that_match_apply_in_their_order),
		TEST(rules_choose_who_a_domain_is),
		TEST(rules_of_later_files_come_later),
		TEST(looks_are_left_to_the_worker),
		TEST(names_of_vms_are_checked),
		TEST(wrong_values_are_refused_by_place_and_range),
		TEST(unknown_keys_are_refused_with_the_known_ones),
		TEST(audio_user_is_auto_or_somebody),
		TEST(wrong_vms_are_refused),
		TEST(other_shapes_are_refused),
		TEST(every_cut_is_survived),
		TEST(syntax_errors_are_refused_by_line),
		TEST(what_is_no_file_is_refused),
		TEST(folders_with_too_long_names_are_refused),
		TEST(huge_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
