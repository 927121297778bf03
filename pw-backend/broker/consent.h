/* SPDX-License-Identifier: MIT */
/*
 * What people have decided about the microphones of VMs, kept in a file across restarts by the keys of the VMs.
 *
 * The file is text, a line for each VM: "KEY allow", "KEY deny", or "KEY allow SECONDS" with the time since the
 * epoch until which that holds: whole ones, of which a part is lost when it is read again. It is replaced as a whole,
 * so that it is never half written.
 *
 * Thread: the loop's. Blocks: consent_save() only. Logs: no.
 */
#ifndef XARING_BROKER_CONSENT_H
#define XARING_BROKER_CONSENT_H

#include <stdbool.h>
#include <stdint.h>

#include "../ipc.h"

#define CONSENT_ENTRIES_MAX 4096u
#define CONSENT_FOREVER     INT64_MAX
#define CONSENT_LOOK_MAX_MS 60000

enum consent_choice {
	CONSENT_NONE, /* nobody has decided, or it is over */
	CONSENT_ALLOW,
	CONSENT_DENY
};

struct consent;

/*
 * Reads the file; one that is not there, with its folder or without it, says nothing. What is not understood of it is skipped, and counted in
 * *skipped: without a decision a VM may not record. path is copied.
 *
 * Owner: the caller; consent_close(). Returns 0 or a negative errno.
 */
int consent_open(const char *path, struct consent **out, unsigned *skipped);
void consent_close(struct consent *consent);

/* now_ms: since the epoch, as all times here. */
enum consent_choice consent_of(const struct consent *consent, const char *key, int64_t now_ms);

/* Until when what is decided about one holds: likewise, CONSENT_FOREVER, or 0 when nothing is. */
int64_t consent_until_ms(const struct consent *consent, const char *key, int64_t now_ms);

/*
 * In how many ms to look again whether something is over: the clock may be set meanwhile, so it is
 * CONSENT_LOOK_MAX_MS at most. UINT64_MAX when nothing ends.
 */
uint64_t consent_look_ms(const struct consent *consent, int64_t now_ms);

/* Forgets what is over, so that a clock that is set back does not bring it back. Tells whether there was something. */
bool consent_forget_over(struct consent *consent, int64_t now_ms);

/*
 * Decides, until a time or CONSENT_FOREVER; CONSENT_NONE forgets the VM. It holds at once, and is not written yet.
 *
 * Returns 0; -E2BIG when there are too many, and -ENOMEM: nothing is decided then.
 */
int consent_decide(struct consent *consent, const char *key, enum consent_choice choice,
		   int64_t until_ms);

/* Writes the file: the only one that blocks, for the disk. Returns 0 or a negative errno. */
int consent_save(const struct consent *consent);

#endif
