/* SPDX-License-Identifier: MIT */
/*
 * The control socket: who may speak to the broker, what it answers, what becomes of permissions; and peers
 * that say anything, or read nothing, and harm nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "broker-box.h"
#include "control.h"

/* Nobody whom a test is run as. */
#define USER   61000
#define MEMBER BOX_MEMBERS

static struct policy usual_policy(void)
{
	struct policy policy;

	policy_init(&policy);
	return policy;
}

/* ---- a peer ---- */

/* The next packet as it is; "" = hung up on. */
static const char *packet(int fd)
{
	static char text[CONTROL_ANSWER_BYTES + 1];
	ssize_t bytes = recv(fd, text, sizeof(text) - 1, 0);

	/* What was said before it hung up comes after the news that it did not read all. */
	if (bytes < 0 && errno == ECONNRESET)
		bytes = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(bytes >= 0 || errno == ECONNRESET);
	text[bytes > 0 ? bytes : 0] = '\0';
	return text;
}

static struct json_object *object(int fd)
{
	struct json_object *o = json_tokener_parse(packet(fd));

	assert_non_null(o);
	return o;
}

/* The text of a field, which may be one of a field: "microphone.state". NULL = null. */
static const char *text_of(struct json_object *o, const char *path)
{
	char key[64];
	const char *dot = strchr(path, '.');

	snprintf(key, sizeof(key), "%.*s", dot ? (int)(dot - path) : 63, path);
	assert_true(json_object_object_get_ex(o, key, &o));
	return dot ? text_of(o, dot + 1) : json_object_get_string(o);
}

static void assert_field(struct json_object *o, const char *path, const char *expected)
{
	const char *text = text_of(o, path);

	if (!expected)
		assert_null(text);
	else
		assert_string_equal(text ? text : "null", expected);
}

