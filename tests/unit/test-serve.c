/* SPDX-License-Identifier: MIT */
/*
 * Clients that are dropped while others are tried again, and how many may come; the rest of serve.h is
 * tested through the daemons.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
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
#define DEADLINE_MS 20000
#define BURST       256 /* connections that are accepted at once */
#define THREADS     16  /* with so many, nothing is closed that may wait */

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
	unsigned limits;   /* how often something was limited */
	int end;           /* of a pipe: its other end is what is to be closed */
	bool awaits_limit; /* and not that */
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
	struct place *p = data;

	(void)text;
	p->limits++;
}

static int on_set_volume(void *data, struct serve_client *client,
			 const struct xaring_set_volume *set, struct xaring_refusal *refusal)
{
	(void)data, (void)client, (void)set, (void)refusal;
	return 0;
}

static const struct serve_events events = {on_open,       on_retry, on_kick,
					   on_set_volume, on_gone,  on_limit};

static void drop_at_once(void *data, struct serve_client *client, const struct xaring_open *open)
{
	struct place *p = data;

	(void)open;
	p->opened++;
	serve_client_drop(client);
	loop_quit(p->loop, 0);
}

static const struct serve_events fleeting = {drop_at_once,  on_retry, on_kick,
					     on_set_volume, on_gone,  on_limit};

static void on_deadline(void *data)
{
	(void)data;
	fail_msg("the clients have not come in %d ms", DEADLINE_MS);
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

static struct place *open_place(uint32_t open_ms, const struct serve_events *served_by)
{
	static struct place p;
	struct serve_setup setup = {.status = STDIN_FILENO,
				    .open_ms = open_ms,
				    .events = served_by,
				    .data = &p};

	p = (struct place){.folder = "/tmp/xaring-test-XXXXXX"};
	assert_non_null(mkdtemp(p.folder));
	snprintf(p.path, sizeof(p.path), "%s/socket", p.folder);
	assert_int_equal(xaring_listener_open(p.path, 0600, &setup.listener), 0);
	assert_int_equal(loop_create(&p.loop), 0);
	assert_int_equal(loop_add_timer(p.loop, on_deadline, &p, &p.deadline), 0);
	loop_arm_timer(p.deadline, DEADLINE_MS);
	assert_int_equal(serve_open(p.loop, &setup, &p.serve), 0);
	return &p;
}

static int close_place(struct place *p)
{
	serve_close(p->serve);
	loop_remove(p->deadline);
	loop_destroy(p->loop);
	return rmdir(p->folder);
}

static int begin(void **state)
{
	struct place *p = open_place(10, &events);

	for (int i = 0; i < CLIENTS; i++)
		p->fds[i] = open_one(p->path);
	assert_int_equal(loop_run(p->loop), 0);
	*state = p;
	return 0;
}

static int end(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < CLIENTS; i++)
		close(p->fds[i]);
	return close_place(p);
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

static void *wait_for_the_end(void *data)
{
	sem_wait(data);
	return NULL;
}

static void on_look(void *data)
{
	struct place *p = data;
	struct pollfd end = {.fd = p->end};

	if (p->awaits_limit ? p->limits > 0 : poll(&end, 1, 0) == 1 && (end.revents & POLLHUP))
		loop_quit(p->loop, 0);
}

/* With a descriptor, which nobody else has any more. */
static void say_with(int fd, int given)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.align = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	char garbage[] = "garbage";
	struct iovec iov = {garbage, 7};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = control.room,
				.msg_controllen = sizeof(control.room)};

	memcpy(CMSG_DATA(&control.align), &given, sizeof(int));
	assert_int_equal(sendmsg(fd, &header, 0), 7);
	close(given);
}

/* While threads do not end it is kept, others are served, and then it is closed after all. */
static void what_cannot_be_closed_is_closed_later(void **state)
{
	struct place *p = open_place(10, &fleeting);
	struct loop_source *look;
	pthread_t threads[THREADS];
	int fds[2], pipe_fds[2];
	sem_t over;

	(void)state;
	assert_int_equal(sem_init(&over, 0, 0), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_the_end, &over), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	p->end = pipe_fds[0];
	fds[0] = open_one(p->path);
	say_with(fds[0], pipe_fds[1]);
	assert_int_equal(loop_run(p->loop), 0);
	assert_int_equal(loop_add_timer(p->loop, on_look, p, &look), 0);
	loop_repeat_timer(look, 10);
	p->awaits_limit = true;
	assert_int_equal(loop_run(p->loop), 0);
	p->awaits_limit = false;
	fds[1] = open_one(p->path);
	assert_int_equal(loop_run(p->loop), 0);
	assert_int_equal(p->opened, 2);
	assert_int_equal(poll(&(struct pollfd){.fd = p->end}, 1, 0), 0);
	for (int i = 0; i < THREADS; i++)
		sem_post(&over);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(loop_run(p->loop), 0);
	assert_int_equal(p->limits, 1);
	loop_remove(look);
	close(fds[0]);
	close(fds[1]);
	close(p->end);
	assert_int_equal(close_place(p), 0);
}

/* One after the other: each time it is looked for another one, and nobody is there. */
static void who_is_not_there_costs_nothing(void **state)
{
	struct place *p = open_place(60000, &fleeting);

	(void)state;
	while (p->opened < BURST) {
		int fd = open_one(p->path);

		assert_int_equal(loop_run(p->loop), 0);
		assert_true(p->opened == BURST || p->limits == 0);
		close(fd);
	}
	assert_int_equal(close_place(p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_who_wait_are_tried_in_their_order, begin, end),
		cmocka_unit_test_setup_teardown(those_who_are_dropped_meanwhile_are_not_looked_at,
						begin, end),
		cmocka_unit_test_setup_teardown(one_may_drop_itself, begin, end),
		cmocka_unit_test_setup_teardown(who_has_an_owner_does_not_wait, begin, end),
		cmocka_unit_test(what_cannot_be_closed_is_closed_later),
		cmocka_unit_test(who_is_not_there_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
