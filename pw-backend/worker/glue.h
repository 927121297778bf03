/* SPDX-License-Identifier: MIT */
/*
 * The objects of the worker that know PipeWire: the worker, its VMs, their streams.
 *
 * A worker has one context and one real-time thread. A guest is a VM: one client of PipeWire. A
 * stream is one node. All functions are the main thread's; only the pump of a stream runs on the
 * real-time thread.
 */
#ifndef XARING_GLUE_H
#define XARING_GLUE_H

#include <stdbool.h>
#include <stdint.h>

#include <pipewire/pipewire.h>

#include <xaring/log.h>
#include <xaring/pages.h>

#include "../ipc.h"
#include "limited-log.h"
#include "outbox.h"
#include "pump.h"
#include "session.h"

struct guest;
struct microphones;

/* Looks out for a new session manager, through the connection of one of the guests. */
struct watch {
	struct guest *guest; /* NULL = nobody's */
	struct pw_registry *registry;
	struct spa_hook registry_listener;
	struct spa_hook core_listener;
	struct spa_source *timer; /* until what the new one links by itself is linked */
	int sync;
	bool is_complete; /* what is announced from now on is new */
};

struct worker {
	struct pw_main_loop *main_loop;
	struct pw_loop *loop;
	struct pw_context *context;
	struct spa_handle *pin;    /* keeps the plugin of all nodes loaded */
	struct spa_source *broker; /* fd 3 */
	struct outbox outbox;
	struct spa_source *sweep;
	struct spa_list guests;
	struct watch watch;
	uint32_t streams;
	int result;
};

struct guest {
	struct spa_list link;
	struct worker *worker;
	struct ipc_message vm; /* the IPC_VM */
	struct spa_list streams;
	struct pw_core *core;
	struct spa_hook core_listener;
	struct spa_source *timer; /* the next thing to do about the connection */
	uint32_t retry_ms;        /* between tries; 0 = the next is at once */
	bool is_lost;             /* the core is dead and waits to be freed */
	bool is_asked;            /* the broker owes us a socket */
	bool was_linked;
	bool may_record;                 /* as the broker says */
	struct microphones *microphones; /* of the graph; NULL while none of its nodes records */
	uint64_t linked_ns;              /* since when */
	struct limited_log log;      /* about its streams, which it opens as often as it likes */
	struct limited_log link_log; /* about PipeWire, which comes and goes as often as it likes */
};

struct stream {
	/*
	 * First and together what each cycle touches. Real-time thread; without a node the main
	 * thread; rt_frames and rt_delay are loaded by the main thread with __atomic_load_n().
	 */
	struct pw_stream *node;                 /* NULL = none; set by the main thread */
	struct pump *rt_pump;                   /* NULL = silence */
	const struct spa_io_position *rt_graph; /* its clock; NULL = unknown */
	bool rt_is_open;                        /* capture: what the node hears is a microphone */
	uint32_t frame_bytes;
	uint32_t rt_frames;        /* of the last cycle */
	uint32_t rt_delay;         /* downstream, in frames */
	uint32_t rt_asked;         /* cycles until PipeWire is asked for the delay again */
	struct xaring_pages pages; /* control is NULL when unmapped */
	struct pump pump;

	struct spa_list link;
	struct guest *guest;
	struct ipc_message open; /* the IPC_STREAM, without descriptors */
	struct session session;
	struct spa_hook node_listener;
	struct spa_source *timer; /* tail, failure */
	uint32_t told_latency;    /* to the broker */
	bool is_failed;           /* the node is dead and waits to be freed */
	bool is_closing;          /* events of the node do not count any more */
	bool is_refused;          /* the last try to make the node failed */
	bool is_muted;
	bool is_unheard; /* no sink */
	bool is_told;    /* the log says why */
	bool was_alive;  /* somebody in the guest had the pages */
	bool is_open;    /* as rt_is_open */
};

