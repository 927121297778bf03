/* SPDX-License-Identifier: MIT */
/*
 * A client and its backend: start, records, attach and withdrawal, pause, drain, rewind, gaps, and
 * when to wake. In virtual time, both sides in one thread.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <xaring/client.h>
#include <xaring/clock.h>
#include <xaring/shared.h>

#include "descriptors.h"
#include "local-server.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

#define BUFFER  4096u
#define QUANTUM 1024u

/* One quantum, rounded to what 16 frames divide. */
#define QUANTUM_NS (QUANTUM * S / 48000)

struct fixture {
	struct local_server server;
	struct local_link link;
	struct xaring_client *client;
	struct xaring_client_state state;
	uint64_t now;
	uint32_t consumed;
	uint32_t descriptors;
};

static const struct xaring_params stereo = {.direction = XARING_PLAYBACK,
					    .format = XARING_FORMAT_S16,
					    .rate_hz = 48000,
					    .channels = 2,
					    .buffer = BUFFER,
					    .period = 1024};

/* How long this machine has slept, and how long it sleeps just before it reads a clock the next time but so many. */
static uint64_t slept_ns;
static uint32_t sleeps_after;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int res = __real_clock_gettime(clock, now);

	if (sleeps_after > 0 && --sleeps_after == 0)
		slept_ns += 300 * MS;
	if (clock == CLOCK_BOOTTIME)
		now->tv_sec += (time_t)(slept_ns / S);
	if (clock == CLOCK_BOOTTIME)
		now->tv_nsec += (long)(slept_ns % S);
	return res;
}

static void update(struct fixture *f)
{
	xaring_client_update(f->client, f->now, &f->state);
}

static struct fixture *fixture_at(const struct xaring_params *params, bool two_clocks)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xaring_refusal refusal;

	assert_non_null(f);
	f->descriptors = open_descriptors();
	f->now = 5 * S;
	local_server_open(&f->server, true);
	f->server.two_clocks = two_clocks;
	assert_int_equal(xaring_client_create(f->server.path, "a test", &f->client), 0);
	assert_int_equal(xaring_client_setup(f->client, params, 0, &refusal), 0);
	local_link_up(&f->server, &f->link);
	update(f);
	update(f);
	assert_true(f->state.linked);
	return f;
}

static struct fixture *fixture_with(const struct xaring_params *params)
{
	return fixture_at(params, false);
}

static int fixture_make(void **state)
{
	*state = fixture_with(&stereo);
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *f = *state;

	xaring_client_close(f->client);
	local_link_drop(&f->link);
	local_server_close(&f->server);
	assert_int_equal(open_descriptors(), f->descriptors);
	free(f);
	return 0;
}

static void publish(struct fixture *f, uint32_t written)
{
	xaring_client_publish(f->client, written);
}

/* The backend's cycle: consumes so much, says so. The client does not look. */
static void cycle(struct fixture *f, uint32_t frames)
{
	f->consumed += frames;
	local_cycle(&f->link, f->consumed, QUANTUM, f->now);
}

static uint32_t state_of(const struct fixture *f)
{
	return xaring_word_state(local_word(&f->link));
}

static uint32_t attach_of(const struct fixture *f)
{
	return xaring_word_attach(local_word(&f->link));
}

static uint32_t generation_of(const struct fixture *f)
{
	return xaring_word_generation(local_word(&f->link));
}

/* Running and attached, the first record seen, nothing consumed, a full buffer. */
static void run(struct fixture *f)
{
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	cycle(f, 0);
	update(f);
	assert_true(f->state.attached);
	assert_int_equal(f->state.pos, 0);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
}

static void a_stopped_stream_answers_attach_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(local_word(&f->link), 1); /* generation 0, STOPPED */
	local_attach(&f->link);
	update(f);
	assert_int_equal(local_word(&f->link), 2);
	assert_int_equal(local_link_kick(&f->link), 0);
	/* One whose low bits mean "not attached" is no attach. */
	xaring_store(&f->link.pages.control->backend.attach, 0x1000);
	update(f);
	assert_int_equal(local_word(&f->link), 2);
	xaring_store(&f->link.pages.control->backend.attach, 0x1002);
	update(f);
	assert_int_equal(local_word(&f->link), 2);
}

static void start_waits_for_the_first_record(void **state)
{
	struct fixture *f = *state;

	publish(f, 100 + BUFFER);
	xaring_client_start(f->client, f->now, 100);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1 << 12 | 1);
	assert_int_equal(local_base(&f->link), 100);
	assert_int_equal(local_written(&f->link), 100 + BUFFER);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	f->now += 1900 * MS;
	update(f);
	assert_int_equal(f->state.pos, 100);
	assert_false(f->state.attached);
	f->consumed = 100;
	cycle(f, 0);
	f->now += 10 * MS;
	update(f);
	assert_true(f->state.attached);
	assert_int_equal(f->state.pos, 100 + 480);
}

static void start_runs_free_after_two_seconds(void **state)
{
	struct fixture *f = *state;

	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	f->now += 2 * S;
	update(f);
	assert_int_equal(f->state.pos, 0);
	assert_int_equal(attach_of(f), 0); /* withdrawn */
	f->now += 20 * MS;
	update(f);
	assert_int_equal(f->state.pos, 960);
}

static void start_runs_free_at_once_without_backend(void **state)
{
	struct fixture *f = *state;

	xaring_store(&f->server.status->flags, 0);
	xaring_store(&f->link.pages.control->backend.status, 0);
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	assert_int_equal(attach_of(f), 0);
	f->now += 20 * MS;
	update(f);
	assert_int_equal(f->state.pos, 960);
}

static void a_stream_in_the_void_runs_free(void **state)
{
	struct fixture *f = *state;

	local_link_drop(&f->link);
	local_server_vanish(&f->server);
	update(f);
	assert_false(f->state.linked);
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	f->now += 20 * MS;
	update(f);
	assert_int_equal(f->state.pos, 960);
	f->now += 1 * S;
	update(f);
	assert_int_equal(f->state.pos, BUFFER);
	assert_int_equal(f->state.xruns, 0);
}

