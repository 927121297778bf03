/* SPDX-License-Identifier: MIT */
/*
 * Polling: whether an application is to be woken, what it is told then, and for when the timer of
 * the one poll descriptor is set. Readiness is a level, as a kernel device's is: a descriptor
 * saved long ago, or polled while there is enough to do already, is right as well.
 *
 * Pure. Thread: one, or under the caller's lock. Blocks: no. Real-time safe: yes. Logs: no.
 */
#ifndef PLUGIN_POLLSTATE_H
#define PLUGIN_POLLSTATE_H

#include <stdbool.h>
#include <stdint.h>

#include <alsa/asoundlib.h>

#define POLLSTATE_NEVER UINT64_MAX

/* The stream at one moment. Lengths are in frames. */
struct pollstate {
	bool is_capture;
	snd_pcm_state_t state;
	uint64_t avail;
	uint64_t avail_min;
	uint32_t buffer;
	uint32_t period;
	uint64_t total;    /* of the hardware pointer since the prepare */
	bool period_event; /* wake at every period, whatever avail_min says */
	uint64_t stop;     /* the avail at which an xrun stops it, which makes it ready */
	uint64_t
		total_told; /* total when the application last did what a period event woke it for */
};

/* Tells whether a poll returns at once. */
bool pollstate_is_ready(const struct pollstate *s);

/* What snd_pcm_poll_descriptors_revents() answers: POLLIN or POLLOUT, POLLERR, or nothing. */
unsigned short pollstate_events(const struct pollstate *s);

/*
 * How far the hardware pointer has to go until the stream becomes ready, or an xrun may have stopped it. alsa-lib sees
 * to it that avail_min is a period at least, so that small steps of the position wake nobody.
 *
 * Returns the frames, or -1 when moving on does not make it ready.
 */
int64_t pollstate_ahead(const struct pollstate *s);

/*
 * The time to set the timer for.
 *
 * armed_ns: what it is set for now
 * when_ns:  when the pointer gets to pollstate_ahead(); POLLSTATE_NEVER
 *
 * A time that moves to later leaves the timer alone: it goes off early, nobody is told, and it is
 * set again then. So an application that writes in small pieces costs no system call for each.
 *
 * A stream that nothing can make ready wakes nobody: alsa-lib's snd_pcm_wait() counts its time anew
 * after each wake-up, and would never come to its end.
 *
 * Returns armed_ns when the timer is to be left alone, 0 = ready now, or the time.
 */
uint64_t pollstate_timer(const struct pollstate *s, uint64_t armed_ns, uint64_t now_ns,
			 uint64_t when_ns);

#endif
