/* SPDX-License-Identifier: MIT */
/*
 * Properties of clients and nodes, and the rules of the configuration that change them.
 */
#include "looks.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <pipewire/pipewire.h>

#include <xaring/log.h>

#include "../ipc.h"

#define KEY_DOMAIN_NAME "xen.domain.name"
#define KEY_DOMAIN_UUID "xen.domain.uuid"
#define KEY_DOMAIN_KIND "xen.domain.kind"
#define KEY_DOMAIN_ID   "xen.domain.id"
#define KEY_IDENTITY    "xaring.key"
#define KEY_TRANSPORT   "xaring.transport"

/* What update-props may set; a dot at the end stands for all that begins so. */
static const char *const settable[] = {
	"application.icon-name", "media.icon-name",  "xaring.color",  "node.latency",
	"node.max-latency",      "node.description", "target.object", "state.",
};

struct rules {
	struct pw_properties *props; /* collects */
	const char *vm;              /* whose refused settings are logged; NULL = not again */
};

static bool is_settable(const char *key)
{
	for (size_t i = 0; i < SPA_N_ELEMENTS(settable); i++) {
		size_t length = strlen(settable[i]);

		if (settable[i][length - 1] == '.' ? strncmp(key, settable[i], length) == 0
						   : strcmp(key, settable[i]) == 0)
			return true;
	}
	return false;
}

static void take_settable(struct rules *rules, const struct spa_dict *dict)
{
	const struct spa_dict_item *item;

	spa_dict_for_each(item, dict)
	{
		if (is_settable(item->key))
			pw_properties_set(rules->props, item->key, item->value);
		else if (rules->vm)
			xaring_log(XARING_LOG_WARN,
				   "vm %s: update-props %s = \"%s\" is refused: accepted are the "
				   "icons, xaring.color, node.latency, node.max-latency, "
				   "node.description, target.object and state.*",
				   rules->vm, item->key, item->value);
	}
}

static int on_action(void *data, const char *location, const char *action, const char *text,
		     size_t bytes)
{
	struct rules *rules = data;
	struct pw_properties *wanted;

	(void)location;
	if (strcmp(action, "update-props") != 0)
		return 0;
	wanted = pw_properties_new(NULL, NULL);
	if (!wanted)
		return 0;
	pw_properties_update_string(wanted, text, bytes);
	take_settable(rules, &wanted->dict);
	pw_properties_free(wanted);
	return 0;
}

static void apply_rules(struct pw_context *context, const struct ipc_message *vm,
			struct pw_properties *props, bool tell)
{
	struct rules rules = {.props = props, .vm = tell ? vm->u.vm.name : NULL};
	const struct spa_dict_item items[] = {
		SPA_DICT_ITEM_INIT(KEY_DOMAIN_NAME, vm->u.vm.domain),
		SPA_DICT_ITEM_INIT(KEY_DOMAIN_UUID, vm->u.vm.uuid),
		SPA_DICT_ITEM_INIT(KEY_DOMAIN_KIND, vm->u.vm.kind),
		SPA_DICT_ITEM_INIT(KEY_IDENTITY, vm->u.vm.key),
		SPA_DICT_ITEM_INIT(KEY_TRANSPORT, vm->u.vm.domid < 0 ? "local" : "xen"),
	};
	struct spa_dict match = SPA_DICT_INIT_ARRAY(items);

	pw_context_conf_section_match_rules(context, "xaring.rules", &match, on_action, &rules);
}

static struct pw_properties *common(const struct ipc_message *vm)
{
	const char *name = vm->u.vm.name;
	struct pw_properties *props =
		pw_properties_new(PW_KEY_APP_NAME, name, PW_KEY_APP_ICON_NAME, "computer",
				  PW_KEY_APP_PROCESS_BINARY, "xaring-pw", KEY_DOMAIN_NAME,
				  vm->u.vm.domain, KEY_IDENTITY, vm->u.vm.key, NULL);

	if (!props)
		return NULL;
	/* WirePlumber remembers volume, mute and target by this. */
	pw_properties_setf(props, PW_KEY_APP_ID, "org.xaring.vm.%s", vm->u.vm.key);
	pw_properties_set(props, KEY_TRANSPORT, vm->u.vm.domid < 0 ? "local" : "xen");
	if (vm->u.vm.domid >= 0) {
		pw_properties_setf(props, KEY_DOMAIN_ID, "%d", vm->u.vm.domid);
		pw_properties_set(props, KEY_DOMAIN_UUID, vm->u.vm.uuid);
		pw_properties_set(props, KEY_DOMAIN_KIND, vm->u.vm.kind);
	}
	return props;
}

struct pw_properties *looks_of_client(struct pw_context *context, const struct ipc_message *vm)
{
	struct pw_properties *props = common(vm);

	if (props)
		apply_rules(context, vm, props, true);
	return props;
}

struct pw_properties *looks_of_node(struct pw_context *context, const struct ipc_message *vm,
				    const struct ipc_message *stream)
{
	bool capture = stream->u.stream.params.direction == XARING_CAPTURE;
	const char *usual = capture ? "Capture" : "Playback";
	const char *name = stream->u.stream.name;
	struct pw_properties *props = common(vm);

	if (!props)
		return NULL;
	pw_properties_setf(props, PW_KEY_NODE_NAME, "xen.%s.%s.%u", vm->u.vm.key,
			   capture ? "capture" : "playback", stream->u.stream.number);
	pw_properties_set(props, PW_KEY_NODE_DESCRIPTION, vm->u.vm.name);
	pw_properties_set(props, PW_KEY_NODE_NICK, vm->u.vm.name);
	pw_properties_set(props, PW_KEY_MEDIA_NAME, name[0] ? name : usual);
	pw_properties_set(props, PW_KEY_MEDIA_TYPE, "Audio");
	pw_properties_set(props, PW_KEY_MEDIA_CATEGORY, usual);
	pw_properties_set(props, PW_KEY_NODE_LATENCY, "1024/48000");
	pw_properties_set(props, PW_KEY_NODE_MAX_LATENCY, "2048/48000");
	apply_rules(context, vm, props, false);
	return props;
}