/* Two looks in each cycle: the position moves steadily and only as far as is true. */
static void the_position_follows_the_records(void **state)
{
	struct fixture *f = *state;
	uint32_t last = 0;

	run(f);
	for (uint32_t i = 0; i < 200; i++) {
		f->now += QUANTUM_NS / 2;
		update(f);
		assert_in_range(f->state.pos - f->consumed, QUANTUM / 2 - 16, QUANTUM / 2);
		publish(f, f->state.pos + BUFFER);
		f->now += QUANTUM_NS - QUANTUM_NS / 2;
		cycle(f, QUANTUM);
		update(f);
		assert_in_range(f->state.pos - last, QUANTUM - 16, QUANTUM + 16);
		last = f->state.pos;
		assert_true(f->state.attached);
	}
	assert_int_equal(f->state.xruns, 0);
	assert_int_equal(local_link_kick(&f->link), 0); /* nothing was said */
}

static void a_silent_backend_is_withdrawn_from(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 100 * MS - 1;
	update(f);
	assert_true(f->state.attached);
	assert_int_equal(f->state.pos, QUANTUM);
	assert_int_equal(attach_of(f), 1);
	f->now += 1;
	update(f);
	assert_false(f->state.attached);
	assert_int_equal(attach_of(f), 0);
	assert_int_equal(state_of(f), XARING_STATE_RUNNING);
	assert_int_equal(generation_of(f), 1);
	f->now += 20 * MS;
	update(f);
	assert_in_range(f->state.pos, QUANTUM + 944, QUANTUM + 960);
	/* A record of before, late: it does not bring the old attach back. */
	local_cycle(&f->link, QUANTUM, QUANTUM, f->now);
	update(f);
	assert_false(f->state.attached);
}

static void it_attaches_again_where_it_is(void **state)
{
	struct fixture *f = *state;
	uint32_t base;

	run(f);
	f->now += 100 * MS;
	update(f);
	f->now += 20 * MS;
	update(f);
	base = f->state.pos;
	publish(f, base + BUFFER);
	update(f);
	assert_int_equal(attach_of(f), 0); /* the number it has withdrawn from is not answered */
	local_attach(&f->link);
	update(f);
	assert_int_equal(attach_of(f), 2);
	assert_int_equal(generation_of(f), 1);
	assert_int_equal(local_base(&f->link), base);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_ATTACH);
	f->now += 50 * MS;
	update(f);
	assert_int_equal(f->state.pos, base); /* rests */
	f->consumed = base;
	cycle(f, 0);
	f->now += 10 * MS;
	update(f);
	assert_true(f->state.attached);
	assert_int_equal(f->state.pos, base + 480);
}

static void an_attach_while_it_runs_begins_at_the_reported_position(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 10 * MS;
	update(f);
	assert_int_equal(f->state.pos, 480);
	local_attach(&f->link);
	update(f);
	assert_int_equal(local_base(&f->link), 480);
	f->now += 99 * MS;
	update(f);
	assert_int_equal(f->state.pos, 480);
	f->now += 1 * MS;
	update(f);
	assert_int_equal(attach_of(f), 0); /* no record came: withdrawn */
}

/* Raised anew in every cycle, never a record: the position rests for a while and then goes on. */
static void endless_attaches_do_not_hold_the_position(void **state)
{
	struct fixture *f = *state;
	uint64_t began = f->now;
	uint32_t before;

	run(f);
	while (f->now < began + 10 * S) {
		f->now += 1 * MS;
		local_attach(&f->link);
		publish(f, f->state.pos + BUFFER);
		update(f);
	}
	before = f->state.pos;
	while (f->now < began + 30 * S) {
		f->now += 1 * MS;
		local_attach(&f->link);
		publish(f, f->state.pos + BUFFER);
		update(f);
	}
	/* Of twenty seconds, at least three quarters. */
	assert_true(f->state.pos - before > 15 * 48000);
}

static void a_start_is_patient_but_once(void **state)
{
	struct fixture *f = *state;

	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	for (uint32_t i = 0; i < 2300; i++) {
		local_attach(&f->link);
		f->now += 1 * MS;
		update(f);
	}
	assert_true(f->state.pos > 0);
}

static void records_of_another_word_are_not_followed(void **state)
{
	struct fixture *f = *state;
	struct xaring_record record = {.pos = 4000, .frames = QUANTUM, .rate_mhz = 48000000};

	run(f);
	record.time_ns = f->now;
	for (int i = 0; i < 5; i++) {
		static const uint32_t words[] = {0, 1 << 16 | 1 << 12, 2 << 16 | 1 << 12 | 1,
						 1 << 16 | 3 << 12 | 1, 1 << 16 | 1 << 12 | 2};
		record.word = words[i];
		local_record(&f->link, &record);
		update(f);
		assert_int_equal(f->state.pos, 0);
	}
}

static void an_impossible_record_breaks_the_link(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 10 * MS;
	local_cycle(&f->link, 0x40000000, QUANTUM, f->now);
	update(f);
	assert_false(f->state.linked);
	assert_int_equal(f->state.pos, 480);
	assert_int_equal(local_link_kick(&f->link), -1);
	f->now += 20 * MS;
	update(f);
	assert_int_equal(f->state.pos, 480 + 960);
}

static void gaps_are_counted_from_the_start(void **state)
{
	struct fixture *f = *state;
	struct xaring_record record = {.frames = QUANTUM, .rate_mhz = 48000000, .xruns = 5};

	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	record.word = local_word(&f->link);
	record.time_ns = f->now;
	local_record(&f->link, &record);
	update(f);
	assert_int_equal(f->state.xruns, 0); /* only says from where to count */
	record.xruns = 7;
	local_record(&f->link, &record);
	update(f);
	assert_int_equal(f->state.xruns, 2);
	/* What happened before the next start, seen or not, is not that start's. */
	record.xruns = 9;
	local_record(&f->link, &record);
	xaring_client_stop(f->client);
	xaring_client_start(f->client, f->now, 0);
	record.word = local_word(&f->link);
	local_record(&f->link, &record);
	update(f);
	assert_int_equal(f->state.xruns, 0);
	xaring_client_stop(f->client);
	xaring_client_start(f->client, f->now, 0);
	record.xruns = 10;
	local_record(&f->link, &record); /* of the word before */
	update(f);
	assert_int_equal(f->state.xruns, 0);
	record.word = local_word(&f->link);
	record.xruns = 11;
	local_record(&f->link, &record);
	update(f);
	assert_int_equal(f->state.xruns, 1);
	/* A new attach counts anew. */
	local_attach(&f->link);
	update(f);
	record.word = local_word(&f->link);
	record.xruns = 0;
	local_record(&f->link, &record);
	update(f);
	assert_int_equal(f->state.xruns, 1);
	record.xruns = 1;
	local_record(&f->link, &record);
	update(f);
	assert_int_equal(f->state.xruns, 2);
}

