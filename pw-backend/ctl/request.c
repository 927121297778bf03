/* SPDX-License-Identifier: MIT */
/*
 * Sends lines and receives objects. What they mean is others' business.
 */
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../control.h"

#define ANSWER_S 5
#define SYSTEM   "/run/xaring/" CONTROL_SOCKET

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

static int set_patience(int fd, int seconds)
{
	struct timeval wait = {.tv_sec = seconds};

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ? -errno : 0;
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
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		res = -errno;
		close(fd);
		return res;
	}
	return fd;
}

/* One that has turned us away has hung up, and said why: that is read next. */
int request_send(int fd, const char *request)
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

int request_receive(int fd, bool forever, struct json_object **out)
{
	static char text[CONTROL_ANSWER_BYTES + 1];
	int res = set_patience(fd, forever ? 0 : ANSWER_S);
	ssize_t bytes;

	if (res < 0)
		return res;
	do
		bytes = receive(fd, text, sizeof(text) - 1);
	while (bytes == -EINTR && !forever);
	if (bytes == -EAGAIN)
		return -ETIMEDOUT;
	if (bytes <= 0)
		return bytes < 0 && bytes != -ECONNRESET ? (int)bytes : -ENODEV;
	text[bytes] = '\0';
	*out = json_tokener_parse(text);
	return *out && json_object_is_type(*out, json_type_object) ? 0 : -EPROTO;
}

bool request_is_end(struct json_object *object)
{
	return json_object_object_get_ex(object, "ok", NULL);
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
