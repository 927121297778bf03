/* SPDX-License-Identifier: MIT */
/*
 * Mixers and a server: what one sets all of them see, and it is there after a restart; who may not, and who comes too
 * often; servers that say nonsense, or nothing. The server has a thread of its own.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/mixer.h>
#include <xaring/pages.h>
#include <xaring/server.h>
#include <xaring/shared.h>

#include "descriptors.h"
#include "loop.h"
#include "serve.h"
#include "status-page.h"
#include "volume.h"

#define TIMEOUT_MS 10000
#define MIXERS_MAX 16 /* of one user */

struct place {
	char folder[40], path[64], file[64];
	struct loop *loop;
	struct loop_source *stop;
	struct serve *serve;
	struct status_page page;
	struct volume *volume;
	int stop_fds[2];
	pthread_t thread;
	bool refuses;
	uint32_t descriptors;
};

static void on_open(void *data, struct serve_client *client, const struct xaring_open *open)
{
	(void)data, (void)open;
	serve_client_drop(client);
}

static void on_kick(void *data, struct serve_client *client, enum xaring_kick kick)
{
	(void)data, (void)client, (void)kick;
}

static int on_set_volume(void *data, struct serve_client *client,
			 const struct xaring_set_volume *set, struct xaring_refusal *refusal)
{
	struct place *p = data;

	(void)client;
	if (p->refuses) {
		*refusal = (struct xaring_refusal){.reason = XARING_REASON_USER};
		return -EPERM;
	}
	return volume_set(p->volume, set);
}

static void on_gone(void *data, struct serve_client *client)
{
	(void)data, (void)client;
}

static void on_limit(void *data, const char *text)
{
	(void)data, (void)text;
}

static const struct serve_events events = {
	.on_open = on_open,
	.on_retry = on_open,
	.on_kick = on_kick,
	.on_set_volume = on_set_volume,
	.on_gone = on_gone,
	.on_limit = on_limit,
};

static void on_stop(void *data, uint32_t ready)
{
	struct place *p = data;

	(void)ready;
	loop_quit(p->loop, 0);
}

static void *run(void *data)
{
	struct place *p = data;

	(void)loop_run(p->loop);
	return NULL;
}

