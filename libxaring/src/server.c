/* SPDX-License-Identifier: MIT */
/*
 * The serving end of the local socket: listening, accepting, answering. Knows neither policy nor
 * pages; reads nothing from a client (that is xaring_wire_receive_bare()) and never waits for one.
 */
#include <xaring/server.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Who connects while the queue is full is told so, or waits: it is to be empty soon, not to be long. A
 * longer one would be as full when somebody fills it, and who has found a place in it would wait longer.
 */
#define LISTEN_BACKLOG 128

struct xaring_listener {
	int fd;
	dev_t dev; /* of the socket that it made, and takes away again; 0 when it made none */
	ino_t ino;
	struct sockaddr_un address;
};

static int address_init(struct sockaddr_un *address, const char *path)
{
	size_t length = strlen(path);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (length == 0 || length >= sizeof(address->sun_path))
		return -EINVAL;
	memcpy(address->sun_path, path, length + 1);
	return 0;
}

/* Tells whether anybody listens there: 1, 0, or a negative errno. */
static int socket_is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int res;

	if (fd < 0)
		return -errno;
	/* A full queue and a listener of another type are listeners as well. */
	res = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	close(fd);
	return res != -ECONNREFUSED && res != -ENOENT;
}

/* Takes a socket away that a server left behind when it died. Nothing else is touched. */
static int remove_leftover(const struct sockaddr_un *address)
{
	struct stat st;
	int res;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	res = socket_is_served(address);
	if (res != 0)
		return res < 0 ? res : -EADDRINUSE;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Binds and listens. Before listen() nobody can connect, so the mode is right in time. */
static int listener_bind(struct xaring_listener *listener, mode_t mode)
{
	const char *path = listener->address.sun_path;
	struct stat st;
	int res;

	if (bind(listener->fd, (struct sockaddr *)&listener->address, sizeof(listener->address)) <
	    0)
		return -errno;
	if (chmod(path, mode) < 0 || lstat(path, &st) < 0 ||
	    listen(listener->fd, LISTEN_BACKLOG) < 0) {
		res = -errno;
		unlink(path);
		return res;
	}
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	return 0;
}

int xaring_listener_open(const char *path, mode_t mode, struct xaring_listener **out)
{
	struct xaring_listener *listener = calloc(1, sizeof(*listener));
	int res;

	if (!listener)
		return -ENOMEM;
	listener->fd = -1;
	res = address_init(&listener->address, path);
	if (res < 0)
		goto err;
	res = remove_leftover(&listener->address);
	if (res < 0)
		goto err;
	listener->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0) {
		res = -errno;
		goto err;
	}
	res = listener_bind(listener, mode);
	if (res < 0)
		goto err;
	*out = listener;
	return 0;
err:
	xaring_listener_close(listener);
	return res;
}

static bool option_is(int fd, int option, int wanted)
{
	socklen_t length = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value == wanted;
}

int xaring_listener_adopt(int fd, struct xaring_listener **out)
{
	struct xaring_listener *listener;
	int flags;

	if (!option_is(fd, SO_DOMAIN, AF_UNIX) || !option_is(fd, SO_TYPE, SOCK_SEQPACKET) ||
	    !option_is(fd, SO_ACCEPTCONN, 1))
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return -ENOMEM;
	listener->fd = fd;
	*out = listener;
	return 0;
}

/* Removes the socket that it made, unless another server has put its own there meanwhile. */
static void listener_remove(const struct xaring_listener *listener)
{
	struct stat st;

	if (lstat(listener->address.sun_path, &st) == 0 && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(listener->address.sun_path);
}

void xaring_listener_close(struct xaring_listener *listener)
{
	if (!listener)
		return;
	listener_remove(listener);
	if (listener->fd >= 0)
		close(listener->fd);
	free(listener);
}

int xaring_listener_fd(const struct xaring_listener *listener)
{
	return listener->fd;
}

int xaring_listener_accept(struct xaring_listener *listener, struct xaring_peer *peer)
{
	struct ucred cred = {0};
	socklen_t length = sizeof(cred);
	int fd, res;

	do {
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0) {
		res = -errno;
		close(fd);
		return res;
	}
	peer->pid = cred.pid;
	peer->uid = cred.uid;
	peer->gid = cred.gid;
	return fd;
}

int xaring_server_send_pages(int fd, enum xaring_message_type type,
			     const struct xaring_accept *accept, int control, int data, int status)
{
	struct xaring_message message = {.type = type,
					 .u.accept = *accept,
					 .fds = {control, data, status}};

	return xaring_wire_send(fd, &message);
}

int xaring_server_send_keep(int fd, uint64_t epoch, int status)
{
	struct xaring_message message = {.type = XARING_MESSAGE_KEEP,
					 .u.keep_epoch = epoch,
					 .fds = {status, -1, -1}};

	return xaring_wire_send(fd, &message);
}

int xaring_server_send_refusal(int fd, const struct xaring_refusal *refusal)
{
	struct xaring_message message = {.type = XARING_MESSAGE_REFUSE,
					 .u.refusal = *refusal,
					 .fds = {-1, -1, -1}};

	return xaring_wire_send(fd, &message);
}

int xaring_server_send_status(int fd, uint32_t version, int status)
{
	struct xaring_message message = {.type = XARING_MESSAGE_STATUS,
					 .u.status_version = version,
					 .fds = {status, -1, -1}};

	return xaring_wire_send(fd, &message);
}

int xaring_server_send_changed(int fd, bool is_answer)
{
	struct xaring_message message = {.type = XARING_MESSAGE_CHANGED,
					 .u.changed_is_answer = is_answer,
					 .fds = {-1, -1, -1}};

	return xaring_wire_send(fd, &message);
}

int xaring_server_agree_version(uint32_t oldest, uint32_t newest, uint32_t *version,
				struct xaring_refusal *refusal)
{
	uint32_t common = newest < XARING_PROTOCOL_VERSION ? newest : XARING_PROTOCOL_VERSION;

	if (common < XARING_PROTOCOL_VERSION_MIN || common < oldest) {
		*refusal = (struct xaring_refusal){.reason = XARING_REASON_VERSION,
						   .value = newest,
						   .min = XARING_PROTOCOL_VERSION_MIN,
						   .max = XARING_PROTOCOL_VERSION};
		return -ENOTSUP;
	}
	*version = common;
	return 0;
}

int xaring_server_agree(const struct xaring_open *open, uint32_t *version, uint32_t *features,
			struct xaring_refusal *refusal)
{
	int res = xaring_server_agree_version(open->version_min, open->version, version, refusal);

	if (res == 0)
		*features = open->features & XARING_FEATURE_SAME_CLOCK;
	return res;
}
