/* SPDX-License-Identifier: MIT */
/*
 * Guests of Xen and the broker: the xenstored and the grants are the tests' own, and the test is the
 * toolstack, the guests and the worker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

#include <xaring/pages.h>

#include "broker-box.h"
#include "broker/deaf.h"
#include "fake-grants.h"
#include "fake-xen.h"
#include "gntalloc.h"
#include "identity.h"
#include "level.h"
#include "offer.h"

#define UUID_A "aaaaaaaa-0000-4000-8000-000000000001"
#define UUID_B "bbbbbbbb-0000-4000-8000-000000000002"

/* A guest's streams that may be published: their pages are there from the start. */
#define STREAMS 4

static const struct xaring_shape shape = {.frame_bytes = 4,
					  .capacity = 8192,
					  .data_pages = 8,
					  .pages = 9};

struct guest {
	uint32_t domid;
	struct gntalloc_pages pages[STREAMS];
	struct offer offers[STREAMS];
};

/* How far the clock of this whole process is ahead, where minutes would have to be waited for. */
static uint64_t clock_ahead_s;

int clock_gettime(clockid_t clock, struct timespec *now)
{
	long res = syscall(SYS_clock_gettime, clock, now);

	if (res == 0 && clock == CLOCK_MONOTONIC)
		now->tv_sec += (time_t)__atomic_load_n(&clock_ahead_s, __ATOMIC_SEQ_CST);
	return (int)res;
}

static struct fake_xen xen;
static struct guest work, play;
static box_policy_fn rules;

/* ---- what domains do ---- */

static uint64_t new_epoch(void)
{
	static uint64_t last = 0x9f31c07e5d22a846;

	return last++;
}

static void describe_offer(struct offer *offer, const struct gntalloc_pages *pages)
{
	struct xaring_message usual;

	client_usual_open(&usual);
	offer->open = usual.u.open;
	offer->open.epoch = new_epoch();
	offer->control = pages->control;
	offer->data_count = shape.data_pages;
	memcpy(offer->data, pages->data, sizeof(offer->data));
}

static void grant(struct guest *g, uint32_t domid)
{
	char text[12];

	g->domid = domid;
	snprintf(text, sizeof(text), "%u", domid);
	setenv("FAKE_DOMID", text, 1);
	for (int i = 0; i < STREAMS; i++) {
		assert_int_equal(gntalloc_stream(0, &shape, XARING_PLAYBACK, &g->pages[i]), 0);
		describe_offer(&g->offers[i], &g->pages[i]);
	}
	setenv("FAKE_DOMID", "0", 1);
}

static void ungrant(struct guest *g)
{
	for (int i = 0; i < STREAMS; i++)
		close(g->pages[i].fd);
}

static void publish_text(uint32_t domid, uint32_t number, const char *text)
{
	fake_xen_do(&xen, "write /local/domain/%u/data/xaring/stream/%u %s", domid, number, text);
}

static void publish(const struct guest *g, uint32_t number)
{
	char text[OFFER_TEXT_MAX + 1];

	assert_true(offer_encode(&g->offers[number], text) > 0);
	publish_text(g->domid, number, text);
}

static void withdraw(const struct guest *g, uint32_t number)
{
	fake_xen_do(&xen, "rm /local/domain/%u/data/xaring/stream/%u", g->domid, number);
}

static void kick(const struct guest *g, const char *counter)
{
	fake_xen_do(&xen, "write /local/domain/%u/data/xaring/kick %s", g->domid, counter);
}

static void rename_domain(uint32_t domid, const char *name)
{
	fake_xen_do(&xen, "write /local/domain/%u/name %s", domid, name);
}

/* Before the broker starts, which takes its own place in the environment for good. */
static struct xs_handle *connect_as(uint32_t domid)
{
	struct xs_handle *xs;

	fake_xen_be(&xen, domid);
	xs = xs_open(0);
	assert_non_null(xs);
	fake_xen_be(&xen, 0);
	return xs;
}

static bool node_exists(const char *format, uint32_t domid, uint32_t number)
{
	char path[96], command[112];

	snprintf(path, sizeof(path), format, domid, number);
	snprintf(command, sizeof(command), "read %s", path);
	return fake_xen_ask(&xen, NULL, 0, "%s", command);
}

/* Waits until the node is there, and reads it, or until it is not. */
static void await_node(const char *path, bool there, char *value, size_t bytes)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;

	while (fake_xen_ask(&xen, value, bytes, "read %s", path) != there) {
		assert_true(box_now_ms() < until_ms);
		poll(NULL, 0, 5);
	}
}

static void expect_answer(uint32_t domid, uint32_t number, enum xaring_reason reason,
			  struct xaring_refusal *refusal)
{
	struct xaring_refusal read;
	char path[96], value[ANSWER_TEXT_MAX * 2];

	snprintf(path, sizeof(path), "/local/domain/%u/data/xaring/stream/%u/answer", domid,
		 number);
	await_node(path, true, value, sizeof(value));
	assert_int_equal(answer_decode(value, strlen(value), &read), 0);
	assert_int_equal(read.reason, reason);
	if (refusal)
		*refusal = read;
}

static unsigned operations(void)
{
	char count[64];

	assert_true(fake_xen_ask(&xen, count, sizeof(count), "count 0"));
	return (unsigned)strtoul(count, NULL, 10);
}

/* Waits until the broker has looked at all that has happened. */
static void await_quiet(void)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;
	unsigned before;

	do {
		before = operations();
		poll(NULL, 0, 100);
		assert_true(box_now_ms() < until_ms);
	} while (operations() != before);
}

/* dom0 takes over a node: it stays when the domain dies, as when the toolstack is slow. */
static void keep_nodes(uint32_t domid, const char *const *nodes, unsigned count)
{
	struct xs_handle *xs = xs_open(0);
	struct xs_permissions dom0 = {.id = 0, .perms = XS_PERM_NONE};
	char path[96];

	assert_non_null(xs);
	for (unsigned i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, nodes[i]);
		assert_true(xs_set_permissions(xs, XBT_NULL, path, &dom0, 1));
	}
	xs_close(xs);
}

/* ---- what the worker sees ---- */

static struct ipc_message expect_vm(int worker, const char *key, uint32_t domid)
{
	struct ipc_message m;

	worker_expect(worker, IPC_VM, &m);
	assert_string_equal(m.u.vm.key, key);
	assert_int_equal(m.u.vm.domid, domid);
	return m;
}

/* Its descriptors are the caller's. */
static struct ipc_message expect_pages(int worker, const struct ipc_message *vm)
{
	struct ipc_message m;

	worker_expect(worker, IPC_STREAM, &m);
	assert_int_equal(m.vm, vm->vm);
	return m;
}

static struct ipc_message expect_stream(int worker, const struct ipc_message *vm)
{
	struct ipc_message m = expect_pages(worker, vm);

	for (int i = 0; i < 2; i++)
		close(m.fds[i]);
	return m;
}

static void expect_end(int worker, const struct ipc_message *stream)
{
	struct ipc_message m;

	worker_expect(worker, IPC_END, &m);
	assert_int_equal(m.stream, stream->stream);
}

static void say_gone(int worker, const struct ipc_message *stream)
{
	worker_send(worker, IPC_GONE, stream->vm, stream->stream);
}

static void expect_vm_end(int worker, const struct ipc_message *vm)
{
	struct ipc_message m;

	worker_expect(worker, IPC_VM_END, &m);
	assert_int_equal(m.vm, vm->vm);
}

