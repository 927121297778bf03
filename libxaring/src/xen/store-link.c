/* SPDX-License-Identifier: MIT */
/*
 * The connection to xenstore, and its operations. Everything here may block; it runs on the store's
 * thread. libxenstore (4.17 to 4.20) has its own ways, which are met here and nowhere else:
 *
 *  - with the first watch it starts a thread that reads, and keeps events in a list without end: it
 *    is emptied after every operation, and by the store's thread whenever the library's pipe says so;
 *  - the end of the connection does not show in that pipe: a second connection, on which nothing is
 *    ever said, shows that xenstored went while nothing was asked;
 *  - its thread closes the socket then, while ours may be writing there. All that can be done about
 *    it is to look at the second connection before every operation;
 *  - after that end an operation fails with EINVAL, which xenstored answers as well: the list of
 *    events tells the two apart;
 *  - an answer is waited for without end. Nothing can be done about that here;
 *  - 4.17 sets the handling of SIGPIPE for the whole process during each operation, and back after it.
 */
#include "store-link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DRAIN_MAX         1024 /* events in one go, so that jobs get their turn */
#define TRANSACTION_TRIES 5
#define PERMISSIONS_MAX   8
#define READER_ENDS_MS    100

void link_drain(struct store_link *link)
{
	if (!link->xs)
		return;
	for (int i = 0; i < DRAIN_MAX; i++) {
		char **event = xs_check_watch(link->xs);

		if (!event) {
			if (errno != EAGAIN)
				link->lost = true;
			return;
		}
		link->on_event(link->data, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
		free(event);
	}
}

void link_look(struct store_link *link)
{
	char byte;

	if (link->canary_fd < 0)
		return;
	if (recv(link->canary_fd, &byte, 1, MSG_DONTWAIT) >= 0 ||
	    (errno != EAGAIN && errno != EINTR))
		link->lost = true;
}

/*
 * Before every operation. Also because the library, when it fails to write, closes a descriptor that
 * its reading thread is closing as well: it is not let near a connection that has ended.
 */
static bool is_ready(struct store_link *link)
{
	link_look(link);
	return !link->lost;
}

static bool is_loss(int error)
{
	return error == EBADF || error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

/* After every operation: 0, or what its errno means. */
static int operation_result(struct store_link *link, bool success, int error)
{
	link_drain(link);
	if (success)
		return 0;
	if (is_loss(error))
		link->lost = true;
	if (link->lost)
		return -ENOTCONN;
	return error ? -error : -EIO;
}

int store_read(struct store_link *link, const char *path, size_t max, char **value, size_t *bytes)
{
	unsigned length = 0;
	char *read;
	int res;

	if (!is_ready(link))
		return -ENOTCONN;
	read = xs_read(link->xs, link->transaction, path, &length);
	res = operation_result(link, read != NULL, errno);
	if (res == 0 && length > max)
		res = -E2BIG;
	if (res < 0) {
		free(read);
		return res;
	}
	*value = read;
	*bytes = length;
	return 0;
}

int store_write(struct store_link *link, const char *path, const char *value, size_t bytes)
{
	bool success;

	if (bytes > UINT16_MAX)
		return -E2BIG;
	if (!is_ready(link))
		return -ENOTCONN;
	success = xs_write(link->xs, link->transaction, path, value, (unsigned)bytes);
	return operation_result(link, success, errno);
}

int store_remove(struct store_link *link, const char *path)
{
	bool success;
	int res;

	if (!is_ready(link))
		return -ENOTCONN;
	success = xs_rm(link->xs, link->transaction, path);
	res = operation_result(link, success, errno);
	return res == -ENOENT ? 0 : res;
}

static int transaction_start(struct store_link *link)
{
	if (!is_ready(link))
		return -ENOTCONN;
	link->transaction = xs_transaction_start(link->xs);
	return operation_result(link, link->transaction != XBT_NULL, errno);
}

static int transaction_end(struct store_link *link, bool abort)
{
	xs_transaction_t transaction = link->transaction;
	bool success;

	link->transaction = XBT_NULL;
	if (!is_ready(link))
		return -ENOTCONN;
	success = xs_transaction_end(link->xs, transaction, abort);
	return operation_result(link, success, errno);
}

static int list_names(struct store_link *link, const char *path, char ***names)
{
	unsigned count = 0;
	char **list = xs_directory(link->xs, link->transaction, path, &count);
	int res = operation_result(link, list != NULL, errno);

	if (res < 0)
		return res;
	*names = list;
	return (int)count;
}

/*
 * In a transaction, because the library reads a long list in pieces and begins anew whenever it has
 * changed meanwhile: its writer could keep us there for good.
 */
int store_list(struct store_link *link, const char *path, char ***names)
{
	int res;

	if (!is_ready(link))
		return -ENOTCONN;
	if (link->transaction != XBT_NULL)
		return list_names(link, path, names);
	res = transaction_start(link);
	if (res < 0)
		return res;
	res = list_names(link, path, names);
	transaction_end(link, true);
	return res;
}

static int list_over(struct xs_handle *xs, const char *path, char ***names)
{
	xs_transaction_t transaction = xs_transaction_start(xs);
	unsigned count = 0;
	int error;

	if (transaction == XBT_NULL)
		return errno ? -errno : -EIO;
	*names = xs_directory(xs, transaction, path, &count);
	error = errno;
	xs_transaction_end(xs, transaction, true);
	if (*names)
		return (int)count;
	return error ? -error : -EIO;
}

int store_list_foreign(struct store_link *link, const char *path, char ***names)
{
	struct xs_handle *xs;
	int res;

	if (!is_ready(link))
		return -ENOTCONN;
	xs = xs_open(0);
	if (!xs)
		return errno ? -errno : -EIO;
	res = list_over(xs, path, names);
	xs_close(xs);
	if (res != -E2BIG && !is_loss(-res))
		return res;
	return is_ready(link) ? -E2BIG : -ENOTCONN;
}

int store_permit(struct store_link *link, const char *path, uint32_t owner, bool others_read,
		 const struct store_permission *permissions, unsigned count)
{
	struct xs_permissions list[1 + PERMISSIONS_MAX] = {0};
	bool success;

	if (count > PERMISSIONS_MAX)
		return -EINVAL;
	if (!is_ready(link))
		return -ENOTCONN;
	list[0].id = owner;
	list[0].perms = others_read ? XS_PERM_READ : XS_PERM_NONE;
	for (unsigned i = 0; i < count; i++) {
		list[i + 1].id = permissions[i].domid;
		list[i + 1].perms = (permissions[i].read ? XS_PERM_READ : 0) |
				    (permissions[i].write ? XS_PERM_WRITE : 0);
	}
	success = xs_set_permissions(link->xs, link->transaction, path, list, count + 1);
	return operation_result(link, success, errno);
}

int store_domain_exists(struct store_link *link, uint32_t domid)
{
	bool exists;
	int res;

	if (!is_ready(link))
		return -ENOTCONN;
	errno = 0;
	exists = xs_is_domain_introduced(link->xs, domid);
	res = operation_result(link, exists || errno == 0, errno);
	return res < 0 ? res : exists;
}

int store_transaction(struct store_link *link, int (*work)(void *data, struct store_link *link),
		      void *data)
{
	int res = -EAGAIN;

	if (link->transaction != XBT_NULL)
		return -EINVAL;
	for (int i = 0; i < TRANSACTION_TRIES && res == -EAGAIN; i++) {
		int ended;

		res = transaction_start(link);
		if (res < 0)
			return res;
		res = work(data, link);
		ended = transaction_end(link, res < 0);
		if (ended == -ENOTCONN || (res >= 0 && ended < 0))
			res = ended;
	}
	return res;
}

int link_watch(struct store_link *link, const char *path, const char *token)
{
	bool success;

	if (!is_ready(link))
		return -ENOTCONN;
	success = xs_watch(link->xs, path, token);
	return operation_result(link, success, errno);
}

int link_unwatch(struct store_link *link, const char *path, const char *token)
{
	bool success;

	if (!is_ready(link))
		return -ENOTCONN;
	success = xs_unwatch(link->xs, path, token);
	return operation_result(link, success, errno);
}

/* Where there is no socket, the connection is the kernel's, and does not end. */
static int canary_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = xs_daemon_socket();
	int fd;

	if (!path || strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void link_init(struct store_link *link, link_event_fn on_event, void *data)
{
	*link = (struct store_link){.canary_fd = -1,
				    .lost = true,
				    .on_event = on_event,
				    .data = data};
}

/*
 * xs_close() cancels the library's thread. Where that finds it about to close the socket, as it does at
 * the end of the connection, the descriptor would stay open for good: it is let finish.
 */
void link_close(struct store_link *link)
{
	if (!link->xs)
		return;
	if (link->lost)
		(void)poll(NULL, 0, READER_ENDS_MS);
	xs_close(link->xs);
	if (link->canary_fd >= 0)
		close(link->canary_fd);
	link->xs = NULL;
	link->transaction = XBT_NULL;
	link->canary_fd = -1;
	link->lost = true; /* operations fail from here on */
}

int link_open(struct store_link *link)
{
	errno = 0;
	link->xs = xs_open(0);
	if (!link->xs)
		return errno ? -errno : -EIO;
	if (xs_fileno(link->xs) < 0) {
		xs_close(link->xs);
		link->xs = NULL;
		return -EMFILE;
	}
	link->canary_fd = canary_open();
	link->lost = false;
	return 0;
}

void link_fds(const struct store_link *link, struct pollfd fds[LINK_FDS])
{
	fds[0] = (struct pollfd){.fd = link->xs ? xs_fileno(link->xs) : -1, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = link->canary_fd, .events = POLLIN};
}
