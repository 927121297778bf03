/* SPDX-License-Identifier: MIT */
/*
 * Runs commands in a guest for dom0, by xenstore alone: no network, no event channel, and nothing that
 * save and restore would break, since the guest's kernel sets its watches anew.
 *
 *   xen-agent serve                          in the guest, as root
 *   xen-agent wait FILE                      in the guest: prints it as soon as there is something in it;
 *                                            a shell that looks again and again is a load in an emulator
 *   xen-agent fill PATH FIRST COUNT TEXT     in the guest: writes PATH/FIRST and so on, and prints how many of
 *                                            them xenstored has taken
 *   xen-agent run NAME SECONDS COMMAND       in dom0: prints what the command says, exits with its code;
 *                                            124 after the deadline, 125 when the guest does not answer
 *   xen-agent domid NAME                     in dom0: prints it, or fails
 *
 * Below data/test of the guest's home: dom0 writes command, "NUMBER SECONDS TEXT", the guest output/0 and
 * so on, as much as fits into a node each, then result, "NUMBER CODE NODES". A number is never used twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

#define NODE_BYTES   1900 /* xenstored takes 2048 with the path */
#define OUTPUT_BYTES (512 * NODE_BYTES)
#define WRITERS      8  /* at once, since each waits most of the time for xenstored's answer */
#define GRACE_S      10 /* how long the guest may take beyond the deadline of the command */

#define CODE_DEADLINE  124
#define CODE_NO_ANSWER 125

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "xen-agent: %s: %s\n", what, strerror(errno));
	exit(CODE_NO_ANSWER);
}

/* ---- in the guest ---- */

static char output[OUTPUT_BYTES];

static void write_node(struct xs_handle *xs, const char *path, const char *text, size_t length)
{
	if (!xs_write(xs, XBT_NULL, path, text, (unsigned int)length))
		fprintf(stderr, "xen-agent: %s: %s\n", path, strerror(errno));
}

/* What the command has open, and a session of its own, which ends as a whole. */
static int spawn_shell(const char *text, int out, pid_t *pid)
{
	char name[] = "sh", option[] = "-c";
	char *argv[] = {name, option, (char *)text, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int res;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, out, 2);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	res = posix_spawn(pid, "/bin/sh", &files, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -res;
}

/*
 * Returns the process, whose standard output and error come out of the pipe. A fork copies tables of pages, and
 * each of them is a hypercall in a PV guest.
 */
static pid_t start_command(const char *text, int pipe_fd[2])
{
	pid_t pid;
	int res;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	res = spawn_shell(text, pipe_fd[1], &pid);
	close(pipe_fd[1]);
	if (res < 0)
		close(pipe_fd[0]);
	return res < 0 ? res : pid;
}

/* Reads what the command says until it ends or its time is over; what does not fit is lost. */
static size_t collect(int fd, uint64_t deadline_ns, bool *late)
{
	size_t length = 0;

	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		int64_t left_ms = (int64_t)(deadline_ns - now_ns()) / 1000000;
		char waste[512];
		bool full = length == sizeof(output);
		ssize_t n;

		*late = left_ms <= 0;
		if (*late)
			return length;
		if (poll(&pfd, 1, (int)left_ms) <= 0)
			continue;
		n = full ? read(fd, waste, sizeof(waste))
			 : read(fd, output + length, sizeof(output) - length);
		if (n <= 0)
			return length;
		length += full ? 0 : (size_t)n;
	}
}

