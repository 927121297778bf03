/* SPDX-License-Identifier: MIT */
/*
 * A client of PipeWire that looks at the nodes of VMs only, by the names that xaring-pw gives them. Its loop runs
 * while something is waited for, and not otherwise.
 */
#include "mixer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pipewire/pipewire.h>
#include <spa/param/audio/raw.h>
#include <spa/param/props.h>
#include <spa/pod/builder.h>
#include <spa/pod/iter.h>

#include "request.h"

#define PATIENCE_S   2
#define CHANNELS_MAX SPA_AUDIO_MAX_CHANNELS

struct node {
	struct spa_list link;
	uint32_t id;
	char *name;
	struct pw_proxy *proxy;
	struct spa_hook node_listener;
	uint32_t channels; /* 0 = not known */
	float volumes[CHANNELS_MAX];
	bool muted;
};

struct mixer {
	struct pw_main_loop *main_loop;
	struct pw_context *context;
	struct pw_core *core;
	struct spa_hook core_listener;
	struct pw_registry *registry;
	struct spa_hook registry_listener;
	struct spa_source *patience;
	struct spa_list nodes;
	int sync;
	int result;
};

/* ---- one thing after the other ---- */

static void on_core_done(void *data, uint32_t id, int seq)
{
	struct mixer *m = data;

	if (id == PW_ID_CORE && seq == m->sync)
		pw_main_loop_quit(m->main_loop);
}

static void on_core_error(void *data, uint32_t id, int seq, int res, const char *message)
{
	struct mixer *m = data;

	(void)seq, (void)message;
	/* Of a node that has gone meanwhile there is nothing to be known. */
	if (id != PW_ID_CORE)
		return;
	m->result = res;
	pw_main_loop_quit(m->main_loop);
}

static const struct pw_core_events core_events = {
	PW_VERSION_CORE_EVENTS,
	.done = on_core_done,
	.error = on_core_error,
};

static void on_patience(void *data, uint64_t expirations)
{
	struct mixer *m = data;

	(void)expirations;
	m->result = -ETIMEDOUT;
	pw_main_loop_quit(m->main_loop);
}

/* Waits until PipeWire has answered all that was said so far. */
static int round_trip(struct mixer *m)
{
	struct timespec patience = {.tv_sec = PATIENCE_S}, none = {0};
	struct pw_loop *loop = pw_main_loop_get_loop(m->main_loop);

	if (m->result < 0)
		return m->result;
	m->sync = pw_core_sync(m->core, PW_ID_CORE, m->sync);
	if (m->sync < 0)
		return m->sync;
	pw_loop_update_timer(loop, m->patience, &patience, NULL, false);
	pw_main_loop_run(m->main_loop);
	pw_loop_update_timer(loop, m->patience, &none, NULL, false);
	return m->result;
}

/* ---- nodes ---- */

static void node_free(struct node *n)
{
	spa_list_remove(&n->link);
	spa_hook_remove(&n->node_listener);
	pw_proxy_destroy(n->proxy);
	free(n->name);
	free(n);
}

static void take_property(struct node *n, const struct spa_pod_prop *prop)
{
	if (prop->key == SPA_PROP_mute)
		spa_pod_get_bool(&prop->value, &n->muted);
	else if (prop->key == SPA_PROP_channelVolumes)
		n->channels =
			spa_pod_copy_array(&prop->value, SPA_TYPE_Float, n->volumes, CHANNELS_MAX);
}

static void on_node_param(void *data, int seq, uint32_t id, uint32_t index, uint32_t next,
			  const struct spa_pod *param)
{
	const struct spa_pod_object *object = (const struct spa_pod_object *)param;
	const struct spa_pod_prop *prop;

	(void)seq, (void)index, (void)next;
	if (id != SPA_PARAM_Props || !param || !spa_pod_is_object(param))
		return;
	SPA_POD_OBJECT_FOREACH(object, prop)
	{
		take_property(data, prop);
	}
}

static const struct pw_node_events node_events = {
	PW_VERSION_NODE_EVENTS,
	.param = on_node_param,
};

static void ask_node(struct node *n)
{
	pw_node_enum_params((struct pw_node *)n->proxy, 0, SPA_PARAM_Props, 0, UINT32_MAX, NULL);
}

