/* SPDX-License-Identifier: MIT */
/*
 * The processes of a guest without Xen, and the ways to talk to them. Knows guestd by its public
 * header only.
 */
#include "guest-box.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

#include <xaring/log.h>
#include <xaring/server.h>

#include "fake-grants.h"
#include "gntalloc.h"
#include "gntdev.h"
#include "guestd.h"
#include "loop.h"
#include "recorders.h"

#define STEP_MS     2
#define FIRST_DOMID 7

uint64_t box_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* For loops that look again: fails the test when the deadline is over. Does the kernel's work. */
static void look_again(uint64_t until_ms, const char *what)
{
	if (box_now_ms() >= until_ms)
		fail_msg("%s: the deadline is over", what);
	fake_grants_reap();
	(void)poll(NULL, 0, STEP_MS);
}

static uint64_t deadline(void)
{
	return box_now_ms() + BOX_DEADLINE_MS;
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) > 0;
}

/* ---- processes ---- */

/* A child that dies with us. Returns 0 in it. */
static pid_t begin_child(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	return 0;
}

static void wait_ready(int fd)
{
	char word[16] = "";

	assert_true(is_readable(fd, BOX_DEADLINE_MS));
	assert_true(read(fd, word, sizeof(word) - 1) > 0);
	assert_int_equal(strncmp(word, "ready", 5), 0);
}

static FILE *log_file;

static void write_log(enum xaring_log_level level, const char *text)
{
	(void)level;
	fprintf(log_file, "%s\n", text);
	fflush(log_file);
}

static void set_environment(const struct box *box)
{
	char number[16];

	/* The way there stays the same when it is restored. */
	fake_xen_be(&box->xen, FIRST_DOMID);
	snprintf(number, sizeof(number), "%u", FIRST_DOMID);
	setenv("FAKE_DOMID", number, 1);
	snprintf(number, sizeof(number), "%u", box->device_pages);
	setenv("FAKE_GRANTS_LIMIT", number, 1);
	if (box->device_pages == 0)
		fake_grants_destroy();
}

static void on_ready(void *data)
{
	const int *ready = data;

	(void)!write(*ready, "ready", 5);
}

static void on_stop(void *data, int signal)
{
	(void)signal;
	loop_quit(data, 0);
}

/* Of the process that is guestd. */
static const struct box *own_box;

static int find_group(const char *name, gid_t *gid)
{
	(void)name;
	if (own_box->audio == 0)
		return -ENOENT;
	*gid = own_box->audio;
	return 0;
}

static bool is_at_seat(uid_t uid)
{
	return uid == own_box->local_uid;
}

static const struct recorders_system own_system = {.find_group = find_group,
						   .is_at_seat = is_at_seat};

static int run_guestd(const struct box *box, int ready)
{
	struct guestd_setup setup = {.pages = box->pages,
				     .user_pages = box->user_pages,
				     .system = &own_system,
				     .on_ready = on_ready,
				     .data = &ready};
	struct guestd *guestd;
	char path[108], volume_file[108];
	int res;

	own_box = box;
	snprintf(volume_file, sizeof(volume_file), "%s/volume", box->folder);
	setup.volume_file = volume_file;
	snprintf(path, sizeof(path), "%s/log", box->folder);
	log_file = fopen(path, "ae");
	xaring_log_set(write_log, XARING_LOG_DEBUG);
	set_environment(box);
	snprintf(path, sizeof(path), "%s/socket", box->folder);
	if (!log_file || loop_create(&setup.loop) < 0 ||
	    loop_add_signal(setup.loop, SIGTERM, on_stop, setup.loop, NULL) < 0 ||
	    xaring_listener_open(path, 0666, &setup.listener) < 0 ||
	    guestd_create(&setup, &guestd) < 0)
		return 99;
	res = loop_run(setup.loop);
	guestd_destroy(guestd);
	loop_destroy(setup.loop);
	fclose(log_file);
	return res;
}

void box_begin_guestd(struct box *box)
{
	int ready[2];

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	box->guestd = begin_child();
	if (box->guestd == 0) {
		close(ready[0]);
		/* With the sanitizer's check for leaks. */
		exit(run_guestd(box, ready[1]));
	}
	close(ready[1]);
	wait_ready(ready[0]);
	close(ready[0]);
}

static void wait_child(pid_t pid, int signal)
{
	uint64_t until_ms = deadline();
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0)
		look_again(until_ms, "the end of a process");
	if (signal == SIGKILL)
		return;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

void box_end_guestd(struct box *box, int signal)
{
	kill(box->guestd, signal);
	wait_child(box->guestd, signal);
	box->guestd = 0;
}

struct box *box_start(void)
{
	struct box *box = calloc(1, sizeof(*box));