static void a_prediction_at_the_end_is_no_gap(void **state)
{
	struct fixture *f = *state;

	publish(f, 480);
	xaring_client_start(f->client, f->now, 0);
	cycle(f, 0);
	update(f);
	f->now += 15 * MS;
	update(f);
	assert_int_equal(f->state.pos, 480);
	assert_int_equal(f->state.xruns, 0);
}

static void stop_is_told_and_is_idempotent(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 10 * MS;
	update(f);
	xaring_client_stop(f->client);
	xaring_client_stop(f->client);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1);
	f->now += 1 * S;
	update(f);
	assert_int_equal(f->state.pos, 480);
	assert_false(f->state.attached);
	assert_true(xaring_client_when(f->client, f->now, 500) == UINT64_MAX);
	/* The next one begins anew. */
	publish(f, 5000);
	xaring_client_start(f->client, f->now, 4000);
	assert_int_equal(local_word(&f->link), 2 << 16 | 1 << 12 | 1);
	assert_int_equal(local_base(&f->link), 4000);
}

static void pause_keeps_everything(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 10 * MS;
	xaring_client_pause(f->client, f->now);
	assert_int_equal(local_word(&f->link), 1 << 16 | 3 << 12 | 1);
	cycle(f, 0); /* the one record of the pause: nothing was consumed */
	f->now += 1 * S;
	update(f);
	assert_int_equal(f->state.pos, 480);
	xaring_client_pause(f->client, f->now);
	xaring_client_resume(f->client, f->now);
	xaring_client_resume(f->client, f->now);
	assert_int_equal(local_word(&f->link), 1 << 16 | 1 << 12 | 1);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	f->now += 50 * MS;
	update(f);
	assert_int_equal(f->state.pos, 480); /* waits for the first cycle */
	/* The backend is at 0: what was predicted is played now, the position waits for it. */
	cycle(f, 0);
	f->now += 5 * MS;
	update(f);
	assert_int_equal(f->state.pos, 480);
	f->now += 10 * MS;
	update(f);
	assert_in_range(f->state.pos, 704, 720);
	assert_int_equal(f->state.xruns, 0);
}

/* A record from before the pause that nobody had looked at is not the first one after it. */
static void an_unread_record_does_not_end_the_wait(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 10 * MS;
	update(f);
	cycle(f, 0);
	xaring_client_pause(f->client, f->now);
	f->now += 10 * S;
	xaring_client_resume(f->client, f->now);
	update(f);
	assert_false(f->state.attached);
	f->now += 200 * MS;
	update(f);
	assert_int_equal(attach_of(f), 1); /* still patient */
}

/* Nor is one that was being written when the pause began. */
static void a_record_across_the_pause_does_not_end_the_wait(void **state)
{
	struct fixture *f = *state;
	struct xaring_record record = {.frames = QUANTUM, .rate_mhz = 48000000};

	run(f);
	record.word = local_word(&f->link);
	record.time_ns = f->now;
	xaring_client_pause(f->client, f->now);
	local_record(&f->link, &record);
	f->now += 1 * S;
	xaring_client_resume(f->client, f->now);
	update(f);
	assert_false(f->state.attached);
}

static void a_paused_stream_answers_attach(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 10 * MS;
	xaring_client_pause(f->client, f->now);
	local_attach(&f->link);
	update(f);
	assert_int_equal(local_word(&f->link), 1 << 16 | 3 << 12 | 2);
	assert_int_equal(local_base(&f->link), 480);
	xaring_client_resume(f->client, f->now);
	f->consumed = 480;
	cycle(f, 0);
	update(f);
	assert_true(f->state.attached);
}

static void a_stream_that_ran_free_resumes_without_attach(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 100 * MS;
	update(f);
	xaring_client_pause(f->client, f->now);
	assert_int_equal(attach_of(f), 0);
	xaring_client_resume(f->client, f->now);
	assert_int_equal(attach_of(f), 0);
	local_attach(&f->link);
	update(f);
	assert_int_equal(attach_of(f), 2);
	assert_int_equal(local_base(&f->link), f->state.pos);
}

static void resume_without_backend_runs_free(void **state)
{
	struct fixture *f = *state;

	run(f);
	xaring_client_pause(f->client, f->now);
	xaring_store(&f->server.status->flags, 0);
	xaring_store(&f->link.pages.control->backend.status, 0);
	xaring_client_resume(f->client, f->now);
	assert_int_equal(attach_of(f), 0);
	f->now += 10 * MS;
	update(f);
	assert_int_equal(f->state.pos, 480);
}

static void drained_is_what_a_record_says(void **state)
{
	struct fixture *f = *state;

	publish(f, 2000);
	xaring_client_start(f->client, f->now, 0);
	cycle(f, 0);
	update(f);
	xaring_client_drain(f->client, f->now);
	assert_int_equal(local_word(&f->link), 1 << 16 | 2 << 12 | 1);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_START);
	assert_int_equal(local_link_kick(&f->link), XARING_KICK_DRAIN);
	f->now += QUANTUM_NS;
	cycle(f, QUANTUM);
	update(f);
	assert_false(f->state.drained);
	f->now += 20 * MS;
	update(f);
	assert_int_equal(f->state.pos, 1024 + 960); /* predicted to the end is not there */
	f->now += 1 * MS;
	update(f);
	assert_int_equal(f->state.pos, 2000);
	assert_false(f->state.drained);
	cycle(f, 2000 - QUANTUM);
	update(f);
	assert_true(f->state.drained);
	assert_int_equal(f->state.xruns, 0);
	f->now += 1 * S;
	update(f);
	assert_true(f->state.drained);
}