static void add_node(struct mixer *m, uint32_t id, const char *name)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return;
	n->id = id;
	n->name = strdup(name);
	n->proxy = pw_registry_bind(m->registry, id, PW_TYPE_INTERFACE_Node, PW_VERSION_NODE, 0);
	if (!n->name || !n->proxy) {
		if (n->proxy)
			pw_proxy_destroy(n->proxy);
		free(n->name);
		free(n);
		return;
	}
	pw_proxy_add_object_listener(n->proxy, &n->node_listener, &node_events, n);
	spa_list_append(&m->nodes, &n->link);
}

static void on_global(void *data, uint32_t id, uint32_t permissions, const char *type,
		      uint32_t version, const struct spa_dict *props)
{
	const char *name = props ? spa_dict_lookup(props, PW_KEY_NODE_NAME) : NULL;

	(void)permissions, (void)version;
	if (strcmp(type, PW_TYPE_INTERFACE_Node) == 0 && name && strncmp(name, "xen.", 4) == 0)
		add_node(data, id, name);
}

static void on_global_remove(void *data, uint32_t id)
{
	struct mixer *m = data;
	struct node *n;

	spa_list_for_each(n, &m->nodes, link)
	{
		if (n->id == id) {
			node_free(n);
			return;
		}
	}
}

static const struct pw_registry_events registry_events = {
	PW_VERSION_REGISTRY_EVENTS,
	.global = on_global,
	.global_remove = on_global_remove,
};

int mixer_look(struct mixer *m)
{
	/* Who has come and gone, then what they are. */
	int res = round_trip(m);
	struct node *n;

	if (res < 0)
		return res;
	spa_list_for_each(n, &m->nodes, link)
	{
		ask_node(n);
	}
	return round_trip(m);
}

/* ---- telling ---- */

static float loudest(const struct node *n)
{
	float max = 0;

	for (uint32_t i = 0; i < n->channels; i++)
		max = SPA_MAX(max, n->volumes[i]);
	return max;
}

/* PipeWire's factors are linear; what people see is the cube root, in mixers of all kinds. */
static int percent_of(const struct node *n)
{
	return (int)lround(cbrt((double)loudest(n)) * 100);
}

static struct json_object *volume(int percent, bool muted)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "percent", json_object_new_int(percent));
	json_object_object_add(o, "muted", json_object_new_boolean(muted));
	return o;
}

static const struct node *find_node(const struct mixer *m, const char *name)
{
	const struct node *n;

	if (!m)
		return NULL;
	spa_list_for_each(n, &m->nodes, link)
	{
		if (strcmp(n->name, name) == 0 && n->channels > 0)
			return n;
	}
	return NULL;
}

static bool plays(struct json_object *stream)
{
	return strcmp(request_text(stream, "direction"), "playback") == 0;
}

void mixer_add_volumes(const struct mixer *m, struct json_object *vm)
{
	struct json_object *streams = request_object(vm, "streams");
	int percent = -1;
	bool muted = true;

	for (size_t i = 0; streams && i < json_object_array_length(streams); i++) {
		struct json_object *s = json_object_array_get_idx(streams, i);
		const struct node *n = find_node(m, request_text(s, "node"));

		json_object_object_add(s, "volume", n ? volume(percent_of(n), n->muted) : NULL);
		if (!n || !plays(s))
			continue;
		percent = SPA_MAX(percent, percent_of(n));
		muted = muted && n->muted;
	}
	json_object_object_add(vm, "volume", percent >= 0 ? volume(percent, muted) : NULL);
}

/* ---- changing ---- */

/* Channels keep what they differ by. Those that are all silent become equally loud. */
static void scale(struct node *n, int percent)
{
	float wanted = powf((float)percent / 100, 3.0f), now = loudest(n);

	for (uint32_t i = 0; i < n->channels; i++)
		n->volumes[i] = now > 0 ? n->volumes[i] / now * wanted : wanted;
}

static int clamp(int percent)
{
	return SPA_CLAMP(percent, 0, VOLUME_PERCENT_MAX);
}

