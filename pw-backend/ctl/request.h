/* SPDX-License-Identifier: MIT */
/*
 * Asks the broker on its control socket, see control.h.
 *
 * Thread: one. Blocks: until the answer is there, for as long as the caller has patience, and 2 s at most for a
 * connection. Logs: no.
 */
#ifndef XARINGCTL_REQUEST_H
#define XARINGCTL_REQUEST_H

#include <stdint.h>

#include <json-c/json.h>

#define REQUEST_PATH_BYTES \
	4096 /* longer paths are cut, and refused by request_connect() like those from 108 on */

#define REQUEST_PATIENCE_S 5 /* of a person who waits for an answer */
#define REQUEST_FOREVER    0

/* What the broker has said to a request. */
struct answer {
	struct json_object *items; /* an array */
	struct json_object *end;   /* the last object, or NULL */
};

/* Where the broker is: the option, the environment, or one of the usual places. */
void request_find(const char *option, char path[REQUEST_PATH_BYTES]);

/* Connects. Returns a descriptor; -ETIMEDOUT when the broker takes no more, or another negative errno. */
int request_connect(const char *path);

/*
 * Takes the next object of an answer, or the next event. Returns 0 and sets *out, which the caller gives back by
 * json_object_put(); -ENODEV when the broker hung up; -ETIMEDOUT when it said nothing for that long, or not at all
 * with REQUEST_FOREVER; -EPROTO when it is no JSON; or another negative errno.
 */
int request_receive(int fd, int patience_s, struct json_object **out);

/*
 * Sends a request and takes all of the answer. Returns 0; -EREMOTEIO when the broker has refused, and said why in
 * out->end; or a negative errno as above. *out is set in any case, and given back by request_forget().
 */
int request_ask(int fd, int patience_s, const char *request, struct answer *out);
void request_forget(struct answer *answer);

/* Texts and numbers of objects: "" or 0 when the field is not there, or null. Borrowed. */
const char *request_text(struct json_object *object, const char *key);
int64_t request_number(struct json_object *object, const char *key);
struct json_object *request_object(struct json_object *object, const char *key); /* or NULL */

#endif
