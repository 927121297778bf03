/* SPDX-License-Identifier: MIT */
/*
 * From a command to a request, and from its answer to what is printed. What is live is in top.c.
 */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "mixer.h"
#include "print.h"
#include "request.h"
#include "start.h"
#include "top.h"

#define REQUEST_BYTES 256

/* ---- asking ---- */

static int fail_to_connect(const char *path, int res)
{
	if (res == -ENOENT || res == -ECONNREFUSED)
		return start_fail(EXIT_FAILURE,
				  "xaring-pw does not run, or elsewhere: %s: %s. As root: systemctl "
				  "enable --now xaring-pw; in a session of your own: systemctl "
				  "--user enable --now xaring-pw; or name its socket with --socket "
				  "or $XARING_CONTROL",
				  path, strerror(-res));
	if (res == -ENAMETOOLONG)
		return start_refuse("the socket", path, "at most 107 bytes are accepted");
	return start_fail(EXIT_FAILURE, "%s: %s", path, strerror(-res));
}

int commands_connect(const struct options *o, int *fd)
{
	char path[REQUEST_PATH_BYTES];

	request_find(o->socket, path);
	*fd = request_connect(path);
	return *fd < 0 ? fail_to_connect(path, *fd) : EXIT_SUCCESS;
}

static void print_names(struct json_object *names)
{
	size_t count = names ? json_object_array_length(names) : 0;

	fputs(count > 0 ? "There are:" : "There are no VMs.", stderr);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "%s %s", i ? "," : "",
			json_object_get_string(json_object_array_get_idx(names, i)));
	fputc('\n', stderr);
}

/* Says what the broker has said, and what to do about it. */
static int fail_by_answer(struct json_object *end)
{
	const char *error = request_text(end, "error");

	start_fail(EXIT_FAILURE, "%s", request_text(end, "text"));
	if (strcmp(error, "no-such-vm") == 0)
		print_names(request_object(end, "vms"));
	if (strcmp(error, "permission") == 0)
		fputs("As root: usermod -aG xaring NAME, who then logs in anew; or use sudo.\n",
		      stderr);
	return EXIT_FAILURE;
}

static int fail_to_receive(int res)
{
	if (res == -ENODEV)
		return start_fail(EXIT_FAILURE,
				  "xaring-pw has hung up: does it run? systemctl status xaring-pw");
	if (res == -ETIMEDOUT)
		return start_fail(EXIT_FAILURE,
				  "xaring-pw does not answer; its log: journalctl -u xaring-pw");
	return start_fail(EXIT_FAILURE, "xaring-pw is not understood: %s", strerror(-res));
}

int commands_explain(int res, struct answer *a)
{
	int code = res == -EREMOTEIO ? fail_by_answer(a->end) : fail_to_receive(res);

	request_forget(a);
	return code;
}

/*
 * Asks, and says what is wrong with the answer, or that there is none. Returns 0 and sets *out, which
 * request_forget() gives back; or an exit code.
 */
static int ask(int fd, const char *request, struct answer *out)
{
	int res = request_ask(fd, REQUEST_PATIENCE_S, request, out);

	return res < 0 ? commands_explain(res, out) : EXIT_SUCCESS;
}

/* Connects, asks, hangs up. */
static int ask_once(const struct options *o, const char *request, struct answer *out)
{
	int fd, res = commands_connect(o, &fd);

	if (res != 0)
		return res;
	res = ask(fd, request, out);
	close(fd);
	return res;
}

/* ---- list, status ---- */

/* The PipeWire that guests are played to, or NULL. */
static const char *pipewire_of(const struct answer *a)
{
	const char *socket = request_text(a->end, "pipewire");

	return socket[0] ? socket : NULL;
}

/* Where PipeWire cannot be asked nothing is known of volumes, and all else is. */
static void add_volumes(struct answer *a)
{
	const char *socket = pipewire_of(a);
	struct mixer *mixer = NULL;

	if (socket && mixer_open(socket, &mixer) < 0)
		mixer = NULL;
	for (size_t i = 0; i < json_object_array_length(a->items); i++)
		mixer_add_volumes(mixer, json_object_array_get_idx(a->items, i));
	mixer_close(mixer);
}

static int list(const struct options *o)
{
	struct answer a;
	int res = ask_once(o, "list", &a);

	if (res != 0)
		return res;
	add_volumes(&a);
	if (o->json)
		print_json(a.items, stdout);
	else
		print_list(a.items, print_has_colour(stdout), stdout);
	request_forget(&a);
	return EXIT_SUCCESS;
}

static int ask_about_vm(const struct options *o, struct answer *a)
{
	char request[REQUEST_BYTES];

	snprintf(request, sizeof(request), "status %s", o->vm);
	return ask_once(o, request, a);
}

static int status(const struct options *o)
{
	struct json_object *vm;
	struct answer a;
	int res = ask_about_vm(o, &a);

	if (res != 0)
		return res;
	add_volumes(&a);
	vm = json_object_array_get_idx(a.items, 0);
	if (o->json)
		print_json(vm, stdout);
	else
		print_vm(vm, print_has_colour(stdout), stdout);
	request_forget(&a);
	return EXIT_SUCCESS;
}

/* ---- mic, disconnect, connect ---- */

