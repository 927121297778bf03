/* SPDX-License-Identifier: MIT */
/*
 * The texts of the rendezvous. Two tables say which keys there are, in which form and where their
 * values go; one reader and one set of forms serve both. Nothing is taken from a text before it has
 * been checked, and nothing is changed in what the caller passed before all of it is right.
 */
#include "offer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX      10
#define HEX_DIGITS_MAX  8
#define EPOCH_HEX_BYTES 16

/* A piece of the text, not terminated. */
struct span {
	const char *at;
	size_t bytes;
};

/* What is read before it is known to be right. */
struct draft {
	struct offer offer;
	struct xaring_refusal answer;
	uint32_t map_count;
};

/* Reads a value into its field. Returns false when it is malformed. */
typedef bool (*form_fn)(struct span value, struct draft *draft, void *field);

struct key {
	const char *name;
	form_fn form;
	size_t field; /* in struct draft */
	bool optional;
};

/* Cuts the part before the separator off the rest; the last part is what is left. */
static struct span cut(struct span *rest, char separator, bool *more)
{
	const char *end = memchr(rest->at, separator, rest->bytes);
	struct span part = *rest;

	*more = end != NULL;
	if (!end)
		return part;
	part.bytes = (size_t)(end - rest->at);
	rest->at = end + 1;
	rest->bytes -= part.bytes + 1;
	return part;
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

static bool has_leading_zero(struct span s)
{
	return s.bytes > 1 && s.at[0] == '0';
}

int offer_number(const char *text, size_t bytes, uint32_t max, uint32_t *number)
{
	uint64_t sum = 0;

	if (bytes == 0 || bytes > DIGITS_MAX || has_leading_zero((struct span){text, bytes}))
		return -EPROTO;
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EPROTO;
		sum = sum * 10 + (uint64_t)(text[i] - '0');
	}
	if (sum > max)
		return -EPROTO;
	*number = (uint32_t)sum;
	return 0;
}

static bool read_hex(struct span s, uint64_t *number)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s.bytes; i++) {
		int digit = hex_value(s.at[i]);

		if (digit < 0)
			return false;
		sum = sum << 4 | (uint64_t)digit;
	}
	*number = sum;
	return true;
}

static bool read_hex32(struct span s, uint32_t *number)
{
	uint64_t value;

	if (s.bytes == 0 || s.bytes > HEX_DIGITS_MAX || has_leading_zero(s) || !read_hex(s, &value))
		return false;
	*number = (uint32_t)value;
	return true;
}

static bool form_decimal(struct span value, struct draft *draft, void *field)
{
	uint32_t number;

	(void)draft;
	if (offer_number(value.at, value.bytes, UINT32_MAX, &number) < 0)
		return false;
	memcpy(field, &number, sizeof(number));
	return true;
}

static bool form_hex(struct span value, struct draft *draft, void *field)
{
	(void)draft;
	return read_hex32(value, field);
}

static bool form_epoch(struct span value, struct draft *draft, void *field)
{
	(void)draft;
	return value.bytes == EPOCH_HEX_BYTES && read_hex(value, field);
}

static bool form_map(struct span value, struct draft *draft, void *field)
{
	uint8_t *map = field;
	bool more = true;

	while (more) {
		struct span part = cut(&value, ',', &more);
		uint32_t code;

		if (offer_number(part.at, part.bytes, UINT8_MAX, &code) < 0)
			return false;
		/* More than there can be is for the number of channels to be refused by. */
		if (draft->map_count < XARING_CHANNELS_MAX)
			map[draft->map_count] = (uint8_t)code;
		draft->map_count++;
	}
	return true;
}

static bool form_references(struct span value, struct draft *draft, void *field)
{
	uint32_t *references = field;
	bool more = true;

	while (more) {
		struct span part = cut(&value, ',', &more);

		if (draft->offer.data_count == XARING_RING_PAGES_MAX ||
		    !read_hex32(part, &references[draft->offer.data_count]))
			return false;
		draft->offer.data_count++;
	}
	return true;
}

static bool is_plain(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '.' || byte == '-' || byte == '_';
}

