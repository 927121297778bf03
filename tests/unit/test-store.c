/* SPDX-License-Identifier: MIT */
/*
 * The thread that waits for xenstore, against an xenstored of the test's own (lib/fake-xenstored.c):
 * jobs in their order, watches, an xenstored that stalls, goes and comes back, and floods.
 */
#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/log.h>

#include "descriptors.h"
#include "fake-xen.h"
#include "level.h"
#include "loop.h"
#include "now.h"
#include "store.h"

#define DEADLINE_MS 30000
#define HOME        "/local/domain/5/data/"

struct fixture {
	struct fake_xen xen;
	struct loop *loop;
	struct loop_source *deadline, *pause;
	struct store *store;
	uint32_t connections;
	uint32_t wanted; /* of what is counted, until the loop ends */
	uint32_t *counted;
	uint32_t descriptors;
};

static char log_text[4096];

static void on_log(enum xaring_log_level level, const char *text)
{
	size_t used = strlen(log_text);

	(void)level;
	(void)snprintf(log_text + used, sizeof(log_text) - used, "%s\n", text);
}

static uint32_t logged(const char *text)
{
	uint32_t count = 0;

	for (const char *at = log_text; (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

static void on_deadline(void *data)
{
	struct fixture *f = data;

	(void)f;
	fail_msg("nothing happened any more; log: %s", log_text);
}

static void check_count(struct fixture *f)
{
	if (f->counted && *f->counted >= f->wanted)
		loop_quit(f->loop, 0);
}

static void on_connected(void *data)
{
	struct fixture *f = data;

	f->connections++;
	check_count(f);
}

/* Runs the loop until what is counted has been seen so often. */
static void run_until(struct fixture *f, uint32_t *counted, uint32_t wanted)
{
	if (*counted >= wanted)
		return;
	f->counted = counted;
	f->wanted = wanted;
	loop_arm_timer(f->deadline, DEADLINE_MS);
	loop_run(f->loop);
	f->counted = NULL;
	loop_arm_timer(f->deadline, 0);
}

static void on_pause(void *data)
{
	struct fixture *f = data;

	loop_quit(f->loop, 0);
}

/* Runs the loop for a time in which something must not happen, or may go on. */
static void run_for(struct fixture *f, uint32_t ms)
{
	loop_arm_timer(f->pause, ms);
	loop_run(f->loop);
}

static void connect_store(struct fixture *f)
{
	assert_int_equal(store_create(f->loop, on_connected, f, &f->store), 0);
	run_until(f, &f->connections, 1);
}

static int fixture_make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->descriptors = open_descriptors();
	log_text[0] = 0;
	xaring_log_set(on_log, XARING_LOG_DEBUG);
	fake_xen_start(&f->xen);
	fake_xen_do(&f->xen, "create 5 work 11-22");
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(loop_add_timer(f->loop, on_deadline, f, &f->deadline), 0);
	assert_int_equal(loop_add_timer(f->loop, on_pause, f, &f->pause), 0);
	*state = f;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *f = *state;

	store_destroy(f->store);
	loop_destroy(f->loop);
	fake_xen_stop(&f->xen);
	assert_int_equal(open_descriptors(), f->descriptors);
	free(f);
	return 0;
}

/* ---- jobs ---- */

struct job {
	struct store_job job;
	struct fixture *f;
	int (*work)(struct job *job, struct store_link *link);
	const char *path, *text;
	uint32_t number;
	char value[101];
	char **names;
	size_t bytes;
	bool worked;
	uint32_t done;
	int res;
};

static uint32_t order[64], order_count;

static int job_work(struct store_job *job, struct store_link *link)
{
	struct job *j = (struct job *)job;

	j->worked = true;
	return j->work(j, link);
}

static void job_done(struct store_job *job, int res)
{
	struct job *j = (struct job *)job;

	j->done++;
	j->res = res;
	if (order_count < 64)
		order[order_count++] = j->number;
	check_count(j->f);
}

static void run_job(struct fixture *f, struct job *j,
		    int (*work)(struct job *job, struct store_link *link))
{
	j->f = f;
	j->work = work;
	j->worked = false;
	j->done = 0;
	store_run(f->store, &j->job, job_work, job_done);
}

static int finish_job(struct fixture *f, struct job *j,
		      int (*work)(struct job *job, struct store_link *link))
{
	run_job(f, j, work);
	run_until(f, &j->done, 1);
	return j->res;
}

static int do_read(struct job *j, struct store_link *link)
{
	int res = store_read(link, j->path, j->value, 100);

	if (res < 0)
		return res;
	j->bytes = (size_t)res;
	return 0;
}

static int do_write(struct job *j, struct store_link *link)
{
	return store_write(link, j->path, j->text, strlen(j->text));
}

static int do_remove(struct job *j, struct store_link *link)
{
	return store_remove(link, j->path);
}

static int do_list(struct job *j, struct store_link *link)
{
	free(j->names);
	j->names = NULL;
	return store_list(link, j->path, &j->names);
}

static int do_exists(struct job *j, struct store_link *link)
{
	return store_domain_exists(link, j->number);
}

struct watched {
	struct fixture *f;
	struct store_watch *watch;
	uint32_t fired;
	bool remove;
};

static void on_fired(void *data)
{
	struct watched *w = data;

	w->fired++;
	if (w->remove) {
		store_remove_watch(w->watch);
		w->watch = NULL;
	}
	check_count(w->f);
}

static void watch(struct fixture *f, struct watched *w, const char *path, const char *suffix)
{
	*w = (struct watched){.f = f};
	assert_int_equal(store_add_watch(f->store, path, suffix, on_fired, w, &w->watch), 0);
}

static void values_are_written_and_read(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "a/b"};

	connect_store(f);
	assert_int_equal(finish_job(f, &j, do_read), -ENOENT);
	j.text = "hello";
	assert_int_equal(finish_job(f, &j, do_write), 0);
	assert_int_equal(finish_job(f, &j, do_read), 0);
	assert_int_equal(j.bytes, 5);
	assert_string_equal(j.value, "hello");
	assert_int_equal(finish_job(f, &j, do_remove), 0);
	assert_int_equal(finish_job(f, &j, do_remove), 0);
	assert_int_equal(finish_job(f, &j, do_read), -ENOENT);
	j.path = HOME "x/y/z";
	assert_int_equal(finish_job(f, &j, do_remove), 0);
	j.path = "/no path";
	assert_int_equal(finish_job(f, &j, do_read), -EINVAL);
	/* EINVAL is an answer, and no loss. */
	assert_int_equal(f->connections, 1);
	assert_string_equal(log_text, "");
}

static void a_long_value_is_refused(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "long"};
	char text[102];

	connect_store(f);
	memset(text, 'x', sizeof(text));
	text[101] = 0;
	j.text = text;
	assert_int_equal(finish_job(f, &j, do_write), 0);
	assert_int_equal(finish_job(f, &j, do_read), -E2BIG);
	text[100] = 0;
	j.text = text;
	assert_int_equal(finish_job(f, &j, do_write), 0);
	assert_int_equal(finish_job(f, &j, do_read), 0);
	assert_int_equal(j.bytes, 100);
}

