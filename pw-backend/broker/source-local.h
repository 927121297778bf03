/* SPDX-License-Identifier: MIT */
/*
 * The local source of streams: a socket for each VM, a connection for each stream, pages of memfds.
 *
 * Thread: the loop's. Blocks: no. Logs: refusals.
 */
#ifndef XARING_BROKER_SOURCE_LOCAL_H
#define XARING_BROKER_SOURCE_LOCAL_H

struct broker_vm;
struct vm;

/*
 * Listens for the VM, and becomes its source. The socket is removed when the source is closed.
 * Returns 0 or a negative errno.
 */
int local_open(struct vm *vm, const struct broker_vm *setup);

#endif
