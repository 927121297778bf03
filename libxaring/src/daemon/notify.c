/* SPDX-License-Identifier: MIT */
/*
 * sd_notify, when built with libsystemd; nothing otherwise.
 */
#include "notify.h"

#ifdef XARING_SYSTEMD
#include <systemd/sd-daemon.h>

void notify_send(const char *state)
{
	sd_notify(0, state);
}
#else
void notify_send(const char *state)
{
	(void)state;
}
#endif