static void start(struct place *p)
{
	struct serve_setup setup = {.open_ms = 10, .events = &events, .data = p};

	assert_int_equal(loop_create(&p->loop), 0);
	assert_int_equal(pipe(p->stop_fds), 0);
	assert_int_equal(loop_add_io(p->loop, p->stop_fds[0], POLLIN, on_stop, p, &p->stop), 0);
	assert_int_equal(status_page_init(&p->page), 0);
	assert_int_equal(volume_open(p->loop, &p->page, p->file, &p->volume), 0);
	assert_int_equal(xaring_listener_open(p->path, 0600, &setup.listener), 0);
	setup.status = p->page.fd;
	assert_int_equal(serve_open(p->loop, &setup, &p->serve), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
}

static void stop(struct place *p)
{
	assert_int_equal(write(p->stop_fds[1], "", 1), 1);
	pthread_join(p->thread, NULL);
	serve_close(p->serve);
	volume_close(p->volume);
	status_page_finish(&p->page);
	loop_remove(p->stop);
	loop_destroy(p->loop);
	close(p->stop_fds[0]);
	close(p->stop_fds[1]);
}

static int begin(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->folder, "/tmp/xaring-mixer-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->path, sizeof(p->path), "%s/socket", p->folder);
	snprintf(p->file, sizeof(p->file), "%s/state/volume", p->folder);
	p->descriptors = open_descriptors();
	start(p);
	*state = p;
	return 0;
}

static int end(void **state)
{
	struct place *p = *state;
	char path[60];

	stop(p);
	unlink(p->file);
	snprintf(path, sizeof(path), "%s/state", p->folder);
	(void)rmdir(path);
	assert_int_equal(open_descriptors(), p->descriptors);
	assert_int_equal(rmdir(p->folder), 0);
	free(p);
	return 0;
}

static struct xaring_mixer *open_mixer(const struct place *p)
{
	struct xaring_mixer *m;

	assert_int_equal(xaring_mixer_open(p->path, TIMEOUT_MS, &m), 0);
	return m;
}

static int set(struct xaring_mixer *m, uint32_t what, uint32_t linear, bool muted)
{
	return xaring_mixer_set(m, what, &(struct xaring_volume){linear, muted}, TIMEOUT_MS);
}

static void assert_volume(const struct xaring_mixer *m, uint32_t linear, bool muted)
{
	struct xaring_volume volume;

	xaring_mixer_get(m, &volume);
	assert_int_equal(volume.linear, linear);
	assert_int_equal(volume.muted, muted);
}

static void wait_word(const struct xaring_mixer *m)
{
	struct pollfd pfd = {.fd = xaring_mixer_fd(m), .events = POLLIN};

	assert_int_equal(poll(&pfd, 1, TIMEOUT_MS), 1);
}

static void assert_changed(struct xaring_mixer *m)
{
	wait_word(m);
	assert_int_equal(xaring_mixer_take(m), 1);
	assert_int_equal(xaring_mixer_take(m), 0);
}

static void what_one_sets_all_see(void **state)
{
	const struct place *p = *state;
	struct xaring_mixer *a = open_mixer(p), *b = open_mixer(p);

	assert_volume(a, XARING_VOLUME_UNITY, false);
	assert_int_equal(xaring_mixer_take(a), 0);
	assert_int_equal(set(a, XARING_SET_VOLUME, 1234, true), 0);
	assert_volume(a, 1234, false);
	assert_changed(b);
	assert_volume(b, 1234, false);
	assert_int_equal(set(b, XARING_SET_MUTED, 9, true), 0);
	assert_volume(b, 1234, true);
	assert_changed(a);
	assert_int_equal(set(a, XARING_SET_VOLUME | XARING_SET_MUTED, 0, false), 0);
	assert_volume(a, 0, false);
	xaring_mixer_close(a);
	xaring_mixer_close(b);
}

static void it_is_kept_across_a_restart(void **state)
{
	struct place *p = *state;
	struct xaring_mixer *m = open_mixer(p);

	assert_int_equal(set(m, XARING_SET_VOLUME | XARING_SET_MUTED, 4321, true), 0);
	stop(p);
	assert_true(xaring_mixer_take(m) < 0);
	assert_true(set(m, XARING_SET_VOLUME, 1, false) < 0);
	xaring_mixer_close(m);
	start(p);
	m = open_mixer(p);
	assert_volume(m, 4321, true);
	xaring_mixer_close(m);
}

static void write_file(const struct place *p, const char *text)
{
	char folder[60];
	FILE *file;

	snprintf(folder, sizeof(folder), "%s/state", p->folder);
	(void)mkdir(folder, 0700);
	file = fopen(p->file, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void a_file_that_is_not_understood_changes_nothing(void **state)
{
	static const char *const texts[] =
		{"",          "\n",       "65537\n", "-1\n",         "12",
		 "12 mute\n", "12 muted", "x\n",     "12 muted 3\n", "99999999999999999999\n"};
	struct place *p = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct xaring_mixer *m;

		stop(p);
		write_file(p, texts[i]);
		start(p);
		m = open_mixer(p);
		assert_volume(m, XARING_VOLUME_UNITY, false);
		xaring_mixer_close(m);
	}
}

static void who_may_not_is_told_so(void **state)
{
	struct place *p = *state;
	struct xaring_mixer *m = open_mixer(p);

	p->refuses = true;
	assert_int_equal(set(m, XARING_SET_VOLUME, 1, false), -EPERM);
	assert_volume(m, XARING_VOLUME_UNITY, false);
	wait_word(m);
	assert_int_equal(xaring_mixer_take(m), -ENODEV);
	xaring_mixer_close(m);
}

static void one_user_has_a_share_of_mixers(void **state)
{
	const struct place *p = *state;
	struct xaring_mixer *m[MIXERS_MAX], *one_more;

	for (int i = 0; i < MIXERS_MAX; i++)
		m[i] = open_mixer(p);
	assert_int_equal(xaring_mixer_open(p->path, TIMEOUT_MS, &one_more), -EBUSY);
	assert_int_equal(set(m[3], XARING_SET_VOLUME, 5, false), 0);
	assert_changed(m[MIXERS_MAX - 1]);
	for (int i = 0; i < MIXERS_MAX; i++)
		xaring_mixer_close(m[i]);
}

/* As fast as it can, and nobody reads what it is told: no faster than its rate, and all of it. */
static void a_flood_is_read_in_its_time(void **state)
{
	const struct place *p = *state;
	struct xaring_mixer *loud = open_mixer(p), *deaf = open_mixer(p), *other = open_mixer(p);

	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(set(loud, XARING_SET_VOLUME, i, false), 0);
	assert_int_equal(set(other, XARING_SET_VOLUME, 7777, false), 0);
	assert_volume(deaf, 7777, false);
	assert_true(xaring_mixer_take(deaf) == 1);
	xaring_mixer_close(loud);
	xaring_mixer_close(deaf);
	xaring_mixer_close(other);
}

struct setter {
	pthread_t thread;
	struct xaring_mixer *mixer;
	uint32_t first;
	int res;
};

static void *set_often(void *data)
{
	struct setter *s = data;

	for (uint32_t i = 0; i < 50 && s->res == 0; i++)
		s->res = set(s->mixer, XARING_SET_VOLUME, s->first + i, false);
	return NULL;
}

/* Each is answered, whatever the other one makes of it. */
static void two_may_set_it_at_once(void **state)
{
	const struct place *p = *state;
	struct setter setters[2] = {{.first = 100}, {.first = 1000}};

	for (int i = 0; i < 2; i++) {
		setters[i].mixer = open_mixer(p);
		assert_int_equal(pthread_create(&setters[i].thread, NULL, set_often, &setters[i]),
				 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(setters[i].thread, NULL);
		assert_int_equal(setters[i].res, 0);
		xaring_mixer_close(setters[i].mixer);
	}
}

static void nobody_there_is_an_error_at_once(void **state)
{
	struct xaring_mixer *m;
	char longer[200];

	(void)state;
	assert_int_equal(xaring_mixer_open("/nonexistent/socket", TIMEOUT_MS, &m), -ENOENT);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(xaring_mixer_open(longer, TIMEOUT_MS, &m), -EINVAL);
}

/* ---- servers by hand ---- */

static int accept_one(struct xaring_listener *listener)
{
	struct pollfd pfd = {.fd = xaring_listener_fd(listener), .events = POLLIN};
	struct xaring_peer peer;

	assert_int_equal(poll(&pfd, 1, TIMEOUT_MS), 1);
	return xaring_listener_accept(listener, &peer);
}

struct answer {
	struct xaring_listener *listener;
	struct xaring_message message; /* of type 0: none */
};

static void *answer_one(void *data)
{
	const struct answer *a = data;
	int fd = accept_one(a->listener);

	if (a->message.type)
		(void)xaring_wire_send(fd, &a->message);
	/* It ends with the mixer. */
	(void)poll(&(struct pollfd){.fd = fd}, 1, TIMEOUT_MS);
	close(fd);
	return NULL;
}

static int open_with_answer(const struct xaring_message *message, int timeout_ms)
{
	struct answer a = {.message = *message};
	char folder[] = "/tmp/xaring-mixer-XXXXXX", path[64];
	struct xaring_mixer *m = NULL;
	pthread_t thread;
	int res;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	assert_int_equal(xaring_listener_open(path, 0600, &a.listener), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer_one, &a), 0);
	res = xaring_mixer_open(path, timeout_ms, &m);
	xaring_mixer_close(m);
	pthread_join(thread, NULL);
	xaring_listener_close(a.listener);
	assert_int_equal(rmdir(folder), 0);
	return res;
}

static void a_server_that_says_nonsense_is_left(void **state)
{
	struct xaring_message m = {.type = XARING_MESSAGE_CHANGED, .fds = {-1, -1, -1}};
	uint32_t descriptors = open_descriptors();
	FILE *file = tmpfile();

	(void)state;
	assert_int_equal(open_with_answer(&m, TIMEOUT_MS), -EPROTO);
	m.type = XARING_MESSAGE_REFUSE;
	m.u.refusal = (struct xaring_refusal){.reason = XARING_REASON_VERSION};
	assert_int_equal(open_with_answer(&m, TIMEOUT_MS), -EINVAL);
	m.type = XARING_MESSAGE_STATUS;
	m.u.status_version = XARING_PROTOCOL_VERSION + 1;
	m.fds[0] = fileno(file);
	assert_int_equal(open_with_answer(&m, TIMEOUT_MS), -EPROTO);
	/* A file that is too short for a page, which would end whoever looks at it. */
	m.u.status_version = XARING_PROTOCOL_VERSION;
	assert_true(open_with_answer(&m, TIMEOUT_MS) < 0);
	m.type = 0;
	assert_int_equal(open_with_answer(&m, 50), -ETIMEDOUT);
	fclose(file);
	assert_int_equal(open_descriptors(), descriptors);
}

/* STATUS, and then CHANGED without end, until the mixer is gone. */
static void *talk(void *data)
{
	const struct xaring_message m = {.type = XARING_MESSAGE_CHANGED, .fds = {-1, -1, -1}};
	struct xaring_listener *listener = data;
	int write_fd, read_fd, res, fd = accept_one(listener);

	assert_int_equal(xaring_memfd_status(&write_fd, &read_fd), 0);
	(void)xaring_server_send_status(fd, XARING_PROTOCOL_VERSION, read_fd);
	do {
		struct pollfd pfd = {.fd = fd, .events = POLLOUT};

		res = xaring_wire_send(fd, &m);
		(void)poll(&pfd, 1, TIMEOUT_MS);
	} while (res == 0 || res == -EAGAIN);
	close(write_fd);
	close(read_fd);
	close(fd);
	return NULL;
}

static void a_server_that_talks_without_end_keeps_nobody(void **state)
{
	char folder[] = "/tmp/xaring-mixer-XXXXXX", path[64];
	struct xaring_listener *listener;
	struct xaring_mixer *m;
	pthread_t thread;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	assert_int_equal(xaring_listener_open(path, 0600, &listener), 0);
	assert_int_equal(pthread_create(&thread, NULL, talk, listener), 0);
	assert_int_equal(xaring_mixer_open(path, TIMEOUT_MS, &m), 0);
	for (int i = 0; i < 100; i++) {
		wait_word(m);
		assert_int_equal(xaring_mixer_take(m), 1);
	}
	assert_int_equal(xaring_mixer_set(m, XARING_SET_VOLUME,
					  &(struct xaring_volume){.linear = 1}, 50),
			 -ETIMEDOUT);
	xaring_mixer_close(m);
	pthread_join(thread, NULL);
	xaring_listener_close(listener);
	assert_int_equal(rmdir(folder), 0);
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PLACE(what_one_sets_all_see),
		WITH_PLACE(it_is_kept_across_a_restart),
		WITH_PLACE(a_file_that_is_not_understood_changes_nothing),
		WITH_PLACE(who_may_not_is_told_so),
		WITH_PLACE(one_user_has_a_share_of_mixers),
		WITH_PLACE(a_flood_is_read_in_its_time),
		WITH_PLACE(two_may_set_it_at_once),
		cmocka_unit_test(nobody_there_is_an_error_at_once),
		cmocka_unit_test(a_server_that_talks_without_end_keeps_nobody),
		cmocka_unit_test(a_server_that_says_nonsense_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
