/* SPDX-License-Identifier: MIT */
/*
 * Finds and reads configuration files in the folders that it is given, as PipeWire would in them.
 * Does not understand what is in the files, and looks into no other folder.
 */
#include "config-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, char *text, size_t bytes)
{
	size_t at = 0;

	while (at < bytes) {
		ssize_t got = read(fd, text + at, bytes - at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EIO;
		at += (size_t)got;
	}
	text[bytes] = '\0';
	return 0;
}

static int read_file(const char *path, struct config_text *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int res;

	if (fd < 0)
		return -errno;
	res = fstat(fd, &st) < 0 ? -errno : 0;
	if (res == 0 && !S_ISREG(st.st_mode))
		res = -EISDIR;
	if (res == 0 && st.st_size > CONFIG_FILE_BYTES_MAX)
		res = -EFBIG;
	if (res < 0)
		goto out_close;
	out->bytes = (size_t)st.st_size;
	out->text = malloc(out->bytes + 1);
	out->file = strdup(path);
	res = out->text && out->file ? read_all(fd, out->text, out->bytes) : -ENOMEM;
	if (res < 0) {
		free(out->text);
		free(out->file);
	}

out_close:
	close(fd);
	return res;
}

/* Returns res. */
static int tell(char error[CONFIG_ERROR_BYTES], const char *path, int res)
{
	snprintf(error, CONFIG_ERROR_BYTES, "%.300s: cannot be read: %s", path, strerror(-res));
	return res;
}

static int add_file(struct config *config, const char *path, char error[CONFIG_ERROR_BYTES])
{
	struct config_text text = {0};
	struct config_text *grown;
	int res = read_file(path, &text);

	if (res == -ENOENT)
		return res;
	if (res < 0)
		return tell(error, path, res);
	grown = reallocarray(config->texts, config->text_count + 1, sizeof(*grown));
	if (!grown) {
		free(text.text);
		free(text.file);
		return -ENOMEM;
	}
	config->texts = grown;
	config->texts[config->text_count++] = text;
	return 0;
}

static int join(char path[PATH_MAX], const char *folder, const char *name,
		char error[CONFIG_ERROR_BYTES])
{
	if (snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX)
		return 0;
	return tell(error, folder, -ENAMETOOLONG);
}

static int is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int add_folder(struct config *config, const char *folder, char error[CONFIG_ERROR_BYTES])
{
	struct dirent **entries;
	char path[PATH_MAX];
	int res = 0;
	int count = scandir(folder, &entries, is_conf, alphasort);

	if (count < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (count < 0)
		return tell(error, folder, -errno);
	for (int i = 0; i < count; i++) {
		if (res == 0)
			res = join(path, folder, entries[i]->d_name, error);
		if (res == 0)
			res = add_file(config, path, error);
		free(entries[i]);
	}
	free(entries);
	return res;
}

static int add_main_file(struct config *config, const char *const *folders, unsigned count,
			 const char *name, char error[CONFIG_ERROR_BYTES])
{
	char path[PATH_MAX];

	while (count-- > 0) {
		int res = join(path, folders[count], name, error);

		if (res == 0)
			res = add_file(config, path, error);
		if (res == -ENOENT || res == -ENOTDIR)
			continue;
		config->found = res == 0;
		return res;
	}
	return 0;
}

int config_files_read(const char *const *folders, unsigned folder_count, const char *name,
		      struct config *config, char error[CONFIG_ERROR_BYTES])
{
	char fragment_name[NAME_MAX];
	char path[PATH_MAX];
	int res = add_main_file(config, folders, folder_count, name, error);

	snprintf(fragment_name, sizeof(fragment_name), "%s.d", name);
	for (unsigned i = 0; i < folder_count && res == 0; i++) {
		res = join(path, folders[i], fragment_name, error);
		if (res == 0)
			res = add_folder(config, path, error);
	}
	return res;
}

void config_files_free(struct config *config)
{
	for (unsigned i = 0; i < config->text_count; i++) {
		free(config->texts[i].file);
		free(config->texts[i].text);
	}
	free(config->texts);
}
