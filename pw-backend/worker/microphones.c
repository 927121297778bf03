/* SPDX-License-Identifier: MIT */
/*
 * What the capture nodes of a VM hear. The session manager links them, people move them, and both may choose
 * what is no microphone: the monitor of a sink, which is what other VMs play. A node is open only while all
 * its links come from nodes of class microphone.
 *
 * The server tells of a link, on the connection that its node lives on, before it has the node take sound from
 * it: what a link brings is never heard before the link was judged.
 */
#include "glue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>

/* A microphone, or a link into a node of this VM. */
struct object {
	struct spa_list link;
	uint32_t id;
	uint32_t from, to; /* of a link: nodes */
};

struct microphones {
	struct guest *guest;
	struct pw_registry *registry;
	struct spa_hook listener;
	struct spa_list nodes, links; /* struct object */
	bool is_incomplete;           /* out of memory: nothing is known for sure */
};

static bool is_microphone_class(const char *class)
{
	return class &&
	       (strcmp(class, "Audio/Source") == 0 || strcmp(class, "Audio/Source/Virtual") == 0);
}

static struct object *find_object(struct spa_list *list, uint32_t id)
{
	struct object *each;

	spa_list_for_each(each, list, link)
	{
		if (each->id == id)
			return each;
	}
	return NULL;
}

static bool add_object(struct spa_list *list, const struct object *object)
{
	struct object *added = malloc(sizeof(*added));

	if (!added)
		return false;
	*added = *object;
	spa_list_append(list, &added->link);
	return true;
}

static bool remove_object(struct spa_list *list, uint32_t id)
{
	struct object *object = find_object(list, id);

	if (!object)
		return false;
	spa_list_remove(&object->link);
	free(object);
	return true;
}

static struct stream *find_recorder(const struct guest *g, uint32_t node)
{
	struct stream *s;

	spa_list_for_each(s, &g->streams, link)
	{
		if (stream_records(s) && s->node && pw_stream_get_node_id(s->node) == node)
			return s;
	}
	return NULL;
}

static bool hears_microphones_only(struct microphones *m, uint32_t node)
{
	struct object *each;
	bool any = false;

	spa_list_for_each(each, &m->links, link)
	{
		if (each->to != node)
			continue;
		if (!find_object(&m->nodes, each->from))
			return false;
		any = true;
	}
	return any && !m->is_incomplete;
}

static void judge_all(struct microphones *m)
{
	struct stream *s;

	spa_list_for_each(s, &m->guest->streams, link)
	{
		if (stream_records(s) && s->node)
			node_open(s, hears_microphones_only(m, pw_stream_get_node_id(s->node)));
	}
}

static void add_link(struct microphones *m, uint32_t id, const struct spa_dict *props)
{
	const char *from = spa_dict_lookup(props, PW_KEY_LINK_OUTPUT_NODE);
	const char *to = spa_dict_lookup(props, PW_KEY_LINK_INPUT_NODE);
	struct object link = {.id = id};

	if (!to || !spa_atou32(to, &link.to, 10) || !find_recorder(m->guest, link.to))
		return;
	if (!from || !spa_atou32(from, &link.from, 10))
		link.from = SPA_ID_INVALID;
	if (!add_object(&m->links, &link))
		m->is_incomplete = true;
	if (!find_object(&m->nodes, link.from))
		xaring_log(XARING_LOG_DEBUG, "vm %s: what is no microphone (node %u) is not heard",
			   m->guest->vm.u.vm.name, link.from);
	judge_all(m);
}

/* One that is not known as a microphone for lack of memory is none. */
static void add_node(struct microphones *m, uint32_t id, const struct spa_dict *props)
{
	const struct object node = {.id = id};

	if (is_microphone_class(spa_dict_lookup(props, PW_KEY_MEDIA_CLASS)))
		(void)add_object(&m->nodes, &node);
}

static void on_global(void *data, uint32_t id, uint32_t permissions, const char *type,
		      uint32_t version, const struct spa_dict *props)
{
	struct microphones *m = data;

	(void)permissions, (void)version;
	if (!props)
		return;
	if (strcmp(type, PW_TYPE_INTERFACE_Node) == 0)
		add_node(m, id, props);
	else if (strcmp(type, PW_TYPE_INTERFACE_Link) == 0)
		add_link(m, id, props);
}

static void on_global_remove(void *data, uint32_t id)
{
	struct microphones *m = data;

	if (remove_object(&m->nodes, id) || remove_object(&m->links, id))
		judge_all(m);
}

static const struct pw_registry_events registry_events = {
	PW_VERSION_REGISTRY_EVENTS,
	.global = on_global,
	.global_remove = on_global_remove,
};

int microphones_watch(struct guest *g)
{
	struct microphones *m;

	if (g->microphones)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->registry = pw_core_get_registry(g->core, PW_VERSION_REGISTRY, 0);
	if (!m->registry) {
		free(m);
		return -errno;
	}
	m->guest = g;
	spa_list_init(&m->nodes);
	spa_list_init(&m->links);
	pw_registry_add_listener(m->registry, &m->listener, &registry_events, m);
	g->microphones = m;
	return 0;
}

static void free_objects(struct spa_list *list)
{
	struct object *each;

	spa_list_consume(each, list, link)
	{
		spa_list_remove(&each->link);
		free(each);
	}
}

void microphones_ignore(struct guest *g)
{
	struct microphones *m = g->microphones;

	if (!m)
		return;
	spa_hook_remove(&m->listener);
	pw_proxy_destroy((struct pw_proxy *)m->registry);
	free_objects(&m->nodes);
	free_objects(&m->links);
	free(m);
	g->microphones = NULL;
}
