/* SPDX-License-Identifier: MIT */
/*
 * Who is at the seat: whose session is active on seat0, as logind has it.
 *
 * A greeter, a locked screen that is a session of its own, and a session that is ending are nobody.
 * Other seats are not looked at.
 *
 * Thread: one, the loop's. Blocks: reads small files below /run. Logs: no.
 */
#ifndef XARING_BROKER_SEAT_H
#define XARING_BROKER_SEAT_H

#include <sys/types.h>

struct loop;
struct seat;

enum seat_presence {
	SEAT_UNKNOWN, /* there is nothing to ask */
	SEAT_EMPTY,
	SEAT_TAKEN
};

struct seat_state {
	enum seat_presence presence;
	uid_t uid; /* TAKEN: whose session it is */
};

/* Something has changed, perhaps nothing of interest. May not close the seat. */
typedef void (*seat_change_fn)(void *data);

/*
 * Begins to watch. Owner: the caller; seat_close(). Returns 0 and sets *out, -ENOTSUP when built
 * without libsystemd, or another negative errno: without logind it is -ENOENT.
 */
int seat_open(struct loop *loop, seat_change_fn on_change, void *data, struct seat **out);

/* Accepts NULL. */
void seat_close(struct seat *seat);

/* Reads who is there now. Of NULL it is UNKNOWN. */
void seat_read(const struct seat *seat, struct seat_state *state);

#endif
