/* SPDX-License-Identifier: MIT */
/*
 * xaring-pw: puts the broker together from command line, configuration and environment, and runs
 * it; or, re-executed with --worker, becomes the worker.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xaring/log.h>

#include "../control.h"
#include "../worker/worker.h"
#include "audience.h"
#include "broker.h"
#include "config.h"
#include "control-socket.h"
#include "identity.h"
#include "journal.h"
#include "loop.h"
#include "notify.h"
#include "options.h"
#include "seat.h"
#include "source-xen.h"
#include "spawn.h"
#include "start.h"
#include "state-folder.h"

/* Our own, one moment's connections, and messages under way. */
#define DESCRIPTORS_BASE       128
#define DESCRIPTORS_PER_VM     176 /* of which 96 may be connections without a stream, and 64 mixers */
#define DESCRIPTORS_CONTROL    96   /* connections, and those that are still to be closed */
#define DESCRIPTORS_XEN        6144 /* 32 guests with the usual limits; nobody knows how many come */
#define DESCRIPTORS_PER_STREAM 16   /* PipeWire takes a dozen of the worker for each */

struct daemon {
	struct options options;
	struct config *config; /* as we were started */
	struct config *rules;  /* the latest; may be the same */
	char runtime_dir[PATH_MAX];
	struct audience_choice choice;
	struct audience audience; /* what the choice means now */
	struct seat *seat;        /* while it is of interest, and can be watched */
	struct spawn spawn;
	struct loop *loop;
	struct broker *broker;
	struct control *control;
	struct xen *xen; /* NULL = not served */
	bool is_on_xen;
	bool announced;
	bool stopping;
};

/* Only what nobody but the administrator writes is read: policy is in it. */
static int load_config(const struct options *options, struct config **out,
		       char error[CONFIG_ERROR_BYTES])
{
	static const char *const system_folders[] = {XARING_DATADIR "/pipewire",
						     XARING_SYSCONFDIR "/pipewire"};
	const char *const *folders = options->config_dir ? &options->config_dir : system_folders;
	struct stat st;

	if (options->config_dir && (stat(options->config_dir, &st) < 0 || !S_ISDIR(st.st_mode))) {
		snprintf(error, CONFIG_ERROR_BYTES,
			 "--config-dir %s is refused: a folder that can be read is accepted",
			 options->config_dir);
		return -ENOENT;
	}
	return config_load(folders, options->config_dir ? 1 : 2, out, error);
}

static int add_option_vms(struct daemon *d)
{
	for (unsigned i = 0; i < d->options.vm_count; i++) {
		const char *name = d->options.vms[i];
		int res = config_add_vm(d->config, name, NULL, NULL);

		if (res == -EEXIST)
			return start_fail(EXIT_USAGE,
					  "--vm %s is refused: each name is accepted once", name);
		if (res < 0)
			return start_fail(EXIT_FAILURE, "out of memory");
	}
	return 0;
}

static int read_config(struct daemon *d)
{
	char error[CONFIG_ERROR_BYTES];

	if (load_config(&d->options, &d->config, error) < 0)
		return start_fail(EXIT_USAGE, "%s", error);
	d->rules = d->config;
	if (!d->config->found)
		xaring_log(XARING_LOG_INFO, "there is no xaring-pw.conf: defaults are used");
	return add_option_vms(d);
}

/* The value of a variable that is set and not empty, or NULL. */
static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static int find_runtime_dir(struct daemon *d)
{
	const char *session = environment("XDG_RUNTIME_DIR");
	const char *given = d->options.runtime_dir;

	if (given)
		snprintf(d->runtime_dir, sizeof(d->runtime_dir), "%s", given);
	else if (geteuid() == 0)
		snprintf(d->runtime_dir, sizeof(d->runtime_dir), "/run/xaring");
	else if (session)
		snprintf(d->runtime_dir, sizeof(d->runtime_dir), "%s/xaring", session);
	else
		return start_fail(EXIT_USAGE,
				  "there is no $XDG_RUNTIME_DIR to put the sockets in: give "
				  "--runtime-dir DIR");
	return 0;
}