static void write_mic(const struct options *o, char request[REQUEST_BYTES])
{
	static const char *const spans[] =
		{[MIC_ALWAYS] = "always", [MIC_ONCE] = "once", [MIC_SHUTDOWN] = "until-shutdown"};
	bool is_ask = strcmp(o->mic, "ask") == 0;

	if (o->mic_span == MIC_FOR)
		snprintf(request, REQUEST_BYTES, "mic %s %s for %" PRIu32, o->vm, o->mic,
			 o->mic_seconds);
	else
		snprintf(request, REQUEST_BYTES, "mic %s %s %s", o->vm, o->mic,
			 is_ask ? "" : spans[o->mic_span]);
}

static int mic(const struct options *o)
{
	char request[REQUEST_BYTES], text[PRINT_CELL_BYTES];
	const char *warning;
	struct answer a;
	int res;

	write_mic(o, request);
	res = ask_once(o, request, &a);
	if (res != 0)
		return res;
	warning = request_text(a.end, "warning");
	print_microphone(a.end, text);
	if (o->json)
		print_json(a.end, stdout);
	else
		printf("%s: microphone %s\n", o->vm, text);
	if (warning[0] && !o->json)
		fprintf(stderr, "xaringctl: %s\n", warning);
	request_forget(&a);
	return EXIT_SUCCESS;
}

static int say(const struct options *o, const char *verb)
{
	char request[REQUEST_BYTES];
	struct answer a;
	int res;

	snprintf(request, sizeof(request), "%s %s", verb, o->vm);
	res = ask_once(o, request, &a);
	if (res != 0)
		return res;
	if (o->json)
		print_json(a.end, stdout);
	else
		printf("%s: %sed\n", o->vm, verb);
	request_forget(&a);
	return EXIT_SUCCESS;
}

/* ---- volume ---- */

static int fail_to_mix(const char *socket, int res)
{
	return start_fail(EXIT_FAILURE,
			  "the PipeWire at %s cannot be asked: %s. Volumes are its: try this as the "
			  "user who hears the guests",
			  socket ? socket : "nowhere", strerror(-res));
}

static int change_volume(const struct options *o, struct mixer *mixer)
{
	int count = o->volume.kind == VOLUME_SHOW ? 1 : mixer_change(mixer, o->vm, &o->volume);

	if (count < 0)
		return start_fail(EXIT_FAILURE, "PipeWire: %s", strerror(-count));
	if (count == 0)
		return start_fail(EXIT_FAILURE,
				  "%s plays nothing just now, and PipeWire knows volumes of what "
				  "plays: try again while it does",
				  o->vm);
	return EXIT_SUCCESS;
}

static void print_change(const struct options *o, struct json_object *vm)
{
	struct json_object *volume = request_object(vm, "volume"), *shown;
	char text[PRINT_CELL_BYTES];

	print_volume(vm, text);
	if (!o->json) {
		printf("%s: %s\n", o->vm, text);
		return;
	}
	shown = json_object_new_object();
	json_object_object_add(shown, "vm", json_object_new_string(o->vm));
	json_object_object_add(shown, "volume", json_object_get(volume));
	print_json(shown, stdout);
	json_object_put(shown);
}

static int mix(const struct options *o, struct answer *a)
{
	struct json_object *vm = json_object_array_get_idx(a->items, 0);
	const char *socket = pipewire_of(a);
	struct mixer *mixer;
	int res = socket ? mixer_open(socket, &mixer) : -ENOENT;

	if (res < 0)
		return fail_to_mix(socket, res);
	res = change_volume(o, mixer);
	mixer_add_volumes(mixer, vm);
	mixer_close(mixer);
	if (res == EXIT_SUCCESS)
		print_change(o, vm);
	return res;
}

static int volume(const struct options *o)
{
	struct answer a;
	int res = ask_about_vm(o, &a);

	if (res != 0)
		return res;
	res = mix(o, &a);
	request_forget(&a);
	return res;
}

/* ---- monitor ---- */

static int print_events(const struct options *o, int fd)
{
	bool colour = print_has_colour(stdout);
	struct json_object *event;
	int res;

	while ((res = request_receive(fd, REQUEST_FOREVER, &event)) == 0) {
		if (o->json)
			print_json(event, stdout);
		else
			print_event(event, colour, stdout);
		json_object_put(event);
	}
	return fail_to_receive(res);
}

static int monitor(const struct options *o)
{
	int fd, res = commands_connect(o, &fd);
	struct answer a;

	if (res != 0)
		return res;
	res = ask(fd, "monitor", &a);
	if (res == 0) {
		request_forget(&a);
		res = print_events(o, fd);
	}
	close(fd);
	return res;
}

int commands_run(const struct options *o)
{
	switch (o->command) {
	case COMMAND_LIST:
		return list(o);
	case COMMAND_STATUS:
		return status(o);
	case COMMAND_MIC:
		return mic(o);
	case COMMAND_VOLUME:
		return volume(o);
	case COMMAND_DISCONNECT:
		return say(o, "disconnect");
	case COMMAND_CONNECT:
		return say(o, "connect");
	case COMMAND_MONITOR:
		return monitor(o);
	case COMMAND_TOP:
		return top_run(o);
	}
	return EXIT_USAGE;
}
