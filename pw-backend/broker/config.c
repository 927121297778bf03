/* SPDX-License-Identifier: MIT */
/*
 * Understands the broker's sections of xaring-pw.conf: which keys there are, and what they mean.
 * Rules are matched by PipeWire's own means. What is not ours is skipped; what is ours and not
 * understood is refused with its place, its value and what would be accepted.
 */
#include "config.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pipewire/conf.h>
#include <spa/utils/dict.h>

#include "audience.h"
#include "config-files.h"
#include "config-reader.h"
#include "identity.h"

#define CONFIG_NAME      "xaring-pw.conf"
#define PATTERN_ACCEPTED "a text or \"~a regular expression\" is accepted"

static int take_identity(struct reader *r, const struct place *place, const struct piece *value,
			 struct policy *policy)
{
	if (!piece_is(value, "name") && !piece_is(value, "uuid"))
		return reader_refuse(r, place, value, "name and uuid are accepted");
	policy->by_uuid = piece_is(value, "uuid");
	return 0;
}

static int take_microphone(struct reader *r, const struct place *place, const struct piece *value,
			   struct policy *policy)
{
	if (piece_is(value, "deny"))
		policy->microphone = POLICY_MICROPHONE_DENY;
	else if (piece_is(value, "ask"))
		policy->microphone = POLICY_MICROPHONE_ASK;
	else if (piece_is(value, "allow"))
		policy->microphone = POLICY_MICROPHONE_ALLOW;
	else
		return reader_refuse(r, place, value, "deny, ask and allow are accepted");
	return 0;
}

static int take_vm(struct reader *r, const struct place *place, const struct piece *value,
		   struct policy *policy)
{
	char *text = NULL;
	int res = reader_take_text(r, place, value, &text);

	if (res == 0 && !config_key_is_valid(text))
		res = reader_refuse(r, place, value, CONFIG_KEY_ACCEPTED);
	if (res == 0)
		snprintf(policy->vm, sizeof(policy->vm), "%s", text);
	free(text);
	return res;
}

static int on_policy_key(struct reader *r, const struct place *outer, const struct piece *key,
			 const struct piece *value, void *data)
{
	static const struct reader_range streams = {POLICY_STREAMS_MIN, POLICY_STREAMS_MAX};
	static const struct reader_range pages = {POLICY_PAGES_MIN, POLICY_PAGES_MAX};
	static const struct reader_range reconnect = {POLICY_RECONNECT_MS_MIN,
						      POLICY_RECONNECT_MS_MAX};
	struct policy *policy = data;
	struct place place;

	place_extend(&place, outer, key);
	if (piece_is(key, "playback"))
		return reader_take_bool(r, &place, value, &policy->playback);
	if (piece_is(key, "microphone"))
		return take_microphone(r, &place, value, policy);
	if (piece_is(key, "max-streams"))
		return reader_take_number(r, &place, value, streams, &policy->max_streams);
	if (piece_is(key, "max-pages"))
		return reader_take_number(r, &place, value, pages, &policy->max_pages);
	if (piece_is(key, "reconnect-ms"))
		return reader_take_number(r, &place, value, reconnect, &policy->reconnect_ms);
	if (piece_is(key, "identity"))
		return take_identity(r, &place, value, policy);
	if (piece_is(key, "vm"))
		return take_vm(r, &place, value, policy);
	return reader_refuse_key(r, outer, key,
				 "playback, microphone, max-streams, max-pages, reconnect-ms, "
				 "identity and vm are accepted");
}

static int on_action(struct reader *r, const struct place *outer, const struct piece *key,
		     const struct piece *value, void *data)
{
	struct policy unused;
	struct place place;

	(void)data;
	place_extend(&place, outer, key);
	if (piece_is(key, "policy"))
		return reader_each_pair(r, &place, value, on_policy_key, &unused);
	/* What a worker may look like is the worker's to judge. */
	if (piece_is(key, "update-props"))
		return reader_expect(r, &place, value, '{');
	return reader_refuse_key(r, outer, key, "policy and update-props are accepted");
}