static void a_free_stream_drains_by_the_clock(void **state)
{
	struct fixture *f = *state;

	local_link_drop(&f->link);
	update(f);
	publish(f, 960);
	xaring_client_start(f->client, f->now, 0);
	xaring_client_drain(f->client, f->now);
	update(f);
	assert_false(f->state.drained);
	f->now += 19 * MS;
	update(f);
	assert_false(f->state.drained);
	f->now += 1 * MS;
	update(f);
	assert_true(f->state.drained);
}

/* What was played already cannot be taken back: there is nothing to wait for. */
static void a_drain_after_a_rewind_too_far_ends(void **state)
{
	struct fixture *f = *state;

	publish(f, 2000);
	xaring_client_start(f->client, f->now, 0);
	cycle(f, 0);
	update(f);
	f->now += QUANTUM_NS;
	cycle(f, QUANTUM);
	update(f);
	assert_int_equal(f->state.pos, QUANTUM);
	publish(f, 500);
	xaring_client_drain(f->client, f->now);
	f->now += QUANTUM_NS;
	cycle(f, 0);
	update(f);
	assert_true(f->state.attached);
	assert_true(f->state.drained);
}

static void a_free_drain_after_a_rewind_too_far_ends(void **state)
{
	struct fixture *f = *state;

	local_link_drop(&f->link);
	update(f);
	publish(f, 960);
	xaring_client_start(f->client, f->now, 0);
	f->now += 19 * MS;
	update(f);
	publish(f, 500);
	xaring_client_drain(f->client, f->now);
	update(f);
	assert_true(f->state.drained);
}

static void a_paused_stream_is_drained_after_resuming(void **state)
{
	struct fixture *f = *state;

	run(f);
	xaring_client_pause(f->client, f->now);
	xaring_client_drain(f->client, f->now);
	assert_int_equal(state_of(f), XARING_STATE_DRAINING);
	xaring_client_pause(f->client, f->now);
	assert_int_equal(state_of(f), XARING_STATE_PAUSED);
	xaring_client_resume(f->client, f->now);
	assert_int_equal(state_of(f), XARING_STATE_DRAINING);
	xaring_client_stop(f->client);
	xaring_client_drain(f->client, f->now);
	assert_int_equal(state_of(f), XARING_STATE_STOPPED);
}

static void frames_can_be_taken_back(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += QUANTUM_NS;
	cycle(f, QUANTUM);
	update(f);
	assert_int_equal(f->state.pos, QUANTUM);
	/* As far as the position, though the prediction will be beyond it at once. */
	publish(f, QUANTUM + 100);
	assert_int_equal(local_written(&f->link), QUANTUM + 100);
	f->now += 10 * MS;
	update(f);
	assert_int_equal(f->state.pos, QUANTUM + 100);
	/* The backend had taken more already: behind it is empty, not impossible. */
	cycle(f, 500);
	update(f);
	assert_true(f->state.linked);
	assert_int_equal(f->state.pos, QUANTUM + 100);
	publish(f, QUANTUM + 2000);
	update(f);
	assert_true(f->state.pos >= QUANTUM + 500);
}

static void the_delay_adds_what_is_downstream(void **state)
{
	struct fixture *f = *state;
	struct xaring_record record = {.frames = QUANTUM, .rate_mhz = 48000000, .delay = 3000};

	run(f);
	record.word = local_word(&f->link);
	record.time_ns = f->now;
	local_record(&f->link, &record);
	update(f);
	assert_int_equal(xaring_client_delay(f->client, f->now), BUFFER + 3000);
	assert_int_equal(xaring_client_delay(f->client, f->now + 10 * MS), BUFFER + 3000 - 480);
}

/* Both sides read their own clock; the client finds out how far apart they are. */
static void clocks_of_two_domains_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct xaring_accept accept = {.version = 1, .epoch = 1};
	uint64_t offset = 12345 * S;
	struct xaring_record record = {.frames = QUANTUM, .rate_mhz = 48000000};
	int control, data, data_read;

	accept.capacity = f->link.shape.capacity;
	accept.data_pages = f->link.shape.data_pages;
	xaring_pages_unmap(&f->link.pages);
	f->link.seq = 0;
	f->link.attach = 0;
	assert_int_equal(xaring_memfd_stream(&f->link.shape, &control, &data, &data_read), 0);
	assert_int_equal(xaring_pages_map(&f->link.pages, &f->link.shape, control, 0, data_read, 0,
					  false),
			 0);
	assert_int_equal(xaring_server_send_pages(f->link.fd, XARING_MESSAGE_RELINK, &accept,
						  control, data, f->server.status_fd),
			 0);
	close(control);
	close(data);
	close(data_read);
	update(f);
	assert_true(f->state.linked);
	local_attach(&f->link);
	update(f);
	assert_int_not_equal(xaring_load(&f->link.pages.control->guest.stamp), 0);
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	for (uint32_t i = 0; i < 40; i++) {
		/* Written now, seen a millisecond later. */
		record.word = local_word(&f->link);
		record.time_ns = f->now + offset;
		record.echo = xaring_load(&f->link.pages.control->guest.stamp);
		local_record(&f->link, &record);
		f->now += 1 * MS;
		update(f);
		f->now += QUANTUM_NS - 1 * MS;
		update(f);
		publish(f, f->state.pos + BUFFER);
		record.pos += QUANTUM;
	}
	record.word = local_word(&f->link);
	record.time_ns = f->now + offset;
	local_record(&f->link, &record);
	f->now += 10 * MS;
	update(f);
	/* At the time it says, not at the time it was seen: 480, give or take a millisecond. */
	assert_in_range(f->state.pos, record.pos + 416, record.pos + 544);
}

