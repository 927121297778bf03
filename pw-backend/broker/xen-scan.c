/* SPDX-License-Identifier: MIT */
/*
 * The jobs of the Xen source. What is not there, or may not be read, is absent: in a domain that a
 * guest has not let us look into, there is nothing to play.
 */
#include "xen-scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "now.h"

#define PATH_BYTES     96
#define NAME_READ_MAX  1024 /* bytes of a domain's name: dom0's */
#define SMALL_READ_MAX 64

void scan_path(char *path, size_t bytes, uint32_t domid, const char *below)
{
	snprintf(path, bytes, "/local/domain/%u/%s", domid, below);
}

static void stream_path(char path[PATH_BYTES], uint32_t domid, uint32_t number)
{
	char below[48];

	snprintf(below, sizeof(below), OFFER_STREAMS "/%u", number);
	scan_path(path, PATH_BYTES, domid, below);
}

static int copy_text(struct xen_text *to, const char *text, size_t bytes)
{
	to->text = malloc(bytes + 1);
	if (!to->text)
		return -ENOMEM;
	memcpy(to->text, text, bytes);
	to->bytes = bytes;
	return 0;
}

/* ---- one domain ---- */

/* Where dom0 has written something about the domain. */
static void fact_path(const struct scan *s, const char *below, char path[PATH_BYTES])
{
	if (s->place.by_list)
		snprintf(path, PATH_BYTES, SCAN_LIST "/%u/%s", s->domid, below);
	else
		scan_path(path, PATH_BYTES, s->domid, below);
}

static int read_name(struct scan *s, struct store_link *link)
{
	char path[PATH_BYTES], value[NAME_READ_MAX + 1];
	int res;

	fact_path(s, "name", path);
	res = store_read_short(link, path, value, NAME_READ_MAX);
	snprintf(s->facts.name, sizeof(s->facts.name), "%.*s", (int)sizeof(s->facts.name) - 1,
		 value);
	return res < 0 ? res : 0;
}

static int read_uuid(struct scan *s, struct store_link *link)
{
	char path[PATH_BYTES], value[SMALL_READ_MAX + 1];
	int res;

	fact_path(s, s->place.by_list ? "uuid" : "vm", path);
	res = store_read_short(link, path, value, SMALL_READ_MAX);
	if (res < 0)
		return res;
	(void)identity_read_uuid(value, (size_t)res, s->facts.uuid);
	return 0;
}

/* Whether the domain has that node, whatever it says. */
static int read_presence(const struct scan *s, struct store_link *link, const char *below,
			 bool *present)
{
	char path[PATH_BYTES], value[SMALL_READ_MAX + 1];
	int res;

	scan_path(path, sizeof(path), s->domid, below);
	res = store_read(link, path, value, SMALL_READ_MAX);
	*present = res >= 0 || res == -E2BIG;
	return *present || store_is_absent(res) ? 0 : res;
}

static int read_facts(struct scan *s, struct store_link *link)
{
	int res;

	s->facts.domid = s->domid;
	s->facts.is_self = s->domid == s->place.own_domid;
	res = read_name(s, link);
	if (res == 0)
		res = read_uuid(s, link);
	/* A stubdomain knows whose it is. Whoever made our list has thought of that. */
	if (res == 0 && !s->place.by_list)
		res = read_presence(s, link, "target", &s->facts.is_stubdomain);
	return res;
}

static int read_kick(struct scan *s, struct store_link *link)
{
	char path[PATH_BYTES], value[SMALL_READ_MAX + 1];
	uint32_t kick;
	int res;

	scan_path(path, sizeof(path), s->domid, OFFER_KICK);
	res = store_read_short(link, path, value, SMALL_READ_MAX);
	if (res < 0)
		return res;
	s->kick = offer_number(value, (size_t)res, UINT32_MAX, &kick) == 0 ? (int64_t)kick : -1;
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;

	return (first > second) - (first < second);
}

/*
 * The numbers among the names, in their order. Returns how many, or a negative errno; *names is
 * freed. At least one element is made.
 */
static int take_numbers(char **names, int count, uint32_t max, uint32_t **out)
{
	uint32_t *numbers = calloc((size_t)count + 1, sizeof(*numbers));
	int taken = 0;

	if (!numbers) {
		free(names);
		return -ENOMEM;
	}
	for (int i = 0; i < count; i++) {
		if (offer_number(names[i], strlen(names[i]), max, &numbers[taken]) == 0)
			taken++;
	}
	free(names);
	qsort(numbers, (size_t)taken, sizeof(*numbers), compare_numbers);
	*out = numbers;
	return taken;
}

