/* SPDX-License-Identifier: MIT */
/*
 * What our daemons do alike until they run: options, their folder, descriptors, and saying what is
 * wrong.
 *
 * Thread: the main one. Blocks: no. Logs: start_raise_descriptors(); the others print to stderr.
 */
#ifndef XARING_DAEMON_START_H
#define XARING_DAEMON_START_H

#include <stdint.h>

/* Exit codes, beside EXIT_SUCCESS and EXIT_FAILURE. */
#define EXIT_USAGE  2 /* wrong usage or configuration */
#define EXIT_LOCKED 3 /* another one is running */

/* Says what failed, behind the program's name. Returns code. */
__attribute__((format(printf, 2, 3))) int start_fail(int code, const char *format, ...);

/* Says that an option is refused, and what would be accepted. Returns EXIT_USAGE. */
int start_refuse(const char *option, const char *value, const char *accepted);

/* For what getopt_long(3) has refused: says where help is. Returns EXIT_USAGE. */
int start_refuse_unknown(void);

/* The value (borrowed) of an option that takes a folder. Returns -1 to go on, or EXIT_USAGE. */
int start_take_folder(const char *option, const char *value, const char **to);

/* For --help and --version: prints text to stdout. Returns the exit code to end with. */
int start_print(const char *text);

/* Makes a folder below the runtime folder, or itself, if it is missing. Returns 0 or an exit code. */
int start_make_folder(const char *path);

/*
 * Makes the runtime folder and takes the lock of that name in it, which is held as long as we live.
 * Returns 0 or an exit code.
 */
int start_claim_folder(const char *runtime_dir, const char *lock);

/* Asks for so many descriptors. Where the hard limit is less we get those, and that is logged. */
void start_raise_descriptors(uint64_t wanted);

#endif