/* A program that looks four times less often than the backend: what it is told is as true. */
static void clocks_are_told_apart_by_a_seldom_look(void **state)
{
	struct fixture *f = *state;
	uint64_t offset = 12345 * S, first = 0;
	struct xaring_record record = {.frames = QUANTUM, .rate_mhz = 48000000};

	f->server.two_clocks = true;
	f->link.attach = 0;
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	update(f);
	local_attach(&f->link);
	update(f);
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	f->now += QUANTUM_NS; /* the stamp of this look is no better than the others */
	for (uint32_t i = 0; i <= 400; i++) {
		uint32_t echo = xaring_load(&f->link.pages.control->guest.stamp);

		if (echo != record.echo)
			first = f->now;
		record.word = local_word(&f->link);
		record.time_ns = f->now + offset;
		record.echo = echo;
		record.echo_age_ns = (uint32_t)(f->now - first);
		local_record(&f->link, &record);
		/* A quarter into the cycle. */
		f->now += QUANTUM_NS / 4;
		if (i % 4 == 0) {
			publish(f, record.pos + BUFFER);
			update(f);
		}
		f->now += QUANTUM_NS - QUANTUM_NS / 4;
		record.pos += QUANTUM;
	}
	/* Between the beginning of the cycle and its end: the middle is a quarter off. */
	assert_in_range(xaring_client_delay(f->client, f->now - QUANTUM_NS * 3 / 4),
			BUFFER - QUANTUM / 2 - 64, BUFFER - QUANTUM / 2 + 64);
}

static void it_wakes_when_the_position_will_be_there(void **state)
{
	struct fixture *f = *state;
	uint64_t start;

	run(f);
	start = f->now;
	assert_true(xaring_client_when(f->client, f->now, 480) == start + 10 * MS);
	assert_true(xaring_client_when(f->client, f->now, QUANTUM) == start + QUANTUM_NS + 1);
	f->now += 10 * MS;
	update(f);
	assert_true(xaring_client_when(f->client, f->now, 480) == f->now);
}

/* Beyond the quantum it looks for the next record, soon after it is due, and then less and less. */
static void it_wakes_for_a_late_record_but_seldom(void **state)
{
	struct fixture *f = *state;
	uint64_t start, when, last;
	uint32_t wakes = 0;

	run(f);
	start = f->now;
	when = xaring_client_when(f->client, f->now, QUANTUM + 16);
	assert_true(when == start + QUANTUM_NS + 500000);
	last = 0;
	while (f->now < start + 99 * MS) {
		f->now = when;
		update(f);
		when = xaring_client_when(f->client, f->now, QUANTUM + 16);
		assert_true(when > f->now);
		if (!f->state.attached)
			break;
		assert_true(when - f->now >= last || when == start + 100 * MS);
		last = when - f->now < 8 * MS ? when - f->now : 8 * MS;
		wakes++;
	}
	assert_in_range(wakes, 8, 16);
}

static void it_wakes_often_enough_for_the_first_record(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->now, when;
	uint32_t wakes = 0, early = 0;

	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	for (;;) {
		update(f);
		when = xaring_client_when(f->client, f->now, 16);
		if (when >= start + 2 * S)
			break;
		assert_true(when > f->now);
		assert_true(when - f->now <= 32 * MS);
		f->now = when;
		wakes++;
		if (f->now < start + 20 * MS)
			early++;
	}
	assert_in_range(early, 8, 20);
	assert_in_range(wakes, 40, 120);
}

static void it_wakes_at_least_once_a_second(void **state)
{
	struct fixture *f = *state;

	local_link_drop(&f->link);
	local_server_vanish(&f->server);
	update(f);
	publish(f, BUFFER);
	xaring_client_start(f->client, f->now, 0);
	update(f);
	assert_true(xaring_client_when(f->client, f->now, 960) == f->now + 20 * MS);
	f->now += 1 * MS;
	assert_true(xaring_client_when(f->client, f->now, 1000000) <= f->now + 1 * S);
	/* To look for the server, too. */
	update(f);
	assert_true(xaring_client_when(f->client, f->now, 1000000) <= f->now + 500 * MS);
	f->now += 3 * S;
	assert_true(xaring_client_when(f->client, f->now, 1000000) >= f->now);
	/* And when one is there that does not answer. */
	local_server_listen(&f->server);
	update(f);
	assert_true(local_server_waits(&f->server));
	assert_true(xaring_client_when(f->client, f->now, 1000000) == f->now + 1 * S);
}

/* A backend that says nothing may attach at any time. */
static void it_looks_for_an_attach(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->now += 100 * MS;
	update(f);
	assert_false(f->state.attached);
	assert_true(xaring_client_when(f->client, f->now, 1000000) == f->now + 100 * MS);
}

/* ThreadSanitizer makes system calls of its own, and has a thread that ends with the process only. */
#ifdef XARING_TSAN
static void forbid_system_calls(void)
{
}

static void leave(int code)
{
	_exit(code);
}
#else
static void forbid_system_calls(void)
{
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
		_exit(3);
}

/* The one call for this that is left. */
static void leave(int code)
{
	syscall(SYS_exit, code);
}
#endif

/* In a child that dies at any system call. */
static void steady_play(struct fixture *f)
{
	uint32_t frames[256] = {0};

	xaring_client_arm(f->client, f->now);
	forbid_system_calls();
	for (uint32_t i = 0; i < 2000; i++) {
		f->now += QUANTUM_NS / 4;
		if (i % 4 == 0)
			cycle(f, QUANTUM);
		xaring_client_write(f->client, BUFFER + i * 256, frames, 256);
		xaring_client_publish(f->client, BUFFER + i * 256 + 256);
		for (uint32_t look = 0; look < 3; look++)
			xaring_client_update(f->client, f->now, &f->state);
		(void)xaring_client_when(f->client, f->now, f->state.pos + 256);
		xaring_client_arm(f->client, 5 * S + i % 100 * 1000); /* the same, nearly */
		(void)xaring_client_delay(f->client, f->now);
	}
	leave(f->state.attached ? 0 : 4);
}

