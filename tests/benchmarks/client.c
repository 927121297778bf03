/* SPDX-License-Identifier: MIT */
/*
 * The least that a PipeWire client can do: one process with n playback streams of S16 stereo at
 * 48 kHz, each copying its quantum from memory. What the backend costs beyond this is its own.
 *
 * bench-client STREAMS [idle|impulse]: plays until SIGTERM. Says "ready" on standard output when
 * all streams run (idle: when they are connected and paused). impulse: one loud frame at the
 * beginning of every 50th cycle; at the end a line "impulse NS DELAY" for each, with the time of
 * its cycle and what PipeWire told about its delay, in frames.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pipewire/pipewire.h>
#include <spa/param/audio/format-utils.h>

#define STREAMS_MAX   256
#define FRAME_BYTES   4u
#define QUANTUM_MAX   8192u
#define IMPULSE_EVERY 50u
#define LOG_MAX       4096u

struct client;

struct impulse {
	uint64_t ns;
	int64_t delay;
};

struct stream {
	struct client *client;
	struct pw_stream *stream;
	struct spa_hook listener;
	struct spa_io_position *position;
	uint32_t cycles;
	bool counted;
};

struct client {
	struct pw_main_loop *loop;
	struct stream streams[STREAMS_MAX];
	uint32_t n_streams;
	uint32_t n_ready;
	bool idle;
	bool impulse;
	int16_t samples[QUANTUM_MAX * 2];
	struct impulse log[LOG_MAX];
	uint32_t n_log;
};

static void on_io(void *data, uint32_t id, void *area, uint32_t size)
{
	struct stream *s = data;

	(void)size;
	if (id == SPA_IO_Position)
		s->position = area;
}

static void strike(struct stream *s, int16_t *samples)
{
	struct client *c = s->client;
	struct pw_time t = {0};
	int64_t delay;

	if (++s->cycles % IMPULSE_EVERY || !s->position || c->n_log == LOG_MAX)
		return;
	samples[0] = samples[1] = 30000;
	pw_stream_get_time_n(s->stream, &t, sizeof(t));
	delay = t.rate.denom ? t.delay * 48000 * t.rate.num / t.rate.denom : 0;
	c->log[c->n_log++] =
		(struct impulse){s->position->clock.nsec,
				 delay + (int64_t)(t.queued / FRAME_BYTES + t.buffered)};
}

static void on_process(void *data)
{
	struct stream *s = data;
	struct pw_buffer *buffer = pw_stream_dequeue_buffer(s->stream);
	struct spa_data *d;
	uint32_t frames;

	if (!buffer)
		return;
	d = &buffer->buffer->datas[0];
	frames = buffer->requested ? (uint32_t)buffer->requested : d->maxsize / FRAME_BYTES;
	if (frames > QUANTUM_MAX)
		frames = QUANTUM_MAX;
	memcpy(d->data, s->client->samples, (size_t)frames * FRAME_BYTES);
	if (s->client->impulse)
		strike(s, d->data);
	d->chunk->offset = 0;
	d->chunk->stride = FRAME_BYTES;
	d->chunk->size = frames * FRAME_BYTES;
	pw_stream_queue_buffer(s->stream, buffer);
}

static void on_state(void *data, enum pw_stream_state old, enum pw_stream_state state,
		     const char *error)
{
	struct stream *s = data;
	struct client *c = s->client;

	(void)old;
	if (state == PW_STREAM_STATE_ERROR) {
		fprintf(stderr, "bench-client: %s\n", error);
		exit(2);
	}
	if (s->counted || state != (c->idle ? PW_STREAM_STATE_PAUSED : PW_STREAM_STATE_STREAMING))
		return;
	s->counted = true;
	if (++c->n_ready == c->n_streams) {
		puts("ready");
		fflush(stdout);
	}
}

static const struct pw_stream_events events = {
	PW_VERSION_STREAM_EVENTS,
	.state_changed = on_state,
	.io_changed = on_io,
	.process = on_process,
};

static void open_stream(struct client *c, struct pw_core *core, uint32_t i)
{
	uint8_t bytes[1024];
	struct spa_pod_builder b = SPA_POD_BUILDER_INIT(bytes, sizeof(bytes));
	struct spa_audio_info_raw info = {.format = SPA_AUDIO_FORMAT_S16_LE,
					  .rate = 48000,
					  .channels = 2,
					  .position = {SPA_AUDIO_CHANNEL_FL, SPA_AUDIO_CHANNEL_FR}};
	const struct spa_pod *params[1] = {
		spa_format_audio_raw_build(&b, SPA_PARAM_EnumFormat, &info)};
	unsigned int flags =
		PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_MAP_BUFFERS | PW_STREAM_FLAG_RT_PROCESS;
	struct stream *s = &c->streams[i];

	s->client = c;
	s->stream = pw_stream_new(core, "bare",
				  pw_properties_new(PW_KEY_MEDIA_TYPE, "Audio",
						    PW_KEY_MEDIA_CATEGORY, "Playback",
						    PW_KEY_NODE_LATENCY, "1024/48000", NULL));
	if (!s->stream)
		exit(2);
	pw_stream_add_listener(s->stream, &s->listener, &events, s);
	if (c->idle)
		flags |= PW_STREAM_FLAG_INACTIVE;
	if (pw_stream_connect(s->stream, PW_DIRECTION_OUTPUT, PW_ID_ANY, flags, params, 1) < 0)
		exit(2);
}

static void on_signal(void *data, int number)
{
	struct client *c = data;

	(void)number;
	pw_main_loop_quit(c->loop);
}

/* Up to 0.3.x the configuration with a real-time thread is a file of its own. */
static const char *config_name(void)
{
	return strncmp(pw_get_library_version(), "0.", 2) == 0 ? "client-rt.conf" : "client.conf";
}

int main(int argc, char **argv)
{
	static struct client c;
	struct pw_context *context;
	struct pw_core *core;
	struct pw_loop *loop;

	c.n_streams = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
	c.idle = argc > 2 && strcmp(argv[2], "idle") == 0;
	c.impulse = argc > 2 && strcmp(argv[2], "impulse") == 0;
	if (c.n_streams < 1 || c.n_streams > STREAMS_MAX) {
		fprintf(stderr, "usage: bench-client STREAMS [idle|impulse]\n");
		return 2;
	}
	pw_init(NULL, NULL);
	c.loop = pw_main_loop_new(NULL);
	loop = pw_main_loop_get_loop(c.loop);
	pw_loop_add_signal(loop, SIGTERM, on_signal, &c);
	context =
		pw_context_new(loop, pw_properties_new(PW_KEY_CONFIG_NAME, config_name(), NULL), 0);
	core = context ? pw_context_connect(context, NULL, 0) : NULL;
	if (!core) {
		fprintf(stderr, "bench-client: no PipeWire\n");
		return 2;
	}
	for (uint32_t i = 0; i < c.n_streams; i++)
		open_stream(&c, core, i);
	pw_main_loop_run(c.loop);
	for (uint32_t i = 0; i < c.n_log; i++)
		printf("impulse %" PRIu64 " %" PRId64 "\n", c.log[i].ns, c.log[i].delay);
	return 0;
}
