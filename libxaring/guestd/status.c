/* SPDX-License-Identifier: MIT */
/*
 * The links of the way to the sound card, one after the other. What can be seen is looked at; for
 * the rest a stream is opened like any other, and plays silence: policy, mute and sink are known
 * only to a stream that plays. Needs no privilege and changes nothing.
 */
#include "status.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xaring/client.h>
#include <xaring/wire.h>

#include "lock.h"
#include "recorders.h"

#define NS_PER_MS UINT64_C(1000000)

#define ANSWER_MS 1000 /* xaring-guestd answers OPEN within, or is stuck */
#define PLAY_MS   1000 /* for the backend to consume something */
#define FLAGS_MS  200  /* after that its flags are what they are */
#define STEP_MS   10

#define RATE_HZ 48000u
#define BUFFER  4096u

static const char *const names[STATUS_LINKS] = {
	[STATUS_XEN] = "xen",       [STATUS_MODULE] = "module",     [STATUS_GUESTD] = "guestd",
	[STATUS_DEVICE] = "device", [STATUS_XENSTORE] = "xenstore", [STATUS_BACKEND] = "backend",
	[STATUS_POLICY] = "policy", [STATUS_MUTE] = "mute",         [STATUS_SINK] = "sink",
};

static const char *const microphone_states[] = {
	[STATUS_MICROPHONE_UNKNOWN] = "unknown",
	[STATUS_MICROPHONE_DENIED] = "denied",
	[STATUS_MICROPHONE_ALLOWED] = "allowed",
};

struct look {
	const struct status_places *places;
	struct status_report *report;
	struct xaring_client *client;
	struct xaring_refusal refusal; /* of the stream */
	struct xaring_client_state state;
	struct xaring_client_view view;
};

/* ---- saying ---- */

__attribute__((format(printf, 3, 4))) static bool say(struct look *l, enum status_link link,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(l->report->what[link], sizeof(l->report->what[link]), format, args);
	va_end(args);
	return true;
}

/* What is wrong, and what to do. */
__attribute__((format(printf, 4, 5))) static bool broken(struct look *l, enum status_link link,
							 const char *remedy, const char *format,
							 ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(l->report->what[link], sizeof(l->report->what[link]), format, args);
	va_end(args);
	l->report->broken = link;
	l->report->remedy = remedy;
	return false;
}

/* ---- what can be seen ---- */

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool file_begins(const char *path, const char *text)
{
	char begin[16] = "";
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	if (!fgets(begin, sizeof(begin), file))
		begin[0] = '\0';
	fclose(file);
	return strncmp(begin, text, strlen(text)) == 0;
}

static bool look_at_xen(struct look *l)
{
	if (is_there(l->places->dom0))
		return broken(l, STATUS_XEN,
			      "what plays here needs no xaring-guestd: see xaring-pw(8)",
			      "this is dom0, and no guest");
	if (!file_begins(l->places->hypervisor, "xen") && !is_there(l->places->xenbus))
		return broken(l, STATUS_XEN,
			      "without Xen, programs play by xaring-pw on this machine: see "
			      "xaring-pw(8)",
			      "this is no Xen guest");
	return say(l, STATUS_XEN, "this is a Xen guest");
}

static bool look_at_module(struct look *l)
{
	if (!is_there(l->places->gntalloc))
		return broken(l, STATUS_MODULE,
			      "as root: modprobe xen-gntalloc (and its name into "
			      "/etc/modules-load.d, for the next boot)",
			      "there is no %s", l->places->gntalloc);
	return say(l, STATUS_MODULE, "memory can be shared");
}

static bool look_at_device(struct look *l)
{
	if (access(l->places->device, R_OK) < 0)
		return broken(l, STATUS_DEVICE,
			      "install libasound2-plugin-xen, or link 60-xen.conf there",
			      "ALSA does not know the device xen: %s: %s", l->places->device,
			      strerror(errno));
	return say(l, STATUS_DEVICE, "ALSA knows the device xen");
}

/* Returns 0 when somebody listens there, or a negative errno. */
static int try_socket(const char *path)
{
	int fd, res = xaring_wire_connect(path, &fd);

	if (res == 0)
		close(fd);
	return res == -EAGAIN ? 0 : res;
}

