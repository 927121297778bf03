/* SPDX-License-Identifier: MIT */
/*
 * Reads the keys of `type xen`. Strict: a key that is misspelt or of the wrong type is an error and
 * not a default, because nobody would find out otherwise. Prints nothing.
 */
#include "conf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCEPTED "comment, type, hint, socket STRING, name STRING"

struct reader {
	struct conf *out;
	char *error;
	size_t error_bytes;
};

/* The value as people wrote it; "{...}" for a compound. The caller frees it; may be NULL. */
static char *value_text(snd_config_t *node)
{
	char *text = NULL;

	if (snd_config_get_type(node) == SND_CONFIG_TYPE_COMPOUND)
		return strdup("{...}");
	if (snd_config_get_ascii(node, &text) < 0)
		return NULL;
	return text;
}

static int refuse(const struct reader *r, const char *id, snd_config_t *node, const char *accepted)
{
	char *value = value_text(node);

	snprintf(r->error, r->error_bytes, "key %s with the value '%s' is refused: accepted is %s",
		 id, value ? value : "", accepted);
	free(value);
	return -EINVAL;
}

static int read_socket(const struct reader *r, const char *id, snd_config_t *node)
{
	const char *text;

	if (snd_config_get_string(node, &text) < 0 || !text || text[0] != '/' ||
	    strlen(text) >= CONF_SOCKET_BYTES)
		return refuse(r, id, node, "an absolute path of at most 107 bytes");
	memcpy(r->out->socket, text, strlen(text) + 1);
	return 0;
}

/* Too long a name is cut: it is for people, and the program's own is not bounded either. */
static int read_name(const struct reader *r, const char *id, snd_config_t *node)
{
	const char *text;

	if (snd_config_get_string(node, &text) < 0 || !text)
		return refuse(r, id, node, "a string");
	snprintf(r->out->name, sizeof(r->out->name), "%s", text);
	return 0;
}

static bool is_ignored(const char *id)
{
	return !strcmp(id, "comment") || !strcmp(id, "type") || !strcmp(id, "hint");
}

static int read_key(const struct reader *r, snd_config_t *node)
{
	const char *id;

	if (snd_config_get_id(node, &id) < 0 || !id)
		return -EINVAL;
	if (is_ignored(id))
		return 0;
	if (!strcmp(id, "socket"))
		return read_socket(r, id, node);
	if (!strcmp(id, "name"))
		return read_name(r, id, node);
	return refuse(r, id, node, ACCEPTED);
}

int conf_read(snd_config_t *config, struct conf *out, char *error, size_t error_bytes)
{
	struct conf conf = {.socket = XARING_SOCKET_DEFAULT};
	struct reader reader = {.out = &conf, .error = error, .error_bytes = error_bytes};
	snd_config_iterator_t i, next;

	snprintf(error, error_bytes, "accepted keys are %s", ACCEPTED);
	if (snd_config_get_type(config) != SND_CONFIG_TYPE_COMPOUND)
		return -EINVAL;
	snd_config_for_each(i, next, config)
	{
		int res = read_key(&reader, snd_config_iterator_entry(i));

		if (res < 0)
			return res;
	}
	*out = conf;
	return 0;
}
