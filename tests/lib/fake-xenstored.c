/* SPDX-License-Identifier: MIT */
/*
 * A xenstored for tests on machines without Xen: the wire protocol (xen/io/xs_wire.h) on unix
 * sockets, one for each domain, over one tree. A program becomes a part of domain 5 by
 * XENSTORED_PATH=FOLDER/5 in its environment.
 *
 * Like the real ones: permissions and their inheritance, relative paths, quotas of a guest (1000
 * nodes, 128 watches, 10 transactions, 2048 bytes), watches with their first event, events that are
 * dropped while the same one waits to be sent, @introduceDomain and @releaseDomain for domain 0,
 * transactions that conflict only over nodes that both touched, long lists in parts.
 * Unlike them: it does not create nodes at its start, and says nothing about soft quotas.
 *
 * Usage: fake-xenstored FOLDER             serves until SIGTERM; FOLDER/0 and FOLDER/control are there
 *                                          once it prints "ready"
 *        fake-xenstored FOLDER COMMAND...  does one thing, as below, and prints what comes back
 *
 * On FOLDER/control, a line each, answered by a line "ok" or "error" and what there is to say:
 *
 *   create DOMID NAME UUID   what a toolstack makes: /local/domain/DOMID/{name,vm,domid,control,device,
 *                            data,attr}, /vm/UUID; the domain's socket; @introduceDomain
 *   release DOMID            the domain has died: its connections and nodes go; @releaseDomain
 *   destroy DOMID            the same, and the toolstack removes what it made
 *   restore OLD NEW          saved and restored: what was connected as OLD is NEW from here on and gets
 *                            all its watches again; NEW was created before, and OLD is destroyed
 *   read|list|rm PATH        as domain 0
 *   write PATH VALUE
 *   stall DOMID, resume DOMID  whether requests of the domain are answered
 *   whole DOMID              long lists come as oxenstored sends them: beyond what the protocol allows
 *   deaf DOMID               the domain does not read what comes, and as in oxenstored a few events wait for
 *                            it: who causes one more is not read from then on, not even when the domain is
 *                            gone
 *   hear DOMID               it reads what comes again, and those who were not read are
 *   late DOMID MS            the domain reads late, and all its events wait already: who causes one is not
 *                            read for so long
 *   mute DOMID               the domain is told nothing of domains that come and go
 *   kill DOMID               ends its connections
 *   down, up                 xenstored is gone with all its sockets; it is back, with its tree
 *   count DOMID              operations so far, watches, transactions, connections
 *
 * DOMID "all" means all of them, where that makes sense.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#include "fake-tree.h"

#define DOMAINS_MAX        64
#define CLIENTS_MAX        256
#define PATH_MAX_BYTES     XENSTORE_ABS_PATH_MAX
#define QUOTA_NODES        1000
#define QUOTA_WATCHES      128
#define QUOTA_TRANSACTIONS 10
#define QUOTA_BYTES        2048
#define DEAF_EVENTS        16 /* that wait; 1024 in oxenstored, and as many more for each watch */
#define LATE_STEP_MS       10
#define ALL                UINT32_MAX

/* A socket, and which domain connects there. */
struct domain {
	bool used;
	uint32_t name; /* of the socket */
	uint32_t domid;
	bool introduced;
	bool stalled;
	bool whole;
	bool deaf;
	bool mute;
	unsigned late_ms; /* 0 = it is not */
	int listener;     /* -1 = none */
	unsigned operations;
	char uuid[64];
};

struct output {
	struct output *next;
	bool event;
	size_t bytes, sent;
	char data[];
};

struct watch {
	struct watch *next;
	char *path; /* as it was given */
	char *token;
};

struct touched {
	struct touched *next;
	uint64_t generation;
	char path[];
};

enum change_kind { CHANGE_WRITE, CHANGE_MAKE, CHANGE_REMOVE, CHANGE_PERMIT };

struct change {
	struct change *next;
	enum change_kind kind;
	struct tree_permission permissions[TREE_PERMISSIONS_MAX];
	unsigned permission_count;
	char *path;
	char *value;
	size_t bytes;
};

struct transaction {
	struct transaction *next;
	uint32_t id;
	struct tree_node *root;
	struct touched *touched;
	struct change *changes, **changes_tail;
};

struct client {
	int fd; /* -1 = free */
	struct domain *domain;
	bool dead;
	bool left;              /* not read any more: has caused an event for somebody deaf */
	uint64_t left_until_ms; /* the same, for somebody late */
	size_t have;
	char input[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	struct output *output, **output_tail;
	struct watch *watches;
	struct transaction *transactions;
	uint32_t next_id;
};

static const char *folder;
static bool down;
static struct tree_node *store;
static struct domain domains[DOMAINS_MAX];
static struct client clients[CLIENTS_MAX];
static struct client *asking; /* whose request is carried out; NULL = the control socket's */

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- domains ---- */

static struct domain *find_domain(uint32_t domid)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domains[i].used && domains[i].domid == domid)
			return &domains[i];
	}
	return NULL;
}

static struct sockaddr_un socket_address(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name) >=
	    sizeof(address.sun_path))
		abort();
	return address;
}

static int listen_at(const char *name)
{
	struct sockaddr_un address = socket_address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(address.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 64) < 0) {
		perror(address.sun_path);
		exit(1);
	}
	chmod(address.sun_path, 0777);
	return fd;
}

static void open_listener(struct domain *d)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%u", d->name);
	d->listener = listen_at(name);
}

