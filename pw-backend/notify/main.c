/* SPDX-License-Identifier: MIT */
/*
 * xaring-notify: starts in a user's session, and ends with it, or when there is nothing to do in it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-event.h>

#include <xaring/log.h>

#include "journal.h"
#include "notifier.h"
#include "options.h"
#include "start.h"

/* Without a handler of ours they end the loop. */
static int watch_signals(sd_event *loop)
{
	sigset_t set;
	int res;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	res = sd_event_add_signal(loop, NULL, SIGTERM, NULL, NULL);
	return res < 0 ? res : sd_event_add_signal(loop, NULL, SIGINT, NULL, NULL);
}

static int run(sd_event *loop, const char *socket)
{
	struct notifier *notifier;
	int res = notifier_open(loop, socket, &notifier);

	if (res == -ENOTCONN) {
		xaring_log(XARING_LOG_INFO, "nothing to do here: there is no session bus");
		return EXIT_SUCCESS;
	}
	if (res < 0)
		return res;
	res = sd_event_loop(loop);
	notifier_close(notifier);
	return res;
}

int main(int argc, char **argv)
{
	struct options options;
	sd_event *loop = NULL;
	int code = options_parse(&options, argc, argv), res;

	if (code >= 0)
		return code;
	journal_start(options.verbose);
	res = sd_event_new(&loop);
	if (res >= 0)
		res = watch_signals(loop);
	if (res >= 0)
		res = run(loop, options.socket);
	sd_event_unref(loop);
	return res < 0 ? start_fail(EXIT_FAILURE, "it fails: %s", strerror(-res)) : res;
}
