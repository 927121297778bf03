/* SPDX-License-Identifier: MIT */
#include "graph-late.h"

#include <errno.h>
#include <string.h>

#include <pipewire/extensions/profiler.h>
#include <pipewire/impl.h>
#include <spa/param/profiler.h>
#include <spa/pod/parser.h>

/* Of a node in a cycle, as pipewire/private.h has them: 0 is one that was not asked, 3 one that has finished. */
enum { STATUS_TRIGGERED = 1, STATUS_AWAKE = 2 };

/* driverBlock and followerBlock begin alike: see spa/param/profiler.h. */
static void read_block(struct graph_late *late, const struct spa_pod *block)
{
	struct spa_pod_parser parser;
	struct spa_pod_frame frame;
	int64_t prev_signal, signal, awake, finish;
	int32_t id, status;
	const char *name;

	spa_pod_parser_pod(&parser, block);
	if (spa_pod_parser_push_struct(&parser, &frame) < 0 ||
	    spa_pod_parser_get(&parser, SPA_POD_Int(&id), SPA_POD_String(&name),
			       SPA_POD_Long(&prev_signal), SPA_POD_Long(&signal),
			       SPA_POD_Long(&awake), SPA_POD_Long(&finish), SPA_POD_Int(&status),
			       NULL) < 0)
		return;
	if (status == STATUS_TRIGGERED || status == STATUS_AWAKE)
		late->on_late(late->data, name);
}

/* A structure with an object for each cycle of each driver. */
static void on_profile(void *data, const struct spa_pod *pod)
{
	const struct spa_pod *cycle;
	const struct spa_pod_prop *prop;

	SPA_POD_STRUCT_FOREACH(pod, cycle)
	{
		if (!spa_pod_is_object_type(cycle, SPA_TYPE_OBJECT_Profiler))
			continue;
		SPA_POD_OBJECT_FOREACH((const struct spa_pod_object *)cycle, prop)
		{
			if (prop->key == SPA_PROFILER_driverBlock ||
			    prop->key == SPA_PROFILER_followerBlock)
				read_block(data, &prop->value);
		}
	}
}

static const struct pw_profiler_events profiler_events = {
	PW_VERSION_PROFILER_EVENTS,
	.profile = on_profile,
};

int graph_late_init(struct pw_context *context)
{
	/* It brings the protocol of the profiler. */
	if (!pw_context_load_module(context, PW_EXTENSION_MODULE_PROFILER, NULL, NULL))
		return -errno;
	return 0;
}

void graph_late_look(struct graph_late *late, struct pw_registry *registry, uint32_t id,
		     const char *type)
{
	if (strcmp(type, PW_TYPE_INTERFACE_Profiler) != 0)
		return;
	graph_late_stop(late);
	late->proxy =
		pw_registry_bind(registry, id, PW_TYPE_INTERFACE_Profiler, PW_VERSION_PROFILER, 0);
	if (late->proxy)
		pw_proxy_add_object_listener(late->proxy, &late->listener, &profiler_events, late);
}

void graph_late_stop(struct graph_late *late)
{
	if (late->proxy)
		pw_proxy_destroy(late->proxy);
	late->proxy = NULL;
}
