/* SPDX-License-Identifier: MIT */
/*
 * The broker in a thread, its fake workers and clients. Knows the broker's public headers only.
 */
#include "broker-box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <xaring/log.h>

#include "broker.h"
#include "control-socket.h"
#include "descriptors.h"
#include "identity.h"
#include "loop.h"
#include "source-xen.h"

#define LINES_MAX   4096
#define WORKERS_MAX 64

struct box {
	char folder[64];
	char consents[80];
	unsigned vms;
	struct policy policies[BOX_VMS_MAX];
	struct loop *loop;
	struct loop_source *quit_source;
	struct broker *broker;
	struct control *control;
	struct xen *xen;
	box_policy_fn xen_policy;
	int quit;    /* eventfd */
	int replace; /* eventfd */
	int reload;  /* eventfd */
	pthread_t thread;
	uint32_t fds_before;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	int workers[WORKERS_MAX]; /* ends that nobody has taken yet */
	unsigned spawned, taken, reloads;
	uid_t control_uid, seat_uid;
	bool spawn_broken;
	int remote_error;
	int stall_ms;
};

/* The log has no pointer to us, and one box runs at a time. */
static pthread_mutex_t lines_lock = PTHREAD_MUTEX_INITIALIZER;
static char *lines[LINES_MAX];
static unsigned line_count;

uint64_t box_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void keep_line(enum xaring_log_level level, const char *text)
{
	(void)level;
	pthread_mutex_lock(&lines_lock);
	if (line_count < LINES_MAX)
		lines[line_count++] = strdup(text);
	pthread_mutex_unlock(&lines_lock);
}

static void forget_lines(void)
{
	for (unsigned i = 0; i < line_count; i++)
		free(lines[i]);
	line_count = 0;
}

unsigned box_lines(struct box *box, const char *text)
{
	unsigned found = 0;

	(void)box;
	pthread_mutex_lock(&lines_lock);
	for (unsigned i = 0; i < line_count; i++)
		found += strstr(lines[i], text) != NULL;
	pthread_mutex_unlock(&lines_lock);
	return found;
}

static int spawn(void *data, struct supervisor_child *child)
{
	struct box *box = data;
	int pair[2];
	int res = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pthread_mutex_lock(&box->lock);
	if (box->spawn_broken || box->spawned == WORKERS_MAX) {
		res = -EAGAIN;
	} else {
		box->workers[box->spawned++] = pair[1];
		*child = (struct supervisor_child){pair[0], -1, 0};
	}
	pthread_cond_broadcast(&box->changed);
	pthread_mutex_unlock(&box->lock);
	if (res < 0) {
		close(pair[0]);
		close(pair[1]);
	}
	return res;
}

static int remote(void *data)
{
	struct box *box = data;
	int pair[2];
	int error, stall_ms;

	pthread_mutex_lock(&box->lock);
	error = box->remote_error;
	stall_ms = box->stall_ms;
	pthread_mutex_unlock(&box->lock);
	poll(NULL, 0, stall_ms);
	if (error < 0)
		return error;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	/* Its other end speaks, so that a test can tell that it is this one. */
	if (write(pair[1], "pw", 2) != 2)
		return -EIO;
	close(pair[1]);
	return pair[0];
}

static void on_withdrawn(void *data)
{
	struct box *box = data;

	loop_quit(box->loop, 0);
}

static void on_quit(void *data, uint32_t events)
{
	struct box *box = data;

	(void)events;
	loop_update_io(box->quit_source, 0);
	if (!xen_withdraw(box->xen, on_withdrawn, box))
		loop_quit(box->loop, 0);
}

static void on_reload(void *data, uint32_t events)
{
	struct box *box = data;
	uint64_t count;

	(void)events;
	if (read(box->reload, &count, sizeof(count)) < 0)
		return;
	broker_reload(box->broker);
	control_check(box->control);
	pthread_mutex_lock(&box->lock);
	box->reloads++;
	pthread_cond_broadcast(&box->changed);
	pthread_mutex_unlock(&box->lock);
}

static void on_ready(void *data)
{
	struct box *box = data;

	xen_announce(box->xen);
}

static void on_replace(void *data, uint32_t events)
{
	struct box *box = data;
	uint64_t count;

	(void)events;
	if (read(box->replace, &count, sizeof(count)) == sizeof(count))
		broker_replace_worker(box->broker, "the test wants it");
}

void box_replace_worker(struct box *box)
{
	uint64_t one = 1;

	assert_int_equal(write(box->replace, &one, sizeof(one)), sizeof(one));
}

static void *run(void *data)
{
	struct box *box = data;

	loop_run(box->loop);
	return NULL;
}

