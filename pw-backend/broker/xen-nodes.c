/* SPDX-License-Identifier: MIT */
/*
 * Compares what was read with what is known: one walk along both, which are in the same order.
 */
#include "xen-nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool xen_text_is_same(const struct xen_text *a, const struct xen_text *b)
{
	if (!a->text || !b->text)
		return a->text == b->text;
	return a->bytes == b->bytes && memcmp(a->text, b->text, a->bytes) == 0;
}

static void take_text(struct xen_node *node, struct xen_text *text)
{
	free(node->text.text);
	node->text = *text;
	text->text = NULL;
}

static void forget_judgement(struct xen_node *node, xen_node_end_fn end)
{
	if (node->state == XEN_NODE_LEASED)
		end(node);
	node->lease = NULL;
	node->counted = false;
	node->owes_answer = false;
}

static void vacate(struct xen_node *node, xen_node_end_fn end)
{
	forget_judgement(node, end);
	free(node->text.text);
	node->text.text = NULL;
	node->answered = false;
	node->state = XEN_NODE_VACANT;
}

static void refresh(struct xen_node *node, struct xen_text *text, xen_node_end_fn end)
{
	if (node->state != XEN_NODE_VACANT && xen_text_is_same(&node->text, text))
		return;
	forget_judgement(node, end);
	take_text(node, text);
	node->state = XEN_NODE_WAITING;
}

static int insert(struct xen_node **at, struct xen_text *text)
{
	struct xen_node *node = calloc(1, sizeof(*node));

	if (!node)
		return -ENOMEM;
	take_text(node, text);
	node->state = XEN_NODE_WAITING;
	node->next = *at;
	*at = node;
	return 0;
}

int xen_nodes_update(struct xen_nodes *nodes, struct xen_text *texts, unsigned count,
		     xen_node_end_fn end)
{
	struct xen_node **at = &nodes->first;
	unsigned i = 0;
	int res = 0;

	while (*at || i < count) {
		bool is_unread = *at && (i == count || (*at)->text.number < texts[i].number);

		if (is_unread) {
			vacate(*at, end);
		} else if (*at && (*at)->text.number == texts[i].number) {
			refresh(*at, &texts[i++], end);
		} else {
			res = insert(at, &texts[i++]);
			if (res < 0)
				break;
		}
		at = &(*at)->next;
	}
	xen_nodes_sweep(nodes);
	return res;
}

void xen_nodes_sweep(struct xen_nodes *nodes)
{
	struct xen_node **at = &nodes->first;

	while (*at) {
		struct xen_node *node = *at;

		if (node->state == XEN_NODE_VACANT && node->last_lease == 0) {
			*at = node->next;
			free(node);
		} else {
			at = &node->next;
		}
	}
}

void xen_nodes_finish(struct xen_nodes *nodes)
{
	while (nodes->first) {
		struct xen_node *node = nodes->first;

		nodes->first = node->next;
		free(node->text.text);
		free(node);
	}
}