static void ask(int fd, const char *request)
{
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

static void expect_field(int fd, const char *path, const char *expected)
{
	struct json_object *o = object(fd);

	assert_field(o, path, expected);
	json_object_put(o);
}

static void asked(int fd, const char *request, const char *path, const char *expected)
{
	ask(fd, request);
	expect_field(fd, path, expected);
}

/* The state of the microphone of vm1. */
static void assert_microphone(int fd, const char *field, const char *expected)
{
	char path[40];

	snprintf(path, sizeof(path), "microphone.%s", field);
	asked(fd, "status vm1", path, expected);
	expect_field(fd, "ok", "true");
}

/* ---- a worker and a guest ---- */

static struct ipc_message expect_stream(int worker)
{
	struct ipc_message message;

	worker_expect(worker, IPC_STREAM, &message);
	ipc_message_finish(&message);
	return message;
}

static void expect_microphone(int worker, unsigned allowed)
{
	struct ipc_message message;

	worker_expect(worker, IPC_MICROPHONE, &message);
	assert_int_equal(message.u.microphone.allowed, allowed);
}

/* Opens a stream that records. Returns the guest's connection, and what the worker was told. */
static int record(struct box *box, int worker, struct ipc_message *stream)
{
	struct xaring_message open;
	struct xaring_accept accept;
	int fds[XARING_WIRE_FDS], client = client_connect(box, 1);

	client_usual_open(&open);
	open.u.open.params.direction = XARING_CAPTURE;
	assert_int_equal(client_send_open(client, &open), 0);
	client_expect_accept(client, &accept, fds);
	for (int i = 0; i < XARING_WIRE_FDS; i++)
		close(fds[i]);
	*stream = expect_stream(worker);
	return client;
}

static void say_state(int worker, const struct ipc_message *stream, uint32_t guest, uint32_t xruns)
{
	struct ipc_message m;

	ipc_message_init(&m, IPC_STATE, stream->vm, stream->stream);
	m.u.state.backend = XARING_BACKEND_ACCEPTED;
	m.u.state.state = guest;
	m.u.state.xruns = xruns;
	m.u.state.latency = 1025;
	m.u.state.volume = XARING_VOLUME_TOLD | XARING_VOLUME_MUTED | XARING_VOLUME_UNITY / 8;
	assert_int_equal(ipc_send(worker, &m), 0);
}

static void finish(struct box *box, int control, int worker)
{
	close(control);
	close(worker);
	box_stop(box);
}

/* ---- what is answered ---- */

static void vms_are_listed(void **state)
{
	struct box *box = box_start_usual(2);
	int worker = box_ready_worker(box, 2);
	int control = box_control(box, 0);

	(void)state;
	asked(control, "list", "vm", "vm1");
	expect_field(control, "title", "The VM 2");
	expect_field(control, "pipewire", "/run/test/pipewire-0");
	asked(control, "status vm2", "state", "idle");
	expect_field(control, "ok", "true");
	finish(box, control, worker);
}

static void streams_are_shown(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int control = box_control(box, 0), monitor = box_control(box, 0);
	struct ipc_message stream;
	struct json_object *o, *streams;
	int client;

	(void)state;
	asked(monitor, "monitor", "ok", "true");
	client = record(box, worker, &stream);
	o = object(monitor);
	assert_field(o, "event", "stream-opens");
	assert_field(o, "stream.node", "xen.vm1.capture.1");
	json_object_put(o);
	say_state(worker, &stream, XARING_STATE_RUNNING, 3);
	/* The worker's word and the question come by different ways: what waits for both comes after both. */
	do {
		ask(control, "status vm1");
		o = object(control);
		expect_field(control, "ok", "true");
		assert_true(json_object_object_get_ex(o, "streams", &streams));
		streams = json_object_get(json_object_array_get_idx(streams, 0));
		json_object_put(o);
		o = streams;
		if (strcmp(text_of(o, "state"), "running") == 0)
			break;
		json_object_put(o);
	} while (true);
	assert_field(o, "direction", "capture");
	assert_field(o, "format", "S16_LE");
	assert_field(o, "rate_hz", "48000");
	assert_field(o, "xruns", "3");
	assert_field(o, "volume_in_guest.percent", "50");
	assert_field(o, "volume_in_guest.muted", "true");
	/* Nothing comes from a microphone, however long it takes. */
	assert_field(o, "latency_ms", NULL);
	json_object_put(o);
	assert_microphone(control, "recording", "1");
	asked(control, "mic vm1 allow", "ok", "true");
	expect_field(monitor, "microphone.state", "allowed");
	expect_microphone(worker, 1);
	ask(control, "status vm1");
	o = object(control);
	expect_field(control, "ok", "true");
	assert_true(json_object_object_get_ex(o, "streams", &streams));
	assert_field(json_object_array_get_idx(streams, 0), "latency_ms", "21.3");
	json_object_put(o);
	close(client);
	expect_field(monitor, "event", "stream-closes");
	close(monitor);
	finish(box, control, worker);
}

static void a_name_that_is_wrong_is_answered_with_those_that_are_right(void **state)
{
	struct box *box = box_start_usual(2);
	int control = box_control(box, 0);
	struct json_object *o;

	(void)state;
	ask(control, "status vm3");
	o = object(control);
	assert_field(o, "ok", "false");
	assert_field(o, "error", "no-such-vm");
	assert_field(o, "text", "there is no VM vm3");
	assert_field(o, "vms", "[ \"vm1\", \"vm2\" ]");
	json_object_put(o);
	close(control);
	box_stop(box);
}

static void a_vm_is_disconnected_and_connected(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int control = box_control(box, 0), client = client_play(box, 1);

	(void)state;
	expect_stream(worker);
	asked(control, "disconnect vm1", "ok", "true");
	client_expect_refusal(client, XARING_REASON_POLICY, NULL);
	asked(control, "status vm1", "state", "disconnected");
	expect_field(control, "ok", "true");
	/* New rules do not connect it. */
	box_reload(box);
	client = client_connect(box, 1);
	{
		struct xaring_message open;

		client_usual_open(&open);
		assert_int_equal(client_send_open(client, &open), 0);
	}
	client_expect_refusal(client, XARING_REASON_POLICY, NULL);
	/* It is no rule that anybody would find: the log says how it is taken back. */
	assert_int_equal(box_lines(box, "refused: it is disconnected, and xaringctl connect vm1"),
			 2);
	asked(control, "connect vm1", "ok", "true");
	client = client_play(box, 1);
	close(client);
	finish(box, control, worker);
}

static void what_people_do_is_told_even_where_no_state_changes(void **state)
{
	struct box *box = box_start_usual(1);
	int control = box_control(box, 0), monitor = box_control(box, 0);

	(void)state;
	asked(monitor, "monitor", "ok", "true");
	asked(control, "mic vm1 deny", "ok", "true");
	expect_field(monitor, "microphone.decision", "deny");
	/* What is said again is no news. */
	asked(control, "mic vm1 deny", "ok", "true");
	asked(control, "mic vm1 deny for 60", "ok", "true");
	expect_field(monitor, "microphone.span", "for");
	asked(control, "mic vm1 deny for 600", "ok", "true");
	expect_field(monitor, "microphone.span", "for");
	asked(control, "mic vm1 deny until-shutdown", "ok", "true");
	expect_field(monitor, "microphone.span", "until-shutdown");
	asked(control, "mic vm1 deny once", "ok", "true");
	expect_field(monitor, "microphone.span", "once");
	asked(control, "mic vm1 deny for 1", "ok", "true");
	expect_field(monitor, "microphone.span", "for");
	expect_field(monitor, "microphone.decision", NULL);
	asked(control, "disconnect vm1", "ok", "true");
	expect_field(monitor, "event", "vm-disconnected");
	asked(control, "disconnect vm1", "ok", "true");
	asked(control, "connect vm1", "ok", "true");
	expect_field(monitor, "event", "vm-connected");
	asked(control, "connect vm1", "ok", "true");
	asked(control, "mic vm1 allow", "ok", "true");
	expect_field(monitor, "microphone.state", "allowed");
	close(monitor);
	close(control);
	box_stop(box);
}

/* ---- permission ---- */

static void a_decision_counts_at_once(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int control = box_control(box, 0);

	(void)state;
	assert_microphone(control, "state", "denied");
	assert_microphone(control, "decision", NULL);
	asked(control, "mic vm1 allow", "microphone.state", "allowed");
	expect_microphone(worker, 1);
	assert_microphone(control, "span", "always");
	asked(control, "mic vm1 deny until-shutdown", "microphone.state", "denied");
	expect_microphone(worker, 0);
	assert_microphone(control, "span", "until-shutdown");
	asked(control, "mic vm1 allow for 600", "microphone.state", "allowed");
	expect_microphone(worker, 1);
	assert_microphone(control, "span", "for");
	asked(control, "mic vm1 ask", "microphone.decision", NULL);
	expect_microphone(worker, 0);
	worker_expect_nothing(worker);
	assert_int_equal(box_lines(box, "the microphone of vm vm1: allow for good"), 1);
	assert_int_equal(box_lines(box, "the microphone of vm vm1: deny until it shuts down"), 1);
	assert_int_equal(box_lines(box, "the microphone of vm vm1: allow for 600 s"), 1);
	assert_int_equal(box_lines(box, "the microphone of vm vm1: ask"), 1);
	assert_int_equal(box_lines(box, "is over"), 0);
	finish(box, control, worker);
}

static void what_is_decided_for_a_time_ends(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int control = box_control(box, 0), monitor = box_control(box, 0);

	(void)state;
	asked(monitor, "monitor", "ok", "true");
	asked(control, "mic vm1 allow for 1", "microphone.state", "allowed");
	expect_microphone(worker, 1);
	expect_field(monitor, "microphone.state", "allowed");
	expect_microphone(worker, 0);
	expect_field(monitor, "microphone.state", "denied");
	assert_microphone(control, "decision", NULL);
	assert_int_equal(box_lines(box, "vm vm1: what was decided about its microphone is over: "
					"it was for a time"),
			 1);
	close(monitor);
	finish(box, control, worker);
}

static void a_vm_that_records_asks_once(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1);
	int control = box_control(box, 0), monitor = box_control(box, 0);
	struct ipc_message stream;
	uint64_t began_ms;
	int client;

	(void)state;
	asked(monitor, "monitor", "ok", "true");
	client = record(box, worker, &stream);
	expect_field(monitor, "event", "stream-opens");
	began_ms = box_now_ms();
	say_state(worker, &stream, XARING_STATE_RUNNING, 0);
	expect_field(monitor, "microphone.state", "asked");
	assert_true(box_now_ms() - began_ms >= 1990);
	assert_int_equal(box_lines(box, "vm vm1 records, and nobody has decided"), 1);
	/* The answer "once" ends with the stream. */
	asked(control, "mic vm1 allow once", "microphone.span", "once");
	expect_field(monitor, "microphone.state", "allowed");
	expect_microphone(worker, 1);
	assert_int_equal(box_lines(box, "the microphone of vm vm1: allow once"), 1);
	close(client);
	expect_field(monitor, "event", "stream-closes");
	expect_field(monitor, "microphone.state", "denied");
	assert_int_equal(box_lines(box, "about its microphone is over: it was for once"), 1);
	expect_microphone(worker, 0);
	close(monitor);
	finish(box, control, worker);
}

