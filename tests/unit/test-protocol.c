/* SPDX-License-Identifier: MIT */
/*
 * protocol.h against its document, man/xaring-protocol.7.scd: every row of the layout and constant
 * tables must be what the compiler says, none may be missing on either side. The header must also
 * compile alone as ANSI C and as C++98, since it is meant to be copied into other projects.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <xaring/protocol.h>

/* A row of a table: from the compiler, or from the document. */
struct row {
	char name[64];
	uint64_t value; /* of a constant; offset of a field */
	uint64_t bytes; /* of a field, 0 for a constant */
	char writer[16];
	int seen;
};

#define FIELD_SIZE(type, field) sizeof(((type *)0)->field)
#define FIELD(type, prefix, field, writer)                                               \
	{                                                                                \
		prefix #field, offsetof(type, field), FIELD_SIZE(type, field), writer, 0 \
	}
#define CONTROL(field, writer) FIELD(struct xaring_control_page, "", field, writer)
#define STATUS(field)          FIELD(struct xaring_status_page, "status.", field, "server")
#define CONSTANT(name)                            \
	{                                         \
#name, (uint64_t)(name), 0, "", 0 \
	}

static struct row expected[] = {
	CONTROL(guest.alive, "guest"),
	CONTROL(guest.word, "guest"),
	CONTROL(guest.base, "guest"),
	CONTROL(guest.pos, "guest"),
	CONTROL(guest.stamp, "guest"),
	CONTROL(guest.volume, "guest"),
	CONTROL(guest.reserved, "guest"),
	CONTROL(reserved0, "none"),
	CONTROL(backend.alive, "backend"),
	CONTROL(backend.attach, "backend"),
	CONTROL(backend.status, "backend"),
	CONTROL(backend.flags, "backend"),
	CONTROL(backend.reserved, "backend"),
	CONTROL(record.seq, "backend"),
	CONTROL(record.word, "backend"),
	CONTROL(record.pos, "backend"),
	CONTROL(record.frames, "backend"),
	CONTROL(record.time_lo, "backend"),
	CONTROL(record.time_hi, "backend"),
	CONTROL(record.age_ns, "backend"),
	CONTROL(record.rate_mhz, "backend"),
	CONTROL(record.delay, "backend"),
	CONTROL(record.xruns, "backend"),
	CONTROL(record.gap, "backend"),
	CONTROL(record.echo, "backend"),
	CONTROL(record.echo_age_ns, "backend"),
	CONTROL(record.reserved, "backend"),
	CONTROL(reserved1, "none"),
	STATUS(version),
	STATUS(serial),
	STATUS(flags),
	STATUS(volume),
	STATUS(reserved),
	CONSTANT(XARING_PROTOCOL_VERSION),
	CONSTANT(XARING_PROTOCOL_VERSION_MIN),
	CONSTANT(XARING_FEATURE_SAME_CLOCK),
	CONSTANT(XARING_FEATURE_GUEST_DOORBELL),
	CONSTANT(XARING_PAGE_BYTES),
	CONSTANT(XARING_RATE_MIN),
	CONSTANT(XARING_RATE_MAX),
	CONSTANT(XARING_CHANNELS_MAX),
	CONSTANT(XARING_BUFFER_BYTES_MAX),
	CONSTANT(XARING_BUFFER_MIN),
	CONSTANT(XARING_RING_PAGES_MAX),
	CONSTANT(XARING_GUEST_PAGES_MAX),
	CONSTANT(XARING_HEADROOM_AT_48K),
	CONSTANT(XARING_PLAYBACK),
	CONSTANT(XARING_CAPTURE),
	CONSTANT(XARING_FORMAT_U8),
	CONSTANT(XARING_FORMAT_S16),
	CONSTANT(XARING_FORMAT_S24),
	CONSTANT(XARING_FORMAT_S24_3),
	CONSTANT(XARING_FORMAT_S32),
	CONSTANT(XARING_FORMAT_FLOAT),
	CONSTANT(XARING_CHANNEL_UNKNOWN),
	CONSTANT(XARING_CHANNEL_MONO),
	CONSTANT(XARING_CHANNEL_FL),
	CONSTANT(XARING_CHANNEL_FR),
	CONSTANT(XARING_CHANNEL_RL),
	CONSTANT(XARING_CHANNEL_RR),
	CONSTANT(XARING_CHANNEL_FC),
	CONSTANT(XARING_CHANNEL_LFE),
	CONSTANT(XARING_CHANNEL_SL),
	CONSTANT(XARING_CHANNEL_SR),
	CONSTANT(XARING_CHANNEL_RC),
	CONSTANT(XARING_CHANNEL_LAST),
	CONSTANT(XARING_WORD_ATTACH_MASK),
	CONSTANT(XARING_WORD_STATE_SHIFT),
	CONSTANT(XARING_WORD_STATE_MASK),
	CONSTANT(XARING_WORD_GENERATION_SHIFT),
	CONSTANT(XARING_STATE_STOPPED),
	CONSTANT(XARING_STATE_RUNNING),
	CONSTANT(XARING_STATE_DRAINING),
	CONSTANT(XARING_STATE_PAUSED),
	CONSTANT(XARING_BACKEND_ABSENT),
	CONSTANT(XARING_BACKEND_ACCEPTED),
	CONSTANT(XARING_BACKEND_REFUSED),
	CONSTANT(XARING_BACKEND_BROKEN),
	CONSTANT(XARING_BACKEND_STATE_MASK),
	CONSTANT(XARING_BACKEND_REASON_SHIFT),
	CONSTANT(XARING_REASON_NONE),
	CONSTANT(XARING_REASON_VERSION),
	CONSTANT(XARING_REASON_MESSAGE),
	CONSTANT(XARING_REASON_DIRECTION),
	CONSTANT(XARING_REASON_FORMAT),
	CONSTANT(XARING_REASON_RATE),
	CONSTANT(XARING_REASON_CHANNELS),
	CONSTANT(XARING_REASON_BUFFER),
	CONSTANT(XARING_REASON_POLICY),
	CONSTANT(XARING_REASON_STREAMS),
	CONSTANT(XARING_REASON_PAGES),
	CONSTANT(XARING_REASON_BUSY),
	CONSTANT(XARING_REASON_COUNTER),
	CONSTANT(XARING_REASON_WORD),
	CONSTANT(XARING_REASON_UNSETTLED),
	CONSTANT(XARING_REASON_INTERNAL),
	CONSTANT(XARING_REASON_USER),
	CONSTANT(XARING_REASON_LAST),
	CONSTANT(XARING_FLAG_CAPTURE_ALLOWED),
	CONSTANT(XARING_FLAG_MUTED),
	CONSTANT(XARING_FLAG_NO_SINK),
	CONSTANT(XARING_STATUS_BACKEND),
	CONSTANT(XARING_STATUS_GUEST_MUTED),
	CONSTANT(XARING_STATUS_NO_STORE),
	CONSTANT(XARING_VOLUME_UNITY),
	CONSTANT(XARING_VOLUME_MASK),
	CONSTANT(XARING_VOLUME_TOLD),
	CONSTANT(XARING_VOLUME_MUTED),
};

