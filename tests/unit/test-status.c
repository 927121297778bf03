/* SPDX-License-Identifier: MIT */
/*
 * xaring-guestd --status on machines that the test makes up, with a server and a backend that are
 * the test: each link is broken once, and it is the one that is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <xaring/shared.h>

#include "local-server.h"
#include "recorders.h"
#include "status.h"

#define CYCLE_MS    5
#define CYCLE       (48 * CYCLE_MS) /* frames */
#define DEADLINE_MS 10000
#define NOBODY      65534

/* What the machine and the other sides are like; all of it good as usual() makes it. */
struct world {
	bool no_xen, is_dom0, no_module, no_device, no_server;
	bool is_stranger;            /* who asks may not reach the server */
	bool is_user;                /* who asks is not root, and in no group */
	bool is_mute;                /* the server does not answer */
	enum xaring_reason refusal;  /* of the server, NONE = no */
	uint32_t status_flags;       /* of the server */
	bool is_turned_down;         /* the guest's own volume is 0 */
	uint32_t backend;            /* the backend's status */
	uint32_t flags;              /* the backend's flags */
	bool is_silent;              /* no cycle runs */
	enum xaring_reason refusal2; /* after the start */
};

static struct local_server server;
static char hypervisor[80], gntalloc[80], device[80], absent[80], there[80];
static struct status_report report;
static atomic_bool is_over;
static bool is_local; /* who asks is at the screen */

