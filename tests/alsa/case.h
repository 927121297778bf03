/* SPDX-License-Identifier: MIT */
/*
 * What the ALSA tests share: one temporary folder and one backend for each test, the PCM opened
 * through alsa-lib from a configuration in memory, sound that says which frame it is, and deadlines.
 *
 * With XARING_TEST_PCM=NAME the tests run on that PCM of the system instead, without a backend,
 * and check what does not need one: what a kernel device fails here is wrong in the test.
 * XARING_TEST_CHECK=list prints the names of the tests, and any other value runs the one that has that
 * name; tests/alsa/compare makes a table of it all.
 */
#ifndef XARING_TESTS_ALSA_CASE_H
#define XARING_TESTS_ALSA_CASE_H

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <alsa/asoundlib.h>
#include <cmocka.h>

#include "fake-backend.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

#define FOREVER LONG_MAX /* a threshold: the boundary */

struct test_case {
	char dir[64];
	char socket[96];
	pid_t pid;
	struct fake_backend *backend;
	snd_pcm_t *pcm;       /* of case_open(); closed by the teardown */
	uint32_t frame_bytes; /* of case_shape() */
	snd_pcm_format_t format;
	uint32_t written;  /* frames of case_write() so far */
	char errors[2000]; /* what alsa-lib was asked to print */
};

/* Hardware and software parameters; what is 0 has a default. */
struct shape {
	bool mmap;                /* read/write otherwise */
	snd_pcm_format_t format;  /* S16_LE (0 is S8, which nobody wants here) */
	unsigned int channels;    /* 2 */
	unsigned int rate;        /* 48000 */
	snd_pcm_uframes_t period; /* 1024 */
	snd_pcm_uframes_t buffer; /* 4096 */
	snd_pcm_uframes_t start;  /* the buffer; FOREVER */
	snd_pcm_uframes_t stop;   /* FOREVER: a busy machine ends no test that is not about that */
	snd_pcm_uframes_t avail_min;         /* the period */
	snd_pcm_uframes_t silence_threshold; /* 0 */
	snd_pcm_uframes_t silence_size;      /* 0; FOREVER */
	bool period_event;
};

int case_setup(void **state);
int case_teardown(void **state);
#define case_test(f) cmocka_unit_test_setup_teardown(f, case_setup, case_teardown)

/*
 * Runs the group. Returns what main() shall; a program that hangs ends with SIGALRM and so fails.
 */
#define case_run(tests) case_run_group(#tests, tests, sizeof(tests) / sizeof((tests)[0]))
int case_run_group(const char *name, const struct CMUnitTest *tests, size_t count);