/* Returns 0, also when the node went meanwhile, or a negative errno. */
static int read_stream(struct scan *s, struct store_link *link, uint32_t number)
{
	struct xen_text *text = &s->texts[s->count];
	char path[PATH_BYTES], value[OFFER_TEXT_MAX + 1];
	int res;

	stream_path(path, s->domid, number);
	*text = (struct xen_text){.number = number};
	res = store_read(link, path, value, OFFER_TEXT_MAX);
	if (store_is_absent(res))
		return 0;
	if (res >= 0)
		res = copy_text(text, value, (size_t)res);
	if (res < 0 && res != -E2BIG)
		return res;
	s->count++;
	return 0;
}

static int read_streams(struct scan *s, struct store_link *link)
{
	char path[PATH_BYTES];
	char **names;
	uint32_t *numbers;
	int listed, count, res = 0;

	scan_path(path, sizeof(path), s->domid, OFFER_STREAMS);
	listed = store_list(link, path, &names);
	if (listed == -E2BIG)
		s->ignored = SCAN_UNLISTED;
	if (listed < 0)
		return listed == -E2BIG || store_is_absent(listed) ? 0 : listed;
	count = take_numbers(names, listed, OFFER_NUMBER_MAX, &numbers);
	if (count < 0)
		return count;
	if (count > SCAN_STREAMS_MAX)
		count = SCAN_STREAMS_MAX;
	s->ignored = (unsigned)(listed - count);
	for (int i = 0; i < count && res == 0; i++)
		res = read_stream(s, link, numbers[i]);
	free(numbers);
	return res;
}

/* Not everybody may ask; whom dom0 has put on our list is there, as far as we can know. */
static int ask_exists(const struct scan_place *place, struct store_link *link, uint32_t domid)
{
	int res = store_domain_exists(link, domid);

	return res == -EACCES && place->by_list ? 1 : res;
}

/*
 * Whether the guest's pages are for us, by what dom0 says: what it publishes is another backend's to answer
 * otherwise. Who is on our list is our guest.
 */
static int read_is_ours(const struct scan *s, struct store_link *link, bool *ours)
{
	char path[PATH_BYTES], value[SMALL_READ_MAX + 1];
	uint32_t backend_id = 0;
	int res;

	*ours = true;
	if (s->place.by_list)
		return 0;
	scan_path(path, sizeof(path), s->domid, OFFER_BACKEND_ID);
	res = store_read_short(link, path, value, SMALL_READ_MAX);
	if (res < 0)
		return res;
	(void)offer_number(value, (size_t)res, OFFER_DOMID_MAX, &backend_id);
	*ours = backend_id == s->place.own_domid;
	return 0;
}

static int read_published(struct scan *s, struct store_link *link)
{
	int res = read_presence(s, link, OFFER_TOKEN, &s->has_token);

	if (res == 0)
		res = read_kick(s, link);
	return res == 0 ? read_streams(s, link) : res;
}

static int scan_work(struct store_job *job, struct store_link *link)
{
	struct scan *s = (struct scan *)job;
	int res = ask_exists(&s->place, link, s->domid);
	bool ours;

	if (res <= 0)
		return res;
	s->exists = true;
	s->kick = -1;
	res = read_facts(s, link);
	if (res == 0)
		res = read_is_ours(s, link, &ours);
	return res == 0 && ours ? read_published(s, link) : res;
}

int scan_start(struct store *store, const struct scan_place *place, uint32_t domid,
	       store_done_fn done, void *owner, struct scan **out)
{
	struct scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->owner = owner;
	s->place = *place;
	s->domid = domid;
	*out = s;
	store_run(store, &s->job, scan_work, done);
	return 0;
}

void scan_free(struct scan *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->count; i++)
		free(s->texts[i].text);
	free(s);
}

/* ---- answers ---- */

struct scan_answers *scan_answers_create(uint32_t domid)
{
	struct scan_answers *a = calloc(1, sizeof(*a));

	if (a)
		a->domid = domid;
	return a;
}

int scan_answers_add(struct scan_answers *a, const struct xen_text *text,
		     const struct xaring_refusal *refusal)
{
	struct scan_answer *item = &a->items[a->count];

	if (a->count == SCAN_ANSWERS_MAX)
		return -ENOSPC;
	item->text = *text;
	item->refusal = *refusal;
	if (text->text && copy_text(&item->text, text->text, text->bytes) < 0)
		return -ENOMEM;
	a->count++;
	return 0;
}

