/* SPDX-License-Identifier: MIT */
/* What has changed between two looks at what a domain publishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "xen-nodes.h"

#define NODES_MAX 128

static struct xen_text texts[NODES_MAX];
static unsigned text_count;
static struct xen_nodes nodes;
static unsigned ends;
static uint32_t ended;
static char leases[NODES_MAX]; /* only their addresses count */

static int set_up(void **state)
{
	(void)state;
	memset(&nodes, 0, sizeof(nodes));
	text_count = 0;
	ends = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	xen_nodes_finish(&nodes);
	assert_null(nodes.first);
	return 0;
}

/* A node that was read; NULL is one that is too long. */
static void found(uint32_t number, const char *text)
{
	texts[text_count++] = (struct xen_text){.number = number,
						.text = text ? strdup(text) : NULL,
						.bytes = text ? strlen(text) : 0};
}

static void on_end(struct xen_node *node)
{
	assert_non_null(node->lease);
	node->last_lease = 77;
	ended = node->text.number;
	ends++;
}

static void update(void)
{
	assert_int_equal(xen_nodes_update(&nodes, texts, text_count, on_end), 0);
	for (unsigned i = 0; i < text_count; i++)
		free(texts[i].text);
	text_count = 0;
}

static struct xen_node *node(uint32_t number)
{
	for (struct xen_node *n = nodes.first; n; n = n->next) {
		if (n->text.number == number)
			return n;
	}
	return NULL;
}

static unsigned count(void)
{
	unsigned found_nodes = 0;
	uint32_t last = 0;

	for (struct xen_node *n = nodes.first; n; n = n->next) {
		assert_true(found_nodes == 0 || n->text.number > last);
		last = n->text.number;
		found_nodes++;
	}
	return found_nodes;
}

static void lease(uint32_t number)
{
	node(number)->state = XEN_NODE_LEASED;
	node(number)->lease = (struct lease *)&leases[number];
}

static void new_nodes_wait(void **state)
{
	(void)state;
	found(2, "two");
	found(5, "five");
	update();
	assert_int_equal(count(), 2);
	assert_int_equal(node(2)->state, XEN_NODE_WAITING);
	assert_memory_equal(node(5)->text.text, "five", 4);
	found(1, "one");
	found(2, "two");
	found(3, "three");
	found(5, "five");
	found(9, "nine");
	update();
	assert_int_equal(count(), 5);
	assert_int_equal(ends, 0);
}

static void what_is_the_same_is_left_alone(void **state)
{
	(void)state;
	found(1, "a");
	found(2, "b");
	found(3, NULL);
	update();
	lease(1);
	node(2)->state = XEN_NODE_REFUSED;
	node(3)->state = XEN_NODE_REFUSED;
	found(1, "a");
	found(2, "b");
	found(3, NULL);
	update();
	assert_int_equal(node(1)->state, XEN_NODE_LEASED);
	assert_int_equal(node(2)->state, XEN_NODE_REFUSED);
	assert_int_equal(node(3)->state, XEN_NODE_REFUSED);
	assert_int_equal(ends, 0);
}

static void another_text_is_another_stream(void **state)
{
	(void)state;
	found(1, "a");
	found(2, "b");
	update();
	lease(1);
	node(2)->state = XEN_NODE_REFUSED;
	node(2)->counted = true;
	node(2)->owes_answer = true;
	node(2)->answered = true;
	found(1, "a2");
	found(2, NULL);
	update();
	assert_int_equal(ends, 1);
	assert_int_equal(ended, 1);
	assert_int_equal(node(1)->state, XEN_NODE_WAITING);
	assert_int_equal(node(1)->last_lease, 77);
	assert_null(node(1)->lease);
	assert_memory_equal(node(1)->text.text, "a2", 2);
	assert_int_equal(node(2)->state, XEN_NODE_WAITING);
	assert_false(node(2)->counted);
	assert_false(node(2)->owes_answer);
	assert_true(node(2)->answered);
	assert_null(node(2)->text.text);
}

/* A longer text that begins alike, or one with a NUL in it, is another one. */
static void texts_are_compared_as_bytes(void **state)
{
	struct xen_text a = {.text = (char *)"ab\0c", .bytes = 4},
			b = {.text = (char *)"ab\0d", .bytes = 4};

	(void)state;
	assert_false(xen_text_is_same(&a, &b));
	b.bytes = 3;
	assert_false(xen_text_is_same(&a, &b));
	a.bytes = 3;
	assert_true(xen_text_is_same(&a, &b));
	b = (struct xen_text){.text = NULL};
	assert_false(xen_text_is_same(&a, &b));
}

static void what_is_gone_ends(void **state)
{
	(void)state;
	found(1, "a");
	found(2, "b");
	found(3, "c");
	update();
	lease(2);
	found(3, "c");
	update();
	assert_int_equal(ends, 1);
	assert_int_equal(ended, 2);
	/* The one that was not leased is forgotten at once. */
	assert_null(node(1));
	assert_int_equal(node(2)->state, XEN_NODE_VACANT);
	assert_null(node(2)->text.text);
	assert_int_equal(node(3)->state, XEN_NODE_WAITING);
	update();
	assert_int_equal(ends, 1);
	assert_int_equal(count(), 1);
	node(2)->last_lease = 0;
	xen_nodes_sweep(&nodes);
	assert_int_equal(count(), 0);
}

/* It was away for a moment: what it had may be mapped yet. */
static void who_comes_back_waits_for_the_last_lease(void **state)
{
	(void)state;
	found(2, "b");
	update();
	lease(2);
	update();
	found(2, "b");
	update();
	assert_int_equal(ends, 1);
	assert_int_equal(node(2)->state, XEN_NODE_WAITING);
	assert_int_equal(node(2)->last_lease, 77);
}

/* Against a model that is an array. */
static void any_sequence_agrees_with_a_plain_one(void **state)
{
	static char model[NODES_MAX][4];
	char seen[NODES_MAX];
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		unsigned expected = 0;

		for (uint32_t i = 0; i < NODES_MAX; i++) {
			seed = seed * 1103515245u + 12345u;
			if ((seed >> 16) % 4 == 0)
				snprintf(model[i], sizeof(model[i]), "%u", (seed >> 20) % 3);
			else if ((seed >> 16) % 4 == 1)
				model[i][0] = '\0';
			seen[i] = model[i][0];
			if (seen[i])
				found(i, model[i]);
			expected += seen[i] != '\0';
		}
		update();
		for (uint32_t i = 0; i < NODES_MAX; i++) {
			const struct xen_node *n = node(i);

			assert_int_equal(n && n->state != XEN_NODE_VACANT, seen[i] != '\0');
			if (seen[i])
				assert_int_equal(n->text.text[0], seen[i]);
			if (n && n->state == XEN_NODE_WAITING && (seed >> (i % 13)) & 1)
				lease(i);
			if (n && round % 3 == 0)
				node(i)->last_lease = 0;
		}
		xen_nodes_sweep(&nodes);
		assert_true(count() >= expected);
	}
	assert_true(ends > 1000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_nodes_wait),
		TEST(what_is_the_same_is_left_alone),
		TEST(another_text_is_another_stream),
		TEST(texts_are_compared_as_bytes),
		TEST(what_is_gone_ends),
		TEST(who_comes_back_waits_for_the_last_lease),
		TEST(any_sequence_agrees_with_a_plain_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
