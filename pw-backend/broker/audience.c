/* SPDX-License-Identifier: MIT */
/*
 * Decides whose PipeWire is played to. Looks neither at the seat nor at any socket: it is told.
 */
#include "audience.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define AUTO "auto"

int audience_read_user(const char *name, struct audience_choice *out)
{
	struct audience_choice choice = {.kind = AUDIENCE_SEAT};
	const struct passwd *account;

	if (strcmp(name, AUTO) != 0) {
		account = getpwnam(name);
		if (!account)
			return -ENOENT;
		choice.kind = AUDIENCE_USER;
		choice.uid = account->pw_uid;
	}
	*out = choice;
	return 0;
}

static int take_socket(const char *path, struct audience_choice *out, char *error)
{
	struct audience_choice choice = {.kind = AUDIENCE_SOCKET};

	if (strlen(path) >= sizeof(choice.socket)) {
		snprintf(error, AUDIENCE_ERROR_BYTES,
			 "PipeWire's socket %s is refused: a path of at most 107 bytes is accepted",
			 path);
		return -EINVAL;
	}
	memcpy(choice.socket, path, strlen(path));
	*out = choice;
	return 0;
}

static int take_folder(const char *folder, struct audience_choice *out, char *error)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/pipewire-0", folder);
	return take_socket(path, out, error);
}

static int take_user(const char *key, const char *name, struct audience_choice *out, char *error)
{
	if (audience_read_user(name, out) == 0)
		return 0;
	snprintf(error, AUDIENCE_ERROR_BYTES, "%s %s is refused: " AUDIENCE_USER_ACCEPTED, key,
		 name);
	return -EINVAL;
}

static int refuse_user(const char *name, char *error)
{
	snprintf(error, AUDIENCE_ERROR_BYTES,
		 "--audio-user %s is refused: it is accepted of root only, all others play to "
		 "their own PipeWire",
		 name);
	return -EINVAL;
}

static int take_default(const struct audience_given *given, struct audience_choice *out,
			char *error)
{
	if (given->is_root)
		return take_user("", AUTO, out, error);
	if (given->session_dir)
		return take_folder(given->session_dir, out, error);
	snprintf(error, AUDIENCE_ERROR_BYTES,
		 "it is not known where PipeWire listens: give --pipewire SOCKET, or "
		 "pipewire.socket in xaring.properties of xaring-pw.conf");
	return -EINVAL;
}

int audience_choose(const struct audience_given *given, struct audience_choice *out,
		    char error[AUDIENCE_ERROR_BYTES])
{
	if (given->option_socket)
		return take_socket(given->option_socket, out, error);
	if (given->option_user && !given->is_root)
		return refuse_user(given->option_user, error);
	if (given->option_user)
		return take_user("--audio-user", given->option_user, out, error);
	if (given->config_socket)
		return take_socket(given->config_socket, out, error);
	/* One configuration is everybody's. */
	if (given->config_user && given->is_root)
		return take_user("audio.user", given->config_user, out, error);
	if (given->remote && given->remote[0] == '/')
		return take_socket(given->remote, out, error);
	if (given->pipewire_dir)
		return take_folder(given->pipewire_dir, out, error);
	return take_default(given, out, error);
}

/* Where systemd and everybody who follows it has the user's runtime folder. */
static void set_user(struct audience *a, uid_t uid)
{
	a->is_user = true;
	a->uid = uid;
	snprintf(a->socket, sizeof(a->socket), "/run/user/%u/pipewire-0", (unsigned)uid);
	snprintf(a->text, sizeof(a->text), "%s", a->socket);
}

static void set_seat(struct audience *a, const struct seat_state *seat)
{
	if (seat->presence == SEAT_UNKNOWN)
		snprintf(a->text, sizeof(a->text), "nobody: who is at the seat is not known");
	else if (seat->presence == SEAT_EMPTY)
		snprintf(a->text, sizeof(a->text),
			 "nobody: no session of a user is active on seat0");
	else if (seat->uid == 0)
		snprintf(a->text, sizeof(a->text),
			 "nobody: the session on seat0 is root's, which audio.user = root allows");
	else
		set_user(a, seat->uid);
}

void audience_decide(const struct audience_choice *choice, const struct seat_state *seat,
		     struct audience *out)
{
	memset(out, 0, sizeof(*out));
	if (choice->kind == AUDIENCE_SEAT) {
		set_seat(out, seat);
	} else if (choice->kind == AUDIENCE_USER) {
		set_user(out, choice->uid);
	} else {
		memcpy(out->socket, choice->socket, sizeof(out->socket));
		snprintf(out->text, sizeof(out->text), "%s", out->socket);
	}
}

bool audience_is_same(const struct audience *a, const struct audience *b)
{
	return strcmp(a->socket, b->socket) == 0 && a->is_user == b->is_user && a->uid == b->uid;
}