/* ---- what a stream learns ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool refused(struct look *l)
{
	const char *remedy = "allow this VM in dom0: xaring-pw.conf(5), actions policy; then "
			     "systemctl reload xaring-pw";
	char text[160];

	if (l->refusal.reason == XARING_REASON_INTERNAL)
		remedy = "a log says why: journalctl -u xaring-guestd here, journalctl -u "
			 "xaring-pw in dom0";
	else if (xaring_refusal_errno(&l->refusal) == -EBUSY)
		remedy = "close what plays, or raise the limit: xaring-guestd(8) here, "
			 "xaring-pw.conf(5) in dom0";
	xaring_refusal_text(&l->refusal, text, sizeof(text));
	return broken(l, STATUS_POLICY, remedy, "%s", text);
}

static void update(struct look *l)
{
	xaring_client_update(l->client, now_ns(), &l->state);
	xaring_client_peek(l->client, &l->view);
}

static bool say_running(struct look *l)
{
	char path[PATH_MAX];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/" STATUS_LOCK, l->places->runtime_dir);
	pid = lock_owner(path);
	return pid > 0 ? say(l, STATUS_GUESTD, "xaring-guestd runs, pid %d", (int)pid)
		       : say(l, STATUS_GUESTD, "xaring-guestd runs");
}

/* Asks for a stream. Returns false when the way ends here. */
static bool open_stream(struct look *l, const char *socket)
{
	const struct xaring_params params = {.direction = XARING_PLAYBACK,
					     .format = XARING_FORMAT_S16,
					     .rate_hz = RATE_HZ,
					     .channels = 2,
					     .buffer = BUFFER,
					     .period = BUFFER / 4};
	int res = xaring_client_create(socket, "xaring-guestd --status", &l->client);

	if (res == 0)
		res = xaring_client_setup(l->client, &params, ANSWER_MS, &l->refusal);
	if (res == 0)
		update(l);
	if (res < 0 && l->refusal.reason == XARING_REASON_NONE)
		return broken(l, STATUS_GUESTD, "try again", "this cannot be found out: %s",
			      strerror(-res));
	if (res == 0 && !l->state.linked)
		return broken(l, STATUS_GUESTD, "as root: systemctl restart xaring-guestd",
			      "xaring-guestd does not answer at %s", socket);
	return say_running(l);
}

static bool look_at_guestd(struct look *l)
{
	char socket[PATH_MAX];
	int res;

	snprintf(socket, sizeof(socket), "%s/" STATUS_SOCKET, l->places->runtime_dir);
	res = try_socket(socket);
	if (res == -EACCES) {
		return broken(l, STATUS_GUESTD,
			      "as root: ls -l names the group whose members may; log in anew once "
			      "you are one",
			      "you may not play: %s: %s", socket, strerror(-res));
	}
	if (res < 0)
		return broken(l, STATUS_GUESTD,
			      "as root: systemctl enable --now xaring-guestd.socket "
			      "xaring-guestd",
			      "xaring-guestd does not run: %s: %s", socket, strerror(-res));
	return open_stream(l, socket);
}

static bool look_at_xenstore(struct look *l)
{
	if (l->view.status_flags & XARING_STATUS_NO_STORE)
		return broken(l, STATUS_XENSTORE,
			      "is /dev/xen/xenbus there, does xenstored run in dom0? More: "
			      "journalctl -u xaring-guestd",
			      "xaring-guestd cannot reach xenstore");
	return say(l, STATUS_XENSTORE, "xenstore is reached");
}

static bool look_at_backend(struct look *l)
{
	if (!(l->view.status_flags & XARING_STATUS_BACKEND) && !l->state.attached)
		return broken(l, STATUS_BACKEND,
			      "in dom0: is the package xaring-backend installed? As root: "
			      "systemctl enable --now xaring-pw",
			      "no backend: xaring-pw does not run in dom0");
	return say(l, STATUS_BACKEND, "the backend is there");
}

/* Plays silence until the backend has consumed some and its flags can be trusted, or for PLAY_MS. */
static void play(struct look *l)
{
	static const int16_t silence[BUFFER * 2];
	uint64_t end_ns = now_ns() + PLAY_MS * NS_PER_MS;
	bool attached = false;

	xaring_client_write(l->client, 0, silence, BUFFER);
	xaring_client_publish(l->client, BUFFER);
	xaring_client_start(l->client, now_ns(), 0);
	while (now_ns() < end_ns && !l->state.refused) {
		(void)poll(NULL, 0, STEP_MS);
		update(l);
		xaring_client_publish(l->client, l->state.pos + BUFFER);
		if (l->state.attached && !attached)
			end_ns = now_ns() + FLAGS_MS * NS_PER_MS;
		attached |= l->state.attached;
	}
	l->state.attached = attached;
}

