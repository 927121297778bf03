/* SPDX-License-Identifier: MIT */
/*
 * Walks through configuration files with PipeWire's own SPA-JSON, and says where what is not
 * accepted stands. Does not know which keys there are.
 */
#include "config-reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <spa/utils/json.h>

static int line_of(const struct reader *r, const char *at)
{
	int line = 1;

	for (const char *c = r->text->text; c < at; c++)
		line += *c == '\n';
	return line;
}

/* Places that are too long are cut: the line number is in the message as well. */
void place_extend(struct place *to, const struct place *from, const struct piece *key)
{
	int shown = key->bytes < 40 ? key->bytes : 40;

	snprintf(to->path, sizeof(to->path), "%.80s%s%.*s", from->path, from->path[0] ? "." : "",
		 shown, key->at);
}

static void extend_index(struct place *to, const struct place *from, int index)
{
	snprintf(to->path, sizeof(to->path), "%.80s[%d]", from->path, index);
}

/* Says which value is not accepted, and what would be. */
int reader_refuse(const struct reader *r, const struct place *place, const struct piece *value,
		  const char *accepted)
{
	int shown = value->bytes < 60 ? value->bytes : 60;

	snprintf(r->error, CONFIG_ERROR_BYTES, "%s:%d: %s = %.*s%s is refused: %s", r->text->file,
		 line_of(r, value->at), place->path, shown, value->at,
		 shown < value->bytes ? "..." : "", accepted);
	return -EINVAL;
}

int reader_refuse_key(const struct reader *r, const struct place *place, const struct piece *key,
		      const char *accepted)
{
	snprintf(r->error, CONFIG_ERROR_BYTES, "%s:%d: the key %.*s in %s is refused: %s",
		 r->text->file, line_of(r, key->at), key->bytes, key->at, place->path, accepted);
	return -EINVAL;
}

static int refuse_syntax(const struct reader *r, const struct place *place, const char *at)
{
	snprintf(r->error, CONFIG_ERROR_BYTES,
		 "%s:%d: cannot be read%s%s: keys and values in matching brackets are accepted",
		 r->text->file, line_of(r, at), place->path[0] ? " in " : "", place->path);
	return -EINVAL;
}

bool piece_is(const struct piece *p, const char *text)
{
	return (size_t)p->bytes == strlen(text) && memcmp(p->at, text, (size_t)p->bytes) == 0;
}

bool piece_is_container(const struct piece *p)
{
	return spa_json_is_container(p->at, p->bytes);
}

bool piece_begins(const struct piece *p, const char *prefix)
{
	return (size_t)p->bytes >= strlen(prefix) && memcmp(p->at, prefix, strlen(prefix)) == 0;
}

/* Takes the next value with all that is in it. Returns 1, 0 at the end, -EINVAL. */
static int next_piece(struct spa_json *it, struct piece *out)
{
	const char *end = it->end;

	out->bytes = spa_json_next(it, &out->at);
	if (out->bytes > 0 && piece_is_container(out))
		out->bytes = spa_json_container_len(it, out->at, out->bytes);
	else if (out->bytes == 0)
		return 0;
	return out->bytes > 0 && out->bytes <= end - out->at ? 1 : -EINVAL;
}

/* The key without its quotes; none of ours contains an escape. */
static void unquote(struct piece *p)
{
	if (p->bytes >= 2 && p->at[0] == '"') {
		p->at++;
		p->bytes -= 2;
	}
}

/* Takes the next "key = value". Returns 1, 0 at the end, -EINVAL with the message. */
static int next_pair(const struct reader *r, const struct place *place, struct spa_json *it,
		     struct piece *key, struct piece *value)
{
	int res = next_piece(it, key);

	if (res > 0 && !piece_is_container(key))
		res = next_piece(it, value) > 0 ? 1 : -EINVAL;
	else if (res > 0)
		res = -EINVAL;
	if (res < 0)
		return refuse_syntax(r, place, it->cur < it->end ? it->cur : it->end);
	unquote(key);
	return res;
}

int reader_expect(const struct reader *r, const struct place *place, const struct piece *value,
		  char bracket)
{
	if (*value->at == bracket)
		return 0;
	return reader_refuse(r, place, value,
			     bracket == '{' ? "{ key = value ... } is accepted"
					    : "[ value ... ] is accepted");
}

