/* SPDX-License-Identifier: MIT */
/*
 * What the files of the control socket share: control-socket.c (who is connected, and for how long),
 * control-connection.c (packets from and to one of them), control-handler.c (what is done for it).
 *
 * Thread: the loop's. Blocks: no, but for control_handle(), as permission_decide(). Logs: control_say(),
 * control_handle(), at limited rates.
 */
#ifndef XARING_BROKER_CONTROL_PRIVATE_H
#define XARING_BROKER_CONTROL_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../control.h"
#include "bucket.h"
#include "control-peer.h"
#include "control-socket.h"
#include "limited-log.h"
#include "user-rate.h"

#define CONTROL_KEPT_MAX \
	32 /* connections that cannot be closed yet: with these no more are accepted */
#define CONTROL_KEPT_ROOM (CONTROL_KEPT_MAX + CONTROL_CONNECTIONS)

struct json_object;
struct loop_source;

struct packet {
	struct packet *next;
	size_t bytes;
	char text[];
};

struct connection {
	struct connection *next;
	struct control *control;
	int fd;
	struct control_peer peer;
	struct loop_source *io;
	uint64_t heard_ms; /* when it last said something */
	bool monitors;
	bool lists; /* is being told of the VMs behind `listed`; something waits to be sent then */
	uint32_t listed;
	struct packet *first; /* to be sent */
	size_t waiting_bytes;
	bool is_over; /* hung up on at the next occasion */
};

struct control {
	struct control_setup setup;
	struct xaring_listener *listener;
	struct loop_source *io;
	struct loop_source *tick;
	struct loop_source *pause; /* armed while nothing is accepted */
	struct bucket accepts;
	gid_t group;
	struct connection *connections;
	unsigned count;
	struct user_rate requests;
	struct limited_log log;
	struct limited_log
		decisions; /* of people: nothing that others do keeps these from the log */
	int kept[CONTROL_KEPT_ROOM];
	unsigned kept_count;
};

/*
 * Takes the object, and sends it or lets it wait. A connection to which nothing can be said is over; it is not
 * freed here.
 */
void control_say(struct connection *connection, struct json_object *object);

/* The same for an error: a word for programs, and text for people. */
void control_say_error(struct connection *connection, const char *error, const char *text);

/* Sends what waits. Returns 0, or -EAGAIN while something still does. */
int control_flush(struct connection *connection);

/* Tells of more VMs, as long as nothing waits, and ends the list behind the last one. */
void control_go_on_listing(struct connection *connection);

/* The last object of an answer that tells about VMs. */
void control_say_end_of_list(struct connection *connection);

/*
 * Takes a packet. Returns the number of its bytes, which may be more than there is room for; 0 at the end;
 * -EPROTO for one with descriptors, which are not taken; or another negative errno.
 */
ssize_t control_receive(int fd, char *text, size_t room);

/* The text of an object (borrowed as long as the object), and a packet to somebody who is no connection. */
const char *control_text_of(struct json_object *object);
int control_send_text(int fd, const char *text,
		      size_t bytes); /* 0, -EAGAIN, or another negative errno */

/* Does what a request asks for, and answers. */
void control_handle(struct connection *connection, const char *text, size_t bytes);

#endif