/* Takes one byte of a name. What needs no percent sign may have none, and 0 has no form. */
static bool read_name_byte(struct span *rest, char *byte)
{
	uint64_t code;

	if (is_plain(rest->at[0])) {
		*byte = rest->at[0];
		rest->at++;
		rest->bytes--;
		return true;
	}
	if (rest->at[0] != '%' || rest->bytes < 3 ||
	    !read_hex((struct span){rest->at + 1, 2}, &code))
		return false;
	*byte = (char)(unsigned char)code;
	rest->at += 3;
	rest->bytes -= 3;
	return code != 0 && !is_plain(*byte);
}

static bool form_name(struct span value, struct draft *draft, void *field)
{
	char *name = field;
	size_t used = 0;

	(void)draft;
	while (value.bytes > 0) {
		if (used == XARING_NAME_BYTES || !read_name_byte(&value, &name[used]))
			return false;
		used++;
	}
	return true;
}

#define OPEN(field)   offsetof(struct draft, offer.open.field)
#define PARAMS(field) offsetof(struct draft, offer.open.params.field)

static const struct key offer_keys[] = {
	{"version", form_decimal, OPEN(version), false},
	{"version-min", form_decimal, OPEN(version_min), false},
	{"features", form_hex, OPEN(features), false},
	{"epoch", form_epoch, OPEN(epoch), false},
	{"direction", form_decimal, PARAMS(direction), false},
	{"format", form_decimal, PARAMS(format), false},
	{"rate", form_decimal, PARAMS(rate_hz), false},
	{"channels", form_decimal, PARAMS(channels), false},
	{"map", form_map, PARAMS(map), true},
	{"buffer", form_decimal, PARAMS(buffer), false},
	{"period", form_decimal, PARAMS(period), false},
	{"name", form_name, OPEN(name), false},
	{"control", form_hex, offsetof(struct draft, offer.control), false},
	{"data", form_references, offsetof(struct draft, offer.data), false},
};

static const struct key answer_keys[] = {
	{"reason", form_decimal, offsetof(struct draft, answer.reason), false},
	{"value", form_decimal, offsetof(struct draft, answer.value), false},
	{"min", form_decimal, offsetof(struct draft, answer.min), false},
	{"max", form_decimal, offsetof(struct draft, answer.max), false},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Form decimal writes 32 bits there. */
_Static_assert(sizeof(enum xaring_direction) == 4 && sizeof(enum xaring_format) == 4 &&
		       sizeof(enum xaring_reason) == 4,
	       "enumerations are 32 bits");

static const struct key *find_key(const struct key *keys, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(keys[i].name) == name.bytes &&
		    memcmp(keys[i].name, name.at, name.bytes) == 0)
			return &keys[i];
	}
	return NULL;
}

static bool read_pair(struct span pair, const struct key *keys, size_t count, uint32_t *seen,
		      struct draft *draft)
{
	const struct key *key;
	bool has_value;
	struct span value = pair, name = cut(&value, '=', &has_value);
	uint32_t bit;

	if (!has_value || name.bytes == 0)
		return false;
	key = find_key(keys, count, name);
	if (!key)
		return true;
	bit = UINT32_C(1) << (key - keys);
	if (*seen & bit)
		return false;
	*seen |= bit;
	return key->form(value, draft, (char *)draft + key->field);
}

static bool is_printable(struct span text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		if (text.at[i] < ' ' || text.at[i] > '~')
			return false;
	}
	return true;
}

static bool read_text(struct span text, const struct key *keys, size_t count, struct draft *draft)
{
	uint32_t seen = 0;
	bool more = true;

	if (!is_printable(text))
		return false;
	while (more) {
		if (!read_pair(cut(&text, ' ', &more), keys, count, &seen, draft))
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (!keys[i].optional && !(seen >> i & 1))
			return false;
	}
	return true;
}

/* What the forms of the single values do not say. */
static bool is_consistent(const struct draft *draft)
{
	const struct xaring_open *open = &draft->offer.open;
	uint32_t channels = open->params.channels;

	if (open->version_min == 0 || open->version_min > open->version || open->epoch == 0)
		return false;
	/* More channels than there can be have a better reason to be refused. */
	return draft->map_count == 0 || channels > XARING_CHANNELS_MAX ||
	       draft->map_count == channels;
}

