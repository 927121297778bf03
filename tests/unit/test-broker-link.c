/* SPDX-License-Identifier: MIT */
/* What xaring-notify hears of a broker that is the test's own, and what becomes of it when that goes or refuses. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker-link.h"

#define DEADLINE_S 20
#define STOP       "stop"
#define OK         "{\"ok\":true}"
#define VM(name, state) \
	"{\"vm\":\"" name "\",\"title\":\"T " name "\",\"microphone\":{\"state\":\"" state "\"}}"
#define EVENT(event, name, state)                                          \
	"{\"event\":\"" event "\",\"vm\":\"" name "\",\"title\":\"T " name \
	"\",\"microphone\":{\"state\":\"" state "\"}}"

/* ---- the broker, in a thread of its own ---- */

static struct fake {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int listener;
	pthread_t thread;
	const char *const *vms; /* packets of its list, until NULL */
	_Atomic(const char *) monitor_answer;
	const char *mic_answer;
	atomic_int monitor_fd; /* -1 = none */
	atomic_int refusals, monitored;
	bool is_list_refused;
	char mic_request[128];
} fake;

/* That it could not be sent shows in what is heard. */
static void say(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void answer_monitor(int fd)
{
	const char *answer = atomic_load(&fake.monitor_answer);
	int before;
	bool is_ok = strcmp(answer, OK) == 0;

	atomic_fetch_add(&fake.monitored, 1);
	if (is_ok) {
		before = atomic_exchange(&fake.monitor_fd, fd);
		if (before >= 0)
			close(before);
	}
	say(fd, answer);
	if (!is_ok) {
		close(fd);
		atomic_fetch_add(&fake.refusals, 1);
	}
}

static void answer_list(int fd)
{
	for (const char *const *vm = fake.vms; vm && *vm; vm++)
		say(fd, *vm);
	if (!fake.is_list_refused)
		say(fd, OK);
	close(fd);
}

static void answer_mic(int fd, const char *request)
{
	snprintf(fake.mic_request, sizeof(fake.mic_request), "%s", request);
	if (fake.mic_answer)
		say(fd, fake.mic_answer);
	close(fd);
}

static void *serve(void *data)
{
	char request[128];

	(void)data;
	for (;;) {
		int fd = accept(fake.listener, NULL, NULL);
		ssize_t bytes = recv(fd, request, sizeof(request) - 1, 0);

		request[bytes > 0 ? bytes : 0] = '\0';
		if (strcmp(request, "monitor") == 0)
			answer_monitor(fd);
		else if (strcmp(request, "list") == 0)
			answer_list(fd);
		else if (strncmp(request, "mic ", 4) == 0)
			answer_mic(fd, request);
		else
			close(fd);
		if (strcmp(request, STOP) == 0)
			return NULL;
	}
}

/* Returns a descriptor, or -1. */
static int connect_to_fake(int flags)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);

	memcpy(address.sun_path, fake.path, sizeof(fake.path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void fake_listen(int backlog)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, fake.path, sizeof(fake.path));
	fake.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fake.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fake.listener, backlog), 0);
}

static void fake_start(void)
{
	fake_listen(8);
	assert_int_equal(pthread_create(&fake.thread, NULL, serve, NULL), 0);
}

static void fake_hang_up(void)
{
	int fd = atomic_exchange(&fake.monitor_fd, -1);

	if (fd >= 0)
		close(fd);
}

static void fake_stop(void)
{
	int fd = connect_to_fake(0);

	assert_true(fd >= 0);
	say(fd, STOP);
	pthread_join(fake.thread, NULL);
	close(fd);
	close(fake.listener);
	unlink(fake.path);
	fake_hang_up();
}

static void fake_event(const char *event)
{
	say(atomic_load(&fake.monitor_fd), event);
}

/* ---- who listens ---- */

static struct {
	sd_event *loop;
	struct broker_link *link;
	char heard[1024]; /* what was called, in words */
} test;

static void hear(const char *what, const char *of, const char *more)
{
	size_t used = strlen(test.heard);

	snprintf(test.heard + used, sizeof(test.heard) - used, "%s%s%s;", what, of, more);
}

static void on_asks(void *data, const char *key, const char *title)
{
	(void)data;
	hear("asks ", key, title);
}

static void on_rests(void *data, const char *key)
{
	(void)data;
	hear("rests ", key, "");
}

static void on_lost(void *data)
{
	(void)data;
	hear("lost", "", "");
}

static void on_refused(void *data, const char *text)
{
	(void)data;
	hear("refused ", text, "");
}

