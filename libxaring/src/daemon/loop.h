/* SPDX-License-Identifier: MIT */
/*
 * The event loop of our daemons: descriptors, timers and signals over epoll(7).
 *
 * Private to this source tree. A source that is removed inside a callback is freed at the top of
 * the next round, so no callback frees what the loop is holding.
 *
 * Thread: one.
 */
#ifndef XARING_DAEMON_LOOP_H
#define XARING_DAEMON_LOOP_H

#include <stdint.h>

struct loop;
struct loop_source;

/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll reports them. */
typedef void (*loop_io_fn)(void *data, uint32_t events);
typedef void (*loop_timer_fn)(void *data);
typedef void (*loop_signal_fn)(void *data, int signal);

/* Returns 0 and sets *out, or a negative errno. */
int loop_create(struct loop **out);
void loop_destroy(struct loop *loop); /* frees all sources; closes no descriptor that was added */

/*
 * Adding returns 0 and sets *out, or a negative errno. out may be NULL where the source stays as long
 * as the loop.
 */

/* Polls fd (borrowed). */
int loop_add_io(struct loop *loop, int fd, uint32_t events, loop_io_fn fn, void *data,
		struct loop_source **out);
void loop_update_io(struct loop_source *source, uint32_t events);

/* A timer, not armed. */
int loop_add_timer(struct loop *loop, loop_timer_fn fn, void *data, struct loop_source **out);
/* Arms it for once, anew if it was armed. 0 disarms. */
void loop_arm_timer(struct loop_source *source, uint32_t ms);
/* Arms it again and again, until loop_arm_timer(). Does nothing while it runs so already. */
void loop_repeat_timer(struct loop_source *source, uint32_t ms);

/* Blocks the signal for the process and delivers it here (signalfd). */
int loop_add_signal(struct loop *loop, int signal, loop_signal_fn fn, void *data,
		    struct loop_source **out);

/* Accepts NULL. */
void loop_remove(struct loop_source *source);

/* Runs until loop_quit(). Returns the code given there, or a negative errno. */
int loop_run(struct loop *loop);
void loop_quit(struct loop *loop, int code);

#endif
