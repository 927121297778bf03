/* SPDX-License-Identifier: MIT */
/*
 * What top shows: a row for each VM, and their order.
 *
 * Pure. Thread: any. Blocks: no. Logs: no.
 */
#ifndef XARINGCTL_ROWS_H
#define XARINGCTL_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "print.h"

#define ROW_BYTES 320

enum rows_order {
	ROWS_BY_NAME,
	ROWS_BY_STREAMS, /* what runs, most first */
	ROWS_BY_XRUNS,
	ROWS_ORDERS
};

struct row {
	struct json_object *vm; /* borrowed */
	const char *name;       /* likewise */
	int streams;            /* that it has */
	int running;            /* of these */
	int64_t xruns;          /* of all of them */
	double latency_ms;      /* the largest, 0 = not known */
};

/*
 * Makes rows of an array of VMs, in that order. Owner: the caller, free(). Returns 0 and sets *out and *count, or
 * -ENOMEM.
 */
int rows_make(struct json_object *vms, enum rows_order order, struct row **out, size_t *count);

const char *rows_order_name(enum rows_order order);

/* Lines without a line end: the heading, and that of a row. */
void rows_print_heading(char text[ROW_BYTES]);
void rows_print(const struct row *row, char text[ROW_BYTES]);

/* The same of all of them. */
void rows_print_all(const struct row *rows, size_t count, FILE *to);

#endif