static void rules_are_not_overruled(void **state)
{
	struct policy policy = usual_policy();
	struct box *box;
	int control;

	(void)state;
	policy.microphone = POLICY_MICROPHONE_DENY;
	box = box_start(&policy, 1);
	control = box_control(box, 0);
	asked(control, "mic vm1 allow", "error", "rule");
	assert_microphone(control, "rule", "deny");
	assert_microphone(control, "state", "denied");
	assert_int_equal(box_lines(box, "has decided about the microphone"), 0);
	close(control);
	box_stop(box);
}

static void decisions_are_kept_in_the_file(void **state)
{
	struct box *box = box_start_usual(2);
	int control = box_control(box, 0);
	char text[200] = "";
	FILE *file;

	(void)state;
	asked(control, "mic vm1 allow always", "ok", "true");
	asked(control, "mic vm2 deny", "ok", "true");
	asked(control, "mic vm2 allow once", "ok", "true");
	file = fopen(box_consent_file(box), "re");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_string_equal(text, "vm1 allow\nvm2 deny\n");
	close(control);
	box_stop(box);
}

static void a_vm_that_is_not_there_can_be_forgotten(void **state)
{
	struct box *box;
	int control;

	(void)state;
	box_next_keeps("vm2 allow\nnonsense\n");
	box = box_start_usual(1);
	control = box_control(box, 0);
	assert_int_equal(box_lines(box, "1 lines are not understood"), 1);
	asked(control, "mic vm3 allow", "error", "no-such-vm");
	asked(control, "mic vm2 allow once", "error", "no-such-vm");
	asked(control, "mic vm2 deny for 60", "microphone.span", "for");
	asked(control, "mic vm2 allow", "microphone.state", "allowed");
	asked(control, "mic vm2 ask", "microphone.decision", NULL);
	asked(control, "mic vm2 ask", "error", "no-such-vm");
	asked(control, "status vm2", "error", "no-such-vm");
	close(control);
	box_stop(box);
}