static bool look_at_policy(struct look *l)
{
	if (l->state.refused) {
		xaring_client_refusal(l->client, &l->refusal);
		return refused(l);
	}
	if (l->view.backend != XARING_BACKEND_ACCEPTED)
		return broken(l, STATUS_POLICY,
			      "in dom0, its log says why: journalctl -u xaring-pw",
			      "the backend has not taken the stream");
	return say(l, STATUS_POLICY, "this VM may play");
}

static bool look_at_mute(struct look *l)
{
	if (l->view.status_flags & XARING_STATUS_GUEST_MUTED)
		return broken(l, STATUS_MUTE, "here: amixer -D xen sset Master unmute",
			      "this VM has muted itself");
	if (l->view.volume == 0)
		return broken(l, STATUS_MUTE, "here: amixer -D xen sset Master 100%",
			      "this VM's own volume is 0");
	if (l->view.flags & XARING_FLAG_MUTED)
		return broken(l, STATUS_MUTE,
			      "in dom0: pavucontrol, or wpctl status and "
			      "wpctl set-mute ID 0",
			      "this VM is muted in dom0");
	return say(l, STATUS_MUTE, "this VM is not muted");
}

static bool look_at_sink(struct look *l)
{
	if (l->view.flags & XARING_FLAG_NO_SINK) {
		return broken(l, STATUS_SINK, "in dom0: wpctl status lists sinks; is there one?",
			      "dom0 has no sink to play to");
	}
	if (!l->state.attached)
		return broken(l, STATUS_SINK,
			      "in dom0: does PipeWire run, for whom does xaring-pw play "
			      "(xaring-pw.conf(5))? Its log: journalctl -u xaring-pw",
			      "dom0's sound server takes no sound");
	return say(l, STATUS_SINK, "dom0 plays");
}

/* ---- the microphone ---- */

/* As xaring-guestd judges a program of who asks. */
static bool may_record_here(const struct look *l)
{
	struct recorders_program program;
	struct recorders recorders;
	bool may;

	(void)recorders_init(&recorders, l->places->system);
	may = recorders_program_self(&program) == 0 && recorders_allow(&recorders, &program);
	recorders_program_finish(&program);
	return may;
}

static void say_microphone(struct look *l, enum status_microphone microphone, const char *what,
			   const char *remedy)
{
	l->report->microphone = microphone;
	l->report->microphone_what = what;
	l->report->microphone_remedy = remedy;
}

/* The backend says it on every stream: nothing is recorded for this, and dom0 shows nothing of it. */
static void look_at_microphone(struct look *l)
{
	if (l->view.backend != XARING_BACKEND_ACCEPTED)
		say_microphone(l, STATUS_MICROPHONE_UNKNOWN,
			       "dom0 does not say whether this VM may record", "");
	else if (!(l->view.flags & XARING_FLAG_CAPTURE_ALLOWED))
		say_microphone(l, STATUS_MICROPHONE_DENIED, "dom0 lets this VM record silence only",
			       "in dom0: xaringctl mic allow NAME, or a rule with microphone = "
			       "allow, see xaring-pw.conf(5)");
	else if (!may_record_here(l))
		say_microphone(l, STATUS_MICROPHONE_DENIED,
			       "dom0 lets this VM record, but this guest does not let you",
			       "as root: adduser NAME audio, then log in anew; or record at this "
			       "guest's own screen");
	else
		say_microphone(l, STATUS_MICROPHONE_ALLOWED, "dom0 lets this VM record", "");
}

static void walk(struct look *l)
{
	if (!look_at_xen(l) || !look_at_module(l) || !look_at_guestd(l) || !look_at_device(l))
		return;
	if (l->refusal.reason != XARING_REASON_NONE) {
		refused(l);
		return;
	}
	if (!look_at_xenstore(l) || !look_at_backend(l))
		return;
	play(l);
	if (look_at_policy(l) && look_at_mute(l))
		look_at_sink(l);
}

