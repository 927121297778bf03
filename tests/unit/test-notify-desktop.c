/* SPDX-License-Identifier: MIT */
/*
 * What xaring-notify hears of a desktop, and what it does not believe: on a bus of its own, with the desktop of
 * tests/lib/fake-desktop.c. The session bus is the system bus as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "desktop.h"
#include "screen.h"

#define DEADLINE_S 20
#define SKIPPED    77

/* ---- processes ---- */

struct child {
	pid_t pid;
	FILE *in, *out;
	char line[2048]; /* the last that it has printed */
};

static struct child bus, server, screen, stranger;

static void become(const char *const argv[], int in, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(SKIPPED);
}

static void start(struct child *c, const char *const argv[])
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0)
		become(argv, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	c->in = fdopen(in[1], "w");
	c->out = fdopen(out[0], "r");
	setvbuf(c->in, NULL, _IOLBF, 0);
}

/* The deadline is the alarm of main(). */
static void read_until(struct child *c, const char *part)
{
	do
		if (!fgets(c->line, sizeof(c->line), c->out))
			fail_msg("it has ended, without \"%s\"", part);
	while (!strstr(c->line, part));
}

static void stop(struct child *c)
{
	if (c->pid == 0)
		return;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	fclose(c->in);
	fclose(c->out);
	c->pid = 0;
}

static void play(struct child *c, const char *role)
{
	const char *const argv[] = {FAKE_DESKTOP, role, NULL};

	start(c, argv);
	read_until(c, "\"ready\"");
}

/* And it was read. */
static void tell(struct child *c, const char *command)
{
	fprintf(c->in, "%s\n", command);
	read_until(c, command);
}

/* ---- a bus, and who listens ---- */

static char folder[] = "/tmp/xaring-test-desktop.XXXXXX", address[128], path[128], config[128];

static struct {
	sd_event *loop;
	struct desktop *desktop;
	char heard[512]; /* what was called, in words */
} test;

static void hear(const char *format, ...)
{
	size_t used = strlen(test.heard);
	va_list args;

	va_start(args, format);
	vsnprintf(test.heard + used, sizeof(test.heard) - used, format, args);
	va_end(args);
}

static void on_ready(void *data)
{
	(void)data;
	hear("ready;");
}

static void on_gone(void *data)
{
	(void)data;
	hear("gone;");
}

static void on_shown(void *data, uint32_t ticket, uint32_t id)
{
	(void)data;
	hear("shown %u %u;", ticket, id);
}

static void on_action(void *data, uint32_t id, const char *action)
{
	(void)data;
	hear("action %u %s;", id, action);
}

static void on_closed(void *data, uint32_t id)
{
	(void)data;
	hear("closed %u;", id);
}

static void on_lost(void *data)
{
	(void)data;
	hear("lost;");
}

static const struct desktop_events events = {
	.on_ready = on_ready,
	.on_gone = on_gone,
	.on_shown = on_shown,
	.on_action = on_action,
	.on_closed = on_closed,
	.on_lost = on_lost,
};

static void run_until_heard(const char *wanted)
{
	time_t until = time(NULL) + DEADLINE_S;

	while (!strstr(test.heard, wanted)) {
		assert_true(sd_event_run(test.loop, 100000) >= 0);
		if (time(NULL) > until)
			fail_msg("\"%s\" has no \"%s\"", test.heard, wanted);
	}
}

static void assert_heard(const char *heard)
{
	assert_string_equal(test.heard, heard);
	test.heard[0] = '\0';
}

/* A bus that starts nobody: a notification server of this machine is not to take part. */
static void write_config(void)
{
	FILE *file = fopen(config, "w");

	assert_non_null(file);
	fprintf(file,
		"<busconfig><type>session</type><listen>%s</listen><auth>EXTERNAL</auth>"
		"<policy context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>"
		"</policy></busconfig>\n",
		address);
	fclose(file);
}

