/* SPDX-License-Identifier: MIT */
/*
 * Whether a program here that recorded now would hear a microphone.
 */
#ifndef PLUGIN_MICROPHONE_H
#define PLUGIN_MICROPHONE_H

#include <stdbool.h>

/*
 * Asks for the smallest stream that records, never starts it, and gives it back: nothing is recorded,
 * and the backend shows nobody that somebody has asked. It counts as a stream for that moment.
 *
 * socket: path of the server's socket; name: the application, for people
 *
 * Blocks: 500 ms at most, and not at all where nobody listens. Logs: no.
 * Returns false when the backend does not allow it, when there is none, and when the server refuses:
 * what is recorded is silence then, or nothing.
 */
bool microphone_is_allowed(const char *socket, const char *name);

#endif
