/* SPDX-License-Identifier: MIT */
/*
 * Whether the person at the screen is who has unlocked it: asked of logind, on the system bus, and of the
 * screensaver, on the session bus, where there is one.
 *
 * Thread: one. Blocks: 4 s at most, when neither of them answers. Logs: what could not be found out.
 */
#ifndef XARING_NOTIFY_SCREEN_H
#define XARING_NOTIFY_SCREEN_H

#include <systemd/sd-bus.h>

enum screen {
	SCREEN_OPEN,
	SCREEN_LOCKED,
	SCREEN_INACTIVE, /* another session is at it */
	SCREEN_UNKNOWN
};

/* session_bus: borrowed for the call. Without an answer of logind it is UNKNOWN, or LOCKED. */
enum screen screen_look(sd_bus *session_bus);

#endif