static int wait_command(pid_t pid, bool late)
{
	int status = 0;

	if (late)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (late)
		return CODE_DEADLINE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_command(const char *text, unsigned int seconds, size_t *length)
{
	bool late = false;
	int fds[2];
	pid_t pid = start_command(text, fds);

	*length = 0;
	if (pid < 0)
		return 126;
	*length = collect(fds[0], now_ns() + seconds * UINT64_C(1000000000), &late);
	close(fds[0]);
	return wait_command(pid, late);
}

static void answer(struct xs_handle *xs, uint64_t number, int code, size_t length)
{
	size_t nodes = 0;
	char path[64], text[64];

	for (size_t at = 0; at < length; at += NODE_BYTES, nodes++) {
		size_t part = length - at < NODE_BYTES ? length - at : NODE_BYTES;

		snprintf(path, sizeof(path), "data/test/output/%zu", nodes);
		write_node(xs, path, output + at, part);
	}
	snprintf(text, sizeof(text), "%" PRIu64 " %d %zu", number, code, nodes);
	write_node(xs, "data/test/result", text, strlen(text));
}

/* Runs the command that is there now, unless it was run before. */
static void look(struct xs_handle *xs, uint64_t *last)
{
	unsigned int size, seconds;
	char *command = xs_read(xs, XBT_NULL, "data/test/command", &size);
	uint64_t number;
	size_t length;
	int at = 0, code;

	if (command && sscanf(command, "%" SCNu64 " %u %n", &number, &seconds, &at) == 2 && at &&
	    number != *last) {
		*last = number;
		code = run_command(command + at, seconds, &length);
		answer(xs, number, code, length);
	}
	free(command);
}

/* Programs that a command left behind are children of init, which collects them. */
static _Noreturn void serve(void)
{
	struct xs_handle *xs = xs_open(0);
	uint64_t last = 0;

	if (!xs || !xs_watch(xs, "data/test/command", "command"))
		die("xenstore");
	for (;;) {
		unsigned int n;
		char **event = xs_read_watch(xs, &n);

		if (!event)
			die("watch");
		free(event);
		look(xs, &last);
	}
}

static bool print_file(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t length = file ? fread(output, 1, sizeof(output), file) : 0;

	if (file)
		fclose(file);
	fwrite(output, 1, length, stdout);
	return length > 0;
}

/* Whoever asks has a deadline. */
static int wait_for_file(const char *path)
{
	const char *name = strrchr(path, '/');
	int fd = inotify_init1(IN_CLOEXEC);
	char folder[PATH_MAX], events[4096];

	if (!name) {
		errno = EINVAL;
		die(path);
	}
	snprintf(folder, sizeof(folder), "%.*s", (int)(name - path), path);
	if (fd < 0 || inotify_add_watch(fd, folder, IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
		die(folder);
	while (!print_file(path)) {
		if (read(fd, events, sizeof(events)) < 0 && errno != EINTR)
			die(folder);
	}
	return 0;
}

static unsigned int write_nodes(const char *path, unsigned int first, unsigned int end,
				const char *text)
{
	struct xs_handle *xs = xs_open(0);
	unsigned int taken = 0;
	char node[PATH_MAX];

	if (!xs)
		die("xenstore");
	for (unsigned int i = first; i < end; i++) {
		snprintf(node, sizeof(node), "%s/%u", path, i);
		taken += xs_write(xs, XBT_NULL, node, text, (unsigned int)strlen(text));
	}
	xs_close(xs);
	return taken;
}

static int fill(const char *path, unsigned int first, unsigned int count, const char *text)
{
	unsigned int *taken = mmap(NULL, WRITERS * sizeof(*taken), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int sum = 0;

	if (taken == MAP_FAILED)
		die("memory");
	for (unsigned int i = 0; i < WRITERS; i++) {
		if (fork() == 0) {
			taken[i] = write_nodes(path, first + count * i / WRITERS,
					       first + count * (i + 1) / WRITERS, text);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (unsigned int i = 0; i < WRITERS; i++)
		sum += taken[i];
	printf("%u\n", sum);
	return 0;
}

/* ---- in dom0 ---- */

static void print_output(struct xs_handle *xs, const char *home, unsigned int nodes)
{
	char path[128];

	for (unsigned int i = 0; i < nodes; i++) {
		unsigned int size;
		char *text;

		snprintf(path, sizeof(path), "%s/output/%u", home, i);
		text = xs_read(xs, XBT_NULL, path, &size);
		if (text)
			fwrite(text, 1, size, stdout);
		free(text);
	}
	if (nodes > 0) {
		snprintf(path, sizeof(path), "%s/output", home);
		xs_rm(xs, XBT_NULL, path);
	}
	fflush(stdout);
}

/* Returns the exit code, or -1 while there is none. */
static int look_for_result(struct xs_handle *xs, const char *home, uint64_t number)
{
	unsigned int size, nodes = 0;
	uint64_t of = 0;
	char path[128];
	char *text;
	int code = -1;

	snprintf(path, sizeof(path), "%s/result", home);
	text = xs_read(xs, XBT_NULL, path, &size);
	if (text && sscanf(text, "%" SCNu64 " %d %u", &of, &code, &nodes) == 3 && of == number)
		print_output(xs, home, nodes);
	else
		code = -1;
	free(text);
	return code;
}

static int await_result(struct xs_handle *xs, const char *home, uint64_t number,
			unsigned int seconds)
{
	uint64_t deadline_ns = now_ns() + seconds * UINT64_C(1000000000);
	struct pollfd pfd = {.fd = xs_fileno(xs), .events = POLLIN};

	for (;;) {
		int64_t left_ms = (int64_t)(deadline_ns - now_ns()) / 1000000;
		char **event;
		int code;

		while ((event = xs_check_watch(xs)))
			free(event);
		code = look_for_result(xs, home, number);
		if (code >= 0)
			return code;
		if (left_ms <= 0)
			return CODE_NO_ANSWER;
		poll(&pfd, 1, left_ms < 1000 ? (int)left_ms : 1000);
	}
}

/* The guest with that name; the newest when several have it, as while one is moved. */
static int find_domain(struct xs_handle *xs, const char *name, unsigned int *domid)
{
	unsigned int n = 0, size, id;
	char **ids = xs_directory(xs, XBT_NULL, "/local/domain", &n);
	char path[64];
	int res = -ENOENT;

	for (unsigned int i = 0; ids && i < n; i++) {
		char *of;

		snprintf(path, sizeof(path), "/local/domain/%s/name", ids[i]);
		of = xs_read(xs, XBT_NULL, path, &size);
		id = (unsigned int)strtoul(ids[i], NULL, 10);
		if (of && strcmp(of, name) == 0 && (res < 0 || id > *domid)) {
			*domid = id;
			res = 0;
		}
		free(of);
	}
	free(ids);
	return res;
}

static int print_domid(const char *name)
{
	struct xs_handle *xs = xs_open(0);
	unsigned int domid;

	if (!xs)
		die("xenstore");
	if (find_domain(xs, name, &domid) < 0)
		return 1;
	printf("%u\n", domid);
	return 0;
}

static int run(const char *name, unsigned int seconds, const char *text)
{
	struct xs_handle *xs = xs_open(0);
	uint64_t number = now_ns();
	char home[64], path[128], command[4096];
	unsigned int domid;

	if (!xs)
		die("xenstore");
	if (find_domain(xs, name, &domid) < 0)
		return CODE_NO_ANSWER;
	snprintf(home, sizeof(home), "/local/domain/%u/data/test", domid);
	snprintf(path, sizeof(path), "%s/result", home);
	if (!xs_watch(xs, path, "result"))
		die("watch");
	snprintf(command, sizeof(command), "%" PRIu64 " %u %s", number, seconds, text);
	snprintf(path, sizeof(path), "%s/command", home);
	if (!xs_write(xs, XBT_NULL, path, command, (unsigned int)strlen(command)))
		die(path);
	return await_result(xs, home, number, seconds + GRACE_S);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		serve();
	if (argc == 3 && strcmp(argv[1], "wait") == 0)
		return wait_for_file(argv[2]);
	if (argc == 6 && strcmp(argv[1], "fill") == 0)
		return fill(argv[2], (unsigned int)strtoul(argv[3], NULL, 10),
			    (unsigned int)strtoul(argv[4], NULL, 10), argv[5]);
	if (argc == 5 && strcmp(argv[1], "run") == 0)
		return run(argv[2], (unsigned int)strtoul(argv[3], NULL, 10), argv[4]);
	if (argc == 3 && strcmp(argv[1], "domid") == 0)
		return print_domid(argv[2]);
	fprintf(stderr,
		"usage: xen-agent serve | xen-agent wait FILE | "
		"xen-agent fill PATH FIRST COUNT TEXT | xen-agent run NAME SECONDS COMMAND | xen-agent domid NAME\n");
	return 2;
}
