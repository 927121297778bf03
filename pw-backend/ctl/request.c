/* SPDX-License-Identifier: MIT */
/*
 * Sends lines and receives objects. What they mean is others' business.
 */
#include "request.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../control.h"

#define CONNECT_S 2
#define SYSTEM    "/run/xaring/" CONTROL_SOCKET

/* Without a session, and as root, it is the system's. */
static bool find_in_session(char path[REQUEST_PATH_BYTES])
{
	const char *session = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0 || !session || session[0] != '/')
		return false;
	snprintf(path, REQUEST_PATH_BYTES, "%s/xaring/" CONTROL_SOCKET, session);
	return access(path, F_OK) == 0;
}

void request_find(const char *option, char path[REQUEST_PATH_BYTES])
{
	const char *given = option ? option : getenv("XARING_CONTROL");

	if (given && given[0])
		snprintf(path, REQUEST_PATH_BYTES, "%s", given);
	else if (!find_in_session(path))
		snprintf(path, REQUEST_PATH_BYTES, "%s", SYSTEM);
}

/* option: SO_RCVTIMEO or SO_SNDTIMEO. */
static int set_patience(int fd, int option, int seconds)
{
	struct timeval wait = {.tv_sec = seconds};

	return setsockopt(fd, SOL_SOCKET, option, &wait, sizeof(wait)) < 0 ? -errno : 0;
}

/* A socket whose queue is full makes us wait. */
static int connect_to(int fd, const struct sockaddr_un *address)
{
	int res = set_patience(fd, SO_SNDTIMEO, CONNECT_S);

	if (res < 0)
		return res;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

int request_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, res;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	res = connect_to(fd, &address);
	if (res < 0)
		close(fd);
	return res < 0 ? res : fd;
}

/* One that has turned us away has hung up, and said why: that is read next. */
static int send_request(int fd, const char *request)
{
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) >= 0 || errno == EPIPE)
		return 0;
	return -errno;
}

/* That the request was not read any more is told before what was said instead. */
static ssize_t receive(int fd, char *text, size_t room)
{
	ssize_t bytes = recv(fd, text, room, 0);

	if (bytes < 0 && errno == ECONNRESET)
		bytes = recv(fd, text, room, 0);
	return bytes < 0 ? -errno : bytes;
}

int request_receive(int fd, int patience_s, struct json_object **out)
{
	static char text[CONTROL_ANSWER_BYTES + 1];
	int res = set_patience(fd, SO_RCVTIMEO, patience_s);
	ssize_t bytes;

	if (res < 0)
		return res;
	do
		bytes = receive(fd, text, sizeof(text) - 1);
	while (bytes == -EINTR && patience_s != REQUEST_FOREVER);
	if (bytes == -EAGAIN)
		return -ETIMEDOUT;
	if (bytes <= 0)
		return bytes < 0 && bytes != -ECONNRESET ? (int)bytes : -ENODEV;
	text[bytes] = '\0';
	*out = json_tokener_parse(text);
	return *out && json_object_is_type(*out, json_type_object) ? 0 : -EPROTO;
}

/* The last object of an answer. */
static bool is_end(struct json_object *object)
{
	return json_object_object_get_ex(object, "ok", NULL);
}

static int receive_all(int fd, int patience_s, struct answer *a)
{
	struct json_object *o;
	int res;

	while (!a->end) {
		res = request_receive(fd, patience_s, &o);
		if (res < 0)
			return res;
		if (is_end(o))
			a->end = o;
		else
			json_object_array_add(a->items, o);
	}
	return 0;
}

int request_ask(int fd, int patience_s, const char *request, struct answer *out)
{
	int res = send_request(fd, request);

	*out = (struct answer){.items = json_object_new_array()};
	if (res == 0)
		res = receive_all(fd, patience_s, out);
	if (res == 0 && !json_object_get_boolean(request_object(out->end, "ok")))
		res = -EREMOTEIO;
	return res;
}

void request_forget(struct answer *a)
{
	json_object_put(a->items);
	json_object_put(a->end);
	*a = (struct answer){0};
}

struct json_object *request_object(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(object, key, &value) ? value : NULL;
}

const char *request_text(struct json_object *object, const char *key)
{
	struct json_object *value = request_object(object, key);

	return value && json_object_is_type(value, json_type_string) ? json_object_get_string(value)
								     : "";
}

int64_t request_number(struct json_object *object, const char *key)
{
	return json_object_get_int64(request_object(object, key));
}
