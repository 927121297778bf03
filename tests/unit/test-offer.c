/* SPDX-License-Identifier: MIT */
/*
 * The texts in xenstore: what is written is read back, the document's example is what it says, and
 * whatever is not exactly of the grammar is refused, without reading a byte beyond it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "offer.h"

static const char example[] =
	"version=1 version-min=1 features=0 epoch=9f31c07e5d22a846 direction=0 format=2 "
	"rate=48000 channels=2 buffer=4096 period=1024 name=aplay control=3e8 "
	"data=3e9,3ea,3eb,3ec,3ed,3ee,3ef,3f0";

static struct offer example_offer(void)
{
	struct offer offer = {
		.open = {.version_min = 1,
			 .version = 1,
			 .params = {.direction = XARING_PLAYBACK,
				    .format = XARING_FORMAT_S16,
				    .rate_hz = 48000,
				    .channels = 2,
				    .buffer = 4096,
				    .period = 1024},
			 .epoch = 0x9f31c07e5d22a846,
			 .name = "aplay"},
		.control = 0x3e8,
		.data_count = 8,
	};

	for (uint32_t i = 0; i < 8; i++)
		offer.data[i] = 0x3e9 + i;
	return offer;
}

/* Decodes a copy that ends where the text does, so that a sanitizer sees what is read behind it. */
static int decode(const char *text, size_t bytes, struct offer *offer,
		  struct xaring_refusal *refusal)
{
	char *copy = malloc(bytes ? bytes : 1);
	int res;

	assert_non_null(copy);
	memcpy(copy, text, bytes);
	res = offer_decode(copy, bytes, offer, refusal);
	free(copy);
	return res;
}

static void assert_offers_equal(const struct offer *a, const struct offer *b)
{
	assert_int_equal(a->open.version_min, b->open.version_min);
	assert_int_equal(a->open.version, b->open.version);
	assert_int_equal(a->open.features, b->open.features);
	assert_int_equal(a->open.params.direction, b->open.params.direction);
	assert_int_equal(a->open.params.format, b->open.params.format);
	assert_int_equal(a->open.params.rate_hz, b->open.params.rate_hz);
	assert_int_equal(a->open.params.channels, b->open.params.channels);
	assert_memory_equal(a->open.params.map, b->open.params.map, XARING_CHANNELS_MAX);
	assert_int_equal(a->open.params.buffer, b->open.params.buffer);
	assert_int_equal(a->open.params.period, b->open.params.period);
	assert_true(a->open.epoch == b->open.epoch);
	assert_memory_equal(a->open.name, b->open.name, XARING_NAME_BYTES);
	assert_int_equal(a->control, b->control);
	assert_int_equal(a->data_count, b->data_count);
	assert_memory_equal(a->data, b->data, sizeof(a->data));
}

static void the_example_is_the_documents(void **state)
{
	struct offer expected = example_offer(), offer;
	struct xaring_refusal refusal;
	char text[OFFER_TEXT_MAX + 1];

	(void)state;
	assert_int_equal(decode(example, strlen(example), &offer, &refusal), 0);
	assert_offers_equal(&offer, &expected);
	assert_int_equal(offer_encode(&expected, text), strlen(example));
	assert_string_equal(text, example);
}

/* The breaks of the document's lines are spaces. */
static void the_example_is_in_the_document(void **state)
{
	static char page[1 << 17], flat[sizeof(example)];
	FILE *file = fopen(PROTOCOL_DOCUMENT, "re");
	size_t have;
	char *at;

	(void)state;
	assert_non_null(file);
	have = fread(page, 1, sizeof(page) - 1, file);
	assert_int_equal(fclose(file), 0);
	assert_true(have < sizeof(page) - 1);
	at = strstr(page, "version=1 version-min=1");
	assert_non_null(at);
	memcpy(flat, at, strlen(example));
	for (char *end; (end = strchr(flat, '\n')) != NULL;)
		*end = ' ';
	assert_string_equal(flat, example);
}

static struct offer longest_offer(void)
{
	struct offer offer = example_offer();

