/* SPDX-License-Identifier: MIT */
/*
 * The tree of fake-xenstored: nodes, who may read and write them, generations. No sockets, no
 * watches. Paths are absolute and valid (tree_path_is_valid).
 */
#ifndef XARING_TESTS_FAKE_TREE_H
#define XARING_TESTS_FAKE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_PERMISSIONS_MAX 8
#define TREE_READ            1u
#define TREE_WRITE           2u

/* The first of a list names the owner, and what all others may. */
struct tree_permission {
	uint32_t domid;
	unsigned access;
};

struct tree_node {
	char *name;
	struct tree_node *parent, *children, *next;
	char *value;
	size_t bytes;
	struct tree_permission permissions[TREE_PERMISSIONS_MAX];
	unsigned permission_count;
	uint64_t
		generation; /* raised when value, permissions or the names of its children change */
};

bool tree_path_is_valid(const char *path);

struct tree_node *tree_create(void);
struct tree_node *tree_copy(const struct tree_node *root);
void tree_destroy(struct tree_node *root);

/* NULL when there is none. */
struct tree_node *tree_find(struct tree_node *root, const char *path);

/* 0 for a node that is not there. */
uint64_t tree_generation(struct tree_node *root, const char *path);

/* What a domain may do with a node; of one that is not there, with the nearest one above. */
unsigned tree_access(struct tree_node *root, const char *path, uint32_t domid);

/* Makes the node, and those above it, when it is not there: owned by who makes it. */
struct tree_node *tree_make(struct tree_node *root, const char *path, uint32_t domid);
void tree_set(struct tree_node *node, const char *value, size_t bytes);
void tree_permit(struct tree_node *node, const struct tree_permission *list, unsigned count);
void tree_remove(struct tree_node *node); /* with all below; not the root */

/* How many nodes a domain owns. */
unsigned tree_owned(const struct tree_node *root, uint32_t domid);

/* The path of a node. Cut to size. */
void tree_path(const struct tree_node *node, char *path, size_t bytes);

#endif