	assert_non_null(box);
	fake_grants_create();
	fake_xen_start(&box->xen);
	setenv("FAKE_DOMID", "0", 1);
	snprintf(box->folder, sizeof(box->folder), "/tmp/xaring-guest.XXXXXX");
	assert_non_null(mkdtemp(box->folder));
	chmod(box->folder, 0755);
	box->domid = FIRST_DOMID;
	box->pages = XARING_GUEST_PAGES_MAX;
	box->user_pages = XARING_GUEST_PAGES_MAX / 2;
	box->device_pages = 1024;
	fake_xen_do(&box->xen, "create %u guest 00000000-0000-0000-0000-000000000007", box->domid);
	return box;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void box_stop(struct box *box)
{
	if (box->guestd > 0)
		box_end_guestd(box, SIGTERM);
	fake_xen_stop(&box->xen);
	fake_grants_destroy();
	nftw(box->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(box);
}

unsigned box_lines(const struct box *box, const char *text)
{
	unsigned found = 0;
	char path[80], line[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/log", box->folder);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		found += strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return found;
}

void box_wait_line(const struct box *box, const char *text)
{
	uint64_t until_ms = deadline();

	while (box_lines(box, text) == 0)
		look_again(until_ms, text);
}

/* ---- xenstore ---- */

static int connect_to(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	int res;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	res = -errno;
	close(fd);
	return res;
}

static char answer[65536];

const char *box_store(const struct box *box, const char *format, ...)
{
	char line[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (!fake_xen_ask(&box->xen, answer, sizeof(answer), "%s", line))
		fail_msg("xenstored: %s", line);
	return answer;
}

const char *box_node(const struct box *box, const char *path)
{
	bool there = fake_xen_ask(&box->xen, answer, sizeof(answer),
				  "read /local/domain/%u/data/xaring/%s", box->domid, path);

	return there ? answer : NULL;
}

const char *box_wait_node(const struct box *box, const char *path)
{
	uint64_t until_ms = deadline();
	const char *text;

	while (!(text = box_node(box, path)))
		look_again(until_ms, path);
	return text;
}

void box_wait_no_node(const struct box *box, const char *path)
{
	uint64_t until_ms = deadline();

	while (box_node(box, path))
		look_again(until_ms, path);
}

static const char *list_streams(const struct box *box)
{
	bool there = fake_xen_ask(&box->xen, answer, sizeof(answer),
				  "list /local/domain/%u/data/xaring/stream", box->domid);

	return there ? answer : "";
}

static unsigned count_words(const char *text)
{
	unsigned count = 0;

	for (const char *at = text; *at; at++)
		count += *at != ' ' && (at == text || at[-1] == ' ');
	return count;
}

void box_wait_streams(const struct box *box, unsigned count)
{
	uint64_t until_ms = deadline();

	while (count_words(list_streams(box)) != count)
		look_again(until_ms, "the number of streams");
}

/* The number of a stream with that epoch, or of any for 0; UINT32_MAX when there is none. */
static uint32_t find_offer(const struct box *box, uint64_t epoch, struct offer *offer)
{
	struct xaring_refusal refusal;
	char path[64], *list, *rest, *word;
	uint32_t number = UINT32_MAX;

	list = rest = strdup(list_streams(box));
	while ((word = strsep(&rest, " ")) != NULL && number == UINT32_MAX) {
		const char *text;

		snprintf(path, sizeof(path), "stream/%s", word);
		text = box_node(box, path);
		if (text && offer_decode(text, strlen(text), offer, &refusal) == 0 &&
		    (epoch == 0 || offer->open.epoch == epoch))
			number = (uint32_t)strtoul(word, NULL, 10);
	}
	free(list);
	return number;
}

uint32_t box_offer(const struct box *box, uint64_t epoch, struct offer *offer)
{
	uint64_t until_ms = deadline();
	uint32_t number;

	while ((number = find_offer(box, epoch, offer)) == UINT32_MAX)
		look_again(until_ms, "the offer");
	return number;
}

unsigned box_operations(const struct box *box)
{
	return (unsigned)strtoul(box_store(box, "count %u", box->domid), NULL, 10);
}

/* As the broker does: everybody may read the node. */
static void write_backend(const char *path)
{
	struct xs_permissions everybody = {.perms = XS_PERM_READ};
	static const char text[] = "version=1 version-min=1";
	struct xs_handle *xs = xs_open(XS_OPEN_SOCKETONLY);

	assert_non_null(xs);
	assert_true(xs_write(xs, XBT_NULL, path, text, (unsigned)strlen(text)));
	assert_true(xs_set_permissions(xs, XBT_NULL, path, &everybody, 1));
	xs_close(xs);
}

void box_set_backend(const struct box *box, uint32_t domid, bool present)
{
	char path[80];

	snprintf(path, sizeof(path), "/local/domain/%u/data/xaring/backend", domid);
	if (present)
		write_backend(path);
	else
		box_store(box, "rm %s", path);
}

void box_answer(const struct box *box, uint32_t number, const struct xaring_refusal *refusal)
{
	char text[ANSWER_TEXT_MAX + 1];

	answer_encode(refusal, text);
	box_store(box, "write /local/domain/%u/data/xaring/stream/%u/answer %s", box->domid, number,
		  text);
}

void box_restore(struct box *box, uint32_t domid)
{
	fake_grants_revoke(box->domid);
	fake_grants_moved(box->domid, domid);
	box_store(box, "create %u guest 00000000-0000-0000-0000-%012u", domid, domid);
	box_store(box, "restore %u %u", box->domid, domid);
	box->domid = domid;
}

/* ---- pages ---- */

static void be(uint32_t domid)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", domid);
	setenv("FAKE_DOMID", number, 1);
}

int box_map(const struct box *box, uint32_t domid, const struct offer *offer,
	    struct xaring_pages *pages)
{
	struct xaring_refusal refusal;
	struct gntdev_pages granted;
	struct xaring_shape shape;
	int res;

	assert_int_equal(xaring_params_shape(&offer->open.params, &shape, &refusal), 0);
	be(domid);
	res = gntdev_stream(box->domid, offer, &granted);
	if (res == 0) {
		res = xaring_pages_map(pages, &shape, granted.fd, granted.control_offset,
				       granted.fd, granted.data_offset, false);
		close(granted.fd);
	}
	be(0);
	return res;
}

uint32_t box_granted(const struct box *box)
{
	fake_grants_reap();
	return fake_grants_count(box->domid).granted;
}

void box_wait_granted(const struct box *box, uint32_t pages)
{
	uint64_t until_ms = deadline();

	while (box_granted(box) != pages)
		look_again(until_ms, "the number of granted pages");
}

int box_take_pages(uint32_t domid, uint32_t data_pages)
{
	struct xaring_shape shape = {.data_pages = data_pages, .pages = data_pages + 1};
	struct gntalloc_pages pages;
	int res;

	be(domid);
	res = gntalloc_stream(0, &shape, XARING_PLAYBACK, &pages);
	be(0);
	assert_int_equal(res, 0);
	return pages.fd;
}

/* ---- programs ---- */

int client_try_connect(const struct box *box)
{
	char path[108];

	snprintf(path, sizeof(path), "%s/socket", box->folder);
	return connect_to(path, SOCK_SEQPACKET);
}

int client_rush(const struct box *box)
{
	char path[108];
	int fd;

	snprintf(path, sizeof(path), "%s/socket", box->folder);
	fd = connect_to(path, SOCK_SEQPACKET | SOCK_NONBLOCK);
	if (fd >= 0)
		assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
	return fd;
}

int client_connect(const struct box *box)
{
	int fd = client_try_connect(box);

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

int client_send(int fd, const struct xaring_message *message)
{
	return xaring_wire_send(fd, message);
}

bool client_is_readable(int fd, int timeout_ms)
{
	return is_readable(fd, timeout_ms);
}

int client_receive(int fd, struct xaring_message *message)
{
	if (!is_readable(fd, BOX_DEADLINE_MS))
		return -ETIMEDOUT;
	return xaring_wire_receive(fd, message);
}

int client_open(const struct box *box, uint64_t epoch)
{
	struct xaring_message open;
	int fd = client_connect(box);

	client_usual_open(&open);
	open.u.open.epoch = epoch;
	assert_int_equal(client_send(fd, &open), 0);
	return fd;
}

void client_expect(int fd, enum xaring_message_type type, struct xaring_message *message)
{
	assert_int_equal(client_receive(fd, message), 0);
	assert_int_equal(message->type, type);
	xaring_message_finish(message);
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

	client_expect(fd, XARING_MESSAGE_REFUSE, &message);
	assert_int_equal(message.u.refusal.reason, reason);
	if (refusal)
		*refusal = message.u.refusal;
	client_expect_end(fd);
}

void client_kick(int fd, enum xaring_kick kick)
{
	struct xaring_message message = {.type = XARING_MESSAGE_KICK,
					 .u.kick = kick,
					 .fds = {-1, -1, -1}};

	assert_int_equal(client_send(fd, &message), 0);
}

int client_play(const struct box *box, struct xaring_accept *accept)
{
	struct xaring_message message;
	int fd = client_open(box, 0);

	client_expect(fd, XARING_MESSAGE_ACCEPT, &message);
	if (accept)
		*accept = message.u.accept;
	return fd;
}