struct answering {
	const struct scan_answer *item;
	char path[PATH_BYTES];
};

/* Returns 1 when the stream is the one that was judged. */
static int is_unchanged(const struct answering *a, struct store_link *link)
{
	char value[OFFER_TEXT_MAX + 1];
	struct xen_text now = {.text = value};
	int res = store_read(link, a->path, value, OFFER_TEXT_MAX);

	if (res == -E2BIG)
		return a->item->text.text == NULL;
	if (res < 0)
		return store_is_absent(res) ? 0 : res;
	now.bytes = (size_t)res;
	return xen_text_is_same(&now, &a->item->text);
}

static int answer_in_transaction(void *data, struct store_link *link)
{
	const struct answering *a = data;
	char path[PATH_BYTES + 8], text[ANSWER_TEXT_MAX + 1];
	int res = is_unchanged(a, link);

	if (res <= 0)
		return res;
	snprintf(path, sizeof(path), "%s" OFFER_ANSWER, a->path);
	if (a->item->refusal.reason == XARING_REASON_NONE)
		return store_remove(link, path);
	res = answer_encode(&a->item->refusal, text);
	return store_write(link, path, text, (size_t)res);
}

/* An answer that cannot be written, because the guest has no room for it, is the guest's loss. */
static int write_answer(const struct scan_answers *a, const struct scan_answer *item,
			struct store_link *link)
{
	struct answering one = {.item = item};
	int res;

	stream_path(one.path, a->domid, item->text.number);
	res = store_transaction(link, answer_in_transaction, &one);
	return store_is_lost(res) ? res : store_confirm(link);
}

/* Each is confirmed, so that a guest which reads late costs the time of one of them and no more. */
static int write_answers(struct scan_answers *a, struct store_link *link)
{
	uint64_t end_ms = clock_now_ms() + SCAN_ANSWERS_MS;
	int res = 0;

	while (res == 0 && a->written < a->count && clock_now_ms() <= end_ms)
		res = write_answer(a, &a->items[a->written++], link);
	return res;
}

static int answers_work(struct store_job *job, struct store_link *link)
{
	struct scan_answers *a = (struct scan_answers *)job;
	uint64_t began_ms = clock_now_ms();
	int res = write_answers(a, link);

	a->took_ms = (uint32_t)(clock_now_ms() - began_ms);
	return res;
}

void scan_answers_start(struct store *store, struct scan_answers *a, store_done_fn done,
			void *owner)
{
	a->owner = owner;
	store_run(store, &a->job, answers_work, done);
}

void scan_answers_free(struct scan_answers *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->count; i++)
		free(a->items[i].text.text);
	free(a);
}

/* ---- all domains ---- */

static int list_domains(struct scan_roster *r, struct store_link *link)
{
	const char *path = r->place.by_list ? SCAN_LIST : "/local/domain";
	char **names;
	uint32_t *numbers;
	int count = store_list(link, path, &names);

	/* Only a list that was there says that somebody is not on it; ours is made with its first. */
	if (count == -ENOENT && r->place.by_list)
		return 0;
	if (count < 0)
		return count;
	count = take_numbers(names, count, OFFER_DOMID_MAX, &numbers);
	if (count < 0)
		return count;
	r->domains = calloc((size_t)count + 1, sizeof(*r->domains));
	if (!r->domains) {
		free(numbers);
		return -ENOMEM;
	}
	for (int i = 0; i < count; i++)
		r->domains[i] = (struct scan_domain){numbers[i], -1};
	r->count = (unsigned)count;
	free(numbers);
	return 0;
}

static int roster_work(struct store_job *job, struct store_link *link)
{
	struct scan_roster *r = (struct scan_roster *)job;
	int res = list_domains(r, link);

	for (unsigned i = 0; i < r->count && res == 0 && r->asks; i++) {
		int exists = ask_exists(&r->place, link, r->domains[i].domid);

		if (exists >= 0)
			r->domains[i].exists = exists;
		if (store_is_lost(exists))
			res = exists;
	}
	return res;
}

int scan_roster_start(struct store *store, const struct scan_place *place, bool asks,
		      store_done_fn done, void *owner, struct scan_roster **out)
{
	struct scan_roster *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->owner = owner;
	r->place = *place;
	r->asks = asks;
	*out = r;
	store_run(store, &r->job, roster_work, done);
	return 0;
}

void scan_roster_free(struct scan_roster *r)
{
	if (!r)
		return;
	free(r->domains);
	free(r);
}
