/* SPDX-License-Identifier: MIT */
/* Who a VM is: keys, titles, kinds, and names that say nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "identity.h"
#include "policy.h"

#define UUID "7f0c5b2e-1234-4abc-8def-0123456789ab"

static struct identity_facts domain(uint32_t domid, const char *name)
{
	struct identity_facts facts = {.domid = domid};

	snprintf(facts.name, sizeof(facts.name), "%s", name);
	snprintf(facts.uuid, sizeof(facts.uuid), UUID);
	return facts;
}

static struct identity of_name(const char *name)
{
	struct identity_facts facts = domain(3, name);
	struct identity identity;

	identity_domain(&identity, &facts);
	return identity;
}

static void a_local_vm_is_what_was_configured(void **state)
{
	struct identity identity;

	(void)state;
	identity_local(&identity, "work", "My \033 work");
	assert_string_equal(identity.key, "work");
	assert_string_equal(identity.name, "work");
	assert_string_equal(identity.title, "My  work");
	assert_string_equal(identity.kind, "");
	assert_int_equal(identity.domid, -1);
	identity_local(&identity, "work", "\001");
	assert_string_equal(identity.title, "work");
}

static void a_domain_is_its_name(void **state)
{
	struct identity identity = of_name("work");

	(void)state;
	assert_string_equal(identity.key, "work");
	assert_string_equal(identity.title, "work");
	assert_string_equal(identity.name, "work");
	assert_string_equal(identity.uuid, UUID);
	assert_string_equal(identity.kind, "guest");
	assert_int_equal(identity.domid, 3);
}

static void keys_have_no_other_characters(void **state)
{
	struct identity identity = of_name("Büro 1/../x=\n");

	(void)state;
	assert_string_equal(identity.key, "B__ro_1_.._x__");
	assert_string_equal(identity.title, "Büro 1/../x=");
}

static void long_names_are_cut(void **state)
{
	char name[121];
	struct identity identity;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	identity = of_name(name);
	assert_int_equal(strlen(identity.key), 63);
	assert_int_equal(strlen(identity.title), 63);
}

/* Compared as memory: what an earlier name left there must not count. */
static void equal_facts_make_equal_identities(void **state)
{
	struct identity_facts facts = domain(3, "work");
	struct identity a, b;

	(void)state;
	memset(&a, 0xaa, sizeof(a));
	memset(&b, 0x55, sizeof(b));
	identity_domain(&a, &facts);
	identity_domain(&b, &facts);
	assert_memory_equal(&a, &b, sizeof(a));
	memset(&a, 0xaa, sizeof(a));
	memset(&b, 0x55, sizeof(b));
	identity_local(&a, "x", "y");
	identity_local(&b, "x", "y");
	assert_memory_equal(&a, &b, sizeof(a));
}

static const char *kind_of(const struct identity_facts *facts)
{
	static struct identity identity;

	identity_domain(&identity, facts);
	return identity.kind;
}

static bool may_play_and_record(const struct identity_facts *facts, const char *vm)
{
	struct identity identity;
	struct policy policy;

	policy_init(&policy);
	snprintf(policy.vm, sizeof(policy.vm), "%s", vm);
	identity_domain(&identity, facts);
	identity_choose(&identity, &policy);
	identity_restrict(&identity, &policy);
	assert_true(policy_allows(&policy, XARING_PLAYBACK) ==
		    policy_allows(&policy, XARING_CAPTURE));
	return policy_allows(&policy, XARING_PLAYBACK);
}

