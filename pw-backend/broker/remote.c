/* SPDX-License-Identifier: MIT */
/*
 * Connects to PipeWire's socket for the worker, which cannot: its filter has taken connect(2) away.
 */
#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The folder is looked at and gone through as one thing: a path may lead elsewhere a moment later. */
struct place {
	int folder;
	const char *name;
	struct stat stat; /* of the folder */
};

static int place_open(struct place *place, const char *path, int flags)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	size_t length = slash ? (size_t)(slash - path) + 1 : 0;
	int res;

	if (length == 0 || length >= sizeof(folder))
		return length == 0 ? -EINVAL : -ENAMETOOLONG;
	memcpy(folder, path, length);
	/* Without the slash a link itself is meant. */
	folder[length > 1 ? length - 1 : length] = '\0';
	place->name = slash + 1;
	place->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);
	if (place->folder < 0)
		return -errno;
	if (fstat(place->folder, &place->stat) == 0)
		return 0;
	res = -errno;
	close(place->folder);
	return res;
}

int remote_owner(const char *path, uid_t *uid)
{
	struct place place;
	int res = place_open(&place, path, 0);

	if (res < 0)
		return res;
	*uid = place.stat.st_uid;
	close(place.folder);
	return 0;
}

/* Of what is in the kernel already: a server of FUSE is not asked. */
static int check_is_socket(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return -errno;
	return (st.stx_mask & STATX_TYPE) && S_ISSOCK(st.stx_mode) ? 0 : -ENOTSOCK;
}

/* The socket, without using it. */
static int find_socket(const struct place *place, int flags)
{
	int fd = openat(place->folder, place->name, O_PATH | O_CLOEXEC | flags);
	int res;

	if (fd < 0)
		return -errno;
	res = check_is_socket(fd);
	if (res == 0)
		return fd;
	close(fd);
	return res;
}

static int connect_to(int found)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int res;

	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", found);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		res = -errno;
		close(fd);
		return res;
	}
	return fd;
}

static int connect_now(const struct place *place, int flags)
{
	int found = find_socket(place, flags);
	int fd;

	if (found < 0)
		return found;
	fd = connect_to(found);
	close(found);
	return fd;
}

/*
 * Of this thread only, which the C library's functions cannot do: the other one goes on as root. What root
 * has of further groups is given up for good.
 */
static int become(uid_t uid, gid_t gid)
{
	/* The groups first and last: only root may change them. */
	if (syscall(SYS_setgroups, 0, NULL) < 0)
		return -errno;
	if (syscall(SYS_setresgid, -1, gid, -1) < 0 || syscall(SYS_setresuid, -1, uid, -1) < 0)
		return -errno;
	return 0;
}

static int become_root(void)
{
	if (syscall(SYS_setresuid, -1, 0, -1) < 0 || syscall(SYS_setresgid, -1, 0, -1) < 0)
		return -errno;
	return 0;
}

static int connect_as_owner(const struct place *place)
{
	int fd, res;

	if (geteuid() != 0 || place->stat.st_uid == 0)
		return connect_now(place, 0);
	res = become(place->stat.st_uid, place->stat.st_gid);
	/* A link of theirs could lead where we wait for as long as they like. */
	fd = res < 0 ? res : connect_now(place, O_NOFOLLOW);
	res = become_root();
	if (res < 0 && fd >= 0)
		close(fd);
	return res < 0 ? res : fd;
}

int remote_connect(const char *path)
{
	struct place place;
	int res = place_open(&place, path, 0);

	if (res < 0)
		return res;
	res = connect_as_owner(&place);
	close(place.folder);
	return res;
}

int remote_connect_as(const char *path, uid_t uid)
{
	struct place place;
	int res = place_open(&place, path, O_NOFOLLOW);

	if (res == -ENOTDIR || res == -ELOOP)
		return -EPERM;
	if (res < 0)
		return res;
	res = place.stat.st_uid == uid ? connect_as_owner(&place) : -EPERM;
	close(place.folder);
	return res;
}
