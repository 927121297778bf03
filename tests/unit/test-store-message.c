/* SPDX-License-Identifier: MIT */
/*
 * Xenstore's messages as bytes: requests, and whatever may come, cut anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store-message.h"

struct stream {
	size_t bytes;
	char data[4 * MESSAGE_BYTES_MAX];
};

static void put(struct stream *s, uint32_t type, uint32_t id, const void *body, size_t bytes)
{
	struct xsd_sockmsg header = {.type = type, .req_id = id, .len = (uint32_t)bytes};

	assert_true(s->bytes + sizeof(header) + bytes <= sizeof(s->data));
	memcpy(s->data + s->bytes, &header, sizeof(header));
	memcpy(s->data + s->bytes + sizeof(header), body, bytes);
	s->bytes += sizeof(header) + bytes;
}

/* So many bytes at a time. Returns how many messages came of it, the first of them in out. */
static unsigned cut(const struct stream *s, size_t piece, struct message *out, char *body,
		    unsigned max)
{
	static struct messages m;
	struct message message;
	size_t at = 0, room;
	unsigned count = 0;

	messages_init(&m);
	while (at < s->bytes) {
		char *to = messages_room(&m, &room);
		size_t bytes = s->bytes - at < piece ? s->bytes - at : piece;

		assert_true(room >= MESSAGE_BYTES_MAX);
		bytes = bytes < room ? bytes : room;
		memcpy(to, s->data + at, bytes);
		messages_add(&m, bytes);
		at += bytes;
		while (messages_next(&m, &message)) {
			assert_true(count < max);
			out[count] = message;
			if (message.body)
				memcpy(body + (size_t)count * XENSTORE_PAYLOAD_MAX, message.body,
				       message.header.len);
			count++;
		}
	}
	return count;
}

static char bodies[4 * XENSTORE_PAYLOAD_MAX];

static void requests_are_put_together(void **state)
{
	static const char body[] = "data/x\0value";
	struct xsd_sockmsg header;
	struct request r;

	(void)state;
	request_begin(&r, XS_WRITE, 7);
	request_add_text(&r, "data/x");
	request_add(&r, "value", 5);
	assert_int_equal(request_end(&r, 3), 0);
	assert_int_equal(r.bytes, sizeof(header) + sizeof(body) - 1);
	memcpy(&header, r.data, sizeof(header));
	assert_int_equal(header.type, XS_WRITE);
	assert_int_equal(header.tx_id, 7);
	assert_int_equal(header.req_id, 3);
	assert_int_equal(header.len, sizeof(body) - 1);
	assert_memory_equal(r.data + sizeof(header), body, sizeof(body) - 1);
}

static void requests_end_where_the_protocol_does(void **state)
{
	static char text[XENSTORE_PAYLOAD_MAX];
	struct request r;

	(void)state;
	memset(text, 'x', sizeof(text));
	request_begin(&r, XS_READ, 0);
	request_add(&r, text, sizeof(text));
	assert_int_equal(request_end(&r, 1), 0);
	assert_int_equal(r.bytes, MESSAGE_BYTES_MAX);
	request_add(&r, text, 1);
	assert_int_equal(request_end(&r, 1), -E2BIG);
	/* What would fit does not come in the place of what did not. */
	request_begin(&r, XS_READ, 0);
	request_add(&r, text, sizeof(text) - 1);
	request_add(&r, text, 2);
	request_add(&r, text, 1);
	assert_int_equal(request_end(&r, 1), -E2BIG);
	request_begin(&r, XS_READ, 0);
	request_add(&r, text, SIZE_MAX);
	assert_int_equal(request_end(&r, 1), -E2BIG);
}

static void messages_are_cut_wherever_they_are_cut(void **state)
{
	static struct stream s;
	struct message out[3];

	(void)state;
	s.bytes = 0;
	put(&s, XS_WATCH_EVENT, 0, "path\0token", 11);
	put(&s, XS_TRANSACTION_END, 5, "", 0);
	put(&s, XS_READ, 6, "value", 5);
	for (size_t piece = 1; piece <= s.bytes; piece++) {
		assert_int_equal(cut(&s, piece, out, bodies, 3), 3);
		assert_int_equal(out[0].header.type, XS_WATCH_EVENT);
		assert_memory_equal(bodies, "path\0token", 11);
		assert_int_equal(out[1].header.req_id, 5);
		assert_int_equal(out[1].header.len, 0);
		assert_int_equal(out[2].header.len, 5);
		assert_memory_equal(bodies + 2 * XENSTORE_PAYLOAD_MAX, "value", 5);
	}
}

