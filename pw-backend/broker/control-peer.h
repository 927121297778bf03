/* SPDX-License-Identifier: MIT */
/*
 * Who is at the other end of a control connection, as the kernel tells, and whether that user may steer us.
 *
 * Thread: any. Blocks: control_peer_group() looks up a name. Logs: no.
 */
#ifndef XARING_BROKER_CONTROL_PEER_H
#define XARING_BROKER_CONTROL_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#include "seat.h"

#define CONTROL_NO_GROUP ((gid_t)-1)

struct control_peer {
	uid_t uid;
	bool is_member; /* of the group, by its supplementary groups */
};

/* The number of the group of that name, CONTROL_NO_GROUP when there is none. */
gid_t control_peer_group(const char *name);

/* Asks the kernel, as of when the peer connected. Returns 0 or a negative errno. */
int control_peer_read(int fd, gid_t group, struct control_peer *peer);

/*
 * Tells whether the peer may: root, the user we run as, members of the group, and who is at the seat now.
 *
 * Whether that user's screen is locked is not asked here: sd-login(3) does not tell, and to ask logind over
 * the bus is to wait for it, here in the loop of all guests. Who asks people at a screen, as a service for
 * notifications does, has to look at LockedHint itself before it says what was chosen.
 */
bool control_peer_may(const struct control_peer *peer, const struct seat_state *seat);

#endif
