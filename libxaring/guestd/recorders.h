/* SPDX-License-Identifier: MIT */
/*
 * Who may ask for a stream that records, and set the guest's own volume: root, the members of the group
 * audio, and users with an active local session. These are the rules of the guest, as they are for a sound
 * card of its own. Whether dom0 lets the guest hear anything is another matter, and none of this.
 *
 * What the system says of groups and sessions can be another one's, so that a test needs no users.
 *
 * Thread: one. Real-time safe: no. Logs: no.
 */
#ifndef XARING_GUESTD_RECORDERS_H
#define XARING_GUESTD_RECORDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whom it asks. */
struct recorders_system {
	/* The number of a group. Returns 0 and sets *gid, or a negative errno: -ENOENT = there is none. */
	int (*find_group)(const char *name, gid_t *gid);

	/* Tells whether the user has a session at a seat of this machine that is the active one there. */
	bool (*is_at_seat)(uid_t uid);
};

struct recorders {
	const struct recorders_system *system;
	bool has_group; /* there is a group audio */
	gid_t group;
};

/* A program, as the kernel tells. */
struct recorders_program {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* the others that it is in; or NULL */
	uint32_t groups_count;
};

/*
 * Looks up the group: one that is made, or renumbered, later counts from the next start. system is
 * borrowed; NULL = this machine's, which blocks as long as its user database takes. Returns 0 or what
 * find_group() does; without a group nobody may record for being in it.
 */
int recorders_init(struct recorders *r, const struct recorders_system *system);

/* Blocks: no; sessions are files in /run/systemd. A program that records goes on whatever changes. */
bool recorders_allow(const struct recorders *r, const struct recorders_program *program);

/*
 * Who this program is, or the one at the other end of a connected unix socket: as it was when it
 * connected. Returns 0, or a negative errno. Owner: the caller; recorders_program_finish().
 */
int recorders_program_self(struct recorders_program *program);
int recorders_program_at(int fd, struct recorders_program *program);
void recorders_program_finish(struct recorders_program *program);

#endif
