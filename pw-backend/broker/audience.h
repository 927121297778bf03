/* SPDX-License-Identifier: MIT */
/*
 * Whose PipeWire guests are played to: what was asked for, and what that means right now.
 *
 * Thread: one. Blocks: looks up names of users. Logs: no.
 */
#ifndef XARING_BROKER_AUDIENCE_H
#define XARING_BROKER_AUDIENCE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "seat.h"

#define AUDIENCE_SOCKET_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)
#define AUDIENCE_TEXT_BYTES   192
#define AUDIENCE_ERROR_BYTES  512

#define AUDIENCE_USER_ACCEPTED "auto or the name of a user of this machine is accepted"

/* Where people may have said it; NULL where they did not. */
struct audience_given {
	bool is_root;
	const char *option_socket, *option_user; /* of the command line */
	const char *config_socket, *config_user; /* of xaring-pw.conf */
	/* The environment: PIPEWIRE_REMOTE, PIPEWIRE_RUNTIME_DIR, XDG_RUNTIME_DIR */
	const char *remote, *pipewire_dir, *session_dir;
};

enum audience_kind {
	AUDIENCE_SOCKET, /* this socket, whosever it is */
	AUDIENCE_USER,   /* that user, logged in or not */
	AUDIENCE_SEAT    /* who is at the seat */
};

struct audience_choice {
	enum audience_kind kind;
	char socket[AUDIENCE_SOCKET_BYTES];
	uid_t uid;
};

/* Who hears guests now. */
struct audience {
	char socket[AUDIENCE_SOCKET_BYTES]; /* PipeWire's; empty = nobody hears them */
	bool is_user;                       /* the folder of the socket must be that of uid */
	uid_t uid;
	char text[AUDIENCE_TEXT_BYTES]; /* completes "playing to ..." */
};

/* Reads "auto" or a user's name. Returns 0 and sets *out, or -ENOENT: AUDIENCE_USER_ACCEPTED. */
int audience_read_user(const char *name, struct audience_choice *out);

/*
 * Chooses what counts most: the command line, then xaring-pw.conf, then the environment, and in
 * each a socket before a user. When nothing is given root follows the seat, and everybody else
 * plays to the PipeWire of their own session.
 *
 * Returns 0 and sets *out; or -EINVAL and a message in error.
 */
int audience_choose(const struct audience_given *given, struct audience_choice *out,
		    char error[AUDIENCE_ERROR_BYTES]);

/* What a choice means while the seat is in this state. Root has to be named to be played to. */
void audience_decide(const struct audience_choice *choice, const struct seat_state *seat,
		     struct audience *out);

/* Tells whether a worker for the one will do for the other. */
bool audience_is_same(const struct audience *a, const struct audience *b);

#endif