/* What cannot be understood would match nothing, and a VM that it forbids something would go on. */
static bool is_pattern_valid(const char *text)
{
	regex_t compiled;

	if (text[0] != '~')
		return true;
	if (regcomp(&compiled, text + 1, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	regfree(&compiled);
	return true;
}

static int check_pattern(struct reader *r, const struct place *place, const struct piece *value)
{
	char *text = NULL;
	int res = reader_take_text(r, place, value, &text);

	if (res == 0 && !is_pattern_valid(text))
		res = reader_refuse(r, place, value, PATTERN_ACCEPTED);
	free(text);
	return res;
}

static int on_match_key(struct reader *r, const struct place *outer, const struct piece *key,
			const struct piece *value, void *data)
{
	struct place place;

	(void)data;
	place_extend(&place, outer, key);
	if (!piece_is(key, "xen.domain.name") && !piece_is(key, "xen.domain.uuid") &&
	    !piece_is(key, "xen.domain.kind") && !piece_is(key, "xaring.key") &&
	    !piece_is(key, "xaring.transport"))
		return reader_refuse_key(r, outer, key,
					 "xen.domain.name, xen.domain.uuid, xen.domain.kind, "
					 "xaring.key and xaring.transport are accepted");
	if (piece_is_container(value))
		return reader_refuse(r, &place, value, PATTERN_ACCEPTED);
	return check_pattern(r, &place, value);
}

static int on_match(struct reader *r, const struct place *place, const struct piece *value)
{
	return reader_each_pair(r, place, value, on_match_key, NULL);
}

static int on_rule_key(struct reader *r, const struct place *outer, const struct piece *key,
		       const struct piece *value, void *data)
{
	struct place place;

	(void)data;
	place_extend(&place, outer, key);
	if (piece_is(key, "matches"))
		return reader_each_element(r, &place, value, on_match);
	if (piece_is(key, "actions"))
		return reader_each_pair(r, &place, value, on_action, NULL);
	return reader_refuse_key(r, outer, key, "matches and actions are accepted");
}

static int on_rule(struct reader *r, const struct place *place, const struct piece *value)
{
	return reader_each_pair(r, place, value, on_rule_key, NULL);
}

static int read_rules(struct reader *r, const struct place *place, const struct piece *value)
{
	r->text->rules = value->at;
	r->text->rules_bytes = (size_t)value->bytes;
	return reader_each_element(r, place, value, on_rule);
}

bool config_key_is_valid(const char *key)
{
	size_t length = strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789._-");

	if (length == 0 || length > CONFIG_KEY_MAX || key[length] != '\0')
		return false;
	/* It becomes the name of a file. */
	return strcmp(key, ".") != 0 && strcmp(key, "..") != 0;
}

int config_add_vm(struct config *config, const char *key, const char *title, const char *socket)
{
	struct config_vm *grown;
	struct config_vm vm;

	for (unsigned i = 0; i < config->vm_count; i++) {
		if (strcmp(config->vms[i].key, key) == 0)
			return -EEXIST;
	}
	grown = reallocarray(config->vms, config->vm_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->vms = grown;
	vm.key = strdup(key);
	vm.title = strdup(title ? title : key);
	vm.socket = socket ? strdup(socket) : NULL;
	if (!vm.key || !vm.title || (socket && !vm.socket)) {
		free(vm.key);
		free(vm.title);
		free(vm.socket);
		return -ENOMEM;
	}
	grown[config->vm_count++] = vm;
	return 0;
}

static int on_vm_key(struct reader *r, const struct place *outer, const struct piece *key,
		     const struct piece *value, void *data)
{
	struct config_vm *vm = data;
	struct place place;
	int res;

	place_extend(&place, outer, key);
	if (piece_is(key, "title"))
		return reader_take_text(r, &place, value, &vm->title);
	if (piece_is(key, "socket"))
		return reader_take_path(r, &place, value, &vm->socket);
	if (!piece_is(key, "name"))
		return reader_refuse_key(r, outer, key, "name, title and socket are accepted");
	res = reader_take_text(r, &place, value, &vm->key);
	if (res == 0 && !config_key_is_valid(vm->key))
		return reader_refuse(r, &place, value, CONFIG_KEY_ACCEPTED);
	return res;
}

static int on_vm(struct reader *r, const struct place *place, const struct piece *value)
{
	struct config_vm vm = {0};
	int res = reader_each_pair(r, place, value, on_vm_key, &vm);

	if (res == 0 && !vm.key) {
		res = reader_refuse(r, place, value, "a VM with a name is accepted");
	} else if (res == 0) {
		res = config_add_vm(r->config, vm.key, vm.title, vm.socket);
		if (res == -EEXIST)
			res = reader_refuse(r, place, value, "each name is accepted once");
	}
	free(vm.key);
	free(vm.title);
	free(vm.socket);
	return res;
}

static int take_user(struct reader *r, const struct place *place, const struct piece *value)
{
	char **user = &r->config->audio_user;
	int res = reader_take_text(r, place, value, user);
	struct audience_choice unused;

	if (res == 0 && audience_read_user(*user, &unused) < 0)
		res = reader_refuse(r, place, value, AUDIENCE_USER_ACCEPTED);
	return res;
}

static int on_property(struct reader *r, const struct place *outer, const struct piece *key,
		       const struct piece *value, void *data)
{
	struct place place;

	(void)data;
	place_extend(&place, outer, key);
	if (piece_is(key, "pipewire.socket"))
		return reader_take_path(r, &place, value, &r->config->pipewire_socket);
	if (piece_is(key, "audio.user"))
		return take_user(r, &place, value);
	return reader_refuse_key(r, outer, key, "audio.user and pipewire.socket are accepted");
}

static int on_section(struct reader *r, const struct place *top, const struct piece *key,
		      const struct piece *value, void *data)
{
	static const struct place file = {"the file"};
	struct place place;

	(void)data;
	place_extend(&place, top, key);
	if (piece_is(key, "xaring.properties"))
		return reader_each_pair(r, &place, value, on_property, NULL);
	if (piece_is(key, "xaring.vms"))
		return reader_each_element(r, &place, value, on_vm);
	/* Of a file that says it twice PipeWire, and with it the worker, reads the last one only. */
	if (piece_is(key, "xaring.rules") && r->text->rules)
		return reader_refuse_key(r, &file, key, "one of it in each file is accepted");
	if (piece_is(key, "xaring.rules"))
		return read_rules(r, &place, value);
	if (piece_begins(key, "xaring."))
		return reader_refuse_key(
			r, &file, key,
			"xaring.properties, xaring.vms and xaring.rules are accepted");
	return 0;
}

int config_load(const char *const *folders, unsigned count, struct config **out,
		char error[CONFIG_ERROR_BYTES])
{
	struct config *config = calloc(1, sizeof(*config));
	struct reader r = {.config = config, .error = error};
	int res;

	snprintf(error, CONFIG_ERROR_BYTES, "the configuration cannot be read: out of memory");
	if (!config)
		return -ENOMEM;
	res = config_files_read(folders, count, CONFIG_NAME, config, error);
	for (unsigned i = 0; i < config->text_count && res == 0; i++) {
		r.text = &config->texts[i];
		res = reader_each_section(&r, on_section);
	}
	if (res < 0) {
		config_destroy(config);
		return res;
	}
	error[0] = '\0';
	*out = config;
	return 0;
}

void config_destroy(struct config *config)
{
	if (!config)
		return;
	for (unsigned i = 0; i < config->vm_count; i++) {
		free(config->vms[i].key);
		free(config->vms[i].title);
		free(config->vms[i].socket);
	}
	free(config->vms);
	free(config->pipewire_socket);
	free(config->audio_user);
	config_files_free(config);
	free(config);
}

/* The rules were checked when they were read, so nothing is refused here. */
static int on_match_action(void *data, const char *location, const char *action, const char *text,
			   size_t bytes)
{
	struct config_text source = {.text = (char *)text, .bytes = bytes};
	const struct piece object = {text, (int)bytes};
	char error[CONFIG_ERROR_BYTES];
	struct reader r = {.text = &source, .error = error};
	static const struct place top = {"policy"};

	(void)location;
	if (strcmp(action, "policy") == 0)
		reader_each_pair(&r, &top, &object, on_policy_key, data);
	return 0;
}

void config_policy(const struct config *config, const struct identity *id, struct policy *policy)
{
	struct spa_dict_item items[] = {
		{"xen.domain.name", id->name},
		{"xen.domain.uuid", id->uuid},
		{"xen.domain.kind", id->kind},
		{"xaring.key", id->key},
		{"xaring.transport", id->domid < 0 ? "local" : "xen"},
	};
	struct spa_dict props = SPA_DICT_INIT_ARRAY(items);

	policy_init(policy);
	for (unsigned i = 0; i < config->text_count; i++) {
		const struct config_text *t = &config->texts[i];

		if (t->rules)
			pw_conf_match_rules(t->rules, t->rules_bytes, t->file, &props,
					    on_match_action, policy);
	}
}