static void children_are_listed(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "list"};

	connect_store(f);
	assert_int_equal(finish_job(f, &j, do_list), -ENOENT);
	fake_xen_do(&f->xen, "write " HOME "list/one x");
	fake_xen_do(&f->xen, "write " HOME "list/two/three x");
	assert_int_equal(finish_job(f, &j, do_list), 2);
	assert_string_equal(j.names[0], "one");
	assert_string_equal(j.names[1], "two");
	j.path = HOME "list/one";
	assert_int_equal(finish_job(f, &j, do_list), 0);
	free(j.names);
}

/* More than a message holds: it is read in parts. */
static void many_children_are_listed(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "list"};
	char name[64];

	connect_store(f);
	for (uint32_t i = 0; i < 900; i++)
		fake_xen_do(&f->xen, "write " HOME "list/stream-%03u x", i);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(finish_job(f, &j, do_list), 900);
		for (uint32_t k = 0; k < 900; k++) {
			(void)snprintf(name, sizeof(name), "stream-%03u", k);
			assert_string_equal(j.names[k], name);
		}
	}
	free(j.names);
	assert_true(fake_xen_ask(&f->xen, name, sizeof(name), "count 0"));
	assert_non_null(strstr(name, " 0 0 1")); /* no transaction is left */
}