static void make_file(char path[80], const char *name, const char *text)
{
	FILE *file;

	snprintf(path, 80, "%s-%s", server.folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int begin(void **state)
{
	(void)state;
	local_server_open(&server, false);
	server.two_clocks = true;
	make_file(hypervisor, "type", "xen\n");
	make_file(gntalloc, "gntalloc", "");
	make_file(device, "60-xen.conf", "");
	make_file(there, "there", "");
	snprintf(absent, sizeof(absent), "%s-absent", server.folder);
	return 0;
}

static int end(void **state)
{
	(void)state;
	unlink(hypervisor);
	unlink(gntalloc);
	unlink(device);
	unlink(there);
	local_server_close(&server);
	return 0;
}

static struct world usual(void)
{
	return (struct world){.status_flags = XARING_STATUS_BACKEND,
			      .backend = XARING_BACKEND_ACCEPTED};
}

static int find_group(const char *name, gid_t *gid)
{
	assert_string_equal(name, "audio");
	*gid = NOBODY - 1;
	return 0;
}

static bool is_at_seat(uid_t uid)
{
	(void)uid;
	return is_local;
}

static const struct recorders_system machine = {.find_group = find_group, .is_at_seat = is_at_seat};

static void *look(void *data)
{
	const struct world *w = data;
	struct status_places places = {
		.hypervisor = w->no_xen ? absent : hypervisor,
		.xenbus = absent,
		.dom0 = w->is_dom0 ? there : absent,
		.gntalloc = w->no_module ? absent : gntalloc,
		.device = w->no_device ? absent : device,
		.runtime_dir = server.folder,
		.system = &machine,
	};

	/* Of this thread, which ends: root may go everywhere. */
	if ((w->is_stranger || w->is_user) && geteuid() == 0)
		(void)syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY);
	status_look(&places, &report);
	atomic_store(&is_over, true);
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Waits for a moment, until a connection waits when the server is there. */
static void rest(void)
{
	struct pollfd p = {.fd = server.listener ? xaring_listener_fd(server.listener) : -1,
			   .events = POLLIN};

	(void)poll(&p, 1, CYCLE_MS);
}

/* Takes a connection with its OPEN. Returns false for one that only looks whether somebody is there. */
static bool take(struct local_link *l)
{
	struct pollfd p = {.events = POLLIN};
	char byte;

	memset(l, 0, sizeof(*l));
	l->fd = xaring_listener_accept(server.listener, &l->peer);
	assert_true(l->fd >= 0);
	p.fd = l->fd;
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	if (recv(l->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
		local_link_hear(l);
		return true;
	}
	close(l->fd);
	l->fd = -1;
	return false;
}

/* Answers OPEN as the world is. Returns whether there is a stream. */
static bool answer(const struct world *w, struct local_link *l)
{
	if (w->is_mute)
		return false;
	if (w->refusal != XARING_REASON_NONE) {
		local_link_refuse(l, w->refusal);
		return false;
	}
	local_link_give(&server, l, XARING_MESSAGE_ACCEPT);
	xaring_store(&l->pages.control->backend.status, w->backend);
	xaring_store(&l->pages.control->backend.flags, w->flags);
	if (!w->is_silent)
		local_attach(l);
	return true;
}

static void cycle(const struct world *w, struct local_link *l)
{
	if (local_word(l) != 0 && w->refusal2 != XARING_REASON_NONE) {
		local_link_refuse(l, w->refusal2);
		l->fd = -1;
	} else if (!w->is_silent) {
		local_pump(l, CYCLE, now_ns());
	}
}

static void serve(const struct world *w)
{
	struct local_link l = {.fd = -1};
	uint64_t until_ns = now_ns() + DEADLINE_MS * UINT64_C(1000000);
	bool streams = false;

	while (!atomic_load(&is_over)) {
		assert_true(now_ns() < until_ns);
		rest();
		if (server.listener && l.fd < 0 && !streams && local_server_waits(&server) &&
		    take(&l))
			streams = answer(w, &l);
		if (streams && l.fd >= 0)
			cycle(w, &l);
	}
	if (l.fd >= 0)
		local_link_drop(&l);
}

/* Looks at that world, and says which link is broken. */
static enum status_link broken_in(struct world w)
{
	pthread_t thread;

	atomic_store(&is_over, false);
	is_local = !w.is_user;
	if (!w.no_server)
		local_server_listen(&server);
	if (w.is_stranger)
		assert_int_equal(chmod(server.folder, 0), 0);
	if (w.is_user) {
		assert_int_equal(chmod(server.folder, 0755), 0);
		assert_int_equal(chmod(server.path, 0666), 0);
	}
	xaring_store(&server.status->flags, w.status_flags);
	if (w.is_turned_down)
		xaring_store(&server.status->volume, 0);
	assert_int_equal(pthread_create(&thread, NULL, look, &w), 0);
	serve(&w);
	pthread_join(thread, NULL);
	assert_int_equal(chmod(server.folder, 0700), 0);
	print_message("%s: %s\n",
		      report.broken == STATUS_LINKS ? "fine" : report.what[report.broken],
		      report.remedy);
	assert_int_equal(report.remedy[0] == '\0', report.broken == STATUS_LINKS);
	return report.broken;
}

static void nothing_is_broken_where_all_is_well(void **state)
{
	(void)state;
	assert_int_equal(broken_in(usual()), STATUS_LINKS);
	for (int i = 0; i < STATUS_LINKS; i++)
		assert_true(report.what[i][0] != '\0');
}

static void machine_without_xen_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.no_xen = true;
	assert_int_equal(broken_in(w), STATUS_XEN);
	/* Nothing behind it was looked at. */
	assert_true(report.what[STATUS_MODULE][0] == '\0');
}

static void dom0_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.is_dom0 = true;
	assert_int_equal(broken_in(w), STATUS_XEN);
	assert_non_null(strstr(report.what[STATUS_XEN], "dom0"));
}

static void missing_module_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.no_module = true;
	assert_int_equal(broken_in(w), STATUS_MODULE);
	assert_non_null(strstr(report.remedy, "modprobe xen-gntalloc"));
}

static void missing_daemon_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.no_server = true;
	assert_int_equal(broken_in(w), STATUS_GUESTD);
}

static void who_may_not_reach_the_daemon_is_told(void **state)
{
	struct world w = usual();

	(void)state;
	w.is_stranger = true;
	assert_int_equal(broken_in(w), STATUS_GUESTD);
	assert_non_null(strstr(report.what[STATUS_GUESTD], "you may not"));
	assert_non_null(strstr(report.remedy, "group"));
}

static void daemon_that_does_not_answer_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.is_mute = true;
	assert_int_equal(broken_in(w), STATUS_GUESTD);
	assert_non_null(strstr(report.what[STATUS_GUESTD], "does not answer"));
}

static void missing_device_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.no_device = true;
	assert_int_equal(broken_in(w), STATUS_DEVICE);
}

static void unreachable_xenstore_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.status_flags = XARING_STATUS_NO_STORE;
	w.backend = XARING_BACKEND_ABSENT;
	w.is_silent = true;
	assert_int_equal(broken_in(w), STATUS_XENSTORE);
}

static void missing_backend_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.status_flags = 0;
	w.backend = XARING_BACKEND_ABSENT;
	w.is_silent = true;
	assert_int_equal(broken_in(w), STATUS_BACKEND);
}