/* Who was asked for, by the command line and by this configuration. */
static int choose_audience(struct daemon *d, const struct config *config,
			   char error[AUDIENCE_ERROR_BYTES])
{
	const struct audience_given given = {
		.is_root = geteuid() == 0,
		.option_socket = d->options.pipewire,
		.option_user = d->options.audio_user,
		.config_socket = config->pipewire_socket,
		.config_user = config->audio_user,
		.remote = environment("PIPEWIRE_REMOTE"),
		.pipewire_dir = environment("PIPEWIRE_RUNTIME_DIR"),
		.session_dir = environment("XDG_RUNTIME_DIR"),
	};

	return audience_choose(&given, &d->choice, error);
}

static int find_audience(struct daemon *d)
{
	char error[AUDIENCE_ERROR_BYTES];

	return choose_audience(d, d->config, error) < 0 ? start_fail(EXIT_USAGE, "%s", error) : 0;
}

/*
 * What the limits of all VMs allow together, for the broker, and for the worker, who inherits it.
 * Should the hard limit be less, it is met when so many streams are there, and not before.
 */
static void raise_descriptor_limit(const struct daemon *d)
{
	const struct config *vms = d->config;
	uint64_t wanted =
		DESCRIPTORS_BASE + DESCRIPTORS_CONTROL + (d->is_on_xen ? DESCRIPTORS_XEN : 0);
	struct identity identity;
	struct policy policy;

	for (unsigned i = 0; i < vms->vm_count; i++) {
		identity_local(&identity, vms->vms[i].key, vms->vms[i].title);
		config_policy(d->rules, &identity, &policy);
		wanted += DESCRIPTORS_PER_VM + DESCRIPTORS_PER_STREAM * policy.max_streams;
	}
	start_raise_descriptors(wanted);
}

static int add_vm(struct daemon *d, const struct config_vm *vm, const char *socket)
{
	char name[IPC_VM_NAME_BYTES + 16], path[PATH_MAX];
	struct broker_vm setup = {.key = vm->key,
				  .title = vm->title,
				  .socket = socket,
				  .mode = 0666};
	int res;

	snprintf(name, sizeof(name), "volume.%s", vm->key);
	setup.volume_file = state_folder_file(d->options.state_dir, name, path);
	res = broker_add_vm(d->broker, &setup);

	if (res == -EINVAL)
		return start_fail(EXIT_USAGE,
				  "vm %s: the path %s is too long: at most 107 bytes are "
				  "accepted, give a shorter --runtime-dir",
				  vm->key, socket);
	if (res < 0)
		return start_fail(EXIT_FAILURE, "vm %s cannot listen at %s: %s", vm->key, socket,
				  strerror(-res));
	xaring_log(XARING_LOG_INFO, "vm %s listens at %s", vm->key, socket);
	return 0;
}

static int add_configured_vms(struct daemon *d)
{
	char path[PATH_MAX + 80];
	int res;

	snprintf(path, sizeof(path), "%s/vm", d->runtime_dir);
	res = start_make_folder(path);
	for (unsigned i = 0; i < d->config->vm_count && res == 0; i++) {
		const struct config_vm *vm = &d->config->vms[i];

		snprintf(path, sizeof(path), "%s/vm/%s", d->runtime_dir, vm->key);
		res = add_vm(d, vm, vm->socket ? vm->socket : path);
	}
	return res;
}

/* Without any VM, and where no guests can come by themselves, there is one: the machine itself. */
static int add_vms(struct daemon *d)
{
	char path[PATH_MAX + 16];

	if (d->config->vm_count > 0)
		return add_configured_vms(d);
	if (d->is_on_xen)
		return 0;
	if (config_add_vm(d->config, "local", NULL, NULL) < 0)
		return start_fail(EXIT_FAILURE, "out of memory");
	snprintf(path, sizeof(path), "%s/socket", d->runtime_dir);
	return add_vm(d, &d->config->vms[0], path);
}