	offer.open.version = offer.open.version_min = offer.open.features = UINT32_MAX;
	offer.open.epoch = UINT64_MAX;
	offer.open.params = (struct xaring_params){.direction = XARING_CAPTURE,
						   .format = XARING_FORMAT_FLOAT,
						   .rate_hz = 48000,
						   .channels = 8,
						   .map = {29, 30, 31, 32, 33, 34, 35, 36},
						   .buffer = 6000,
						   .period = UINT32_MAX};
	memset(offer.open.name, 0xff, XARING_NAME_BYTES);
	offer.control = UINT32_MAX;
	offer.data_count = 64;
	for (uint32_t i = 0; i < XARING_RING_PAGES_MAX; i++)
		offer.data[i] = i < offer.data_count ? UINT32_MAX - i : 0;
	return offer;
}

static void offers_come_through(void **state)
{
	struct offer from = longest_offer(), to;
	struct xaring_refusal refusal;
	char text[OFFER_TEXT_MAX + 1];
	int length = offer_encode(&from, text);

	(void)state;
	assert_true(length > 0 && (size_t)length == strlen(text));
	assert_int_equal(decode(text, (size_t)length, &to, &refusal), 0);
	assert_offers_equal(&to, &from);
}

/* "below 1700 bytes", says the document. */
static void the_longest_offer_fits(void **state)
{
	struct offer offer = longest_offer();
	char text[OFFER_TEXT_MAX + 1];

	(void)state;
	offer.data_count = XARING_RING_PAGES_MAX;
	for (uint32_t i = 0; i < XARING_RING_PAGES_MAX; i++)
		offer.data[i] = UINT32_MAX;
	assert_in_range(offer_encode(&offer, text), 1500, 1699);
}

static void names_are_written_in_one_form(void **state)
{
	struct offer offer = example_offer(), back;
	struct xaring_refusal refusal;
	char text[OFFER_TEXT_MAX + 1];

	(void)state;
	memset(offer.open.name, 0, XARING_NAME_BYTES);
	memcpy(offer.open.name, "a.B-9_ =%\n\xc3\xa9", 12);
	assert_true(offer_encode(&offer, text) > 0);
	assert_non_null(strstr(text, " name=a.B-9_%20%3d%25%0a%c3%a9 control="));
	assert_int_equal(decode(text, strlen(text), &back, &refusal), 0);
	assert_offers_equal(&back, &offer);
}

static void a_name_may_be_empty_or_full(void **state)
{
	struct offer offer = example_offer(), back;
	struct xaring_refusal refusal;
	char text[OFFER_TEXT_MAX + 1];

	(void)state;
	for (size_t bytes = 0; bytes <= XARING_NAME_BYTES; bytes += XARING_NAME_BYTES) {
		memset(offer.open.name, 0, XARING_NAME_BYTES);
		memset(offer.open.name, 'x', bytes);
		assert_true(offer_encode(&offer, text) > 0);
		assert_int_equal(decode(text, strlen(text), &back, &refusal), 0);
		assert_offers_equal(&back, &offer);
	}
}

/* The example with one piece of it replaced; an absent piece appends. */
static size_t change(char text[4096], const char *piece, const char *by)
{
	const char *at = piece ? strstr(example, piece) : example + strlen(example);
	size_t before;

	assert_non_null(at);
	before = (size_t)(at - example);
	return (size_t)snprintf(text, 4096, "%.*s%s%s", (int)before, example, by,
				at + (piece ? strlen(piece) : 0));
}

static void changed_is(const char *piece, const char *by, enum xaring_reason reason)
{
	struct xaring_refusal refusal = {0};
	struct offer offer, untouched;
	char text[4096];
	size_t bytes = change(text, piece, by);
	int res;

	memset(&offer, 0x5a, sizeof(offer));
	untouched = offer;
	res = decode(text, bytes, &offer, &refusal);
	if (res != (reason == XARING_REASON_NONE ? 0 : -EPROTO) || refusal.reason != reason)
		fail_msg("%s: result %d, reason %d, not %d", text, res, refusal.reason, reason);
	if (reason != XARING_REASON_NONE)
		assert_memory_equal(&offer, &untouched, sizeof(offer));
}

