/* SPDX-License-Identifier: MIT */
/*
 * Messages over a socket, or over the kernel's device: that takes a request with one call, and says
 * there and then when a watch was refused. All that has come is told before anybody waits, so that
 * the descriptor is readable whenever there is something to hear.
 *
 * Whatever does not fit the request that is under way ends the connection: what it would be the
 * answer to, nobody knows any more.
 */
#include "store-connection.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "now.h"

#define SOCKET "/var/run/xenstored/socket"
#define DEVICE "/dev/xen/xenbus"
#define DOM0   "/dev/xen/xenbus_backend" /* there in the domain that starts the others only */

#define CONNECT_S 1
#define READS_MAX 16 /* in one go, so that others get their turn */

/* ---- open and close ---- */

void connection_init(struct connection *c, const char *path, connection_event_fn on_event,
		     void *data)
{
	c->path = path;
	c->fd = -1;
	c->last_id = 0;
	c->is_asked = false;
	c->on_event = on_event;
	c->data = data;
	messages_init(&c->messages);
}

/* xenstored lets few wait: who comes later waits here for a while, and then gets -EAGAIN. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = CONNECT_S};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0 &&
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static int open_at(struct connection *c, const char *path)
{
	struct stat is;
	int fd;

	if (stat(path, &is) < 0)
		return -errno;
	c->is_device = !S_ISSOCK(is.st_mode);
	if (!c->is_device)
		return connect_to(path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

/*
 * In dom0 a socket that is not there is that of an xenstored that does not run just now: the device
 * would lead to nobody, and for good.
 */
static int open_usual(struct connection *c)
{
	int fd = open_at(c, SOCKET);

	if (fd == -ENOENT && access(DOM0, F_OK) < 0)
		fd = open_at(c, DEVICE);
	return fd;
}

int connection_open(struct connection *c)
{
	int fd = c->path ? open_at(c, c->path) : open_usual(c);

	if (fd < 0)
		return fd;
	c->fd = fd;
	c->is_asked = false;
	messages_init(&c->messages);
	return 0;
}

void connection_close(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* ---- what comes ---- */

static void set_result(struct connection *c, int result)
{
	c->result = result;
	c->is_asked = false;
}

static void take_body(struct connection *c, const struct message *m)
{
	memcpy(c->answer, m->body, m->header.len);
	c->answer[m->header.len] = 0;
	c->answer_bytes = m->header.len;
	set_result(c, 0);
}

/* Kernels before 4.16 ("xenbus: track caller request id") answer with numbers of their own. */
static bool is_expected(const struct connection *c, const struct message *m)
{
	return c->is_asked && (c->is_device || m->header.req_id == c->last_id);
}

static int take_answer(struct connection *c, const struct message *m)
{
	bool is_error = m->header.type == XS_ERROR;

	if (!is_expected(c, m))
		return -ENOTCONN;
	if (!is_error && m->header.type != c->request.header.type)
		return -ENOTCONN;
	if (is_error)
		set_result(c, message_error(m));
	else if (!m->body)
		set_result(c, -EMSGSIZE);
	else
		take_body(c, m);
	return 0;
}

static int take_messages(struct connection *c)
{
	struct message m;
	const char *path, *token;
	int res = 0;

	while (res == 0 && messages_next(&c->messages, &m)) {
		if (m.header.type != XS_WATCH_EVENT)
			res = take_answer(c, &m);
		else if (message_event(&m, &path, &token))
			c->on_event(c->data, path, token);
	}
	return res;
}

/* Returns 1 when something has come, 0 when nothing has, or -ENOTCONN. */
static int receive(struct connection *c)
{
	size_t bytes;
	char *room = messages_room(&c->messages, &bytes);
	ssize_t got = read(c->fd, room, bytes);
	int res;

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (got <= 0)
		return -ENOTCONN;
	messages_add(&c->messages, (size_t)got);
	res = take_messages(c);
	return res < 0 ? res : 1;
}

int connection_hear(struct connection *c)
{
	int res = 1;

	for (int i = 0; i < READS_MAX && res > 0; i++)
		res = receive(c);
	return res < 0 ? res : 0;
}

/* ---- what is asked ---- */

static bool is_sent(const struct connection *c)
{
	return c->sent == c->request.bytes;
}

static ssize_t put(const struct connection *c)
{
	const char *data = c->request.data + c->sent;
	size_t bytes = c->request.bytes - c->sent;

	return c->is_device ? write(c->fd, data, bytes) : send(c->fd, data, bytes, MSG_NOSIGNAL);
}

/* What the device refuses is xenstored's answer, or the kernel's. */
static int send_some(struct connection *c)
{
	ssize_t res = put(c);

	if (res >= 0) {
		c->sent += (size_t)res;
		return 0;
	}
	if (errno == EINTR || errno == EAGAIN)
		return 0;
	if (!c->is_device)
		return -ENOTCONN;
	set_result(c, -errno);
	return 0;
}

/* What is ready until then is done. */
static int go_on(struct connection *c, uint64_t until_ms)
{
	struct pollfd ready = {.fd = c->fd, .events = POLLIN};
	uint64_t now_ms = clock_now_ms();
	int res = 0;

	if (now_ms >= until_ms)
		return -ETIMEDOUT;
	if (!is_sent(c))
		ready.events |= POLLOUT;
	if (poll(&ready, 1, (int)(until_ms - now_ms)) < 0)
		return errno == EINTR ? 0 : -ENOTCONN;
	if (ready.revents & POLLOUT)
		res = send_some(c);
	if (res == 0 && (ready.revents & ~POLLOUT))
		res = receive(c);
	return res < 0 ? res : 0;
}

int connection_await(struct connection *c, uint32_t timeout_ms)
{
	uint64_t until_ms = clock_now_ms() + timeout_ms;
	int res = 0;

	while (res == 0 && c->is_asked)
		res = go_on(c, until_ms);
	return res < 0 ? res : c->result;
}

/* The device is never ready for writing, but takes what comes. */
int connection_ask(struct connection *c, uint32_t timeout_ms)
{
	int res = request_end(&c->request, c->last_id + 1);

	if (res < 0)
		return res;
	c->last_id++;
	c->sent = 0;
	c->is_asked = true;
	res = send_some(c);
	return res < 0 ? res : connection_await(c, timeout_ms);
}
