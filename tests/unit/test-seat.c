/* SPDX-License-Identifier: MIT */
/*
 * Who is at the seat, as logind's files have it. They are made here, in a mount namespace of our
 * own, which needs root: the machine's logind is neither asked nor disturbed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"
#include "seat.h"

#ifdef XARING_SYSTEMD
#define HAS_LIBSYSTEMD true
#else
#define HAS_LIBSYSTEMD false
#endif
#define SKIPPED     77
#define DEADLINE_MS 10000

static struct loop *loop;
static struct loop_source *deadline;
static struct seat *seat;
static unsigned changes;

static void on_change(void *data)
{
	(void)data;
	changes++;
	loop_quit(loop, 0);
}

static void on_deadline(void *data)
{
	(void)data;
	loop_quit(loop, 99);
}

/* As logind does it: the new file takes the place of the old one. */
static void write_file(const char *folder, const char *name, const char *text)
{
	char temporary[128], path[128];
	FILE *file;

	snprintf(temporary, sizeof(temporary), "/run/systemd/%s/.#%s", folder, name);
	snprintf(path, sizeof(path), "/run/systemd/%s/%s", folder, name);
	file = fopen(temporary, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(rename(temporary, path), 0);
}

static void set_session(const char *id, const char *class, const char *state, uid_t uid)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "UID=%u\nUSER=somebody\nACTIVE=1\nIS_DISPLAY=1\nSTATE=%s\nREMOTE=0\n"
		 "TYPE=wayland\nCLASS=%s\nSEAT=seat0\n",
		 uid, state, class);
	write_file("sessions", id, text);
}

static void set_active(const char *name, const char *session, uid_t uid)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "IS_SEAT0=1\nCAN_MULTI_SESSION=1\nACTIVE=%s\nACTIVE_UID=%u\nSESSIONS=%s\n",
		 session, uid, session);
	write_file("seats", name, text);
}

static int make_logind(void)
{
	static const char *const folders[] = {"seats", "sessions", "users", "machines"};

	if (mount("tmpfs", "/run/systemd", "tmpfs", 0, "mode=0755") < 0)
		return -errno;
	for (unsigned i = 0; i < 4; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/run/systemd/%s", folders[i]);
		if (mkdir(path, 0755) < 0)
			return -errno;
	}
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	if (make_logind() < 0 || loop_create(&loop) < 0)
		return -1;
	if (loop_add_timer(loop, on_deadline, NULL, &deadline) < 0)
		return -1;
	loop_arm_timer(deadline, DEADLINE_MS);
	changes = 0;
	return seat_open(loop, on_change, NULL, &seat);
}

static int tear_down(void **state)
{
	(void)state;
	seat_close(seat);
	loop_destroy(loop);
	return umount("/run/systemd");
}

static struct seat_state read_seat(void)
{
	struct seat_state state = {.uid = 4711};

	seat_read(seat, &state);
	return state;
}

/* Waits until something is told, and then for as long as it takes to be this. */
static void assert_told(enum seat_presence presence, uid_t uid)
{
	struct seat_state now;

	do {
		assert_int_equal(loop_run(loop), 0);
		now = read_seat();
	} while (now.presence != presence || now.uid != uid);
}

static void nobody_is_there_at_first(void **state)
{
	(void)state;
	assert_int_equal(read_seat().presence, SEAT_EMPTY);
	write_file("seats", "seat0", "IS_SEAT0=1\nCAN_MULTI_SESSION=1\n");
	assert_int_equal(read_seat().presence, SEAT_EMPTY);
}

static void user_is_told_of_who_comes_and_who_goes(void **state)
{
	(void)state;
	set_session("c1", "user", "active", 1000);
	set_active("seat0", "c1", 1000);
	assert_told(SEAT_TAKEN, 1000);
	set_session("7", "user", "active", 1001);
	set_active("seat0", "7", 1001);
	assert_told(SEAT_TAKEN, 1001);
	set_active("seat0", "c1", 1000);
	assert_told(SEAT_TAKEN, 1000);
	write_file("seats", "seat0", "IS_SEAT0=1\nCAN_MULTI_SESSION=1\n");
	assert_told(SEAT_EMPTY, 0);
	set_active("seat0", "7", 1001);
	assert_told(SEAT_TAKEN, 1001);
	assert_int_equal(unlink("/run/systemd/seats/seat0"), 0);
	assert_told(SEAT_EMPTY, 0);
}

