/* SPDX-License-Identifier: MIT */
/* The two directions have nothing in common but the header. No I/O, no memory of its own. */
#include "store-message.h"

#include <string.h>

/* ---- requests ---- */

void request_begin(struct request *r, uint32_t type, uint32_t transaction)
{
	r->header = (struct xsd_sockmsg){.type = type, .tx_id = transaction};
	r->is_too_long = false;
	r->bytes = sizeof(r->header);
}

void request_add(struct request *r, const void *data, size_t bytes)
{
	if (bytes > sizeof(r->data) - r->bytes)
		r->is_too_long = true;
	if (r->is_too_long || bytes == 0)
		return;
	memcpy(r->data + r->bytes, data, bytes);
	r->bytes += bytes;
}

void request_add_text(struct request *r, const char *text)
{
	request_add(r, text, strlen(text) + 1);
}

int request_end(struct request *r, uint32_t id)
{
	if (r->is_too_long)
		return -E2BIG;
	r->header.req_id = id;
	r->header.len = (uint32_t)(r->bytes - sizeof(r->header));
	memcpy(r->data, &r->header, sizeof(r->header));
	return 0;
}

/* ---- what comes ---- */

void messages_init(struct messages *m)
{
	m->from = 0;
	m->to = 0;
	m->drop = 0;
}

/* What is left is less than a message, so half of it is free. */
char *messages_room(struct messages *m, size_t *bytes)
{
	memmove(m->data, m->data + m->from, m->to - m->from);
	m->to -= m->from;
	m->from = 0;
	*bytes = sizeof(m->data) - m->to;
	return m->data + m->to;
}

void messages_add(struct messages *m, size_t bytes)
{
	m->to += bytes;
}

static void drop_rest(struct messages *m)
{
	size_t bytes = m->to - m->from;

	if (bytes > m->drop)
		bytes = m->drop;
	m->from += bytes;
	m->drop -= bytes;
}

bool messages_next(struct messages *m, struct message *out)
{
	size_t have;

	drop_rest(m);
	have = m->to - m->from;
	if (have < sizeof(out->header))
		return false;
	memcpy(&out->header, m->data + m->from, sizeof(out->header));
	out->body = NULL;
	if (out->header.len > XENSTORE_PAYLOAD_MAX) {
		m->drop = out->header.len;
		m->from += sizeof(out->header);
		return true;
	}
	if (have - sizeof(out->header) < out->header.len)
		return false;
	out->body = m->data + m->from + sizeof(out->header);
	m->from += sizeof(out->header) + out->header.len;
	return true;
}

/* Whether the bytes begin with the text and its end. */
static bool begins_with(const char *body, size_t bytes, const char *text)
{
	size_t length = strlen(text) + 1;

	return bytes >= length && memcmp(body, text, length) == 0;
}

bool message_event(const struct message *message, const char **path, const char **token)
{
	const char *body = message->body;
	size_t bytes = message->header.len;
	const char *end = body ? memchr(body, 0, bytes) : NULL;

	if (!end || end + 1 == body + bytes || body[bytes - 1] != 0)
		return false;
	*path = body;
	*token = end + 1;
	return true;
}

int message_error(const struct message *message)
{
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]) && message->body; i++) {
		if (begins_with(message->body, message->header.len, xsd_errors[i].errstring))
			return -xsd_errors[i].errnum;
	}
	return -EINVAL;
}