/* Of an answer that does not come, or of what a sweep finds. */
static void await_late_lines(struct box *box, const char *text)
{
	uint64_t until_ms = box_now_ms() + 30000;

	while (box_lines(box, text) == 0) {
		poll(NULL, 0, 20);
		assert_true(box_now_ms() < until_ms);
	}
}

/* A broker with a worker that is ready, and says so to the guests. */
static struct box *start(int *worker)
{
	struct box *box = box_start_xen(rules);

	*worker = box_ready_worker(box, 0);
	await_node("/local/domain/0/data/xaring/backend", true, NULL, 0);
	return box;
}

/* The same, and "work" plays. */
static struct box *start_playing(int *worker, struct ipc_message *vm, struct ipc_message *stream)
{
	struct box *box = start(worker);

	publish(&work, 0);
	*vm = expect_vm(*worker, "work", 3);
	*stream = expect_stream(*worker, vm);
	return box;
}

static void stop(struct box *box, int worker)
{
	close(worker);
	box_stop(box);
}

/* ---- tests ---- */

static int set_up(void **state)
{
	(void)state;
	rules = NULL;
	fake_grants_create();
	grant(&work, 3);
	grant(&play, 4);
	fake_xen_start(&xen);
	fake_xen_do(&xen, "create 3 work " UUID_A);
	fake_xen_do(&xen, "create 4 play " UUID_B);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_xen_stop(&xen);
	ungrant(&work);
	ungrant(&play);
	fake_grants_destroy();
	return 0;
}

/* What the guest writes is what the worker reads, and the other way round. */
static void expect_same_memory(const struct guest *g, uint32_t number,
			       const struct ipc_message *stream)
{
	struct xaring_pages here, there;

	assert_int_equal(xaring_pages_map(&here, &shape, stream->fds[0],
					  stream->u.stream.control_offset, stream->fds[1],
					  stream->u.stream.data_offset, false),
			 0);
	assert_int_equal(xaring_pages_map(&there, &shape, g->pages[number].fd,
					  g->pages[number].control_offset, g->pages[number].fd,
					  g->pages[number].data_offset, true),
			 0);
	memset(there.data, 0x5a, there.data_bytes);
	assert_memory_equal(here.data, there.data, there.data_bytes);
	here.control->backend.flags = 77;
	assert_int_equal(there.control->backend.flags, 77);
	xaring_pages_unmap(&here);
	xaring_pages_unmap(&there);
}

static void a_guest_is_found_leased_and_ended(void **state)
{
	struct ipc_message vm, stream;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	worker_expect_nothing(worker);
	fake_xen_do(&xen,
		    "write /local/domain/3/data/xaring/token 00000000000000000000000000000000");
	vm = expect_vm(worker, "work", 3);
	assert_string_equal(vm.u.vm.name, "work");
	assert_string_equal(vm.u.vm.domain, "work");
	assert_string_equal(vm.u.vm.uuid, UUID_A);
	assert_string_equal(vm.u.vm.kind, "guest");
	publish(&work, 1);
	worker_expect(worker, IPC_STREAM, &stream);
	assert_int_equal(stream.vm, vm.vm);
	assert_int_equal(stream.u.stream.params.rate_hz, 48000);
	assert_int_equal(stream.u.stream.params.buffer, 4096);
	assert_int_equal(stream.u.stream.features, 0);
	assert_true(stream.u.stream.time_secret_ns != 0);
	assert_string_equal(stream.u.stream.name, "test");
	expect_same_memory(&work, 1, &stream);
	ipc_message_finish(&stream);
	assert_true(fake_grants_count(3).mapped == shape.pages);

	withdraw(&work, 1);
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	worker_expect_nothing(worker);
	assert_int_equal(fake_grants_count(3).mapped, 0);
	fake_xen_do(&xen, "destroy 3");
	expect_vm_end(worker, &vm);
	worker_expect_nothing(worker);
	stop(box, worker);
}

/* Told of it by an event, or by nobody. */
static void find_late_guest(bool is_told)
{
	struct ipc_message vm;
	struct guest late;
	int worker;
	struct box *box;

	grant(&late, 12);
	box = start(&worker);
	await_quiet();
	if (!is_told)
		fake_xen_do(&xen, "mute 0");
	fake_xen_do(&xen, "create 12 late cccccccc-0000-4000-8000-000000000003");
	publish(&late, 0);
	if (!is_told)
		await_late_lines(box, "vm late is domain 12");
	vm = expect_vm(worker, "late", 12);
	expect_stream(worker, &vm);
	stop(box, worker);
	ungrant(&late);
}

static void guests_come_while_we_are_there(void **state)
{
	(void)state;
	find_late_guest(true);
}

/* Events may be lost, and memory for a watch missing. */
static void a_guest_that_nobody_tells_of_is_found_by_the_sweep(void **state)
{
	(void)state;
	find_late_guest(false);
}

/* A broker that was restarted finds what runs, and the guests do nothing for it. */
static void what_is_there_already_is_found(void **state)
{
	struct ipc_message vm;
	int worker;
	struct box *box;

	(void)state;
	publish(&work, 1);
	publish(&work, 2);
	for (int i = 0; i < 2; i++) {
		box = start(&worker);
		vm = expect_vm(worker, "work", 3);
		expect_stream(worker, &vm);
		expect_stream(worker, &vm);
		worker_expect_nothing(worker);
		stop(box, worker);
		assert_int_equal(fake_grants_count(3).mapped, 0);
	}
}

/* Of gntdev a reference can be mapped once: each worker gets a file of its own, and the last one's is closed. */
static void the_next_worker_is_told_all(void **state)
{
	struct ipc_message vm, first, second;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	publish(&work, 1);
	vm = expect_vm(worker, "work", 3);
	first = expect_pages(worker, &vm);
	assert_int_equal(lseek(first.fds[0], 4096, SEEK_SET), 4096);
	assert_int_equal(lseek(first.fds[1], 0, SEEK_CUR), 4096);
	close(worker);
	worker = box_worker(box);
	assert_int_equal(expect_vm(worker, "work", 3).vm, vm.vm);
	second = expect_pages(worker, &vm);
	assert_int_equal(second.stream, first.stream);
	assert_int_equal(second.u.stream.number, first.u.stream.number);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lseek(second.fds[i], 0, SEEK_CUR), 0);
		close(first.fds[i]);
		close(second.fds[i]);
	}
	worker_expect_nothing(worker);
	stop(box, worker);
	assert_int_equal(fake_grants_count(3).mapped, 0);
}

static void pages_that_the_next_worker_cannot_have_are_refused(void **state)
{
	struct ipc_message vm, stream;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	publish(&work, 0);
	publish(&work, 1);
	vm = expect_vm(worker, "work", 3);
	expect_stream(worker, &vm);
	stream = expect_stream(worker, &vm);
	fake_grants_exhaust(true);
	close(worker);
	worker = box_worker(box);
	expect_vm(worker, "work", 3);
	for (uint32_t i = 0; i < 2; i++)
		expect_answer(3, i, XARING_REASON_INTERNAL, NULL);
	worker_expect_nothing(worker);
	assert_int_equal(box_lines(box, "its pages cannot be taken: Cannot allocate memory"), 2);

	fake_grants_exhaust(false);
	publish(&work, 2);
	assert_true(expect_stream(worker, &vm).stream > stream.stream);
	stop(box, worker);
	assert_int_equal(fake_grants_count(3).mapped, 0);
}