uint64_t box_cpu_ns(struct box *box)
{
	clockid_t clock;
	struct timespec used;

	assert_int_equal(pthread_getcpuclockid(box->thread, &clock), 0);
	clock_gettime(clock, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void socket_path(const struct box *box, unsigned vm, char path[108])
{
	snprintf(path, 108, "%s/vm%u", box->folder, vm);
}

static void add_vms(struct box *box, unsigned vms)
{
	for (unsigned i = 1; i <= vms; i++) {
		char path[108], key[8], title[16];
		struct broker_vm vm = {.key = key, .title = title, .socket = path, .mode = 0600};

		socket_path(box, i, path);
		snprintf(key, sizeof(key), "vm%u", i);
		snprintf(title, sizeof(title), "The VM %u", i);
		assert_int_equal(broker_add_vm(box->broker, &vm), 0);
	}
}

/* All that is asked about are our VMs. */
static void policy(void *data, const struct identity *identity, struct policy *policy)
{
	const struct box *box = data;
	unsigned vm;

	if (identity->domid >= 0) {
		policy_init(policy);
		if (box->xen_policy)
			box->xen_policy(identity, policy);
		return;
	}
	vm = (unsigned)strtoul(identity->key + strlen("vm"), NULL, 10);

	*policy = box->policies[vm - 1];
}

static void control_seat(void *data, struct seat_state *seat)
{
	struct box *box = data;

	pthread_mutex_lock(&box->lock);
	*seat = (struct seat_state){box->seat_uid ? SEAT_TAKEN : SEAT_EMPTY, box->seat_uid};
	pthread_mutex_unlock(&box->lock);
}

/* The box of which is asked: one runs at a time. */
static struct box *control_box;

static int control_peer(int fd, gid_t group, struct control_peer *peer)
{
	struct box *box = control_box;

	(void)fd, (void)group;
	pthread_mutex_lock(&box->lock);
	*peer = (struct control_peer){box->control_uid, box->control_uid >= BOX_MEMBERS};
	pthread_mutex_unlock(&box->lock);
	return 0;
}

static const char *control_pipewire(void *data)
{
	(void)data;
	return "/run/test/pipewire-0";
}

static void open_control(struct box *box)
{
	char path[108];
	struct control_setup setup = {.loop = box->loop,
				      .broker = box->broker,
				      .path = path,
				      .seat = control_seat,
				      .pipewire = control_pipewire,
				      .peer = control_peer,
				      .data = box};

	control_box = box;
	snprintf(path, sizeof(path), "%s/control", box->folder);
	assert_int_equal(control_open(&setup, &box->control), 0);
}

static const char *next_keeps;

static void write_consents(const struct box *box)
{
	FILE *file = fopen(box->consents, "we");

	assert_non_null(file);
	fputs(next_keeps, file);
	assert_int_equal(fclose(file), 0);
	next_keeps = NULL;
}

static struct box *make(void)
{
	struct box *box = calloc(1, sizeof(*box));
	struct broker_setup setup = {.spawn = spawn,
				     .remote = remote,
				     .policy = policy,
				     .on_ready = on_ready,
				     .data = box};

	assert_non_null(box);
	snprintf(box->folder, sizeof(box->folder), "/tmp/xaring-box.XXXXXX");
	assert_non_null(mkdtemp(box->folder));
	snprintf(box->consents, sizeof(box->consents), "%s/microphone", box->folder);
	box->fds_before = open_descriptors();
	pthread_mutex_init(&box->lock, NULL);
	pthread_cond_init(&box->changed, NULL);
	box->quit = eventfd(0, EFD_CLOEXEC);
	box->replace = eventfd(0, EFD_CLOEXEC);
	box->reload = eventfd(0, EFD_CLOEXEC);
	assert_true(box->quit >= 0 && box->replace >= 0 && box->reload >= 0);
	forget_lines();
	xaring_log_set(keep_line, XARING_LOG_DEBUG);

	assert_int_equal(loop_create(&box->loop), 0);
	assert_int_equal(loop_add_io(box->loop, box->quit, EPOLLIN, on_quit, box,
				     &box->quit_source),
			 0);
	assert_int_equal(loop_add_io(box->loop, box->replace, EPOLLIN, on_replace, box, NULL), 0);
	assert_int_equal(loop_add_io(box->loop, box->reload, EPOLLIN, on_reload, box, NULL), 0);
	setup.loop = box->loop;
	setup.consent_file = box->consents;
	if (next_keeps)
		write_consents(box);
	assert_int_equal(broker_create(&setup, &box->broker), 0);
	open_control(box);
	return box;
}

static void start(struct box *box)
{
	broker_start(box->broker);
	assert_int_equal(pthread_create(&box->thread, NULL, run, box), 0);
}

struct box *box_start(const struct policy *policies, unsigned vms)
{
	struct box *box = make();

	assert_true(vms <= BOX_VMS_MAX);
	box->vms = vms;
	memcpy(box->policies, policies, vms * sizeof(*policies));
	add_vms(box, vms);
	start(box);
	return box;
}

struct box *box_start_usual(unsigned vms)
{
	struct policy policies[BOX_VMS_MAX];

	for (unsigned i = 0; i < vms; i++)
		policy_init(&policies[i]);
	return box_start(policies, vms);
}

struct box *box_start_xen(box_policy_fn xen_policy)
{
	struct box *box = make();

	box->xen_policy = xen_policy;
	assert_int_equal(xen_open(box->broker, &box->xen), 0);
	start(box);
	return box;
}

static void close_unclaimed(struct box *box)
{
	for (unsigned i = box->taken; i < box->spawned; i++)
		close(box->workers[i]);
}

void box_stop(struct box *box)
{
	uint64_t one = 1;

	assert_int_equal(write(box->quit, &one, sizeof(one)), sizeof(one));
	pthread_join(box->thread, NULL);
	control_close(box->control);
	broker_destroy(box->broker);
	xen_close(box->xen);
	loop_destroy(box->loop);
	close(box->quit);
	close(box->replace);
	close(box->reload);
	close_unclaimed(box);
	xaring_log_set(NULL, XARING_LOG_ERROR);
	forget_lines();
	unlink(box->consents);
	/* The sockets are gone, or the folder could not go. */
	assert_int_equal(rmdir(box->folder), 0);
	assert_int_equal(open_descriptors(), box->fds_before);
	pthread_cond_destroy(&box->changed);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

static struct timespec deadline(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += BOX_DEADLINE_MS / 1000;
	return at;
}

void box_set_policy(struct box *box, unsigned vm, const struct policy *policy)
{
	pthread_mutex_lock(&box->lock);
	box->policies[vm - 1] = *policy;
	pthread_mutex_unlock(&box->lock);
}

void box_reload(struct box *box)
{
	struct timespec until = deadline();
	uint64_t one = 1;
	unsigned before;
	int res = 0;

	pthread_mutex_lock(&box->lock);
	before = box->reloads;
	assert_int_equal(write(box->reload, &one, sizeof(one)), sizeof(one));
	while (box->reloads == before && res == 0)
		res = -pthread_cond_timedwait(&box->changed, &box->lock, &until);
	pthread_mutex_unlock(&box->lock);
	assert_int_equal(res, 0);
}

/* The next worker's end, or -ETIMEDOUT. */
static int take_worker(struct box *box)
{
	struct timespec until = deadline();
	int res = 0;

	pthread_mutex_lock(&box->lock);
	while (box->taken == box->spawned && res == 0)
		res = -pthread_cond_timedwait(&box->changed, &box->lock, &until);
	if (box->taken < box->spawned)
		res = box->workers[box->taken++];
	pthread_mutex_unlock(&box->lock);
	return res;
}

int box_worker(struct box *box)
{
	int fd = take_worker(box);

	assert_true(fd >= 0);
	return fd;
}

unsigned box_workers(struct box *box)
{
	unsigned count;

	pthread_mutex_lock(&box->lock);
	count = box->spawned;
	pthread_mutex_unlock(&box->lock);
	return count;
}

void box_break_spawn(struct box *box, bool broken)
{
	pthread_mutex_lock(&box->lock);
	box->spawn_broken = broken;
	pthread_mutex_unlock(&box->lock);
}

void box_set_remote(struct box *box, int error)
{
	pthread_mutex_lock(&box->lock);
	box->remote_error = error;
	pthread_mutex_unlock(&box->lock);
}

void box_set_stall(struct box *box, int ms)
{
	pthread_mutex_lock(&box->lock);
	box->stall_ms = ms;
	pthread_mutex_unlock(&box->lock);
}

/* ---- a worker ---- */

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) > 0;
}

void worker_expect(int fd, uint32_t type, struct ipc_message *message)
{
	assert_true(is_readable(fd, BOX_DEADLINE_MS));
	assert_int_equal(ipc_receive(fd, message), 0);
	assert_int_equal(message->type, type);
}

void worker_expect_nothing(int fd)
{
	assert_false(is_readable(fd, 100));
}

void worker_expect_end(int fd)
{
	struct ipc_message message;
	int res = 0;

	while (res == 0) {
		assert_true(is_readable(fd, BOX_DEADLINE_MS));
		res = ipc_receive(fd, &message);
		for (int i = 0; i < IPC_FDS_MAX; i++) {
			if (message.fds[i] >= 0)
				close(message.fds[i]);
		}
	}
	assert_int_equal(res, -ENODEV);
	close(fd);
}

void worker_send(int fd, enum ipc_type type, uint32_t vm, uint32_t stream)
{
	struct ipc_message message;

	ipc_message_init(&message, type, vm, stream);
	ipc_send(fd, &message);
}

void worker_send_state(int fd, const struct ipc_message *stream, uint32_t backend, uint32_t reason)
{
	struct ipc_message message;

	ipc_message_init(&message, IPC_STATE, stream->vm, stream->stream);
	message.u.state.backend = backend;
	message.u.state.reason = reason;
	message.u.state.state = XARING_STATE_RUNNING;
	ipc_send(fd, &message);
}

int box_ready_worker(struct box *box, unsigned vms)
{
	int fd = box_worker(box);
	struct ipc_message message;

	for (unsigned i = 1; i <= vms; i++) {
		worker_expect(fd, IPC_VM, &message);
		assert_int_equal(message.vm, i);
	}
	worker_send(fd, IPC_READY, 0, 0);
	return fd;
}

struct live {
	struct live *next;
	uint32_t vm, stream, pages;
};

struct auto_worker {
	struct box *box;
	pthread_t thread;
	int quit;
	pthread_mutex_t lock;
	struct auto_counts counts;
	struct live *live;
};

static void note_use(struct auto_worker *w, uint32_t vm)
{
	uint32_t streams = 0, pages = 0;

	if (vm > BOX_VMS_MAX)
		return;
	for (const struct live *l = w->live; l; l = l->next) {
		streams += l->vm == vm;
		pages += l->vm == vm ? l->pages : 0;
	}
	if (streams > w->counts.largest_streams[vm])
		w->counts.largest_streams[vm] = streams;
	if (pages > w->counts.largest_pages[vm])
		w->counts.largest_pages[vm] = pages;
}

static void auto_stream(struct auto_worker *w, const struct ipc_message *m)
{
	struct live *l = calloc(1, sizeof(*l));
	struct xaring_refusal refusal;
	struct xaring_shape shape = {0};

	if (!l)
		abort();
	/* A shape that the broker should have refused counts as more than is allowed. */
	if (xaring_params_shape(&m->u.stream.params, &shape, &refusal) < 0)
		shape.pages = UINT32_MAX / 2;
	*l = (struct live){w->live, m->vm, m->stream, shape.pages};
	w->live = l;
	w->counts.streams++;
	w->counts.live++;
	note_use(w, m->vm);
}

static void auto_end(struct auto_worker *w, int fd, const struct ipc_message *m)
{
	struct live **at = &w->live;
	struct live *found;

	while (*at && (*at)->stream != m->stream)
		at = &(*at)->next;
	w->counts.ends++;
	found = *at;
	if (!found)
		return;
	*at = found->next;
	w->counts.live--;
	free(found);
	worker_send(fd, IPC_GONE, m->vm, m->stream);
}

static void auto_forget(struct auto_worker *w)
{
	while (w->live) {
		struct live *l = w->live;

		w->live = l->next;
		free(l);
	}
	w->counts.live = 0;
}

static void auto_message(struct auto_worker *w, int fd, struct ipc_message *m)
{
	pthread_mutex_lock(&w->lock);
	if (m->type == IPC_STREAM)
		auto_stream(w, m);
	else if (m->type == IPC_END)
		auto_end(w, fd, m);
	else if (m->type == IPC_KICK)
		w->counts.kicks++;
	pthread_mutex_unlock(&w->lock);
	for (int i = 0; i < IPC_FDS_MAX; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	}
}

/* Returns false when the test is over. */
static bool auto_serve(struct auto_worker *w, int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = w->quit, .events = POLLIN}};
	struct ipc_message m;

	for (;;) {
		int res;

		poll(p, 2, -1);
		if (p[1].revents)
			return false;
		res = ipc_receive(fd, &m);
		if (res == -ENODEV)
			return true;
		if (res == 0)
			auto_message(w, fd, &m);
	}
}