/* The connection is what it was, and so are its watches. */
static void a_list_beyond_the_protocol_is_refused(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "list"};
	struct watched w;

	connect_store(f);
	watch(f, &w, HOME "x", NULL);
	run_until(f, &w.fired, 1);
	for (uint32_t i = 0; i < 500; i++)
		fake_xen_do(&f->xen, "write " HOME "list/stream-%03u x", i);
	fake_xen_do(&f->xen, "whole 0");
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(finish_job(f, &j, do_list), -E2BIG);
	fake_xen_do(&f->xen, "write " HOME "x 1");
	run_until(f, &w.fired, 2);
	j.path = HOME "list/stream-000";
	assert_int_equal(finish_job(f, &j, do_read), 0);
	assert_int_equal(f->connections, 1);
	assert_string_equal(log_text, "");
}

static void domains_exist_or_not(void **state)
{
	struct fixture *f = *state;
	struct job j = {.number = 5};

	connect_store(f);
	assert_int_equal(finish_job(f, &j, do_exists), 1);
	fake_xen_do(&f->xen, "release 5");
	assert_int_equal(finish_job(f, &j, do_exists), 0);
}

static void a_guest_is_confined(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = "data/xaring/token", .text = "mine"};
	char answer[64];

	fake_xen_be(&f->xen, 5);
	connect_store(f);
	assert_int_equal(finish_job(f, &j, do_write), 0);
	assert_true(fake_xen_ask(&f->xen, answer, sizeof(answer), "read " HOME "xaring/token"));
	assert_string_equal(answer, "mine");
	j.path = "name";
	assert_int_equal(finish_job(f, &j, do_write), -EACCES);
	j.path = "/local/domain/0/x";
	assert_int_equal(finish_job(f, &j, do_write), -EACCES);
	assert_int_equal(finish_job(f, &j, do_read), -EACCES);
}

/* number: whether all others may read. */
static int do_permit(struct job *j, struct store_link *link)
{
	const struct store_permission permissions[] = {{.domid = 5, .read = j->number},
						       {.domid = 7, .read = true},
						       {.domid = 8, .write = true, .read = true}};

	return store_permit(link, j->path, permissions, 3);
}

static void be(struct fixture *f, uint32_t domid)
{
	store_destroy(f->store);
	f->connections = 0;
	fake_xen_be(&f->xen, domid);
	connect_store(f);
}

static void may(struct fixture *f, uint32_t domid, int read, int write)
{
	struct job j = {.path = HOME "shared", .text = "v"};

	be(f, domid);
	assert_int_equal(finish_job(f, &j, do_read), read);
	assert_int_equal(finish_job(f, &j, do_write), write);
}

static void nodes_are_opened_to_others(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "shared", .text = "v"};

	fake_xen_do(&f->xen, "create 7 reader 33-44");
	fake_xen_do(&f->xen, "create 8 writer 55-66");
	fake_xen_do(&f->xen, "create 9 other 77-88");
	be(f, 5);
	assert_int_equal(finish_job(f, &j, do_permit), -ENOENT);
	assert_int_equal(finish_job(f, &j, do_write), 0);
	assert_int_equal(finish_job(f, &j, do_permit), 0);
	may(f, 7, 0, -EACCES);
	may(f, 8, 0, 0);
	may(f, 9, -EACCES, -EACCES);
	be(f, 5);
	j.number = true;
	assert_int_equal(finish_job(f, &j, do_permit), 0);
	may(f, 8, 0, 0);
	may(f, 9, 0, -EACCES);
}

static void jobs_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct job jobs[50];

	memset(jobs, 0, sizeof(jobs));
	order_count = 0;
	assert_int_equal(store_create(f->loop, NULL, NULL, &f->store), 0);
	for (uint32_t i = 0; i < 50; i++) {
		jobs[i].number = i;
		jobs[i].path = HOME "order";
		jobs[i].text = "x";
		run_job(f, &jobs[i], do_write);
	}
	run_until(f, &jobs[49].done, 1);
	assert_int_equal(order_count, 50);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(order[i], i);
		assert_int_equal(jobs[i].res, 0);
	}
}

/* ---- transactions ---- */

static int read_number(struct store_link *link, const char *path)
{
	char value[11];
	int res = store_read(link, path, value, 10);

	return res < 0 ? res : atoi(value);
}

/* Somebody else writes between the first tries' reading and writing. */
static int raise_number(void *data, struct store_link *link)
{
	struct job *j = data;
	char text[16];
	int number = read_number(link, j->path);

	if (number < 0)
		return number;
	j->bytes++;
	if (j->number > 0) {
		j->number--;
		fake_xen_do(&j->f->xen, "write %s %d", j->path, number + 100);
	}
	(void)snprintf(text, sizeof(text), "%d", number + 1);
	return store_write(link, j->path, text, strlen(text));
}

