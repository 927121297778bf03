/* SPDX-License-Identifier: MIT */
/*
 * Says what is in a PipeWire graph, and ends: what pw-dump and jq say as well, in a fifth of their time,
 * which counts where a processor is emulated and scenarios look often. A server that does not answer within
 * 10 s ends it by SIGALRM.
 *
 *   graph             a line for each client and node: client or node, its number, its name and for nodes
 *                     its class, separated by tabs
 *   graph volume ID   the volume of that node's first channel in thousandths
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pipewire/pipewire.h>
#include <spa/param/props.h>
#include <spa/pod/iter.h>

struct app {
	struct pw_main_loop *loop;
	struct pw_registry *registry;
	struct pw_node *node;
	struct spa_hook node_listener;
	uint32_t wanted; /* the node whose volume is asked for */
	int pending;
	bool failed;
	int res;
};

static const char *text_of(const struct spa_dict *props, const char *key)
{
	const char *text = props ? spa_dict_lookup(props, key) : NULL;

	return text ? text : "";
}

static void on_param(void *data, int seq, uint32_t id, uint32_t index, uint32_t next,
		     const struct spa_pod *param)
{
	const struct spa_pod_prop *prop = spa_pod_find_prop(param, NULL, SPA_PROP_channelVolumes);
	float volumes[64];
	struct app *app = data;

	(void)seq, (void)id, (void)index, (void)next;
	if (!prop ||
	    spa_pod_copy_array(&prop->value, SPA_TYPE_Float, volumes, SPA_N_ELEMENTS(volumes)) == 0)
		return;
	printf("%.0f\n", (double)volumes[0] * 1000);
	app->res = 0;
}

static const struct pw_node_events node_events = {PW_VERSION_NODE_EVENTS, .param = on_param};

static void on_global(void *data, uint32_t id, uint32_t permissions, const char *type,
		      uint32_t version, const struct spa_dict *props)
{
	struct app *app = data;

	(void)permissions, (void)version;
	if (app->wanted == id && strcmp(type, PW_TYPE_INTERFACE_Node) == 0) {
		app->node = pw_registry_bind(app->registry, id, type, PW_VERSION_NODE, 0);
		pw_node_add_listener(app->node, &app->node_listener, &node_events, app);
		pw_node_enum_params(app->node, 0, SPA_PARAM_Props, 0, 1, NULL);
	}
	if (app->wanted != SPA_ID_INVALID)
		return;
	if (strcmp(type, PW_TYPE_INTERFACE_Client) == 0)
		printf("client\t%u\t%s\n", id, text_of(props, PW_KEY_APP_NAME));
	if (strcmp(type, PW_TYPE_INTERFACE_Node) == 0)
		printf("node\t%u\t%s\t%s\n", id, text_of(props, PW_KEY_NODE_NAME),
		       text_of(props, PW_KEY_MEDIA_CLASS));
}

static const struct pw_registry_events registry_events = {PW_VERSION_REGISTRY_EVENTS,
							  .global = on_global};

/* Twice around: the first brings the globals, the second what was asked of them. */
static void on_done(void *data, uint32_t id, int seq)
{
	struct app *app = data;

	(void)id;
	if (seq == app->pending)
		pw_main_loop_quit(app->loop);
}

static void on_error(void *data, uint32_t id, int seq, int res, const char *message)
{
	struct app *app = data;

	(void)id, (void)seq, (void)res;
	fprintf(stderr, "graph: %s\n", message);
	app->failed = true;
	pw_main_loop_quit(app->loop);
}

static const struct pw_core_events core_events = {PW_VERSION_CORE_EVENTS, .done = on_done,
						  .error = on_error};

static int look(struct app *app, struct pw_core *core)
{
	struct spa_hook core_listener, registry_listener;

	pw_core_add_listener(core, &core_listener, &core_events, app);
	app->registry = pw_core_get_registry(core, PW_VERSION_REGISTRY, 0);
	pw_registry_add_listener(app->registry, &registry_listener, &registry_events, app);
	for (int round = 0; round < 2 && !app->failed; round++) {
		app->pending = pw_core_sync(core, PW_ID_CORE, 0);
		pw_main_loop_run(app->loop);
	}
	return app->failed ? 1 : app->res;
}

int main(int argc, char **argv)
{
	struct app app = {.wanted = SPA_ID_INVALID};
	struct pw_context *context;
	struct pw_core *core;

	alarm(10);
	pw_init(&argc, &argv);
	if (argc == 3 && strcmp(argv[1], "volume") == 0) {
		app.wanted = (uint32_t)strtoul(argv[2], NULL, 10);
		app.res = 1; /* until it is known */
	} else if (argc != 1) {
		fprintf(stderr, "Usage: graph [volume ID]\n");
		return 2;
	}
	app.loop = pw_main_loop_new(NULL);
	context = app.loop ? pw_context_new(pw_main_loop_get_loop(app.loop), NULL, 0) : NULL;
	core = context ? pw_context_connect(context, NULL, 0) : NULL;
	if (!core) {
		perror("graph: PipeWire");
		return 1;
	}
	return look(&app, core);
}
