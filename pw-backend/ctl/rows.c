/* SPDX-License-Identifier: MIT */
/*
 * Sums up what the broker says of a VM. Knows neither the screen nor the broker.
 */
#include "rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

static void sum_up(struct row *row, struct json_object *stream)
{
	double latency_ms = json_object_get_double(request_object(stream, "latency_ms"));

	row->streams++;
	row->running += strcmp(request_text(stream, "state"), "running") == 0;
	row->xruns += request_number(stream, "xruns");
	if (latency_ms > row->latency_ms)
		row->latency_ms = latency_ms;
}

static void fill(struct row *row, struct json_object *vm)
{
	struct json_object *streams = request_object(vm, "streams");

	*row = (struct row){.vm = vm, .name = request_text(vm, "vm")};
	for (size_t i = 0; streams && i < json_object_array_length(streams); i++)
		sum_up(row, json_object_array_get_idx(streams, i));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

/* Those that are equal are in the order of their names. */
static int by_streams(const void *a, const void *b)
{
	int difference = ((const struct row *)b)->running - ((const struct row *)a)->running;

	return difference ? difference : by_name(a, b);
}

static int by_xruns(const void *a, const void *b)
{
	int64_t x = ((const struct row *)a)->xruns, y = ((const struct row *)b)->xruns;

	return x == y ? by_name(a, b) : x < y ? 1 : -1;
}

static const struct order {
	const char *name;
	int (*compare)(const void *a, const void *b);
} orders[ROWS_ORDERS] = {
	[ROWS_BY_NAME] = {"name", by_name},
	[ROWS_BY_STREAMS] = {"streams", by_streams},
	[ROWS_BY_XRUNS] = {"xruns", by_xruns},
};

const char *rows_order_name(enum rows_order order)
{
	return orders[order].name;
}

int rows_make(struct json_object *vms, enum rows_order order, struct row **out, size_t *count)
{
	size_t n = json_object_array_length(vms);
	struct row *rows = calloc(n + 1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		fill(&rows[i], json_object_array_get_idx(vms, i));
	qsort(rows, n, sizeof(*rows), orders[order].compare);
	*out = rows;
	*count = n;
	return 0;
}

#define COLUMNS "%-20.20s  %-12s  %-10s  %7s  %9s  %6s  %s"

void rows_print_heading(char text[ROW_BYTES])
{
	snprintf(text, ROW_BYTES, COLUMNS, "VM", "STATE", "VOLUME", "STREAMS", "LATENCY", "XRUNS",
		 "MICROPHONE");
}

void rows_print(const struct row *row, char text[ROW_BYTES])
{
	char volume[PRINT_CELL_BYTES], microphone[PRINT_CELL_BYTES], streams[24], xruns[24],
		latency[24] = "-";

	print_volume(row->vm, volume);
	print_microphone(row->vm, microphone);
	snprintf(streams, sizeof(streams), "%d/%d", row->running, row->streams);
	snprintf(xruns, sizeof(xruns), "%lld", (long long)row->xruns);
	if (row->latency_ms > 0)
		snprintf(latency, sizeof(latency), "%.1f ms", row->latency_ms);
	snprintf(text, ROW_BYTES, COLUMNS, row->name, request_text(row->vm, "state"), volume,
		 streams, latency, xruns, microphone);
}

void rows_print_all(const struct row *rows, size_t count, FILE *to)
{
	char text[ROW_BYTES];

	rows_print_heading(text);
	fprintf(to, "%s\n", text);
	for (size_t i = 0; i < count; i++) {
		rows_print(&rows[i], text);
		fprintf(to, "%s\n", text);
	}
	fflush(to);
}