static void backends_say_that_they_are_there(void **state)
{
	struct xs_handle *xs;
	char value[64], *read;
	unsigned bytes;
	int worker;
	struct box *box;

	(void)state;
	/* Of one that was killed. */
	fake_xen_do(&xen, "write /local/domain/0/data/xaring/backend stale");
	xs = connect_as(3);
	box = box_start_xen(NULL);
	worker = box_worker(box);
	await_node("/local/domain/0/data/xaring/backend", false, NULL, 0);
	worker_send(worker, IPC_READY, 0, 0);
	await_node("/local/domain/0/data/xaring/backend", true, value, sizeof(value));
	assert_string_equal(value, "version=1 version-min=1");
	/* Any guest may read it. */
	read = xs_read(xs, XBT_NULL, "/local/domain/0/data/xaring/backend", &bytes);
	assert_non_null(read);
	free(read);
	stop(box, worker);
	xs_close(xs);
	assert_false(node_exists("/local/domain/%u/data/xaring/backend", 0, 0));
}

static void kicks_reach_all_streams(void **state)
{
	struct ipc_message vm, streams[2], m;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	kick(&work, "7");
	publish(&work, 1);
	vm = expect_vm(worker, "work", 3);
	streams[0] = expect_stream(worker, &vm);
	publish(&work, 2);
	streams[1] = expect_stream(worker, &vm);
	worker_expect_nothing(worker);
	kick(&work, "8");
	for (int i = 0; i < 2; i++) {
		worker_expect(worker, IPC_KICK, &m);
		assert_int_equal(m.stream, streams[i].stream);
		assert_int_equal(m.u.kick.kick, XARING_KICK_START);
	}
	/* Not a number, and the same again. */
	kick(&work, "9 lives");
	kick(&work, "8");
	worker_expect_nothing(worker);
	kick(&work, "4294967295");
	worker_expect(worker, IPC_KICK, &m);
	worker_expect(worker, IPC_KICK, &m);
	stop(box, worker);
}

/* A new text is a new link; what it is given has to wait until the old one is unmapped. */
static void a_changed_stream_waits_for_its_predecessor(void **state)
{
	struct ipc_message vm, first;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	publish(&work, 1);
	vm = expect_vm(worker, "work", 3);
	first = expect_stream(worker, &vm);
	work.offers[1].open.epoch = new_epoch();
	publish(&work, 1);
	expect_end(worker, &first);
	worker_expect_nothing(worker);
	say_gone(worker, &first);
	expect_stream(worker, &vm);
	stop(box, worker);
}

static void a_stream_that_was_away_waits_as_well(void **state)
{
	struct ipc_message vm, first;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	publish(&work, 1);
	vm = expect_vm(worker, "work", 3);
	first = expect_stream(worker, &vm);
	withdraw(&work, 1);
	expect_end(worker, &first);
	publish(&work, 1);
	worker_expect_nothing(worker);
	say_gone(worker, &first);
	expect_stream(worker, &vm);
	stop(box, worker);
}

/* ---- refusals ---- */

static void texts_that_are_no_offers_are_refused(void **state)
{
	struct ipc_message vm;
	char text[OFFER_TEXT_MAX + 32];
	int worker;
	struct box *box = start(&worker);

	(void)state;
	publish_text(3, 0, "");
	publish_text(3, 1, "version=1 nonsense");
	memset(text, 'x', sizeof(text));
	text[OFFER_TEXT_MAX + 1] = '\0';
	publish_text(3, 2, text);
	offer_encode(&work.offers[3], text);
	*strstr(text, "rate=4") = 'b';
	publish_text(3, 3, text);
	vm = expect_vm(worker, "work", 3);
	for (uint32_t i = 0; i < 4; i++)
		expect_answer(3, i, XARING_REASON_MESSAGE, NULL);
	worker_expect_nothing(worker);
	assert_true(box_lines(box, "vm work stream 1: ") == 1);
	/* It is not judged again. */
	kick(&work, "1");
	worker_expect_nothing(worker);
	assert_true(box_lines(box, "vm work stream 1: ") == 1);
	/* And can do better. */
	publish(&work, 1);
	expect_stream(worker, &vm);
	stop(box, worker);
}

static void impossible_streams_are_refused_with_what_is_possible(void **state)
{
	struct xaring_refusal refusal;
	char text[OFFER_TEXT_MAX + 1];
	int worker;
	struct box *box = start(&worker);

	(void)state;
	offer_encode(&work.offers[0], text);
	memcpy(strstr(text, "rate=48000"), "rate=00007", 10);
	publish_text(3, 0, text);
	expect_vm(worker, "work", 3);
	expect_answer(3, 0, XARING_REASON_MESSAGE, NULL);
	work.offers[1].open.params.rate_hz = 7000;
	publish(&work, 1);
	expect_answer(3, 1, XARING_REASON_RATE, &refusal);
	assert_int_equal(refusal.value, 7000);
	assert_int_equal(refusal.min, XARING_RATE_MIN);
	assert_int_equal(refusal.max, XARING_RATE_MAX);
	stop(box, worker);
}

static void two_streams(const struct identity *identity, struct policy *policy)
{
	(void)identity;
	policy->max_streams = 2;
}

static void limits_are_answered(void **state)
{
	struct ipc_message vm, stream;
	struct xaring_refusal refusal;
	int worker;
	struct box *box;

	(void)state;
	rules = two_streams;
	box = start(&worker);
	for (uint32_t i = 0; i < 3; i++) {
		publish(&work, i);
		if (i == 0)
			vm = expect_vm(worker, "work", 3);
		if (i < 2)
			stream = expect_stream(worker, &vm);
	}
	expect_answer(3, 2, XARING_REASON_STREAMS, &refusal);
	assert_int_equal(refusal.value, 3);
	assert_int_equal(refusal.max, 2);
	/* Room that is about to come is waited for. */
	withdraw(&work, 1);
	expect_end(worker, &stream);
	publish(&work, 3);
	worker_expect_nothing(worker);
	say_gone(worker, &stream);
	expect_stream(worker, &vm);
	/* The other one has limits of its own. */
	publish(&play, 0);
	vm = expect_vm(worker, "play", 4);
	expect_stream(worker, &vm);
	stop(box, worker);
}

static void no_work(const struct identity *identity, struct policy *policy)
{
	policy->playback = strcmp(identity->key, "work") != 0;
}

static void who_may_not_play_is_told(void **state)
{
	struct ipc_message vm;
	int worker;
	struct box *box;

	(void)state;
	rules = no_work;
	box = start(&worker);
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	expect_answer(3, 0, XARING_REASON_POLICY, NULL);
	assert_true(box_lines(box, "vm work stream 0: ") == 1);
	publish(&play, 0);
	vm = expect_vm(worker, "play", 4);
	expect_stream(worker, &vm);
	stop(box, worker);
}

static unsigned generation; /* of the rules; under no lock: changed while the broker waits */

static void rules_by_generation(const struct identity *identity, struct policy *policy)
{
	(void)identity;
	policy->playback = __atomic_load_n(&generation, __ATOMIC_SEQ_CST) > 0;
	if (__atomic_load_n(&generation, __ATOMIC_SEQ_CST) > 1)
		snprintf(policy->vm, sizeof(policy->vm), "office");
}

static void new_rules_judge_anew(void **state)
{
	struct ipc_message vm, stream;
	int worker;
	struct box *box;

	(void)state;
	__atomic_store_n(&generation, 0, __ATOMIC_SEQ_CST);
	rules = rules_by_generation;
	box = start(&worker);
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	expect_answer(3, 0, XARING_REASON_POLICY, NULL);
	__atomic_store_n(&generation, 1, __ATOMIC_SEQ_CST);
	box_reload(box);
	stream = expect_stream(worker, &vm);
	await_node("/local/domain/3/data/xaring/stream/0/answer", false, NULL, 0);
	/* Another VM by the new rules: the stream is leased anew. */
	__atomic_store_n(&generation, 2, __ATOMIC_SEQ_CST);
	box_reload(box);
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	expect_vm_end(worker, &vm);
	vm = expect_vm(worker, "office", 3);
	expect_stream(worker, &vm);
	stop(box, worker);
}