static const struct {
	const char *piece, *by;
} malformed[] = {
	/* Pairs and spaces. */
	{"version=1 ", ""},
	{"version=1 ", " version=1 "},
	{"version=1 ", "version=1  "},
	{"version=1 ", "version=1\t"},
	{"version=1 ", "version=1\n"},
	{"version=1 ", "version=1,"},
	{"version=1 ", "version=1 version=1 "},
	{"version=1 ", "version=1 version "},
	{"version=1 ", "version=1 =1 "},
	{"version=1 ", "version=1 = "},
	{"version=1 ", "Version=1 "},
	{"version=1 ", "version =1 "},
	{"version=1 ", "version= 1 "},
	{"version=1 ", "version=1 \x7f=1 "},
	{"version=1 ", "version=1 \xc3\xa9=1 "},
	{NULL, " "},
	{NULL, " x"},
	{NULL, "\n"},
	/* Each key that must be there, and is not. */
	{"version-min=1 ", ""},
	{"features=0 ", ""},
	{"epoch=9f31c07e5d22a846 ", ""},
	{"direction=0 ", ""},
	{"format=2 ", ""},
	{"rate=48000 ", ""},
	{"channels=2 ", ""},
	{"buffer=4096 ", ""},
	{"period=1024 ", ""},
	{"name=aplay ", ""},
	{"control=3e8 ", ""},
	{" data=3e9,3ea,3eb,3ec,3ed,3ee,3ef,3f0", ""},
	/* Decimal numbers. */
	{"rate=48000", "rate="},
	{"rate=48000", "rate=048000"},
	{"rate=48000", "rate=00"},
	{"rate=48000", "rate=+48000"},
	{"rate=48000", "rate=-48000"},
	{"rate=48000", "rate=48000.0"},
	{"rate=48000", "rate=4e4"},
	{"rate=48000", "rate=0xbb80"},
	{"rate=48000", "rate=bb80"},
	{"rate=48000", "rate=48000=1"},
	{"rate=48000", "rate=4294967296"},
	{"rate=48000", "rate=9999999999"},
	{"rate=48000", "rate=42949672960"},
	{"rate=48000", "rate=18446744073709599616"},
	/* Hexadecimal ones. */
	{"features=0", "features="},
	{"features=0", "features=00"},
	{"features=0", "features=0x1"},
	{"features=0", "features=g"},
	{"features=0", "features=-1"},
	{"features=0", "features=123456789"},
	{"control=3e8", "control="},
	{"control=3e8", "control=03e8"},
	{"control=3e8", "control=3e8h"},
	{"control=3e8", "control=100000000"},
	{"control=3e8", "control=3e8,3e7"},
	/* The epoch has its 16 digits, and is not zero. */
	{"epoch=9f31c07e5d22a846", "epoch="},
	{"epoch=9f31c07e5d22a846", "epoch=9f31c07e5d22a84"},
	{"epoch=9f31c07e5d22a846", "epoch=9f31c07e5d22a8466"},
	{"epoch=9f31c07e5d22a846", "epoch=9f31c07e5d22a84g"},
	{"epoch=9f31c07e5d22a846", "epoch=0000000000000000"},
	/* Versions that say nothing. */
	{"version-min=1", "version-min=0"},
	{"version-min=1", "version-min=2"},
	/* As many references as the shape says, each of them one. */
	{"3f0", "3f0,3f1"},
	{",3f0", ""},
	{",3f0", ","},
	{",3f0", ",,3f0"},
	{"data=", "data=,"},
	{",3f0", ",03f0"},
	{",3f0", ",1000003f0"},
	{",3f0", ",x"},
	/* A map has a position for each channel. */
	{"buffer=", "map= buffer="},
	{"buffer=", "map=3 buffer="},
	{"buffer=", "map=3, buffer="},
	{"buffer=", "map=3,04 buffer="},
	{"buffer=", "map=3,4,5 buffer="},
	{"buffer=", "map=3,256 buffer="},
	{"buffer=", "map=3,a buffer="},
	{"buffer=", "map=1,2,3,4,5,6,7,8,9 buffer="},
	{"buffer=", "map=3,4 map=3,4 buffer="},
	/* Each byte of a name has one form. */
	{"name=aplay", "name=a%"},
	{"name=aplay", "name=a%2"},
	{"name=aplay", "name=a%2g"},
	{"name=aplay", "name=a%00"},
	{"name=aplay", "name=%61play"},
	{"name=aplay", "name=a+b"},
	{"name=aplay", "name=a/b"},
	{"name=aplay", "name=a=b"},
	{"name=aplay", "name=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
};

static void what_is_malformed_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		changed_is(malformed[i].piece, malformed[i].by, XARING_REASON_MESSAGE);
}