/* Returns whether another worker is needed for it. */
static bool update_audience(struct daemon *d)
{
	const struct audience before = d->audience;
	struct seat_state seat;

	seat_read(d->seat, &seat);
	audience_decide(&d->choice, &seat, &d->audience);
	return !audience_is_same(&before, &d->audience);
}

static void on_seat_change(void *data)
{
	struct daemon *d = data;
	char why[AUDIENCE_TEXT_BYTES + 40];

	control_check(d->control);
	if (!update_audience(d))
		return;
	snprintf(why, sizeof(why), "from now on playing to %s", d->audience.text);
	broker_replace_worker(d->broker, why);
}

static void say_seat_is_unknown(int error)
{
	const char *reason = strerror(-error);

	if (error == -ENOTSUP)
		reason = "built without libsystemd";
	else if (error == -ENOENT)
		reason = "logind does not run";
	xaring_log(XARING_LOG_WARN,
		   "who is at the seat is not known (%s), and nobody hears the guests: give "
		   "--audio-user NAME or --pipewire SOCKET, or audio.user or pipewire.socket in "
		   "xaring-pw.conf",
		   reason);
}

/* The seat is watched while it decides who hears the guests; and who may steer us, if we are the system's. */
static void watch_seat(struct daemon *d)
{
	bool decides = d->choice.kind == AUDIENCE_SEAT;
	int res = 0;

	if (!decides && geteuid() != 0) {
		seat_close(d->seat);
		d->seat = NULL;
		return;
	}
	if (!d->seat)
		res = seat_open(d->loop, on_seat_change, d, &d->seat);
	if (res < 0 && decides)
		say_seat_is_unknown(res);
}

static void ask_policy(void *data, const struct identity *identity, struct policy *policy)
{
	const struct daemon *d = data;

	config_policy(d->rules, identity, policy);
}

static int connect_pipewire(void *data)
{
	struct daemon *d = data;

	return spawn_connect(&d->spawn);
}

static int spawn(void *data, struct supervisor_child *child)
{
	struct daemon *d = data;

	return spawn_worker(&d->spawn, child);
}

static void on_ready(void *data)
{
	struct daemon *d = data;

	xen_announce(d->xen);
	if (d->announced)
		return;
	d->announced = true;
	xaring_log(XARING_LOG_INFO, "ready, playing to %s", d->audience.text);
	notify_send("READY=1\nSTATUS=Ready");
}

static void quit(void *data)
{
	struct daemon *d = data;

	loop_quit(d->loop, EXIT_SUCCESS);
}

/* Guests are told first; who asks twice does not want to wait for that. */
static void on_stop(void *data, int signal)
{
	struct daemon *d = data;

	(void)signal;
	if (d->stopping || !xen_withdraw(d->xen, quit, d))
		quit(d);
	d->stopping = true;
}

/* VMs and their sockets stay as they are: they are made at the start only. */
static void apply_rules(struct daemon *d, struct config *fresh)
{
	if (d->rules != d->config)
		config_destroy(d->rules);
	d->rules = fresh;
	broker_reload(d->broker);
	raise_descriptor_limit(d);
}

static void on_reload(void *data, int signal)
{
	struct daemon *d = data;
	char error[CONFIG_ERROR_BYTES];
	struct config *fresh = NULL;
	int res = load_config(&d->options, &fresh, error);

	(void)signal;
	if (res == 0)
		res = choose_audience(d, fresh, error);
	if (res < 0) {
		xaring_log(XARING_LOG_ERROR, "%s; the rules stay as they were", error);
		config_destroy(fresh);
		return;
	}
	apply_rules(d, fresh);
	xaring_log(XARING_LOG_INFO, "the rules were read again");
	watch_seat(d);
	on_seat_change(d);
}

static int watch_signals(struct daemon *d)
{
	int res = loop_add_signal(d->loop, SIGTERM, on_stop, d, NULL);

	if (res == 0)
		res = loop_add_signal(d->loop, SIGINT, on_stop, d, NULL);
	if (res == 0)
		res = loop_add_signal(d->loop, SIGHUP, on_reload, d, NULL);
	return res;
}