static void vm_that_is_forbidden_is_silent_at_once(void **state)
{
	struct ipc_message vm, stream;
	int worker;
	struct box *box;

	(void)state;
	__atomic_store_n(&generation, 1, __ATOMIC_SEQ_CST);
	rules = rules_by_generation;
	box = start(&worker);
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	stream = expect_stream(worker, &vm);
	__atomic_store_n(&generation, 0, __ATOMIC_SEQ_CST);
	box_reload(box);
	expect_end(worker, &stream);
	expect_answer(3, 0, XARING_REASON_POLICY, NULL);
	say_gone(worker, &stream);
	worker_expect_nothing(worker);
	__atomic_store_n(&generation, 1, __ATOMIC_SEQ_CST);
	box_reload(box);
	expect_stream(worker, &vm);
	await_node("/local/domain/3/data/xaring/stream/0/answer", false, NULL, 0);
	stop(box, worker);
}

static void what_the_worker_refuses_is_answered(void **state)
{
	struct ipc_message vm, stream;
	int worker;
	struct box *box = start_playing(&worker, &vm, &stream);

	(void)state;
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_COUNTER);
	expect_end(worker, &stream);
	expect_answer(3, 0, XARING_REASON_COUNTER, NULL);
	say_gone(worker, &stream);
	worker_expect_nothing(worker);
	work.offers[0].open.epoch = new_epoch();
	publish(&work, 0);
	stream = expect_stream(worker, &vm);
	/* The answer to its predecessor would be wrong. */
	await_node("/local/domain/3/data/xaring/stream/0/answer", false, NULL, 0);
	/* Pages that cannot be mapped. */
	worker_send_state(worker, &stream, XARING_BACKEND_REFUSED, XARING_REASON_MESSAGE);
	say_gone(worker, &stream);
	expect_end(worker, &stream);
	expect_answer(3, 0, XARING_REASON_MESSAGE, NULL);
	stop(box, worker);
}

/* An answer to a stream that is not there any more would be a node that nobody takes away. */
static void nothing_is_left_of_streams_that_are_gone(void **state)
{
	struct ipc_message vm, streams[2];
	int worker;
	struct box *box = start(&worker);

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		publish(&work, i);
		if (i == 0)
			vm = expect_vm(worker, "work", 3);
		streams[i] = expect_stream(worker, &vm);
	}
	await_quiet();
	fake_xen_do(&xen, "stall 0");
	for (uint32_t i = 0; i < 2; i++) {
		worker_send_state(worker, &streams[i], XARING_BACKEND_BROKEN, XARING_REASON_WORD);
		expect_end(worker, &streams[i]);
	}
	withdraw(&work, 0);
	publish_text(3, 1, "another one");
	fake_xen_do(&xen, "resume 0");
	/* What came after it is seen, so the answers are written or not. */
	expect_answer(3, 1, XARING_REASON_MESSAGE, NULL);
	assert_false(node_exists("/local/domain/%u/data/xaring/stream/%u", 3, 0));
	stop(box, worker);
}

/* Tokens come back one in 250 ms: the test is over before that lets many through. */
static void who_opens_too_often_is_told(void **state)
{
	struct ipc_message m;
	unsigned opened = 0;
	int worker;
	struct box *box = start(&worker);
	char path[] = "/local/domain/3/data/xaring/stream/0/answer", value[128];
	uint64_t until_ms = box_now_ms() + 30000;

	(void)state;
	publish(&work, 0);
	expect_vm(worker, "work", 3);
	while (!fake_xen_ask(&xen, value, sizeof(value), "read %s", path)) {
		struct pollfd p = {.fd = worker, .events = POLLIN};

		assert_true(box_now_ms() < until_ms);
		if (poll(&p, 1, 5) == 0)
			continue;
		assert_int_equal(ipc_receive(worker, &m), 0);
		if (m.type == IPC_STREAM) {
			ipc_message_finish(&m);
			opened++;
			work.offers[0].open.epoch = new_epoch();
			publish(&work, 0);
		} else if (m.type == IPC_END) {
			say_gone(worker, &m);
		}
	}
	expect_answer(3, 0, XARING_REASON_BUSY, NULL);
	assert_true(opened >= 120 && opened < 250);
	stop(box, worker);
}

/*
 * One program's nonsense, more often than streams may begin, leaves them to the others. Slower than what the
 * broker does not watch any more.
 */
static void what_is_refused_takes_nobodys_turn(void **state)
{
	struct ipc_message vm;
	int worker;
	struct box *box = start(&worker);
	char text[24];

	(void)state;
	for (uint32_t round = 0; round < 7; round++) {
		snprintf(text, sizeof(text), "nonsense %u", round);
		for (uint32_t i = 1; i <= 25; i++)
			publish_text(3, i, text);
		for (uint32_t i = 1; i <= 25; i++)
			expect_answer(3, i, XARING_REASON_MESSAGE, NULL);
		for (uint32_t i = 1; i <= 25; i++)
			withdraw(&work, i);
		poll(NULL, 0, 600);
	}
	vm = expect_vm(worker, "work", 3);
	publish(&work, 0);
	expect_stream(worker, &vm);
	stop(box, worker);
}

/* ---- who a domain is ---- */

static void map_stubdomains(const struct identity *identity, struct policy *policy)
{
	if (strcmp(identity->kind, "stubdomain") == 0)
		snprintf(policy->vm, sizeof(policy->vm), "devices");
}

static void who_is_no_guest_is_refused(void **state)
{
	static const struct {
		uint32_t domid;
		const char *key, *kind;
	} cases[] = {{0, "Domain-0", "dom0"},
		     {4, "domain-4", "nameless"},
		     {5, "work-dm", "stubdomain"}};
	char text[OFFER_TEXT_MAX + 1];
	struct ipc_message vm;
	int worker;
	struct box *box;

	(void)state;
	fake_xen_do(&xen, "write /local/domain/0/name Domain-0");
	fake_xen_do(&xen, "rm /local/domain/4/name");
	fake_xen_do(&xen, "create 5 work-dm cccccccc-0000-4000-8000-000000000003");
	fake_xen_do(&xen, "write /local/domain/5/target 3");
	box = start(&worker);
	offer_encode(&work.offers[0], text);
	for (int i = 0; i < 3; i++) {
		publish_text(cases[i].domid, 1, text);
		vm = expect_vm(worker, cases[i].key, cases[i].domid);
		assert_string_equal(vm.u.vm.kind, cases[i].kind);
		expect_answer(cases[i].domid, 1, XARING_REASON_POLICY, NULL);
	}
	worker_expect_nothing(worker);
	stop(box, worker);
}

static void rules_make_a_vm_of_anybody(void **state)
{
	struct ipc_message vm;
	int worker;
	struct box *box;

	(void)state;
	rules = map_stubdomains;
	fake_xen_do(&xen, "write /local/domain/3/target 4");
	box = start(&worker);
	publish(&work, 0);
	vm = expect_vm(worker, "devices", 3);
	assert_string_equal(vm.u.vm.domain, "work");
	expect_stream(worker, &vm);
	stop(box, worker);
}

static void by_uuid(const struct identity *identity, struct policy *policy)
{
	(void)identity;
	policy->by_uuid = true;
}