static void *auto_run(void *data)
{
	struct auto_worker *w = data;
	bool again = true;

	while (again) {
		int fd = take_worker(w->box);

		if (fd < 0)
			break;
		pthread_mutex_lock(&w->lock);
		w->counts.starts++;
		auto_forget(w);
		pthread_mutex_unlock(&w->lock);
		worker_send(fd, IPC_READY, 0, 0);
		again = auto_serve(w, fd);
		close(fd);
	}
	return NULL;
}

struct auto_worker *auto_worker_start(struct box *box)
{
	struct auto_worker *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->box = box;
	w->quit = eventfd(0, EFD_CLOEXEC);
	assert_true(w->quit >= 0);
	pthread_mutex_init(&w->lock, NULL);
	assert_int_equal(pthread_create(&w->thread, NULL, auto_run, w), 0);
	return w;
}

void auto_worker_counts(struct auto_worker *w, struct auto_counts *counts)
{
	pthread_mutex_lock(&w->lock);
	*counts = w->counts;
	pthread_mutex_unlock(&w->lock);
}

void auto_worker_stop(struct auto_worker *w)
{
	uint64_t one = 1;

	assert_int_equal(write(w->quit, &one, sizeof(one)), sizeof(one));
	pthread_join(w->thread, NULL);
	auto_forget(w);
	close(w->quit);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* ---- a client ---- */

int client_try_connect(const struct box *box, unsigned vm)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int res;

	if (fd < 0)
		return -errno;
	socket_path(box, vm, address.sun_path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		res = -errno;
		close(fd);
		return res;
	}
	return fd;
}

