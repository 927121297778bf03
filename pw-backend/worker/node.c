/* SPDX-License-Identifier: MIT */
/*
 * The node of a stream: a pw_stream, and what it does on the real-time thread.
 *
 * on_process() and what it calls allocate nothing, lock nothing, log nothing and make no system
 * call but for reading the clock.
 */
#include "glue.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <spa/param/audio/format-utils.h>
#include <spa/param/props.h>
#include <spa/support/cpu.h>

#include <xaring/log.h>

#include "looks.h"

#define TAIL_MS_MIN    50u /* a graph of small quanta may stand still as long on a busy machine */
#define TAIL_MS_MAX    500u
#define CYCLE_AGE_MAX  UINT64_C(1000000000)
#define FRAMES_UNKNOWN 1024u
#define DELAY_CYCLES   16u
#define CACHE_LINE     64u

/* Of enum xaring_format. */
static const enum spa_audio_format spa_formats[] = {
	[XARING_FORMAT_U8] = SPA_AUDIO_FORMAT_U8,
	[XARING_FORMAT_S16] = SPA_AUDIO_FORMAT_S16_LE,
	[XARING_FORMAT_S24] = SPA_AUDIO_FORMAT_S24_32_LE,
	[XARING_FORMAT_S24_3] = SPA_AUDIO_FORMAT_S24_LE,
	[XARING_FORMAT_S32] = SPA_AUDIO_FORMAT_S32_LE,
	[XARING_FORMAT_FLOAT] = SPA_AUDIO_FORMAT_F32_LE,
};

/* Of the numbers of ALSA's channel map. */
static const enum spa_audio_channel spa_channels[XARING_CHANNEL_LAST + 1] = {
	[0] = SPA_AUDIO_CHANNEL_UNKNOWN, [1] = SPA_AUDIO_CHANNEL_NA,
	[2] = SPA_AUDIO_CHANNEL_MONO,    [3] = SPA_AUDIO_CHANNEL_FL,
	[4] = SPA_AUDIO_CHANNEL_FR,      [5] = SPA_AUDIO_CHANNEL_RL,
	[6] = SPA_AUDIO_CHANNEL_RR,      [7] = SPA_AUDIO_CHANNEL_FC,
	[8] = SPA_AUDIO_CHANNEL_LFE,     [9] = SPA_AUDIO_CHANNEL_SL,
	[10] = SPA_AUDIO_CHANNEL_SR,     [11] = SPA_AUDIO_CHANNEL_RC,
	[12] = SPA_AUDIO_CHANNEL_FLC,    [13] = SPA_AUDIO_CHANNEL_FRC,
	[14] = SPA_AUDIO_CHANNEL_RLC,    [15] = SPA_AUDIO_CHANNEL_RRC,
	[16] = SPA_AUDIO_CHANNEL_FLW,    [17] = SPA_AUDIO_CHANNEL_FRW,
	[18] = SPA_AUDIO_CHANNEL_FLH,    [19] = SPA_AUDIO_CHANNEL_FCH,
	[20] = SPA_AUDIO_CHANNEL_FRH,    [21] = SPA_AUDIO_CHANNEL_TC,
	[22] = SPA_AUDIO_CHANNEL_TFL,    [23] = SPA_AUDIO_CHANNEL_TFR,
	[24] = SPA_AUDIO_CHANNEL_TFC,    [25] = SPA_AUDIO_CHANNEL_TRL,
	[26] = SPA_AUDIO_CHANNEL_TRR,    [27] = SPA_AUDIO_CHANNEL_TRC,
	[28] = SPA_AUDIO_CHANNEL_TFLC,   [29] = SPA_AUDIO_CHANNEL_TFRC,
	[30] = SPA_AUDIO_CHANNEL_TSL,    [31] = SPA_AUDIO_CHANNEL_TSR,
	[32] = SPA_AUDIO_CHANNEL_LLFE,   [33] = SPA_AUDIO_CHANNEL_RLFE,
	[34] = SPA_AUDIO_CHANNEL_BC,     [35] = SPA_AUDIO_CHANNEL_BLC,
	[36] = SPA_AUDIO_CHANNEL_BRC,
};

