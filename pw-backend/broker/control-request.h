/* SPDX-License-Identifier: MIT */
/*
 * What is asked for on the control socket: a line of words, see control.h. Anybody's text: nothing of it is
 * taken for granted.
 *
 * Pure. Thread: any. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_CONTROL_REQUEST_H
#define XARING_BROKER_CONTROL_REQUEST_H

#include "../ipc.h"
#include "permission.h"

#define CONTROL_REQUEST_TEXT_BYTES 256

enum control_verb {
	CONTROL_LIST,
	CONTROL_STATUS,
	CONTROL_MIC,
	CONTROL_DISCONNECT,
	CONTROL_CONNECT,
	CONTROL_MONITOR
};

struct control_request {
	enum control_verb verb;
	char vm[IPC_VM_NAME_BYTES];          /* where the verb takes one, or "" */
	struct permission_decision decision; /* MIC */
};

/*
 * Understands a request, which need not be terminated. Returns 0 and sets *out; or -EINVAL, and writes what is
 * refused and what would be accepted.
 */
int control_request_read(const char *text, size_t bytes, struct control_request *out,
			 char error[CONTROL_REQUEST_TEXT_BYTES]);

#endif