void status_look(const struct status_places *places, struct status_report *report)
{
	struct look l = {.places = places, .report = report};

	*report = (struct status_report){.broken = STATUS_LINKS, .remedy = ""};
	walk(&l);
	look_at_microphone(&l);
	xaring_client_close(l.client);
}

/* ---- printing ---- */

/* Text of ours, of the system, and paths: printable but for what is left out. */
static void print_json_text(const char *text, FILE *to)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		if ((unsigned char)*text >= 0x20)
			fputc(*text, to);
	}
	fputc('"', to);
}

static const char *state_of(const struct status_report *report, enum status_link link)
{
	if (link == report->broken)
		return "broken";
	return report->what[link][0] ? "ok" : "unknown";
}

static void print_json_microphone(const struct status_report *report, FILE *to)
{
	fprintf(to, "\"microphone\": {\"state\": \"%s\", \"text\": ",
		microphone_states[report->microphone]);
	print_json_text(report->microphone_what, to);
	fputs(", \"remedy\": ", to);
	print_json_text(report->microphone_remedy, to);
	fputc('}', to);
}

static void print_json(const struct status_report *report, FILE *to)
{
	bool ok = report->broken == STATUS_LINKS;

	fprintf(to, "{\"ok\": %s, \"broken\": ", ok ? "true" : "false");
	if (ok)
		fputs("null", to);
	else
		print_json_text(names[report->broken], to);
	fputs(", \"remedy\": ", to);
	print_json_text(report->remedy, to);
	fputs(", \"links\": [", to);
	for (int i = 0; i < STATUS_LINKS; i++) {
		fprintf(to, "%s{\"link\": \"%s\", \"state\": \"%s\", \"text\": ", i ? ", " : "",
			names[i], state_of(report, (enum status_link)i));
		print_json_text(report->what[i], to);
		fputc('}', to);
	}
	fputs("], ", to);
	print_json_microphone(report, to);
	fputs("}\n", to);
}

/* One line of text. */
struct line {
	const char *state, *name, *what;
	const char *remedy; /* or "" */
	const char *paint;  /* or "" */
};

static void print_line(const struct line *line, FILE *to)
{
	fprintf(to, "%s%-7s%s  %-10s  %s\n", line->paint, line->state,
		line->paint[0] ? "\033[0m" : "", line->name, line->what);
	if (line->remedy[0])
		fprintf(to, "%*s%s\n", 7 + 2 + 10 + 2, "", line->remedy);
}

static void print_link(const struct status_report *report, enum status_link link, bool colour,
		       FILE *to)
{
	bool ok = link != report->broken;
	const char *paint = ok ? "\033[32m" : "\033[31m";
	struct line line = {.state = state_of(report, link),
			    .name = names[link],
			    .what = report->what[link],
			    .remedy = ok ? "" : report->remedy,
			    .paint = colour ? paint : ""};

	print_line(&line, to);
}

static void print_microphone(const struct status_report *report, bool colour, FILE *to)
{
	bool allowed = report->microphone == STATUS_MICROPHONE_ALLOWED;
	const char *paint = allowed ? "\033[32m" : "\033[33m";
	struct line line = {.state = microphone_states[report->microphone],
			    .name = "microphone",
			    .what = report->microphone_what,
			    .remedy = report->microphone_remedy,
			    .paint = colour ? paint : ""};

	print_line(&line, to);
}

void status_print(const struct status_report *report, bool json, bool colour, FILE *to)
{
	if (json) {
		print_json(report, to);
		return;
	}
	for (int i = 0; i < STATUS_LINKS; i++) {
		if (report->what[i][0])
			print_link(report, (enum status_link)i, colour, to);
	}
	/* Elsewhere there is no dom0 of which something could be said. */
	if (report->broken != STATUS_XEN)
		print_microphone(report, colour, to);
}

int status_run(const char *runtime_dir, bool json)
{
	const struct status_places places = {
		.hypervisor = "/sys/hypervisor/type",
		.xenbus = "/dev/xen/xenbus",
		.dom0 = "/dev/xen/xenbus_backend",
		.gntalloc = "/dev/xen/gntalloc",
		.device = XARING_ALSAETCDIR "/60-xen.conf",
		.runtime_dir = runtime_dir,
	};
	struct status_report report;

	status_look(&places, &report);
	status_print(&report, json, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), stdout);
	return report.broken == STATUS_LINKS ? EXIT_SUCCESS : EXIT_FAILURE;
}
