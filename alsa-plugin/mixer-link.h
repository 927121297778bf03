/* SPDX-License-Identifier: MIT */
/*
 * The way from a mixer to the server that keeps the guest's volume, across restarts of that.
 *
 * Nothing is connected before something is wanted to be known. Where nobody is, it is tried again once in a second at
 * most: when somebody asks, and as long as events are wanted by itself.
 *
 * Thread: one. Blocks: 250 ms at most, where a server does not answer; half a second in mixer_link_set(). Logs: no.
 */
#ifndef PLUGIN_MIXER_LINK_H
#define PLUGIN_MIXER_LINK_H

#include <stdbool.h>

#include <xaring/mixer.h>

struct mixer_link;

/* socket: path of the server's; copied. Owner: the caller; mixer_link_close(). Returns 0 or a negative errno. */
int mixer_link_create(const char *socket, struct mixer_link **out);
void mixer_link_close(struct mixer_link *link); /* accepts NULL */

/* The same for its life; readable when mixer_link_look() has something to do. */
int mixer_link_fd(const struct mixer_link *link);

/* Events are wanted, or not any more. */
void mixer_link_watch(struct mixer_link *link, bool watch);

/*
 * The volume. Returns whether there is a server; without one it is as it was last.
 * mixer_link_knows() tells whether any has ever said it: before, it is a guess. mixer_link_error() tells why there is
 * none: -EBUSY (it has too many mixers), -ETIMEDOUT, or -ENODEV.
 */
bool mixer_link_get(struct mixer_link *link, struct xaring_volume *volume);
bool mixer_link_knows(const struct mixer_link *link);
int mixer_link_error(const struct mixer_link *link);

/* Listens to the server, or looks for one. Returns whether the volume is another one than it was the last time here. */
bool mixer_link_look(struct mixer_link *link);

/* Sets what XARING_SET_ says. Returns 0, -EPERM (this user may not), or a negative errno: there is no server. */
int mixer_link_set(struct mixer_link *link, uint32_t what, const struct xaring_volume *volume);

#endif