static int do_raise(struct job *j, struct store_link *link)
{
	j->bytes = 0;
	return store_transaction(link, raise_number, j);
}

static int give_up(void *data, struct store_link *link)
{
	struct job *j = data;
	int res = store_write(link, j->path, "999", 3);

	if (res < 0 || store_transaction(link, give_up, j) != -EINVAL ||
	    store_list(link, j->path, &j->names) != -EINVAL)
		return -EPROTO;
	j->bytes++;
	return j->number ? -EAGAIN : -EBUSY;
}

static int do_give_up(struct job *j, struct store_link *link)
{
	j->bytes = 0;
	return store_transaction(link, give_up, j);
}

static void value_is(struct fixture *f, const char *path, const char *expected)
{
	char answer[64];

	assert_true(fake_xen_ask(&f->xen, answer, sizeof(answer), "read %s", path));
	assert_string_equal(answer, expected);
}

static void transactions_are_done_again(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "number"};
	char answer[64];

	connect_store(f);
	fake_xen_do(&f->xen, "write " HOME "number 1");
	assert_int_equal(finish_job(f, &j, do_raise), 0);
	assert_int_equal(j.bytes, 1);
	value_is(f, j.path, "2");
	j.number = 3;
	assert_int_equal(finish_job(f, &j, do_raise), 0);
	assert_int_equal(j.bytes, 4);
	value_is(f, j.path, "303");
	j.number = 100;
	assert_int_equal(finish_job(f, &j, do_raise), -EAGAIN);
	assert_int_equal(j.bytes, 5);
	assert_true(fake_xen_ask(&f->xen, answer, sizeof(answer), "count 0"));
	assert_non_null(strstr(answer, " 0 0 1"));
}

static void transactions_are_given_up(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "number"};

	connect_store(f);
	fake_xen_do(&f->xen, "write " HOME "number 1");
	assert_int_equal(finish_job(f, &j, do_give_up), -EBUSY);
	assert_int_equal(j.bytes, 1);
	j.number = 1;
	assert_int_equal(finish_job(f, &j, do_give_up), -EAGAIN);
	assert_int_equal(j.bytes, 5);
	value_is(f, j.path, "1");
}

/* ---- watches ---- */

static void watches_fire_at_first_and_then(void **state)
{
	struct fixture *f = *state;
	struct watched w, other;

	connect_store(f);
	watch(f, &w, HOME "x", NULL);
	watch(f, &other, HOME "y", NULL);
	run_until(f, &w.fired, 1);
	run_until(f, &other.fired, 1);
	fake_xen_do(&f->xen, "write " HOME "x/below 1");
	run_until(f, &w.fired, 2);
	fake_xen_do(&f->xen, "rm " HOME "x");
	run_until(f, &w.fired, 3);
	assert_int_equal(other.fired, 1);
}

static void a_suffix_filters(void **state)
{
	struct fixture *f = *state;
	struct watched w, all;

	connect_store(f);
	watch(f, &w, HOME "x", "/name");
	watch(f, &all, HOME "x", NULL);
	run_until(f, &w.fired, 1);
	run_until(f, &all.fired, 1);
	fake_xen_do(&f->xen, "write " HOME "x/a/other 1");
	run_until(f, &all.fired, 2);
	assert_int_equal(w.fired, 1);
	fake_xen_do(&f->xen, "write " HOME "x/a/name 1");
	run_until(f, &w.fired, 2);
	/* The path itself counts as well. */
	fake_xen_do(&f->xen, "rm " HOME "x");
	run_until(f, &w.fired, 3);
}

static void relative_watches_are_the_guests_own(void **state)
{
	struct fixture *f = *state;
	struct watched w;

	fake_xen_be(&f->xen, 5);
	connect_store(f);
	watch(f, &w, "domid", NULL);
	run_until(f, &w.fired, 1);
	/* Saved and restored: the kernel keeps the connection, and every watch fires. */
	fake_xen_do(&f->xen, "create 6 work 11-22");
	fake_xen_do(&f->xen, "restore 5 6");
	run_until(f, &w.fired, 2);
	assert_int_equal(f->connections, 1);
}

static void domains_come_and_go(void **state)
{
	struct fixture *f = *state;
	struct watched come, go;

	connect_store(f);
	watch(f, &come, "@introduceDomain", NULL);
	watch(f, &go, "@releaseDomain", NULL);
	run_until(f, &come.fired, 1);
	run_until(f, &go.fired, 1);
	fake_xen_do(&f->xen, "create 6 other 33-44");
	run_until(f, &come.fired, 2);
	fake_xen_do(&f->xen, "destroy 6");
	run_until(f, &go.fired, 2);
	assert_int_equal(come.fired, 2);
}

