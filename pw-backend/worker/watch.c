/* SPDX-License-Identifier: MIT */
/*
 * Notices when a session manager comes, by the metadata object "default" that it makes.
 *
 * Nodes that were there before it may never be linked (WirePlumber 0.4), so they are made anew
 * unless the graph runs them shortly afterwards. All guests play into one sound server, so one
 * connection watches for all; a graph in which nothing comes or goes costs nothing.
 */
#include "glue.h"

#include <errno.h>
#include <string.h>

#include <pipewire/extensions/metadata.h>

#include <xaring/log.h>

/* For what the new one links by itself. */
#define SETTLE_MS 150u

static void on_timer(void *data, uint64_t expirations)
{
	struct worker *w = data;
	struct guest *g;

	(void)expirations;
	spa_list_for_each(g, &w->guests, link) guest_manager_came(g);
}

static void on_global(void *data, uint32_t id, uint32_t permissions, const char *type,
		      uint32_t version, const struct spa_dict *props)
{
	struct worker *w = data;
	const char *name;

	(void)id, (void)permissions, (void)version;
	if (!w->watch.is_complete || !props || strcmp(type, PW_TYPE_INTERFACE_Metadata) != 0)
		return;
	name = spa_dict_lookup(props, PW_KEY_METADATA_NAME);
	if (!name || strcmp(name, "default") != 0)
		return;
	xaring_log(XARING_LOG_DEBUG, "a session manager has come");
	worker_arm(w, w->watch.timer, SETTLE_MS);
}

static const struct pw_registry_events registry_events = {
	PW_VERSION_REGISTRY_EVENTS,
	.global = on_global,
};

static void on_done(void *data, uint32_t id, int seq)
{
	struct watch *watch = data;

	if (id == PW_ID_CORE && seq == watch->sync)
		watch->is_complete = true;
}

static const struct pw_core_events core_events = {
	PW_VERSION_CORE_EVENTS,
	.done = on_done,
};

int watch_create(struct worker *w)
{
	w->watch.timer = pw_loop_add_timer(w->loop, on_timer, w);
	return w->watch.timer ? 0 : -errno;
}

void watch_destroy(struct worker *w)
{
	if (w->watch.timer)
		pw_loop_destroy_source(w->loop, w->watch.timer);
}

void watch_guest_linked(struct guest *g)
{
	struct worker *w = g->worker;
	struct watch *watch = &w->watch;

	if (watch->guest)
		return;
	watch->registry = pw_core_get_registry(g->core, PW_VERSION_REGISTRY, 0);
	if (!watch->registry)
		return;
	watch->guest = g;
	watch->is_complete = false;
	pw_registry_add_listener(watch->registry, &watch->registry_listener, &registry_events, w);
	pw_core_add_listener(g->core, &watch->core_listener, &core_events, watch);
	watch->sync = pw_core_sync(g->core, PW_ID_CORE, 0);
}

/* Another guest that is linked, if there is one, but not the one that is about to go. */
static struct guest *find_other(struct worker *w, const struct guest *gone)
{
	struct guest *g;

	spa_list_for_each(g, &w->guests, link)
	{
		if (g != gone && g->core && !g->is_lost)
			return g;
	}
	return NULL;
}

void watch_guest_unlinked(struct guest *g)
{
	struct worker *w = g->worker;
	struct watch *watch = &w->watch;
	struct guest *other;

	if (watch->guest != g)
		return;
	spa_hook_remove(&watch->registry_listener);
	spa_hook_remove(&watch->core_listener);
	pw_proxy_destroy((struct pw_proxy *)watch->registry);
	watch->guest = NULL;
	other = find_other(w, g);
	if (other)
		watch_guest_linked(other);
}
