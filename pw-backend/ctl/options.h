/* SPDX-License-Identifier: MIT */
/*
 * The command line of xaringctl: a command, what it is about, and options anywhere.
 *
 * Thread: one. Blocks: no. Logs: prints help and what is wrong.
 */
#ifndef XARINGCTL_OPTIONS_H
#define XARINGCTL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum command {
	COMMAND_LIST,
	COMMAND_STATUS,
	COMMAND_MIC,
	COMMAND_VOLUME,
	COMMAND_DISCONNECT,
	COMMAND_CONNECT,
	COMMAND_MONITOR,
	COMMAND_TOP
};

enum volume_kind {
	VOLUME_SHOW,
	VOLUME_SET,
	VOLUME_ADD, /* percent may be negative */
	VOLUME_MUTE,
	VOLUME_UNMUTE
};

#define VOLUME_PERCENT_MAX 150

struct volume_change {
	enum volume_kind kind;
	int percent;
};

/* How long a decision holds. */
enum mic_span { MIC_ALWAYS, MIC_ONCE, MIC_SHUTDOWN, MIC_FOR };

struct options {
	enum command command;
	const char *socket; /* or NULL */
	bool json;
	const char *vm;         /* of the commands that take one */
	const char *mic;        /* allow, deny, ask */
	enum mic_span mic_span; /* not with ask */
	uint32_t mic_seconds;   /* FOR */
	struct volume_change volume;
	bool batch;     /* top: print, and use no screen */
	uint32_t count; /* top: so many times, 0 = without end */
};

/* Reads the command line. Returns -1 to go on, or the exit code to end with. */
int options_parse(struct options *options, int argc, char **argv);

/* Reads 30s, 10m, 2h, 1d; returns false when it is none, or longer than a year. */
bool options_read_time(const char *text, uint32_t *seconds);

/* Reads 50%, 5%+, 5%-, mute, unmute; returns false when it is none. The sign of an argument is behind by then. */
bool options_read_volume(const char *text, struct volume_change *change);

#endif