/* Who writes into a pipe waits for who reads it, as for a disk that is busy. */
static void a_busy_disk_does_not_delay_a_decision(void **state)
{
	struct box *box = box_start_usual(1);
	int worker = box_ready_worker(box, 1), control = box_control(box, 0), reader;
	char fresh[100];

	(void)state;
	asked(control, "mic vm1 allow", "ok", "true");
	expect_microphone(worker, 1);
	snprintf(fresh, sizeof(fresh), "%s.new", box_consent_file(box));
	assert_int_equal(mkfifo(fresh, 0600), 0);
	ask(control, "mic vm1 deny");
	expect_microphone(worker, 0);
	reader = open(fresh, O_RDONLY | O_CLOEXEC);
	assert_true(reader >= 0);
	expect_field(control, "microphone.state", "denied");
	close(reader);
	finish(box, control, worker);
}

/* Why not may be what would mean something else where nothing is decided: here, that it is not there. */
static void decisions_that_cannot_be_written_hold(void **state)
{
	char fresh[100], warning[200];
	struct box *box;
	int control;

	(void)state;
	box_next_keeps("vm2 allow\n");
	box = box_start_usual(1);
	control = box_control(box, 0);
	snprintf(fresh, sizeof(fresh), "%s.new", box_consent_file(box));
	snprintf(warning, sizeof(warning),
		 "%s cannot be written (No such file or directory): this holds until xaring-pw ends",
		 box_consent_file(box));
	assert_int_equal(symlink("nowhere/new", fresh), 0);
	asked(control, "mic vm1 allow", "warning", warning);
	assert_microphone(control, "state", "allowed");
	assert_int_equal(symlink("nowhere/new", fresh), 0);
	asked(control, "mic vm2 deny", "warning", warning);
	asked(control, "mic vm2 ask", "ok", "true");
	asked(control, "mic vm2 ask", "error", "no-such-vm");
	assert_int_equal(box_lines(box, "has decided about the microphone of vm vm2"), 2);
	assert_int_equal(box_lines(box, "of vm vm2: deny, until xaring-pw ends"), 1);
	close(control);
	box_stop(box);
}

