/* SPDX-License-Identifier: MIT */
/*
 * xaring-guestd --status: goes along the way from a program here to the sound card of dom0, and
 * says where it is broken and what to do. For any user: it looks at what everybody may see, and
 * plays a moment of silence as everybody may.
 *
 * Thread: one. Blocks: 2.2 s at most, the deadlines of status.c. Logs: no.
 */
#ifndef XARING_GUESTD_STATUS_H
#define XARING_GUESTD_STATUS_H

#include <stdbool.h>
#include <stdio.h>

struct recorders_system;

/* In the runtime folder. */
#define STATUS_SOCKET "socket"
#define STATUS_LOCK   "xaring-guestd.lock"

/* Where to look. */
struct status_places {
	const char *hypervisor; /* "xen" is in it */
	const char *xenbus;     /* there in every domain that can use xenstore */
	const char *dom0;       /* there in dom0 only */
	const char *gntalloc;
	const char *device;                    /* ALSA's configuration of the device */
	const char *runtime_dir;               /* of xaring-guestd */
	const struct recorders_system *system; /* as in recorders.h; NULL = this machine's */
};

/* What the way is made of, in its order. */
enum status_link {
	STATUS_XEN,
	STATUS_MODULE,
	STATUS_GUESTD,
	STATUS_DEVICE,
	STATUS_XENSTORE,
	STATUS_BACKEND,
	STATUS_POLICY,
	STATUS_MUTE,
	STATUS_SINK,
	STATUS_LINKS
};

/*
 * Whether who asks would hear something. No link of the way: that nobody has allowed it is how things
 * are at first, and nothing is broken by it.
 */
enum status_microphone {
	STATUS_MICROPHONE_UNKNOWN, /* dom0 does not say */
	STATUS_MICROPHONE_DENIED,  /* by dom0, or by this guest's own rules */
	STATUS_MICROPHONE_ALLOWED
};

struct status_report {
	enum status_link broken; /* the first one, STATUS_LINKS = none */
	char what[STATUS_LINKS][200];
	const char *remedy; /* for the broken one, or "" */

	enum status_microphone microphone;
	const char *microphone_what;
	const char *microphone_remedy; /* when it is denied, or "" */
};

/* Looks; stops at the first broken link: what is said of the links behind it is "". */
void status_look(const struct status_places *places, struct status_report *report);

/*
 * Prints a line for each link that was looked at and what to do, and in a Xen guest one for the microphone; or one
 * object of JSON.
 */
void status_print(const struct status_report *report, bool json, bool colour, FILE *to);

/*
 * Both, for this machine. Returns the exit code: 0 when nothing is broken, whatever the microphone is;
 * or 1.
 */
int status_run(const char *runtime_dir, bool json);

#endif