/* The same for tests that are about the backend, or about what is no PCM: skipped on another PCM. */
#define case_run_with_backend(tests) \
	case_run_ours(#tests, tests, sizeof(tests) / sizeof((tests)[0]))
int case_run_ours(const char *name, const struct CMUnitTest *tests, size_t count);

/* Tells whether XARING_TEST_PCM names the PCM: no backend then. */
bool case_is_other(void);

/*
 * Why the test ends here, for the comparison: it needs the backend, or the PCM does not offer what it
 * is about. The second one returns true.
 */
bool case_lacks_backend(void);
bool case_lacks(const char *what);

/* Of a PCM that has its shape; the second one says it for the comparison. */
bool case_can_pause(const struct test_case *c);
bool case_lacks_pause(const struct test_case *c);

/*
 * Tells whether something else is to be expected than what a kernel device does: the PCM is an ioplug.
 * alsa-lib gives such a plugin no say there, or it is on purpose: xaring-pcm(7). what: the difference, is
 * put down for the comparison.
 */
bool case_is_ioplug(const struct test_case *c, const char *what);

/* Tells whether alsa-lib is 1.2.patch or later. */
bool case_has_alsa_lib(unsigned int patch);

/* Starts the backend with this quantum at 48 kHz. */
void case_serve(struct test_case *c, uint32_t quantum);

/* In the place of the one before: its streams are counted from 0 again, and so are written frames. */
void case_serve_anew(struct test_case *c, uint32_t quantum);

/* The same as in a guest: the server is there, the backend is in another domain. */
void case_serve_far(struct test_case *c, uint32_t quantum);

/* Opens; must succeed. config: further keys of the definition, or NULL. */
snd_pcm_t *case_open(struct test_case *c, int mode);
void case_close(struct test_case *c); /* must succeed */
int case_try_open(struct test_case *c, snd_pcm_stream_t stream, int mode, const char *config,
		  snd_pcm_t **out);

/* Sets hardware and software parameters. Returns what snd_pcm_hw_params() does; the rest must work. */
int case_try_shape(struct test_case *c, snd_pcm_t *pcm, struct shape shape);
void case_shape(struct test_case *c, struct shape shape);

/* Software parameters alone, at any time. Returns what snd_pcm_sw_params() does. */
int case_try_software(snd_pcm_t *pcm, struct shape shape);

/* Fills frames number first, first + 1, ... */
void case_fill(const struct test_case *c, void *to, uint32_t first, uint32_t frames);

/*
 * Writes the next frames in one piece after the other of at most `piece`, as its access wants it,
 * waiting with snd_pcm_wait() where the PCM does not block. Must succeed.
 */
void case_write(struct test_case *c, uint32_t frames, uint32_t piece);

/* One write of whichever access of the next frames. Returns what alsa-lib did. */
snd_pcm_sframes_t case_write_some(struct test_case *c, uint32_t frames);

/* Waits until the backend has consumed that many frames of stream i, at most 5 s. */
void case_wait_consumed(struct test_case *c, uint32_t i, uint32_t frames);

/*
 * Waits until the backend has consumed so many frames of stream i. Returns false when that is not to be
 * judged: there is none, or it stood still itself for so long that the stream had to go on without it.
 */
bool case_has_consumed(struct test_case *c, uint32_t i, uint32_t frames);

/* The same, and they are frames number first ..., and nothing else. */
void case_expect(struct test_case *c, uint32_t i, uint32_t first, uint32_t frames);

/* Waits up to 5 s for a condition, looking every millisecond. */
#define case_wait_until(condition)                                   \
	do {                                                         \
		uint64_t case_end_ns = case_now_ns() + 5 * NS_PER_S; \
		while (!(condition)) {                               \
			assert_true(case_now_ns() < case_end_ns);    \
			poll(NULL, 0, 1);                            \
		}                                                    \
	} while (0)

/*
 * Demands something that depends on being scheduled in time. Threads that sleep for a millisecond
 * over and over, and the backend's cycles, tell whether anybody is: when one of them was late in
 * this test, a condition that does not hold is not judged, and the whole test runs again, at most
 * CASE_TRIES times. What was judged in the last try is counted; where nothing was, the program is
 * skipped.
 */
#define CASE_TRIES 3
#define case_timing(condition)                                                          \
	do {                                                                            \
		static struct case_place case_place = {.text = #condition};             \
		bool case_holds = (condition);                                          \
		if (!case_holds && !case_is_busy())                                     \
			fail_msg("too late on a machine that was not: %s", #condition); \
		case_judge(&case_place, case_holds);                                    \
	} while (0)
bool case_is_busy(void);

/* A condition in the source, and what became of it in this try. */
struct case_place {
	const char *text;
	struct case_place *next; /* of those that this try came to */
	bool is_listed;
	bool is_unjudged; /* at least once */
};

void case_judge(struct case_place *place, bool is_judged);

uint64_t case_now_ns(void);
void case_pass(uint32_t ms); /* lets time pass: where that is what is tested */

/* One poll of the PCM's descriptors, and what alsa-lib makes of it. */
unsigned short case_poll(snd_pcm_t *pcm, int timeout_ms);

#endif