static void what_is_impossible_has_its_reason(void **state)
{
	(void)state;
	changed_is("direction=0", "direction=2", XARING_REASON_DIRECTION);
	changed_is("direction=0", "direction=4294967295", XARING_REASON_DIRECTION);
	changed_is("format=2", "format=0", XARING_REASON_FORMAT);
	changed_is("format=2", "format=7", XARING_REASON_FORMAT);
	changed_is("rate=48000", "rate=0", XARING_REASON_RATE);
	changed_is("rate=48000", "rate=4294967295", XARING_REASON_RATE);
	changed_is("channels=2", "channels=0", XARING_REASON_CHANNELS);
	changed_is("channels=2", "channels=9", XARING_REASON_CHANNELS);
	changed_is("channels=2", "channels=9 map=3,4,5,6,7,8,9,10,11", XARING_REASON_CHANNELS);
	changed_is("buffer=", "map=3,3 buffer=", XARING_REASON_CHANNELS);
	changed_is("buffer=", "map=3,37 buffer=", XARING_REASON_CHANNELS);
	changed_is("buffer=4096", "buffer=31", XARING_REASON_BUFFER);
	changed_is("buffer=4096", "buffer=4294967295", XARING_REASON_BUFFER);
}

static void what_is_unusual_is_accepted(void **state)
{
	(void)state;
	changed_is(NULL, " future=1", XARING_REASON_NONE);
	changed_is(NULL, " future=", XARING_REASON_NONE);
	changed_is(NULL, " future==,%!~ future=2", XARING_REASON_NONE);
	changed_is("version=1 ", "unknown=x version=1 ", XARING_REASON_NONE);
	changed_is("version=1 ", "version=4294967295 ", XARING_REASON_NONE);
	changed_is("features=0", "features=ffffffff", XARING_REASON_NONE);
	changed_is("features=0", "features=FFFFFFFF", XARING_REASON_NONE);
	changed_is("epoch=9f31c07e5d22a846", "epoch=0000000000000001", XARING_REASON_NONE);
	changed_is("buffer=", "map=3,4 buffer=", XARING_REASON_NONE);
	changed_is("buffer=", "map=0,0 buffer=", XARING_REASON_NONE);
	changed_is("name=aplay", "name=", XARING_REASON_NONE);
	changed_is("name=aplay", "name=%C3%A9", XARING_REASON_NONE);
	changed_is("control=3e8", "control=0", XARING_REASON_NONE);
	changed_is("control=3e8", "control=ffffffff", XARING_REASON_NONE);
	changed_is("period=1024", "period=0", XARING_REASON_NONE);
}

static void the_order_does_not_matter(void **state)
{
	struct offer expected = example_offer(), offer;
	struct xaring_refusal refusal;
	char text[2 * sizeof(example)];
	size_t half = (size_t)(strstr(example, " channels") - example);

	(void)state;
	(void)snprintf(text, sizeof(text), "%s %.*s", example + half + 1, (int)half, example);
	assert_int_equal(decode(text, strlen(text), &offer, &refusal), 0);
	assert_offers_equal(&offer, &expected);
}

static void every_part_of_an_offer_is_refused(void **state)
{
	struct xaring_refusal refusal;
	struct offer offer;

	(void)state;
	/* But not without the last digits only: those are of a reference, which may be shorter. */
	for (size_t bytes = 0; bytes < strlen(example) - 2; bytes++)
		assert_int_equal(decode(example, bytes, &offer, &refusal), -EPROTO);
	/* The terminator is no part of the text. */
	assert_int_equal(decode(example, sizeof(example), &offer, &refusal), -EPROTO);
	assert_int_equal(refusal.reason, XARING_REASON_MESSAGE);
}

static void the_length_is_limited(void **state)
{
	struct xaring_refusal refusal;
	struct offer offer;
	char text[OFFER_TEXT_MAX + 2];
	size_t used = strlen(example);

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, example, used);
	memcpy(text + used, " f=", 3);
	assert_int_equal(decode(text, OFFER_TEXT_MAX, &offer, &refusal), 0);
	assert_int_equal(decode(text, OFFER_TEXT_MAX + 1, &offer, &refusal), -EPROTO);
	assert_int_equal(refusal.reason, XARING_REASON_MESSAGE);
}

