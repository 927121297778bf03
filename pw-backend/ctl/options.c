/* SPDX-License-Identifier: MIT */
/*
 * Reads the command line and says what it may contain. Asks nobody anything.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../control.h"
#include "start.h"

#define TIME_ACCEPTED   "1s to 366d are accepted: a number and s, m, h or d"
#define VOLUME_ACCEPTED "0% to 150%, +5%, -5%, mute and unmute are accepted"

#define NAME_MAX_BYTES 63 /* of a VM, as the broker has it */
#define NAME_BYTES                                             \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
	"0123456789._-"

static const char help[] =
	"Usage: xaringctl [OPTION]... COMMAND\n"
	"Shows and steers the sound of virtual machines: asks xaring-pw and PipeWire.\n"
	"\n"
	"  list                    VMs and their streams\n"
	"  status VM               everything about one\n"
	"  mic allow|deny|ask VM   decides whether it may record\n"
	"  volume VM [CHANGE]      shows or changes how loud it is\n"
	"  disconnect VM           ends what it plays and records, until connect\n"
	"  connect VM              lets it in again\n"
	"  monitor                 a line for everything that happens, until Ctrl-C\n"
	"  top                     a live view\n"
	"\n"
	"  --for TIME        with mic: for that long: 30s, 10m, 2h, 1d\n"
	"  --once            with mic: until the VM has stopped recording\n"
	"  --until-shutdown  with mic: until the VM ends\n"
	"  --batch           with top: print, and use no screen\n"
	"  --count N         with top: so many times\n"
	"  --json            print JSON, for scripts\n"
	"  --socket PATH     of xaring-pw. Default: $XARING_CONTROL, else\n"
	"                    $XDG_RUNTIME_DIR/xaring/control if there is one and you are\n"
	"                    not root, else /run/xaring/control\n"
	"  --help            show this, or behind a command about it, and end\n"
	"  --version         show the version and end\n"
	"\n"
	"Exit codes: 0 done, 1 failed, 2 wrong usage. More: xaringctl(1).\n";