static void rules_make_a_uuid_the_identity(void **state)
{
	struct ipc_message vm;
	int worker;
	struct box *box;

	(void)state;
	rules = by_uuid;
	box = start(&worker);
	publish(&work, 0);
	vm = expect_vm(worker, UUID_A, 3);
	assert_string_equal(vm.u.vm.name, "work");
	stop(box, worker);
}

static void a_new_name_is_a_new_vm(void **state)
{
	struct ipc_message vm, stream;
	int worker;
	struct box *box = start_playing(&worker, &vm, &stream);

	(void)state;
	rename_domain(3, "labour");
	expect_end(worker, &stream);
	worker_expect_nothing(worker);
	say_gone(worker, &stream);
	expect_vm_end(worker, &vm);
	vm = expect_vm(worker, "labour", 3);
	expect_stream(worker, &vm);
	stop(box, worker);
}

/* xl restores under a name of its own, and gives the name when all is there. */
static void a_domain_that_arrives_waits_for_its_name(void **state)
{
	struct ipc_message vm;
	int worker;
	struct box *box;

	(void)state;
	rename_domain(3, "work--incoming");
	box = start(&worker);
	publish(&work, 0);
	worker_expect_nothing(worker);
	rename_domain(3, "work");
	vm = expect_vm(worker, "work", 3);
	expect_stream(worker, &vm);
	/* And renames what it has sent away: that is no new VM. */
	rename_domain(3, "work--migratedaway");
	worker_expect_nothing(worker);
	publish(&work, 1);
	expect_stream(worker, &vm);
	stop(box, worker);
}

/* ---- ends ---- */

static void a_domain_that_dies_is_let_go_at_once(void **state)
{
	static const char *const nodes[] = {"data", "data/xaring", "data/xaring/stream",
					    "data/xaring/stream/0", "data/xaring/stream/1"};
	struct ipc_message vm, streams[2];
	int worker;
	struct box *box = start(&worker);

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		publish(&work, i);
		if (i == 0)
			vm = expect_vm(worker, "work", 3);
		streams[i] = expect_stream(worker, &vm);
	}
	keep_nodes(3, nodes, 5);
	await_quiet();
	fake_xen_do(&xen, "release 3");
	assert_true(node_exists("/local/domain/%u/data/xaring/stream/%u", 3, 1));
	for (int i = 0; i < 2; i++)
		expect_end(worker, &streams[i]);
	for (int i = 0; i < 2; i++)
		say_gone(worker, &streams[i]);
	expect_vm_end(worker, &vm);
	assert_int_equal(fake_grants_count(3).mapped, 0);
	/* What the worker said before it knew is no offence. */
	worker_send(worker, IPC_WANT, vm.vm, 0);
	worker_send_state(worker, &streams[0], XARING_BACKEND_BROKEN, XARING_REASON_WORD);
	say_gone(worker, &streams[0]);
	worker_expect_nothing(worker);
	assert_int_equal(box_workers(box), 1);
	stop(box, worker);
}

/* A worker that does not let go is killed, and the pages are free within 2 s. */
static void a_worker_that_keeps_a_dead_domain_is_killed(void **state)
{
	uint64_t since_ms;
	struct ipc_message vm;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	publish(&work, 0);
	publish(&play, 0);
	for (int i = 0; i < 2; i++) {
		worker_expect(worker, IPC_VM, &vm);
		expect_stream(worker, &vm);
	}
	fake_xen_do(&xen, "destroy 3");
	since_ms = box_now_ms();
	worker_expect_end(worker);
	assert_true(box_now_ms() - since_ms < 2000);
	worker = box_worker(box);
	vm = expect_vm(worker, "play", 4);
	expect_stream(worker, &vm);
	worker_expect_nothing(worker);
	assert_int_equal(fake_grants_count(3).mapped, 0);
	stop(box, worker);
}

/* The same id and name, and nothing else of the old one. */
static void a_new_domain_gets_nothing_of_its_predecessor(void **state)
{
	struct ipc_message vm, stream;
	uint64_t secret_ns;
	uint32_t old;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	kick(&work, "5");
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	stream = expect_stream(worker, &vm);
	secret_ns = stream.u.stream.time_secret_ns;
	old = vm.vm;
	fake_xen_do(&xen, "destroy 3");
	fake_xen_do(&xen, "create 3 work " UUID_B);
	publish(&work, 0);
	kick(&work, "6");
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	expect_vm_end(worker, &vm);
	vm = expect_vm(worker, "work", 3);
	assert_true(vm.vm != old);
	assert_string_equal(vm.u.vm.uuid, UUID_B);
	stream = expect_stream(worker, &vm);
	assert_true(stream.u.stream.time_secret_ns != secret_ns);
	worker_expect_nothing(worker);
	stop(box, worker);
}

/* Says that the VM "work" may record, for as long as `span` has it. */
static void allow(struct box *box, int worker, const char *span)
{
	char request[64], answer[1024] = "";
	struct ipc_message message;
	int control = box_control(box, 0);

	snprintf(request, sizeof(request), "mic work allow %s", span);
	assert_int_equal(send(control, request, strlen(request), 0), strlen(request));
	assert_true(recv(control, answer, sizeof(answer) - 1, 0) > 0);
	assert_non_null(strstr(answer, "\"state\":\"allowed\""));
	close(control);
	worker_expect(worker, IPC_MICROPHONE, &message);
	assert_int_equal(message.u.microphone.allowed, 1);
}

/* The domain goes, with its stream, and comes back. */
static void reboot(int worker, const char *create, struct ipc_message *vm,
		   struct ipc_message *stream)
{
	fake_xen_do(&xen, "destroy 3");
	fake_xen_do(&xen, "%s", create);
	publish(&work, 0);
	expect_end(worker, stream);
	say_gone(worker, stream);
	expect_vm_end(worker, vm);
	*vm = expect_vm(worker, "work", 3);
}

static void a_reboot_is_a_shutdown_to_decisions(void **state)
{
	struct ipc_message vm, stream, message;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	stream = expect_stream(worker, &vm);
	allow(box, worker, "until-shutdown");
	reboot(worker, "create 3 work " UUID_B, &vm, &stream);
	/* The worker takes it that a VM may not. */
	stream = expect_stream(worker, &vm);
	worker_expect_nothing(worker);
	allow(box, worker, "always");
	reboot(worker, "create 3 work " UUID_A, &vm, &stream);
	worker_expect(worker, IPC_MICROPHONE, &message);
	assert_int_equal(message.u.microphone.allowed, 1);
	expect_stream(worker, &vm);
	stop(box, worker);
}

/* ---- xenstored ---- */

static void streams_outlive_xenstored(void **state)
{
	struct ipc_message vm, stream, second;
	int worker;
	struct box *box = start(&worker);
	struct pollfd readable = {.fd = worker, .events = POLLIN};

	(void)state;
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	stream = expect_stream(worker, &vm);
	fake_xen_do(&xen, "down");
	publish(&work, 1);
	worker_expect_nothing(worker);
	/* Not even when domains are listed, every 5 s. */
	if (level_count(50) > 1)
		assert_int_equal(poll(&readable, 1, 6000), 0);
	fake_xen_do(&xen, "up");
	second = expect_stream(worker, &vm);
	worker_expect_nothing(worker);

	/* Who died meanwhile is gone when xenstored says so. */
	fake_xen_do(&xen, "down");
	fake_xen_do(&xen, "destroy 3");
	worker_expect_nothing(worker);
	fake_xen_do(&xen, "up");
	/* A worker that did not let them go would be killed, and another one started. */
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	expect_end(worker, &second);
	say_gone(worker, &second);
	stop(box, worker);
}