/* ---- who may ---- */

static void strangers_are_turned_away(void **state)
{
	struct box *box = box_start_usual(1);
	int control = box_control(box, USER);
	struct json_object *o = object(control);

	(void)state;
	assert_field(o, "error", "permission");
	assert_non_null(strstr(text_of(o, "text"), "members of the group \"xaring\""));
	json_object_put(o);
	assert_string_equal(packet(control), "");
	close(control);
	assert_int_equal(box_lines(box, "user 61000 is turned away"), 1);
	box_stop(box);
}

static void members_and_who_is_at_the_seat_may(void **state)
{
	struct box *box = box_start_usual(1);
	int member = box_control(box, MEMBER), user, monitor;

	(void)state;
	asked(member, "mic vm1 allow once", "ok", "true");
	box_set_seat(box, USER);
	user = box_control(box, USER);
	monitor = box_control(box, USER);
	asked(user, "mic vm1 ask", "ok", "true");
	asked(monitor, "monitor", "ok", "true");
	/* As soon as somebody else is there he may not any more. */
	box_set_seat(box, USER + 1);
	assert_string_equal(packet(user), "");
	assert_string_equal(packet(monitor), "");
	asked(member, "mic vm1 ask", "ok", "true");
	close(user);
	close(monitor);
	close(member);
	box_stop(box);
}

/* ---- hostile peers ---- */

static void what_makes_no_sense_is_answered_and_forgotten(void **state)
{
	static const char *const requests[] = {
		"\xff\xfe\x01",
		"mic",
		"mic vm1",
		"mic vm1 allow for 1e9",
		"{\"json\": true}",
		"LIST",
		"status ../../etc/passwd",
	};
	struct box *box = box_start_usual(1);
	int control = box_control(box, 0);
	char large[CONTROL_REQUEST_BYTES * 8];

	(void)state;
	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		asked(control, requests[i], "error", "request");
	memset(large, 'x', sizeof(large));
	assert_int_equal(send(control, large, sizeof(large), 0), sizeof(large));
	expect_field(control, "error", "request");
	asked(control, "list", "vm", "vm1");
	close(control);
	box_stop(box);
}

static void send_with_descriptor(int fd, const char *text)
{
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS,
			      .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), strlen(text));
}

/* box_stop() sees that none is left. */
static void descriptors_are_not_taken(void **state)
{
	struct box *box = box_start_usual(1);
	int control = box_control(box, 0), other = box_control(box, 0);

	(void)state;
	send_with_descriptor(control, "list");
	assert_string_equal(packet(control), "");
	asked(other, "list", "vm", "vm1");
	close(control);
	close(other);
	box_stop(box);
}

static void connections_have_a_bound(void **state)
{
	struct box *box = box_start_usual(1);
	int users[CONTROL_OTHERS], roots[CONTROL_CONNECTIONS - CONTROL_OTHERS], more;

	(void)state;
	for (unsigned i = 0; i < CONTROL_OTHERS; i++) {
		users[i] = box_control(box, MEMBER);
		asked(users[i], "monitor", "ok", "true");
	}
	more = box_control(box, MEMBER + 1);
	expect_field(more, "error", "busy");
	close(more);
	for (unsigned i = 0; i < CONTROL_CONNECTIONS - CONTROL_OTHERS; i++) {
		roots[i] = box_control(box, 0);
		asked(roots[i], "monitor", "ok", "true");
	}
	more = box_control(box, 0);
	expect_field(more, "error", "busy");
	close(more);
	for (unsigned i = 0; i < CONTROL_OTHERS; i++)
		close(users[i]);
	for (unsigned i = 0; i < CONTROL_CONNECTIONS - CONTROL_OTHERS; i++)
		close(roots[i]);
	box_stop(box);
}

