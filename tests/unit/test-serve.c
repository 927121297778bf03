/* SPDX-License-Identifier: MIT */
/* Clients that are dropped while others are tried again; the rest of serve.h is tested through the daemons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/server.h>
#include <xaring/wire.h>

#include "loop.h"
#include "serve.h"

#define CLIENTS     4
#define DEADLINE_MS 5000

struct place {
	char folder[32];
	char path[64];
	struct loop *loop;
	struct loop_source *deadline;
	struct serve *serve;
	int fds[CLIENTS];
	struct serve_client *clients[CLIENTS]; /* in the order of their coming */
	unsigned opened;
	unsigned first, count; /* whom the first retry drops */
	unsigned retried[CLIENTS];
};

static void on_open(void *data, struct serve_client *client, const struct xaring_open *open)
{
	struct place *p = data;

	(void)open;
	p->clients[p->opened++] = client;
	if (p->opened == CLIENTS)
		loop_quit(p->loop, 0);
}

static void on_retry(void *data, struct serve_client *client, const struct xaring_open *open)
{
	struct place *p = data;

	(void)open;
	for (unsigned i = 0; i < CLIENTS; i++)
		p->retried[i] += p->clients[i] == client;
	for (; p->count > 0; p->count--, p->first++) {
		serve_client_drop(p->clients[p->first]);
		p->clients[p->first] = NULL;
	}
}

static void on_kick(void *data, struct serve_client *client, enum xaring_kick kick)
{
	(void)data, (void)client, (void)kick;
}

static void on_gone(void *data, struct serve_client *client)
{
	(void)data, (void)client;
}

static void on_limit(void *data, const char *text)
{
	(void)data, (void)text;
}

static const struct serve_events events = {on_open, on_retry, on_kick, on_gone, on_limit};

static void on_deadline(void *data)
{
	(void)data;
	fail_msg("%d clients have not come in %d ms", CLIENTS, DEADLINE_MS);
}

static int open_one(const char *path)
{
	struct xaring_message m = {.type = XARING_MESSAGE_OPEN,
				   .u.open = {.version_min = XARING_PROTOCOL_VERSION_MIN,
					      .version = XARING_PROTOCOL_VERSION,
					      .params = {.format = XARING_FORMAT_S16,
							 .rate_hz = 48000,
							 .channels = 2,
							 .buffer = 4096,
							 .period = 1024}},
				   .fds = {-1, -1, -1}};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(xaring_wire_send(fd, &m), 0);
	return fd;
}

static int begin(void **state)
{
	static struct place p;
	struct xaring_listener *listener;

	p = (struct place){.folder = "/tmp/xaring-test-XXXXXX"};
	assert_non_null(mkdtemp(p.folder));
	snprintf(p.path, sizeof(p.path), "%s/socket", p.folder);
	assert_int_equal(xaring_listener_open(p.path, 0600, &listener), 0);
	assert_int_equal(loop_create(&p.loop), 0);
	assert_int_equal(loop_add_timer(p.loop, on_deadline, &p, &p.deadline), 0);
	loop_arm_timer(p.deadline, DEADLINE_MS, 0);
	assert_int_equal(serve_open(p.loop, listener, 10, &events, &p, &p.serve), 0);
	for (int i = 0; i < CLIENTS; i++)
		p.fds[i] = open_one(p.path);
	assert_int_equal(loop_run(p.loop), 0);
	*state = &p;
	return 0;
}

static int end(void **state)
{
	struct place *p = *state;

	serve_close(p->serve);
	loop_remove(p->deadline);
	loop_destroy(p->loop);
	for (int i = 0; i < CLIENTS; i++)
		close(p->fds[i]);
	return rmdir(p->folder);
}

static void all_who_wait_are_tried_in_their_order(void **state)
{
	struct place *p = *state;

	serve_retry(p->serve);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(p->retried[i], 1);
}

/* A program that comes back takes the pages over from its former connection, which may be any. */
static void those_who_are_dropped_meanwhile_are_not_looked_at(void **state)
{
	struct place *p = *state;

	p->first = 1, p->count = 2;
	serve_retry(p->serve);
	assert_int_equal(p->retried[0], 1);
	assert_int_equal(p->retried[1], 0);
	assert_int_equal(p->retried[2], 0);
	assert_int_equal(p->retried[3], 1);
}

static void one_may_drop_itself(void **state)
{
	struct place *p = *state;

	p->first = 0, p->count = 1;
	serve_retry(p->serve);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(p->retried[i], 1);
}

static void who_has_an_owner_does_not_wait(void **state)
{
	struct place *p = *state;

	serve_client_set_owner(p->clients[2], p);
	serve_retry(p->serve);
	assert_int_equal(p->retried[1], 1);
	assert_int_equal(p->retried[2], 0);
	serve_client_set_owner(p->clients[2], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_who_wait_are_tried_in_their_order, begin, end),
		cmocka_unit_test_setup_teardown(those_who_are_dropped_meanwhile_are_not_looked_at,
						begin, end),
		cmocka_unit_test_setup_teardown(one_may_drop_itself, begin, end),
		cmocka_unit_test_setup_teardown(who_has_an_owner_does_not_wait, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