static void close_listener(struct domain *d)
{
	char name[16];
	struct sockaddr_un address;

	if (d->listener < 0)
		return;
	(void)snprintf(name, sizeof(name), "%u", d->name);
	address = socket_address(name);
	unlink(address.sun_path);
	close(d->listener);
	d->listener = -1;
}

static struct domain *add_domain(uint32_t domid)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		struct domain *d = &domains[i];

		if (d->used)
			continue;
		*d = (struct domain){.used = true,
				     .name = domid,
				     .domid = domid,
				     .introduced = true};
		d->listener = -1;
		if (!down)
			open_listener(d);
		return d;
	}
	return NULL;
}

/* ---- what goes to a client ---- */

static void send_later(struct client *c, const struct xsd_sockmsg *header, const char *body)
{
	size_t bytes = sizeof(*header) + header->len;
	struct output *out = must(malloc(sizeof(*out) + bytes));

	*out = (struct output){.bytes = bytes, .event = header->type == XS_WATCH_EVENT};
	memcpy(out->data, header, sizeof(*header));
	memcpy(out->data + sizeof(*header), body, header->len);
	*c->output_tail = out;
	c->output_tail = &out->next;
}

static void reply(struct client *c, const struct xsd_sockmsg *request, const char *body,
		  size_t bytes)
{
	struct xsd_sockmsg header = *request;

	header.len = (uint32_t)bytes;
	send_later(c, &header, body);
}

static void reply_text(struct client *c, const struct xsd_sockmsg *request, const char *text)
{
	reply(c, request, text, strlen(text) + 1);
}

static void reply_error(struct client *c, const struct xsd_sockmsg *request, int error)
{
	struct xsd_sockmsg header = *request;
	const char *name = "EINVAL";

	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++) {
		if (xsd_errors[i].errnum == error)
			name = xsd_errors[i].errstring;
	}
	header.type = XS_ERROR;
	header.len = (uint32_t)strlen(name) + 1;
	send_later(c, &header, name);
}

static void reply_result(struct client *c, const struct xsd_sockmsg *request, int res)
{
	if (res < 0)
		reply_error(c, request, -res);
	else
		reply_text(c, request, "OK");
}

/* ---- watches ---- */

/* Those of one who is deaf wait up to a number; then it is the one who has caused it that waits. */
static bool has_room(const struct client *c)
{
	unsigned count = 0;

	if (asking && c->domain->late_ms)
		asking->left_until_ms = now_ms() + c->domain->late_ms;
	for (const struct output *out = c->output; out && c->domain->deaf; out = out->next)
		count += out->event;
	if (count < DEAF_EVENTS)
		return true;
	if (asking)
		asking->left = true;
	return false;
}

static void send_event(struct client *c, const char *path, const char *token)
{
	struct xsd_sockmsg header = {.type = XS_WATCH_EVENT};
	char body[XENSTORE_PAYLOAD_MAX];
	size_t path_bytes = strlen(path) + 1, token_bytes = strlen(token) + 1;

	memcpy(body, path, path_bytes);
	memcpy(body + path_bytes, token, token_bytes);
	header.len = (uint32_t)(path_bytes + token_bytes);
	for (const struct output *out = c->output; out && !c->domain->deaf; out = out->next) {
		if (out->event && out->sent == 0 && out->bytes == sizeof(header) + header.len &&
		    memcmp(out->data + sizeof(header), body, header.len) == 0)
			return;
	}
	if (has_room(c))
		send_later(c, &header, body);
}

static void home_of(const struct client *c, char *home, size_t bytes)
{
	(void)snprintf(home, bytes, "/local/domain/%u/", c->domain->domid);
}

/* The absolute form of a path that a client gives. Returns false when it is none. */
static bool resolve(const struct client *c, const char *path, char absolute[PATH_MAX_BYTES])
{
	char home[64] = "";

	if (path[0] != '/')
		home_of(c, home, sizeof(home));
	if ((size_t)snprintf(absolute, PATH_MAX_BYTES, "%s%s", home, path) >= PATH_MAX_BYTES)
		return false;
	return tree_path_is_valid(absolute);
}

static bool is_at_or_below(const char *path, const char *above)
{
	size_t length = strlen(above);

	if (strcmp(above, "/") == 0)
		return true;
	return strncmp(path, above, length) == 0 && (path[length] == 0 || path[length] == '/');
}

static void fire_watch(struct client *c, const struct watch *w, const char *path, bool exact)
{
	char above[PATH_MAX_BYTES], home[64];

	if (path[0] == '@' || w->path[0] == '@') {
		if (strcmp(w->path, path) == 0 && !c->domain->mute)
			send_event(c, path, w->token);
		return;
	}
	if (!resolve(c, w->path, above))
		return;
	if (exact ? strcmp(path, above) != 0 : !is_at_or_below(path, above))
		return;
	if (!(tree_access(store, path, c->domain->domid) & TREE_READ))
		return;
	home_of(c, home, sizeof(home));
	send_event(c, w->path[0] == '/' ? path : path + strlen(home), w->token);
}

static void fire(const char *path, bool exact)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &clients[i];

		if (c->fd < 0 || c->dead)
			continue;
		for (const struct watch *w = c->watches; w; w = w->next)
			fire_watch(c, w, path, exact);
	}
}

static void fire_below(const struct tree_node *node)
{
	for (const struct tree_node *child = node->children; child; child = child->next) {
		char path[PATH_MAX_BYTES];

		tree_path(child, path, sizeof(path));
		fire(path, true);
		fire_below(child);
	}
}

