/* SPDX-License-Identifier: MIT */
/*
 * A list in memory, and its copy in a file. Knows nothing of VMs but their keys.
 */
#include "consent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "state-folder.h"

#define LINE_BYTES 128

struct entry {
	struct entry *next;
	char key[IPC_VM_NAME_BYTES];
	enum consent_choice choice;
	int64_t until_ms;
};

struct consent {
	char *path;
	struct entry *first;
	unsigned count;
};

static struct entry **find(struct entry **at, const char *key)
{
	while (*at && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	return at;
}

static void remove_entry(struct consent *c, struct entry **at)
{
	struct entry *gone = *at;

	*at = gone->next;
	free(gone);
	c->count--;
}

static int put(struct consent *c, const struct entry *entry)
{
	struct entry **at = find(&c->first, entry->key);

	if (!*at) {
		if (c->count == CONSENT_ENTRIES_MAX)
			return -E2BIG;
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return -ENOMEM;
		c->count++;
		memcpy((*at)->key, entry->key, sizeof(entry->key));
	}
	(*at)->choice = entry->choice;
	(*at)->until_ms = entry->until_ms;
	return 0;
}

/* ---- the file ---- */

static bool read_end(const char *text, int64_t *until_ms)
{
	int64_t until_s;
	char *end;

	errno = 0;
	until_s = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || until_s <= 0 ||
	    until_s > CONSENT_FOREVER / 1000)
		return false;
	*until_ms = until_s * 1000;
	return true;
}

/* Takes the line apart. */
static bool read_line(char *line, struct entry *entry)
{
	char *rest = NULL;
	const char *key = strtok_r(line, " \n", &rest);
	const char *choice = strtok_r(NULL, " \n", &rest);
	const char *until = strtok_r(NULL, " \n", &rest);

	if (!key || !choice || strtok_r(NULL, " \n", &rest) || !config_key_is_valid(key))
		return false;
	*entry = (struct entry){.until_ms = CONSENT_FOREVER};
	memcpy(entry->key, key, strlen(key) + 1);
	if (strcmp(choice, "allow") == 0)
		entry->choice = CONSENT_ALLOW;
	else if (strcmp(choice, "deny") == 0)
		entry->choice = CONSENT_DENY;
	return entry->choice != CONSENT_NONE && (!until || read_end(until, &entry->until_ms));
}

static bool ends_line(const char *line)
{
	size_t length = strlen(line);

	return length > 0 && line[length - 1] == '\n';
}

/* The rest of one that is too long. */
static void skip_line(FILE *file)
{
	int c;

	do
		c = getc(file);
	while (c != EOF && c != '\n');
}

static int read_entries(struct consent *c, FILE *file, unsigned *skipped)
{
	char line[LINE_BYTES];
	struct entry entry;

	while (fgets(line, sizeof(line), file)) {
		bool is_whole = ends_line(line);

		if (!is_whole)
			skip_line(file);
		if (!is_whole || !read_line(line, &entry))
			++*skipped;
		else if (put(c, &entry) < 0)
			return -ENOMEM;
	}
	return ferror(file) ? -EIO : 0;
}

static int load(struct consent *c, unsigned *skipped)
{
	FILE *file = fopen(c->path, "re");
	int res;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	res = read_entries(c, file, skipped);
	fclose(file);
	return res;
}

static void write_entry(FILE *file, const struct entry *e)
{
	fprintf(file, "%s %s", e->key, e->choice == CONSENT_ALLOW ? "allow" : "deny");
	if (e->until_ms != CONSENT_FOREVER)
		fprintf(file, " %" PRId64, e->until_ms / 1000);
	putc('\n', file);
}

static void write_entries(FILE *file, const void *data)
{
	const struct consent *c = data;

	for (const struct entry *e = c->first; e; e = e->next)
		write_entry(file, e);
}

/* ---- what others see ---- */

int consent_open(const char *path, struct consent **out, unsigned *skipped)
{
	struct consent *c = calloc(1, sizeof(*c));
	int res = -ENOMEM;

	*skipped = 0;
	if (!c)
		return res;
	c->path = strdup(path);
	if (c->path)
		res = load(c, skipped);
	if (res < 0) {
		consent_close(c);
		return res;
	}
	*out = c;
	return 0;
}

void consent_close(struct consent *c)
{
	if (!c)
		return;
	while (c->first)
		remove_entry(c, &c->first);
	free(c->path);
	free(c);
}

enum consent_choice consent_of(const struct consent *c, const char *key, int64_t now_ms)
{
	struct entry *first = c->first, *e = *find(&first, key);

	return e && now_ms < e->until_ms ? e->choice : CONSENT_NONE;
}

int64_t consent_until_ms(const struct consent *c, const char *key, int64_t now_ms)
{
	struct entry *first = c->first, *e = *find(&first, key);

	return e && now_ms < e->until_ms ? e->until_ms : 0;
}

/* When the first of what holds now is over, CONSENT_FOREVER when nothing is. */
static int64_t next_end_ms(const struct consent *c, int64_t now_ms)
{
	int64_t next_ms = CONSENT_FOREVER;

	for (const struct entry *e = c->first; e; e = e->next) {
		if (e->until_ms > now_ms && e->until_ms < next_ms)
			next_ms = e->until_ms;
	}
	return next_ms;
}

uint64_t consent_look_ms(const struct consent *c, int64_t now_ms)
{
	int64_t end_ms = next_end_ms(c, now_ms);

	if (end_ms == CONSENT_FOREVER)
		return UINT64_MAX;
	return end_ms - now_ms < CONSENT_LOOK_MAX_MS ? (uint64_t)(end_ms - now_ms)
						     : CONSENT_LOOK_MAX_MS;
}

bool consent_forget_over(struct consent *c, int64_t now_ms)
{
	struct entry **at = &c->first;
	unsigned before = c->count;

	while (*at) {
		if ((*at)->until_ms <= now_ms)
			remove_entry(c, at);
		else
			at = &(*at)->next;
	}
	return c->count < before;
}

int consent_decide(struct consent *c, const char *key, enum consent_choice choice, int64_t until_ms)
{
	struct entry entry = {.choice = choice, .until_ms = until_ms}, **at;

	if (choice == CONSENT_NONE) {
		at = find(&c->first, key);
		if (*at)
			remove_entry(c, at);
		return 0;
	}
	snprintf(entry.key, sizeof(entry.key), "%s", key);
	return put(c, &entry);
}

int consent_save(const struct consent *c)
{
	return state_folder_replace(c->path, write_entries, c);
}
