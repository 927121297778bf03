/* SPDX-License-Identifier: MIT */
/*
 * What people read in a notification. No text of a guest is in it, but the title that dom0 has given the VM.
 *
 * A summary is plain text. In a body some servers take markup: what is not ours is escaped for those.
 *
 * Pure. Thread: any. Blocks: no. Logs: no.
 */
#ifndef XARING_NOTIFY_WORDING_H
#define XARING_NOTIFY_WORDING_H

#include <stdbool.h>

#include "asking.h"

#define WORDING_BYTES 1024 /* of a summary or a body; more is cut at a character */

/* What a notification server can do. */
struct wording_server {
	bool has_actions;
	bool has_markup;
};

/* The question about a VM. Without actions the body says what to type instead. */
void wording_question_summary(const struct asking_vm *vm, char text[WORDING_BYTES]);
void wording_question_body(const struct asking_vm *vm, const struct wording_server *server,
			   char text[WORDING_BYTES]);

/* What the broker has said in the place of doing what was chosen; why: untrusted, of any length. */
void wording_failure_summary(const struct asking_vm *vm, enum asking_choice choice,
			     char text[WORDING_BYTES]);
void wording_failure_body(const char *why, const struct wording_server *server,
			  char text[WORDING_BYTES]);

#endif
