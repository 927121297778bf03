/* SPDX-License-Identifier: MIT */
/*
 * Tells the service manager how we are, if there is one.
 *
 * Thread: one. Blocks: no. Logs: no.
 */
#ifndef XARING_DAEMON_NOTIFY_H
#define XARING_DAEMON_NOTIFY_H

/* state: as sd_notify(3) takes it, "READY=1" and so on. */
void notify_send(const char *state);

#endif
