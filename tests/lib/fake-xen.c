/* SPDX-License-Identifier: MIT */
/* Starts and commands fake-xenstored, which the macro FAKE_XENSTORED names. */
#include "fake-xen.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	abort();
}

static void run_server(const struct fake_xen *xen, pid_t parent, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(out, STDOUT_FILENO) < 0)
		_exit(1);
	execl(FAKE_XENSTORED, FAKE_XENSTORED, xen->folder, (char *)NULL);
	_exit(127);
}

void fake_xen_start(struct fake_xen *xen)
{
	pid_t parent = getpid();
	int ready[2];
	char word[8] = "";

	strcpy(xen->folder, "/tmp/fake-xen.XXXXXX");
	demand(mkdtemp(xen->folder) != NULL, xen->folder);
	demand(pipe(ready) == 0, "pipe");
	xen->pid = fork();
	demand(xen->pid >= 0, "fork");
	if (xen->pid == 0)
		run_server(xen, parent, ready[1]);
	close(ready[1]);
	demand(read(ready[0], word, sizeof(word)) > 0 && strncmp(word, "ready", 5) == 0,
	       FAKE_XENSTORED);
	close(ready[0]);
	fake_xen_be(xen, 0);
}

void fake_xen_stop(struct fake_xen *xen)
{
	char path[80];

	kill(xen->pid, SIGTERM);
	waitpid(xen->pid, NULL, 0);
	(void)snprintf(path, sizeof(path), "%s/control", xen->folder);
	unlink(path);
	rmdir(xen->folder);
	unsetenv("XENSTORED_PATH");
}

void fake_xen_be(const struct fake_xen *xen, uint32_t domid)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/%u", xen->folder, domid);
	demand(setenv("XENSTORED_PATH", path, 1) == 0, "setenv");
}

static int connect_to(const struct fake_xen *xen, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", xen->folder, name);
	demand(fd >= 0, "socket");
	demand(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, address.sun_path);
	return fd;
}

static void read_message(int fd, uint32_t type)
{
	struct xsd_sockmsg header;
	char body[XENSTORE_PAYLOAD_MAX];

	demand(recv(fd, &header, sizeof(header), MSG_WAITALL) == (ssize_t)sizeof(header),
	       "a header");
	demand(header.type == type && header.len <= sizeof(body), "what was expected");
	demand(recv(fd, body, header.len, MSG_WAITALL) == (ssize_t)header.len, "a body");
}

int fake_xen_watch(const struct fake_xen *xen, uint32_t domid, const char *path)
{
	struct xsd_sockmsg header = {.type = XS_WATCH};
	char name[16], body[512];
	int fd;

	(void)snprintf(name, sizeof(name), "%u", domid);
	fd = connect_to(xen, name);
	header.len = (uint32_t)snprintf(body, sizeof(body), "%s%c%s", path, 0, "token") + 1;
	demand(send(fd, &header, sizeof(header), MSG_NOSIGNAL) == (ssize_t)sizeof(header), "send");
	demand(send(fd, body, header.len, MSG_NOSIGNAL) == (ssize_t)header.len, "send");
	read_message(fd, XS_WATCH);
	read_message(fd, XS_WATCH_EVENT);
	return fd;
}

static bool ask(const struct fake_xen *xen, char *answer, size_t bytes, const char *format,
		va_list args)
{
	int fd = connect_to(xen, "control");
	char text[8192];
	size_t have = 0;
	ssize_t res;

	vdprintf(fd, format, args);
	dprintf(fd, "\n");
	while ((res = read(fd, text + have, sizeof(text) - have - 1)) > 0)
		have += (size_t)res;
	close(fd);
	while (have > 0 && text[have - 1] == '\n')
		have--;
	text[have] = 0;
	if (answer)
		(void)snprintf(answer, bytes, "%s", have > 3 ? text + 3 : "");
	return strncmp(text, "ok", 2) == 0;
}

bool fake_xen_ask(const struct fake_xen *xen, char *answer, size_t bytes, const char *format, ...)
{
	va_list args;
	bool success;

	va_start(args, format);
	success = ask(xen, answer, bytes, format, args);
	va_end(args);
	return success;
}

void fake_xen_do(const struct fake_xen *xen, const char *format, ...)
{
	va_list args;
	bool success;

	va_start(args, format);
	success = ask(xen, NULL, 0, format, args);
	va_end(args);
	demand(success, format);
}
