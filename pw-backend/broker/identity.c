/* SPDX-License-Identifier: MIT */
/*
 * Names and keys of VMs. Knows neither where they are read nor what is allowed to whom.
 */
#include "identity.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <xaring/log.h>

#include "policy.h"

#define KIND_GUEST "guest"

void identity_local(struct identity *id, const char *key, const char *title)
{
	memset(id, 0, sizeof(*id));
	id->domid = -1;
	snprintf(id->key, sizeof(id->key), "%s", key);
	snprintf(id->name, sizeof(id->name), "%s", key);
	xaring_text_clean(id->title, sizeof(id->title), title, strlen(title));
	if (id->title[0] == '\0')
		snprintf(id->title, sizeof(id->title), "%s", key);
}

/* Text up to the first NUL, cut; the rest of key is zero. */
static void make_key(char key[IPC_VM_NAME_BYTES], const char *text)
{
	size_t i;

	memset(key, 0, IPC_VM_NAME_BYTES);
	for (i = 0; i < IPC_VM_NAME_BYTES - 1 && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];

		key[i] = '_';
		if ((isascii(c) && isalnum(c)) || strchr("._-", c))
			key[i] = text[i];
	}
}

static const char *kind_of(const struct identity_facts *facts)
{
	if (facts->domid == 0)
		return "dom0";
	if (facts->is_self)
		return "self";
	if (facts->is_stubdomain)
		return "stubdomain";
	return facts->name[0] == '\0' ? "nameless" : KIND_GUEST;
}

void identity_domain(struct identity *id, const struct identity_facts *facts)
{
	memset(id, 0, sizeof(*id));
	id->domid = (int32_t)facts->domid;
	snprintf(id->kind, sizeof(id->kind), "%s", kind_of(facts));
	snprintf(id->uuid, sizeof(id->uuid), "%s", facts->uuid);
	xaring_text_clean(id->name, sizeof(id->name), facts->name, strlen(facts->name));
	if (facts->name[0])
		make_key(id->key, facts->name);
	else
		snprintf(id->key, sizeof(id->key), "domain-%u", facts->domid);
	memcpy(id->title, id->name[0] ? id->name : id->key, sizeof(id->title));
}

void identity_choose(struct identity *id, const struct policy *policy)
{
	if (policy->vm[0]) {
		make_key(id->key, policy->vm);
		memcpy(id->title, id->key, sizeof(id->title));
	} else if (policy->by_uuid && id->uuid[0]) {
		make_key(id->key, id->uuid);
	}
}

void identity_restrict(const struct identity *id, struct policy *policy)
{
	bool is_guest = id->domid < 0 || strcmp(id->kind, KIND_GUEST) == 0;

	policy->is_refused = !is_guest && !policy->vm[0];
}

static bool ends_in(const char *text, const char *suffix)
{
	size_t length = strlen(text), of_suffix = strlen(suffix);

	return length >= of_suffix && strcmp(text + length - of_suffix, suffix) == 0;
}

bool identity_is_passing(const char *name)
{
	return ends_in(name, "--incoming") || ends_in(name, "--migratedaway");
}

static bool is_uuid(const char *text, size_t bytes)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (bytes != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		if (form[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

bool identity_read_uuid(const char *text, size_t bytes, char uuid[IPC_UUID_BYTES])
{
	static const char folder[] = "/vm/";
	size_t skip = sizeof(folder) - 1;

	memset(uuid, 0, IPC_UUID_BYTES);
	if (bytes > skip && memcmp(text, folder, skip) == 0) {
		text += skip;
		bytes -= skip;
	}
	if (!is_uuid(text, bytes))
		return false;
	for (size_t i = 0; i < bytes; i++)
		uuid[i] = (char)tolower((unsigned char)text[i]);
	return true;
}