/* ---- changes of the tree ---- */

static void parent_of(const char *path, char parent[PATH_MAX_BYTES])
{
	char *slash;

	strcpy(parent, path);
	slash = strrchr(parent, '/');
	if (slash == parent)
		slash++;
	*slash = 0;
}

static int check_new(struct tree_node *root, const char *path, uint32_t domid)
{
	if (domid != 0 && !tree_find(root, path) && tree_owned(root, domid) >= QUOTA_NODES)
		return -ENOSPC;
	return 0;
}

static int check_writable(struct tree_node *root, const char *path, uint32_t domid)
{
	return tree_access(root, path, domid) & TREE_WRITE ? 0 : -EACCES;
}

static int change_value(struct tree_node *root, const struct change *ch, uint32_t domid)
{
	struct tree_node *node = tree_find(root, ch->path);

	if (ch->kind == CHANGE_MAKE && node)
		return 0;
	node = tree_make(root, ch->path, domid);
	if (ch->kind == CHANGE_WRITE)
		tree_set(node, ch->value, ch->bytes);
	return 0;
}

static int change_remove(struct tree_node *root, const struct change *ch)
{
	struct tree_node *node = tree_find(root, ch->path);
	char parent[PATH_MAX_BYTES];

	parent_of(ch->path, parent);
	if (!node)
		return tree_find(root, parent) ? 0 : -ENOENT;
	if (node == root)
		return -EINVAL;
	if (root == store)
		fire_below(node);
	tree_remove(node);
	return 0;
}

static int change_permissions(struct tree_node *root, const struct change *ch, uint32_t domid)
{
	struct tree_node *node = tree_find(root, ch->path);

	if (!node)
		return -ENOENT;
	if (domid != 0 && node->permissions[0].domid != domid)
		return -EACCES;
	if (domid != 0 && ch->permissions[0].domid != domid)
		return -EPERM;
	tree_permit(node, ch->permissions, ch->permission_count);
	return 0;
}

static int change_tree(struct tree_node *root, const struct change *ch, uint32_t domid)
{
	bool existed = tree_find(root, ch->path) != NULL;
	int res = check_writable(root, ch->path, domid);

	if (res == 0 && (ch->kind == CHANGE_WRITE || ch->kind == CHANGE_MAKE))
		res = check_new(root, ch->path, domid);
	if (res < 0)
		return res;
	/* While it can still be seen who may know of it. */
	if (ch->kind == CHANGE_REMOVE && root == store && existed)
		fire(ch->path, false);
	if (ch->kind == CHANGE_REMOVE)
		res = change_remove(root, ch);
	else if (ch->kind == CHANGE_PERMIT)
		res = change_permissions(root, ch, domid);
	else
		res = change_value(root, ch, domid);
	if (res == 0 && root == store && ch->kind != CHANGE_REMOVE)
		fire(ch->path, false);
	return res;
}

/* ---- transactions ---- */

static struct transaction *find_transaction(struct client *c, uint32_t id)
{
	struct transaction *t = c->transactions;

	while (t && t->id != id)
		t = t->next;
	return t;
}

/* What a transaction has seen for the first time must be the same when it ends. */
static void touch(struct transaction *t, const char *path)
{
	struct touched *seen;

	for (seen = t->touched; seen; seen = seen->next) {
		if (strcmp(seen->path, path) == 0)
			return;
	}
	seen = must(malloc(sizeof(*seen) + strlen(path) + 1));
	strcpy(seen->path, path);
	seen->generation = tree_generation(t->root, path);
	seen->next = t->touched;
	t->touched = seen;
}

static void remember(struct transaction *t, const struct change *ch)
{
	struct change *copy = must(malloc(sizeof(*copy)));

	*copy = *ch;
	copy->next = NULL;
	copy->path = must(strdup(ch->path));
	copy->value = must(malloc(ch->bytes + 1));
	if (ch->bytes > 0)
		memcpy(copy->value, ch->value, ch->bytes);
	*t->changes_tail = copy;
	t->changes_tail = &copy->next;
}

static int change(struct client *c, struct transaction *t, const struct change *ch)
{
	char parent[PATH_MAX_BYTES];
	int res;

	if (!t)
		return change_tree(store, ch, c->domain->domid);
	parent_of(ch->path, parent);
	touch(t, ch->path);
	if (!tree_find(t->root, ch->path) || ch->kind == CHANGE_REMOVE)
		touch(t, parent);
	res = change_tree(t->root, ch, c->domain->domid);
	if (res == 0)
		remember(t, ch);
	return res;
}

static bool is_unchanged(const struct transaction *t)
{
	for (const struct touched *seen = t->touched; seen; seen = seen->next) {
		if (tree_generation(store, seen->path) != seen->generation)
			return false;
	}
	return true;
}

static void transaction_free(struct client *c, struct transaction *t)
{
	struct transaction **at = &c->transactions;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	while (t->touched) {
		struct touched *seen = t->touched;

		t->touched = seen->next;
		free(seen);
	}
	while (t->changes) {
		struct change *ch = t->changes;

		t->changes = ch->next;
		free(ch->path);
		free(ch->value);
		free(ch);
	}
	tree_destroy(t->root);
	free(t);
}

static int start_transaction(struct client *c, uint32_t *id)
{
	struct transaction *t;
	unsigned count = 0;

	for (t = c->transactions; t; t = t->next)
		count++;
	if (c->domain->domid != 0 && count >= QUOTA_TRANSACTIONS)
		return -ENOSPC;
	t = must(calloc(1, sizeof(*t)));
	t->id = ++c->next_id;
	t->root = tree_copy(store);
	t->changes_tail = &t->changes;
	t->next = c->transactions;
	c->transactions = t;
	*id = t->id;
	return 0;
}