static void too_many_references_are_refused(void **state)
{
	struct xaring_refusal refusal;
	struct offer offer;
	char text[4096];
	size_t used = (size_t)snprintf(text, sizeof(text), "%s", example);

	(void)state;
	while (used < OFFER_TEXT_MAX - 2)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ",1");
	assert_int_equal(decode(text, used, &offer, &refusal), -EPROTO);
	assert_int_equal(refusal.reason, XARING_REASON_MESSAGE);
}

static void answers_come_through(void **state)
{
	struct xaring_refusal from, to;
	char text[ANSWER_TEXT_MAX + 1];
	int length;

	(void)state;
	for (uint32_t reason = 1; reason <= XARING_REASON_LAST; reason++) {
		from = (struct xaring_refusal){.reason = (enum xaring_reason)reason,
					       .value = UINT32_MAX,
					       .min = reason,
					       .max = UINT32_MAX - reason};
		length = answer_encode(&from, text);
		assert_int_equal(length, strlen(text));
		assert_int_equal(answer_decode(text, (size_t)length, &to), 0);
		assert_memory_equal(&from, &to, sizeof(from));
	}
	from = (struct xaring_refusal){XARING_REASON_RATE, 4000, 8000, 192000};
	answer_encode(&from, text);
	assert_string_equal(text, "reason=5 value=4000 min=8000 max=192000");
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"reason=5",
		"reason=5 value=1 min=1",
		"reason=0 value=1 min=1 max=1",
		"reason=17 value=1 min=1 max=1",
		"reason=5 value=1 min=1 max=",
		"reason=5 value=1 min=1 max=01",
		"reason=5 value=1 min=1 max=4294967296",
		"reason=5 value=1 min=1 max=1 max=1",
		"reason=5 value=1 min=1 max=1 ",
		"reason=5 value=1 min=1 max=1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1",
	};
	struct xaring_refusal refusal;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(answer_decode(texts[i], strlen(texts[i]), &refusal), -EPROTO);
	assert_int_equal(answer_decode("reason=5 more=x value=1 min=1 max=1", 35, &refusal), 0);
}

static void numbers_have_one_form(void **state)
{
	uint32_t number = 7;

	(void)state;
	assert_int_equal(offer_number("0", 1, 0, &number), 0);
	assert_int_equal(number, 0);
	assert_int_equal(offer_number("65535x", 5, 65535, &number), 0);
	assert_int_equal(number, 65535);
	assert_int_equal(offer_number("4294967295", 10, UINT32_MAX, &number), 0);
	assert_true(number == UINT32_MAX);
	assert_int_equal(offer_number("", 0, 9, &number), -EPROTO);
	assert_int_equal(offer_number("65536", 5, 65535, &number), -EPROTO);
	assert_int_equal(offer_number("00", 2, 9, &number), -EPROTO);
	assert_int_equal(offer_number("1 ", 2, 9, &number), -EPROTO);
	assert_int_equal(offer_number("-1", 2, 9, &number), -EPROTO);
	assert_int_equal(offer_number("4294967296", 10, UINT32_MAX, &number), -EPROTO);
	assert_true(number == UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_is_the_documents),
		cmocka_unit_test(the_example_is_in_the_document),
		cmocka_unit_test(offers_come_through),
		cmocka_unit_test(the_longest_offer_fits),
		cmocka_unit_test(names_are_written_in_one_form),
		cmocka_unit_test(a_name_may_be_empty_or_full),
		cmocka_unit_test(what_is_malformed_is_refused),
		cmocka_unit_test(what_is_impossible_has_its_reason),
		cmocka_unit_test(what_is_unusual_is_accepted),
		cmocka_unit_test(the_order_does_not_matter),
		cmocka_unit_test(every_part_of_an_offer_is_refused),
		cmocka_unit_test(the_length_is_limited),
		cmocka_unit_test(too_many_references_are_refused),
		cmocka_unit_test(answers_come_through),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(numbers_have_one_form),
	};

	return cmocka_run_group_tests_name("offer", tests, NULL, NULL);
}
