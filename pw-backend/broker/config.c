/* SPDX-License-Identifier: MIT */
/*
 * Understands the broker's sections of xaring-pw.conf with PipeWire's own means: SPA-JSON and its
 * rule matching. What is not ours is skipped; what is ours and not understood is refused with its
 * place, its value and what would be accepted. The only file of the broker that knows PipeWire.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <pipewire/conf.h>
#include <spa/utils/dict.h>
#include <spa/utils/json.h>

#include "config-files.h"

#define CONFIG_NAME "xaring-pw.conf"

/* A piece of a file: a key, or a value with its brackets. */
struct piece {
	const char *at;
	int bytes;
};

struct config_rules {
	const char *file;
	struct piece array;
};

/* Where we are, for messages. */
struct reader {
	struct config *config;
	const struct config_text *text;
	char *error;
};

/* A place in a file: "xaring.rules[0].actions.policy" */
struct place {
	char path[128];
};

static int line_of(const struct reader *r, const char *at)
{
	int line = 1;

	for (const char *c = r->text->text; c < at; c++)
		line += *c == '\n';
	return line;
}

/* Places that are too long are cut: the line number is in the message as well. */
static void extend(struct place *to, const struct place *from, const struct piece *key)
{
	int shown = key->bytes < 40 ? key->bytes : 40;

	snprintf(to->path, sizeof(to->path), "%.80s%s%.*s", from->path, from->path[0] ? "." : "",
		 shown, key->at);
}

static void extend_index(struct place *to, const struct place *from, int index)
{
	snprintf(to->path, sizeof(to->path), "%.80s[%d]", from->path, index);
}

/* Says which value is not accepted, and what would be. */
static int refuse(const struct reader *r, const struct place *place, const struct piece *value,
		  const char *accepted)
{
	int shown = value->bytes < 60 ? value->bytes : 60;

	snprintf(r->error, CONFIG_ERROR_BYTES, "%s:%d: %s = %.*s%s is refused: %s", r->text->file,
		 line_of(r, value->at), place->path, shown, value->at,
		 shown < value->bytes ? "..." : "", accepted);
	return -EINVAL;
}

static int refuse_key(const struct reader *r, const struct place *place, const struct piece *key,
		      const char *accepted)
{
	snprintf(r->error, CONFIG_ERROR_BYTES, "%s:%d: the key %.*s in %s is refused: %s",
		 r->text->file, line_of(r, key->at), key->bytes, key->at, place->path, accepted);
	return -EINVAL;
}

static int refuse_syntax(const struct reader *r, const struct place *place, const char *at)
{
	snprintf(r->error, CONFIG_ERROR_BYTES,
		 "%s:%d: cannot be read%s%s: keys and values in matching brackets are accepted",
		 r->text->file, line_of(r, at), place->path[0] ? " in " : "", place->path);
	return -EINVAL;
}

static bool is_text(const struct piece *p, const char *text)
{
	return (size_t)p->bytes == strlen(text) && memcmp(p->at, text, (size_t)p->bytes) == 0;
}

static bool has_prefix(const struct piece *p, const char *prefix)
{
	return (size_t)p->bytes >= strlen(prefix) && memcmp(p->at, prefix, strlen(prefix)) == 0;
}

/* Takes the next value with all that is in it. Returns 1, 0 at the end, -EINVAL. */
static int next_piece(struct spa_json *it, struct piece *out)
{
	const char *end = it->end;

	out->bytes = spa_json_next(it, &out->at);
	if (out->bytes > 0 && spa_json_is_container(out->at, out->bytes))
		out->bytes = spa_json_container_len(it, out->at, out->bytes);
	else if (out->bytes == 0)
		return 0;
	return out->bytes > 0 && out->bytes <= end - out->at ? 1 : -EINVAL;
}

/* The key without its quotes; none of ours contains an escape. */
static void unquote(struct piece *p)
{
	if (p->bytes >= 2 && p->at[0] == '"') {
		p->at++;
		p->bytes -= 2;
	}
}