static void a_removed_watch_is_silent(void **state)
{
	struct fixture *f = *state;
	struct watched w, marker;
	char answer[64];

	connect_store(f);
	watch(f, &w, HOME "x", NULL);
	watch(f, &marker, HOME "marker", NULL);
	run_until(f, &w.fired, 1);
	run_until(f, &marker.fired, 1);
	/* It has fired, and is removed before the loop has told. */
	fake_xen_do(&f->xen, "write " HOME "x 1");
	fake_xen_do(&f->xen, "write " HOME "marker 1");
	store_remove_watch(w.watch);
	run_until(f, &marker.fired, 2);
	assert_int_equal(w.fired, 1);
	watch(f, &w, HOME "x", NULL);
	w.remove = true;
	run_until(f, &w.fired, 1);
	fake_xen_do(&f->xen, "write " HOME "x 2");
	fake_xen_do(&f->xen, "write " HOME "marker 2");
	run_until(f, &marker.fired, 3);
	assert_int_equal(w.fired, 1);
	assert_true(fake_xen_ask(&f->xen, answer, sizeof(answer), "count 0"));
	assert_non_null(strstr(answer, " 1 0 1")); /* one watch, no transaction, one connection */
	store_remove_watch(NULL);
}

static uint32_t threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	uint32_t count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* One that reads would close what we close as well, when xenstored goes. */
static void watches_have_no_thread_of_their_own(void **state)
{
	struct fixture *f = *state;
	struct watched w;
	uint32_t before;

	connect_store(f);
	before = threads();
	watch(f, &w, HOME "x", NULL);
	run_until(f, &w.fired, 1);
	assert_int_equal(threads(), before);
}

static sem_t removed;

static int do_hear_later(struct job *j, struct store_link *link)
{
	while (sem_wait(&removed) < 0)
		continue;
	return do_read(j, link);
}

/* It is removed while the thread is busy, and fires before the thread has time for it. */
static void a_removed_watch_may_fire_unheard(void **state)
{
	struct fixture *f = *state;
	struct watched w;
	struct job j = {.path = HOME "y"};

	connect_store(f);
	assert_int_equal(sem_init(&removed, 0, 0), 0);
	watch(f, &w, HOME "x", NULL);
	run_until(f, &w.fired, 1);
	run_job(f, &j, do_hear_later);
	store_remove_watch(w.watch);
	fake_xen_do(&f->xen, "write " HOME "x 1");
	sem_post(&removed);
	run_until(f, &j.done, 1);
	run_for(f, 50);
	assert_int_equal(w.fired, 1);
	sem_destroy(&removed);
}

/* ---- an xenstored that goes ---- */

static void jobs_fail_without_xenstored(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "x"};

	fake_xen_do(&f->xen, "down");
	assert_int_equal(store_create(f->loop, on_connected, f, &f->store), 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(finish_job(f, &j, do_read), -ENOTCONN);
		assert_false(j.worked);
	}
	run_for(f, 500);
	assert_int_equal(logged("no connection to xenstore"), 1);
	assert_int_equal(f->connections, 0);
	fake_xen_do(&f->xen, "up");
	run_until(f, &f->connections, 1);
	assert_int_equal(logged("xenstore is there again"), 1);
	assert_int_equal(finish_job(f, &j, do_read), -ENOENT);
}

static void watches_are_set_again(void **state)
{
	struct fixture *f = *state;
	struct watched w;

	connect_store(f);
	watch(f, &w, HOME "x", NULL);
	run_until(f, &w.fired, 1);
	fake_xen_do(&f->xen, "down");
	fake_xen_do(&f->xen, "up");
	/* Nobody asks anything: it is seen all the same. */
	run_until(f, &f->connections, 2);
	run_until(f, &w.fired, 2);
	fake_xen_do(&f->xen, "write " HOME "x 1");
	run_until(f, &w.fired, 3);
	assert_int_equal(logged("no connection to xenstore"), 1);
	assert_int_equal(logged("xenstore is there again"), 1);
}

static void an_idle_loss_is_seen_without_watches(void **state)
{
	struct fixture *f = *state;

	connect_store(f);
	for (uint32_t i = 2; i < 5; i++) {
		fake_xen_do(&f->xen, "kill 0");
		run_until(f, &f->connections, i);
	}
}