#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

static struct row *find(const char *name)
{
	for (size_t i = 0; i < EXPECTED; i++)
		if (strcmp(expected[i].name, name) == 0)
			return &expected[i];
	return NULL;
}

static void check_row(const struct row *r)
{
	struct row *e = find(r->name);

	if (!e)
		fail_msg("the document has a row that protocol.h has not: %s", r->name);
	if (e->seen++)
		fail_msg("the document has a row twice: %s", r->name);
	if (e->value != r->value || e->bytes != r->bytes || strcmp(e->writer, r->writer) != 0)
		fail_msg("%s: the document says %llu, %llu bytes, writer '%s'; protocol.h says %llu, "
			 "%llu bytes, writer '%s'",
			 r->name, (unsigned long long)r->value, (unsigned long long)r->bytes,
			 r->writer, (unsigned long long)e->value, (unsigned long long)e->bytes,
			 e->writer);
}

/* Kinds of blocks: none of ours, fields, constants. */
enum block { OTHER, FIELDS, CONSTANTS };

static void parse_row(const char *line, enum block block)
{
	struct row r = {.name = ""};
	char value[32], bytes[32];

	if (block == FIELDS) {
		if (sscanf(line, "%31s %31s %63s %15s", value, bytes, r.name, r.writer) != 4)
			fail_msg("not a row of a layout table: %s", line);
		r.bytes = strtoull(bytes, NULL, 0);
	} else if (sscanf(line, "%63s %31s", r.name, value) != 2) {
		fail_msg("not a row of a constant table: %s", line);
	}
	r.value = strtoull(value, NULL, 0);
	check_row(&r);
}

