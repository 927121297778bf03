/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what xenstored sends: however they are cut, the same messages come of them, and what is
 * taken out of a message lies within it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store-message.h"

static void demand(int holds)
{
	if (!holds)
		abort();
}

static void mix(uint64_t *digest, const void *data, size_t bytes)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < bytes; i++)
		*digest = (*digest ^ byte[i]) * UINT64_C(1099511628211);
}

/* Of exactly its size, so that a sanitizer sees what is read beyond it. */
static void check_texts(const struct message *message)
{
	size_t bytes = message->body ? message->header.len : 0;
	struct message copy = *message;
	const char *path, *token;
	char *body = malloc(bytes ? bytes : 1);

	demand(body != NULL);
	if (bytes)
		memcpy(body, message->body, bytes);
	copy.body = message->body ? body : NULL;
	demand(message_error(&copy) < 0);
	if (message_event(&copy, &path, &token)) {
		demand(path == body && token == path + strlen(path) + 1);
		demand(token + strlen(token) < body + bytes);
	}
	free(body);
}

static void take_all(struct messages *m, uint64_t *digest)
{
	struct message message;

	while (messages_next(m, &message)) {
		mix(digest, &message.header, sizeof(message.header));
		demand(!message.body == (message.header.len > XENSTORE_PAYLOAD_MAX));
		if (message.body)
			mix(digest, message.body, message.header.len);
		check_texts(&message);
	}
}

/* So many bytes at a time. What comes of it, as a number. */
static uint64_t feed(const uint8_t *bytes, size_t size, size_t piece)
{
	static struct messages m;
	uint64_t digest = 0;
	size_t count, room;

	messages_init(&m);
	for (size_t at = 0; at < size; at += count) {
		char *to = messages_room(&m, &room);

		demand(room >= MESSAGE_BYTES_MAX);
		count = size - at < piece ? size - at : piece;
		memcpy(to, bytes + at, count);
		messages_add(&m, count);
		take_all(&m, &digest);
	}
	return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	size_t piece = size ? 1 + bytes[size - 1] : 1;

	demand(feed(bytes, size, MESSAGE_BYTES_MAX) == feed(bytes, size, piece));
	return 0;
}