static void what_was_told_is_not_told_again(void **state)
{
	(void)state;
	set_session("c1", "user", "active", 1000);
	set_active("seat0", "c1", 1000);
	assert_told(SEAT_TAKEN, 1000);
	loop_arm_timer(deadline, 100);
	while (loop_run(loop) == 0)
		assert_true(changes < 10);
}

static void only_users_are_somebody(void **state)
{
	static const char *const others[] = {"greeter", "lock-screen", "background", "manager", ""};

	(void)state;
	set_active("seat0", "c1", 1000);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		set_session("c1", others[i], "active", 1000);
		assert_int_equal(read_seat().presence, SEAT_EMPTY);
	}
	set_session("c1", "user", "active", 1000);
	assert_int_equal(read_seat().presence, SEAT_TAKEN);
}

/* The seat's file says nothing of it: the session's is watched as well. */
static void session_that_ends_is_nobody(void **state)
{
	(void)state;
	set_session("c1", "user", "active", 1000);
	set_active("seat0", "c1", 1000);
	assert_told(SEAT_TAKEN, 1000);
	set_session("c1", "user", "closing", 1000);
	assert_told(SEAT_EMPTY, 0);
	set_session("c1", "user", "active", 1000);
	assert_told(SEAT_TAKEN, 1000);
	assert_int_equal(unlink("/run/systemd/sessions/c1"), 0);
	assert_told(SEAT_EMPTY, 0);
}

static void other_seats_are_not_looked_at(void **state)
{
	(void)state;
	set_session("c1", "user", "active", 1000);
	set_active("seat1", "c1", 1000);
	assert_int_equal(read_seat().presence, SEAT_EMPTY);
}

/* The owner of the session, and not what the seat says of it. */
static void session_says_whose_it_is(void **state)
{
	(void)state;
	set_session("c1", "user", "active", 1000);
	set_active("seat0", "c1", 0);
	assert_int_equal(read_seat().uid, 1000);
	write_file("sessions", "c1", "CLASS=user\nSTATE=active\n");
	assert_int_equal(read_seat().presence, SEAT_EMPTY);
}

static void without_logind_nothing_is_known(void **state)
{
	struct seat *none = NULL;
	struct seat_state now;

	(void)state;
	assert_int_equal(rmdir("/run/systemd/sessions"), 0);
	assert_int_equal(seat_open(loop, on_change, NULL, &none), -ENOENT);
	assert_null(none);
	seat_read(NULL, &now);
	assert_int_equal(now.presence, SEAT_UNKNOWN);
	seat_close(NULL);
}

static void without_libsystemd_nothing_is_known(void **state)
{
	struct seat *none = NULL;
	struct seat_state now;

	(void)state;
	assert_int_equal(seat_open(NULL, on_change, NULL, &none), -ENOTSUP);
	seat_read(none, &now);
	assert_int_equal(now.presence, SEAT_UNKNOWN);
}

/* Mounts of ours stay ours. */
static bool has_own_mounts(void)
{
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    (mkdir("/run/systemd", 0755) == 0 || errno == EEXIST))
		return true;
	printf("skipped: mounts of our own are not allowed (%s)\n", strerror(errno));
	return false;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_is_there_at_first),        TEST(user_is_told_of_who_comes_and_who_goes),
		TEST(what_was_told_is_not_told_again), TEST(only_users_are_somebody),
		TEST(session_that_ends_is_nobody),     TEST(other_seats_are_not_looked_at),
		TEST(session_says_whose_it_is),        TEST(without_logind_nothing_is_known),
	};
	const struct CMUnitTest without[] = {cmocka_unit_test(without_libsystemd_nothing_is_known)};

	if (!HAS_LIBSYSTEMD)
		return cmocka_run_group_tests(without, NULL, NULL);
	return has_own_mounts() ? cmocka_run_group_tests(tests, NULL, NULL) : SKIPPED;
}
