/* SPDX-License-Identifier: MIT */
/*
 * Turns objects into lines. Texts of guests in them were cleaned by the broker.
 */
#include "print.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "request.h"

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

bool print_has_colour(FILE *to)
{
	return isatty(fileno(to)) && !getenv("NO_COLOR");
}

void print_json(struct json_object *object, FILE *to)
{
	fprintf(to, "%s\n",
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(to);
}

static const char *paint_of(const char *word)
{
	if (strcmp(word, "allowed") == 0 || strcmp(word, "active") == 0)
		return GREEN;
	if (strcmp(word, "asked") == 0)
		return YELLOW;
	return strcmp(word, "disconnected") == 0 ? RED : "";
}

/* A word in a column. The colour is outside of what is counted. */
static void print_cell(const char *text, const char *paint, int width, bool colour, FILE *to)
{
	bool painted = colour && paint[0];

	fprintf(to, "%s%-*s%s", painted ? paint : "", width, text, painted ? PLAIN : "");
}

static void print_percent(struct json_object *volume, char text[PRINT_CELL_BYTES])
{
	if (!volume)
		snprintf(text, PRINT_CELL_BYTES, "-");
	else
		snprintf(text, PRINT_CELL_BYTES, "%d%%%s", (int)request_number(volume, "percent"),
			 json_object_get_boolean(request_object(volume, "muted")) ? " muted" : "");
}

void print_volume(struct json_object *vm, char text[PRINT_CELL_BYTES])
{
	print_percent(request_object(vm, "volume"), text);
}

void print_volume_in_guest(struct json_object *vm, char text[PRINT_CELL_BYTES])
{
	print_percent(request_object(vm, "volume_in_guest"), text);
}

/* When that is, in the clock of whoever reads it. */
static void print_moment(int64_t seconds, const char *format, char *text, size_t text_bytes)
{
	time_t moment = (time_t)seconds;
	struct tm local;

	if (!localtime_r(&moment, &local) || strftime(text, text_bytes, format, &local) == 0)
		text[0] = '\0';
}

static bool is_by_rule(struct json_object *microphone)
{
	const char *rule = request_text(microphone, "rule");

	return strcmp(rule, "deny") == 0 || strcmp(rule, "allow") == 0;
}

/* That nobody has decided is no state: it is denied as well, and people want to know which. */
static const char *state_of_microphone(struct json_object *microphone)
{
	const char *state = request_text(microphone, "state");

	if (strcmp(state, "denied") == 0 && !is_by_rule(microphone) &&
	    request_text(microphone, "decision")[0] == '\0')
		return "undecided";
	return state;
}

void print_microphone(struct json_object *vm, char text[PRINT_CELL_BYTES])
{
	struct json_object *m = request_object(vm, "microphone");
	const char *state = state_of_microphone(m), *span = request_text(m, "span");
	char until[40];

	if (is_by_rule(m)) {
		snprintf(text, PRINT_CELL_BYTES, "%s by rule", state);
	} else if (strcmp(span, "for") == 0) {
		print_moment(request_number(m, "until"), "%F %T", until, sizeof(until));
		snprintf(text, PRINT_CELL_BYTES, "%s until %s", state, until);
	} else if (strcmp(span, "once") == 0 || strcmp(span, "until-shutdown") == 0) {
		snprintf(text, PRINT_CELL_BYTES, "%s %s", state, span);
	} else {
		snprintf(text, PRINT_CELL_BYTES, "%s", state);
	}
}

static void print_latency(struct json_object *stream, char text[PRINT_CELL_BYTES])
{
	struct json_object *latency = request_object(stream, "latency_ms");

	if (latency)
		snprintf(text, PRINT_CELL_BYTES, "%.1f ms", json_object_get_double(latency));
	else
		snprintf(text, PRINT_CELL_BYTES, "-");
}

static void print_format(struct json_object *s, char text[PRINT_CELL_BYTES])
{
	snprintf(text, PRINT_CELL_BYTES, "%s %dch %d Hz", request_text(s, "format"),
		 (int)request_number(s, "channels"), (int)request_number(s, "rate_hz"));
}

static void print_stream(struct json_object *s, FILE *to)
{
	char title[PRINT_CELL_BYTES], format[PRINT_CELL_BYTES], volume[PRINT_CELL_BYTES],
		in_guest[PRINT_CELL_BYTES], latency[PRINT_CELL_BYTES];

	snprintf(title, sizeof(title), "%s %d", request_text(s, "direction"),
		 (int)request_number(s, "number"));
	print_format(s, format);
	print_volume(s, volume);
	print_volume_in_guest(s, in_guest);
	print_latency(s, latency);
	fprintf(to, "  %-12s %-9s %-24s %-10s %-10s %-9s %d xruns  %s\n", title,
		request_text(s, "state"), format, volume, in_guest, latency,
		(int)request_number(s, "xruns"), request_text(s, "name"));
}

static void print_streams(struct json_object *vm, FILE *to)
{
	struct json_object *streams = request_object(vm, "streams");

	for (size_t i = 0; streams && i < json_object_array_length(streams); i++)
		print_stream(json_object_array_get_idx(streams, i), to);
}

static int widest_name(struct json_object *vms)
{
	int width = 8;

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		int length = (int)strlen(request_text(json_object_array_get_idx(vms, i), "vm"));

		width = length > width ? length : width;
	}
	return width;
}