static int end_transaction(struct client *c, struct transaction *t, bool commit)
{
	int res = 0;

	if (!t)
		return -ENOENT;
	if (commit && !is_unchanged(t))
		res = -EAGAIN;
	for (struct change *ch = t->changes; ch && commit && res == 0; ch = ch->next)
		change_tree(store, ch, c->domain->domid);
	transaction_free(c, t);
	return res;
}

/* ---- requests ---- */

struct request {
	struct xsd_sockmsg header;
	char *body; /* terminated beyond its end */
	char path[PATH_MAX_BYTES];
	struct transaction *t;
	struct tree_node *root;
};

/* The text after the first one of the body, or NULL. */
static char *second_text(const struct request *r)
{
	size_t length = strlen(r->body) + 1;

	return length < r->header.len ? r->body + length : NULL;
}

/* The node, if the client may read it. */
static int node_to_read(struct client *c, struct request *r, struct tree_node **node)
{
	if (r->t)
		touch(r->t, r->path);
	if (!(tree_access(r->root, r->path, c->domain->domid) & TREE_READ))
		return -EACCES;
	*node = tree_find(r->root, r->path);
	return *node ? 0 : -ENOENT;
}

static size_t names_of(const struct tree_node *node, char **names)
{
	size_t bytes = 0;

	for (const struct tree_node *child = node->children; child; child = child->next)
		bytes += strlen(child->name) + 1;
	*names = must(malloc(bytes + 1));
	bytes = 0;
	for (const struct tree_node *child = node->children; child; child = child->next) {
		strcpy(*names + bytes, child->name);
		bytes += strlen(child->name) + 1;
	}
	return bytes;
}

static int do_directory(struct client *c, struct request *r)
{
	struct tree_node *node;
	char *names;
	size_t bytes;
	int res = node_to_read(c, r, &node);

	if (res < 0)
		return res;
	bytes = names_of(node, &names);
	if (bytes > XENSTORE_PAYLOAD_MAX && !c->domain->whole)
		res = -E2BIG;
	else
		reply(c, &r->header, names, bytes);
	free(names);
	return res < 0 ? res : 1;
}

/* As many whole names as fit behind the generation; an empty one is the end. */
static int do_directory_part(struct client *c, struct request *r)
{
	struct tree_node *node;
	const char *text = second_text(r);
	char body[XENSTORE_PAYLOAD_MAX], *names;
	size_t offset, bytes, used;
	int res = text ? node_to_read(c, r, &node) : -EINVAL;

	if (res < 0)
		return res;
	offset = strtoul(text, NULL, 10);
	used = (size_t)snprintf(body, sizeof(body), "%llu", (unsigned long long)node->generation) +
	       1;
	bytes = names_of(node, &names);
	while (offset < bytes && used + strlen(names + offset) + 2 <= sizeof(body)) {
		size_t length = strlen(names + offset) + 1;

		memcpy(body + used, names + offset, length);
		used += length;
		offset += length;
	}
	if (offset >= bytes)
		body[used++] = 0;
	free(names);
	reply(c, &r->header, body, used);
	return 1;
}

static int do_read(struct client *c, struct request *r)
{
	struct tree_node *node;
	int res = node_to_read(c, r, &node);

	if (res < 0)
		return res;
	reply(c, &r->header, node->value, node->bytes);
	return 1;
}

static int do_get_perms(struct client *c, struct request *r)
{
	struct tree_node *node;
	char body[256];
	size_t used = 0;
	int res = node_to_read(c, r, &node);

	if (res < 0)
		return res;
	for (unsigned i = 0; i < node->permission_count; i++)
		used += (size_t)snprintf(body + used, sizeof(body) - used, "%c%u",
					 "nrwb"[node->permissions[i].access],
					 node -> permissions[i].domid) +
			1;
	reply(c, &r->header, body, used);
	return 1;
}

static int do_write(struct client *c, struct request *r)
{
	size_t length = strlen(r->body) + 1;
	struct change ch = {.kind = CHANGE_WRITE, .path = r->path, .value = r->body + length};

	if (length > r->header.len)
		return -EINVAL;
	ch.bytes = r->header.len - length;
	if (c->domain->domid != 0 && ch.bytes > QUOTA_BYTES)
		return -ENOSPC;
	return change(c, r->t, &ch);
}

static int do_mkdir(struct client *c, struct request *r)
{
	struct change ch = {.kind = CHANGE_MAKE, .path = r->path};

	return change(c, r->t, &ch);
}

static int do_rm(struct client *c, struct request *r)
{
	struct change ch = {.kind = CHANGE_REMOVE, .path = r->path};

	return change(c, r->t, &ch);
}

static bool parse_permission(const char *text, struct tree_permission *permission)
{
	const char *kind = strchr("nrwb", text[0]);

	if (!text[0] || !kind)
		return false;
	permission->access = (unsigned)(kind - "nrwb") & 3;
	permission->domid = (uint32_t)strtoul(text + 1, NULL, 10);
	return true;
}

static int do_set_perms(struct client *c, struct request *r)
{
	struct change ch = {.kind = CHANGE_PERMIT, .path = r->path};
	const char *text = r->body + strlen(r->body) + 1;

	while (text < r->body + r->header.len) {
		if (ch.permission_count == TREE_PERMISSIONS_MAX)
			return -ENOSPC;
		if (!parse_permission(text, &ch.permissions[ch.permission_count++]))
			return -EINVAL;
		text += strlen(text) + 1;
	}
	return ch.permission_count > 0 ? change(c, r->t, &ch) : -EINVAL;
}

