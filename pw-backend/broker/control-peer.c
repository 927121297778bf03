/* SPDX-License-Identifier: MIT */
/*
 * Credentials of a connection. Believes nothing that the peer says, and reads nothing of it.
 */
#include "control-peer.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

gid_t control_peer_group(const char *name)
{
	const struct group *group = getgrnam(name);

	return group ? group->gr_gid : CONTROL_NO_GROUP;
}

static bool contains(const gid_t *groups, size_t count, gid_t wanted)
{
	for (size_t i = 0; i < count; i++) {
		if (groups[i] == wanted)
			return true;
	}
	return false;
}

/* The kernel says how much room it wants; what a peer is a member of does not change once it has connected. */
static int is_in_groups(int fd, gid_t wanted, bool *out)
{
	socklen_t bytes = 0;
	gid_t *groups;
	int res = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) == 0)
		return 0;
	if (errno != ERANGE)
		return -errno;
	groups = malloc(bytes);
	if (!groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
		res = -errno;
	else
		*out = contains(groups, bytes / sizeof(*groups), wanted);
	free(groups);
	return res;
}

int control_peer_read(int fd, gid_t group, struct control_peer *peer)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes) < 0)
		return -errno;
	*peer = (struct control_peer){.uid = cred.uid};
	if (group == CONTROL_NO_GROUP)
		return 0;
	/* Its own group does not count: the worker's is that one, and it is not to decide about itself. */
	return is_in_groups(fd, group, &peer->is_member);
}

bool control_peer_may(const struct control_peer *peer, const struct seat_state *seat)
{
	return peer->uid == 0 || peer->uid == geteuid() || peer->is_member ||
	       (seat->presence == SEAT_TAKEN && peer->uid == seat->uid);
}
