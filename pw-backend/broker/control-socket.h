/* SPDX-License-Identifier: MIT */
/*
 * The control socket of the broker: who may connect, requests, answers, events. What is said there: control.h.
 *
 * Anybody may connect, and be told that they may not; those who may are bounded as well, so that none of
 * them makes the broker wait, or take more memory than the limits of control.h.
 *
 * Thread: the loop's. Blocks: as permission_decide(); as hold_init() when one hangs up that has sent what it
 * should not. Logs: decisions, and who was turned away, at a limited rate.
 */
#ifndef XARING_BROKER_CONTROL_SOCKET_H
#define XARING_BROKER_CONTROL_SOCKET_H

#include <stdbool.h>

#include "control-peer.h"

struct broker;
struct control;
struct loop;

struct control_setup {
	struct loop *loop;
	struct broker *broker; /* whose watcher the control becomes */
	const char *path;      /* of the socket; borrowed for the call */

	/* Who is at the seat now. */
	void (*seat)(void *data, struct seat_state *seat);

	/* PipeWire's socket that guests are played to, or NULL. */
	const char *(*pipewire)(void *data);

	/* Who has connected: control_peer_read(); a test puts another one here. */
	int (*peer)(int fd, gid_t group, struct control_peer *peer);
	void *data;
};

/*
 * Listens. Owner: the caller; control_close(), before broker_destroy(). Returns 0 and sets *out, -EINVAL (the
 * path is too long) or another negative errno.
 */
int control_open(const struct control_setup *setup, struct control **out);
void control_close(struct control *control); /* accepts NULL */

/* Somebody else is at the seat, or groups have changed: who may no longer is hung up on. NULL is accepted. */
void control_check(struct control *control);

#endif