static int do_watch(struct client *c, struct request *r)
{
	const char *token = second_text(r);
	char absolute[PATH_MAX_BYTES];
	struct watch *w;
	unsigned count = 0;

	if (!token)
		return -EINVAL;
	if (r->body[0] == '@' ? c->domain->domid != 0 : !resolve(c, r->body, absolute))
		return r->body[0] == '@' ? -EACCES : -EINVAL;
	for (w = c->watches; w; w = w->next) {
		count++;
		if (strcmp(w->path, r->body) == 0 && strcmp(w->token, token) == 0)
			return -EEXIST;
	}
	if (c->domain->domid != 0 && count >= QUOTA_WATCHES)
		return -E2BIG;
	w = must(calloc(1, sizeof(*w)));
	w->path = must(strdup(r->body));
	w->token = must(strdup(token));
	w->next = c->watches;
	c->watches = w;
	reply_text(c, &r->header, "OK");
	send_event(c, w->path, w->token);
	return 1;
}

static void free_watch(struct watch *w)
{
	free(w->path);
	free(w->token);
	free(w);
}

static int do_unwatch(struct client *c, struct request *r)
{
	const char *token = second_text(r);

	for (struct watch **at = &c->watches; *at && token; at = &(*at)->next) {
		struct watch *w = *at;

		if (strcmp(w->path, r->body) == 0 && strcmp(w->token, token) == 0) {
			*at = w->next;
			free_watch(w);
			return 0;
		}
	}
	return -ENOENT;
}

static int do_transaction_start(struct client *c, struct request *r)
{
	char text[16];
	uint32_t id;
	int res = start_transaction(c, &id);

	if (res < 0)
		return res;
	(void)snprintf(text, sizeof(text), "%u", id);
	reply_text(c, &r->header, text);
	return 1;
}

static int do_transaction_end(struct client *c, struct request *r)
{
	return end_transaction(c, r->t, strcmp(r->body, "T") == 0);
}

static int do_domain_path(struct client *c, struct request *r)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "/local/domain/%lu", strtoul(r->body, NULL, 10));
	reply_text(c, &r->header, text);
	return 1;
}

static int do_is_introduced(struct client *c, struct request *r)
{
	const struct domain *d = find_domain((uint32_t)strtoul(r->body, NULL, 10));

	reply_text(c, &r->header, d && d->introduced ? "T" : "F");
	return 1;
}

/* Handlers answer by themselves and return 1, or return what the answer is. */
static const struct {
	int (*handle)(struct client *c, struct request *r);
	bool has_path;
} requests[XS_TYPE_COUNT] = {
	[XS_DIRECTORY] = {do_directory, true},
	[XS_DIRECTORY_PART] = {do_directory_part, true},
	[XS_READ] = {do_read, true},
	[XS_GET_PERMS] = {do_get_perms, true},
	[XS_WATCH] = {do_watch, false},
	[XS_UNWATCH] = {do_unwatch, false},
	[XS_TRANSACTION_START] = {do_transaction_start, false},
	[XS_TRANSACTION_END] = {do_transaction_end, false},
	[XS_GET_DOMAIN_PATH] = {do_domain_path, false},
	[XS_WRITE] = {do_write, true},
	[XS_MKDIR] = {do_mkdir, true},
	[XS_RM] = {do_rm, true},
	[XS_SET_PERMS] = {do_set_perms, true},
	[XS_IS_DOMAIN_INTRODUCED] = {do_is_introduced, false},
};

static int handle_request(struct client *c, struct request *r)
{
	uint32_t type = r->header.type;

	if (type >= XS_TYPE_COUNT || !requests[type].handle)
		return -ENOSYS;
	if (r->header.tx_id != 0) {
		r->t = find_transaction(c, r->header.tx_id);
		if (!r->t)
			return -ENOENT;
	}
	r->root = r->t ? r->t->root : store;
	if (requests[type].has_path && !resolve(c, r->body, r->path))
		return -EINVAL;
	return requests[type].handle(c, r);
}

static void take_request(struct client *c)
{
	struct request r = {0};
	size_t bytes;
	int res;

	memcpy(&r.header, c->input, sizeof(r.header));
	bytes = sizeof(r.header) + r.header.len;
	r.body = must(malloc(r.header.len + 1));
	memcpy(r.body, c->input + sizeof(r.header), r.header.len);
	r.body[r.header.len] = 0;
	memmove(c->input, c->input + bytes, c->have - bytes);
	c->have -= bytes;
	c->domain->operations++;
	asking = c;
	res = handle_request(c, &r);
	asking = NULL;
	if (res <= 0)
		reply_result(c, &r.header, res);
	free(r.body);
}

static bool has_request(struct client *c)
{
	struct xsd_sockmsg header;

	if (c->have < sizeof(header))
		return false;
	memcpy(&header, c->input, sizeof(header));
	if (header.len > XENSTORE_PAYLOAD_MAX) {
		c->dead = true;
		return false;
	}
	return c->have >= sizeof(header) + header.len;
}

/* ---- connections ---- */

static void client_close(struct client *c)
{
	while (c->transactions)
		transaction_free(c, c->transactions);
	while (c->watches) {
		struct watch *w = c->watches;

		c->watches = w->next;
		free_watch(w);
	}
	while (c->output) {
		struct output *out = c->output;

		c->output = out->next;
		free(out);
	}
	close(c->fd);
	c->fd = -1;
}

