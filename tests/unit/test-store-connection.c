/* SPDX-License-Identifier: MIT */
/*
 * The connection to xenstore, between bytes that the test has put there before they are asked for: by
 * a socket, and by a terminal in the place of the kernel's device.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "descriptors.h"
#include "now.h"
#include "store-connection.h"

#define LONG_MS 10000

struct fixture {
	struct connection c;
	int peer;
	int held; /* keeps the terminal as it was set */
	uint32_t events;
	uint32_t descriptors;
	char path[108];
};

static void on_event(void *data, const char *path, const char *token)
{
	struct fixture *f = data;

	assert_string_equal(path, "data/x");
	assert_string_equal(token, "7");
	f->events++;
}

static struct fixture *make(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->descriptors = open_descriptors();
	f->held = -1;
	connection_init(&f->c, f->path, on_event, f);
	return f;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void name_socket(struct fixture *f)
{
	snprintf(f->path, sizeof(f->path), "/tmp/store-connection.%d", (int)getpid());
	unlink(f->path);
}

static int make_socket(void **state)
{
	struct fixture *f = make();
	int listener;

	name_socket(f);
	listener = listen_at(f->path);
	assert_int_equal(connection_open(&f->c), 0);
	f->peer = accept(listener, NULL, NULL);
	assert_true(f->peer >= 0);
	assert_false(f->c.is_device);
	close(listener);
	unlink(f->path);
	*state = f;
	return 0;
}

static int make_device(void **state)
{
	struct fixture *f = make();
	struct termios raw;

	f->peer = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(f->peer >= 0);
	assert_int_equal(grantpt(f->peer), 0);
	assert_int_equal(unlockpt(f->peer), 0);
	snprintf(f->path, sizeof(f->path), "%s", ptsname(f->peer));
	f->held = open(f->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(tcgetattr(f->held, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(f->held, TCSANOW, &raw), 0);
	assert_int_equal(connection_open(&f->c), 0);
	assert_true(f->c.is_device);
	*state = f;
	return 0;
}

static int finish(void **state)
{
	struct fixture *f = *state;

	connection_close(&f->c);
	connection_close(&f->c);
	if (f->peer >= 0)
		close(f->peer);
	if (f->held >= 0)
		close(f->held);
	assert_int_equal(open_descriptors(), f->descriptors);
	free(f);
	return 0;
}

/* As xenstored. */
static void say(struct fixture *f, uint32_t type, uint32_t id, const void *body, size_t bytes)
{
	struct xsd_sockmsg header = {.type = type, .req_id = id, .len = (uint32_t)bytes};

	assert_int_equal(write(f->peer, &header, sizeof(header)), sizeof(header));
	if (bytes > 0)
		assert_int_equal(write(f->peer, body, bytes), bytes);
}

static void say_event(struct fixture *f)
{
	say(f, XS_WATCH_EVENT, 0, "data/x\0007", 9);
}

static int ask_in(struct fixture *f, uint32_t timeout_ms)
{
	request_begin(&f->c.request, XS_READ, 0);
	request_add_text(&f->c.request, "data/x");
	return connection_ask(&f->c, timeout_ms);
}

static int ask(struct fixture *f)
{
	return ask_in(f, LONG_MS);
}

/* What has been asked, once. */
static void expect_request(struct fixture *f, uint32_t id)
{
	struct xsd_sockmsg header;
	char body[8];

	assert_int_equal(read(f->peer, &header, sizeof(header)), sizeof(header));
	assert_int_equal(header.type, XS_READ);
	assert_int_equal(header.req_id, id);
	assert_int_equal(header.len, 7);
	assert_int_equal(read(f->peer, body, 7), 7);
	assert_memory_equal(body, "data/x", 7);
}

static void questions_are_answered(void **state)
{
	struct fixture *f = *state;

	say(f, XS_READ, 1, "value", 5);
	assert_int_equal(ask(f), 0);
	assert_int_equal(f->c.answer_bytes, 5);
	assert_string_equal(f->c.answer, "value");
	expect_request(f, 1);
	say(f, XS_ERROR, 2, "ENOENT", 7);
	assert_int_equal(ask(f), -ENOENT);
	expect_request(f, 2);
	say(f, XS_ERROR, 3, "EQUOTA", 7);
	assert_int_equal(ask(f), -EINVAL);
	expect_request(f, 3);
	say(f, XS_READ, 4, "", 0);
	assert_int_equal(ask(f), 0);
	assert_int_equal(f->c.answer_bytes, 0);
}

/* A terminal takes its time. */
static void hear(struct fixture *f, uint32_t events)
{
	struct pollfd readable = {.fd = f->c.fd, .events = POLLIN};

	while (f->events < events) {
		assert_int_equal(poll(&readable, 1, LONG_MS), 1);
		assert_int_equal(connection_hear(&f->c), 0);
	}
	assert_int_equal(f->events, events);
}

static void events_come_at_any_time(void **state)
{
	struct fixture *f = *state;

	say_event(f);
	say(f, XS_WATCH_EVENT, 0, "none", 4);
	say(f, XS_READ, 1, "a", 1);
	say_event(f);
	assert_int_equal(ask(f), 0);
	/* What was behind the answer as well: the descriptor does not show it any more. */
	if (!f->c.is_device)
		assert_int_equal(f->events, 2);
	hear(f, 2);
	for (int i = 0; i < 100; i++)
		say_event(f);
	hear(f, 102);
	assert_int_equal(connection_hear(&f->c), 0);
}

static void a_late_answer_is_one(void **state)
{
	struct fixture *f = *state;
	uint64_t began_ms = clock_now_ms();

	assert_int_equal(ask_in(f, 50), -ETIMEDOUT);
	assert_int_equal(connection_await(&f->c, 50), -ETIMEDOUT);
	assert_in_range(clock_now_ms() - began_ms, 100, 2000);
	say(f, XS_READ, 1, "late", 4);
	assert_int_equal(connection_await(&f->c, LONG_MS), 0);
	assert_string_equal(f->c.answer, "late");
	say(f, XS_READ, 2, "soon", 4);
	assert_int_equal(ask(f), 0);
}

/* A part of one is none. */
static void half_an_answer_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct xsd_sockmsg header = {.type = XS_READ, .req_id = 1, .len = 6};

	assert_int_equal(write(f->peer, &header, sizeof(header)), sizeof(header));
	assert_int_equal(write(f->peer, "abc", 3), 3);
	assert_int_equal(ask_in(f, 50), -ETIMEDOUT);
	assert_int_equal(write(f->peer, "def", 3), 3);
	assert_int_equal(connection_await(&f->c, LONG_MS), 0);
	assert_string_equal(f->c.answer, "abcdef");
}

static void another_number_ends_it(void **state)
{
	struct fixture *f = *state;

	say(f, XS_READ, 2, "value", 5);
	assert_int_equal(ask(f), -ENOTCONN);
}

static void the_kernel_has_numbers_of_its_own(void **state)
{
	struct fixture *f = *state;

	say(f, XS_READ, 2, "value", 5);
	assert_int_equal(ask(f), 0);
	assert_string_equal(f->c.answer, "value");
}

static void another_type_ends_it(void **state)
{
	struct fixture *f = *state;

	say(f, XS_DIRECTORY, 1, "value", 6);
	assert_int_equal(ask(f), -ENOTCONN);
}

static void what_nobody_asked_for_ends_it(void **state)
{
	struct fixture *f = *state;

	say(f, XS_READ, 1, "value", 5);
	assert_int_equal(ask(f), 0);
	say(f, XS_READ, 1, "value", 5);
	assert_int_equal(connection_hear(&f->c), -ENOTCONN);
}

static void too_long_is_an_answer(void **state)
{
	static char body[3 * XENSTORE_PAYLOAD_MAX];
	struct fixture *f = *state;

	say(f, XS_READ, 1, body, sizeof(body));
	say_event(f);
	say(f, XS_READ, 2, "value", 5);
	assert_int_equal(ask(f), -EMSGSIZE);
}

/* The next answer is behind what was too long. */
static void after_too_long_it_goes_on(void **state)
{
	static char body[3 * XENSTORE_PAYLOAD_MAX];
	struct fixture *f = *state;

	say(f, XS_READ, 1, body, sizeof(body));
	assert_int_equal(ask(f), -EMSGSIZE);
	say_event(f);
	say(f, XS_READ, 2, "value", 5);
	assert_int_equal(ask(f), 0);
	assert_string_equal(f->c.answer, "value");
	assert_int_equal(f->events, 1);
	/* Of the request as well: it is not sent. */
	request_begin(&f->c.request, XS_WRITE, 0);
	request_add(&f->c.request, body, sizeof(body));
	assert_int_equal(connection_ask(&f->c, LONG_MS), -E2BIG);
	say(f, XS_READ, 3, "value", 5);
	assert_int_equal(ask(f), 0);
}

static void its_end_is_seen(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(connection_hear(&f->c), 0);
	close(f->peer);
	f->peer = -1;
	assert_int_equal(connection_hear(&f->c), -ENOTCONN);
	assert_int_equal(ask(f), -ENOTCONN);
}

static void an_end_in_the_middle_is_seen(void **state)
{
	struct fixture *f = *state;

	say_event(f);
	assert_int_equal(write(f->peer, "abc", 3), 3);
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	assert_int_equal(ask(f), -ENOTCONN);
	assert_int_equal(f->events, 1);
}

/* Something comes all the time, and it is not the answer. */
static void events_do_not_put_it_off(void **state)
{
	struct fixture *f = *state;
	uint64_t began_ms = clock_now_ms();
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			say_event(f);
	}
	assert_int_equal(ask_in(f, 300), -ETIMEDOUT);
	assert_in_range(clock_now_ms() - began_ms, 300, 3000);
	assert_true(f->events > 100);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A peer that does not read: what cannot be sent is not answered either. */
static void sending_has_the_same_deadline(void **state)
{
	static char body[1000];
	struct fixture *f = *state;
	uint64_t began_ms = clock_now_ms();
	size_t before = 0;
	ssize_t res;

	while ((res = send(f->c.fd, body, sizeof(body), 0)) > 0)
		before += (size_t)res;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ask_in(f, 200), -ETIMEDOUT);
	assert_in_range(clock_now_ms() - began_ms, 200, 3000);
	assert_int_equal(f->c.sent, 0);
	for (; before > 0; before -= (size_t)res) {
		res = read(f->peer, body, before < sizeof(body) ? before : sizeof(body));
		assert_true(res > 0);
	}
	assert_int_equal(connection_await(&f->c, 50), -ETIMEDOUT);
	expect_request(f, 1);
}

static void nobody_there_is_told(void **state)
{
	struct fixture *f = make();

	name_socket(f);
	f->peer = -1;
	*state = f;
	assert_int_equal(connection_open(&f->c), -ENOENT);
	close(listen_at(f->path));
	/* A socket whose xenstored has gone. */
	assert_int_equal(connection_open(&f->c), -ECONNREFUSED);
	unlink(f->path);
	assert_int_equal(f->c.fd, -1);
	finish(state);
}

/* As many wait already as there is room for. */
static void a_queue_is_waited_in_for_a_second(void **state)
{
	struct fixture *f = make();
	struct connection others[8];
	uint64_t began_ms = clock_now_ms();
	int listener, res = 0, count = 0;

	name_socket(f);
	listener = listen_at(f->path);
	for (; count < 8 && res == 0; count++) {
		connection_init(&others[count], f->path, on_event, f);
		res = connection_open(&others[count]);
	}
	assert_int_equal(res, -EAGAIN);
	assert_in_range(clock_now_ms() - began_ms, 900, 3000);
	while (count > 0)
		connection_close(&others[--count]);
	close(listener);
	unlink(f->path);
	f->peer = -1;
	*state = f;
	finish(state);
}

#define SOCKET(name)                                               \
	{                                                          \
#name " (socket)", name, make_socket, finish, NULL \
	}
#define DEVICE(name)                                               \
	{                                                          \
#name " (device)", name, make_device, finish, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOCKET(questions_are_answered),
		DEVICE(questions_are_answered),
		SOCKET(events_come_at_any_time),
		DEVICE(events_come_at_any_time),
		SOCKET(a_late_answer_is_one),
		DEVICE(a_late_answer_is_one),
		SOCKET(half_an_answer_is_waited_for),
		DEVICE(half_an_answer_is_waited_for),
		SOCKET(another_number_ends_it),
		DEVICE(the_kernel_has_numbers_of_its_own),
		SOCKET(another_type_ends_it),
		SOCKET(what_nobody_asked_for_ends_it),
		SOCKET(too_long_is_an_answer),
		SOCKET(after_too_long_it_goes_on),
		SOCKET(its_end_is_seen),
		SOCKET(an_end_in_the_middle_is_seen),
		SOCKET(events_do_not_put_it_off),
		SOCKET(sending_has_the_same_deadline),
		cmocka_unit_test(nobody_there_is_told),
		cmocka_unit_test(a_queue_is_waited_in_for_a_second),
	};

	return cmocka_run_group_tests_name("store-connection", tests, NULL, NULL);
}
