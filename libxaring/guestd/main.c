/* SPDX-License-Identifier: MIT */
/*
 * xaring-guestd: puts the daemon together from command line and environment, and runs it; or says
 * how things are (status.h).
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef XARING_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <xaring/log.h>
#include <xaring/server.h>

#include "guestd.h"
#include "journal.h"
#include "loop.h"
#include "notify.h"
#include "options.h"
#include "start.h"
#include "state-folder.h"
#include "status.h"

/* Our own, connections, and one for the pages of each of as many streams as there may be. */
#define DESCRIPTORS 1024

struct daemon {
	struct options options;
	struct loop *loop;
	struct guestd *guestd;
};

#ifdef XARING_SYSTEMD
/* Returns the socket that the service manager has opened for us, or -ENOENT. */
static int find_activated(void)
{
	int count = sd_listen_fds(1);

	if (count > 1)
		return -EINVAL;
	return count == 1 ? SD_LISTEN_FDS_START : -ENOENT;
}
#else
static int find_activated(void)
{
	return -ENOENT;
}
#endif

static int open_own_socket(const struct daemon *d, struct xaring_listener **out)
{
	char path[PATH_MAX];
	int res;

	snprintf(path, sizeof(path), "%s/" STATUS_SOCKET, d->options.runtime_dir);
	res = xaring_listener_open(path, 0666, out);
	if (res == -EINVAL)
		return start_fail(EXIT_USAGE,
				  "the path %s is too long: at most 107 bytes are accepted, give a "
				  "shorter --runtime-dir",
				  path);
	if (res < 0)
		return start_fail(EXIT_FAILURE, "it cannot listen at %s: %s", path, strerror(-res));
	xaring_log(XARING_LOG_INFO, "listening at %s", path);
	return 0;
}

static int open_socket(const struct daemon *d, struct xaring_listener **out)
{
	int fd = find_activated();
	int res;

	if (fd == -ENOENT)
		return open_own_socket(d, out);
	res = fd < 0 ? fd : xaring_listener_adopt(fd, out);
	if (res < 0)
		return start_fail(
			EXIT_FAILURE,
			"what the service manager passed is no socket to listen at: one is "
			"accepted, ListenSequentialPacket= in a unit");
	xaring_log(XARING_LOG_INFO, "listening at the socket of the service manager");
	return 0;
}

static void on_ready(void *data)
{
	(void)data;
	xaring_log(XARING_LOG_INFO, "ready");
	notify_send("READY=1\nSTATUS=Ready");
}

static void on_stop(void *data, int signal)
{
	struct daemon *d = data;

	(void)signal;
	loop_quit(d->loop, EXIT_SUCCESS);
}

/* Before any thread is started: the signals are blocked for all of them. */
static int watch_signals(struct daemon *d)
{
	int res = loop_add_signal(d->loop, SIGTERM, on_stop, d, NULL);

	if (res == 0)
		res = loop_add_signal(d->loop, SIGINT, on_stop, d, NULL);
	return res < 0 ? start_fail(EXIT_FAILURE, "it cannot start: %s", strerror(-res)) : 0;
}

static int create_guestd(struct daemon *d)
{
	char path[PATH_MAX];
	struct guestd_setup setup = {.loop = d->loop,
				     .volume_file = state_folder_file(d->options.state_dir,
								      "volume", path),
				     .pages = d->options.pages,
				     .user_pages = d->options.user_pages,
				     .on_ready = on_ready,
				     .data = d};
	int res = open_socket(d, &setup.listener);

	if (res != 0)
		return res;
	res = guestd_create(&setup, &d->guestd);
	return res < 0 ? start_fail(EXIT_FAILURE, "it cannot start: %s", strerror(-res)) : 0;
}

static int run_guestd(struct daemon *d)
{
	int res = loop_create(&d->loop);

	if (res < 0)
		return start_fail(EXIT_FAILURE, "it cannot start: %s", strerror(-res));
	signal(SIGPIPE, SIG_IGN);
	start_raise_descriptors(DESCRIPTORS);
	res = watch_signals(d);
	if (res == 0)
		res = create_guestd(d);
	if (res == 0) {
		res = loop_run(d->loop);
		notify_send("STOPPING=1");
	}
	guestd_destroy(d->guestd);
	loop_destroy(d->loop);
	return res < 0 ? start_fail(EXIT_FAILURE, "it fails: %s", strerror(-res)) : res;
}

static int run_daemon(struct daemon *d)
{
	int res = start_claim_folder(d->options.runtime_dir, STATUS_LOCK);

	return res == 0 ? run_guestd(d) : res;
}

int main(int argc, char **argv)
{
	static struct daemon d;
	int code = options_parse(&d.options, argc, argv);

	if (code >= 0)
		return code;
	if (d.options.status)
		return status_run(d.options.runtime_dir, d.options.json);
	journal_start(d.options.verbose);
	/* Anybody in this guest may connect, however we were started. */
	umask(022);
	return run_daemon(&d);
}