static char *printed(bool json, bool colour)
{
	char *text = NULL;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	assert_non_null(file);
	status_print(&report, json, colour, file);
	fclose(file);
	return text;
}

static void refusal_is_named(void **state)
{
	struct world w = usual();
	char *text;

	(void)state;
	w.refusal = XARING_REASON_POLICY;
	assert_int_equal(broken_in(w), STATUS_POLICY);
	/* The links between are not known. */
	text = printed(false, false);
	assert_non_null(strstr(text, "ok       device"));
	assert_null(strstr(text, "xenstore"));
	assert_non_null(strstr(text, "broken   policy"));
	assert_non_null(strstr(text, report.remedy));
	free(text);
}

static void limit_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.refusal = XARING_REASON_STREAMS;
	assert_int_equal(broken_in(w), STATUS_POLICY);
	assert_non_null(strstr(report.remedy, "raise the limit"));
}

static void late_refusal_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.backend = XARING_BACKEND_ABSENT;
	w.is_silent = true;
	w.refusal2 = XARING_REASON_POLICY;
	assert_int_equal(broken_in(w), STATUS_POLICY);
}

static void backend_that_does_not_take_the_stream_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.backend = XARING_BACKEND_ABSENT;
	w.is_silent = true;
	assert_int_equal(broken_in(w), STATUS_POLICY);
	assert_non_null(strstr(report.remedy, "journalctl -u xaring-pw"));
}

static void mute_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.flags = XARING_FLAG_MUTED;
	assert_int_equal(broken_in(w), STATUS_MUTE);
}

static void mute_of_the_guests_own_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.status_flags |= XARING_STATUS_GUEST_MUTED;
	assert_int_equal(broken_in(w), STATUS_MUTE);
	assert_non_null(strstr(report.remedy, "sset Master unmute"));
}

static void volume_of_nothing_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.is_turned_down = true;
	assert_int_equal(broken_in(w), STATUS_MUTE);
	assert_non_null(strstr(report.remedy, "sset Master 100%"));
}

static void missing_sink_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.flags = XARING_FLAG_NO_SINK;
	assert_int_equal(broken_in(w), STATUS_SINK);
}

static void sound_server_that_takes_nothing_is_named(void **state)
{
	struct world w = usual();

	(void)state;
	w.is_silent = true;
	assert_int_equal(broken_in(w), STATUS_SINK);
	assert_non_null(strstr(report.remedy, "PipeWire"));
}

/* ---- the microphone ---- */

/* Is known of a stream that plays; and changes nothing of whether it does. */
static void allowed_microphone_is_told(void **state)
{
	struct world w = usual();

	(void)state;
	w.flags = XARING_FLAG_CAPTURE_ALLOWED;
	assert_int_equal(broken_in(w), STATUS_LINKS);
	assert_int_equal(report.microphone, STATUS_MICROPHONE_ALLOWED);
	assert_string_equal(report.microphone_remedy, "");
}

static void denied_microphone_is_not_broken(void **state)
{
	struct world w = usual();
	char *text;

	(void)state;
	assert_int_equal(broken_in(w), STATUS_LINKS);
	assert_int_equal(report.microphone, STATUS_MICROPHONE_DENIED);
	text = printed(false, false);
	assert_non_null(strstr(text, "\ndenied   microphone  dom0 "));
	assert_non_null(strstr(text, "xaringctl mic allow NAME"));
	assert_non_null(strstr(text, "microphone = allow"));
	assert_null(strstr(text, "broken"));
	free(text);
	text = printed(true, false);
	assert_non_null(strstr(text, "{\"ok\": true,"));
	assert_non_null(strstr(text, "\"microphone\": {\"state\": \"denied\", \"text\": \"dom0 "));
	free(text);
}

/* The rules of the guest count for who asks. */
static void who_may_not_record_in_the_guest_is_told(void **state)
{
	struct world w = usual();

	(void)state;
	w.is_user = true;
	w.flags = XARING_FLAG_CAPTURE_ALLOWED;
	assert_int_equal(broken_in(w), STATUS_LINKS);
	assert_int_equal(report.microphone, STATUS_MICROPHONE_DENIED);
	assert_non_null(strstr(report.microphone_what, "this guest does not let you"));
	assert_non_null(strstr(report.microphone_remedy, "adduser NAME audio"));
}