static const struct spa_pod *build_format(const struct xaring_params *params,
					  struct spa_pod_builder *builder)
{
	struct spa_audio_info_raw info = {
		.format = spa_formats[params->format],
		.rate = params->rate_hz,
		.channels = params->channels,
	};
	uint8_t map[XARING_CHANNELS_MAX];

	memcpy(map, params->map, sizeof(map));
	if (map[0] == XARING_CHANNEL_UNKNOWN)
		xaring_map_default(params->channels, map);
	for (uint32_t i = 0; i < params->channels; i++)
		info.position[i] = spa_channels[map[i]];
	return spa_format_audio_raw_build(builder, SPA_PARAM_EnumFormat, &info);
}

/* How many frames lie between the node and the sound, in the stream's rate. */
static uint32_t downstream(const struct stream *s, const struct pw_time *time)
{
	uint64_t rate = s->pump.rate_hz;
	uint64_t frames = time->buffered;

	if (time->delay > 0 && time->rate.denom > 0)
		frames += (uint64_t)time->delay * time->rate.num * rate / time->rate.denom;
	return frames < 2 * rate ? (uint32_t)frames : 0;
}

/*
 * The latency behind the node changes rarely, and asking for it costs as much as everything else of
 * a cycle together.
 */
static uint32_t find_delay(struct stream *s, uint32_t frames)
{
	struct pw_time time = {0};

	if (s->rt_asked > 0 && frames == s->rt_frames) {
		s->rt_asked--;
		return s->rt_delay;
	}
	s->rt_asked = DELAY_CYCLES;
	pw_stream_get_time_n(s->node, &time, sizeof(time));
	__atomic_store_n(&s->rt_delay, downstream(s, &time), __ATOMIC_RELAXED);
	__atomic_store_n(&s->rt_frames, frames, __ATOMIC_RELAXED);
	return s->rt_delay;
}

static void look_at_cycle(struct stream *s, uint32_t frames, struct pump_cycle *cycle)
{
	const struct spa_io_position *graph = s->rt_graph;
	uint64_t now = worker_now_ns();
	uint64_t began = graph ? graph->clock.nsec : now;

	if (began > now || now - began > CYCLE_AGE_MAX)
		began = now;
	cycle->time_ns = began;
	cycle->age_ns = (uint32_t)(now - began);
	cycle->rate_mhz = s->pump.rate_hz * 1000u;
	cycle->delay = find_delay(s, frames);
}

static void fill(struct stream *s, void *to, uint32_t frames)
{
	struct pump_cycle cycle;

	if (s->rt_pump) {
		look_at_cycle(s, frames, &cycle);
		pump_playback(s->rt_pump, to, frames, &cycle);
	} else {
		xaring_format_silence(s->pump.format, to, (size_t)frames * s->frame_bytes);
	}
}

/*
 * Between two cycles other streams and programs have filled the caches. What this one will touch is
 * fetched while the buffer is, for waiting for one line after the other takes longer than the rest.
 */
static void warm(const struct stream *s)
{
	for (size_t at = 0; at < sizeof(s->pump); at += CACHE_LINE)
		__builtin_prefetch((const char *)&s->pump + at, 1);
	if (s->rt_pump) {
		__builtin_prefetch(&s->pages.control->guest);
		__builtin_prefetch(&s->pages.control->record, 1);
	}
}

static void on_process(void *data)
{
	struct stream *s = data;
	struct pw_buffer *buffer;
	struct spa_data *d;
	uint32_t room, frames;

	warm(s);
	buffer = pw_stream_dequeue_buffer(s->node);
	if (!buffer)
		return;
	d = &buffer->buffer->datas[0];
	room = d->data ? d->maxsize / s->frame_bytes : 0;
	/* Always exactly what the graph wants: 0.3.65 loses a shorter last buffer. */
	frames = buffer->requested ? (uint32_t)SPA_MIN(buffer->requested, (uint64_t)room)
				   : SPA_MIN(room, FRAMES_UNKNOWN);
	if (frames > 0)
		fill(s, d->data, frames);
	d->chunk->offset = 0;
	d->chunk->stride = (int32_t)s->frame_bytes;
	d->chunk->size = frames * s->frame_bytes;
	buffer->size = frames;
	pw_stream_queue_buffer(s->node, buffer);
}

