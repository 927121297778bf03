/* SPDX-License-Identifier: MIT */
/*
 * One daemon for each runtime folder: a lock file that holds the pid of its owner. Only the user that
 * the daemon runs as, and root, may open it: whoever may read it could lock it as well.
 *
 * Thread: one. Blocks: no. Logs: no.
 */
#ifndef XARING_DAEMON_LOCK_H
#define XARING_DAEMON_LOCK_H

#include <sys/types.h>

/*
 * Takes the lock, and the file away from all other users. It stays when the lock is given up: removing
 * it would let two daemons hold locks of the same name.
 *
 * Returns the descriptor that holds it. Returns -EWOULDBLOCK when another process has it, and sets
 * *owner to its pid, 0 when the file does not tell; or another negative errno.
 */
int lock_take(const char *path, pid_t *owner);

/*
 * The pid in a lock file, 0 when the file does not tell, or not us. Whether the lock is held is not
 * tried: that could keep its daemon from starting.
 */
pid_t lock_owner(const char *path);

#endif
