/* SPDX-License-Identifier: MIT */
/*
 * Which nodes of a PipeWire graph had not finished when their cycle was over, as its profiler tells it to
 * pw-top's column ERR, too: the graph goes on without what they would have given. Main thread.
 */
#ifndef GRAPH_LATE_H
#define GRAPH_LATE_H

#include <pipewire/pipewire.h>

struct graph_late {
	struct pw_proxy *proxy; /* of the profiler, or NULL */
	struct spa_hook listener;
	void (*on_late)(void *data, const char *node);
	void *data;
};

/* Once for each context, before the first connection: 0, or a negative errno. */
int graph_late_init(struct pw_context *context);

/*
 * For each global of the registry. From the profiler's on on_late is called with the name of each late node, for
 * each cycle in which it was; it may not call graph_late_stop().
 */
void graph_late_look(struct graph_late *late, struct pw_registry *registry, uint32_t id,
		     const char *type);

/* Nothing when it was not started. Before the registry's end. */
void graph_late_stop(struct graph_late *late);

#endif
