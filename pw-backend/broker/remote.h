/* SPDX-License-Identifier: MIT */
/*
 * PipeWire's socket: whose it is, and connecting to it in the worker's stead.
 *
 * Thread: one. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_REMOTE_H
#define XARING_BROKER_REMOTE_H

#include <sys/types.h>

/*
 * Finds the owner of the folder that the socket is in: the user whose sound server it is.
 * Returns 0 and sets *uid, or a negative errno.
 */
int remote_owner(const char *path, uid_t *uid);

/*
 * Connects, as the owner of the folder when we are root: what answers at a path in a user's folder
 * is of that user's choice, and must not be handed a connection of root's. The socket itself has to be in
 * that user's folder then, and no link to it: links lead where a connection can be made to wait.
 *
 * Returns the connected descriptor, non-blocking and close-on-exec, or a negative errno.
 */
int remote_connect(const char *path);

/*
 * The same, as root, to what must be that user's: the folder itself, and not what a link leads to,
 * has to belong to uid. -EPERM when it does not.
 */
int remote_connect_as(const char *path, uid_t uid);

#endif
