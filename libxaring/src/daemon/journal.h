/* SPDX-License-Identifier: MIT */
/*
 * Where a daemon's messages go: stderr, one line each, with priorities when that is the journal.
 *
 * Thread: any. Blocks: as stderr does.
 */
#ifndef XARING_DAEMON_JOURNAL_H
#define XARING_DAEMON_JOURNAL_H

#include <stdbool.h>

/* Sends the messages of xaring_log() there, behind the program's name; debugging ones when verbose. */
void journal_start(bool verbose);

#endif
