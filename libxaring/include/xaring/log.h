/* SPDX-License-Identifier: MIT */
/*
 * Where libxaring's few messages go. It never prints by itself: without a handler they are lost.
 *
 * Thread: the handler is set once, before anything else; it may be called from any thread that
 * calls into the library, never from a function that says "Real-time safe: yes".
 */
#ifndef XARING_LOG_H
#define XARING_LOG_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum xaring_log_level {
	XARING_LOG_ERROR,
	XARING_LOG_WARN,
	XARING_LOG_INFO,
	XARING_LOG_DEBUG,
};

/* One message without newline. text is borrowed for the call; errno is preserved around it. */
typedef void (*xaring_log_fn)(enum xaring_log_level level, const char *text);

/* Sets the handler (NULL: none) and the highest level that reaches it. */
void xaring_log_set(xaring_log_fn handler, enum xaring_log_level level);

/* Formats and hands over one message, at most 400 bytes. */
void xaring_log(enum xaring_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Copies text of a peer so that it can be shown: valid UTF-8 without control and bidirectional
 * formatting characters, cut to size at a character, "" when nothing is left.
 *
 * bytes: size of from; it need not be terminated.
 */
void xaring_text_clean(char *to, size_t to_bytes, const char *from, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
