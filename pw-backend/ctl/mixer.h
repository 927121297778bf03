/* SPDX-License-Identifier: MIT */
/*
 * How loud VMs are: asked of PipeWire and said to PipeWire, which has the truth, and whose session manager
 * remembers it. Nothing is kept here.
 *
 * Thread: one. Blocks: until PipeWire has answered, 2 s at most. Logs: no.
 */
#ifndef XARINGCTL_MIXER_H
#define XARINGCTL_MIXER_H

#include <json-c/json.h>

#include "options.h"

struct mixer;

/*
 * Connects to the PipeWire at that socket, and looks. Owner: the caller; mixer_close().
 * Returns 0 and sets *out, -ETIMEDOUT, or another negative errno.
 */
int mixer_open(const char *socket, struct mixer **out);
void mixer_close(struct mixer *mixer); /* accepts NULL */

/* Looks again at all nodes. Returns 0, or a negative errno: PipeWire is gone, or does not answer. */
int mixer_look(struct mixer *mixer);

/*
 * Adds "volume" to the VM and to each of its streams: an object with "percent" (of the loudest channel, as mixers
 * show it) and "muted", or null where nothing plays. Of the VM it is that of its loudest playback node, and
 * muted when all are. mixer may be NULL: null everywhere.
 */
void mixer_add_volumes(const struct mixer *mixer, struct json_object *vm);

/*
 * Changes all playback nodes of the VM with that key, and waits until PipeWire has done it. Returns the number of
 * nodes, 0 when it plays nothing, or a negative errno.
 */
int mixer_change(struct mixer *mixer, const char *key, const struct volume_change *change);

#endif
