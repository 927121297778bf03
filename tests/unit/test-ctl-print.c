/* SPDX-License-Identifier: MIT */
/* What xaringctl makes of the broker's objects, and that it bears objects that lack what they should have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "print.h"
#include "rows.h"

#define WORK                                                                                              \
	"{\"vm\":\"work\",\"title\":\"Work\",\"transport\":\"xen\",\"domain\":\"work\",\"domid\":7,"      \
	"\"uuid\":\"u-u\",\"state\":\"active\",\"volume\":{\"percent\":40,\"muted\":true},"               \
	"\"volume_in_guest\":{\"percent\":80,\"muted\":false},"                                           \
	"\"microphone\":{\"state\":\"allowed\",\"rule\":\"ask\",\"decision\":\"allow\",\"span\":\"for\"," \
	"\"until\":86400},\"use\":{\"streams\":2,\"streams_max\":8,\"pages\":9,\"pages_max\":480},"       \
	"\"streams\":[{\"direction\":\"playback\",\"number\":1,\"name\":\"mpv\",\"state\":\"running\","   \
	"\"format\":\"S16_LE\",\"rate_hz\":48000,\"channels\":2,\"xruns\":3,\"latency_ms\":21.3,"         \
	"\"volume_in_guest\":{\"percent\":70,\"muted\":true},"                                            \
	"\"volume\":{\"percent\":40,\"muted\":true}},{\"direction\":\"capture\",\"number\":1,"            \
	"\"state\":\"stopped\",\"format\":\"S16_LE\",\"rate_hz\":8000,\"channels\":1,\"xruns\":4}]}"
#define IDLE \
	"{\"vm\":\"idle\",\"state\":\"idle\",\"microphone\":{\"state\":\"denied\",\"rule\":\"deny\"}}"

static char text[8192];

/* What a function prints of an object. */
static void print(void (*fn)(struct json_object *, bool, FILE *), const char *json, bool colour)
{
	struct json_object *o = json_tokener_parse(json);
	FILE *file = fmemopen(text, sizeof(text), "w");

	assert_non_null(o);
	assert_non_null(file);
	fn(o, colour, file);
	fclose(file);
	json_object_put(o);
}

static void assert_has(const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" has no \"%s\"", text, part);
}

static void vms_are_listed(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	print(print_list, "[" WORK "," IDLE "]", false);
	assert_has("VM        STATE         VOLUME      IN GUEST    MICROPHONE\n");
	assert_has(
		"work      active        40% muted   80%         allowed until 1970-01-02 00:00:00\n");
	assert_has(
		"  playback 1   running   S16_LE 2ch 48000 Hz      40% muted  70% muted  21.3 ms   3 "
		"xruns  mpv\n");
	assert_has("idle      idle          -           -           denied by rule\n");
	assert_null(strchr(text, '\033'));
	print(print_list, "[]", false);
	assert_string_equal(text, "There is no VM.\n");
}

static void colour_changes_nothing_else(void **state)
{
	(void)state;
	print(print_list, "[" WORK "]", true);
	assert_has("\033[32mactive       \033[0m 40% muted");
}

static void a_vm_is_shown(void **state)
{
	(void)state;
	print(print_vm, WORK, false);
	assert_has("transport    domain 7, \"work\"\n");
	assert_has("use          2 of 8 streams, 9 of 480 pages\n");
	assert_null(strstr(text, "by rule"));
	print(print_vm, "{\"vm\":\"work\",\"playback\":true}", false);
	assert_null(strstr(text, "by rule"));
	print(print_vm, "{\"vm\":\"work\",\"playback\":false}", false);
	assert_has("playback     denied by rule\n");
}