static void print_line(struct json_object *vm, int width, bool colour, FILE *to)
{
	const char *state = request_text(vm, "state");
	char volume[PRINT_CELL_BYTES], in_guest[PRINT_CELL_BYTES], microphone[PRINT_CELL_BYTES];

	print_volume(vm, volume);
	print_volume_in_guest(vm, in_guest);
	print_microphone(vm, microphone);
	fprintf(to, "%-*s  ", width, request_text(vm, "vm"));
	print_cell(state, paint_of(state), 13, colour, to);
	fprintf(to, " %-11s %-11s ", volume, in_guest);
	print_cell(microphone, paint_of(request_text(request_object(vm, "microphone"), "state")), 0,
		   colour, to);
	fputc('\n', to);
}

void print_list(struct json_object *vms, bool colour, FILE *to)
{
	int width = widest_name(vms);

	if (json_object_array_length(vms) == 0) {
		fputs("There is no VM.\n", to);
		return;
	}
	fprintf(to, "%-*s  %-13s %-11s %-11s %s\n", width, "VM", "STATE", "VOLUME", "IN GUEST",
		"MICROPHONE");
	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);

		print_line(vm, width, colour, to);
		print_streams(vm, to);
	}
}

static void print_field(const char *name, const char *text, FILE *to)
{
	if (text[0])
		fprintf(to, "%-12s %s\n", name, text);
}

/* Where it is, as dom0 has it. */
static void print_place(struct json_object *vm, FILE *to)
{
	char text[PRINT_CELL_BYTES * 2];

	if (strcmp(request_text(vm, "transport"), "local") == 0) {
		print_field("transport", "local: programs of this machine", to);
		return;
	}
	snprintf(text, sizeof(text), "domain %d, \"%s\"", (int)request_number(vm, "domid"),
		 request_text(vm, "domain"));
	print_field("transport", text, to);
	print_field("uuid", request_text(vm, "uuid"), to);
}

/* That a VM may play is nothing to be told. */
static void print_playback(struct json_object *vm, FILE *to)
{
	struct json_object *playback = request_object(vm, "playback");

	if (playback && !json_object_get_boolean(playback))
		print_field("playback", "denied by rule", to);
}

static void print_use(struct json_object *vm, FILE *to)
{
	struct json_object *use = request_object(vm, "use");
	char text[PRINT_CELL_BYTES];

	snprintf(text, sizeof(text), "%d of %d streams, %d of %d pages",
		 (int)request_number(use, "streams"), (int)request_number(use, "streams_max"),
		 (int)request_number(use, "pages"), (int)request_number(use, "pages_max"));
	print_field("use", text, to);
}

void print_vm(struct json_object *vm, bool colour, FILE *to)
{
	const char *state = request_text(vm, "state");
	char text[PRINT_CELL_BYTES];

	print_field("vm", request_text(vm, "vm"), to);
	if (strcmp(request_text(vm, "title"), request_text(vm, "vm")) != 0)
		print_field("title", request_text(vm, "title"), to);
	print_place(vm, to);
	fprintf(to, "%-12s ", "state");
	print_cell(state, paint_of(state), 0, colour, to);
	fputc('\n', to);
	print_volume(vm, text);
	print_field("volume", text, to);
	print_volume_in_guest(vm, text);
	print_field("in guest", text, to);
	print_playback(vm, to);
	print_microphone(vm, text);
	print_field("microphone", text, to);
	print_use(vm, to);
	print_streams(vm, to);
}

static void describe_stream(struct json_object *event, const char *verb, char *text, size_t bytes)
{
	struct json_object *s = request_object(event, "stream");
	char format[PRINT_CELL_BYTES];

	print_format(s, format);
	snprintf(text, bytes, "%s %d %s: %s %s", request_text(s, "direction"),
		 (int)request_number(s, "number"), verb, format, request_text(s, "name"));
}

static void describe_microphone(struct json_object *event, char *text, size_t bytes)
{
	struct json_object *m = request_object(event, "microphone");
	char cell[PRINT_CELL_BYTES];

	print_microphone(event, cell);
	if (strcmp(request_text(m, "state"), "asked") == 0)
		snprintf(text, bytes, "asks for the microphone: xaringctl mic allow %s, or deny",
			 request_text(event, "vm"));
	else
		snprintf(text, bytes, "microphone %s", cell);
}

/* Of an event about a VM and nothing else. */
static const char *describe_vm(const char *name)
{
	static const char *const verbs[][2] = {
		{"vm-appears", "appears"},
		{"vm-goes", "goes"},
		{"vm-disconnected", "disconnected"},
		{"vm-connected", "connected"},
	};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i][0], name) == 0)
			return verbs[i][1];
	}
	return name;
}

void print_event(struct json_object *event, bool colour, FILE *to)
{
	const char *name = request_text(event, "event");
	const char *paint = paint_of(request_text(request_object(event, "microphone"), "state"));
	char when[40], what[256];

	if (strcmp(name, "stream-opens") == 0)
		describe_stream(event, "opens", what, sizeof(what));
	else if (strcmp(name, "stream-closes") == 0)
		describe_stream(event, "closes", what, sizeof(what));
	else if (strcmp(name, "microphone") == 0)
		describe_microphone(event, what, sizeof(what));
	else
		snprintf(what, sizeof(what), "%s", describe_vm(name));
	print_moment(request_number(event, "time"), "%T", when, sizeof(when));
	fprintf(to, "%s %s ", when, request_text(event, "vm"));
	print_cell(what, paint, 0, colour, to);
	fputc('\n', to);
	fflush(to);
}
