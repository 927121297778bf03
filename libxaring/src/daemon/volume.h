/* SPDX-License-Identifier: MIT */
/*
 * A guest's own volume, where its programs read it (the status page), and in a file across restarts.
 *
 * The file has one line: the volume, linear, 0 to XARING_VOLUME_UNITY, and "muted" where it is so. It is written a
 * second after a change and at the end, and replaced as a whole.
 *
 * Thread: the loop's. Blocks: for a small file. Logs: a file that cannot be read or written.
 */
#ifndef XARING_DAEMON_VOLUME_H
#define XARING_DAEMON_VOLUME_H

#include <xaring/wire.h>

struct loop;
struct status_page;
struct volume;

/*
 * Reads the file, and puts what is in it into the page (borrowed). file: copied; its folder is made when it is
 * written; NULL = nothing is kept. Without a file, or with one that is not understood, nothing is changed or muted.
 *
 * Owner: the caller; volume_close(), before the page ends. Returns 0 and sets *out, or a negative errno.
 */
int volume_open(struct loop *loop, struct status_page *page, const char *file, struct volume **out);
void volume_close(struct volume *volume); /* accepts NULL */

/* What a program has set; checked by the wire. Returns 1 when it is another one now, or 0: serve.h. */
int volume_set(struct volume *volume, const struct xaring_set_volume *set);

#endif