int client_connect(const struct box *box, unsigned vm)
{
	int fd = client_try_connect(box, vm);

	assert_true(fd >= 0);
	return fd;
}

void client_usual_open(struct xaring_message *message)
{
	memset(message, 0, sizeof(*message));
	message->type = XARING_MESSAGE_OPEN;
	message->u.open.version_min = XARING_PROTOCOL_VERSION_MIN;
	message->u.open.version = XARING_PROTOCOL_VERSION;
	message->u.open.features = XARING_FEATURE_SAME_CLOCK;
	message->u.open.params.direction = XARING_PLAYBACK;
	message->u.open.params.format = XARING_FORMAT_S16;
	message->u.open.params.rate_hz = 48000;
	message->u.open.params.channels = 2;
	message->u.open.params.buffer = 4096;
	message->u.open.params.period = 1024;
	snprintf(message->u.open.name, sizeof(message->u.open.name), "test");
	for (int i = 0; i < XARING_WIRE_FDS; i++)
		message->fds[i] = -1;
}

int client_send_open(int fd, const struct xaring_message *message)
{
	return xaring_wire_send(fd, message);
}

int client_receive(int fd, struct xaring_message *message)
{
	if (!is_readable(fd, BOX_DEADLINE_MS))
		return -ETIMEDOUT;
	return xaring_wire_receive(fd, message);
}