static const struct command_name {
	const char *name;
	enum command command;
	int min, max;      /* words behind it */
	const char *needs; /* of these, or NULL */
	const char *usage;
	const char *help;
	const char *also; /* another usage, or NULL */
} commands[] = {
	{"list", COMMAND_LIST, 0, 0, NULL, "list",
	 "A line for each VM, and below it one for each of its streams.\n"},
	{"status", COMMAND_STATUS, 1, 1, "a VM", "status VM",
	 "Everything that is known about the VM.\n"},
	{"mic", COMMAND_MIC, 2, 2, "allow, deny or ask, and a VM",
	 "mic allow|deny VM [--for TIME | --once | --until-shutdown]",
	 "allow   what it records is what a microphone hears, from now on\n"
	 "deny    what it records is silence, from now on\n"
	 "ask     forgets what was decided: silence, until somebody decides\n"
	 "\n"
	 "Without an option that holds for good, also when the VM or the machine is started\n"
	 "anew. TIME is a number and s, m, h or d. --once: until the last of the VM's streams\n"
	 "that record now, or next, has stopped. Where the rules of xaring-pw.conf(5) say\n"
	 "allow or deny, that cannot be changed here.\n",
	 "mic ask VM"},
	{"volume", COMMAND_VOLUME, 1, 2, "a VM", "volume VM [50%|+5%|-5%|mute|unmute]",
	 "Of all that the VM plays now, as mixers show it; PipeWire's session manager\n"
	 "remembers it for what the VM plays later. 0% to 150% are accepted.\n"},
	{"disconnect", COMMAND_DISCONNECT, 1, 1, "a VM", "disconnect VM",
	 "Ends the streams of the VM and refuses others, until connect, the end of the VM, or\n"
	 "the end of xaring-pw. What plays goes on in silence; programs that start later are\n"
	 "refused.\n"},
	{"connect", COMMAND_CONNECT, 1, 1, "a VM", "connect VM",
	 "Takes back disconnect. Programs that still play are heard again within a minute.\n"},
	{"monitor", COMMAND_MONITOR, 0, 0, NULL, "monitor",
	 "Prints what happens: VMs and streams that come and go, VMs that are disconnected and\n"
	 "connected, and microphones: a VM that asks, what is decided and for how long, and\n"
	 "that it is over. With --json an object in each line.\n"},
	{"top", COMMAND_TOP, 0, 0, NULL, "top [--batch] [--count N]",
	 "VMs once a second. Keys: q quits, s sorts by something else, up and down choose a\n"
	 "VM, m mutes it or lets it be heard again.\n"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

enum option_code {
	OPTION_FOR = 256,
	OPTION_ONCE,
	OPTION_UNTIL_SHUTDOWN,
	OPTION_JSON,
	OPTION_SOCKET,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option known[] = {
	{"for", required_argument, NULL, OPTION_FOR},
	{"once", no_argument, NULL, OPTION_ONCE},
	{"until-shutdown", no_argument, NULL, OPTION_UNTIL_SHUTDOWN},
	{"batch", no_argument, NULL, 'b'},
	{"count", required_argument, NULL, 'n'},
	{"json", no_argument, NULL, OPTION_JSON},
	{"socket", required_argument, NULL, OPTION_SOCKET},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

/* What of the options was given, besides what they set. */
struct given {
	bool span, top, help;
};

/* ---- values ---- */

/* Digits and nothing else before `end`. */
static bool read_number(const char *text, char **end, unsigned long max, unsigned long *number)
{
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*number = strtoul(text, end, 10);
	return errno == 0 && *number <= max;
}

static uint32_t seconds_of(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 24 * 3600;
	default:
		return 0;
	}
}

bool options_read_time(const char *text, uint32_t *seconds)
{
	unsigned long number;
	uint32_t unit;
	char *end;

	if (!read_number(text, &end, CONTROL_SECONDS_MAX, &number) || number == 0)
		return false;
	unit = seconds_of(end[0]);
	if (unit == 0 || end[1] != '\0' || number > CONTROL_SECONDS_MAX / unit)
		return false;
	*seconds = (uint32_t)number * unit;
	return true;
}

/* The sign is behind the per cent, see turn_round(). */
static bool read_percent(const char *text, struct volume_change *change)
{
	unsigned long number;
	bool is_signed;
	char *end;

	if (!read_number(text, &end, VOLUME_PERCENT_MAX, &number) || *end++ != '%')
		return false;
	is_signed = *end == '+' || *end == '-';
	if (end[is_signed] != '\0')
		return false;
	change->kind = is_signed ? VOLUME_ADD : VOLUME_SET;
	change->percent = *end == '-' ? -(int)number : (int)number;
	return true;
}

bool options_read_volume(const char *text, struct volume_change *change)
{
	*change = (struct volume_change){0};
	if (strcmp(text, "mute") == 0)
		change->kind = VOLUME_MUTE;
	else if (strcmp(text, "unmute") == 0)
		change->kind = VOLUME_UNMUTE;
	else
		return read_percent(text, change);
	return true;
}

/* ---- options ---- */

static int take_span(struct options *o, struct given *given, enum mic_span span)
{
	if (given->span)
		return start_fail(EXIT_USAGE,
				  "one of --for, --once and --until-shutdown is accepted");
	given->span = true;
	o->mic_span = span;
	if (span == MIC_FOR && !options_read_time(optarg, &o->mic_seconds))
		return start_refuse("--for", optarg, TIME_ACCEPTED);
	return -1;
}

static int take_count(struct options *o, struct given *given)
{
	unsigned long number;
	char *end;

	given->top = true;
	if (!read_number(optarg, &end, 1000000, &number) || *end != '\0' || number == 0)
		return start_refuse("--count", optarg, "1 to 1000000 is accepted");
	o->count = (uint32_t)number;
	return -1;
}

static int take_flag(bool *flag)
{
	*flag = true;
	return -1;
}

static int take(struct options *o, struct given *given, int code)
{
	switch (code) {
	case OPTION_FOR:
		return take_span(o, given, MIC_FOR);
	case OPTION_ONCE:
		return take_span(o, given, MIC_ONCE);
	case OPTION_UNTIL_SHUTDOWN:
		return take_span(o, given, MIC_SHUTDOWN);
	case 'b':
		given->top = true;
		return take_flag(&o->batch);
	case 'n':
		return take_count(o, given);
	case OPTION_JSON:
		return take_flag(&o->json);
	case OPTION_SOCKET:
		o->socket = optarg;
		return -1;
	case OPTION_HELP:
		return take_flag(&given->help);
	case OPTION_VERSION:
		return start_print("xaringctl " XARING_VERSION "\n");
	default:
		return start_refuse_unknown();
	}
}

/* ---- commands ---- */

static const struct command_name *find_command(const char *name)
{
	for (unsigned i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int print_help(const char *name)
{
	const struct command_name *c = name ? find_command(name) : NULL;

	if (!c)
		return start_print(help);
	printf("Usage: xaringctl %s\n", c->usage);
	if (c->also)
		printf("       xaringctl %s\n", c->also);
	return start_print(c->help);
}

static bool is_mic_choice(const char *word)
{
	return strcmp(word, "allow") == 0 || strcmp(word, "deny") == 0 || strcmp(word, "ask") == 0;
}

static int take_mic(struct options *o, const struct given *given, char **words)
{
	o->mic = words[0];
	o->vm = words[1];
	if (!is_mic_choice(o->mic))
		return start_refuse("mic", o->mic, "allow, deny and ask are accepted, then a VM");
	if (given->span && strcmp(o->mic, "ask") == 0)
		return start_fail(EXIT_USAGE, "mic ask is accepted alone: it forgets what was "
					      "decided, for good");
	return -1;
}

static int take_volume(struct options *o, char **words, int count)
{
	o->vm = words[0];
	if (count == 2 && !options_read_volume(words[1], &o->volume))
		return start_refuse("volume", words[1], VOLUME_ACCEPTED);
	return -1;
}

static int check_options(const struct options *o, const struct given *given)
{
	if (given->span && o->command != COMMAND_MIC)
		return start_fail(EXIT_USAGE,
				  "--for, --once and --until-shutdown are accepted with mic");
	if (given->top && o->command != COMMAND_TOP)
		return start_fail(EXIT_USAGE, "--batch and --count are accepted with top");
	return -1;
}

/* A request is words: what is no name would become others of it. */
static int check_vm(const char *vm)
{
	size_t length = strlen(vm);

	if (length > 0 && length <= NAME_MAX_BYTES && strspn(vm, NAME_BYTES) == length)
		return -1;
	return start_fail(EXIT_USAGE,
			  "VM '%s' is refused: 1 to 63 of A-Z a-z 0-9 . _ - are accepted; "
			  "xaringctl list shows them",
			  vm);
}

/* What is behind the command. */
static int take_words(struct options *o, const struct given *given, char **words, int count)
{
	if (o->command == COMMAND_MIC)
		return take_mic(o, given, words);
	if (o->command == COMMAND_VOLUME)
		return take_volume(o, words, count);
	o->vm = count > 0 ? words[0] : NULL;
	return -1;
}

static int refuse_count(const struct command_name *c, int count)
{
	const char *sep = c->also ? ", or xaringctl " : "", *also = c->also ? c->also : "";

	if (count < c->min)
		return start_fail(EXIT_USAGE, "%s needs %s: accepted is xaringctl %s%s%s", c->name,
				  c->needs, c->usage, sep, also);
	return start_fail(EXIT_USAGE,
			  "%s with %d words behind it is refused: accepted is xaringctl %s%s%s",
			  c->name, count, c->usage, sep, also);
}

static int take_command(struct options *o, const struct given *given, char **words, int count)
{
	const struct command_name *c = find_command(words[0]);
	int res;

	if (!c)
		return start_refuse("the command", words[0],
				    "list, status, mic, volume, disconnect, connect, monitor and "
				    "top are accepted; more: xaringctl --help");
	o->command = c->command;
	count--;
	if (count < c->min || count > c->max)
		return refuse_count(c, count);
	res = check_options(o, given);
	if (res >= 0)
		return res;
	res = take_words(o, given, words + 1, count);
	return res < 0 && o->vm ? check_vm(o->vm) : res;
}

/* What begins with a dash looks like an option: -5% becomes 5%-, as wpctl(1) has it, and +5% becomes 5%+. */
static void turn_round(char *word)
{
	size_t length = strlen(word);
	char sign = word[0];

	if ((sign != '+' && sign != '-') || word[1] < '0' || word[1] > '9' ||
	    word[length - 1] != '%')
		return;
	memmove(word, word + 1, length - 1);
	word[length - 1] = sign;
}

int options_parse(struct options *o, int argc, char **argv)
{
	struct given given = {0};
	int code, res;

	*o = (struct options){0};
	for (int i = 1; i < argc; i++)
		turn_round(argv[i]);
	while ((code = getopt_long(argc, argv, "bn:", known, NULL)) != -1) {
		res = take(o, &given, code);
		if (res >= 0)
			return res;
	}
	if (given.help)
		return print_help(argv[optind]);
	if (optind == argc)
		return start_fail(EXIT_USAGE, "a command is missing: list, status, mic, volume, "
					      "disconnect, connect, monitor and top are accepted; "
					      "more: xaringctl --help");
	return take_command(o, &given, argv + optind, argc - optind);
}
