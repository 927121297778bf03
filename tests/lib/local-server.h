/* SPDX-License-Identifier: MIT */
/*
 * The other end of a client, by hand: a server and backend in the test's own thread that do exactly
 * what the test tells them, when it tells them. Nothing here waits; every step must succeed or the
 * test fails.
 */
#ifndef XARING_TESTS_LOCAL_SERVER_H
#define XARING_TESTS_LOCAL_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/pages.h>
#include <xaring/record.h>
#include <xaring/server.h>

struct local_server {
	char folder[32];
	char path[64];
	struct xaring_listener *listener; /* NULL while nobody serves */
	int status_write_fd, status_fd;
	struct xaring_status_page *status;
	bool two_clocks; /* gives pages as a server in a guest does: the backend's clock is another */
};

/* One connection, and the pages of its stream. */
struct local_link {
	int fd;
	struct xaring_peer peer;
	struct xaring_open open;
	uint64_t epoch; /* of the pages */
	struct xaring_shape shape;
	struct xaring_pages pages; /* as the backend maps them */
	uint32_t seq;
	uint32_t attach;
	uint32_t word, index; /* of local_pump() */
};

/* Makes a folder and a status page that says the backend is there; listens when told to. */
void local_server_open(struct local_server *s, bool listens);
void local_server_close(struct local_server *s);
void local_server_listen(struct local_server *s);
void local_server_vanish(struct local_server *s); /* stops listening and removes the socket */

/* Takes the connection that is waiting, and its OPEN. */
void local_link_take(struct local_server *s, struct local_link *l);
/* Its second half: the OPEN of a connection that was accepted already. */
void local_link_hear(struct local_link *l);
/* hear, give and attach, unless the client has gone away again: then drop. */
void local_link_try(struct local_server *s, struct local_link *l);
/* Tells whether a connection waits, and leaves it there. */
bool local_server_waits(struct local_server *s);
/* Tells whether a connection waits; it is closed unread. */
bool local_server_has_client(struct local_server *s);
/* Makes pages and sends them: ACCEPT or RELINK. */
void local_link_give(struct local_server *s, struct local_link *l, enum xaring_message_type type);
/* take, give, and the backend's first words: accepted, attach. */
void local_link_up(struct local_server *s, struct local_link *l);
void local_link_refuse(struct local_link *l, enum xaring_reason reason);
/* Closes the connection; the backend has the pages still. */
void local_link_hang_up(struct local_link *l);
/* Takes the connection that is waiting, with its OPEN, for the pages that the link has. */
void local_link_take_back(struct local_server *s, struct local_link *l);
/* Answers that OPEN: go on with the pages of this epoch. */
void local_link_keep(struct local_server *s, struct local_link *l, uint64_t epoch);
/* Closes the connection and unmaps. */
void local_link_drop(struct local_link *l);
/* The kick that is waiting, or 0; -1 when the client is gone. */
int local_link_kick(struct local_link *l);

/* As the backend. */
void local_attach(struct local_link *l);
uint32_t local_word(const struct local_link *l);
uint32_t local_base(const struct local_link *l);
uint32_t local_written(const struct local_link *l);
void local_record(struct local_link *l, const struct xaring_record *record);
/* A record that answers the present word. */
void local_cycle(struct local_link *l, uint32_t pos, uint32_t frames, uint64_t time_ns);

/* One cycle of an honest backend: attaches, primes, consumes up to a quantum, and says so. */
void local_pump(struct local_link *l, uint32_t frames, uint64_t time_ns);

#endif