static void answers_outlive_xenstored(void **state)
{
	struct ipc_message vm, stream;
	uint64_t used_ns;
	int worker;
	struct box *box = start_playing(&worker, &vm, &stream);

	(void)state;
	await_quiet();
	fake_xen_do(&xen, "stall 0");
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_COUNTER);
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	/* The answer is under way, and comes to nothing: that is no reason to try all the time. */
	fake_xen_do(&xen, "down");
	fake_xen_do(&xen, "resume 0");
	used_ns = box_cpu_ns(box);
	poll(NULL, 0, 300);
	assert_in_range(box_cpu_ns(box) - used_ns, 0, 20000000);
	fake_xen_do(&xen, "up");
	expect_answer(3, 0, XARING_REASON_COUNTER, NULL);
	stop(box, worker);
}

static void xenstored_may_take_its_time(void **state)
{
	struct ipc_message vm, stream, m;
	int worker;
	struct box *box = start_playing(&worker, &vm, &stream);

	(void)state;
	fake_xen_do(&xen, "stall 0");
	publish(&play, 0);
	/* The broker does what does not need xenstored. */
	worker_send(worker, IPC_WANT, vm.vm, 0);
	worker_expect(worker, IPC_SOCKET, &m);
	ipc_message_finish(&m);
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_WORD);
	expect_end(worker, &stream);
	worker_expect_nothing(worker);
	fake_xen_do(&xen, "resume 0");
	expect_vm(worker, "play", 4);
	stop(box, worker);
}

static void the_end_does_not_wait_for_xenstored(void **state)
{
	uint64_t since_ms;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	fake_xen_do(&xen, "down");
	since_ms = box_now_ms();
	stop(box, worker);
	assert_true(box_now_ms() - since_ms < 2000);
	fake_xen_do(&xen, "up");
}

/* ---- guests that ask for it ---- */

/* The guest itself, in a process of its own. fn does what it does again and again. */
static pid_t misbehave(uint32_t domid, void (*fn)(struct xs_handle *xs, unsigned round))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct xs_handle *xs;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fake_xen_be(&xen, domid);
		xs = xs_open(0);
		if (!xs)
			_exit(1);
		for (unsigned round = 0;; round++)
			fn(xs, round);
	}
	return pid;
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void write_node(struct xs_handle *xs, const char *path, const char *value)
{
	xs_write(xs, XBT_NULL, path, value, (unsigned)strlen(value));
}

static void flood_stream(struct xs_handle *xs, unsigned round)
{
	char value[64];

	snprintf(value, sizeof(value), "version=1 nonsense=%u", round);
	write_node(xs, "data/xaring/stream/5", value);
	write_node(xs, "data/xaring/kick", value + 10);
}

static void write_large_node(struct xs_handle *xs, unsigned number, unsigned round)
{
	char path[64], value[1200];
	int written = snprintf(value, 32, "%u", round);

	memset(value + written, 'x', sizeof(value) - 1 - (size_t)written);
	value[sizeof(value) - 1] = '\0';
	snprintf(path, sizeof(path), "data/xaring/stream/%u", number);
	write_node(xs, path, value);
}

static void fill_quota(struct xs_handle *xs, unsigned round)
{
	write_large_node(xs, round % 900, round);
	if (round > 900)
		poll(NULL, 0, 6);
}

/* Below the rate at which its watch is taken away: each change is seen. */
static void change_all_the_time(struct xs_handle *xs, unsigned round)
{
	write_large_node(xs, round % 150, round);
	poll(NULL, 0, 12);
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long total, resident;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &total, &resident), 2);
	fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Of the broker and of the thread that talks to xenstored; we only wait. */
static uint64_t used_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void expect_calm(void (*fn)(struct xs_handle *xs, unsigned round))
{
	uint64_t flood_ms = 2000 + level_count(28000), until_ms, cpu_ns;
	struct ipc_message vm, stream, m;
	unsigned rounds = 0, asked;
	long memory_kib;
	int worker;
	struct box *box = start(&worker);
	pid_t pid;

	pid = misbehave(3, fn);
	expect_vm(worker, "work", 3);
	publish(&play, 0);
	vm = expect_vm(worker, "play", 4);
	stream = expect_stream(worker, &vm);
	memory_kib = resident_kib();
	cpu_ns = used_ns();
	asked = operations();
	until_ms = box_now_ms() + flood_ms;
	/* The other one opens and closes streams meanwhile, each within the usual time. */
	while (box_now_ms() < until_ms) {
		uint64_t since_ms = box_now_ms();

		play.offers[0].open.epoch = new_epoch();
		publish(&play, 0);
		expect_end(worker, &stream);
		say_gone(worker, &stream);
		stream = expect_stream(worker, &vm);
		assert_true(box_now_ms() - since_ms < 1500);
		rounds++;
		/* Within its own rate of new streams. */
		poll(NULL, 0, 300);
	}
	assert_true(rounds > 2);
	cpu_ns = used_ns() - cpu_ns;
	asked = operations() - asked;
	print_message("flood of %u ms: %u streams of the other one, %.1f %% of a processor, "
		      "%.0f operations of xenstore per second, %u lines\n",
		      (unsigned)flood_ms, rounds, (double)cpu_ns / 1e4 / (double)flood_ms,
		      asked * 1e3 / (double)flood_ms, box_lines(box, "vm work "));
	assert_true(asked * 1000 / flood_ms < 1500);
	assert_true(cpu_ns / 1000000 < flood_ms / 4);
	assert_true(resident_kib() - memory_kib < 8192);
	end_process(pid);
	/* Nothing is left behind when it is gone. */
	fake_xen_do(&xen, "destroy 3");
	worker_expect(worker, IPC_VM_END, &m);
	assert_false(node_exists("/local/domain/%u", 3, 0));
	poll(NULL, 0, 100);
	assert_false(node_exists("/local/domain/%u", 3, 0));
	assert_true(box_lines(box, "vm work ") < 40);
	stop(box, worker);
}

static void a_flood_of_writes_harms_nobody(void **state)
{
	(void)state;
	expect_calm(flood_stream);
}

static void a_thousand_nodes_harm_nobody(void **state)
{
	(void)state;
	expect_calm(fill_quota);
}

static void changes_without_an_end_harm_nobody(void **state)
{
	(void)state;
	expect_calm(change_all_the_time);
}

static void names_that_are_no_numbers_are_ignored(void **state)
{
	struct ipc_message vm;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	fake_xen_do(&xen, "write /local/domain/3/data/xaring/stream/abc x");
	fake_xen_do(&xen, "write /local/domain/3/data/xaring/stream/01 x");
	fake_xen_do(&xen, "write /local/domain/3/data/xaring/stream/65536 x");
	fake_xen_do(&xen, "write /local/domain/3/data/xaring/stream/-1 x");
	worker_expect_nothing(worker);
	publish(&work, 1);
	vm = expect_vm(worker, "work", 3);
	expect_stream(worker, &vm);
	assert_int_equal(box_lines(box, "4 names below data/xaring/stream are ignored"), 1);
	assert_false(node_exists("/local/domain/%u/data/xaring/stream/01/answer", 3, 0));
	stop(box, worker);
}

