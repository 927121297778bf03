/* SPDX-License-Identifier: MIT */
/*
 * Connects to PipeWire's socket for the worker, which cannot: its filter has taken connect(2) away.
 */
#include "remote.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int split_folder(const char *path, char folder[PATH_MAX])
{
	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(folder, path, strlen(path) + 1);
	/* Cuts it where it is, since there is a slash. */
	dirname(folder);
	return 0;
}

int remote_owner(const char *path, uid_t *uid, gid_t *gid)
{
	char folder[PATH_MAX];
	struct stat st;
	int res = split_folder(path, folder);

	if (res < 0)
		return res;
	if (stat(folder, &st) < 0)
		return -errno;
	*uid = st.st_uid;
	*gid = st.st_gid;
	return 0;
}

static int connect_now(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, res;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		res = -errno;
		close(fd);
		return res;
	}
	return fd;
}

/* The group first and last: only root may change it. */
static int become(uid_t uid, gid_t gid)
{
	if (setegid(gid) < 0)
		return -errno;
	if (seteuid(uid) < 0)
		return -errno;
	return 0;
}

static int become_root(void)
{
	if (seteuid(0) < 0 || setegid(0) < 0)
		return -errno;
	return 0;
}

static int connect_as(const char *path, uid_t uid, gid_t gid)
{
	int fd, res;

	if (uid == 0)
		return connect_now(path);
	res = become(uid, gid);
	fd = res < 0 ? res : connect_now(path);
	res = become_root();
	if (res < 0 && fd >= 0)
		close(fd);
	return res < 0 ? res : fd;
}

int remote_connect(const char *path)
{
	uid_t uid;
	gid_t gid;
	int res;

	if (geteuid() != 0)
		return connect_now(path);
	res = remote_owner(path, &uid, &gid);
	return res < 0 ? res : connect_as(path, uid, gid);
}

int remote_connect_as(const char *path, uid_t uid)
{
	char folder[PATH_MAX];
	struct stat st;
	int res = split_folder(path, folder);

	if (res < 0)
		return res;
	if (lstat(folder, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != uid)
		return -EPERM;
	return connect_as(path, uid, st.st_gid);
}
