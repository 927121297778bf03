/* SPDX-License-Identifier: MIT */
/*
 * The messages of the local socket: how a program in the guest gets its pages from the server
 * (xaring-guestd in a Xen guest, the broker of xaring-pw without Xen). xaring-protocol(7), SOCKET.
 *
 * AF_UNIX, SOCK_SEQPACKET, one stream or mixer per connection, one message per packet, fixed layout,
 * little-endian. Descriptors travel from the server to the client only; a server takes
 * none of what a client attaches, and ends the connection.
 *
 *   client                         server
 *   OPEN                  ->
 *                         <-       ACCEPT + 3 fds     or     KEEP + 1 fd     or     REFUSE
 *   KICK                  ->              start, resume, drain, attach answered
 *                         <-       RELINK + 3 fds     new pages; the stream goes on
 *                         <-       REFUSE             the stream is over, and why
 *
 * A mixer has no stream, and begins with another message:
 *
 *   WATCH                 ->
 *                         <-       STATUS + 1 fd      the guest's own volume is in it
 *   SET_VOLUME            ->
 *                         <-       CHANGED            in answer, and when another one has set it; or REFUSE
 */
#ifndef XARING_WIRE_H
#define XARING_WIRE_H

#include <stdint.h>

#include <xaring/format.h>
#include <xaring/protocol.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XARING_NAME_BYTES     64
#define XARING_WIRE_MAX_BYTES 256
#define XARING_WIRE_FDS       3 /* control page, data pages, status page: in this order */
#define XARING_SOCKET_DEFAULT "/run/xaring/socket"

enum xaring_message_type {
	XARING_MESSAGE_OPEN = 1,
	XARING_MESSAGE_ACCEPT = 2,
	XARING_MESSAGE_REFUSE = 3,
	XARING_MESSAGE_KICK = 4,
	XARING_MESSAGE_RELINK = 5,
	XARING_MESSAGE_KEEP = 6,
	XARING_MESSAGE_WATCH = 7,
	XARING_MESSAGE_STATUS = 8,
	XARING_MESSAGE_CHANGED = 9,
	XARING_MESSAGE_SET_VOLUME = 10,
	XARING_MESSAGE_LAST = 10
};

enum xaring_kick {
	XARING_KICK_START = 1, /* start, and resume after a pause */
	XARING_KICK_DRAIN = 2,
	XARING_KICK_ATTACH = 3 /* the guest answered an attach while the backend may be idle */
};

/* OPEN: what the client asks for. */
struct xaring_open {
	uint32_t version_min;
	uint32_t version;
	uint32_t features;
	struct xaring_params params;
	uint64_t epoch;               /* of the link whose pages it still has, 0 = a new stream */
	char name[XARING_NAME_BYTES]; /* the application, for people; need not be terminated */
};

/* ACCEPT and RELINK: the pages. Offsets are those to give to mmap(). */
struct xaring_accept {
	uint32_t version;
	uint32_t features;
	uint64_t epoch;    /* random; names this link */
	uint32_t capacity; /* frames; what xaring_params_shape() says, or the link is refused */
	uint32_t data_pages;
	uint64_t control_offset;
	uint64_t data_offset;
};

/* WATCH: the versions that the client speaks. */
struct xaring_watch {
	uint32_t version_min;
	uint32_t version;
};

/* SET_VOLUME: what is to be set, and to what. */
#define XARING_SET_VOLUME 0x1u
#define XARING_SET_MUTED  0x2u
struct xaring_set_volume {
	uint32_t what;   /* XARING_SET_, at least one */
	uint32_t volume; /* linear, at most XARING_VOLUME_UNITY */
	uint32_t muted;  /* 0 or 1 */
};

/* Any message, decoded. fds are owned by whoever received it. */
struct xaring_message {
	enum xaring_message_type type;
	union {
		struct xaring_open open;
		struct xaring_accept accept; /* ACCEPT, RELINK */
		struct xaring_refusal refusal;
		enum xaring_kick kick;
		uint64_t keep_epoch; /* KEEP: of the link that goes on, as OPEN presented it */
		struct xaring_watch watch;
		uint32_t status_version; /* STATUS: the one that both sides speak */
		struct xaring_set_volume set_volume;
		uint32_t changed_is_answer; /* CHANGED: 1 = to a SET_VOLUME of this mixer; 0 */
	} u;
	int fds[XARING_WIRE_FDS]; /* ACCEPT, RELINK: all; KEEP, STATUS: the status page first; or -1 */
};

/*
 * Encodes the message without its descriptors. Returns the number of bytes, at most
 * XARING_WIRE_MAX_BYTES. Thread: any. Blocks: no. Logs: no.
 */
uint32_t xaring_wire_encode(const struct xaring_message *message,
			    uint8_t bytes[XARING_WIRE_MAX_BYTES]);

/*
 * Decodes one packet, hostile as it may be: type, exact length and every range that does not
 * depend on policy are checked; fds are set to -1.
 *
 * Returns 0, or -EPROTO. Thread: any. Blocks: no. Logs: no.
 */
int xaring_wire_decode(const uint8_t *bytes, uint32_t length, struct xaring_message *message);

/*
 * Sends and receives one message on a connected socket. Blocks: no (MSG_DONTWAIT). Logs: no.
 *
 * xaring_wire_receive() gives the descriptors, close-on-exec, to the caller. A message that brings
 * a number of descriptors other than its type's is refused, and they are closed.
 *
 * xaring_wire_receive_bare() is for servers. It takes no descriptor, since what a client sends may be
 * one whose close(2) waits for ever: a message that brings any is refused, and stays where it is.
 * Closing the connection closes them as well, if nobody else has them.
 *
 * Return 0, -EAGAIN when it would block, -ENODEV when the peer is gone, -EPROTO when a packet is
 * not of the protocol, or another negative errno.
 */
int xaring_wire_send(int fd, const struct xaring_message *message);
int xaring_wire_receive(int fd, struct xaring_message *message);
int xaring_wire_receive_bare(int fd, struct xaring_message *message);

/*
 * Connects to a server's socket, without waiting for it. Returns 0 and sets *out (close-on-exec, non-blocking; the
 * caller's), -EINVAL when the path is too long, -EAGAIN when many are waiting there, or another negative errno.
 */
int xaring_wire_connect(const char *path, int *out);

/* Closes the descriptors that a received message still holds. */
void xaring_message_finish(struct xaring_message *message);

#ifdef __cplusplus
}
#endif

#endif