static void of_too_many_streams_the_first_are_seen(void **state)
{
	struct ipc_message vm;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	fake_xen_do(&xen, "stall 0");
	for (uint32_t i = 1; i <= 200; i++)
		publish_text(3, i, "nothing");
	fake_xen_do(&xen, "resume 0");
	expect_vm(worker, "work", 3);
	await_node("/local/domain/3/data/xaring/stream/128/answer", true, NULL, 0);
	await_quiet();
	for (uint32_t i = 129; i <= 200; i++)
		assert_false(node_exists("/local/domain/%u/data/xaring/stream/%u/answer", 3, i));
	assert_int_equal(box_lines(box, "72 names below data/xaring/stream are ignored"), 1);
	/* Nobody else is kept waiting for it. */
	publish(&play, 0);
	vm = expect_vm(worker, "play", 4);
	expect_stream(worker, &vm);
	stop(box, worker);
}

static void await_lines(struct box *box, const char *text)
{
	uint64_t until_ms = box_now_ms() + BOX_DEADLINE_MS;

	while (box_lines(box, text) == 0) {
		poll(NULL, 0, 20);
		assert_true(box_now_ms() < until_ms);
	}
}

/* oxenstored sends it all the same. */
static void a_list_that_breaks_the_protocol_harms_nobody(void **state)
{
	struct ipc_message vm, stream;
	int worker;
	struct box *box = start(&worker);

	(void)state;
	fake_xen_do(&xen, "whole 0");
	publish(&work, 1);
	vm = expect_vm(worker, "work", 3);
	stream = expect_stream(worker, &vm);
	fake_xen_do(&xen, "stall 0");
	for (uint32_t i = 10000; i < 10900; i++)
		publish_text(3, i, "nothing");
	fake_xen_do(&xen, "resume 0");
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	await_lines(box, "all names below data/xaring/stream are ignored");
	publish(&play, 0);
	vm = expect_vm(worker, "play", 4);
	expect_stream(worker, &vm);
	assert_int_equal(box_lines(box, "no connection to xenstore"), 0);
	stop(box, worker);
}

/* That the next sweep brings. */
static void await_late_node(const char *path)
{
	uint64_t until_ms = box_now_ms() + 30000;

	while (!fake_xen_ask(&xen, NULL, 0, "read %s", path)) {
		poll(NULL, 0, 20);
		assert_true(box_now_ms() < until_ms);
	}
}

/* From here on it has all the events that wait for anybody. */
static void be_deaf(uint32_t domid)
{
	fake_xen_do(&xen, "deaf %u", domid);
	for (int i = 0; i < 20; i++)
		fake_xen_do(&xen, "write /local/domain/%u/data/xaring/other %d", domid, i);
}

static void who_does_not_read_harms_nobody_else(void **state)
{
	struct ipc_message vm, stream, other;
	int worker, deaf = fake_xen_watch(&xen, 3, "/local/domain/3/data/xaring");
	struct box *box = start_playing(&worker, &vm, &stream);

	(void)state;
	be_deaf(3);
	publish_text(3, 1, "nonsense");
	expect_answer(3, 1, XARING_REASON_MESSAGE, NULL);
	await_late_lines(box, "vm work (domain 3) does not read what it watches in xenstore");
	publish(&play, 0);
	other = expect_vm(worker, "play", 4);
	expect_stream(worker, &other);

	/* What it has goes on; what it wants is not seen, and it is told nothing. */
	publish(&work, 2);
	publish_text(3, 3, "nonsense");
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_WORD);
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	worker_expect_nothing(worker);
	await_quiet();
	assert_false(node_exists("/local/domain/%u/data/xaring/stream/%u/answer", 3, 3));
	assert_false(node_exists("/local/domain/%u/data/xaring/stream/%u/answer", 3, 0));
	publish_text(4, 1, "nonsense");
	expect_answer(4, 1, XARING_REASON_MESSAGE, NULL);
	assert_int_equal(box_lines(box, "no connection to xenstore"), 1);

	/* It is so after a reboot, too. */
	fake_xen_do(&xen, "destroy 3");
	fake_xen_do(&xen, "create 5 work " UUID_B);
	publish_text(5, 1, "nonsense");
	await_quiet();
	assert_false(node_exists("/local/domain/%u/data/xaring/stream/%u/answer", 5, 1));
	assert_int_equal(box_lines(box, "does not read what it watches"), 1);

	/* But not for good, and nothing need be written then. */
	__atomic_store_n(&clock_ahead_s, DEAF_MS / 1000, __ATOMIC_SEQ_CST);
	await_late_node("/local/domain/5/data/xaring/stream/1/answer");
	stop(box, worker);
	close(deaf);
}

/* Half a second here, and others are served at once; whoever it was for waits nine times as long. */
static void who_reads_late_waits_longer_than_others(void **state)
{
	struct ipc_message vm;
	uint64_t began_ms;
	int worker, late = fake_xen_watch(&xen, 3, "/local/domain/3/data/xaring");
	struct box *box = start(&worker);

	(void)state;
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	expect_stream(worker, &vm);
	be_deaf(3);
	publish_text(3, 1, "nonsense");
	expect_answer(3, 1, XARING_REASON_MESSAGE, NULL);
	poll(NULL, 0, 500);
	fake_xen_do(&xen, "hear 3");
	began_ms = box_now_ms();
	publish_text(3, 2, "nonsense");
	publish_text(4, 1, "nonsense");
	expect_answer(4, 1, XARING_REASON_MESSAGE, NULL);
	assert_in_range(box_now_ms() - began_ms, 0, 2000);
	expect_answer(3, 2, XARING_REASON_MESSAGE, NULL);
	assert_in_range(box_now_ms() - began_ms, 3500, 9000);
	assert_int_equal(box_lines(box, "does not read"), 0);
	stop(box, worker);
	close(late);
}

/*
 * So late that each answer costs a second, and not so late that it is deaf: others wait for one of its
 * answers, whatever it is owed, and it waits nine times as long for the next.
 */
static void who_reads_late_takes_the_time_of_one_answer(void **state)
{
	struct ipc_message vm;
	uint64_t began_ms, took_ms;
	int worker, late = fake_xen_watch(&xen, 3, "/local/domain/3/data/xaring");
	struct box *box = start(&worker);

	(void)state;
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	expect_stream(worker, &vm);
	await_quiet();
	fake_xen_do(&xen, "late 3 1200");
	fake_xen_do(&xen, "stall 0");
	for (uint32_t i = 1; i <= 4; i++)
		publish_text(3, i, "nonsense");
	fake_xen_do(&xen, "resume 0");
	expect_answer(3, 1, XARING_REASON_MESSAGE, NULL);
	began_ms = box_now_ms();
	publish_text(4, 1, "nonsense");
	expect_answer(4, 1, XARING_REASON_MESSAGE, NULL);
	took_ms = box_now_ms() - began_ms;
	print_message("who reads late kept others waiting for %u ms\n", (unsigned)took_ms);
	assert_in_range(took_ms, 1000, 2000);
	assert_false(node_exists("/local/domain/%u/data/xaring/stream/%u/answer", 3, 2));

	/* What is left is owed. */
	fake_xen_do(&xen, "late 3 0");
	await_late_node("/local/domain/3/data/xaring/stream/2/answer");
	took_ms = box_now_ms() - began_ms;
	print_message("and waited for %u ms\n", (unsigned)took_ms);
	assert_in_range(took_ms, 11500, 16000);
	expect_answer(3, 3, XARING_REASON_MESSAGE, NULL);
	expect_answer(3, 4, XARING_REASON_MESSAGE, NULL);
	assert_int_equal(box_lines(box, "does not read"), 0);
	stop(box, worker);
	close(late);
}

