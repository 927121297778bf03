/* SPDX-License-Identifier: MIT */
/*
 * Reading sections, keys and values of configuration files.
 *
 * What is not accepted is refused with its file, line, key and value: -EINVAL, and the message in
 * the reader's error. All functions that return an int return 0 otherwise, or a negative errno.
 *
 * Thread: one. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_CONFIG_READER_H
#define XARING_BROKER_CONFIG_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/* A piece of a file: a key, or a value with its brackets. Borrows the file's text. */
struct piece {
	const char *at;
	int bytes;
};

/* Where we are, for messages. */
struct reader {
	struct config *config; /* what is being filled */
	struct config_text *text;
	char *error; /* CONFIG_ERROR_BYTES */
};

/* A place in a file: "xaring.rules[0].actions.policy" */
struct place {
	char path[128];
};

/* Both ends are accepted. */
struct reader_range {
	uint32_t min, max;
};

/* Takes a key and its value, or an element. What is not 0 ends the walk, which returns it. */
typedef int (*reader_pair_fn)(struct reader *r, const struct place *place, const struct piece *key,
			      const struct piece *value, void *data);
typedef int (*reader_element_fn)(struct reader *r, const struct place *place,
				 const struct piece *value);

bool piece_is(const struct piece *p, const char *text);
bool piece_begins(const struct piece *p, const char *prefix);
bool piece_is_container(const struct piece *p);

/* The place of a key within another place. Long ones are cut. */
void place_extend(struct place *to, const struct place *from, const struct piece *key);

/* Return -EINVAL. accepted: a sentence with what is accepted instead. */
int reader_refuse(const struct reader *r, const struct place *place, const struct piece *value,
		  const char *accepted);
int reader_refuse_key(const struct reader *r, const struct place *place, const struct piece *key,
		      const char *accepted);

/* Refuses a value that does not begin with this bracket, '{' or '['. */
int reader_expect(const struct reader *r, const struct place *place, const struct piece *value,
		  char bracket);

/* Walk through the sections of the reader's text, an object, an array. */
int reader_each_section(struct reader *r, reader_pair_fn fn);
int reader_each_pair(struct reader *r, const struct place *place, const struct piece *object,
		     reader_pair_fn fn, void *data);
int reader_each_element(struct reader *r, const struct place *place, const struct piece *array,
			reader_element_fn fn);

/* Read a value. A text, without quotes and escapes, takes the place of *out, which is freed. */
int reader_take_text(struct reader *r, const struct place *place, const struct piece *value,
		     char **out);
int reader_take_path(struct reader *r, const struct place *place, const struct piece *value,
		     char **out);
int reader_take_bool(struct reader *r, const struct place *place, const struct piece *value,
		     bool *out);
int reader_take_number(struct reader *r, const struct place *place, const struct piece *value,
		       struct reader_range range, uint32_t *out);

#endif
