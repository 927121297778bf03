/* SPDX-License-Identifier: MIT */
/*
 * The local source of streams: a socket for each VM, a connection for each stream, pages of memfds.
 *
 * Everything that comes from a client is hostile: what is not of the protocol ends the connection,
 * and no client makes the broker work more often than its limits say.
 *
 * Thread: the loop's. Blocks: no. Logs: refusals.
 */
#ifndef XARING_BROKER_SOURCE_LOCAL_H
#define XARING_BROKER_SOURCE_LOCAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct local;
struct vm;

/* Listens for the VM. Owner: the caller; local_close(). Returns 0 or a negative errno. */
int local_open(struct vm *vm, const char *path, mode_t mode, struct local **out);

/* Removes the socket and ends all connections. Accepts NULL. */
void local_close(struct local *local);

/* Something of the VM's was given back: connections that wait for room are served. */
void local_retry(struct local *local);

/* Looks at deadlines and pauses. Returns true while there are any. */
bool local_tick(struct local *local, uint64_t now_ms);

#endif
