/* SPDX-License-Identifier: MIT */
/*
 * Reads the command line and says what it may contain. Opens nothing.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "budget.h"
#include "start.h"

#define STRING(x)  #x
#define NUMBER(x)  STRING(x)
#define PAGES      480
#define USER_PAGES 240

_Static_assert(PAGES == XARING_GUEST_PAGES_MAX, "what the protocol allows is the default");

static const char help[] =
	"Usage: xaring-guestd [OPTION]...\n"
	"Lets programs of this Xen guest be heard in dom0: gives them memory that dom0 can\n"
	"read, and tells dom0 of it. Runs in the foreground until it is told to stop.\n"
	"\n"
	"  --runtime-dir DIR   folder of the socket and the lock. Default: /run/xaring\n"
	"  --state-dir DIR     folder in which this guest's volume is kept.\n"
	"                      Default: $STATE_DIRECTORY, or /var/lib/xaring\n"
	"  --pages N           pages of 4 KiB for all streams together, 2 to 480.\n"
	"                      Default: " NUMBER(
		PAGES) "\n"
		       "  --pages-per-user N  of these, for one user. Default: " NUMBER(
			       USER_PAGES) "\n"
					   "  --status            say where the way from a program here to the sound card of\n"
					   "                      dom0 is broken, and what to do, and end. For any user\n"
					   "  --json              with --status: for scripts\n"
					   "  --verbose           say more in the log\n"
					   "  --help              show this and end\n"
					   "  --version           show the version and end\n"
					   "\n"
					   "SIGTERM and SIGINT stop; what plays goes on, and belongs to the next one that is\n"
					   "started.\n"
					   "Exit codes: 0 stopped, 1 failed, 2 wrong usage, 3 another one is running with this\n"
					   "runtime folder; with --status: 0 nothing is broken, 1 something is.\n"
					   "More: xaring-guestd(8).\n";

enum option_code {
	OPTION_RUNTIME_DIR = 256,
	OPTION_STATE_DIR,
	OPTION_PAGES,
	OPTION_PAGES_PER_USER,
	OPTION_STATUS,
	OPTION_JSON,
	OPTION_VERBOSE,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option known[] = {
	{"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
	{"state-dir", required_argument, NULL, OPTION_STATE_DIR},
	{"pages", required_argument, NULL, OPTION_PAGES},
	{"pages-per-user", required_argument, NULL, OPTION_PAGES_PER_USER},
	{"status", no_argument, NULL, OPTION_STATUS},
	{"json", no_argument, NULL, OPTION_JSON},
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static int take_pages(uint32_t *to, const char *option)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(optarg, &end, 10);
	if (optarg[0] < '0' || optarg[0] > '9' || *end != '\0' || errno != 0 ||
	    value < BUDGET_PAGES_MIN || value > XARING_GUEST_PAGES_MAX)
		return start_refuse(option, optarg, "2 to " NUMBER(PAGES) " pages are accepted");
	*to = (uint32_t)value;
	return -1;
}

static int take_flag(bool *to)
{
	*to = true;
	return -1;
}

static int take(struct options *o, int code)
{
	switch (code) {
	case OPTION_RUNTIME_DIR:
		return start_take_folder("--runtime-dir", optarg, &o->runtime_dir);
	case OPTION_STATE_DIR:
		return start_take_folder("--state-dir", optarg, &o->state_dir);
	case OPTION_PAGES:
		return take_pages(&o->pages, "--pages");
	case OPTION_PAGES_PER_USER:
		return take_pages(&o->user_pages, "--pages-per-user");
	case OPTION_STATUS:
		return take_flag(&o->status);
	case OPTION_JSON:
		return take_flag(&o->json);
	case OPTION_VERBOSE:
		return take_flag(&o->verbose);
	case OPTION_HELP:
		return start_print(help);
	case OPTION_VERSION:
		return start_print("xaring-guestd " XARING_VERSION "\n");
	default:
		return start_refuse_unknown();
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	int code, res;

	*o = (struct options){.runtime_dir = "/run/xaring",
			      .pages = PAGES,
			      .user_pages = USER_PAGES};
	while ((code = getopt_long(argc, argv, "", known, NULL)) != -1) {
		res = take(o, code);
		if (res >= 0)
			return res;
	}
	if (optind < argc)
		return start_refuse("the argument", argv[optind], "only options are accepted");
	if (o->json && !o->status)
		return start_refuse("--json", "alone", "it is accepted with --status");
	return -1;
}
