/* SPDX-License-Identifier: MIT */
/*
 * What becomes of one stream: when it has a node, when the graph runs it, when it is over.
 *
 * Pure: every function takes something that happened and returns what the glue has to do about it,
 * as SESSION_ bits to be carried out from the lowest to the highest.
 *
 *              linked                  kick, sweep: it plays
 *   WAITING <---------> IDLE <-----------------------------> ACTIVE
 *      |       lost      |       sweeps: nothing to play        |
 *      |                 |                                      | end
 *      |                 |                                      v
 *      |       end       |            tail over, lost
 *      +-----------------+--------> ENDED <--------------- TAIL
 *      any of the first three, broken: BROKEN, until the end; left: LEFT, likewise
 *
 * A stream that records is seen by people as long as it has a node, and is to be seen while it records and
 * no longer: it has none in IDLE, and no TAIL. It is ACTIVE while the guest records and may. One whose guest
 * has stopped reading, as a paused VM does, is IDLE until it reads again.
 *
 * Thread: main. Blocks: no. Logs: no.
 */
#ifndef XARING_SESSION_H
#define XARING_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/protocol.h>

/* Sweeps in a row, about a second apart. */
#define SESSION_QUIET_SWEEPS       2u  /* nothing to play: the graph runs without it */
#define SESSION_UNREAD_SWEEPS      3u  /* the guest takes nothing of what is recorded */
#define SESSION_STALL_SWEEPS       8u  /* the graph does not run an active node: made anew */
#define SESSION_STALL_SWEEPS_MAX   64u /* doubled each time up to this */
#define SESSION_REPORT_INTERVAL_NS UINT64_C(1000000000)

enum session_phase {
	SESSION_WAITING, /* without a node, for PipeWire is not there */
	SESSION_IDLE,    /* has a node that the graph does not run; a recording one has none */
	SESSION_ACTIVE,  /* has a node that the graph runs */
	SESSION_TAIL,    /* the guest is gone; what was handed out still sounds */
	SESSION_BROKEN,  /* the guest broke the protocol; without a node, until the end */
	SESSION_LEFT,    /* nobody in the guest has the pages any more; likewise */
	SESSION_ENDED
};

/* What to do, from the lowest bit to the highest. */
#define SESSION_DO_DETACH \
	0x01u /* take the pages from the real-time thread, unmap, tell the broker */
#define SESSION_DO_CONDEMN    0x02u /* write "broken" into the guest's page */
#define SESSION_DO_DESTROY    0x04u /* the node */
#define SESSION_DO_CREATE     0x08u /* the node, inactive unless ACTIVATE follows */
#define SESSION_DO_ACTIVATE   0x10u
#define SESSION_DO_DEACTIVATE 0x20u
#define SESSION_DO_LINGER     0x40u /* call session_tail_over() when all has sounded */
#define SESSION_DO_FREE       0x80u /* nothing of the stream is left */

/* What can be seen of a stream now. */
struct session_look {
	bool linked;     /* PipeWire is there */
	bool left;       /* somebody in the guest had the pages, and nobody has them now */
	bool allowed;    /* to record, where it does */
	int guest;       /* pump_peek(): enum xaring_state, negative = impossible */
	bool drained;    /* pump_is_drained() */
	uint32_t reason; /* of the pump, enum xaring_reason */
	uint32_t cycles; /* of the pump */
	uint32_t moved;  /* frames that the pump took or delivered, modulo 2^32 */
	uint32_t read;   /* where the guest is that records */
	uint32_t xruns;
	uint32_t gap;
	uint32_t volume; /* pump_volume_of_guest() */
};

/* What the broker knows of a stream. */
struct session_report {
	uint32_t backend; /* enum xaring_backend_state */
	uint32_t reason;
	uint32_t state;
	uint32_t xruns;
	uint32_t gap;
	uint32_t volume;
};

struct session {
	enum session_phase phase;
	bool records;
	uint32_t reason;   /* why it is broken */
	uint32_t quiet;    /* sweeps without anything to play */
	uint32_t stalled;  /* sweeps in which the graph did not run the active node */
	uint32_t patience; /* stalled sweeps until the node is made anew */
	uint32_t cycles;   /* as of the last sweep */
	uint32_t moved;    /* likewise */
	uint32_t unread;   /* sweeps in which the graph ran and nothing was taken */
	uint32_t read;     /* where the guest stood when that was too often */
	bool is_stuck;     /* it has not gone on from there */
	struct session_report told;
	uint64_t told_ns;
	bool was_told;
};

void session_init(struct session *s, bool records);

/* Tells whether there is something to play: running, or draining with frames left; or to record, and it may. */
bool session_is_playing(const struct session *s, const struct session_look *look);

/* PipeWire is there (again). */
uint32_t session_linked(struct session *s, const struct session_look *look);

/* PipeWire is gone. */
uint32_t session_lost(struct session *s);

/*
 * A session manager has come, after the node. WirePlumber 0.4 never links a node that another one
 * has set up, so a node that the graph does not run is made anew.
 */
uint32_t session_manager_came(struct session *s, bool is_run);

/* PipeWire refused the node, or reported an error of it: tried again at the next sweep. */
uint32_t session_failed(struct session *s);

/* The guest says that it did something. */
uint32_t session_kick(struct session *s, const struct session_look *look);

/* About a second has passed. */
uint32_t session_sweep(struct session *s, const struct session_look *look);

/* The guest may not record any more. */
uint32_t session_revoked(struct session *s);

/* The guest is gone. */
uint32_t session_end(struct session *s);

/* All that was handed out has sounded. */
uint32_t session_tail_over(struct session *s);

/*
 * Tells whether the broker is to be told, and what: at most once in a second, but at once when the
 * stream broke or begins to record. The caller says with session_told() that the message was sent.
 */
bool session_report(const struct session *s, const struct session_look *look, uint64_t now_ns,
		    struct session_report *report);
void session_told(struct session *s, const struct session_report *report, uint64_t now_ns);

#endif
