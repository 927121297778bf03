/* SPDX-License-Identifier: MIT */
/*
 * The guest's own volume, as a mixer sees and sets it: a connection to the server without a stream.
 *
 * It is kept by the server (xaring-guestd in a Xen guest, xaring-pw otherwise), applied by every program that plays
 * to what it writes (client.h), and apart from the volume that the backend's people have given to this VM.
 *
 * Thread: one. Blocks: where it says so. Real-time safe: no. Logs: no.
 */
#ifndef XARING_MIXER_H
#define XARING_MIXER_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xaring_mixer;

struct xaring_volume {
	uint32_t linear; /* at most XARING_VOLUME_UNITY */
	bool muted;
};

/*
 * Connects, and waits at most timeout_ms for the answer.
 *
 * Owner: the caller; xaring_mixer_close(). Returns 0 and sets *out; -ETIMEDOUT; -EBUSY (too many mixers) or -EINVAL
 * (no common version) when the server refuses; -EPROTO; or a negative errno of connect(2): nobody is there.
 */
int xaring_mixer_open(const char *socket, int timeout_ms, struct xaring_mixer **out);
void xaring_mixer_close(struct xaring_mixer *mixer); /* accepts NULL */

/* Readable when something may have changed, or the server is gone: then xaring_mixer_take(). */
int xaring_mixer_fd(const struct xaring_mixer *mixer);

/*
 * Takes what the server has said. Blocks: no. Returns 1 when the volume may be another one, 0 when there is nothing,
 * or a negative errno: the server is gone, or not one of ours; the mixer is to be closed.
 */
int xaring_mixer_take(struct xaring_mixer *mixer);

/* The volume as it is. Costs no system call. */
void xaring_mixer_get(const struct xaring_mixer *mixer, struct xaring_volume *volume);

/*
 * Sets what `what` names, XARING_SET_VOLUME and XARING_SET_MUTED, and waits at most timeout_ms for the answer.
 * Returns 0; -EPERM: this user may not; -ETIMEDOUT; or a negative errno as above. But for 0 the mixer is to be closed.
 */
int xaring_mixer_set(struct xaring_mixer *mixer, uint32_t what, const struct xaring_volume *volume,
		     int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