static int create_broker(struct daemon *d)
{
	char path[PATH_MAX];
	const struct broker_setup setup = {.loop = d->loop,
					   .consent_file = state_folder_file(d->options.state_dir,
									     "microphone", path),
					   .spawn = spawn,
					   .remote = connect_pipewire,
					   .policy = ask_policy,
					   .on_ready = on_ready,
					   .data = d};
	int res = watch_signals(d);

	if (res == 0)
		res = broker_create(&setup, &d->broker);
	return res == 0 ? 0
			: start_fail(EXIT_FAILURE, "the broker cannot start: %s", strerror(-res));
}

static void read_seat(void *data, struct seat_state *seat)
{
	const struct daemon *d = data;

	seat_read(d->seat, seat);
}

static const char *pipewire_socket(void *data)
{
	const struct daemon *d = data;

	return d->audience.socket;
}

static int open_control(struct daemon *d)
{
	char path[PATH_MAX + sizeof(CONTROL_SOCKET) + 1];
	const struct control_setup setup = {.loop = d->loop,
					    .broker = d->broker,
					    .path = path,
					    .seat = read_seat,
					    .pipewire = pipewire_socket,
					    .peer = control_peer_read,
					    .data = d};
	int res;

	snprintf(path, sizeof(path), "%s/" CONTROL_SOCKET, d->runtime_dir);
	res = control_open(&setup, &d->control);
	if (res == -EINVAL)
		return start_fail(EXIT_USAGE,
				  "the path %s is too long: at most 107 bytes are accepted, give a "
				  "shorter --runtime-dir",
				  path);
	return res == 0 ? 0
			: start_fail(EXIT_FAILURE, "%s cannot be listened at: %s", path,
				     strerror(-res));
}

/* xenstored need not be there yet. */
static int open_xen(struct daemon *d)
{
	int res;

	if (!d->is_on_xen)
		return 0;
	res = xen_open(d->broker, &d->xen);
	return res == 0 ? 0
			: start_fail(EXIT_FAILURE, "guests of Xen cannot be looked for: %s",
				     strerror(-res));
}

static int run_broker(struct daemon *d)
{
	int res = loop_create(&d->loop);

	if (res < 0)
		return start_fail(EXIT_FAILURE, "the broker cannot start: %s", strerror(-res));
	signal(SIGPIPE, SIG_IGN);
	d->is_on_xen = !d->options.no_xen && xen_is_usable();
	raise_descriptor_limit(d);
	watch_seat(d);
	update_audience(d);
	res = create_broker(d);
	if (res == 0)
		res = open_control(d);
	if (res == 0)
		res = add_vms(d);
	if (res == 0)
		res = open_xen(d);
	if (res == 0) {
		broker_start(d->broker);
		res = loop_run(d->loop);
		notify_send("STOPPING=1");
	}
	control_close(d->control);
	broker_destroy(d->broker);
	seat_close(d->seat);
	xen_close(d->xen);
	loop_destroy(d->loop);
	return res < 0 ? start_fail(EXIT_FAILURE, "the broker fails: %s", strerror(-res)) : res;
}

static int run_daemon(struct daemon *d)
{
	int res = read_config(d);

	if (res == 0)
		res = find_runtime_dir(d);
	if (res == 0)
		res = find_audience(d);
	if (res == 0)
		res = start_claim_folder(d->runtime_dir, "xaring-pw.lock");
	if (res != 0)
		return res;
	d->spawn = (struct spawn){.audience = &d->audience,
				  .config = d->options.config_dir,
				  .verbose = d->options.verbose};
	return run_broker(d);
}

int main(int argc, char **argv)
{
	static struct daemon d;
	int code;

	if (argc > 1 && strcmp(argv[1], "--worker") == 0)
		return worker_main(argc, argv);
	code = options_parse(&d.options, argc, argv);
	if (code < 0) {
		journal_start(d.options.verbose);
		/* Who may connect is decided by the folders above, not by how we were started. */
		umask(022);
		code = run_daemon(&d);
	}
	if (d.rules != d.config)
		config_destroy(d.rules);
	config_destroy(d.config);
	options_finish(&d.options);
	return code;
}