static int do_read_after_loss(struct job *j, struct store_link *link)
{
	char value[11];

	fake_xen_do(&j->f->xen, "down");
	if (store_read(link, j->path, value, 10) != -ENOTCONN)
		return -EPROTO;
	/* What follows does not even try. */
	if (store_write(link, j->path, "x", 1) != -ENOTCONN ||
	    store_remove(link, j->path) != -ENOTCONN ||
	    store_list(link, j->path, &j->names) != -ENOTCONN ||
	    store_domain_exists(link, 5) != -ENOTCONN)
		return -EPROTO;
	return store_transaction(link, give_up, j);
}

static void a_job_sees_the_loss(void **state)
{
	struct fixture *f = *state;
	struct watched w;
	struct job j = {.path = HOME "x"};

	connect_store(f);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(finish_job(f, &j, do_read_after_loss), -ENOTCONN);
		fake_xen_do(&f->xen, "up");
		run_until(f, &f->connections, 2 + i);
		/* The second time with a watch. */
		if (i == 0) {
			watch(f, &w, HOME "x", NULL);
			run_until(f, &w.fired, 1);
		}
	}
}

static int do_lose_in_transaction(struct job *j, struct store_link *link)
{
	j->bytes = 0;
	j->number = 0;
	fake_xen_do(&j->f->xen, "write %s 1", j->path);
	return store_transaction(link, (int (*)(void *, struct store_link *))do_read_after_loss, j);
}

static void a_transaction_ends_with_the_loss(void **state)
{
	struct fixture *f = *state;
	struct job j = {.path = HOME "x"};

	connect_store(f);
	assert_int_equal(finish_job(f, &j, do_lose_in_transaction), -ENOTCONN);
	fake_xen_do(&f->xen, "up");
	run_until(f, &f->connections, 2);
	value_is(f, j.path, "1");
}

/* ---- an xenstored that stalls ---- */

static void a_stall_blocks_no_loop(void **state)
{
	struct fixture *f = *state;
	struct watched w;
	struct job j = {.path = HOME "x"}, second = {.path = HOME "y"};
	uint64_t before_ms;

	connect_store(f);
	fake_xen_do(&f->xen, "stall all");
	before_ms = clock_now_ms();
	run_job(f, &j, do_read);
	run_job(f, &second, do_read);
	watch(f, &w, HOME "x", NULL);
	store_remove_watch(w.watch);
	watch(f, &w, HOME "x", NULL);
	run_for(f, 100);
	assert_in_range(clock_now_ms() - before_ms, 100, 1000);
	assert_int_equal(j.done + second.done + w.fired, 0);
	fake_xen_do(&f->xen, "resume all");
	run_until(f, &second.done, 1);
	assert_int_equal(j.res, -ENOENT);
	run_until(f, &w.fired, 1);
	assert_int_equal(f->connections, 1);
}

/* Until xenstored answers again, which a connection alone does not say. */
static void a_stall_that_lasts_is_a_loss(void **state)
{
	struct fixture *f = *state;
	struct watched w;
	struct job j = {.path = HOME "x"}, second = {.path = HOME "y"};
	uint64_t before_ms;

	connect_store(f);
	watch(f, &w, HOME "x", NULL);
	run_until(f, &w.fired, 1);
	fake_xen_do(&f->xen, "stall all");
	before_ms = clock_now_ms();
	run_job(f, &j, do_read);
	run_job(f, &second, do_read);
	run_until(f, &second.done, 1);
	assert_in_range(clock_now_ms() - before_ms, 10000, 16000);
	/* Nobody is answered: it is nothing that we have done. */
	assert_int_equal(j.res, -ENOTCONN);
	assert_int_equal(second.res, -ENOTCONN);
	assert_false(second.worked);
	run_for(f, 2000);
	assert_int_equal(logged("no connection to xenstore (Connection timed out)"), 1);
	assert_int_equal(logged("xenstore is there again"), 0);
	assert_int_equal(f->connections, 1);
	fake_xen_do(&f->xen, "resume all");
	run_until(f, &f->connections, 2);
	run_until(f, &w.fired, 2);
	assert_int_equal(finish_job(f, &j, do_read), -ENOENT);
	assert_int_equal(logged("xenstore is there again"), 1);
}

/* ---- somebody who does not read ---- */

