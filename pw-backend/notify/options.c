/* SPDX-License-Identifier: MIT */
/*
 * Reads the command line and says what it may contain. Opens nothing.
 */
#include "options.h"

#include <getopt.h>
#include <stddef.h>

#include "start.h"

static const char help[] =
	"Usage: xaring-notify [OPTION]...\n"
	"Asks on the desktop what is to become of a VM that wants to record. Runs in the\n"
	"foreground until the session ends.\n"
	"\n"
	"  --socket PATH  of xaring-pw. Default: as xaringctl\n"
	"  --verbose      say more in the log\n"
	"  --help         show this and end\n"
	"  --version      show the version and end\n"
	"\n"
	"Exit codes: 0 told to stop, or nothing to do on this desktop, 1 failed, 2 wrong\n"
	"usage. More: xaring-notify(1).\n";

enum option_code { OPTION_SOCKET = 256, OPTION_VERBOSE, OPTION_HELP, OPTION_VERSION };

static const struct option known[] = {
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static int take(struct options *o, int code)
{
	switch (code) {
	case OPTION_SOCKET:
		o->socket = optarg;
		return -1;
	case OPTION_VERBOSE:
		o->verbose = true;
		return -1;
	case OPTION_HELP:
		return start_print(help);
	case OPTION_VERSION:
		return start_print("xaring-notify " XARING_VERSION "\n");
	default:
		return start_refuse_unknown();
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	int code, res;

	*o = (struct options){0};
	while ((code = getopt_long(argc, argv, "", known, NULL)) != -1) {
		res = take(o, code);
		if (res >= 0)
			return res;
	}
	if (optind < argc)
		return start_refuse("the argument", argv[optind], "only options are accepted");
	return -1;
}
