/* SPDX-License-Identifier: MIT */
/* What the fuzzing of xenstore's messages begins with: answers, events and errors, alone and in a row. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store-message.h"

const size_t fuzz_input_max = 512;

/* Returns the bytes of the message. */
static size_t put(uint8_t *to, uint32_t type, uint32_t id, const void *body, size_t bytes)
{
	struct xsd_sockmsg header = {.type = type, .req_id = id, .len = (uint32_t)bytes};

	memcpy(to, &header, sizeof(header));
	memcpy(to + sizeof(header), body, bytes);
	return sizeof(header) + bytes;
}

static void add_one(fuzz_add_fn add, uint32_t type, const char *body, size_t bytes)
{
	uint8_t message[256];

	add(message, put(message, type, 1, body, bytes));
}

static void add_row(fuzz_add_fn add)
{
	static const char event[] = "data/xaring/stream/1/answer\0token";
	uint8_t row[512];
	size_t bytes = 0;

	for (uint32_t id = 1; id <= 6; id++) {
		bytes += put(row + bytes, XS_READ, id, "value", 5);
		bytes += put(row + bytes, XS_WATCH_EVENT, 0, event, sizeof(event));
	}
	add(row, bytes);
}

/* Longer than the protocol allows, and what follows it. */
static void add_long(fuzz_add_fn add)
{
	struct xsd_sockmsg header = {.type = XS_DIRECTORY, .req_id = 1, .len = 300};
	static uint8_t bytes[sizeof(header) + 300 + 64];
	size_t end = sizeof(header) + header.len;

	memcpy(bytes, &header, sizeof(header));
	end += put(bytes + end, XS_WRITE, 2, "OK", 3);
	add(bytes, end);
	header.len = UINT32_MAX;
	memcpy(bytes, &header, sizeof(header));
	add(bytes, end);
	header.len = XENSTORE_PAYLOAD_MAX + 1;
	memcpy(bytes, &header, sizeof(header));
	add(bytes, end);
}

void fuzz_add_seeds(fuzz_add_fn add)
{
	static const char event[] = "@releaseDomain\0list";
	static const char *const errors[] = {"ENOENT",  "EAGAIN",   "ENOSYS",
					     "EISCONN", "nonsense", ""};

	add_one(add, XS_READ, "12", 2);
	add_one(add, XS_WRITE, "OK", 3);
	add_one(add, XS_DIRECTORY, "a\0bc\0def", 9);
	add_one(add, XS_WATCH_EVENT, event, sizeof(event));
	add_one(add, XS_WATCH_EVENT, "no end", 6);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		add_one(add, XS_ERROR, errors[i], strlen(errors[i]) + 1);
	add_row(add);
	add_long(add);
}
