/* SPDX-License-Identifier: MIT */
/*
 * Who may record in this guest. Knows the kernel's word on who a program is, the group audio and
 * logind's files; neither streams nor xenstore, nor what dom0 allows.
 */
#include "recorders.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef XARING_SYSTEMD
#include <systemd/sd-login.h>
#endif

/* More than usual; who is in more costs a second call. */
#define GROUPS_FIRST 64

/* ---- this machine ---- */

static int find_group(const char *name, gid_t *gid)
{
	const struct group *group;

	errno = 0;
	group = getgrnam(name);
	if (!group)
		return errno ? -errno : -ENOENT;
	*gid = group->gr_gid;
	return 0;
}

#ifdef XARING_SYSTEMD
static bool is_at_seat(uid_t uid)
{
	return sd_uid_get_seats(uid, 1, NULL) > 0;
}
#else
static bool is_at_seat(uid_t uid)
{
	(void)uid;
	return false;
}
#endif

static const struct recorders_system this_machine = {
	.find_group = find_group,
	.is_at_seat = is_at_seat,
};

/* ---- who may ---- */

int recorders_init(struct recorders *r, const struct recorders_system *system)
{
	int res;

	*r = (struct recorders){.system = system ? system : &this_machine};
	res = r->system->find_group("audio", &r->group);
	r->has_group = res == 0;
	return res;
}

static bool is_member(const struct recorders_program *program, gid_t gid)
{
	if (program->gid == gid)
		return true;
	for (uint32_t i = 0; i < program->groups_count; i++) {
		if (program->groups[i] == gid)
			return true;
	}
	return false;
}

bool recorders_allow(const struct recorders *r, const struct recorders_program *program)
{
	return program->uid == 0 || (r->has_group && is_member(program, r->group)) ||
	       r->system->is_at_seat(program->uid);
}

/* ---- who it is ---- */

void recorders_program_finish(struct recorders_program *program)
{
	free(program->groups);
	*program = (struct recorders_program){0};
}

int recorders_program_self(struct recorders_program *program)
{
	int count = getgroups(0, NULL);

	*program = (struct recorders_program){.uid = geteuid(), .gid = getegid()};
	if (count <= 0)
		return count < 0 ? -errno : 0;
	program->groups = calloc((size_t)count, sizeof(gid_t));
	if (!program->groups)
		return -ENOMEM;
	count = getgroups(count, program->groups);
	if (count < 0) {
		int res = -errno;

		recorders_program_finish(program);
		return res;
	}
	program->groups_count = (uint32_t)count;
	return 0;
}

/* Sets *bytes to what is needed when it is too few: -ERANGE. */
static int read_groups(int fd, struct recorders_program *program, socklen_t *bytes)
{
	program->groups = malloc(*bytes);
	if (!program->groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, program->groups, bytes) < 0) {
		int res = -errno;

		free(program->groups);
		program->groups = NULL;
		return res;
	}
	program->groups_count = (uint32_t)(*bytes / sizeof(gid_t));
	return 0;
}

int recorders_program_at(int fd, struct recorders_program *program)
{
	socklen_t bytes = GROUPS_FIRST * sizeof(gid_t);
	socklen_t cred_bytes = sizeof(struct ucred);
	struct ucred cred;
	int res;

	*program = (struct recorders_program){0};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_bytes) < 0)
		return -errno;
	program->uid = cred.uid;
	program->gid = cred.gid;
	res = read_groups(fd, program, &bytes);
	/* They are those of the moment when it connected, and do not change. */
	if (res == -ERANGE)
		res = read_groups(fd, program, &bytes);
	return res;
}