static void take(struct stream *s, const struct spa_data *d)
{
	uint32_t offset = SPA_MIN(d->chunk->offset, d->maxsize);
	uint32_t frames = SPA_MIN(d->chunk->size, d->maxsize - offset) / s->frame_bytes;
	struct pump_cycle cycle;

	if (!s->rt_pump || !d->data || frames == 0)
		return;
	look_at_cycle(s, frames, &cycle);
	pump_capture(s->rt_pump, s->rt_is_open ? SPA_PTROFF(d->data, offset, void) : NULL, frames,
		     &cycle);
}

static void on_process_capture(void *data)
{
	struct stream *s = data;
	struct pw_buffer *buffer;

	warm(s);
	while ((buffer = pw_stream_dequeue_buffer(s->node))) {
		take(s, &buffer->buffer->datas[0]);
		pw_stream_queue_buffer(s->node, buffer);
	}
}

/*
 * The session manager reports as an error that there is no sink. The node stays, and is linked as
 * soon as there is one. So what counts is the state in which the node really is.
 */
static void on_state_changed(void *data, enum pw_stream_state before, enum pw_stream_state now,
			     const char *error)
{
	struct stream *s = data;
	enum pw_stream_state really;

	if (s->is_closing)
		return;
	really = pw_stream_get_state(s->node, NULL);
	if (really == PW_STREAM_STATE_ERROR || really == PW_STREAM_STATE_UNCONNECTED)
		stream_node_failed(s, error ? error : "disconnected");
	else if (now == PW_STREAM_STATE_ERROR)
		stream_node_heard(s, error ? error : "no reason given");
	else if (now == PW_STREAM_STATE_STREAMING)
		stream_node_heard(s, NULL);
	else if (before == PW_STREAM_STATE_STREAMING)
		stream_node_parked(s);
}

static struct pw_loop *data_loop(const struct stream *s)
{
#if PW_CHECK_VERSION(1, 1, 0)
	return pw_stream_get_data_loop(s->node);
#else
	return pw_data_loop_get_loop(pw_context_get_data_loop(s->guest->worker->context));
#endif
}

static int set_pump(struct spa_loop *loop, bool async, uint32_t seq, const void *data, size_t bytes,
		    void *user_data)
{
	struct stream *s = user_data;

	(void)loop, (void)async, (void)seq, (void)bytes;
	memcpy(&s->rt_pump, data, sizeof(s->rt_pump));
	return 0;
}

/*
 * Of the thread that calls: numbers next to nothing are nothing. They would slow down the one real-time
 * thread of all VMs, and any VM may play them. PipeWire's cpu.zero.denormals does this to the main thread
 * when the other one has not begun yet (pw_context_new()).
 */
static void zero_denormals(const struct stream *s)
{
	uint32_t count;
	const struct spa_support *support =
		pw_context_get_support(s->guest->worker->context, &count);
	struct spa_cpu *cpu = spa_support_find(support, count, SPA_TYPE_INTERFACE_CPU);

	if (cpu)
		spa_cpu_zero_denormals(cpu, true);
}

static int set_graph(struct spa_loop *loop, bool async, uint32_t seq, const void *data,
		     size_t bytes, void *user_data)
{
	struct stream *s = user_data;

	(void)loop, (void)async, (void)seq, (void)bytes;
	memcpy(&s->rt_graph, data, sizeof(s->rt_graph));
	zero_denormals(s);
	return 0;
}

/* The memory of the graph's clock may go away after this. */
static void on_io_changed(void *data, uint32_t id, void *area, uint32_t bytes)
{
	struct stream *s = data;

	if (id != SPA_IO_Position)
		return;
	if (bytes < sizeof(struct spa_io_position))
		area = NULL;
	pw_loop_invoke(data_loop(s), set_graph, 0, &area, sizeof(area), true, s);
}

