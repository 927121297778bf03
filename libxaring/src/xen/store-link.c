/* SPDX-License-Identifier: MIT */
/*
 * The operations: what is asked for each, and what the answer says. Everything here may block; it runs
 * on the store's thread.
 *
 * oxenstored keeps, for each connection, 1024 events, and as many more for each watch. Whoever causes
 * one beyond that is not read any more until there is room: for good, where a guest watches something
 * and does not read its ring, and even when that guest has died. The operation that caused it is
 * answered as usual; the next one is not.
 */
#include "store-link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS       1000  /* then another connection is asked, */
#define PROBE_MS          2000  /* for so long; */
#define LATE_MS           500   /* if that is answered, we should be by now, */
#define SILENCE_MS        10000 /* or else nobody is, for so long */
#define TRANSACTION_TRIES 5
#define LIST_BYTES_MAX    (256u << 10)

/* ---- one request ---- */

static struct request *begin(struct store_link *link, uint32_t type)
{
	request_begin(&link->connection.request, type, link->transaction);
	return &link->connection.request;
}

static struct request *begin_at(struct store_link *link, uint32_t type, const char *path)
{
	struct request *request = begin(link, type);

	request_add_text(request, path);
	return request;
}

static void on_no_event(void *data, const char *path, const char *token)
{
	(void)data;
	(void)path;
	(void)token;
}

/* Asked by another connection: is it there, and does it have time? */
static bool is_answering(const char *path)
{
	struct connection probe;
	bool answered;

	connection_init(&probe, path, on_no_event, NULL);
	request_begin(&probe.request, XS_READ, 0);
	request_add_text(&probe.request, "domid");
	answered = connection_open(&probe) == 0 && !store_is_lost(connection_ask(&probe, PROBE_MS));
	connection_close(&probe);
	return answered;
}

/*
 * Whether nobody is answered, or only we are not: somebody will be blamed for that, so it has to be
 * true. What comes while we find out is not too late.
 */
static int await_late(struct store_link *link)
{
	bool others = is_answering(link->connection.path);
	int res = connection_await(&link->connection, others ? LATE_MS : SILENCE_MS);

	link->is_silent = res == -ETIMEDOUT;
	return link->is_silent && !others ? -ENOTCONN : res;
}

static int ask(struct store_link *link)
{
	int res;

	if (link->lost)
		return link->lost;
	res = connection_ask(&link->connection, PATIENCE_MS);
	if (res == -ETIMEDOUT)
		res = await_late(link);
	if (store_is_lost(res))
		link->lost = res;
	return res;
}

/* ---- nodes ---- */

int store_read(struct store_link *link, const char *path, char *value, size_t max)
{
	const struct connection *c = &link->connection;
	int res;

	begin_at(link, XS_READ, path);
	res = ask(link);
	if (res == -EMSGSIZE || (res >= 0 && c->answer_bytes > max))
		return -E2BIG;
	if (res < 0)
		return res;
	memcpy(value, c->answer, c->answer_bytes + 1);
	return (int)c->answer_bytes;
}

int store_read_short(struct store_link *link, const char *path, char *value, size_t max)
{
	int res = store_read(link, path, value, max);

	if (res >= 0)
		return res;
	value[0] = '\0';
	return store_is_absent(res) || res == -E2BIG ? 0 : res;
}

int store_write(struct store_link *link, const char *path, const char *value, size_t bytes)
{
	request_add(begin_at(link, XS_WRITE, path), value, bytes);
	return ask(link);
}

int store_remove(struct store_link *link, const char *path)
{
	int res;

	begin_at(link, XS_RM, path);
	res = ask(link);
	return res == -ENOENT ? 0 : res;
}

int store_permit(struct store_link *link, const char *path,
		 const struct store_permission *permissions, unsigned count)
{
	struct request *request = begin_at(link, XS_SET_PERMS, path);
	char text[16];

	for (unsigned i = 0; i < count; i++) {
		int access = (permissions[i].read ? 1 : 0) + (permissions[i].write ? 2 : 0);

		(void)snprintf(text, sizeof(text), "%c%u", "nrwb"[access], permissions[i].domid);
		request_add_text(request, text);
	}
	return ask(link);
}

/* Everybody may read it; whatever is said, it is an answer. */
int store_confirm(struct store_link *link)
{
	int res;

	begin_at(link, XS_READ, "domid");
	res = ask(link);
	return store_is_lost(res) ? res : 0;
}

int store_domain_exists(struct store_link *link, uint32_t domid)
{
	char text[16];
	int res;

	(void)snprintf(text, sizeof(text), "%u", domid);
	begin_at(link, XS_IS_DOMAIN_INTRODUCED, text);
	res = ask(link);
	return res < 0 ? res : link->connection.answer[0] == 'T';
}

/* ---- transactions ---- */

static int transaction_start(struct store_link *link)
{
	int res;

	begin_at(link, XS_TRANSACTION_START, "");
	res = ask(link);
	if (res < 0)
		return res;
	link->transaction = (uint32_t)strtoul(link->connection.answer, NULL, 10);
	return link->transaction ? 0 : -EIO;
}

static int transaction_end(struct store_link *link, bool commit)
{
	begin_at(link, XS_TRANSACTION_END, commit ? "T" : "F");
	link->transaction = 0;
	return ask(link);
}