static void set_node(struct node *n, const struct volume_change *change)
{
	uint8_t room[1024];
	struct spa_pod_builder b = SPA_POD_BUILDER_INIT(room, sizeof(room));
	struct spa_pod_frame frame;

	spa_pod_builder_push_object(&b, &frame, SPA_TYPE_OBJECT_Props, SPA_PARAM_Props);
	if (change->kind == VOLUME_MUTE || change->kind == VOLUME_UNMUTE) {
		spa_pod_builder_add(&b, SPA_PROP_mute, SPA_POD_Bool(change->kind == VOLUME_MUTE),
				    0);
	} else {
		int before = change->kind == VOLUME_ADD ? percent_of(n) : 0;

		scale(n, clamp(before + change->percent));
		spa_pod_builder_add(&b, SPA_PROP_channelVolumes,
				    SPA_POD_Array(sizeof(float), SPA_TYPE_Float, n->channels,
						  n->volumes),
				    0);
	}
	pw_node_set_param((struct pw_node *)n->proxy, SPA_PARAM_Props, 0,
			  spa_pod_builder_pop(&b, &frame));
}

/* "xen.KEY.playback.N"; a key may have dots in it, and look like the begin of another one. */
static bool is_played_by(const struct node *n, const char *key)
{
	static const char playback[] = ".playback.";
	const char *rest = n->name + strlen("xen.");
	size_t length = strlen(key);

	if (strncmp(rest, key, length) != 0 ||
	    strncmp(rest + length, playback, strlen(playback)) != 0)
		return false;
	rest += length + strlen(playback);
	return rest[0] != '\0' && rest[strspn(rest, "0123456789")] == '\0';
}

int mixer_change(struct mixer *m, const char *key, const struct volume_change *change)
{
	struct node *n;
	int count = 0, res;

	spa_list_for_each(n, &m->nodes, link)
	{
		if (!is_played_by(n, key) || n->channels == 0)
			continue;
		set_node(n, change);
		count++;
	}
	res = count > 0 ? mixer_look(m) : 0;
	return res < 0 ? res : count;
}

/* ---- beginning and end ---- */

static int connect_core(struct mixer *m, const char *socket)
{
	struct pw_properties *props = pw_properties_new(PW_KEY_APP_NAME, "xaringctl", NULL);

	if (props)
		pw_properties_set(props, PW_KEY_REMOTE_NAME, socket);
	m->core = pw_context_connect(m->context, props, 0);
	if (!m->core)
		return -errno;
	pw_core_add_listener(m->core, &m->core_listener, &core_events, m);
	m->registry = pw_core_get_registry(m->core, PW_VERSION_REGISTRY, 0);
	if (!m->registry)
		return -errno;
	pw_registry_add_listener(m->registry, &m->registry_listener, &registry_events, m);
	return 0;
}

static int make_loop(struct mixer *m)
{
	m->main_loop = pw_main_loop_new(NULL);
	if (!m->main_loop)
		return -errno;
	m->patience = pw_loop_add_timer(pw_main_loop_get_loop(m->main_loop), on_patience, m);
	m->context = pw_context_new(pw_main_loop_get_loop(m->main_loop), NULL, 0);
	return m->patience && m->context ? 0 : -errno;
}

int mixer_open(const char *socket, struct mixer **out)
{
	struct mixer *m = calloc(1, sizeof(*m));
	int res;

	if (!m)
		return -ENOMEM;
	spa_list_init(&m->nodes);
	pw_init(NULL, NULL);
	res = make_loop(m);
	if (res == 0)
		res = connect_core(m, socket);
	if (res == 0)
		res = mixer_look(m);
	if (res < 0) {
		mixer_close(m);
		return res;
	}
	*out = m;
	return 0;
}

void mixer_close(struct mixer *m)
{
	struct node *n, *next;

	if (!m)
		return;
	spa_list_for_each_safe(n, next, &m->nodes, link)
	{
		node_free(n);
	}
	if (m->registry)
		pw_proxy_destroy((struct pw_proxy *)m->registry);
	if (m->core)
		pw_core_disconnect(m->core);
	if (m->context)
		pw_context_destroy(m->context);
	if (m->patience)
		pw_loop_destroy_source(pw_main_loop_get_loop(m->main_loop), m->patience);
	if (m->main_loop)
		pw_main_loop_destroy(m->main_loop);
	free(m);
}