static void on_control_info(void *data, uint32_t id, const struct pw_stream_control *control)
{
	if (id == SPA_PROP_mute && control->n_values > 0)
		stream_node_muted(data, control->values[0] > 0.5f);
}

static const struct pw_stream_events events = {
	PW_VERSION_STREAM_EVENTS,        .state_changed = on_state_changed,
	.control_info = on_control_info, .io_changed = on_io_changed,
	.process = on_process,
};

static const struct pw_stream_events capture_events = {
	PW_VERSION_STREAM_EVENTS,        .state_changed = on_state_changed,
	.control_info = on_control_info, .io_changed = on_io_changed,
	.process = on_process_capture,
};

static int set_open(struct spa_loop *loop, bool async, uint32_t seq, const void *data, size_t bytes,
		    void *user_data)
{
	struct stream *s = user_data;

	(void)loop, (void)async, (void)seq, (void)bytes;
	memcpy(&s->rt_is_open, data, sizeof(s->rt_is_open));
	return 0;
}

void node_open(struct stream *s, bool open)
{
	if (open == s->is_open)
		return;
	s->is_open = open;
	pw_loop_invoke(data_loop(s), set_open, 0, &open, sizeof(open), true, s);
}

int node_create(struct stream *s, bool active)
{
	struct guest *g = s->guest;
	uint8_t bytes[1024];
	struct spa_pod_builder builder = SPA_POD_BUILDER_INIT(bytes, sizeof(bytes));
	struct pw_properties *looks = looks_of_node(g->worker->context, &g->vm, &s->open);
	enum pw_stream_flags flags =
		PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_MAP_BUFFERS | PW_STREAM_FLAG_RT_PROCESS;
	const struct spa_pod *format;
	int res;

	if (!looks)
		return -ENOMEM;
	s->node = pw_stream_new(g->core, "xaring", looks);
	if (!s->node)
		return -errno;
	s->is_failed = false;
	pw_stream_add_listener(s->node, &s->node_listener,
			       stream_records(s) ? &capture_events : &events, s);
	if (!active)
		flags |= PW_STREAM_FLAG_INACTIVE;
	format = build_format(&s->open.u.stream.params, &builder);
	s->rt_pump = &s->pump;
	s->rt_is_open = s->is_open = false;
	res = pw_stream_connect(s->node,
				stream_records(s) ? PW_DIRECTION_INPUT : PW_DIRECTION_OUTPUT,
				PW_ID_ANY, flags, &format, 1);
	if (res < 0)
		node_destroy(s);
	return res;
}

void node_destroy(struct stream *s)
{
	struct pw_stream *node = s->node;

	if (!node)
		return;
	/*
	 * The listener stays until the real-time thread has let go of the node: taking it away
	 * earlier would change the callback under a running cycle.
	 */
	s->is_closing = true;
	pw_stream_disconnect(node);
	spa_hook_remove(&s->node_listener);
	pw_stream_destroy(node);
	s->node = NULL;
	s->rt_graph = NULL;
	s->rt_is_open = s->is_open = false;
	s->is_closing = false;
	s->is_failed = false;
}

void node_detach(struct stream *s)
{
	struct pump *none = NULL;

	/* Without a node no cycle runs. */
	if (s->node)
		pw_loop_invoke(data_loop(s), set_pump, 0, &none, sizeof(none), true, s);
	else
		s->rt_pump = NULL;
}

bool node_is_run(const struct stream *s)
{
	return s->node && pw_stream_get_state(s->node, NULL) == PW_STREAM_STATE_STREAMING;
}

uint32_t node_tail_ms(const struct stream *s)
{
	uint64_t frames = __atomic_load_n(&s->rt_delay, __ATOMIC_RELAXED) +
			  2 * (uint64_t)__atomic_load_n(&s->rt_frames, __ATOMIC_RELAXED);
	uint64_t ms = frames * 1000 / s->pump.rate_hz + 1;

	return (uint32_t)SPA_CLAMP(ms, TAIL_MS_MIN, TAIL_MS_MAX);
}
