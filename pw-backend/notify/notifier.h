/* SPDX-License-Identifier: MIT */
/*
 * From a VM that asks to a question on the desktop, and from what was chosen there to a decision.
 *
 * Thread: one. Blocks: see screen.h and broker-link.h, when something was chosen. Logs: questions and choices.
 */
#ifndef XARING_NOTIFY_NOTIFIER_H
#define XARING_NOTIFY_NOTIFIER_H

#include <systemd/sd-event.h>

struct notifier;

/*
 * Starts; the loop is ended with the exit code when there is nothing left to do. What is shown is taken back when the
 * loop ends. socket: of the broker, or NULL; borrowed until notifier_close().
 *
 * Owner: the caller; notifier_close(). Returns 0 and sets *out; -ENOTCONN when there
 * is no session bus; or another negative errno.
 */
int notifier_open(sd_event *loop, const char *socket, struct notifier **out);
void notifier_close(struct notifier *notifier); /* accepts NULL */

#endif
