/* SPDX-License-Identifier: MIT */
/*
 * The folder for what is kept across restarts.
 *
 * Thread: the main one. Blocks: makes folders. Logs: no.
 */
#ifndef XARING_DAEMON_STATE_FOLDER_H
#define XARING_DAEMON_STATE_FOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Where people may have said it; NULL where they did not. */
struct state_folder_given {
	const char *option;
	const char *systemd; /* $STATE_DIRECTORY, of the unit */
	bool is_root;
	const char *state_home; /* $XDG_STATE_HOME */
	const char *home;       /* $HOME */
};

/*
 * Chooses the first: the option, the unit's, /var/lib/xaring as root, xaring in $XDG_STATE_HOME, or in
 * .local/state of $HOME. Returns 0; -ENOENT when there is none of these, -ENAMETOOLONG.
 */
int state_folder_choose(const struct state_folder_given *given, char *path, size_t path_bytes);

/*
 * The path of a file in the folder that option (or NULL) and this process's environment choose, which need not be
 * there; or NULL where there is none, or the path would be too long.
 */
const char *state_folder_file(const char *option, const char *name, char path[PATH_MAX]);

/* Makes it, and what it is in. Returns 0, also when it is there, or a negative errno. */
int state_folder_make(const char *path);

/* Writes what a file is to have. Its errors are the stream's. */
typedef void (*state_write_fn)(FILE *file, const void *data);

/*
 * Replaces a file as a whole: the old one or the new one is there, whenever the machine may lose its power. The new
 * one is written beside it first, as PATH.new. A folder that is missing is made: who only tries things out leaves none.
 *
 * Blocks: for the disk. Returns 0, or a negative errno; the file is as it was then, unless it is the folder alone that
 * could not be written.
 */
int state_folder_replace(const char *path, state_write_fn write, const void *data);

#endif