static int begin(void **state)
{
	const char *const argv[] = {"dbus-daemon",   "--nofork", "--nopidfile", "--print-address",
				    "--config-file", config,     NULL};

	(void)state;
	write_config();
	start(&bus, argv);
	read_until(&bus, "unix:");
	memset(&test, 0, sizeof(test));
	assert_true(sd_event_new(&test.loop) >= 0);
	assert_int_equal(desktop_open(test.loop, &events, NULL, &test.desktop), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	desktop_close(test.desktop);
	sd_event_unref(test.loop);
	stop(&stranger);
	stop(&screen);
	stop(&server);
	stop(&bus);
	unlink(path);
	unlink(config);
	return 0;
}

static void serve(const char *role)
{
	play(&server, role);
	run_until_heard("ready;");
	assert_heard("gone;ready;");
}

static const struct asking_vm work = {.key = "work", .title = "Work"};

/* Asks about it, as the notification 1. */
static void ask(void)
{
	assert_int_equal(desktop_ask(test.desktop, &work, 5), 0);
	run_until_heard("shown");
	assert_heard("shown 5 1;");
	read_until(&server, "Notify");
}

static void assert_printed(const struct child *c, const char *part)
{
	if (!strstr(c->line, part))
		fail_msg("\"%s\" has no \"%s\"", c->line, part);
}

/* ---- the notification server ---- */

static void questions_are_shown(void **state)
{
	(void)state;
	assert_null(desktop_server(test.desktop));
	serve("notifications");
	assert_true(desktop_server(test.desktop)->has_actions);
	assert_true(desktop_server(test.desktop)->has_markup);
	ask();
	assert_printed(&server, "\"summary\":\"Work asks for the microphone\"");
	assert_printed(&server, "\"actions\":{\"once\":\"Once\",");
	assert_printed(&server, "\"never\":\"Never\"}");
	assert_printed(&server, "\"urgency\":1,");
	assert_printed(&server, "\"expires_ms\":0}");
	tell(&server, "action 1 always");
	tell(&server, "close 1");
	run_until_heard("closed");
	assert_heard("action 1 always;closed 1;");
	desktop_hide(test.desktop, 1);
	read_until(&server, "{\"call\":\"CloseNotification\",\"id\":1}");
	desktop_tell(test.desktop, "told", "a body");
	read_until(&server, "\"summary\":\"told\",\"body\":\"a body\",\"actions\":{}");
	assert_printed(&server, "\"expires_ms\":-1}");
}

static void questions_without_actions(void **state)
{
	(void)state;
	serve("plain");
	assert_false(desktop_server(test.desktop)->has_actions);
	assert_false(desktop_server(test.desktop)->has_markup);
	ask();
	assert_printed(&server, "\"actions\":{}");
	assert_printed(&server, "xaringctl mic allow work");
}

/* What is sent to us directly comes past the filters of the bus. */
static void strangers_are_not_believed(void **state)
{
	char command[200];
	const char *name;

	(void)state;
	serve("notifications");
	ask();
	play(&stranger, "stranger");
	assert_true(sd_bus_get_unique_name(desktop_bus(test.desktop), &name) >= 0);
	snprintf(command, sizeof(command), "send %s 1 always", name);
	tell(&stranger, command);
	tell(&stranger, "action 1 always");
	tell(&stranger, "close 1");
	tell(&server, "action 1 never");
	run_until_heard("never");
	assert_heard("action 1 never;");
}

static void servers_come_and_go(void **state)
{
	(void)state;
	desktop_wake_server(test.desktop);
	serve("notifications");
	stop(&server);
	run_until_heard("gone;");
	assert_heard("gone;");
	assert_null(desktop_server(test.desktop));
	serve("plain");
	ask();
}

/* As one that hangs; the next question is shown there when it is well again. */
static void servers_that_do_not_answer(void **state)
{
	(void)state;
	serve("notifications");
	assert_true(sd_bus_set_method_call_timeout(desktop_bus(test.desktop), 300000) >= 0);
	kill(server.pid, SIGSTOP);
	assert_int_equal(desktop_ask(test.desktop, &work, 4), 0);
	run_until_heard("shown");
	assert_heard("shown 4 0;");
	kill(server.pid, SIGCONT);
	read_until(&server, "Notify");
	assert_true(sd_bus_set_method_call_timeout(desktop_bus(test.desktop),
						   DEADLINE_S * 1000000ull) >= 0);
	assert_int_equal(desktop_ask(test.desktop, &work, 5), 0);
	run_until_heard("shown");
	assert_heard("shown 5 2;");
}

/* Before it has answered. */
static void servers_that_end_meanwhile(void **state)
{
	(void)state;
	serve("notifications");
	kill(server.pid, SIGSTOP);
	assert_int_equal(desktop_ask(test.desktop, &work, 4), 0);
	assert_true(sd_bus_flush(desktop_bus(test.desktop)) >= 0);
	stop(&server);
	run_until_heard("gone;");
	run_until_heard("shown 4 0;");
}

static void the_bus_ends(void **state)
{
	(void)state;
	serve("notifications");
	stop(&bus);
	run_until_heard("lost;");
}

static void no_bus(void **state)
{
	struct desktop *desktop;
	sd_event *loop;

	(void)state;
	assert_true(sd_event_new(&loop) >= 0);
	assert_true(desktop_open(loop, &events, NULL, &desktop) < 0);
	sd_event_unref(loop);
}

/* ---- the screen ---- */

static enum screen look(void)
{
	return screen_look(desktop_bus(test.desktop));
}

static void screens_are_looked_at(void **state)
{
	(void)state;
	play(&screen, "screen");
	assert_int_equal(look(), SCREEN_OPEN);
	tell(&screen, "locked 1");
	assert_int_equal(look(), SCREEN_LOCKED);
	tell(&screen, "active 0");
	assert_int_equal(look(), SCREEN_INACTIVE);
	tell(&screen, "active 1");
	tell(&screen, "locked 0");
	tell(&screen, "saver 1");
	assert_int_equal(look(), SCREEN_LOCKED);
	tell(&screen, "saver 0");
	assert_int_equal(look(), SCREEN_OPEN);
}

static void a_screen_without_a_saver(void **state)
{
	(void)state;
	play(&screen, "logind");
	assert_int_equal(look(), SCREEN_OPEN);
	tell(&screen, "locked 1");
	assert_int_equal(look(), SCREEN_LOCKED);
}

static void without_logind_it_is_unknown(void **state)
{
	(void)state;
	assert_int_equal(look(), SCREEN_UNKNOWN);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
	assert_int_equal(look(), SCREEN_UNKNOWN);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
}

static void who_does_not_answer_is_not_waited_for(void **state)
{
	time_t from = time(NULL);

	(void)state;
	play(&screen, "screen");
	kill(screen.pid, SIGSTOP);
	assert_int_equal(look(), SCREEN_UNKNOWN);
	assert_true(time(NULL) - from <= 5);
	stop(&screen);
	/* A bus that accepts connections and says nothing. */
	kill(bus.pid, SIGSTOP);
	assert_int_equal(look(), SCREEN_UNKNOWN);
	assert_true(time(NULL) - from <= 10);
	kill(bus.pid, SIGCONT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(questions_are_shown, begin, end),
		cmocka_unit_test_setup_teardown(questions_without_actions, begin, end),
		cmocka_unit_test_setup_teardown(strangers_are_not_believed, begin, end),
		cmocka_unit_test_setup_teardown(servers_come_and_go, begin, end),
		cmocka_unit_test_setup_teardown(servers_that_do_not_answer, begin, end),
		cmocka_unit_test_setup_teardown(servers_that_end_meanwhile, begin, end),
		cmocka_unit_test_setup_teardown(the_bus_ends, begin, end),
		cmocka_unit_test(no_bus),
		cmocka_unit_test_setup_teardown(screens_are_looked_at, begin, end),
		cmocka_unit_test_setup_teardown(a_screen_without_a_saver, begin, end),
		cmocka_unit_test_setup_teardown(without_logind_it_is_unknown, begin, end),
		cmocka_unit_test_setup_teardown(who_does_not_answer_is_not_waited_for, begin, end),
	};
	int failed;

	if (system("command -v dbus-daemon >/dev/null") != 0)
		return SKIPPED;
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/bus", folder);
	snprintf(config, sizeof(config), "%s/config", folder);
	snprintf(address, sizeof(address), "unix:path=%.100s", path);
	setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
	signal(SIGPIPE, SIG_IGN);
	alarm(100);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(folder);
	return failed;
}