/* Takes the next "key = value". Returns 1, 0 at the end, -EINVAL with the message. */
static int next_pair(const struct reader *r, const struct place *place, struct spa_json *it,
		     struct piece *key, struct piece *value)
{
	int res = next_piece(it, key);

	if (res > 0 && !spa_json_is_container(key->at, key->bytes))
		res = next_piece(it, value) > 0 ? 1 : -EINVAL;
	else if (res > 0)
		res = -EINVAL;
	if (res < 0)
		return refuse_syntax(r, place, it->cur < it->end ? it->cur : it->end);
	unquote(key);
	return res;
}

static int enter(const struct reader *r, const struct place *place, const struct piece *value,
		 char bracket, struct spa_json *it)
{
	struct spa_json outer;

	if (*value->at != bracket)
		return refuse(r, place, value,
			      bracket == '{' ? "{ key = value ... } is accepted"
					     : "[ value ... ] is accepted");
	spa_json_init(&outer, value->at, (size_t)value->bytes);
	if (bracket == '{')
		spa_json_enter_object(&outer, it);
	else
		spa_json_enter_array(&outer, it);
	/* What the outer iterator held stays valid only as long as it does. */
	it->parent = NULL;
	return 0;
}

typedef int (*pair_fn)(struct reader *r, const struct place *place, const struct piece *key,
		       const struct piece *value, void *data);
typedef int (*element_fn)(struct reader *r, const struct place *place, const struct piece *value);

static int each_pair(struct reader *r, const struct place *place, const struct piece *object,
		     pair_fn fn, void *data)
{
	struct piece key, value;
	struct spa_json it;
	int res = enter(r, place, object, '{', &it);

	while (res == 0) {
		res = next_pair(r, place, &it, &key, &value);
		if (res <= 0)
			return res;
		res = fn(r, place, &key, &value, data);
	}
	return res;
}

static int each_element(struct reader *r, const struct place *place, const struct piece *array,
			element_fn fn)
{
	struct place inner;
	struct piece value;
	struct spa_json it;
	int res = enter(r, place, array, '[', &it);

	for (int i = 0; res == 0; i++) {
		res = next_piece(&it, &value);
		if (res < 0)
			return refuse_syntax(r, place, array->at);
		if (res == 0)
			return 0;
		extend_index(&inner, place, i);
		res = fn(r, &inner, &value);
	}
	return res;
}