static void events_are_lines(void **state)
{
	(void)state;
	print(print_event,
	      "{\"event\":\"microphone\",\"time\":3661.5,\"vm\":\"work\","
	      "\"microphone\":{\"state\":\"asked\",\"rule\":\"ask\"}}",
	      false);
	assert_string_equal(
		text, "01:01:01 work asks for the microphone: xaringctl mic allow work, or deny\n");
	print(print_event, "{\"event\":\"vm-goes\",\"time\":0,\"vm\":\"work\"}", false);
	assert_string_equal(text, "00:00:00 work goes\n");
	print(print_event, "{\"event\":\"vm-disconnected\",\"time\":0,\"vm\":\"work\"}", false);
	assert_string_equal(text, "00:00:00 work disconnected\n");
	print(print_event, "{\"event\":\"vm-connected\",\"time\":0,\"vm\":\"work\"}", false);
	assert_string_equal(text, "00:00:00 work connected\n");
	print(print_event,
	      "{\"event\":\"stream-opens\",\"time\":0,\"vm\":\"work\",\"stream\":{\"direction\":"
	      "\"capture\",\"number\":2,\"format\":\"U8\",\"rate_hz\":8000,\"channels\":1}}",
	      false);
	assert_string_equal(text, "00:00:00 work capture 2 opens: U8 1ch 8000 Hz \n");
}

static void assert_microphone(const char *fields, const char *shown)
{
	char json[300], cell[PRINT_CELL_BYTES];
	struct json_object *vm;

	snprintf(json, sizeof(json), "{\"vm\":\"work\",\"microphone\":{%s}}", fields);
	vm = json_tokener_parse(json);
	assert_non_null(vm);
	print_microphone(vm, cell);
	assert_string_equal(cell, shown);
	json_object_put(vm);
}

static void what_nobody_has_decided_is_not_what_somebody_denies(void **state)
{
	(void)state;
	assert_microphone("\"state\":\"denied\",\"rule\":\"ask\",\"decision\":null", "undecided");
	assert_microphone("\"state\":\"denied\",\"rule\":null,\"decision\":null", "undecided");
	assert_microphone("\"state\":\"denied\",\"rule\":\"ask\",\"decision\":\"deny\"", "denied");
	assert_microphone("\"state\":\"denied\",\"rule\":null,\"decision\":\"deny\"", "denied");
	assert_microphone("\"state\":\"asked\",\"rule\":\"ask\",\"decision\":null", "asked");
	assert_microphone("\"state\":\"denied\",\"rule\":\"deny\",\"decision\":null",
			  "denied by rule");
	print(print_event,
	      "{\"event\":\"microphone\",\"time\":0,\"vm\":\"work\",\"microphone\":"
	      "{\"state\":\"denied\",\"rule\":\"ask\",\"decision\":null}}",
	      false);
	assert_string_equal(text, "00:00:00 work microphone undecided\n");
}

static void what_lacks_fields_is_borne(void **state)
{
	(void)state;
	print(print_list, "[{},{\"streams\":[{}]}]", true);
	print(print_vm, "{}", true);
	print(print_event, "{}", true);
	print(print_event, "{\"event\":\"stream-opens\",\"stream\":null}", true);
}

static void assert_order(struct json_object *vms, enum rows_order order, const char *first)
{
	struct row *rows;
	size_t count;

	assert_int_equal(rows_make(vms, order, &rows, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(rows[0].name, first);
	free(rows);
}

static void rows_have_an_order(void **state)
{
	struct json_object *vms = json_tokener_parse("[" WORK "," IDLE "]");
	struct row *rows;
	size_t count;

	(void)state;
	assert_order(vms, ROWS_BY_NAME, "idle");
	assert_order(vms, ROWS_BY_STREAMS, "work");
	assert_order(vms, ROWS_BY_XRUNS, "work");
	assert_int_equal(rows_make(vms, ROWS_BY_XRUNS, &rows, &count), 0);
	assert_int_equal(rows[0].streams, 2);
	assert_int_equal(rows[0].running, 1);
	assert_int_equal(rows[0].xruns, 7);
	rows_print(&rows[0], text);
	assert_string_equal(text,
			    "work                  active        40% muted       1/2    21.3 ms"
			    "       7  allowed until 1970-01-02 00:00:00");
	free(rows);
	json_object_put(vms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vms_are_listed),
		cmocka_unit_test(colour_changes_nothing_else),
		cmocka_unit_test(a_vm_is_shown),
		cmocka_unit_test(events_are_lines),
		cmocka_unit_test(what_nobody_has_decided_is_not_what_somebody_denies),
		cmocka_unit_test(what_lacks_fields_is_borne),
		cmocka_unit_test(rows_have_an_order),
	};

	return cmocka_run_group_tests_name("ctl-print", tests, NULL, NULL);
}
