/* SPDX-License-Identifier: MIT */
/*
 * The operations on this guest's folder in xenstore. What the backend can write there is hostile
 * text, and so is what an earlier guestd has left: the backend may have had the right to change it.
 */
#include "folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_BYTES     10 /* of a decimal number */
#define BACKEND_TEXT_MAX 256

/* Reads a number. *number stays when there is none, or something else. */
static int read_number(struct store_link *link, const char *path, uint32_t max, uint32_t *number)
{
	char value[NUMBER_BYTES + 1];
	int res = store_read_short(link, path, value, NUMBER_BYTES);

	if (res < 0)
		return res;
	(void)offer_number(value, (size_t)res, max, number);
	return 0;
}

static bool is_token(const char *text)
{
	return strspn(text, "0123456789abcdef") == FOLDER_TOKEN_DIGITS;
}

/* Reads the token: "" when there is none. */
static int read_token(struct store_link *link, char token[FOLDER_TOKEN_DIGITS + 1])
{
	int res = store_read_short(link, OFFER_TOKEN, token, FOLDER_TOKEN_DIGITS);

	if (!is_token(token))
		token[0] = '\0';
	return res < 0 ? res : 0;
}

static void node_path(uint32_t number, const char *below, char path[FOLDER_PATH_BYTES])
{
	(void)snprintf(path, FOLDER_PATH_BYTES, OFFER_STREAMS "/%u%s", number, below);
}

/* ---- home ---- */

static int make_folder(struct store_link *link, const char *path,
		       const struct store_permission permissions[3])
{
	int res = store_write(link, path, "", 0);

	return res < 0 ? res : store_permit(link, path, permissions, 3);
}

/*
 * dom0 may read and write everything; another backend only what it is given. Nodes inherit it: what the
 * backend makes there belongs to the backend, so that we may read it, too, has to be said.
 */
static int permit_backend(struct store_link *link, uint32_t backend_id)
{
	uint32_t domid = 0;
	int res = read_number(link, FOLDER_DOMID, OFFER_DOMID_MAX, &domid);
	struct store_permission permissions[] = {{.domid = domid},
						 {.domid = backend_id, .read = true},
						 {.domid = domid, .read = true, .write = true}};

	if (res == 0)
		res = make_folder(link, OFFER_HOME, permissions);
	permissions[1].write = true;
	if (res == 0)
		res = make_folder(link, OFFER_STREAMS, permissions);
	return res;
}

/* All that is ours. The node of a backend that runs in this domain is its own. */
static int empty_folder(struct store_link *link)
{
	static const char *const paths[] = {OFFER_TOKEN, OFFER_KICK, OFFER_STREAMS};
	int res = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && res == 0; i++)
		res = store_remove(link, paths[i]);
	return res;
}

/* For which backend the folder and what is granted there are: the end of the token. */
#define BACKEND_AT (FOLDER_TOKEN_DIGITS - 4)

static bool is_for_backend(const char *token, uint32_t backend_id)
{
	return strtoul(token + BACKEND_AT, NULL, 16) == backend_id;
}

/* The token goes first and comes last: without it the next one begins again. */
static int make_fresh(struct folder_home *home, struct store_link *link)
{
	int res;

	/* Whatever becomes of it: what was granted is void. */
	home->fresh = true;
	(void)snprintf(home->token + BACKEND_AT, 5, "%04x", home->backend_id & 0xffffu);
	res = empty_folder(link);
	if (res == 0 && home->backend_id != 0)
		res = permit_backend(link, home->backend_id);
	if (res == 0)
		res = store_write(link, OFFER_TOKEN, home->token, FOLDER_TOKEN_DIGITS);
	return res;
}

static int read_stream(struct folder_home *home, struct store_link *link, uint32_t number)
{
	struct folder_stream *stream = &home->streams[home->stream_count];
	struct xaring_refusal refusal;
	char path[FOLDER_PATH_BYTES], text[OFFER_TEXT_MAX + 1];
	int res;

	node_path(number, "", path);
	res = store_read(link, path, text, OFFER_TEXT_MAX);
	if (res >= 0)
		res = offer_decode(text, (size_t)res, &stream->offer, &refusal);
	if (res == 0) {
		stream->number = number;
		home->stream_count++;
		return 0;
	}
	return store_is_lost(res) ? res : store_remove(link, path);
}

static int read_streams(struct folder_home *home, struct store_link *link)
{
	char **names;
	int count = store_list(link, OFFER_STREAMS, &names);
	int res = 0;

	if (count < 0)
		return store_is_absent(count) ? 0 : count;
	home->streams = calloc(FOLDER_STREAMS_MAX, sizeof(*home->streams));
	if (!home->streams)
		res = -ENOMEM;
	for (int i = 0; i < count && res == 0 && home->stream_count < FOLDER_STREAMS_MAX; i++) {
		uint32_t number;

		if (offer_number(names[i], strlen(names[i]), OFFER_NUMBER_MAX, &number) == 0)
			res = read_stream(home, link, number);
	}
	free(names);
	return res;
}

/* Goes on where an earlier guestd of this domain has left off. */
static int take_over(struct folder_home *home, struct store_link *link, const char *token)
{
	int res = read_number(link, OFFER_KICK, UINT32_MAX, &home->kick);

	if (res == 0)
		res = read_streams(home, link);
	/* The backend's domain may fill it with more names than can be listed: ours are not found then. */
	if (res == -E2BIG)
		return make_fresh(home, link);
	memcpy(home->token, token, FOLDER_TOKEN_DIGITS + 1);
	return res;
}