static void the_longest_one_fits(void **state)
{
	static char body[XENSTORE_PAYLOAD_MAX];
	static struct stream s;
	struct message out[3];

	(void)state;
	memset(body, 'y', sizeof(body));
	s.bytes = 0;
	for (uint32_t i = 0; i < 3; i++)
		put(&s, XS_READ, i, body, sizeof(body));
	for (size_t piece = 1; piece <= s.bytes; piece += 61) {
		assert_int_equal(cut(&s, piece, out, bodies, 3), 3);
		for (size_t i = 0; i < 3; i++) {
			assert_int_equal(out[i].header.req_id, i);
			assert_memory_equal(bodies + i * XENSTORE_PAYLOAD_MAX, body, sizeof(body));
		}
	}
}

/* It is known by its header, and what comes behind it is found. */
static void one_that_is_too_long_is_dropped(void **state)
{
	static char body[2 * XENSTORE_PAYLOAD_MAX];
	static const size_t lengths[] = {XENSTORE_PAYLOAD_MAX + 1, 2 * XENSTORE_PAYLOAD_MAX};
	static struct stream s;
	struct message out[3];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		s.bytes = 0;
		put(&s, XS_READ, 1, "x", 1);
		put(&s, XS_DIRECTORY, 2, body, lengths[i]);
		put(&s, XS_READ, 3, "z", 1);
		for (size_t piece = 1; piece <= s.bytes; piece += 7) {
			assert_int_equal(cut(&s, piece, out, bodies, 3), 3);
			assert_non_null(out[0].body);
			assert_null(out[1].body);
			assert_int_equal(out[1].header.req_id, 2);
			assert_int_equal(out[2].header.req_id, 3);
			assert_memory_equal(bodies + 2 * XENSTORE_PAYLOAD_MAX, "z", 1);
		}
	}
}

static bool is_event(const char *body, size_t bytes)
{
	struct message m = {.header = {.type = XS_WATCH_EVENT, .len = (uint32_t)bytes},
			    .body = body};
	const char *path, *token;

	return message_event(&m, &path, &token);
}

static void an_event_is_two_texts(void **state)
{
	struct message m = {.header = {.type = XS_WATCH_EVENT, .len = 11}, .body = "path\0token"};
	const char *path, *token;

	(void)state;
	assert_true(message_event(&m, &path, &token));
	assert_string_equal(path, "path");
	assert_string_equal(token, "token");
	assert_true(is_event("\0", 2));
	assert_false(is_event("path\0token", 10));
	assert_false(is_event("path\0token", 5));
	assert_false(is_event("path\0token", 4));
	assert_false(is_event("", 1));
	assert_false(is_event("x", 0));
	assert_false(is_event(NULL, 5000));
}

static int error(const char *body, size_t bytes)
{
	struct message m = {.header = {.type = XS_ERROR, .len = (uint32_t)bytes}, .body = body};

	return message_error(&m);
}

static void errors_have_names(void **state)
{
	(void)state;
	assert_int_equal(error("ENOENT", 7), -ENOENT);
	assert_int_equal(error("E2BIG", 6), -E2BIG);
	assert_int_equal(error("EACCES\0more", 12), -EACCES);
	/* oxenstored's, and what is none. */
	assert_int_equal(error("EQUOTA", 7), -EINVAL);
	assert_int_equal(error("ENOENT", 6), -EINVAL);
	assert_int_equal(error("ENOENTS", 8), -EINVAL);
	assert_int_equal(error("", 0), -EINVAL);
	assert_int_equal(error(NULL, 5000), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_put_together),
		cmocka_unit_test(requests_end_where_the_protocol_does),
		cmocka_unit_test(messages_are_cut_wherever_they_are_cut),
		cmocka_unit_test(the_longest_one_fits),
		cmocka_unit_test(one_that_is_too_long_is_dropped),
		cmocka_unit_test(an_event_is_two_texts),
		cmocka_unit_test(errors_have_names),
	};

	return cmocka_run_group_tests_name("store-message", tests, NULL, NULL);
}