/* The one node of ours that everybody may watch. */
static void who_does_not_read_of_us_costs_one_connection(void **state)
{
	struct ipc_message vm;
	int worker, deaf = fake_xen_watch(&xen, 3, "/");
	struct box *box;

	(void)state;
	be_deaf(3);
	box = start(&worker);
	await_late_lines(box, "xenstore is there again");
	publish(&play, 0);
	vm = expect_vm(worker, "play", 4);
	expect_stream(worker, &vm);
	publish_text(4, 1, "nonsense");
	expect_answer(4, 1, XARING_REASON_MESSAGE, NULL);
	assert_int_equal(box_lines(box, "no connection to xenstore"), 1);
	assert_int_equal(box_lines(box, "does not read"), 0);
	/* Otherwise the end costs one more, and a thread that is left with it. */
	fake_xen_do(&xen, "destroy 3");
	stop(box, worker);
	close(deaf);
}

/* Nobody is blamed for an xenstored that answers nobody. */
static void a_long_stall_is_nobodys_fault(void **state)
{
	struct ipc_message vm, stream;
	int worker;
	struct box *box = start_playing(&worker, &vm, &stream);

	(void)state;
	await_quiet();
	fake_xen_do(&xen, "stall 0");
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_COUNTER);
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	await_late_lines(box, "no connection to xenstore");
	fake_xen_do(&xen, "resume 0");
	await_late_lines(box, "xenstore is there again");
	expect_answer(3, 0, XARING_REASON_COUNTER, NULL);
	assert_int_equal(box_lines(box, "does not read"), 0);
	stop(box, worker);
}

/* ---- an audio domain ---- */

static void an_audio_domain_has_the_guests_of_its_list(void **state)
{
	struct xs_permissions allowed[] = {{.id = 3, .perms = XS_PERM_NONE},
					   {.id = 7, .perms = XS_PERM_READ | XS_PERM_WRITE}};
	struct ipc_message vm, stream;
	struct xs_handle *xs;
	int worker;
	struct box *box;

	(void)state;
	fake_xen_do(&xen, "create 7 sound cccccccc-0000-4000-8000-000000000003");
	xs = connect_as(3);
	fake_xen_be(&xen, 7);
	box = box_start_xen(NULL);
	worker = box_ready_worker(box, 0);
	await_node("/local/domain/7/data/xaring/backend", true, NULL, 0);
	publish(&work, 0);
	fake_xen_do(&xen, "write /local/domain/7/xaring/guest/3/name labour");
	fake_xen_do(&xen, "write /local/domain/7/xaring/guest/3/uuid " UUID_A);
	/* The guest lets us look. */
	assert_true(xs_set_permissions(xs, XBT_NULL, "data", allowed, 2));
	assert_true(xs_set_permissions(xs, XBT_NULL, "data/xaring", allowed, 2));
	assert_true(xs_set_permissions(xs, XBT_NULL, "data/xaring/stream", allowed, 2));
	assert_true(xs_set_permissions(xs, XBT_NULL, "data/xaring/stream/0", allowed, 2));
	vm = expect_vm(worker, "labour", 3);
	assert_string_equal(vm.u.vm.uuid, UUID_A);
	stream = expect_stream(worker, &vm);
	worker_send_state(worker, &stream, XARING_BACKEND_BROKEN, XARING_REASON_WORD);
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	expect_answer(3, 0, XARING_REASON_WORD, NULL);
	/* dom0 takes it off the list. */
	fake_xen_do(&xen, "rm /local/domain/7/xaring/guest/3");
	expect_vm_end(worker, &vm);
	fake_xen_be(&xen, 0);
	stop(box, worker);
	xs_close(xs);
}

/* dom0 has a backend as well: it neither takes nor answers what is not for it. */
static void guests_of_another_backend_are_left_alone(void **state)
{
	struct ipc_message vm, other, stream;
	struct box *box;
	int worker;

	(void)state;
	/* Before: what is published while the broker looks is found with what it has read of the guest until then. */
	fake_xen_do(&xen, "write /local/domain/3/xaring/backend-id 7");
	box = start(&worker);
	publish_text(3, 0, "nonsense");
	fake_xen_do(&xen, "create 8 other " UUID_B);
	fake_xen_do(&xen,
		    "write /local/domain/8/data/xaring/token 00000000000000000000000000000000");
	other = expect_vm(worker, "other", 8);
	worker_expect_nothing(worker);
	await_node("/local/domain/3/data/xaring/stream/0/answer", false, NULL, 0);

	/* The guest begins its folder anew when it is ours. */
	fake_xen_do(&xen, "rm /local/domain/3/xaring/backend-id");
	publish(&work, 0);
	vm = expect_vm(worker, "work", 3);
	stream = expect_stream(worker, &vm);

	/* And when it is not any more. */
	fake_xen_do(&xen, "write /local/domain/3/xaring/backend-id 7");
	withdraw(&work, 0);
	expect_end(worker, &stream);
	say_gone(worker, &stream);
	fake_xen_do(&xen, "destroy 8");
	expect_vm_end(worker, &other);
	stop(box, worker);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_is_found_leased_and_ended),
		TEST(guests_come_while_we_are_there),
		TEST(a_guest_that_nobody_tells_of_is_found_by_the_sweep),
		TEST(what_is_there_already_is_found),
		TEST(the_next_worker_is_told_all),
		TEST(pages_that_the_next_worker_cannot_have_are_refused),
		TEST(backends_say_that_they_are_there),
		TEST(kicks_reach_all_streams),
		TEST(a_changed_stream_waits_for_its_predecessor),
		TEST(a_stream_that_was_away_waits_as_well),
		TEST(texts_that_are_no_offers_are_refused),
		TEST(impossible_streams_are_refused_with_what_is_possible),
		TEST(limits_are_answered),
		TEST(who_may_not_play_is_told),
		TEST(new_rules_judge_anew),
		TEST(vm_that_is_forbidden_is_silent_at_once),
		TEST(what_the_worker_refuses_is_answered),
		TEST(nothing_is_left_of_streams_that_are_gone),
		TEST(who_opens_too_often_is_told),
		TEST(what_is_refused_takes_nobodys_turn),
		TEST(who_is_no_guest_is_refused),
		TEST(rules_make_a_vm_of_anybody),
		TEST(rules_make_a_uuid_the_identity),
		TEST(a_new_name_is_a_new_vm),
		TEST(a_domain_that_arrives_waits_for_its_name),
		TEST(a_domain_that_dies_is_let_go_at_once),
		TEST(a_worker_that_keeps_a_dead_domain_is_killed),
		TEST(a_new_domain_gets_nothing_of_its_predecessor),
		TEST(a_reboot_is_a_shutdown_to_decisions),
		TEST(streams_outlive_xenstored),
		TEST(answers_outlive_xenstored),
		TEST(xenstored_may_take_its_time),
		TEST(a_flood_of_writes_harms_nobody),
		TEST(a_thousand_nodes_harm_nobody),
		TEST(changes_without_an_end_harm_nobody),
		TEST(names_that_are_no_numbers_are_ignored),
		TEST(of_too_many_streams_the_first_are_seen),
		TEST(a_list_that_breaks_the_protocol_harms_nobody),
		TEST(who_does_not_read_harms_nobody_else),
		TEST(who_reads_late_waits_longer_than_others),
		TEST(who_reads_late_takes_the_time_of_one_answer),
		TEST(who_does_not_read_of_us_costs_one_connection),
		TEST(a_long_stall_is_nobodys_fault),
		TEST(an_audio_domain_has_the_guests_of_its_list),
		TEST(guests_of_another_backend_are_left_alone),
		/* Last, because it leaves a thread behind, which still has to close what it opened. */
		TEST(the_end_does_not_wait_for_xenstored),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
