/* SPDX-License-Identifier: MIT */
/*
 * The serving end of the local socket: for the broker of xaring-pw and for xaring-guestd.
 *
 * Sockets and messages only: who may play, where pages come from and what happens with them is the
 * caller's. No loop: the caller polls xaring_listener_fd() and the descriptors it accepted.
 *
 * Thread: one. Blocks: no. Real-time safe: no. Logs: no.
 */
#ifndef XARING_SERVER_H
#define XARING_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <xaring/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xaring_listener;

/* Who is at the other end, as the kernel tells (SO_PEERCRED). */
struct xaring_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

/*
 * Listens at path with the given mode. A socket that is left over there is replaced; anything
 * else is not, and neither is a socket that somebody listens on.
 *
 * Owner: the caller; xaring_listener_close(), which removes the socket.
 * Returns 0 and sets *out, -EINVAL (path too long), -EADDRINUSE, -EEXIST, or a negative errno.
 */
int xaring_listener_open(const char *path, mode_t mode, struct xaring_listener **out);
void xaring_listener_close(struct xaring_listener *listener);
int xaring_listener_fd(const struct xaring_listener *listener);

/*
 * Takes over a listening socket, of systemd's socket activation: it is not removed at the end.
 *
 * Owner: the caller; xaring_listener_close().
 * Returns 0 and sets *out, -EINVAL (it is none, or of another kind) or a negative errno: fd is then
 * the caller's as before.
 */
int xaring_listener_adopt(int fd, struct xaring_listener **out);

/*
 * Accepts one connection, non-blocking and close-on-exec.
 * Returns its descriptor, -EAGAIN when there is none, or a negative errno.
 */
int xaring_listener_accept(struct xaring_listener *listener, struct xaring_peer *peer);

/* Sends ACCEPT or RELINK with the three descriptors (borrowed). Returns as xaring_wire_send(). */
int xaring_server_send_pages(int fd, enum xaring_message_type type,
			     const struct xaring_accept *accept, int control, int data, int status);

/*
 * Sends KEEP: the client goes on with the pages that it has. Only in answer to an OPEN with this
 * epoch, which is not 0. status is borrowed. Returns as xaring_wire_send().
 */
int xaring_server_send_keep(int fd, uint64_t epoch, int status);

/* Sends REFUSE. The caller closes the connection afterwards. Returns as xaring_wire_send(). */
int xaring_server_send_refusal(int fd, const struct xaring_refusal *refusal);

/* Sends STATUS, in answer to WATCH; status is borrowed. Returns as xaring_wire_send(). */
int xaring_server_send_status(int fd, uint32_t version, int status);

/* Sends CHANGED, to who has got STATUS, or as the answer to SET_VOLUME. Returns as xaring_wire_send(). */
int xaring_server_send_changed(int fd, bool is_answer);

/*
 * Finds the version that both sides speak, of a client that speaks newest, and oldest, and what is between.
 * Returns 0 and sets *version, or -ENOTSUP and sets *refusal.
 */
int xaring_server_agree_version(uint32_t oldest, uint32_t newest, uint32_t *version,
				struct xaring_refusal *refusal);

/*
 * Finds the version and features that both sides speak.
 * Returns 0 and sets *version and *features, or -ENOTSUP and sets *refusal.
 */
int xaring_server_agree(const struct xaring_open *open, uint32_t *version, uint32_t *features,
			struct xaring_refusal *refusal);

#ifdef __cplusplus
}
#endif

#endif
