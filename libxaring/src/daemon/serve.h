/* SPDX-License-Identifier: MIT */
/*
 * Serving programs on one socket: connections, their deadlines and limits, messages. For the broker
 * of xaring-pw (local transport) and for xaring-guestd.
 *
 * Everything that comes from a client is hostile: what is not of the protocol ends the connection,
 * and no client makes the server work more often than the limits here say. Descriptors that it sends
 * are not taken, nor is it waited for what closing them may take; but where some of these wait
 * nothing more is accepted. Of the connections that have no stream yet each user has a share, and those
 * that say nothing make room for others. Each user has a rate, too: what connects faster is hung up on at
 * once. Who may have a stream, and where its pages come from, is the caller's, who answers each OPEN.
 *
 *   GREETING --OPEN--> WAITING --serve_client_give()--> PLAYING
 *       |  |              |                                |
 *       |  +--WATCH--> WATCHING                            |
 *       |                 |                                |
 *       +-----------------+---- on_gone, when owned -------+---> freed
 *
 * Thread: the loop's. Blocks: no, but for the start of a thread (hold.h) when a client goes that has
 * sent descriptors, and at the end. Logs: no.
 */
#ifndef XARING_DAEMON_SERVE_H
#define XARING_DAEMON_SERVE_H

#include <stdint.h>

#include <xaring/server.h>

struct loop;
struct serve;
struct serve_client;

struct serve_events {
	/*
	 * A program asks for a stream (borrowed, as long as the client lives). The answer is one of
	 * serve_client_give(), _keep(), _refuse() or _drop(), now or within 2 s; a client that
	 * has got none by then is dropped.
	 */
	void (*on_open)(void *data, struct serve_client *client, const struct xaring_open *open);

	/* serve_retry(): an OPEN that still waits for its answer, of a client without an owner. */
	void (*on_retry)(void *data, struct serve_client *client, const struct xaring_open *open);

	void (*on_kick)(void *data, struct serve_client *client, enum xaring_kick kick);

	/*
	 * A mixer sets the guest's volume. Returns 0 when it is as it was, 1 when it is another one, and all
	 * other mixers are told, or a negative errno and sets *refusal.
	 */
	int (*on_set_volume)(void *data, struct serve_client *client,
			     const struct xaring_set_volume *set, struct xaring_refusal *refusal);

	/* The client goes, whoever ended it. Only for clients that have an owner. */
	void (*on_gone)(void *data, struct serve_client *client);

	/* Something is limited; text completes a sentence that begins with who it is. */
	void (*on_limit)(void *data, const char *text);
};

struct serve_setup {
	struct xaring_listener *listener; /* taken over, also on failure */
	int status;                       /* the page that mixers get; borrowed */
	/*
	 * Streams in the long run come one in this time; connections of one user are accepted 16 times as
	 * often, so that each is answered.
	 */
	uint32_t open_ms;
	const struct serve_events *events; /* borrowed, as is data */
	void *data;
};

/* Returns 0 and sets *out, or a negative errno. */
int serve_open(struct loop *loop, const struct serve_setup *setup, struct serve **out);

/* Ends all connections. Accepts NULL. */
void serve_close(struct serve *serve);

/* Something was given back: on_retry for each OPEN that waits, oldest first. */
void serve_retry(struct serve *serve);

/* What the caller has to do with a client; NULL = nothing (any more). */
void serve_client_set_owner(struct serve_client *client, void *owner);
void *serve_client_owner(const struct serve_client *client);

uid_t serve_client_uid(const struct serve_client *client);

/* The connection, to ask the kernel about who is at its other end. Borrowed; not to be read or written. */
int serve_client_fd(const struct serve_client *client);

/*
 * Gives pages (descriptors borrowed): in answer to OPEN, and the client plays from here on, or to a
 * client that plays in the place of its own. Returns 0 or a negative errno; the client is then as
 * before.
 */
int serve_client_give(struct serve_client *client, const struct xaring_accept *accept, int control,
		      int data, int status);

/*
 * Answers OPEN of a client that has pages with that epoch: it goes on with them (status is
 * borrowed). Returns 0 or a negative errno; the client is then as before.
 */
int serve_client_keep(struct serve_client *client, uint64_t epoch, int status);

/* Says why, and drops the client. */
void serve_client_refuse(struct serve_client *client, const struct xaring_refusal *refusal);

/* Ends the connection without a word: the program tries again by itself. */
void serve_client_drop(struct serve_client *client);

#endif
