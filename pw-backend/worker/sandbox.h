/* SPDX-License-Identifier: MIT */
/*
 * What takes the worker's privileges away, so that a guest which takes it over gains no more than what
 * the worker has anyway: the pages of all guests, which it may keep mapped until it ends, those of domains
 * that are gone as well; and the connections to PipeWire, on which it may do what any program of the user
 * who hears the guests may do there, with microphones and monitors too.
 *
 * Thread: main. Logs: no.
 */
#ifndef XARING_SANDBOX_H
#define XARING_SANDBOX_H

/*
 * Before the first thread: room for descriptors, no core files, no new privileges, no capabilities
 * but CAP_SYS_NICE, with which threads may become real-time ones.
 * Returns 0, or a negative errno when a privilege could not be given up.
 */
int sandbox_prepare(void);

/*
 * From that signal on the process has SANDBOX_END_S to clear up behind guests; then SIGALRM ends it. It bounds what is
 * stuck, and not what a guest has taken over, which could undo that: such a worker ends with its service.
 */
#define SANDBOX_END_S 1
void sandbox_end_after(int number);

/* The last capability of the calling thread: to be called in each. Returns 0 or a negative errno. */
int sandbox_drop_capabilities(void);

/*
 * After all is loaded, before the first guest: only the system calls that playing needs, in every
 * thread and for good. Every thread must have begun to run its own code: the C library's start of
 * a thread needs calls that are refused then. Returns 0 or a negative errno.
 */
int sandbox_close(void);

#endif
