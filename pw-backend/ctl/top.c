/* SPDX-License-Identifier: MIT */
/*
 * Looks once a second and shows what is there, until it is told to end. Keys steer the view, and mute: all
 * else is the other commands'.
 */
#include "top.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curses.h>
#include <json-c/json.h>

#include "commands.h"
#include "mixer.h"
#include "print.h"
#include "request.h"
#include "rows.h"
#include "start.h"

#define PERIOD_MS 1000

struct top {
	const struct options *options;
	int fd;
	struct mixer *mixer; /* NULL while PipeWire cannot be asked */
	struct answer answer;
	struct row *rows;
	size_t count;
	enum rows_order order;
	char selected[PRINT_CELL_BYTES]; /* the name of a VM, which may be gone */
	const char *note;                /* what became of the last key, or NULL */
};

static volatile sig_atomic_t is_told_to_end;

static void on_signal(int number)
{
	(void)number;
	is_told_to_end = 1;
}

/* ---- looking ---- */

static void forget(struct top *t)
{
	free(t->rows);
	t->rows = NULL;
	t->count = 0;
	request_forget(&t->answer);
}

/* PipeWire may come and go meanwhile. */
static void look_at_volumes(struct top *t)
{
	const char *socket = request_text(t->answer.end, "pipewire");

	if (t->mixer && mixer_look(t->mixer) < 0) {
		mixer_close(t->mixer);
		t->mixer = NULL;
	}
	if (!t->mixer && socket[0] && mixer_open(socket, &t->mixer) < 0)
		t->mixer = NULL;
	for (size_t i = 0; i < json_object_array_length(t->answer.items); i++)
		mixer_add_volumes(t->mixer, json_object_array_get_idx(t->answer.items, i));
}

/* Returns 0 or a negative errno; then the answer is to be explained. */
static int look(struct top *t)
{
	int res;

	forget(t);
	res = request_ask(t->fd, REQUEST_PATIENCE_S, "list", &t->answer);
	if (res < 0)
		return res;
	look_at_volumes(t);
	return rows_make(t->answer.items, t->order, &t->rows, &t->count);
}

/* ---- printed ---- */

static void print(const struct top *t)
{
	if (t->options->json)
		print_json(t->answer.items, stdout);
	else
		rows_print_all(t->rows, t->count, stdout);
}

static int run_batch(struct top *t)
{
	int res = look(t);

	for (uint32_t i = 1; res == 0 && !is_told_to_end; i++) {
		print(t);
		if (i == t->options->count)
			return 0;
		(void)poll(NULL, 0, PERIOD_MS);
		res = is_told_to_end ? 0 : look(t);
	}
	return res;
}

/* ---- the screen ---- */

static size_t find_selected(const struct top *t)
{
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->rows[i].name, t->selected) == 0)
			return i;
	}
	return 0;
}

static void draw_row(const struct top *t, size_t i, bool is_selected)
{
	char text[ROW_BYTES];

	rows_print(&t->rows[i], text);
	if (is_selected)
		attron(A_REVERSE);
	mvaddnstr((int)i + 2, 0, text, COLS);
	if (is_selected)
		attroff(A_REVERSE);
}

static void draw(const struct top *t)
{
	size_t selected = find_selected(t);
	char text[ROW_BYTES];

	erase();
	snprintf(text, sizeof(text),
		 "xaringctl top: %zu VMs by %s   q quit  s sort  up/down choose  m mute  %s",
		 t->count, rows_order_name(t->order), t->note ? t->note : "");
	mvaddnstr(0, 0, text, COLS);
	rows_print_heading(text);
	attron(A_BOLD);
	mvaddnstr(1, 0, text, COLS);
	attroff(A_BOLD);
	for (size_t i = 0; i < t->count && (int)i + 2 < LINES; i++)
		draw_row(t, i, i == selected);
	refresh();
}

static void select_row(struct top *t, int step)
{
	size_t now = find_selected(t);

	if (t->count == 0)
		return;
	if (step < 0)
		now -= now > 0;
	else
		now += now + 1 < t->count;
	snprintf(t->selected, sizeof(t->selected), "%s", t->rows[now].name);
}

/* Of what is muted in part, the rest is muted. */
static void toggle_mute(struct top *t)
{
	struct volume_change change = {.kind = VOLUME_MUTE};
	struct json_object *volume;
	const struct row *row;

	if (t->count == 0)
		return;
	row = &t->rows[find_selected(t)];
	volume = request_object(row->vm, "volume");
	if (json_object_get_boolean(request_object(volume, "muted")))
		change.kind = VOLUME_UNMUTE;
	if (!t->mixer || mixer_change(t->mixer, row->name, &change) <= 0)
		t->note = "nothing plays that could be muted";
}

static void handle_key(struct top *t, int key)
{
	t->note = NULL;
	if (key == 'q')
		is_told_to_end = 1;
	else if (key == 's')
		t->order = (t->order + 1) % ROWS_ORDERS;
	else if (key == 'm')
		toggle_mute(t);
	else if (key == KEY_UP || key == KEY_DOWN)
		select_row(t, key == KEY_UP ? -1 : 1);
}

/* A key shows at once; without one it is looked again when the second is over. */
static int run_keys(struct top *t)
{
	int res = look(t);

	for (uint32_t i = 1; res == 0 && !is_told_to_end; i++) {
		draw(t);
		if (i == t->options->count)
			return 0;
		handle_key(t, getch());
		if (!is_told_to_end)
			res = look(t);
	}
	return res;
}

static int run_screen(struct top *t)
{
	int res;

	initscr();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	timeout(PERIOD_MS);
	res = run_keys(t);
	endwin();
	return res;
}

int top_run(const struct options *o)
{
	struct top t = {.options = o};
	bool has_screen = !o->batch && !o->json;
	int res;

	if (has_screen && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)))
		return start_fail(EXIT_USAGE,
				  "top needs a terminal; without one --batch is accepted");
	res = commands_connect(o, &t.fd);
	if (res != 0)
		return res;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	res = has_screen ? run_screen(&t) : run_batch(&t);
	if (res < 0)
		res = commands_explain(res, &t.answer);
	forget(&t);
	mixer_close(t.mixer);
	close(t.fd);
	return res;
}
