/* SPDX-License-Identifier: MIT */
/*
 * Keeps a file that says what is in a PipeWire graph, for scenarios to look at as often as they like: a
 * program that asks takes half a second to start where a processor is emulated.
 *
 *   graph FILE
 *       A line for each client and node: client or node, its number, its name; for nodes their class, and for
 *       those of guests whether they are "running", and the volume of the first channel in thousandths. Separated
 *       by tabs. The file is replaced as a whole, and not there while there is no server: that of the environment,
 *       which may come and go.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pipewire/pipewire.h>
#include <spa/param/props.h>
#include <spa/pod/iter.h>

#define RETRY_US       100000
#define NAME_MAX_BYTES 128

struct app {
	const char *path;
	struct pw_main_loop *loop;
	struct pw_core *core;
	struct pw_registry *registry;
	struct spa_list objects;
	int pending; /* the answer after which the file is written; -1 = nothing has changed */
};

struct object {
	struct spa_list link;
	struct app *app;
	uint32_t id;
	bool is_node;
	char name[NAME_MAX_BYTES], class[NAME_MAX_BYTES];
	struct pw_proxy *proxy; /* of a guest's node */
	struct spa_hook listener;
	bool is_running;
	int volume;
};

static void write_object(FILE *file, const struct object *o)
{
	if (!o->is_node)
		fprintf(file, "client\t%u\t%s\n", o->id, o->name);
	else
		fprintf(file, "node\t%u\t%s\t%s\t%s\t%d\n", o->id, o->name, o->class,
			o->is_running ? "running" : "idle", o->volume);
}

static void write_file(struct app *app)
{
	char path[PATH_MAX];
	struct object *o;
	FILE *file;

	snprintf(path, sizeof(path), "%s.new", app->path);
	file = fopen(path, "we");
	if (!file) {
		perror(path);
		exit(1);
	}
	spa_list_for_each(o, &app->objects, link) write_object(file, o);
	if (fclose(file) != 0 || rename(path, app->path) < 0) {
		perror(path);
		exit(1);
	}
}

/* Many changes come at once: the file is written when the server has said them all. */
static void changed(struct app *app)
{
	if (app->pending < 0)
		app->pending = pw_core_sync(app->core, PW_ID_CORE, 0);
}

static void on_param(void *data, int seq, uint32_t id, uint32_t index, uint32_t next,
		     const struct spa_pod *param)
{
	const struct spa_pod_prop *prop = spa_pod_find_prop(param, NULL, SPA_PROP_channelVolumes);
	float volumes[64];
	struct object *o = data;

	(void)seq, (void)id, (void)index, (void)next;
	if (!prop ||
	    spa_pod_copy_array(&prop->value, SPA_TYPE_Float, volumes, SPA_N_ELEMENTS(volumes)) == 0)
		return;
	o->volume = (int)(volumes[0] * 1000 + 0.5f);
	changed(o->app);
}

static void on_info(void *data, const struct pw_node_info *info)
{
	bool is_running = info->state == PW_NODE_STATE_RUNNING;
	struct object *o = data;

	if (o->is_running == is_running)
		return;
	o->is_running = is_running;
	changed(o->app);
}

static const struct pw_node_events node_events = {PW_VERSION_NODE_EVENTS, .info = on_info,
						  .param = on_param};

static void follow_node(struct object *o)
{
	uint32_t props = SPA_PARAM_Props;

	o->proxy = pw_registry_bind(o->app->registry, o->id, PW_TYPE_INTERFACE_Node,
				    PW_VERSION_NODE, 0);
	pw_node_add_listener((struct pw_node *)o->proxy, &o->listener, &node_events, o);
	pw_node_subscribe_params((struct pw_node *)o->proxy, &props, 1);
}

static void copy_text(char text[NAME_MAX_BYTES], const struct spa_dict *props, const char *key)
{
	const char *value = props ? spa_dict_lookup(props, key) : NULL;

	snprintf(text, NAME_MAX_BYTES, "%s", value ? value : "");
}

static void on_global(void *data, uint32_t id, uint32_t permissions, const char *type,
		      uint32_t version, const struct spa_dict *props)
{
	bool is_node = strcmp(type, PW_TYPE_INTERFACE_Node) == 0;
	struct app *app = data;
	struct object *o;

	(void)permissions, (void)version;
	if (!is_node && strcmp(type, PW_TYPE_INTERFACE_Client) != 0)
		return;
	o = calloc(1, sizeof(*o));
	if (!o)
		exit(1);
	*o = (struct object){.app = app, .id = id, .is_node = is_node, .volume = -1};
	copy_text(o->name, props, is_node ? PW_KEY_NODE_NAME : PW_KEY_APP_NAME);
	copy_text(o->class, props, PW_KEY_MEDIA_CLASS);
	spa_list_append(&app->objects, &o->link);
	if (is_node && strncmp(o->name, "xen.", 4) == 0)
		follow_node(o);
	changed(app);
}

static void forget(struct object *o)
{
	if (o->proxy) {
		spa_hook_remove(&o->listener);
		pw_proxy_destroy(o->proxy);
	}
	spa_list_remove(&o->link);
	free(o);
}

static void on_global_remove(void *data, uint32_t id)
{
	struct app *app = data;
	struct object *o, *next;

	spa_list_for_each_safe(o, next, &app->objects, link)
	{
		if (o->id != id)
			continue;
		forget(o);
		changed(app);
	}
}

static const struct pw_registry_events registry_events = {PW_VERSION_REGISTRY_EVENTS,
							  .global = on_global,
							  .global_remove = on_global_remove};

static void on_done(void *data, uint32_t id, int seq)
{
	struct app *app = data;

	if (id != PW_ID_CORE || seq != app->pending)
		return;
	app->pending = -1;
	write_file(app);
}

static void on_error(void *data, uint32_t id, int seq, int res, const char *message)
{
	struct app *app = data;

	(void)seq, (void)message;
	if (id == PW_ID_CORE && res == -EPIPE)
		pw_main_loop_quit(app->loop);
}

static const struct pw_core_events core_events = {PW_VERSION_CORE_EVENTS, .done = on_done,
						  .error = on_error};

/* Until the server goes. */
static void follow(struct app *app)
{
	struct spa_hook core_listener, registry_listener;
	struct object *o, *next;

	app->pending = -1;
	pw_core_add_listener(app->core, &core_listener, &core_events, app);
	app->registry = pw_core_get_registry(app->core, PW_VERSION_REGISTRY, 0);
	pw_registry_add_listener(app->registry, &registry_listener, &registry_events, app);
	changed(app);
	pw_main_loop_run(app->loop);
	unlink(app->path);
	spa_list_for_each_safe(o, next, &app->objects, link) forget(o);
	spa_hook_remove(&registry_listener);
	spa_hook_remove(&core_listener);
	pw_proxy_destroy((struct pw_proxy *)app->registry);
	pw_core_disconnect(app->core);
}

int main(int argc, char **argv)
{
	struct app app = {0};
	struct pw_context *context;

	pw_init(NULL, NULL);
	if (argc != 2) {
		fprintf(stderr, "usage: graph FILE\n");
		return 2;
	}
	app.path = argv[1];
	spa_list_init(&app.objects);
	app.loop = pw_main_loop_new(NULL);
	context = app.loop ? pw_context_new(pw_main_loop_get_loop(app.loop), NULL, 0) : NULL;
	if (!context) {
		perror("graph: PipeWire");
		return 1;
	}
	for (;;) {
		app.core = pw_context_connect(context, NULL, 0);
		if (app.core)
			follow(&app);
		else
			usleep(RETRY_US);
	}
}
