/* SPDX-License-Identifier: MIT */
/*
 * The library's messages and the cleaning of a peer's text. Prints nothing by itself, allocates
 * nothing, and never shows a byte of a peer that xaring_text_clean() has not passed.
 */
#include <xaring/log.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LOG_TEXT_BYTES 401 /* 400 and the terminator */

static xaring_log_fn log_handler;
static enum xaring_log_level log_level = XARING_LOG_INFO;

void xaring_log_set(xaring_log_fn handler, enum xaring_log_level level)
{
	log_handler = handler;
	log_level = level;
}

void xaring_log(enum xaring_log_level level, const char *format, ...)
{
	char text[LOG_TEXT_BYTES];
	int saved = errno;
	va_list args;

	if (!log_handler || level > log_level)
		return;
	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) >= 0)
		log_handler(level, text);
	va_end(args);
	errno = saved;
}

/* Bytes of the sequence that a first byte announces, or 0 when no sequence begins with it. */
static size_t utf8_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

/*
 * Decodes one character. Returns its length, or 0 when the bytes are no valid UTF-8: overlong,
 * cut off, a surrogate, beyond U+10FFFF.
 */
static size_t utf8_decode(const uint8_t *from, size_t bytes, uint32_t *code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = utf8_length(from[0]);
	uint32_t value;

	if (length == 0 || length > bytes)
		return 0;
	value = length == 1 ? from[0] : from[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((from[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (from[i] & 0x3fu);
	}
	if (value < smallest[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*code = value;
	return length;
}

/*
 * Characters that change how the text around them is shown, or end a line: not for a peer to
 * choose.
 */
static bool code_is_unwanted(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) ||      /* C0, DEL, C1 */
	       code == 0x061c || code == 0x200e || code == 0x200f || /* marks of direction */
	       (code >= 0x2028 && code <= 0x202e) || /* line ends, embeddings, overrides */
	       (code >= 0x2066 && code <= 0x2069) || /* isolates */
	       code == 0xfeff;
}

void xaring_text_clean(char *to, size_t to_bytes, const char *from, size_t bytes)
{
	const uint8_t *at = (const uint8_t *)from;
	size_t used = 0;

	if (to_bytes == 0)
		return;
	while (bytes > 0 && *at != 0) {
		uint32_t code = 0;
		size_t length = utf8_decode(at, bytes, &code);
		size_t step = length > 0 ? length : 1;

		if (length > 0 && !code_is_unwanted(code)) {
			if (used + length >= to_bytes)
				break;
			for (size_t i = 0; i < length; i++)
				to[used++] = (char)at[i];
		}
		at += step;
		bytes -= step;
	}
	to[used] = '\0';
}
