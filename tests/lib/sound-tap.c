/* SPDX-License-Identifier: MIT */
/*
 * Records what nodes of a PipeWire graph give out, as the floats that are in the graph, with the
 * time of every cycle. Makes its links itself, so it needs no session manager, and comes back by
 * itself when PipeWire does.
 *
 *   sound-tap NODE:CHANNELS:FILE...     for example  'xen.work.playback.*:FL,FR:work.f32'
 *
 * NODE is a pattern for node.name; of a sink the monitor is recorded. FILE gets interleaved
 * 32-bit floats, silence while nothing is linked, and FILE.times a line for each cycle:
 * first frame, monotonic ns, frames, position of the graph's clock. The first cycles of new links are
 * silence, too. What happens is told on standard output: connected, linked, hears, deaf (nothing is
 * linked any more), lost (a cycle went on without the recorder), late and a node's name (a cycle went on
 * without that node), late graph (a cycle began later than the next one should have), disconnected.
 */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pipewire/filter.h>
#include <pipewire/pipewire.h>

#include "graph-late.h"

#define CHANNELS_MAX  8
#define TAPS_MAX      40
#define RING_FRAMES   (1u << 17) /* 1.4 s at 96 kHz */
#define RING_CYCLES   (1u << 12)
#define FLUSH_NS      20000000
#define RETRY_NS      10000000
#define SETTLE_CYCLES 4

struct cycle {
	uint64_t ns;
	uint64_t position;
	uint32_t frames;
};

struct tap {
	struct app *app;
	const char *node;
	char *channels[CHANNELS_MAX];
	uint32_t n_channels;
	FILE *file;
	FILE *times;
	uint64_t written;
	uint64_t linked;
	struct pw_filter *filter;
	struct spa_hook listener;
	void *ports[CHANNELS_MAX];
	/* Ring from the real-time thread to the main thread: frames and cycles. */
	float *ring;
	struct cycle *cycles;
	_Atomic uint32_t head, tail;
	_Atomic uint32_t cycle_head, cycle_tail;
	_Atomic uint32_t dropped;
	_Atomic bool hears; /* all ports got data in the last cycle */
	bool heard;         /* what was told of it */
	uint64_t expected;  /* position of the next cycle; real-time thread */
	uint32_t settling;  /* cycles that are left out still; real-time thread */
};

/* A port of the graph that we know: kept until it is removed. */
struct known {
	struct known *next;
	uint32_t id;
	uint32_t node;
	bool is_node;
	bool is_input;
	bool is_sink;
	char name[256]; /* node.name, or the channel of a port */
};

