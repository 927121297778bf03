/* SPDX-License-Identifier: MIT */
/* The tree of fake-xenstored. Memory that is missing ends the program: it is a test's. */
#include "fake-tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES_MAX 3072

static uint64_t generations;

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

bool tree_path_is_valid(const char *path)
{
	size_t length = strlen(path);

	if (path[0] != '/' || length >= PATH_BYTES_MAX || strstr(path, "//") ||
	    (length > 1 && path[length - 1] == '/'))
		return false;
	return strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_@") ==
	       length;
}

static struct tree_node *node_create(const char *name, size_t length)
{
	struct tree_node *node = must(calloc(1, sizeof(*node)));

	node->name = must(strndup(name, length));
	node->value = must(strdup(""));
	node->permission_count = 1;
	node->generation = ++generations;
	return node;
}

struct tree_node *tree_create(void)
{
	return node_create("", 0);
}

void tree_destroy(struct tree_node *node)
{
	while (node->children) {
		struct tree_node *child = node->children;

		node->children = child->next;
		tree_destroy(child);
	}
	free(node->name);
	free(node->value);
	free(node);
}

static void set_value(struct tree_node *node, const char *value, size_t bytes)
{
	char *copy = must(malloc(bytes + 1));

	memcpy(copy, value, bytes);
	copy[bytes] = 0;
	free(node->value);
	node->value = copy;
	node->bytes = bytes;
}

struct tree_node *tree_copy(const struct tree_node *from)
{
	struct tree_node *to = node_create(from->name, strlen(from->name));
	struct tree_node **at = &to->children;

	set_value(to, from->value, from->bytes);
	memcpy(to->permissions, from->permissions, sizeof(to->permissions));
	to->permission_count = from->permission_count;
	to->generation = from->generation;
	for (struct tree_node *child = from->children; child; child = child->next) {
		*at = tree_copy(child);
		(*at)->parent = to;
		at = &(*at)->next;
	}
	return to;
}

static struct tree_node *find_child(struct tree_node *node, const char *name, size_t length)
{
	struct tree_node *child = node->children;

	while (child && (strlen(child->name) != length || memcmp(child->name, name, length) != 0))
		child = child->next;
	return child;
}

/* Goes down as far as there are nodes; *rest is what is left of the path. */
static struct tree_node *descend(struct tree_node *root, const char *path, const char **rest)
{
	struct tree_node *node = root;

	path++;
	while (*path) {
		size_t length = strcspn(path, "/");
		struct tree_node *child = find_child(node, path, length);

		if (!child)
			break;
		node = child;
		path += length;
		path += *path == '/';
	}
	*rest = path;
	return node;
}

struct tree_node *tree_find(struct tree_node *root, const char *path)
{
	const char *rest;
	struct tree_node *node = descend(root, path, &rest);

	return *rest ? NULL : node;
}

uint64_t tree_generation(struct tree_node *root, const char *path)
{
	const struct tree_node *node = tree_find(root, path);

	return node ? node->generation : 0;
}

unsigned tree_access(struct tree_node *root, const char *path, uint32_t domid)
{
	const char *rest;
	const struct tree_node *node = descend(root, path, &rest);

	if (domid == 0 || node->permissions[0].domid == domid)
		return TREE_READ | TREE_WRITE;
	for (unsigned i = 1; i < node->permission_count; i++) {
		if (node->permissions[i].domid == domid)
			return node->permissions[i].access;
	}
	return node->permissions[0].access;
}

/* A new node has the permissions of the one above; it is owned by a guest that makes it. */
static struct tree_node *add_child(struct tree_node *node, const char *name, size_t length,
				   uint32_t domid)
{
	struct tree_node *child = node_create(name, length);
	struct tree_node **at = &node->children;

	memcpy(child->permissions, node->permissions, sizeof(child->permissions));
	child->permission_count = node->permission_count;
	if (domid != 0)
		child->permissions[0].domid = domid;
	child->parent = node;
	node->generation = ++generations;
	while (*at)
		at = &(*at)->next;
	*at = child;
	return child;
}

struct tree_node *tree_make(struct tree_node *root, const char *path, uint32_t domid)
{
	const char *rest;
	struct tree_node *node = descend(root, path, &rest);

	while (*rest) {
		size_t length = strcspn(rest, "/");

		node = add_child(node, rest, length, domid);
		rest += length;
		rest += *rest == '/';
	}
	return node;
}

void tree_set(struct tree_node *node, const char *value, size_t bytes)
{
	set_value(node, value, bytes);
	node->generation = ++generations;
}

void tree_permit(struct tree_node *node, const struct tree_permission *list, unsigned count)
{
	memcpy(node->permissions, list, count * sizeof(*list));
	node->permission_count = count;
	node->generation = ++generations;
}

void tree_remove(struct tree_node *node)
{
	struct tree_node **at = &node->parent->children;

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->parent->generation = ++generations;
	tree_destroy(node);
}

unsigned tree_owned(const struct tree_node *node, uint32_t domid)
{
	unsigned count = node->permissions[0].domid == domid;

	for (const struct tree_node *child = node->children; child; child = child->next)
		count += tree_owned(child, domid);
	return count;
}

void tree_path(const struct tree_node *node, char *path, size_t bytes)
{
	size_t used = 0;

	if (!node->parent) {
		(void)snprintf(path, bytes, "/");
		return;
	}
	if (node->parent->parent) {
		tree_path(node->parent, path, bytes);
		used = strlen(path);
	}
	(void)snprintf(path + used, bytes - used, "/%s", node->name);
}