static int do_write_and_read(struct job *j, struct store_link *link)
{
	int res = do_write(j, link);

	j->number = (uint32_t)-res;
	return res < 0 ? res : do_read(j, link);
}

/* A connection of the guest's that watches its home, and 16 events wait for it. */
static int be_deaf(struct fixture *f)
{
	int fd = fake_xen_watch(&f->xen, 5, "/local/domain/5/data");

	fake_xen_do(&f->xen, "deaf 5");
	for (uint32_t i = 0; i < 20; i++)
		fake_xen_do(&f->xen, "write " HOME "flood %u", i);
	return fd;
}

static void who_writes_to_the_deaf_is_told(void **state)
{
	struct fixture *f = *state;
	struct watched w;
	struct job j = {.path = HOME "x", .text = "1"}, second = {.path = HOME "x"};
	uint64_t before_ms;
	int deaf;

	connect_store(f);
	watch(f, &w, HOME "y", NULL);
	run_until(f, &w.fired, 1);
	deaf = be_deaf(f);
	for (uint32_t i = 0; i < (level_count(2) > 1 ? 3 : 1); i++) {
		before_ms = clock_now_ms();
		run_job(f, &j, do_write_and_read);
		run_job(f, &second, do_read);
		run_until(f, &second.done, 1);
		assert_in_range(clock_now_ms() - before_ms, 1500, 4000);
		assert_int_equal(j.number, 0);
		assert_int_equal(j.res, -ETIMEDOUT);
		assert_int_equal(second.res, -ENOTCONN);
		run_until(f, &f->connections, 2 + i);
		run_until(f, &w.fired, 2 + i);
		assert_int_equal(logged("no connection to xenstore (Connection timed out)"), 1 + i);
	}
	/* Others are written to as before. */
	j.path = "/local/domain/0/data/x";
	assert_int_equal(finish_job(f, &j, do_write_and_read), 0);
	close(deaf);
}

/* ---- the end ---- */

static void destroying_finishes_what_waits(void **state)
{
	struct fixture *f = *state;
	struct job jobs[20];
	uint32_t finished = 0, cancelled = 0;

	memset(jobs, 0, sizeof(jobs));
	connect_store(f);
	for (uint32_t i = 0; i < 20; i++) {
		jobs[i].path = HOME "x";
		run_job(f, &jobs[i], do_read);
	}
	store_destroy(f->store);
	f->store = NULL;
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(jobs[i].done, 1);
		finished += jobs[i].res == -ENOENT && jobs[i].worked;
		cancelled += jobs[i].res == -ECANCELED && !jobs[i].worked;
	}
	assert_int_equal(finished + cancelled, 20);
	store_destroy(NULL);
}

/* What is left behind: static, as nobody can free it before xenstored answers. */
static struct job stuck;

static void destroying_leaves_what_is_stuck(void **state)
{
	struct fixture *f = *state;
	struct job waiting = {.path = HOME "y"};
	struct watched w;
	uint64_t before_ms;
	uint32_t descriptors = open_descriptors(), left;

	connect_store(f);
	watch(f, &w, HOME "x", NULL);
	run_until(f, &w.fired, 1);
	fake_xen_do(&f->xen, "stall all");
	stuck = (struct job){.path = HOME "x"};
	run_job(f, &stuck, do_read);
	run_job(f, &waiting, do_read);
	run_for(f, 50);
	before_ms = clock_now_ms();
	store_destroy(f->store);
	f->store = NULL;
	assert_in_range(clock_now_ms() - before_ms, 1900, 3000);
	assert_int_equal(waiting.done, 1);
	assert_int_equal(waiting.res, -ECANCELED);
	assert_int_equal(stuck.done, 0);
	left = open_descriptors();
	assert_true(left > descriptors);
	/* It comes back after all, tells nobody, and takes its things along. */
	fake_xen_do(&f->xen, "resume all");
	for (before_ms = clock_now_ms(); open_descriptors() > descriptors;) {
		assert_true(clock_now_ms() - before_ms < DEADLINE_MS);
		run_for(f, 5);
	}
	assert_int_equal(stuck.done, 0);
	assert_int_equal(stuck.job.res, 0);
	assert_int_equal(w.fired, 1);
}

/* ---- floods ---- */

static uint64_t resident_bytes(void)
{
	unsigned long pages = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &pages, &resident), 2);
	(void)fclose(file);
	return (uint64_t)resident * 4096;
}