static enum block block_of(const char *heading)
{
	if (strcmp(heading, "offset bytes name writer\n") == 0)
		return FIELDS;
	if (strcmp(heading, "constant value\n") == 0)
		return CONSTANTS;
	return OTHER;
}

static void document_agrees(void **state)
{
	FILE *f = fopen(PROTOCOL_DOCUMENT, "r");
	enum block block = OTHER;
	int inside = 0;
	char line[512];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "```", 3) == 0) {
			inside = !inside;
			block = OTHER;
			if (inside && fgets(line, sizeof(line), f))
				block = block_of(line);
		} else if (block != OTHER) {
			parse_row(line, block);
		}
	}
	fclose(f);
	for (size_t i = 0; i < EXPECTED; i++)
		if (!expected[i].seen)
			fail_msg("the document lacks %s", expected[i].name);
}

/* Takes the next XARING_ word out of a line of C. Returns what follows it, or NULL. */
static const char *next_name(const char *line, char *name, size_t name_bytes)
{
	const char *at = strstr(line, "XARING_");
	size_t length = 0;

	if (!at)
		return NULL;
	while ((isupper((unsigned char)at[length]) || isdigit((unsigned char)at[length]) ||
		at[length] == '_') &&
	       length + 1 < name_bytes)
		length++;
	memcpy(name, at, length);
	name[length] = '\0';
	return at + length;
}

/* The list above is complete: whatever protocol.h defines is in it. */
static void list_is_complete(void **state)
{
	FILE *f = fopen(PROTOCOL_HEADERS "/xaring/protocol.h", "r");
	char line[512], name[64];
	int constants = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *after = next_name(line, name, sizeof(name));
		int defined = strncmp(line, "#define XARING_", 15) == 0;
		int enumerated =
			strncmp(line, "\tXARING_", 8) == 0 && strncmp(after, " = ", 3) == 0;

		if ((!defined && !enumerated) || strcmp(name, "XARING_PROTOCOL_H") == 0)
			continue;
		if (!find(name))
			fail_msg("protocol.h defines %s, which no table has", name);
		constants++;
	}
	fclose(f);
	assert_int_equal(constants, EXPECTED - 33);
}

static void lines_are_apart(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct xaring_control_page), XARING_PAGE_BYTES);
	assert_int_equal(sizeof(struct xaring_status_page), XARING_PAGE_BYTES);
	assert_int_equal(sizeof(struct xaring_guest_line), 64);
	assert_int_equal(sizeof(struct xaring_backend_line), 64);
	assert_int_equal(sizeof(struct xaring_record_line), 64);
	assert_true(offsetof(struct xaring_control_page, backend) >= 128);
}

static int compiles(const char *compiler)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "printf '#include <xaring/protocol.h>\\n"
		 "struct xaring_control_page page;\\n' | "
		 "%s -pedantic -Wall -Wextra -Werror -I%s -fsyntax-only -",
		 compiler, PROTOCOL_HEADERS);
	return system(command);
}

static void compiles_as_old_c_and_cplusplus(void **state)
{
	(void)state;
	assert_int_equal(compiles("cc -ansi -x c"), 0);
	if (system("command -v g++ >/dev/null") == 0)
		assert_int_equal(compiles("g++ -std=c++98 -x c++"), 0);
	else
		print_message("there is no g++: C++98 is not checked\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(document_agrees),
		cmocka_unit_test(list_is_complete),
		cmocka_unit_test(lines_are_apart),
		cmocka_unit_test(compiles_as_old_c_and_cplusplus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