int folder_home(struct store_job *job, struct store_link *link)
{
	struct folder_home *home = (struct folder_home *)job;
	char token[FOLDER_TOKEN_DIGITS + 1];
	int res;

	home->backend_id = 0;
	home->fresh = false;
	home->stream_count = 0;
	res = read_number(link, OFFER_BACKEND_ID, OFFER_DOMID_MAX, &home->backend_id);
	if (res == 0)
		res = read_token(link, token);
	if (res < 0)
		return res;
	if (token[0] == '\0' || !is_for_backend(token, home->backend_id))
		return make_fresh(home, link);
	if (home->first)
		return take_over(home, link, token);
	return strcmp(token, home->token) == 0 ? 0 : make_fresh(home, link);
}

/* ---- nodes and kicks ---- */

int folder_node(struct store_job *job, struct store_link *link)
{
	const struct folder_node *node = (const struct folder_node *)job;
	char path[FOLDER_PATH_BYTES];

	node_path(node->number, "", path);
	if (node->text_bytes == 0)
		return store_remove(link, path);
	return store_write(link, path, node->text, node->text_bytes);
}

int folder_kick(struct store_job *job, struct store_link *link)
{
	const struct folder_kick *kick = (const struct folder_kick *)job;
	char text[NUMBER_BYTES + 1];
	int length = snprintf(text, sizeof(text), "%u", kick->kick);

	return store_write(link, OFFER_KICK, text, (size_t)length);
}

/* ---- answers ---- */

/* Returns 1 when there is one. */
static int read_answer(struct folder_answers *a, struct store_link *link, uint32_t at)
{
	char path[FOLDER_PATH_BYTES], text[ANSWER_TEXT_MAX + 1];
	int res;

	node_path(a->numbers[at], OFFER_ANSWER, path);
	res = store_read(link, path, text, ANSWER_TEXT_MAX);
	if (store_is_absent(res))
		return 0;
	if (res < 0 && res != -E2BIG)
		return res;
	if (res < 0 || answer_decode(text, (size_t)res, &a->answers[at]) < 0)
		a->answers[at] = (struct xaring_refusal){.reason = XARING_REASON_MESSAGE};
	a->answered[at] = true;
	return 1;
}

static int read_answers(struct folder_answers *a, struct store_link *link, uint32_t from,
			uint32_t to)
{
	int found = 0;

	for (uint32_t i = from; i < to; i++) {
		int res = read_answer(a, link, i);

		if (res < 0)
			return res;
		found += res;
	}
	return found;
}

static bool is_ours(const struct folder_answers *a, const char *name)
{
	uint32_t number;

	if (offer_number(name, strlen(name), OFFER_NUMBER_MAX, &number) < 0)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		if (a->numbers[i] == number)
			return true;
	}
	return false;
}

/* An answer that came too late has made the node of a stream that is gone anew. */
static int remove_strangers(const struct folder_answers *a, struct store_link *link)
{
	char path[FOLDER_PATH_BYTES];
	char **names;
	int count = store_list(link, OFFER_STREAMS, &names);
	int res = 0;

	/* More than can be listed stay. */
	if (count < 0)
		return store_is_absent(count) || count == -E2BIG ? 0 : count;
	for (int i = 0; i < count && res == 0; i++) {
		if (is_ours(a, names[i]) || strlen(names[i]) > NUMBER_BYTES)
			continue;
		(void)snprintf(path, sizeof(path), OFFER_STREAMS "/%.*s", NUMBER_BYTES, names[i]);
		res = store_remove(link, path);
	}
	free(names);
	return res;
}

int folder_answers(struct store_job *job, struct store_link *link)
{
	struct folder_answers *a = (struct folder_answers *)job;
	char token[FOLDER_TOKEN_DIGITS + 1];
	int res = read_token(link, token);

	if (res < 0)
		return res;
	if (strcmp(token, a->token) != 0)
		return -ESTALE;
	res = read_answers(a, link, 0, a->waiting_count);
	if (res == 0)
		res = read_answers(a, link, a->waiting_count, a->asked_count);
	if (res != 0)
		return res < 0 ? res : 0;
	/* There may be others of ours, for which there was no room. */
	return a->count < FOLDER_STREAMS_MAX ? remove_strangers(a, link) : 0;
}

/* ---- the backend ---- */

void folder_backend_path(uint32_t backend_id, char path[FOLDER_PATH_BYTES])
{
	(void)snprintf(path, FOLDER_PATH_BYTES, "/local/domain/%u/" OFFER_BACKEND, backend_id);
}

int folder_backend(struct store_job *job, struct store_link *link)
{
	static const char begin[] = "version=";
	struct folder_backend *backend = (struct folder_backend *)job;
	char path[FOLDER_PATH_BYTES], text[BACKEND_TEXT_MAX + 1];
	int res;

	folder_backend_path(backend->backend_id, path);
	res = store_read_short(link, path, text, BACKEND_TEXT_MAX);
	backend->present = strncmp(text, begin, strlen(begin)) == 0;
	return res < 0 ? res : 0;
}