/* Returns false when nobody waits. */
static bool client_accept(struct domain *d)
{
	int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return false;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &clients[i];

		if (c->fd >= 0)
			continue;
		memset(c, 0, sizeof(*c));
		c->fd = fd;
		c->domain = d;
		c->output_tail = &c->output;
		return true;
	}
	close(fd);
	return true;
}

static void accept_all(struct domain *d)
{
	while (d->listener >= 0 && client_accept(d))
		continue;
}

static bool is_left(const struct client *c)
{
	return c->left || c->left_until_ms > now_ms();
}

static void client_read(struct client *c)
{
	ssize_t res = recv(c->fd, c->input + c->have, sizeof(c->input) - c->have, 0);

	if (res == 0 || (res < 0 && errno != EAGAIN && errno != EINTR))
		c->dead = true;
	if (res > 0)
		c->have += (size_t)res;
	while (!c->dead && !is_left(c) && has_request(c))
		take_request(c);
}

static void client_write(struct client *c)
{
	while (c->output) {
		struct output *out = c->output;
		ssize_t res =
			send(c->fd, out->data + out->sent, out->bytes - out->sent, MSG_NOSIGNAL);

		if (res < 0) {
			c->dead = errno != EAGAIN && errno != EINTR;
			return;
		}
		out->sent += (size_t)res;
		if (out->sent < out->bytes)
			return;
		c->output = out->next;
		if (!c->output)
			c->output_tail = &c->output;
		free(out);
	}
}

/* Those that wait to be accepted as well. */
static void kill_clients(uint32_t domid)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domains[i].used && (domid == ALL || domains[i].domid == domid))
			accept_all(&domains[i]);
	}
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (clients[i].fd >= 0 && (domid == ALL || clients[i].domain->domid == domid))
			client_close(&clients[i]);
	}
}

/* ---- what a toolstack and the hypervisor do ---- */

static void put_node(uint32_t owner, uint32_t reader, const char *value, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void put_node(uint32_t owner, uint32_t reader, const char *value, const char *format, ...)
{
	struct tree_permission list[2] = {{.domid = owner}, {.domid = reader, .access = TREE_READ}};
	char path[PATH_MAX_BYTES];
	struct tree_node *node;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	node = tree_make(store, path, 0);
	tree_set(node, value, strlen(value));
	tree_permit(node, list, owner == reader ? 1 : 2);
	fire(path, false);
}

static int create_domain(uint32_t domid, const char *name, const char *uuid)
{
	static const char *const readable[] = {"control", "device"};
	static const char *const writable[] = {"data", "attr", "control/shutdown"};
	char text[128];
	struct domain *d;

	if (find_domain(domid))
		return -EEXIST;
	d = add_domain(domid);
	if (!d)
		return -ENOSPC;
	(void)snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
	put_node(0, domid, "", "/local/domain/%u", domid);
	(void)snprintf(text, sizeof(text), "/vm/%s", uuid);
	put_node(0, domid, text, "/local/domain/%u/vm", domid);
	put_node(0, domid, name, "/local/domain/%u/name", domid);
	put_node(0, domid, uuid, "/vm/%s/uuid", uuid);
	put_node(0, domid, name, "/vm/%s/name", uuid);
	(void)snprintf(text, sizeof(text), "%u", domid);
	put_node(0, domid, text, "/local/domain/%u/domid", domid);
	for (unsigned i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
		put_node(0, domid, "", "/local/domain/%u/%s", domid, readable[i]);
	for (unsigned i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		put_node(domid, domid, "", "/local/domain/%u/%s", domid, writable[i]);
	fire("@introduceDomain", true);
	return 0;
}

static void remove_path(const char *path)
{
	struct tree_node *node = tree_find(store, path);

	if (!node)
		return;
	fire_below(node);
	tree_remove(node);
	fire(path, false);
}

static void remove_owned(struct tree_node *node, uint32_t domid)
{
	struct tree_node *next;

	for (struct tree_node *child = node->children; child; child = next) {
		next = child->next;
		if (child->permissions[0].domid == domid) {
			char path[PATH_MAX_BYTES];

			tree_path(child, path, sizeof(path));
			remove_path(path);
		} else {
			remove_owned(child, domid);
		}
	}
}

static int release_domain(uint32_t domid)
{
	struct domain *d = find_domain(domid);

	if (!d || domid == 0)
		return -ENOENT;
	kill_clients(domid);
	close_listener(d);
	remove_owned(store, domid);
	d->used = false;
	fire("@releaseDomain", true);
	return 0;
}

static void remove_tree(uint32_t domid, const char *uuid)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/local/domain/%u", domid);
	remove_path(path);
	(void)snprintf(path, sizeof(path), "/vm/%s", uuid);
	if (uuid[0])
		remove_path(path);
}

static int destroy_domain(uint32_t domid)
{
	const struct domain *d = find_domain(domid);
	char uuid[64] = "", path[128];
	bool shared = false;

	if (d)
		strcpy(uuid, d->uuid);
	for (unsigned i = 0; i < DOMAINS_MAX; i++)
		shared |= domains[i].used && domains[i].domid != domid &&
			  strcmp(domains[i].uuid, uuid) == 0;
	if (d && release_domain(domid) == 0) {
		remove_tree(domid, shared ? "" : uuid);
		return 0;
	}
	/* It was released before. */
	(void)snprintf(path, sizeof(path), "/local/domain/%u", domid);
	if (!tree_find(store, path))
		return -ENOENT;
	remove_path(path);
	return 0;
}

/* The guest's kernel sets the watches anew; transactions are lost. */
static void resume_client(struct client *c, struct domain *d)
{
	c->domain = d;
	while (c->transactions)
		transaction_free(c, c->transactions);
	for (const struct watch *w = c->watches; w; w = w->next)
		send_event(c, w->path, w->token);
}

static int restore_domain(uint32_t old, uint32_t new)
{
	struct domain *from = find_domain(old), *to = find_domain(new);
	uint32_t name;

	if (!from || !to || from == to)
		return -ENOENT;
	/* The socket of the old one leads to the new one, and that of the new one is not needed. */
	close_listener(from);
	close_listener(to);
	name = from->name;
	from->name = to->name;
	to->name = name;
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (clients[i].fd >= 0 && clients[i].domain == from)
			resume_client(&clients[i], to);
	}
	if (!down)
		open_listener(to);
	return destroy_domain(old);
}

static void go_down(void)
{
	down = true;
	kill_clients(ALL);
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domains[i].used)
			close_listener(&domains[i]);
	}
}

