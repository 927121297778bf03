/* SPDX-License-Identifier: MIT */
/*
 * Chooses and makes a folder, and replaces files in it. What is in them is others' business.
 */
#include "state-folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_given(const char *text)
{
	return text && text[0] == '/';
}

int state_folder_choose(const struct state_folder_given *given, char *path, size_t path_bytes)
{
	int length;

	if (given->option)
		length = snprintf(path, path_bytes, "%s", given->option);
	else if (is_given(given->systemd))
		/* Of several the first one is ours. */
		length = snprintf(path, path_bytes, "%.*s", (int)strcspn(given->systemd, ":"),
				  given->systemd);
	else if (given->is_root)
		length = snprintf(path, path_bytes, "/var/lib/xaring");
	else if (is_given(given->state_home))
		length = snprintf(path, path_bytes, "%s/xaring", given->state_home);
	else if (is_given(given->home))
		length = snprintf(path, path_bytes, "%s/.local/state/xaring", given->home);
	else
		return -ENOENT;
	return (size_t)length < path_bytes ? 0 : -ENAMETOOLONG;
}

const char *state_folder_file(const char *option, const char *name, char path[PATH_MAX])
{
	const struct state_folder_given given = {
		.option = option,
		.systemd = getenv("STATE_DIRECTORY"),
		.is_root = geteuid() == 0,
		.state_home = getenv("XDG_STATE_HOME"),
		.home = getenv("HOME"),
	};
	size_t length;

	if (state_folder_choose(&given, path, PATH_MAX) < 0)
		return NULL;
	length = strlen(path);
	if (snprintf(path + length, PATH_MAX - length, "/%s", name) >= (int)(PATH_MAX - length))
		return NULL;
	return path;
}

/* Who may record is nobody else's business. */
static int make(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int state_folder_make(const char *path)
{
	char part[PATH_MAX];
	int res = 0;

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		res = make(part);
		*slash = '/';
		/* One that cannot be made may be there all the same. */
		if (res < 0 && res != -EROFS && res != -EACCES)
			return res;
	}
	return make(part);
}

/* ---- a file in it ---- */

/* The folder of a file, or "." */
static int folder_of(const char *path, char folder[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int length = slash ? snprintf(folder, PATH_MAX, "%.*s", (int)(slash - path) + 1, path)
			   : snprintf(folder, PATH_MAX, ".");

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int open_fresh(const char *fresh, const char *folder, FILE **out)
{
	int res;

	*out = fopen(fresh, "we");
	if (*out || errno != ENOENT)
		return *out ? 0 : -errno;
	res = state_folder_make(folder);
	if (res < 0)
		return res;
	*out = fopen(fresh, "we");
	return *out ? 0 : -errno;
}

static int write_fresh(FILE *file, state_write_fn write, const void *data)
{
	int res = 0;

	write(file, data);
	if (fflush(file) != 0 || fsync(fileno(file)) < 0)
		res = -errno;
	if (fclose(file) != 0 && res == 0)
		res = -errno;
	return res;
}

/* That the folder has the new file and not the old one is on the disk only then. */
static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int res = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return res;
}

int state_folder_replace(const char *path, state_write_fn write, const void *data)
{
	char fresh[PATH_MAX], folder[PATH_MAX];
	FILE *file;
	int res = folder_of(path, folder);

	if (res < 0 || snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	res = open_fresh(fresh, folder, &file);
	if (res == 0)
		res = write_fresh(file, write, data);
	if (res == 0 && rename(fresh, path) < 0)
		res = -errno;
	/* Also what was in its place: the next time may do better. */
	if (res < 0) {
		unlink(fresh);
		return res;
	}
	return sync_folder(folder);
}