static int refuse_message(struct xaring_refusal *refusal)
{
	*refusal = (struct xaring_refusal){.reason = XARING_REASON_MESSAGE};
	return -EPROTO;
}

int offer_decode(const char *text, size_t bytes, struct offer *offer,
		 struct xaring_refusal *refusal)
{
	struct xaring_shape shape;
	struct draft draft;

	memset(&draft, 0, sizeof(draft));
	if (bytes > OFFER_TEXT_MAX ||
	    !read_text((struct span){text, bytes}, offer_keys, COUNT(offer_keys), &draft) ||
	    !is_consistent(&draft))
		return refuse_message(refusal);
	if (xaring_params_shape(&draft.offer.open.params, &shape, refusal) < 0)
		return -EPROTO;
	if (draft.offer.data_count != shape.data_pages)
		return refuse_message(refusal);
	*offer = draft.offer;
	return 0;
}

int answer_decode(const char *text, size_t bytes, struct xaring_refusal *refusal)
{
	struct draft draft;

	memset(&draft, 0, sizeof(draft));
	if (bytes > ANSWER_TEXT_MAX ||
	    !read_text((struct span){text, bytes}, answer_keys, COUNT(answer_keys), &draft))
		return -EPROTO;
	if (draft.answer.reason == XARING_REASON_NONE ||
	    (uint32_t)draft.answer.reason > XARING_REASON_LAST)
		return -EPROTO;
	*refusal = draft.answer;
	return 0;
}

/* A text that is being written; what does not fit makes it over-full for good. */
struct writer {
	char *text;
	size_t max, used;
	bool full;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *w, const char *format, ...)
{
	va_list args;
	int res;

	va_start(args, format);
	res = w->full ? -1 : vsnprintf(w->text + w->used, w->max - w->used + 1, format, args);
	va_end(args);
	if (res < 0 || (size_t)res > w->max - w->used)
		w->full = true;
	else
		w->used += (size_t)res;
}

static int finish(struct writer *w)
{
	if (w->full) {
		w->text[0] = 0;
		return -ENOSPC;
	}
	return (int)w->used;
}

static void put_map(struct writer *w, const struct xaring_params *params)
{
	static const uint8_t usual[XARING_CHANNELS_MAX];

	if (memcmp(params->map, usual, sizeof(usual)) == 0)
		return;
	for (uint32_t i = 0; i < params->channels && i < XARING_CHANNELS_MAX; i++)
		put(w, i == 0 ? " map=%u" : ",%u", params->map[i]);
}

static void put_name(struct writer *w, const char name[XARING_NAME_BYTES])
{
	put(w, " name=");
	for (size_t i = 0; i < XARING_NAME_BYTES && name[i]; i++)
		put(w, is_plain(name[i]) ? "%c" : "%%%02x", (unsigned char)name[i]);
}

int offer_encode(const struct offer *offer, char text[OFFER_TEXT_MAX + 1])
{
	const struct xaring_open *open = &offer->open;
	const struct xaring_params *params = &open->params;
	struct writer w = {.text = text, .max = OFFER_TEXT_MAX};

	put(&w, "version=%u version-min=%u features=%x epoch=%016llx", open->version,
	    open->version_min, open->features, (unsigned long long)open->epoch);
	put(&w, " direction=%u format=%u rate=%u channels=%u", (uint32_t)params->direction,
	    (uint32_t)params->format, params->rate_hz, params->channels);
	put_map(&w, params);
	put(&w, " buffer=%u period=%u", params->buffer, params->period);
	put_name(&w, open->name);
	put(&w, " control=%x", offer->control);
	for (uint32_t i = 0; i < offer->data_count && i < XARING_RING_PAGES_MAX; i++)
		put(&w, i == 0 ? " data=%x" : ",%x", offer->data[i]);
	return finish(&w);
}

int answer_encode(const struct xaring_refusal *refusal, char text[ANSWER_TEXT_MAX + 1])
{
	struct writer w = {.text = text, .max = ANSWER_TEXT_MAX};

	put(&w, "reason=%u value=%u min=%u max=%u", (uint32_t)refusal->reason, refusal->value,
	    refusal->min, refusal->max);
	return finish(&w);
}