static void come_up(void)
{
	down = false;
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domains[i].used && domains[i].listener < 0)
			open_listener(&domains[i]);
	}
}

static void stall(uint32_t domid, bool stalled)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domid == ALL || domains[i].domid == domid)
			domains[i].stalled = stalled;
	}
}

static void be_deaf(uint32_t domid)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domid == ALL || domains[i].domid == domid)
			domains[i].deaf = true;
	}
}

static void hear(uint32_t domid)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domid == ALL || domains[i].domid == domid)
			domains[i].deaf = false;
	}
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		clients[i].left = false;
}

static void be_late(uint32_t domid, unsigned late_ms)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domid == ALL || domains[i].domid == domid)
			domains[i].late_ms = late_ms;
	}
}

static void mute(uint32_t domid)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domid == ALL || domains[i].domid == domid)
			domains[i].mute = true;
	}
}

static void send_whole(uint32_t domid)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domid == ALL || domains[i].domid == domid)
			domains[i].whole = true;
	}
}

/* ---- the control socket ---- */

static uint32_t parse_domid(const char *text)
{
	return strcmp(text, "all") == 0 ? ALL : (uint32_t)strtoul(text, NULL, 10);
}

static void answer_result(FILE *out, int res)
{
	if (res < 0)
		(void)fprintf(out, "error %s\n", strerror(-res));
	else
		(void)fprintf(out, "ok\n");
}

static void answer_count(FILE *out, uint32_t domid)
{
	unsigned operations = 0, watches = 0, transactions = 0, connections = 0;

	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domains[i].used && (domid == ALL || domains[i].domid == domid))
			operations += domains[i].operations;
	}
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		const struct client *c = &clients[i];

		if (c->fd < 0 || (domid != ALL && c->domain->domid != domid))
			continue;
		connections++;
		for (const struct watch *w = c->watches; w; w = w->next)
			watches++;
		for (const struct transaction *t = c->transactions; t; t = t->next)
			transactions++;
	}
	(void)fprintf(out, "ok %u %u %u %u\n", operations, watches, transactions, connections);
}

static void answer_node(FILE *out, const char *path, bool list)
{
	const struct tree_node *node = tree_path_is_valid(path) ? tree_find(store, path) : NULL;

	if (!node) {
		answer_result(out, -ENOENT);
		return;
	}
	(void)fprintf(out, "ok");
	if (list) {
		for (const struct tree_node *child = node->children; child; child = child->next)
			(void)fprintf(out, " %s", child->name);
	} else {
		(void)fprintf(out, " %s", node->value);
	}
	(void)fprintf(out, "\n");
}

static int control_change(enum change_kind kind, char *path, char *value)
{
	struct change ch = {.kind = kind, .path = path, .value = value, .bytes = strlen(value)};

	return tree_path_is_valid(path) ? change_tree(store, &ch, 0) : -EINVAL;
}

/* Returns false when there is no such command. */
static bool do_domain_command(FILE *out, const char *command, char **words)
{
	uint32_t domid = parse_domid(words[1]);

	if (strcmp(command, "create") == 0)
		answer_result(out, create_domain(domid, words[2], words[3]));
	else if (strcmp(command, "release") == 0)
		answer_result(out, release_domain(domid));
	else if (strcmp(command, "destroy") == 0)
		answer_result(out, destroy_domain(domid));
	else if (strcmp(command, "restore") == 0)
		answer_result(out, restore_domain(domid, parse_domid(words[2])));
	else if (strcmp(command, "count") == 0)
		answer_count(out, domid);
	else
		return false;
	return true;
}

static bool do_service_command(const char *command, char **words)
{
	uint32_t domid = parse_domid(words[1]);

	if (strcmp(command, "stall") == 0)
		stall(domid, true);
	else if (strcmp(command, "whole") == 0)
		send_whole(domid);
	else if (strcmp(command, "deaf") == 0)
		be_deaf(domid);
	else if (strcmp(command, "hear") == 0)
		hear(domid);
	else if (strcmp(command, "late") == 0)
		be_late(domid, (unsigned)strtoul(words[2], NULL, 10));
	else if (strcmp(command, "mute") == 0)
		mute(domid);
	else if (strcmp(command, "resume") == 0)
		stall(domid, false);
	else if (strcmp(command, "kill") == 0)
		kill_clients(domid);
	else if (strcmp(command, "down") == 0)
		go_down();
	else if (strcmp(command, "up") == 0)
		come_up();
	else
		return false;
	return true;
}