void client_expect_accept(int fd, struct xaring_accept *accept, int fds[XARING_WIRE_FDS])
{
	struct xaring_message message;

	assert_int_equal(client_receive(fd, &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_ACCEPT);
	if (accept)
		*accept = message.u.accept;
	if (fds)
		memcpy(fds, message.fds, sizeof(message.fds));
	else
		xaring_message_finish(&message);
}

void client_expect_end(int fd)
{
	struct xaring_message message;

	assert_int_equal(client_receive(fd, &message), -ENODEV);
	close(fd);
}

void client_expect_refusal(int fd, enum xaring_reason reason, struct xaring_refusal *refusal)
{
	struct xaring_message message;

	assert_int_equal(client_receive(fd, &message), 0);
	assert_int_equal(message.type, XARING_MESSAGE_REFUSE);
	assert_int_equal(message.u.refusal.reason, reason);
	if (refusal)
		*refusal = message.u.refusal;
	client_expect_end(fd);
}

void client_expect_nothing(int fd)
{
	assert_false(is_readable(fd, 100));
}

int client_play(const struct box *box, unsigned vm)
{
	struct xaring_message message;
	int fd = client_connect(box, vm);

	client_usual_open(&message);
	assert_int_equal(client_send_open(fd, &message), 0);
	client_expect_accept(fd, NULL, NULL);
	return fd;
}

/* ---- the control socket ---- */

int box_control(struct box *box, uid_t uid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = BOX_DEADLINE_MS / 1000};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	pthread_mutex_lock(&box->lock);
	box->control_uid = uid;
	pthread_mutex_unlock(&box->lock);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", box->folder);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void box_set_seat(struct box *box, uid_t uid)
{
	pthread_mutex_lock(&box->lock);
	box->seat_uid = uid;
	pthread_mutex_unlock(&box->lock);
	box_reload(box);
}

void box_next_keeps(const char *text)
{
	next_keeps = text;
}

const char *box_consent_file(const struct box *box)
{
	return box->consents;
}