/* Playing is broken, and the microphone is known nevertheless. */
static void microphone_of_a_muted_machine_is_known(void **state)
{
	struct world w = usual();

	(void)state;
	w.flags = XARING_FLAG_CAPTURE_ALLOWED | XARING_FLAG_MUTED;
	assert_int_equal(broken_in(w), STATUS_MUTE);
	assert_int_equal(report.microphone, STATUS_MICROPHONE_ALLOWED);
}

static void microphone_is_not_known_when_nothing_answers(void **state)
{
	struct world w = usual();
	char *text;

	(void)state;
	w.status_flags = 0;
	w.backend = XARING_BACKEND_ABSENT;
	w.is_silent = true;
	w.flags = XARING_FLAG_CAPTURE_ALLOWED;
	assert_int_equal(broken_in(w), STATUS_BACKEND);
	assert_int_equal(report.microphone, STATUS_MICROPHONE_UNKNOWN);
	text = printed(false, false);
	assert_non_null(strstr(text, "\nunknown  microphone  dom0 does not say"));
	free(text);
	/* It listens already. */
	w.no_server = true;
	w.no_xen = true;
	assert_int_equal(broken_in(w), STATUS_XEN);
	assert_int_equal(report.microphone, STATUS_MICROPHONE_UNKNOWN);
	/* There is no dom0 that could say it. */
	text = printed(false, false);
	assert_null(strstr(text, "microphone"));
	free(text);
}

/* ---- printing ---- */

static void make_report(void)
{
	memset(&report, 0, sizeof(report));
	report.broken = STATUS_MODULE;
	strcpy(report.what[STATUS_XEN], "a guest");
	strcpy(report.what[STATUS_MODULE], "no \"module\"\n");
	report.remedy = "load it";
	report.microphone = STATUS_MICROPHONE_DENIED;
	report.microphone_what = "silence";
	report.microphone_remedy = "allow it";
}

static void text_tells_the_remedy_below_its_line(void **state)
{
	char *text;

	(void)state;
	make_report();
	strcpy(report.what[STATUS_MODULE], "none");
	text = printed(false, false);
	assert_string_equal(text, "ok       xen         a guest\n"
				  "broken   module      none\n"
				  "                     load it\n"
				  "denied   microphone  silence\n"
				  "                     allow it\n");
	free(text);
	text = printed(false, true);
	assert_non_null(strstr(text, "\033[31mbroken \033[0m"));
	assert_non_null(strstr(text, "\033[33mdenied \033[0m"));
	free(text);
}

static void json_says_all_of_it(void **state)
{
	char *text;

	(void)state;
	make_report();
	text = printed(true, false);
	assert_non_null(strstr(text,
			       "{\"ok\": false, \"broken\": \"module\", \"remedy\": "
			       "\"load it\", \"links\": [{\"link\": \"xen\", \"state\": \"ok\", "
			       "\"text\": \"a guest\"}, {\"link\": \"module\", \"state\": "
			       "\"broken\", \"text\": \"no \\\"module\\\"\"}, "));
	assert_non_null(strstr(text,
			       "{\"link\": \"sink\", \"state\": \"unknown\", \"text\": \"\"}], "
			       "\"microphone\": {\"state\": \"denied\", \"text\": \"silence\", "
			       "\"remedy\": \"allow it\"}}\n"));
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_broken_where_all_is_well),
		TEST(machine_without_xen_is_named),
		TEST(dom0_is_named),
		TEST(missing_module_is_named),
		TEST(missing_daemon_is_named),
		TEST(who_may_not_reach_the_daemon_is_told),
		TEST(daemon_that_does_not_answer_is_named),
		TEST(missing_device_is_named),
		TEST(unreachable_xenstore_is_named),
		TEST(missing_backend_is_named),
		TEST(refusal_is_named),
		TEST(limit_is_named),
		TEST(late_refusal_is_named),
		TEST(backend_that_does_not_take_the_stream_is_named),
		TEST(mute_is_named),
		TEST(mute_of_the_guests_own_is_named),
		TEST(volume_of_nothing_is_named),
		TEST(missing_sink_is_named),
		TEST(sound_server_that_takes_nothing_is_named),
		TEST(allowed_microphone_is_told),
		TEST(denied_microphone_is_not_broken),
		TEST(who_may_not_record_in_the_guest_is_told),
		TEST(microphone_of_a_muted_machine_is_known),
		TEST(microphone_is_not_known_when_nothing_answers),
		TEST(text_tells_the_remedy_below_its_line),
		TEST(json_says_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
