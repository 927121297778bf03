/* SPDX-License-Identifier: MIT */
/*
 * The microphones of all VMs: what is kept of people's decisions, when it is over, and telling worker,
 * guests and whoever watches what has changed. What follows from what is microphone.h.
 *
 * Times that are kept are of the wall clock, and so survive restarts. While one of them is to come it is
 * looked at once a minute at least, since that clock can be set.
 *
 * Thread: the loop's. Blocks: for the disk, when something is decided for longer than the VM lives.
 * Logs: what becomes of a VM's microphone; a file that cannot be read.
 */
#ifndef XARING_BROKER_PERMISSION_H
#define XARING_BROKER_PERMISSION_H

#include <stdint.h>

#include "consent.h"

struct broker;
struct permission;
struct vm;

enum permission_span {
	PERMISSION_ALWAYS, /* kept in the file */
	PERMISSION_FOR,    /* likewise, with an end */
	PERMISSION_SHUTDOWN,
	PERMISSION_ONCE /* see microphone.h */
};

struct permission_decision {
	enum consent_choice choice; /* NONE: what was decided is forgotten; span does not matter */
	enum permission_span span;
	uint32_t seconds; /* FOR: 1 to CONTROL_SECONDS_MAX, see control.h */
};

/*
 * Reads the file; NULL = nothing is kept. One that cannot be read is logged, and nobody may record but by
 * the rules and by what is decided from now on; it is left as it is.
 *
 * Owner: the caller; permission_close(). Returns 0 or a negative errno.
 */
int permission_open(struct broker *broker, const char *file, struct permission **out);
void permission_close(struct permission *permission); /* accepts NULL */

/*
 * Decides about all VMs that have a key: two may have the same, see identity.h. What is for once is for those of them
 * that ask, where one does.
 *
 * Returns 0 and sets *unwritten to 0, or to a negative errno when that could not be written: it holds, and is
 * forgotten when we end. Otherwise nothing is decided: -EPERM when the rules do not leave it to people; -ENOTSUP when
 * it would have to be kept and nothing can be; -E2BIG when too much is kept; -ENOMEM.
 */
int permission_decide(struct permission *permission, const char *key,
		      const struct permission_decision *decision, int *unwritten);

/*
 * The same for a VM that is not there: a permission can be taken back before the VM is started. Returns as above;
 * -ENOENT when nothing is kept about it, -EINVAL when it would be for this start of it alone.
 */
int permission_decide_absent(struct permission *permission, const char *key,
			     const struct permission_decision *decision, int *unwritten);

/* What is kept about a key. */
enum consent_choice permission_kept(const struct permission *permission, const char *key);

/* The file, or NULL. */
const char *permission_file(const struct permission *permission);

/* Until when what is kept about a key holds: seconds since the epoch, CONSENT_FOREVER, or 0 = nothing is. */
int64_t permission_until_s(const struct permission *permission, const char *key);

/* Something has changed that permission follows from; NULL is accepted for permission. */
void permission_vm_came(struct permission *permission, struct vm *vm);
void permission_rule_changed(struct permission *permission, struct vm *vm);
void permission_streams_changed(struct permission *permission, struct vm *vm);

#endif