/* What walks between brackets refers to what has seen the first of them: newer versions ask for that. */
struct inside {
	struct spa_json outer;
	struct spa_json it;
};

static int enter(const struct reader *r, const struct place *place, const struct piece *value,
		 char bracket, struct inside *in)
{
	int res = reader_expect(r, place, value, bracket);

	if (res < 0)
		return res;
	spa_json_init(&in->outer, value->at, (size_t)value->bytes);
	if (bracket == '{')
		spa_json_enter_object(&in->outer, &in->it);
	else
		spa_json_enter_array(&in->outer, &in->it);
	return 0;
}

static int each_pair_of(struct reader *r, const struct place *place, struct spa_json *it,
			reader_pair_fn fn, void *data)
{
	struct piece key, value;
	int res;

	do {
		res = next_pair(r, place, it, &key, &value);
		if (res <= 0)
			return res;
		res = fn(r, place, &key, &value, data);
	} while (res == 0);
	return res;
}

int reader_each_pair(struct reader *r, const struct place *place, const struct piece *object,
		     reader_pair_fn fn, void *data)
{
	struct inside in;
	int res = enter(r, place, object, '{', &in);

	return res < 0 ? res : each_pair_of(r, place, &in.it, fn, data);
}

int reader_each_section(struct reader *r, reader_pair_fn fn)
{
	static const struct place top = {""};
	struct inside in;

	spa_json_init(&in.outer, r->text->text, r->text->bytes);
	if (spa_json_enter_object(&in.outer, &in.it) > 0)
		return each_pair_of(r, &top, &in.it, fn, NULL);
	spa_json_init(&in.outer, r->text->text, r->text->bytes);
	return each_pair_of(r, &top, &in.outer, fn, NULL);
}

int reader_each_element(struct reader *r, const struct place *place, const struct piece *array,
			reader_element_fn fn)
{
	struct place inner;
	struct piece value;
	struct inside in;
	int res = enter(r, place, array, '[', &in);

	for (int i = 0; res == 0; i++) {
		res = next_piece(&in.it, &value);
		if (res < 0)
			return refuse_syntax(r, place, array->at);
		if (res == 0)
			return 0;
		extend_index(&inner, place, i);
		res = fn(r, &inner, &value);
	}
	return res;
}

/* The text of a value, without quotes and escapes; to be freed. NULL for containers, no memory. */
static char *text_of(const struct piece *value)
{
	char *text;

	if (piece_is_container(value))
		return NULL;
	text = malloc((size_t)value->bytes + 1);
	if (text && spa_json_parse_stringn(value->at, value->bytes, text, value->bytes + 1) <= 0) {
		free(text);
		return NULL;
	}
	return text;
}

int reader_take_text(struct reader *r, const struct place *place, const struct piece *value,
		     char **out)
{
	char *text = text_of(value);

	if (!text)
		return reader_refuse(r, place, value, "a text is accepted");
	free(*out);
	*out = text;
	return 0;
}

int reader_take_path(struct reader *r, const struct place *place, const struct piece *value,
		     char **out)
{
	int res = reader_take_text(r, place, value, out);

	if (res < 0)
		return res;
	if ((*out)[0] != '/' || strlen(*out) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return reader_refuse(r, place, value,
				     "an absolute path of at most 107 bytes is accepted");
	return 0;
}

int reader_take_bool(struct reader *r, const struct place *place, const struct piece *value,
		     bool *out)
{
	if (!piece_is(value, "true") && !piece_is(value, "false"))
		return reader_refuse(r, place, value, "true and false are accepted");
	*out = piece_is(value, "true");
	return 0;
}

int reader_take_number(struct reader *r, const struct place *place, const struct piece *value,
		       struct reader_range range, uint32_t *out)
{
	char accepted[64];
	uint64_t number = 0;
	bool good = value->bytes > 0 && value->bytes <= 10;

	for (int i = 0; good && i < value->bytes; i++) {
		good = value->at[i] >= '0' && value->at[i] <= '9';
		number = number * 10 + (uint64_t)(value->at[i] - '0');
	}
	if (!good || number < range.min || number > range.max) {
		snprintf(accepted, sizeof(accepted), "%u to %u are accepted", range.min, range.max);
		return reader_refuse(r, place, value, accepted);
	}
	*out = (uint32_t)number;
	return 0;
}