int store_transaction(struct store_link *link, int (*work)(void *data, struct store_link *link),
		      void *data)
{
	int res = -EAGAIN;

	if (link->transaction)
		return -EINVAL;
	for (int i = 0; i < TRANSACTION_TRIES && res == -EAGAIN; i++) {
		int ended;

		res = transaction_start(link);
		if (res < 0)
			return res;
		res = work(data, link);
		ended = transaction_end(link, res >= 0);
		if (store_is_lost(ended) || (res >= 0 && ended < 0))
			res = ended;
	}
	return res;
}

/* ---- lists ---- */

/* Names, one behind the other. */
struct list {
	const char *path;
	char *text;
	size_t bytes;
};

static int add_names(struct list *list, const char *names, size_t bytes)
{
	char *text;

	if (list->bytes + bytes > LIST_BYTES_MAX)
		return -E2BIG;
	text = realloc(list->text, list->bytes + bytes + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text + list->bytes, names, bytes);
	list->text = text;
	list->bytes += bytes;
	text[list->bytes] = 0;
	return 0;
}

/* The names follow a number, and an empty one the last of them. Returns 1 at the end. */
static int add_part(struct list *list, const struct connection *c)
{
	size_t number_bytes = strlen(c->answer) + 1;
	const char *names = c->answer + number_bytes;
	size_t bytes = c->answer_bytes > number_bytes ? c->answer_bytes - number_bytes : 0;
	bool is_last = bytes > 0 && names[bytes - 1] == 0 && (bytes == 1 || names[bytes - 2] == 0);
	int res;

	if (bytes == 0)
		return -EIO;
	res = add_names(list, names, is_last ? bytes - 1 : bytes);
	return res < 0 ? res : is_last;
}

static int list_parts(struct store_link *link, struct list *list)
{
	char offset[16];
	int res = 0;

	while (res == 0) {
		(void)snprintf(offset, sizeof(offset), "%zu", list->bytes);
		request_add_text(begin_at(link, XS_DIRECTORY_PART, list->path), offset);
		res = ask(link);
		if (res >= 0)
			res = add_part(list, &link->connection);
	}
	/* oxenstored does not know of parts. */
	return res == -ENOSYS ? -E2BIG : res;
}

/* In a transaction, which sees one and the same list, however often its writer changes it. */
static int list_in_parts(struct store_link *link, struct list *list)
{
	int res = transaction_start(link), ended;

	if (res < 0)
		return res;
	res = list_parts(link, list);
	ended = transaction_end(link, false);
	return store_is_lost(ended) ? ended : res;
}

static int list_text(struct store_link *link, struct list *list)
{
	int res;

	begin_at(link, XS_DIRECTORY, list->path);
	res = ask(link);
	if (res == -E2BIG)
		return list_in_parts(link, list);
	if (res < 0)
		return res == -EMSGSIZE ? -E2BIG : res;
	return add_names(list, link->connection.answer, link->connection.answer_bytes);
}

static int count_names(const struct list *list)
{
	int count = 0;

	for (size_t at = 0; at < list->bytes; at += strlen(list->text + at) + 1)
		count++;
	return count;
}

/* The names and the pointers to them are one piece of memory. */
static int split_names(const struct list *list, char ***names)
{
	int count = count_names(list);
	size_t pointer_bytes = ((size_t)count + 1) * sizeof(char *);
	char **split = malloc(pointer_bytes + list->bytes + 1);
	char *at;

	if (!split)
		return -ENOMEM;
	at = (char *)split + pointer_bytes;
	memcpy(at, list->text, list->bytes + 1);
	for (int i = 0; i < count; i++) {
		split[i] = at;
		at += strlen(at) + 1;
	}
	*names = split;
	return count;
}

int store_list(struct store_link *link, const char *path, char ***names)
{
	struct list list = {.path = path};
	int res;

	if (link->transaction)
		return -EINVAL;
	res = list_text(link, &list);
	if (res >= 0)
		res = split_names(&list, names);
	free(list.text);
	return res;
}

/* ---- watches ---- */

static int ask_watch(struct store_link *link, uint32_t type, const char *path, const char *token)
{
	request_add_text(begin_at(link, type, path), token);
	return ask(link);
}

int link_watch(struct store_link *link, const char *path, const char *token)
{
	return ask_watch(link, XS_WATCH, path, token);
}

int link_unwatch(struct store_link *link, const char *path, const char *token)
{
	return ask_watch(link, XS_UNWATCH, path, token);
}

void link_hear(struct store_link *link)
{
	if (!link->lost && connection_hear(&link->connection) < 0)
		link->lost = -ENOTCONN;
}

/* ---- open and close ---- */

void link_init(struct store_link *link, const char *path, connection_event_fn on_event, void *data)
{
	connection_init(&link->connection, path, on_event, data);
	link->transaction = 0;
	link->lost = -ENOTCONN; /* until it is open */
	link->is_silent = false;
}

void link_close(struct store_link *link)
{
	connection_close(&link->connection);
	link->transaction = 0;
	link->lost = -ENOTCONN;
	link->is_silent = false;
}

int link_open(struct store_link *link)
{
	int res = connection_open(&link->connection);

	if (res < 0)
		return res;
	link->lost = 0;
	res = store_confirm(link);
	if (res < 0)
		link_close(link);
	return res;
}
