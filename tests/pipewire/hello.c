/* SPDX-License-Identifier: MIT */
/*
 * A PipeWire that says hello and hangs up: passes on what the real one at the second path says first, to
 * whoever connects to the first path, and ends the connection. Prints a line for each.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_MS 10 /* what is sent is read before the end is seen */

static int make_socket(const char *path, int (*use)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || use(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* Returns false when there is nothing more to come. */
static int pass_on(int from, int to)
{
	static char bytes[65536];
	ssize_t length = read(from, bytes, sizeof(bytes));

	return length > 0 && send(to, bytes, (size_t)length, MSG_NOSIGNAL) == length;
}

static void say_hello(int client, int server)
{
	struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};

	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents && !pass_on(client, server))
			return;
		if (!fds[1].revents)
			continue;
		if (pass_on(server, client))
			poll(NULL, 0, READ_MS);
		return;
	}
}

int main(int argc, char **argv)
{
	int listener, client;

	if (argc != 3)
		return 2;
	listener = make_socket(argv[1], bind);
	if (listen(listener, 16) < 0)
		return 1;
	while ((client = accept(listener, NULL, NULL)) >= 0) {
		int server = make_socket(argv[2], connect);

		puts("hello");
		fflush(stdout);
		say_hello(client, server);
		close(client);
		close(server);
	}
	return 1;
}