static void a_steady_stream_makes_no_system_call(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	run(f);
	pid = fork();
	if (pid == 0) {
		publish(f, BUFFER); /* the child is the user now */
		steady_play(f);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Its time goes on from the start; the backend is asked to begin where it is then. */
static void begin_capture(struct fixture *f)
{
	xaring_client_start(f->client, f->now, 0);
	assert_int_equal(attach_of(f), 0);
	local_attach(&f->link);
	update(f);
	cycle(f, 0);
	update(f);
}

static void assert_frames(struct fixture *f, uint32_t index, uint32_t from, uint32_t step)
{
	uint32_t frames[64];

	xaring_client_read(f->client, index, frames, 64);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(frames[i], from + i * step);
}

/* Of a guest, which has read 64 frames and not 64 that were delivered as well. */
static struct fixture *capture_in_guest(bool two_clocks)
{
	struct xaring_params params = stereo;
	struct fixture *f;
	uint32_t *data;

	params.direction = XARING_CAPTURE;
	f = fixture_at(&params, two_clocks);
	data = f->link.pages.data;
	for (uint32_t i = 0; i < f->link.shape.capacity; i++)
		data[i] = i + 7;
	begin_capture(f);
	f->now += QUANTUM_NS;
	cycle(f, QUANTUM);
	update(f);
	f->now += 10 * MS;
	update(f);
	assert_frames(f, 0, 7, 1);
	publish(f, 64);
	return f;
}

static void capture_reads_what_is_delivered(void **state)
{
	struct fixture *f = capture_in_guest(false);
	uint32_t frames[64];

	*state = f;
	assert_true(f->state.attached);
	assert_int_equal(f->state.pos, 480);
	assert_int_equal(local_written(&f->link), 64);
	/* Nobody delivers any more: after what is there comes silence, and the clock goes on. */
	f->now += 200 * MS;
	update(f);
	update(f);
	assert_false(f->state.attached);
	assert_frames(f, QUANTUM - 64, QUANTUM - 64 + 7, 1);
	assert_frames(f, QUANTUM, 0, 0);
	/* More than the ring holds is no request. */
	xaring_client_read(f->client, 0, frames, f->link.shape.capacity + 1);
}

/* What was never delivered is silence, and not what the ring had there a round before. */
static void capture_has_no_echo(void **state)
{
	struct xaring_params params = stereo;
	struct fixture *f;
	uint32_t *data, base;

	params.direction = XARING_CAPTURE;
	f = fixture_with(&params);
	*state = f;
	data = f->link.pages.data;
	for (uint32_t i = 0; i < f->link.shape.capacity; i++)
		data[i] = 7;
	begin_capture(f);
	cycle(f, QUANTUM);
	update(f);
	f->now += 120 * MS;
	update(f);
	assert_false(f->state.attached);
	f->now += 20 * MS;
	update(f);
	base = f->state.pos;
	assert_true(base > QUANTUM);
	local_attach(&f->link);
	update(f);
	f->consumed = base;
	cycle(f, QUANTUM);
	update(f);
	f->now += QUANTUM_NS;
	update(f);
	assert_true(f->state.attached);
	assert_frames(f, QUANTUM - 64, 7, 0);
	assert_frames(f, QUANTUM, 0, 0);
	assert_frames(f, base - 64, 0, 0);
	assert_frames(f, base, 7, 0);
}

static void capture_of_silence_takes_its_time(void **state)
{
	struct xaring_params params = stereo;
	struct fixture *f;

	params.direction = XARING_CAPTURE;
	f = fixture_with(&params);
	*state = f;
	xaring_client_start(f->client, f->now, 0);
	for (uint32_t i = 1; i <= 10; i++) {
		f->now += 10 * MS;
		update(f);
		assert_int_equal(f->state.pos, i * 480);
		publish(f, i * 480);
	}
}

static void backend_says(struct fixture *f, uint32_t flags)
{
	xaring_store(&f->link.pages.control->backend.flags, flags);
}

static struct fixture *capture_allowed(void **state)
{
	struct xaring_params params = stereo;
	struct fixture *f;

	params.direction = XARING_CAPTURE;
	f = fixture_with(&params);
	*state = f;
	backend_says(f, XARING_FLAG_CAPTURE_ALLOWED);
	xaring_client_start(f->client, f->now, 0);
	f->now += 100 * MS;
	update(f);
	assert_int_equal(f->state.pos, 0);
	return f;
}

/* As playback does: what one of the two is ahead at its start stays in a program's buffer. */
static void capture_begins_with_the_graph(void **state)
{
	struct fixture *f = capture_allowed(state);

	local_attach(&f->link);
	update(f);
	cycle(f, QUANTUM);
	update(f);
	f->now += 10 * MS;
	update(f);
	assert_true(f->state.attached);
	assert_int_equal(f->state.pos, 480);
}

static void capture_does_not_wait_for_what_will_not_come(void **state)
{
	static const uint32_t flags[] = {XARING_FLAG_CAPTURE_ALLOWED | XARING_FLAG_NO_SINK, 0};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct fixture *f = capture_allowed(state);

		backend_says(f, flags[i]);
		update(f);
		f->now += 10 * MS;
		update(f);
		assert_int_equal(f->state.pos, 480);
		if (i == 0)
			fixture_free(state);
	}
}

static void capture_does_not_wait_for_long(void **state)
{
	struct fixture *f = capture_allowed(state);

	f->now += 250 * MS;
	update(f);
	assert_int_equal(f->state.pos, 4800);
}

static void capture_goes_on_in_new_pages(void **state)
{
	struct xaring_params params = stereo;
	struct fixture *f;
	uint32_t frames[64];

	params.direction = XARING_CAPTURE;
	params.format = XARING_FORMAT_U8;
	f = fixture_with(&params);
	*state = f;
	begin_capture(f);
	memset(f->link.pages.data, 9, 256);
	cycle(f, 128);
	f->now += 50 * MS;
	update(f);
	local_link_drop(&f->link);
	f->now += 200 * MS;
	update(f);
	update(f);
	assert_false(f->state.linked);
	xaring_client_read(f->client, 0, frames, 64);
	assert_int_equal(frames[0], 0x09090909);
	xaring_client_read(f->client, 128, frames, 64);
	assert_int_equal(frames[0], 0x80808080); /* U8's silence */
}

/* The newest record may be of a moment after that at which the frames were saved of which it tells. */
static void capture_distrusts_what_was_saved(void **state)
{
	struct fixture *f = capture_in_guest(true);

	*state = f;
	cycle(f, QUANTUM);
	slept_ns += 300 * MS;
	update(f);
	assert_frames(f, 64, 0, 0);
	publish(f, 128);
	f->now += 10 * MS;
	update(f);
	assert_frames(f, 128, 0, 0);
	/* It was saved and not restored: nobody else has its pages, and goes on. */
	cycle(f, QUANTUM);
	update(f);
	assert_frames(f, 128, 128 + 7, 1);
}

static void capture_is_saved_while_it_reads(void **state)
{
	struct fixture *f = capture_in_guest(true);

	*state = f;
	cycle(f, QUANTUM);
	update(f);
	sleeps_after = 1;
	assert_frames(f, 64, 0, 0);
	publish(f, 128);
	update(f);
	assert_frames(f, 128, 0, 0);
}

/* Nothing of before is carried over, neither by the client nor as a part of what comes then. */
static void capture_goes_on_after_a_restore(void **state)
{
	struct fixture *f = capture_in_guest(true);
	uint32_t *data, base;

	*state = f;
	cycle(f, QUANTUM);
	slept_ns += 300 * MS;
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	local_attach(&f->link);
	data = f->link.pages.data;
	for (uint32_t i = 0; i < f->link.shape.capacity; i++)
		data[i] = 9;
	xaring_client_woken(f->client, f->now);
	f->now += MS;
	update(f);
	update(f);
	base = local_base(&f->link);
	assert_int_not_equal(attach_of(f), 0);
	f->consumed = base;
	cycle(f, QUANTUM);
	update(f);
	f->now += QUANTUM_NS;
	update(f);
	assert_true(f->state.attached);
	for (uint32_t at = 64; at + 64 <= base; at += 64)
		assert_frames(f, at, 0, 0);
	assert_frames(f, base, 9, 0);
}

/* Of a program in dom0, nobody saves a part. */
static void capture_goes_on_after_the_machine_slept(void **state)
{
	struct fixture *f = capture_in_guest(false);

	*state = f;
	slept_ns += 300 * MS;
	update(f);
	assert_frames(f, 64, 64 + 7, 1);
}

static void set_volume(struct fixture *f, uint32_t volume, uint32_t flags)
{
	xaring_store(&f->server.status->volume, volume);
	xaring_store(&f->server.status->flags, XARING_STATUS_BACKEND | flags);
}

/* Writes frames of one value. */
static void write_level_unseen(struct fixture *f, uint32_t index, uint32_t frames)
{
	int16_t level[2 * BUFFER];

	for (uint32_t i = 0; i < 2 * frames; i++)
		level[i] = 8000;
	xaring_client_write(f->client, index, level, frames);
}

/* Returns what the backend finds in the place of the last one. */
static int16_t write_level(struct fixture *f, uint32_t index, uint32_t frames)
{
	const int16_t *data = f->link.pages.data;

	write_level_unseen(f, index, frames);
	return data[2 * ((index + frames - 1) % f->link.shape.capacity)];
}

static uint32_t told_volume(const struct fixture *f)
{
	return xaring_load(&f->link.pages.control->guest.volume);
}

static void the_volume_of_the_server_is_applied_and_told(void **state)
{
	struct fixture *f = *state;
	const int16_t *data = f->link.pages.data;

	assert_int_equal(told_volume(f), XARING_VOLUME_TOLD | XARING_VOLUME_UNITY);
	assert_int_equal(write_level(f, 0, 1000), 8000);
	set_volume(f, XARING_VOLUME_UNITY / 4, 0);
	assert_int_equal(write_level(f, 1000, 1000), 2000);
	assert_int_equal(data[2 * 1000], 8000); /* by a ramp */
	assert_int_equal(data[2 * 1240], 5000);
	update(f);
	assert_int_equal(told_volume(f), XARING_VOLUME_TOLD | XARING_VOLUME_UNITY / 4);
	set_volume(f, XARING_VOLUME_UNITY / 4, XARING_STATUS_GUEST_MUTED);
	assert_int_equal(write_level(f, 2000, 1000), 0);
	update(f);
	assert_int_equal(told_volume(f),
			 XARING_VOLUME_TOLD | XARING_VOLUME_MUTED | XARING_VOLUME_UNITY / 4);
	/* A server that says more than there is. */
	set_volume(f, UINT32_MAX, 0);
	assert_int_equal(write_level(f, 3000, 1000), 8000);
	update(f);
	assert_int_equal(told_volume(f), XARING_VOLUME_TOLD | XARING_VOLUME_UNITY);
}

/* In pieces that no buffer of the client's is as long as. */
static void the_first_volume_comes_without_a_ramp(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xaring_refusal refusal;
	struct local_link *l = &f->link;

	*state = f;
	f->descriptors = open_descriptors();
	f->now = 5 * S;
	local_server_open(&f->server, true);
	set_volume(f, XARING_VOLUME_UNITY / 2, 0);
	assert_int_equal(xaring_client_create(f->server.path, "a test", &f->client), 0);
	assert_int_equal(xaring_client_setup(f->client, &stereo, 0, &refusal), 0);
	local_link_up(&f->server, l);
	update(f);
	update(f);
	assert_true(f->state.linked);
	assert_int_equal(told_volume(f), XARING_VOLUME_TOLD | XARING_VOLUME_UNITY / 2);
	assert_int_equal(write_level(f, 0, 4096), 4000);
	for (uint32_t i = 0; i < 2 * 4096; i++)
		assert_int_equal(((const int16_t *)l->pages.data)[i], 4000);
}

/* What is written while the server is away may be heard when it is back. */
static void the_volume_stays_while_the_server_is_away(void **state)
{
	struct fixture *f = *state;
	struct local_link again = {0};

	set_volume(f, XARING_VOLUME_UNITY / 4, 0);
	assert_int_equal(write_level(f, 0, 1000), 2000);
	publish(f, 1000);
	local_link_drop(&f->link);
	update(f);
	assert_false(f->state.linked);
	write_level_unseen(f, 1000, 1000);
	publish(f, 2000);
	f->now += 1 * S;
	update(f);
	f->now += 1 * S;
	update(f);
	f->link = again;
	local_link_up(&f->server, &f->link);
	update(f);
	update(f);
	assert_true(f->state.linked);
	for (uint32_t i = 0; i < 2 * 2000; i++)
		assert_int_equal(((const int16_t *)f->link.pages.data)[i], 2000);
}

/* Before any server had said how loud it is. */
static void what_waited_for_the_first_server_is_as_loud_as_it_says(void **state)
{
	struct fixture *f = *state;
	struct xaring_refusal refusal;

	xaring_client_release(f->client);
	local_link_drop(&f->link);
	local_server_vanish(&f->server);
	set_volume(f, XARING_VOLUME_UNITY / 8, 0);
	assert_int_equal(xaring_client_setup(f->client, &stereo, 0, &refusal), 0);
	write_level_unseen(f, 0, 3000);
	publish(f, 3000);
	local_server_listen(&f->server);
	f->now += 1 * S;
	update(f);
	f->now += 1 * S;
	update(f);
	memset(&f->link, 0, sizeof(f->link));
	local_link_up(&f->server, &f->link);
	update(f);
	update(f);
	assert_true(f->state.linked);
	for (uint32_t i = 0; i < 2 * 3000; i++)
		assert_int_equal(((const int16_t *)f->link.pages.data)[i], 1000);
	/* And without a ramp between the two. */
	write_level(f, 3000, 100);
	assert_int_equal(((const int16_t *)f->link.pages.data)[2 * 3000], 1000);
}

/* What comes after a stop follows nothing, and may have the place of what was written before. */
static void a_stop_is_the_end_of_a_volume(void **state)
{
	struct fixture *f = *state;
	const int16_t *data = f->link.pages.data;

	assert_int_equal(write_level(f, 0, 3000), 8000);
	xaring_client_start(f->client, f->now, 0);
	set_volume(f, 0, 0);
	write_level(f, 3000, 1000);
	xaring_client_stop(f->client);
	write_level(f, 500, 1000);
	for (uint32_t i = 2 * 500; i < 2 * 1500; i++)
		assert_int_equal(data[i], 0);
}

static void new_pages_are_told_the_volume(void **state)
{
	struct fixture *f = *state;

	set_volume(f, 7, 0);
	update(f);
	f->link.attach = 0;
	local_link_give(&f->server, &f->link, XARING_MESSAGE_RELINK);
	update(f);
	update(f);
	assert_int_equal(told_volume(f), XARING_VOLUME_TOLD | 7);
}

static void a_write_beyond_the_ring_is_none(void **state)
{
	struct fixture *f = *state;

	xaring_client_write(f->client, 0, "", f->link.shape.capacity + 1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(a_stopped_stream_answers_attach_at_once),
		WITH_FIXTURE(start_waits_for_the_first_record),
		WITH_FIXTURE(start_runs_free_after_two_seconds),
		WITH_FIXTURE(start_runs_free_at_once_without_backend),
		WITH_FIXTURE(a_stream_in_the_void_runs_free),
		WITH_FIXTURE(the_position_follows_the_records),
		WITH_FIXTURE(a_silent_backend_is_withdrawn_from),
		WITH_FIXTURE(it_attaches_again_where_it_is),
		WITH_FIXTURE(an_attach_while_it_runs_begins_at_the_reported_position),
		WITH_FIXTURE(endless_attaches_do_not_hold_the_position),
		WITH_FIXTURE(a_start_is_patient_but_once),
		WITH_FIXTURE(records_of_another_word_are_not_followed),
		WITH_FIXTURE(an_impossible_record_breaks_the_link),
		WITH_FIXTURE(gaps_are_counted_from_the_start),
		WITH_FIXTURE(a_prediction_at_the_end_is_no_gap),
		WITH_FIXTURE(stop_is_told_and_is_idempotent),
		WITH_FIXTURE(pause_keeps_everything),
		WITH_FIXTURE(an_unread_record_does_not_end_the_wait),
		WITH_FIXTURE(a_record_across_the_pause_does_not_end_the_wait),
		WITH_FIXTURE(a_paused_stream_answers_attach),
		WITH_FIXTURE(a_stream_that_ran_free_resumes_without_attach),
		WITH_FIXTURE(resume_without_backend_runs_free),
		WITH_FIXTURE(drained_is_what_a_record_says),
		WITH_FIXTURE(a_free_stream_drains_by_the_clock),
		WITH_FIXTURE(a_drain_after_a_rewind_too_far_ends),
		WITH_FIXTURE(a_free_drain_after_a_rewind_too_far_ends),
		WITH_FIXTURE(a_paused_stream_is_drained_after_resuming),
		WITH_FIXTURE(frames_can_be_taken_back),
		WITH_FIXTURE(the_delay_adds_what_is_downstream),
		WITH_FIXTURE(clocks_of_two_domains_are_told_apart),
		WITH_FIXTURE(clocks_are_told_apart_by_a_seldom_look),
		WITH_FIXTURE(it_wakes_when_the_position_will_be_there),
		WITH_FIXTURE(it_wakes_for_a_late_record_but_seldom),
		WITH_FIXTURE(it_wakes_often_enough_for_the_first_record),
		WITH_FIXTURE(it_wakes_at_least_once_a_second),
		WITH_FIXTURE(it_looks_for_an_attach),
		WITH_FIXTURE(a_steady_stream_makes_no_system_call),
		WITH_FIXTURE(the_volume_of_the_server_is_applied_and_told),
		cmocka_unit_test_teardown(the_first_volume_comes_without_a_ramp, fixture_free),
		WITH_FIXTURE(the_volume_stays_while_the_server_is_away),
		WITH_FIXTURE(what_waited_for_the_first_server_is_as_loud_as_it_says),
		WITH_FIXTURE(a_stop_is_the_end_of_a_volume),
		WITH_FIXTURE(new_pages_are_told_the_volume),
		cmocka_unit_test_teardown(capture_reads_what_is_delivered, fixture_free),
		cmocka_unit_test_teardown(capture_has_no_echo, fixture_free),
		cmocka_unit_test_teardown(capture_of_silence_takes_its_time, fixture_free),
		cmocka_unit_test_teardown(capture_begins_with_the_graph, fixture_free),
		cmocka_unit_test_teardown(capture_does_not_wait_for_what_will_not_come,
					  fixture_free),
		cmocka_unit_test_teardown(capture_does_not_wait_for_long, fixture_free),
		cmocka_unit_test_teardown(capture_goes_on_in_new_pages, fixture_free),
		cmocka_unit_test_teardown(capture_distrusts_what_was_saved, fixture_free),
		cmocka_unit_test_teardown(capture_is_saved_while_it_reads, fixture_free),
		cmocka_unit_test_teardown(capture_goes_on_after_a_restore, fixture_free),
		cmocka_unit_test_teardown(capture_goes_on_after_the_machine_slept, fixture_free),
		WITH_FIXTURE(a_write_beyond_the_ring_is_none),
	};

	return cmocka_run_group_tests_name("client-follow", tests, NULL, NULL);
}