static inline bool stream_records(const struct stream *s)
{
	return s->open.u.stream.params.direction == XARING_CAPTURE;
}

/*
 * Sends a message to the broker, or returns -EAGAIN while that does not read: it can be said later. A
 * broker that is gone ends the worker.
 */
int worker_send(struct worker *w, struct ipc_message *message);

/* The same for what the broker waits for: it is sent when there is room. */
void worker_post(struct worker *w, const struct ipc_message *message);

/* Counts streams: the sweep runs while there are any. */
void worker_count_stream(struct worker *w, int change);

/* Arms a timer once, in so many ms; 0 = at once. */
void worker_arm(struct worker *w, struct spa_source *timer, uint32_t ms);

uint64_t worker_now_ns(void);

/* The watch for session managers (watch.c). Returns 0 or a negative errno. */
int watch_create(struct worker *w);
void watch_destroy(struct worker *w);

/* A guest is linked, or about to be unlinked. */
void watch_guest_linked(struct guest *g);
void watch_guest_unlinked(struct guest *g);

/* A VM. vm: an IPC_VM. Returns 0 and sets *out, or -ENOMEM. */
int guest_create(struct worker *w, const struct ipc_message *vm, struct guest **out);

/* Ends all streams, disconnects. */
void guest_destroy(struct guest *g);

/* The answer to IPC_WANT. Takes fd. */
void guest_take_socket(struct guest *g, int error, int fd);

/* Asks for a socket if streams need one, unless one is asked for. */
void guest_want(struct guest *g);

/* Once a second. */
void guest_sweep(struct guest *g);

/* A session manager has come. */
void guest_manager_came(struct guest *g);

/* The VM may record from now on, or may not any more. */
void guest_set_microphone(struct guest *g, bool allowed);

struct stream *guest_find_stream(struct guest *g, uint32_t id);

/*
 * Maps the pages of a new stream and makes its node as soon as PipeWire is there. Takes the
 * descriptors. When this fails the broker is told, and nothing is left.
 */
void stream_open(struct guest *g, struct ipc_message *message);

void stream_linked(struct stream *s);
void stream_lost(struct stream *s);
void stream_manager_came(struct stream *s);
void stream_kick(struct stream *s);
void stream_sweep(struct stream *s);
bool stream_is_playing(struct stream *s);

/* Whether the VM may record is another thing now. */
void stream_microphone_changed(struct stream *s);

/* The guest is gone. The stream may be freed when this returns. */
void stream_end(struct stream *s);

/* Ends and frees the stream at once, whatever still sounds. */
void stream_destroy(struct stream *s);

/* The node of a stream (node.c). */

/* Makes the node on the guest's core. Returns 0 or a negative errno. */
int node_create(struct stream *s, bool active);
void node_destroy(struct stream *s);

/* Takes the pump from the real-time thread: it is not in use any more when this returns. */
void node_detach(struct stream *s);

/* Capture: the frames of the node reach the guest, or silence does instead. True of the next cycle. */
void node_open(struct stream *s, bool open);

/* Tells whether the graph runs the node. */
bool node_is_run(const struct stream *s);

/*
 * What the capture nodes of a VM hear (microphones.c): each is opened while all that it is linked to are
 * microphones, and at least one is. Watches through the VM's own connection, on which the news of a link
 * comes before its sound does.
 */
int microphones_watch(struct guest *g); /* before its first capture node is made; 0 or -errno */
void microphones_ignore(struct guest *g);

/* How long what was handed out may still sound. */
uint32_t node_tail_ms(const struct stream *s);

/* The node (stream.c): failed; is run, or why not; is run no longer; was muted or not. */
void stream_node_failed(struct stream *s, const char *why);
void stream_node_heard(struct stream *s, const char *why_not);
void stream_node_parked(struct stream *s);
void stream_node_muted(struct stream *s, bool muted);

#endif