static int do_flood(struct job *j, struct store_link *link)
{
	uint64_t until_ms = clock_now_ms() + 1500;
	char path[64];
	int res = 0;

	for (uint32_t i = 0; res == 0 && clock_now_ms() < until_ms; i++) {
		(void)snprintf(path, sizeof(path), "data/flood/%u", i % 500);
		res = store_write(link, path, "x", 1);
		j->number++;
	}
	return res;
}

static void a_flood_costs_neither_memory_nor_wakes(void **state)
{
	struct fixture *f = *state;
	struct store *guest;
	struct watched w, other;
	struct job j = {0}, mine = {.path = HOME "y"};
	uint64_t before_bytes, before_ms;

	connect_store(f);
	watch(f, &w, HOME "flood", NULL);
	watch(f, &other, HOME "other", NULL);
	run_until(f, &w.fired, 1);
	run_until(f, &other.fired, 1);
	fake_xen_be(&f->xen, 5);
	assert_int_equal(store_create(f->loop, NULL, NULL, &guest), 0);
	before_bytes = resident_bytes();
	before_ms = clock_now_ms();
	j.f = f;
	j.work = do_flood;
	store_run(guest, &j.job, job_work, job_done);
	/* Somebody else is served meanwhile, and heard. */
	assert_int_equal(finish_job(f, &mine, do_read), -ENOENT);
	fake_xen_do(&f->xen, "write " HOME "other 1");
	run_until(f, &other.fired, 2);
	run_until(f, &j.done, 1);
	assert_int_equal(j.res, 0);
	assert_true(j.number > 1000);
	assert_in_range(w.fired, 2, 250);
	assert_int_equal(logged("changes more than 200 times in a second"), 1);
	/* Once more when it is watched again, though nothing happens any more. */
	run_until(f, &w.fired, w.fired + 1);
	assert_in_range(clock_now_ms() - before_ms, 5000, 8000);
	fake_xen_do(&f->xen, "write " HOME "flood/1 y");
	run_until(f, &w.fired, w.fired + 1);
	assert_true(resident_bytes() < before_bytes + (UINT64_C(16) << 20));
	store_destroy(guest);
}

static sem_t heard;

/* What xenstored sent before its answer has been heard with it. */
static int do_hear(struct job *j, struct store_link *link)
{
	int res = do_read(j, link);

	sem_post(&heard);
	return res;
}

/* Events that come while the loop does something else: one bit. */
static void many_events_are_one(void **state)
{
	struct fixture *f = *state;
	struct watched w;
	struct job j = {.path = HOME "y"};

	connect_store(f);
	watch(f, &w, HOME "x", NULL);
	run_until(f, &w.fired, 1);
	for (uint32_t i = 0; i < 100; i++)
		fake_xen_do(&f->xen, "write " HOME "x/%u 1", i);
	assert_int_equal(sem_init(&heard, 0, 0), 0);
	run_job(f, &j, do_hear);
	while (sem_wait(&heard) < 0)
		continue;
	run_until(f, &j.done, 1);
	run_for(f, 50);
	assert_int_equal(w.fired, 2);
	sem_destroy(&heard);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_are_written_and_read),
		TEST(a_long_value_is_refused),
		TEST(children_are_listed),
		TEST(many_children_are_listed),
		TEST(a_list_beyond_the_protocol_is_refused),
		TEST(domains_exist_or_not),
		TEST(a_guest_is_confined),
		TEST(nodes_are_opened_to_others),
		TEST(jobs_keep_their_order),
		TEST(transactions_are_done_again),
		TEST(transactions_are_given_up),
		TEST(watches_fire_at_first_and_then),
		TEST(a_suffix_filters),
		TEST(relative_watches_are_the_guests_own),
		TEST(domains_come_and_go),
		TEST(a_removed_watch_is_silent),
		TEST(watches_have_no_thread_of_their_own),
		TEST(a_removed_watch_may_fire_unheard),
		TEST(jobs_fail_without_xenstored),
		TEST(watches_are_set_again),
		TEST(an_idle_loss_is_seen_without_watches),
		TEST(a_job_sees_the_loss),
		TEST(a_transaction_ends_with_the_loss),
		TEST(a_stall_blocks_no_loop),
		TEST(a_stall_that_lasts_is_a_loss),
		TEST(who_writes_to_the_deaf_is_told),
		TEST(destroying_finishes_what_waits),
		TEST(destroying_leaves_what_is_stuck),
		TEST(a_flood_costs_neither_memory_nor_wakes),
		TEST(many_events_are_one),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
