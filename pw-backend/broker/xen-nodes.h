/* SPDX-License-Identifier: MIT */
/*
 * The streams that one domain publishes, as they were read last: what is new, what has changed,
 * what is gone. What a text says is not looked at here.
 *
 * Pure but for memory. Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_XEN_NODES_H
#define XARING_BROKER_XEN_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xaring/format.h>

struct lease;

/* A node of xenstore as it was read. */
struct xen_text {
	uint32_t number; /* its name */
	char *text;      /* NULL = longer than any offer */
	size_t bytes;
};

enum xen_node_state {
	XEN_NODE_WAITING, /* to be judged */
	XEN_NODE_LEASED,
	XEN_NODE_REFUSED, /* until its text changes, or the rules do */
	XEN_NODE_VACANT   /* gone, but its last lease has not been given back */
};

struct xen_node {
	struct xen_node *next; /* in the order of their numbers */
	struct xen_text text;
	enum xen_node_state state;
	bool counted;        /* against the rate of new streams; of this text */
	struct lease *lease; /* while leased */
	uint32_t last_lease; /* may be mapped yet: nothing is leased here meanwhile; 0 = none */

	/* An answer is to be written, or (reason NONE) taken away. */
	bool owes_answer;
	bool answered;
	struct xaring_refusal refusal;
};

struct xen_nodes {
	struct xen_node *first;
};

/* The lease of a node is over: it has another text, or is gone. Sets last_lease. */
typedef void (*xen_node_end_fn)(struct xen_node *node);

/*
 * Takes what was read, in the order of numbers, each number once. The texts that are taken over are
 * set to NULL in the array. A node that is new or has another text waits.
 *
 * Returns 0 or -ENOMEM; then nodes are missing that a later call would add.
 */
int xen_nodes_update(struct xen_nodes *nodes, struct xen_text *texts, unsigned count,
		     xen_node_end_fn end);

/* The nodes that are vacant, and have no last lease any more, are forgotten. */
void xen_nodes_sweep(struct xen_nodes *nodes);

/* Frees all. Their leases are over, or somebody else's. */
void xen_nodes_finish(struct xen_nodes *nodes);

bool xen_text_is_same(const struct xen_text *a, const struct xen_text *b);

#endif