static void requests_have_a_rate(void **state)
{
	struct box *box = box_start_usual(1);
	int control = box_control(box, MEMBER), other;
	bool is_busy = false;

	(void)state;
	for (unsigned i = 0; i < 1000 && !is_busy; i++) {
		struct json_object *o;

		ask(control, "mic vm1 ask");
		o = object(control);
		is_busy = strcmp(text_of(o, "ok"), "false") == 0 &&
			  strcmp(text_of(o, "error"), "busy") == 0;
		json_object_put(o);
	}
	assert_true(is_busy);
	other = box_control(box, MEMBER + 1);
	asked(other, "list", "vm", "vm1");
	close(other);
	close(control);
	box_stop(box);
}

/* Somebody who connects without end, and whom nobody lets in, keeps nobody else from it. */
static void who_connects_without_end_harms_nobody(void **state)
{
	struct box *box = box_start_usual(1);
	uint64_t began_ms = box_now_ms();
	int control;

	(void)state;
	for (int i = 0; i < 600; i++)
		close(box_control(box, USER));
	/* They are answered in their order, this one after the others. */
	control = box_control(box, USER);
	expect_field(control, "ok", "false");
	close(control);
	control = box_control(box, 0);
	asked(control, "list", "vm", "vm1");
	/* The burst is 256, and then they come one in 4 ms. */
	assert_true(box_now_ms() - began_ms >= 800);
	close(control);
	box_stop(box);
}

/* A monitor that does not read is ended, and another one gets all. */
static void who_does_not_read_harms_nobody(void **state)
{
	struct box *box = box_start_usual(1);
	int deaf = box_control(box, 0), worker = box_ready_worker(box, 1), control, room = 4096;
	unsigned toggles = 0;

	(void)state;
	assert_int_equal(setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
	asked(deaf, "monitor", "ok", "true");
	/* Each user may ask so often: many of them do. */
	for (uid_t uid = MEMBER; box_lines(box, "does not read what it monitors") == 0; uid++) {
		control = box_control(box, uid);
		for (int i = 0; i < 40; i++, toggles++) {
			asked(control, "mic vm1 allow once", "ok", "true");
			expect_microphone(worker, 1);
			asked(control, "mic vm1 ask", "ok", "true");
			expect_microphone(worker, 0);
		}
		close(control);
		assert_true(toggles < 20000);
	}
	control = box_control(box, 0);
	asked(control, "list", "vm", "vm1");
	close(deaf);
	finish(box, control, worker);
}

/* A list is asked for again and again, and not read: the broker waits for nobody. */
static void lists_that_are_not_read_wait(void **state)
{
	struct box *box = box_start_usual(4);
	int deaf = box_control(box, 0), other = box_control(box, 0);

	(void)state;
	while (send(deaf, "list", 4, MSG_DONTWAIT) == 4)
		;
	assert_int_equal(errno, EAGAIN);
	asked(other, "list", "vm", "vm1");
	close(deaf);
	close(other);
	box_stop(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vms_are_listed),
		cmocka_unit_test(streams_are_shown),
		cmocka_unit_test(a_name_that_is_wrong_is_answered_with_those_that_are_right),
		cmocka_unit_test(a_vm_is_disconnected_and_connected),
		cmocka_unit_test(what_people_do_is_told_even_where_no_state_changes),
		cmocka_unit_test(a_decision_counts_at_once),
		cmocka_unit_test(what_is_decided_for_a_time_ends),
		cmocka_unit_test(a_vm_that_records_asks_once),
		cmocka_unit_test(rules_are_not_overruled),
		cmocka_unit_test(decisions_are_kept_in_the_file),
		cmocka_unit_test(a_vm_that_is_not_there_can_be_forgotten),
		cmocka_unit_test(a_busy_disk_does_not_delay_a_decision),
		cmocka_unit_test(decisions_that_cannot_be_written_hold),
		cmocka_unit_test(strangers_are_turned_away),
		cmocka_unit_test(members_and_who_is_at_the_seat_may),
		cmocka_unit_test(what_makes_no_sense_is_answered_and_forgotten),
		cmocka_unit_test(descriptors_are_not_taken),
		cmocka_unit_test(connections_have_a_bound),
		cmocka_unit_test(requests_have_a_rate),
		cmocka_unit_test(who_connects_without_end_harms_nobody),
		cmocka_unit_test(who_does_not_read_harms_nobody),
		cmocka_unit_test(lists_that_are_not_read_wait),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