struct app {
	struct pw_main_loop *loop;
	struct pw_context *context;
	struct pw_core *core;
	struct pw_registry *registry;
	struct spa_hook core_listener, registry_listener;
	struct spa_source *retry;
	struct known *known;
	struct tap taps[TAPS_MAX];
	uint32_t n_taps;
	struct graph_late late;
	bool lost;
	_Atomic uint32_t stalls; /* of the graph */
	bool is_behind;          /* its last cycle began late; real-time thread */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void say(const char *what, const char *detail)
{
	printf("%" PRIu64 " %s %s\n", now_ns(), what, detail);
	fflush(stdout);
}

static void die(const char *what)
{
	fprintf(stderr, "sound-tap: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A graph that stood still makes up for it with cycles that follow each other at once: one stall. */
static void notice_stall(struct app *app, const struct spa_io_clock *clock)
{
	uint64_t cycle_ns = clock->duration * 1000000000u * clock->rate.num / clock->rate.denom;
	bool is_behind = now_ns() > clock->nsec + cycle_ns;

	if (is_behind && !app->is_behind)
		atomic_fetch_add(&app->stalls, 1);
	app->is_behind = is_behind;
}

/* Real-time thread: one cycle into the ring, or not at all when it is full. */
static void on_process(void *data, struct spa_io_position *position)
{
	struct tap *tap = data;
	uint32_t frames = (uint32_t)position->clock.duration;
	uint32_t head = atomic_load(&tap->head), at = atomic_load(&tap->cycle_head);
	const float *in[CHANNELS_MAX];
	bool hears = true, is_torn;

	if (RING_FRAMES - (head - atomic_load(&tap->tail)) < frames ||
	    at - atomic_load(&tap->cycle_tail) >= RING_CYCLES) {
		atomic_fetch_add(&tap->dropped, frames);
		return;
	}
	for (uint32_t c = 0; c < tap->n_channels; c++) {
		in[c] = tap->ports[c] ? pw_filter_get_dsp_buffer(tap->ports[c], frames) : NULL;
		hears = hears && in[c];
	}
	/* Links are made one by one while the graph runs: what one brings first may be of another cycle. */
	tap->settling = !hears ? SETTLE_CYCLES : tap->settling > 0 ? tap->settling - 1 : 0;
	is_torn = hears && tap->settling > 0;
	hears = hears && !is_torn;
	for (uint32_t c = 0; c < tap->n_channels; c++) {
		for (uint32_t i = 0; i < frames; i++) {
			uint32_t slot = (head + i) & (RING_FRAMES - 1);

			tap->ring[slot * tap->n_channels + c] = in[c] && !is_torn ? in[c][i] : 0.0f;
		}
	}
	tap->cycles[at & (RING_CYCLES - 1)] = (struct cycle){
		.ns = position->clock.nsec,
		.position = position->clock.position,
		.frames = frames,
	};
	if (hears)
		notice_stall(tap->app, &position->clock);
	/* The graph did not wait for us: what is missing here was there. */
	if (hears && atomic_load(&tap->hears) && position->clock.position != tap->expected)
		atomic_fetch_add(&tap->dropped, frames);
	tap->expected = position->clock.position + frames;
	atomic_store(&tap->hears, hears);
	atomic_store(&tap->head, head + frames);
	atomic_store(&tap->cycle_head, at + 1);
}

static void flush_tap(struct tap *tap)
{
	uint32_t tail = atomic_load(&tap->tail), at = atomic_load(&tap->cycle_tail);
	uint32_t cycle_head = atomic_load(&tap->cycle_head);

	for (; at != cycle_head; at++) {
		const struct cycle *cycle = &tap->cycles[at & (RING_CYCLES - 1)];

		fprintf(tap->times, "%" PRIu64 " %" PRIu64 " %u %" PRIu64 "\n", tap->written,
			cycle->ns, cycle->frames, cycle->position);
		for (uint32_t i = 0; i < cycle->frames; i++, tail++)
			fwrite(&tap->ring[(tail & (RING_FRAMES - 1)) * tap->n_channels],
			       sizeof(float), tap->n_channels, tap->file);
		tap->written += cycle->frames;
	}
	atomic_store(&tap->tail, tail);
	atomic_store(&tap->cycle_tail, at);
	if (atomic_exchange(&tap->dropped, 0))
		say("lost", tap->node);
	if (atomic_load(&tap->hears) != tap->heard) {
		tap->heard = !tap->heard;
		say(tap->heard ? "hears" : "deaf", tap->node);
	}
	fflush(tap->file);
	fflush(tap->times);
}

static void on_flush(void *data, uint64_t expirations)
{
	struct app *app = data;

	(void)expirations;
	for (uint32_t n = atomic_exchange(&app->stalls, 0); n; n--)
		say("late", "graph");
	for (uint32_t i = 0; i < app->n_taps; i++)
		flush_tap(&app->taps[i]);
}

static const struct known *find_known(const struct app *app, uint32_t id)
{
	for (const struct known *k = app->known; k; k = k->next)
		if (k->id == id)
			return k;
	return NULL;
}

/* A sink is kept running, so that the recording has no holes; a stream's life is its own affair. */
static void make_link(struct app *app, struct tap *tap, const struct known *output, uint32_t input)
{
	const struct known *node = find_known(app, output->node);
	char from[16], to[16];
	struct pw_properties *props;

	snprintf(from, sizeof(from), "%u", output->id);
	snprintf(to, sizeof(to), "%u", input);
	props = pw_properties_new(PW_KEY_LINK_OUTPUT_PORT, from, PW_KEY_LINK_INPUT_PORT, to,
				  PW_KEY_LINK_PASSIVE, node && node->is_sink ? "false" : "true",
				  NULL);
	pw_core_create_object(app->core, "link-factory", PW_TYPE_INTERFACE_Link, PW_VERSION_LINK,
			      &props->dict, 0);
	pw_properties_free(props);
	tap->linked++;
	say("linked", tap->node);
}

/* Links two known ports when one is an output that a tap wants and the other that tap's input. */
static void match_ports(struct app *app, const struct known *output, const struct known *input)
{
	const struct known *node = find_known(app, output->node);

	if (!node || output->is_input || !input->is_input || strcmp(output->name, input->name) != 0)
		return;
	for (uint32_t i = 0; i < app->n_taps; i++) {
		struct tap *tap = &app->taps[i];

		if (tap->filter && pw_filter_get_node_id(tap->filter) == input->node &&
		    fnmatch(tap->node, node->name, 0) == 0)
			make_link(app, tap, output, input->id);
	}
}

static void match_all(struct app *app, const struct known *fresh)
{
	for (const struct known *k = app->known; k; k = k->next) {
		if (k->is_node || k == fresh)
			continue;
		match_ports(app, fresh, k);
		match_ports(app, k, fresh);
	}
}

static void on_global(void *data, uint32_t id, uint32_t permissions, const char *type,
		      uint32_t version, const struct spa_dict *props)
{
	struct app *app = data;
	bool is_node = strcmp(type, PW_TYPE_INTERFACE_Node) == 0;
	const char *name, *node, *direction, *class;
	struct known *k;

	(void)permissions;
	(void)version;
	graph_late_look(&app->late, app->registry, id, type);
	if (!props || (!is_node && strcmp(type, PW_TYPE_INTERFACE_Port) != 0))
		return;
	name = spa_dict_lookup(props, is_node ? PW_KEY_NODE_NAME : PW_KEY_AUDIO_CHANNEL);
	node = spa_dict_lookup(props, PW_KEY_NODE_ID);
	direction = spa_dict_lookup(props, PW_KEY_PORT_DIRECTION);
	class = spa_dict_lookup(props, PW_KEY_MEDIA_CLASS);
	if (!name || (!is_node && (!node || !direction)))
		return;
	k = calloc(1, sizeof(*k));
	if (!k)
		die("memory");
	k->id = id;
	k->is_node = is_node;
	k->is_sink = is_node && class && strncmp(class, "Audio/Sink", 10) == 0;
	k->node = is_node ? id : (uint32_t)strtoul(node, NULL, 10);
	k->is_input = !is_node && strcmp(direction, "in") == 0;
	snprintf(k->name, sizeof(k->name), "%s", name);
	k->next = app->known;
	app->known = k;
	if (!is_node)
		match_all(app, k);
}

static void on_global_remove(void *data, uint32_t id)
{
	struct app *app = data;

	for (struct known **at = &app->known; *at; at = &(*at)->next) {
		struct known *k = *at;

		if (k->id != id)
			continue;
		*at = k->next;
		free(k);
		return;
	}
}

static const struct pw_registry_events registry_events = {
	PW_VERSION_REGISTRY_EVENTS,
	.global = on_global,
	.global_remove = on_global_remove,
};

static void on_core_error(void *data, uint32_t id, int seq, int res, const char *message)
{
	struct app *app = data;

	(void)seq;
	(void)message;
	if (id != PW_ID_CORE || res != -EPIPE || app->lost)
		return;
	/* The core may not be destroyed in here: the timer does it. */
	app->lost = true;
	say("disconnected", "");
}

static void on_late(void *data, const char *node)
{
	(void)data;
	say("late", node);
}

static const struct pw_core_events core_events = {
	PW_VERSION_CORE_EVENTS,
	.error = on_core_error,
};

static const struct pw_filter_events filter_events = {
	PW_VERSION_FILTER_EVENTS,
	.process = on_process,
};

static int start_tap(struct tap *tap)
{
	struct pw_properties *props =
		pw_properties_new(PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY, "Capture",
				  PW_KEY_NODE_ALWAYS_PROCESS, "true", PW_KEY_NODE_WANT_DRIVER,
				  "true", NULL);

	tap->filter = pw_filter_new(tap->app->core, "sound-tap", props);
	if (!tap->filter)
		return -errno;
	pw_filter_add_listener(tap->filter, &tap->listener, &filter_events, tap);
	for (uint32_t c = 0; c < tap->n_channels; c++)
		tap->ports[c] =
			pw_filter_add_port(tap->filter, PW_DIRECTION_INPUT,
					   PW_FILTER_PORT_FLAG_MAP_BUFFERS, 0,
					   pw_properties_new(PW_KEY_FORMAT_DSP,
							     "32 bit float mono audio",
							     PW_KEY_PORT_NAME, tap->channels[c],
							     PW_KEY_AUDIO_CHANNEL, tap->channels[c],
							     NULL),
					   NULL, 0);
	return pw_filter_connect(tap->filter, PW_FILTER_FLAG_RT_PROCESS, NULL, 0);
}

static void disconnect(struct app *app)
{
	for (uint32_t i = 0; i < app->n_taps; i++) {
		struct tap *tap = &app->taps[i];

		if (tap->filter)
			pw_filter_destroy(tap->filter);
		tap->filter = NULL;
		memset(tap->ports, 0, sizeof(tap->ports));
		flush_tap(tap);
	}
	graph_late_stop(&app->late);
	if (app->registry)
		pw_proxy_destroy((struct pw_proxy *)app->registry);
	if (app->core)
		pw_core_disconnect(app->core);
	app->registry = NULL;
	app->core = NULL;
	while (app->known)
		on_global_remove(app, app->known->id);
}

static int connect_taps(struct app *app)
{
	app->lost = false;
	app->core = pw_context_connect(app->context, NULL, 0);
	if (!app->core)
		return -errno;
	pw_core_add_listener(app->core, &app->core_listener, &core_events, app);
	app->registry = pw_core_get_registry(app->core, PW_VERSION_REGISTRY, 0);
	pw_registry_add_listener(app->registry, &app->registry_listener, &registry_events, app);
	for (uint32_t i = 0; i < app->n_taps; i++) {
		int res = start_tap(&app->taps[i]);

		if (res < 0)
			return res;
	}
	say("connected", "");
	return 0;
}

static void on_retry(void *data, uint64_t expirations)
{
	struct app *app = data;

	(void)expirations;
	if (app->core && !app->lost)
		return;
	disconnect(app);
	if (connect_taps(app) < 0)
		disconnect(app);
}

static void on_signal(void *data, int number)
{
	struct app *app = data;

	(void)number;
	pw_main_loop_quit(app->loop);
}

static FILE *open_file(const char *path, const char *suffix)
{
	char name[4096];
	FILE *file;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	file = fopen(name, "we");
	if (!file)
		die(name);
	return file;
}

/* NODE:CHANNELS:FILE */
static void add_tap(struct app *app, char *text)
{
	struct tap *tap = &app->taps[app->n_taps];
	char *channels, *file, *save = NULL;

	errno = EINVAL;
	if (app->n_taps == TAPS_MAX)
		die("too many taps");
	tap->app = app;
	tap->settling = SETTLE_CYCLES;
	tap->node = text;
	channels = strchr(text, ':');
	file = channels ? strchr(channels + 1, ':') : NULL;
	if (!file)
		die(text);
	*channels = '\0';
	*file = '\0';
	for (char *c = strtok_r(channels + 1, ",", &save); c; c = strtok_r(NULL, ",", &save)) {
		if (tap->n_channels == CHANNELS_MAX)
			die("too many channels");
		tap->channels[tap->n_channels++] = c;
	}
	tap->file = open_file(file + 1, "");
	tap->times = open_file(file + 1, ".times");
	tap->ring = calloc((size_t)RING_FRAMES * tap->n_channels, sizeof(float));
	tap->cycles = calloc(RING_CYCLES, sizeof(*tap->cycles));
	if (!tap->ring || !tap->cycles)
		die("memory");
	app->n_taps++;
}

static void add_timer(struct app *app, spa_source_timer_func_t fn, long ns)
{
	struct pw_loop *loop = pw_main_loop_get_loop(app->loop);
	struct timespec every = {.tv_nsec = ns};
	struct timespec first = {.tv_nsec = 1};

	pw_loop_update_timer(loop, pw_loop_add_timer(loop, fn, app), &first, &every, false);
}

/* Up to 0.3.x the configuration with real-time threads is a file of its own. */
static const char *config_name(void)
{
	return strncmp(pw_get_library_version(), "0.", 2) == 0 ? "client-rt.conf" : "client.conf";
}

int main(int argc, char **argv)
{
	static struct app app;
	struct pw_loop *loop;

	if (argc < 2) {
		fprintf(stderr, "usage: sound-tap NODE:CHANNELS:FILE...\n");
		return 2;
	}
	pw_init(&argc, &argv);
	for (int i = 1; i < argc; i++)
		add_tap(&app, argv[i]);
	app.loop = pw_main_loop_new(NULL);
	loop = pw_main_loop_get_loop(app.loop);
	app.context =
		pw_context_new(loop, pw_properties_new(PW_KEY_CONFIG_NAME, config_name(), NULL), 0);
	if (!app.context || graph_late_init(app.context) < 0)
		die("context");
	app.late.on_late = on_late;
	pw_loop_add_signal(loop, SIGINT, on_signal, &app);
	pw_loop_add_signal(loop, SIGTERM, on_signal, &app);
	add_timer(&app, on_retry, RETRY_NS);
	add_timer(&app, on_flush, FLUSH_NS);
	pw_main_loop_run(app.loop);
	disconnect(&app);
	return 0;
}