static const struct broker_link_events events = {
	.on_asks = on_asks,
	.on_rests = on_rests,
	.on_lost = on_lost,
	.on_refused = on_refused,
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

static void run_until_refused(void)
{
	time_t until = time(NULL) + DEADLINE_S;

	while (atomic_load(&fake.refusals) == 0) {
		assert_true(sd_event_run(test.loop, 100000) >= 0);
		assert_true(time(NULL) <= until);
	}
}

static void assert_heard(const char *heard)
{
	assert_string_equal(test.heard, heard);
	test.heard[0] = '\0';
}

static int begin(void **state)
{
	(void)state;
	memset(&test, 0, sizeof(test));
	memset(&fake, 0, sizeof(fake));
	snprintf(fake.path, sizeof(fake.path), "/tmp/xaring-test-link.%d", (int)getpid());
	atomic_store(&fake.monitor_answer, OK);
	atomic_store(&fake.monitor_fd, -1);
	assert_true(sd_event_new(&test.loop) >= 0);
	assert_int_equal(broker_link_open(test.loop, fake.path, &events, NULL, &test.link), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	broker_link_close(test.link);
	sd_event_unref(test.loop);
	return 0;
}

/* ---- the tests ---- */

static void those_that_ask_already(void **state)
{
	static const char *const vms[] = {VM("a", "denied"), VM("b", "asked"), VM("c", "allowed"),
					  NULL};

	(void)state;
	fake.vms = vms;
	fake_start();
	run_until_heard("rests c;");
	assert_heard("rests a;asks bT b;rests c;");
	fake_stop();
}

static void those_that_ask_later(void **state)
{
	static const char *const vms[] = {VM("a", "denied"), NULL};

	(void)state;
	fake.vms = vms;
	fake_start();
	run_until_heard("rests a;");
	test.heard[0] = '\0';
	fake_event(EVENT("microphone", "a", "asked"));
	fake_event(EVENT("stream-opens", "a", "asked"));
	fake_event(EVENT("vm-appears", "b", "asked"));
	fake_event(EVENT("microphone", "a", "allowed"));
	fake_event("{\"event\":\"microphone\"}");
	fake_event("{\"event\":7,\"vm\":[],\"microphone\":3}");
	fake_event("{}");
	fake_event(EVENT("vm-goes", "b", ""));
	run_until_heard("rests b;");
	assert_heard("asks aT a;rests a;rests ;rests b;");
	fake_stop();
}

static void gone_and_back(void **state)
{
	static const char *const vms[] = {VM("a", "asked"), NULL};

	(void)state;
	fake.vms = vms;
	fake_start();
	run_until_heard("asks a");
	fake_hang_up();
	run_until_heard("lost;asks a");
	assert_heard("asks aT a;lost;asks aT a;");
	/* What is no JSON is no broker. */
	fake_event("{");
	run_until_heard("lost;asks a");
	fake_stop();
	run_until_heard("lost;asks aT a;lost;");
}

static void comes_late(void **state)
{
	static const char *const vms[] = {VM("a", "asked"), NULL};

	(void)state;
	assert_true(sd_event_run(test.loop, 0) >= 0);
	fake.vms = vms;
	fake_start();
	run_until_heard("asks a");
	fake_stop();
}

#define REFUSAL "{\"ok\":false,\"error\":\"permission\",\"text\":\"not you\"}"

static void refused_for_good(void **state)
{
	(void)state;
	atomic_store(&fake.monitor_answer, REFUSAL);
	fake_start();
	run_until_heard("refused not you;");
	assert_heard("refused not you;");
	fake_stop();
}

/* Another session is the active one, for a while. */
static void refused_for_now(void **state)
{
	static const char *const vms[] = {VM("a", "asked"), NULL};

	(void)state;
	fake.vms = vms;
	fake_start();
	run_until_heard("asks a");
	atomic_store(&fake.monitor_answer, REFUSAL);
	fake_hang_up();
	run_until_heard("lost;");
	run_until_refused();
	atomic_store(&fake.monitor_answer, OK);
	run_until_heard("lost;asks a");
	assert_heard("asks aT a;lost;asks aT a;");
	fake_stop();
}

/* It is in vain as long as it does not say who asks, and the pauses grow: 1 s, 2 s. */
static void tells_nothing(void **state)
{
	struct timespec from, to;

	(void)state;
	fake.is_list_refused = true;
	fake_start();
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (atomic_load(&fake.monitored) < 3)
		assert_true(sd_event_run(test.loop, 100000) >= 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 >=
		    2900);
	fake_stop();
}

static void decisions(void **state)
{
	char why[BROKER_LINK_TEXT_BYTES];

	(void)state;
	fake.mic_answer = OK;
	fake_start();
	assert_int_equal(broker_link_do(test.link, "mic a allow once", why), 0);
	assert_string_equal(fake.mic_request, "mic a allow once");
	fake.mic_answer = "{\"ok\":false,\"error\":\"rule\",\"text\":\"the rules say no\"}";
	assert_int_equal(broker_link_do(test.link, "mic a allow once", why), -EREMOTEIO);
	assert_string_equal(why, "the rules say no");
	fake.mic_answer = NULL;
	assert_int_equal(broker_link_do(test.link, "mic a allow once", why), -ENODEV);
	assert_non_null(strstr(why, "xaring-pw does not answer"));
	fake_stop();
	assert_int_equal(broker_link_do(test.link, "mic a allow once", why), -ENOENT);
	assert_non_null(strstr(why, "xaring-pw does not answer"));
}

/* A broker that stands still, and whose queue is full: a connection would wait without end. */
static void a_full_queue(void **state)
{
	int waiting[16], count = 0;
	char why[BROKER_LINK_TEXT_BYTES];
	time_t from = time(NULL);

	(void)state;
	fake_listen(0);
	while (count < 16 && (waiting[count] = connect_to_fake(SOCK_NONBLOCK)) >= 0)
		count++;
	assert_in_range(count, 1, 15);
	assert_int_equal(broker_link_do(test.link, "mic a allow once", why), -ETIMEDOUT);
	assert_true(time(NULL) - from <= 5);
	while (count > 0)
		close(waiting[--count]);
	close(fake.listener);
	unlink(fake.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_that_ask_already, begin, end),
		cmocka_unit_test_setup_teardown(those_that_ask_later, begin, end),
		cmocka_unit_test_setup_teardown(gone_and_back, begin, end),
		cmocka_unit_test_setup_teardown(comes_late, begin, end),
		cmocka_unit_test_setup_teardown(refused_for_good, begin, end),
		cmocka_unit_test_setup_teardown(refused_for_now, begin, end),
		cmocka_unit_test_setup_teardown(tells_nothing, begin, end),
		cmocka_unit_test_setup_teardown(decisions, begin, end),
		cmocka_unit_test_setup_teardown(a_full_queue, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