/* The text of a value, without quotes and escapes; to be freed. NULL for containers, no memory. */
static char *text_of(const struct piece *value)
{
	char *text;

	if (spa_json_is_container(value->at, value->bytes))
		return NULL;
	text = malloc((size_t)value->bytes + 1);
	if (text && spa_json_parse_stringn(value->at, value->bytes, text, value->bytes + 1) <= 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int read_text(struct reader *r, const struct place *place, const struct piece *value,
		     char **out)
{
	char *text = text_of(value);

	if (!text)
		return refuse(r, place, value, "a text is accepted");
	free(*out);
	*out = text;
	return 0;
}

static int read_path(struct reader *r, const struct place *place, const struct piece *value,
		     char **out)
{
	int res = read_text(r, place, value, out);

	if (res < 0)
		return res;
	if ((*out)[0] != '/' || strlen(*out) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return refuse(r, place, value, "an absolute path of at most 107 bytes is accepted");
	return 0;
}

static int read_bool(struct reader *r, const struct place *place, const struct piece *value,
		     bool *out)
{
	if (!is_text(value, "true") && !is_text(value, "false"))
		return refuse(r, place, value, "true and false are accepted");
	*out = is_text(value, "true");
	return 0;
}

struct range {
	uint32_t min, max;
};

static int read_number(struct reader *r, const struct place *place, const struct piece *value,
		       struct range range, uint32_t *out)
{
	char accepted[64];
	uint64_t number = 0;
	bool good = value->bytes > 0 && value->bytes <= 10;

	for (int i = 0; good && i < value->bytes; i++) {
		good = value->at[i] >= '0' && value->at[i] <= '9';
		number = number * 10 + (uint64_t)(value->at[i] - '0');
	}
	if (!good || number < range.min || number > range.max) {
		snprintf(accepted, sizeof(accepted), "%u to %u are accepted", range.min, range.max);
		return refuse(r, place, value, accepted);
	}
	*out = (uint32_t)number;
	return 0;
}

static int on_policy_key(struct reader *r, const struct place *outer, const struct piece *key,
			 const struct piece *value, void *data)
{
	static const struct range streams = {POLICY_STREAMS_MIN, POLICY_STREAMS_MAX};
	static const struct range pages = {POLICY_PAGES_MIN, POLICY_PAGES_MAX};
	static const struct range reconnect = {POLICY_RECONNECT_MS_MIN, POLICY_RECONNECT_MS_MAX};
	struct policy *policy = data;
	struct place place;

	extend(&place, outer, key);
	if (is_text(key, "playback"))
		return read_bool(r, &place, value, &policy->playback);
	if (is_text(key, "max-streams"))
		return read_number(r, &place, value, streams, &policy->max_streams);
	if (is_text(key, "max-pages"))
		return read_number(r, &place, value, pages, &policy->max_pages);
	if (is_text(key, "reconnect-ms"))
		return read_number(r, &place, value, reconnect, &policy->reconnect_ms);
	return refuse_key(r, outer, key,
			  "playback, max-streams, max-pages and reconnect-ms are accepted");
}

static int on_action(struct reader *r, const struct place *outer, const struct piece *key,
		     const struct piece *value, void *data)
{
	struct policy unused;
	struct spa_json it;
	struct place place;

	(void)data;
	extend(&place, outer, key);
	if (is_text(key, "policy"))
		return each_pair(r, &place, value, on_policy_key, &unused);
	/* What a worker may look like is the worker's to judge. */
	if (is_text(key, "update-props"))
		return enter(r, &place, value, '{', &it);
	return refuse_key(r, outer, key, "policy and update-props are accepted");
}

static int on_match_key(struct reader *r, const struct place *outer, const struct piece *key,
			const struct piece *value, void *data)
{
	struct place place;

	(void)data;
	extend(&place, outer, key);
	if (!is_text(key, "xen.domain.name") && !is_text(key, "xaring.key") &&
	    !is_text(key, "xaring.transport"))
		return refuse_key(r, outer, key,
				  "xen.domain.name, xaring.key and xaring.transport are accepted");
	if (spa_json_is_container(value->at, value->bytes))
		return refuse(r, &place, value, "a text or \"~a regular expression\" is accepted");
	return 0;
}

static int on_match(struct reader *r, const struct place *place, const struct piece *value)
{
	return each_pair(r, place, value, on_match_key, NULL);
}

static int on_rule_key(struct reader *r, const struct place *outer, const struct piece *key,
		       const struct piece *value, void *data)
{
	struct place place;

	(void)data;
	extend(&place, outer, key);
	if (is_text(key, "matches"))
		return each_element(r, &place, value, on_match);
	if (is_text(key, "actions"))
		return each_pair(r, &place, value, on_action, NULL);
	return refuse_key(r, outer, key, "matches and actions are accepted");
}

static int on_rule(struct reader *r, const struct place *place, const struct piece *value)
{
	return each_pair(r, place, value, on_rule_key, NULL);
}

static int read_rules(struct reader *r, const struct place *place, const struct piece *value)
{
	struct config *config = r->config;
	struct config_rules *grown;
	int res = each_element(r, place, value, on_rule);

	if (res < 0)
		return res;
	grown = reallocarray(config->rules, config->rule_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->rules = grown;
	grown[config->rule_count++] = (struct config_rules){r->text->file, *value};
	return 0;
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

	extend(&place, outer, key);
	if (is_text(key, "title"))
		return read_text(r, &place, value, &vm->title);
	if (is_text(key, "socket"))
		return read_path(r, &place, value, &vm->socket);
	if (!is_text(key, "name"))
		return refuse_key(r, outer, key, "name, title and socket are accepted");
	res = read_text(r, &place, value, &vm->key);
	if (res == 0 && !config_key_is_valid(vm->key))
		return refuse(r, &place, value, CONFIG_KEY_ACCEPTED);
	return res;
}

static int on_vm(struct reader *r, const struct place *place, const struct piece *value)
{
	struct config_vm vm = {0};
	int res = each_pair(r, place, value, on_vm_key, &vm);

	if (res == 0 && !vm.key)
		res = refuse(r, place, value, "a VM with a name is accepted");
	if (res == 0) {
		res = config_add_vm(r->config, vm.key, vm.title, vm.socket);
		if (res == -EEXIST)
			res = refuse(r, place, value, "each name is accepted once");
	}
	free(vm.key);
	free(vm.title);
	free(vm.socket);
	return res;
}

static int on_property(struct reader *r, const struct place *outer, const struct piece *key,
		       const struct piece *value, void *data)
{
	struct place place;

	(void)data;
	extend(&place, outer, key);
	if (is_text(key, "pipewire.socket"))
		return read_path(r, &place, value, &r->config->pipewire_socket);
	return refuse_key(r, outer, key, "pipewire.socket is accepted");
}

static int read_section(struct reader *r, const struct piece *key, const struct piece *value)
{
	static const struct place top = {""};
	static const struct place file = {"the file"};
	struct place place;

	extend(&place, &top, key);
	if (is_text(key, "xaring.properties"))
		return each_pair(r, &place, value, on_property, NULL);
	if (is_text(key, "xaring.vms"))
		return each_element(r, &place, value, on_vm);
	if (is_text(key, "xaring.rules"))
		return read_rules(r, &place, value);
	if (has_prefix(key, "xaring."))
		return refuse_key(r, &file, key,
				  "xaring.properties, xaring.vms and xaring.rules are accepted");
	return 0;
}

/* A file is an object, with its brackets or without. */
static int read_text_file(struct reader *r)
{
	static const struct place top = {""};
	struct spa_json it, inner;
	struct piece key, value;
	int res;

	spa_json_init(&it, r->text->text, r->text->bytes);
	if (spa_json_enter_object(&it, &inner) > 0)
		it = inner;
	else
		spa_json_init(&it, r->text->text, r->text->bytes);
	it.parent = NULL;
	do {
		res = next_pair(r, &top, &it, &key, &value);
		if (res > 0)
			res = read_section(r, &key, &value) < 0 ? -EINVAL : 1;
	} while (res > 0);
	return res;
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
		res = read_text_file(&r);
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
	free(config->rules);
	config_files_free(config);
	free(config);
}

/* The rules were checked when they were read, so nothing is refused here. */
static int on_match_action(void *data, const char *location, const char *action, const char *text,
			   size_t bytes)
{
	const struct config_text source = {.text = (char *)text, .bytes = bytes};
	const struct piece object = {text, (int)bytes};
	char error[CONFIG_ERROR_BYTES];
	struct reader r = {.text = &source, .error = error};
	static const struct place top = {"policy"};

	(void)location;
	if (strcmp(action, "policy") == 0)
		each_pair(&r, &top, &object, on_policy_key, data);
	return 0;
}

void config_policy(const struct config *config, const struct config_vm *vm, struct policy *policy)
{
	struct spa_dict_item items[] = {
		{"xen.domain.name", vm->key},
		{"xaring.key", vm->key},
		{"xaring.transport", "local"},
	};
	struct spa_dict props = SPA_DICT_INIT_ARRAY(items);

	policy_init(policy);
	for (unsigned i = 0; i < config->rule_count; i++)
		pw_conf_match_rules(config->rules[i].array.at, (size_t)config->rules[i].array.bytes,
				    config->rules[i].file, &props, on_match_action, policy);
}