static void do_command(FILE *out, char *line)
{
	char *words[4], *rest = line;

	for (unsigned i = 0; i < 4; i++) {
		/* The last word of "write" may have spaces. */
		char *word = i == 2 && strcmp(words[0], "write") == 0 ? strsep(&rest, "\n")
								      : strsep(&rest, " \n");

		words[i] = word ? word : line + strlen(line);
	}
	if (strcmp(words[0], "read") == 0 || strcmp(words[0], "list") == 0)
		answer_node(out, words[1], words[0][0] == 'l');
	else if (strcmp(words[0], "write") == 0)
		answer_result(out, control_change(CHANGE_WRITE, words[1], words[2]));
	else if (strcmp(words[0], "rm") == 0)
		answer_result(out, control_change(CHANGE_REMOVE, words[1], words[2]));
	else if (do_service_command(words[0], words))
		answer_result(out, 0);
	else if (!do_domain_command(out, words[0], words))
		answer_result(out, -EINVAL);
}

/* One line, read and answered at once: whoever connects has it ready. */
static void control_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char line[XENSTORE_PAYLOAD_MAX];
	size_t have = 0;
	ssize_t res = 1;
	FILE *out;

	while (fd >= 0 && res > 0 && have < sizeof(line) - 1 && !memchr(line, '\n', have)) {
		res = read(fd, line + have, sizeof(line) - 1 - have);
		have += res > 0 ? (size_t)res : 0;
	}
	out = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!out)
		return;
	line[have] = 0;
	do_command(out, line);
	(void)fclose(out);
}

/* ---- main ---- */

static bool is_read(const struct client *c)
{
	return !c->domain->stalled && !is_left(c);
}

static bool is_written(const struct client *c)
{
	return !c->domain->stalled && !c->domain->deaf;
}

static void handle_clients(struct pollfd *fds, unsigned count)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &clients[i];

		for (unsigned k = 0; k < count && c->fd >= 0; k++) {
			if (fds[k].fd != c->fd || !fds[k].revents)
				continue;
			if (is_read(c))
				client_read(c);
			else if (fds[k].revents & (POLLHUP | POLLERR))
				c->dead = true;
		}
		if (c->fd >= 0 && !c->dead && is_written(c))
			client_write(c);
		if (c->fd >= 0 && c->dead)
			client_close(c);
	}
}

/* fds[0] and fds[1]: the control socket, and the wish that we end. */
static unsigned gather(struct pollfd *fds, int control, int term)
{
	unsigned count = 0;

	fds[count++] = (struct pollfd){.fd = control, .events = POLLIN};
	fds[count++] = (struct pollfd){.fd = term, .events = POLLIN};
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domains[i].used && domains[i].listener >= 0)
			fds[count++] = (struct pollfd){.fd = domains[i].listener, .events = POLLIN};
	}
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		const struct client *c = &clients[i];
		short events = 0;

		if (c->fd < 0)
			continue;
		if (is_read(c))
			events |= POLLIN;
		if (c->output && is_written(c))
			events |= POLLOUT;
		fds[count++] = (struct pollfd){.fd = c->fd, .events = events};
	}
	return count;
}

/* Until somebody may be read again, or for good. */
static int patience_ms(void)
{
	uint64_t now = now_ms();

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		if (clients[i].fd >= 0 && clients[i].left_until_ms > now)
			return LATE_STEP_MS;
	}
	return -1;
}

static void accept_clients(void)
{
	for (unsigned i = 0; i < DOMAINS_MAX; i++) {
		if (domains[i].used)
			accept_all(&domains[i]);
	}
}

/* Readable once SIGTERM came, whenever that is. */
static int open_term(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int serve(void)
{
	static struct pollfd fds[2 + DOMAINS_MAX + CLIENTS_MAX];
	int control, term = open_term();

	if (term < 0)
		abort();
	(void)signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		clients[i].fd = -1;
	store = tree_create();
	add_domain(0);
	control = listen_at("control");
	(void)printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		unsigned count = gather(fds, control, term);

		if (poll(fds, count, patience_ms()) < 0)
			continue;
		if (fds[1].revents)
			break;
		handle_clients(fds, count);
		accept_clients();
		if (fds[0].revents)
			control_accept(control);
		/* What commands and other clients caused. */
		handle_clients(fds, 0);
	}
	go_down();
	close(control);
	close(term);
	tree_destroy(store);
	return 0;
}

static int ask(int count, char **words)
{
	struct sockaddr_un address = socket_address("control");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[XENSTORE_PAYLOAD_MAX * 4];
	size_t have = 0;
	ssize_t res;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror(address.sun_path);
		return 2;
	}
	for (int i = 0; i < count; i++)
		dprintf(fd, "%s%s", words[i], i + 1 < count ? " " : "\n");
	while ((res = read(fd, answer + have, sizeof(answer) - have - 1)) > 0)
		have += (size_t)res;
	close(fd);
	answer[have] = 0;
	if (strncmp(answer, "ok", 2) != 0) {
		(void)fputs(answer, stderr);
		return 1;
	}
	if (answer[2] == ' ')
		(void)fputs(answer + 3, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fprintf(stderr, "Usage: %s FOLDER [COMMAND...]\n", argv[0]);
		return 2;
	}
	folder = argv[1];
	return argc == 2 ? serve() : ask(argc - 2, argv + 2);
}
