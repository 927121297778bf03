/* SPDX-License-Identifier: MIT */
/*
 * Reads the command line and says what it may contain. Opens nothing.
 */
#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "start.h"

static const char help[] =
	"Usage: xaring-pw [OPTION]...\n"
	"Plays what virtual machines play into PipeWire: each is a client of its own,\n"
	"with its name, its volume and its limits. Runs in the foreground until it is\n"
	"told to stop.\n"
	"\n"
	"  --runtime-dir DIR  folder of the sockets and the lock. Default: /run/xaring as\n"
	"                     root, else $XDG_RUNTIME_DIR/xaring. The VM NAME connects to\n"
	"                     DIR/vm/NAME; when none is configured, and Xen is not there,\n"
	"                     there is one, local, at DIR/socket\n"
	"  --config-dir DIR   read xaring-pw.conf and xaring-pw.conf.d/*.conf there only\n"
	"  --state-dir DIR    folder for what people decide about microphones. Default:\n"
	"                     /var/lib/xaring as root, else $XDG_STATE_HOME/xaring\n"
	"  --pipewire SOCKET  PipeWire's socket, an absolute path. Default: configured,\n"
	"                     else $PIPEWIRE_REMOTE if absolute, else pipewire-0 in\n"
	"                     $PIPEWIRE_RUNTIME_DIR; else --audio-user auto as root, or\n"
	"                     pipewire-0 in $XDG_RUNTIME_DIR\n"
	"  --audio-user NAME  as root: play to the PipeWire of that user, logged in or\n"
	"                     not. auto: of the user who is at the seat, and to nobody\n"
	"                     while nobody is\n"
	"  --vm NAME          add a VM to those that are configured; any number of times\n"
	"  --no-xen           serve no guests of Xen, where there are any\n"
	"  --verbose          say more in the log\n"
	"  --help             show this and end\n"
	"  --version          show the version and end\n"
	"\n"
	"SIGHUP reads rules and audio.user again; SIGTERM and SIGINT stop.\n"
	"Exit codes: 0 stopped, 1 failed, 2 wrong usage or configuration, 3 another one\n"
	"is running with this runtime folder. More: xaring-pw(8), xaring-pw.conf(5).\n";

enum option_code {
	OPTION_RUNTIME_DIR = 256,
	OPTION_CONFIG_DIR,
	OPTION_STATE_DIR,
	OPTION_PIPEWIRE,
	OPTION_AUDIO_USER,
	OPTION_VM,
	OPTION_NO_XEN,
	OPTION_VERBOSE,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option known[] = {
	{"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
	{"config-dir", required_argument, NULL, OPTION_CONFIG_DIR},
	{"state-dir", required_argument, NULL, OPTION_STATE_DIR},
	{"pipewire", required_argument, NULL, OPTION_PIPEWIRE},
	{"audio-user", required_argument, NULL, OPTION_AUDIO_USER},
	{"vm", required_argument, NULL, OPTION_VM},
	{"no-xen", no_argument, NULL, OPTION_NO_XEN},
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static int take_path(const char **to, const char *option)
{
	if (optarg[0] != '/')
		return start_refuse(option, optarg, "an absolute path is accepted");
	*to = optarg;
	return -1;
}

static int take_vm(struct options *o)
{
	char **grown;

	if (!config_key_is_valid(optarg))
		return start_refuse("--vm", optarg, CONFIG_KEY_ACCEPTED);
	grown = reallocarray(o->vms, o->vm_count + 1, sizeof(*grown));
	if (!grown)
		return start_fail(EXIT_FAILURE, "out of memory");
	o->vms = grown;
	grown[o->vm_count++] = optarg;
	return -1;
}

static int take(struct options *o, int code)
{
	switch (code) {
	case OPTION_RUNTIME_DIR:
		return start_take_folder("--runtime-dir", optarg, &o->runtime_dir);
	case OPTION_CONFIG_DIR:
		return start_take_folder("--config-dir", optarg, &o->config_dir);
	case OPTION_STATE_DIR:
		return start_take_folder("--state-dir", optarg, &o->state_dir);
	case OPTION_PIPEWIRE:
		return take_path(&o->pipewire, "--pipewire");
	case OPTION_AUDIO_USER:
		/* Who that is, is found out with the rest of what decides it. */
		o->audio_user = optarg;
		return -1;
	case OPTION_VM:
		return take_vm(o);
	case OPTION_NO_XEN:
		o->no_xen = true;
		return -1;
	case OPTION_VERBOSE:
		o->verbose = true;
		return -1;
	case OPTION_HELP:
		return start_print(help);
	case OPTION_VERSION:
		return start_print("xaring-pw " XARING_VERSION "\n");
	default:
		return start_refuse_unknown();
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	int code, res;

	memset(o, 0, sizeof(*o));
	while ((code = getopt_long(argc, argv, "", known, NULL)) != -1) {
		res = take(o, code);
		if (res >= 0)
			return res;
	}
	if (optind < argc)
		return start_refuse("the argument", argv[optind], "only options are accepted");
	return -1;
}

void options_finish(struct options *o)
{
	free(o->vms);
}