static void who_is_no_guest_plays_and_records_only_by_hand(void **state)
{
	struct identity_facts guest = domain(3, "work"), dom0 = domain(0, "Domain-0"),
			      self = domain(2, "audio"), stub = domain(4, "work-dm"),
			      nameless = domain(5, "");

	(void)state;
	self.is_self = true;
	stub.is_stubdomain = true;
	assert_string_equal(kind_of(&guest), "guest");
	assert_string_equal(kind_of(&dom0), "dom0");
	assert_string_equal(kind_of(&self), "self");
	assert_string_equal(kind_of(&stub), "stubdomain");
	assert_string_equal(kind_of(&nameless), "nameless");
	assert_true(may_play_and_record(&guest, ""));
	assert_false(may_play_and_record(&dom0, ""));
	assert_false(may_play_and_record(&self, ""));
	assert_false(may_play_and_record(&stub, ""));
	assert_false(may_play_and_record(&nameless, ""));
	assert_true(may_play_and_record(&dom0, "host"));
	assert_true(may_play_and_record(&stub, "devices"));
	dom0.is_self = true;
	assert_string_equal(kind_of(&dom0), "dom0");
}

static void the_nameless_have_a_key_and_a_title(void **state)
{
	struct identity identity = of_name("");

	(void)state;
	assert_string_equal(identity.key, "domain-3");
	assert_string_equal(identity.title, "domain-3");
	assert_string_equal(identity.name, "");
}

static void rules_choose_uuid_or_name(void **state)
{
	struct identity identity = of_name("work");
	struct policy policy;

	(void)state;
	policy_init(&policy);
	policy.by_uuid = true;
	identity_choose(&identity, &policy);
	assert_string_equal(identity.key, UUID);
	assert_string_equal(identity.title, "work");

	identity = of_name("work");
	snprintf(policy.vm, sizeof(policy.vm), "office");
	identity_choose(&identity, &policy);
	assert_string_equal(identity.key, "office");
	assert_string_equal(identity.title, "office");
	assert_string_equal(identity.name, "work");

	/* Without a UUID the name has to do. */
	identity = of_name("work");
	identity.uuid[0] = '\0';
	policy.vm[0] = '\0';
	identity_choose(&identity, &policy);
	assert_string_equal(identity.key, "work");
}

static void names_on_the_way_say_nothing(void **state)
{
	(void)state;
	assert_true(identity_is_passing("work--incoming"));
	assert_true(identity_is_passing("--incoming"));
	assert_true(identity_is_passing("work--migratedaway"));
	assert_false(identity_is_passing("work"));
	assert_false(identity_is_passing("incoming"));
	assert_false(identity_is_passing("work--incoming-2"));
	assert_false(identity_is_passing(""));
}

static bool read_uuid(const char *text, char uuid[IPC_UUID_BYTES])
{
	return identity_read_uuid(text, strlen(text), uuid);
}

static void uuids_are_read_out_of_paths(void **state)
{
	char uuid[IPC_UUID_BYTES];

	(void)state;
	assert_true(read_uuid("/vm/" UUID, uuid));
	assert_string_equal(uuid, UUID);
	assert_true(read_uuid("7F0C5B2E-1234-4ABC-8DEF-0123456789AB", uuid));
	assert_string_equal(uuid, UUID);
	assert_false(read_uuid("/vm/" UUID "-1", uuid));
	assert_string_equal(uuid, "");
	assert_false(read_uuid("/vm/7f0c5b2e-1234-4abc-8def-0123456789ag", uuid));
	assert_false(read_uuid("/vm/7f0c5b2e012344abc08def00123456789abcd", uuid));
	assert_false(read_uuid("/vm/", uuid));
	assert_false(read_uuid("", uuid));
	assert_false(identity_read_uuid("/vm/" UUID, 39, uuid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_local_vm_is_what_was_configured),
		cmocka_unit_test(a_domain_is_its_name),
		cmocka_unit_test(keys_have_no_other_characters),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(equal_facts_make_equal_identities),
		cmocka_unit_test(who_is_no_guest_plays_and_records_only_by_hand),
		cmocka_unit_test(the_nameless_have_a_key_and_a_title),
		cmocka_unit_test(rules_choose_uuid_or_name),
		cmocka_unit_test(names_on_the_way_say_nothing),
		cmocka_unit_test(uuids_are_read_out_of_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
