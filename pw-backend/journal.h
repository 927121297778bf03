/* SPDX-License-Identifier: MIT */
/*
 * Where the daemon's messages go: stderr, one line each, with priorities when that is the journal.
 *
 * Thread: any. Blocks: as stderr does.
 */
#ifndef XARING_JOURNAL_H
#define XARING_JOURNAL_H

#include <stdbool.h>

/* Sends the messages of xaring_log() there; the debugging ones only when verbose. */
void journal_start(bool verbose);

#endif
