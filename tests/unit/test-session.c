/* SPDX-License-Identifier: MIT */
/* The states of a stream in the worker: what happens to its node, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "session.h"

#define SECOND UINT64_C(1000000000)

static struct session_look looks(int guest)
{
	return (struct session_look){.linked = true, .guest = guest};
}

/* A stream that was linked while its guest was in that state. */
static struct session linked(int guest)
{
	struct session_look look = looks(guest);
	struct session s;

	session_init(&s, false);
	session_linked(&s, &look);
	return s;
}

/* One second in which the graph ran, or did not run, the node. */
static uint32_t second(struct session *s, struct session_look *look, bool ran)
{
	if (ran)
		look->cycles += 47;
	return session_sweep(s, look);
}

static void test_link_stopped_guest_gets_inactive_node(void **state)
{
	struct session_look look = looks(XARING_STATE_STOPPED);
	struct session s;

	(void)state;
	session_init(&s, false);
	assert_int_equal(session_linked(&s, &look), SESSION_DO_CREATE);
	assert_int_equal(s.phase, SESSION_IDLE);
	assert_int_equal(session_linked(&s, &look), 0);
}

static void test_link_running_guest_gets_active_node(void **state)
{
	struct session_look look = looks(XARING_STATE_RUNNING);
	struct session s;

	(void)state;
	session_init(&s, false);
	assert_int_equal(session_linked(&s, &look), SESSION_DO_CREATE | SESSION_DO_ACTIVATE);
	assert_int_equal(s.phase, SESSION_ACTIVE);
}

static void test_kick_of_running_guest_activates(void **state)
{
	struct session s = linked(XARING_STATE_STOPPED);
	struct session_look look = looks(XARING_STATE_STOPPED);

	(void)state;
	assert_int_equal(session_kick(&s, &look), 0);
	look.guest = XARING_STATE_PAUSED;
	assert_int_equal(session_kick(&s, &look), 0);
	look.guest = -EPROTO;
	assert_int_equal(session_kick(&s, &look), 0);
	look.guest = XARING_STATE_RUNNING;
	assert_int_equal(session_kick(&s, &look), SESSION_DO_ACTIVATE);
	assert_int_equal(session_kick(&s, &look), 0);
}

static void test_kick_of_draining_guest_activates_unless_drained(void **state)
{
	struct session s = linked(XARING_STATE_STOPPED);
	struct session_look look = looks(XARING_STATE_DRAINING);

	(void)state;
	look.drained = true;
	assert_int_equal(session_kick(&s, &look), 0);
	look.drained = false;
	assert_int_equal(session_kick(&s, &look), SESSION_DO_ACTIVATE);
}

static void test_kick_without_pipewire_does_nothing(void **state)
{
	struct session_look look = looks(XARING_STATE_RUNNING);
	struct session s;

	(void)state;
	session_init(&s, false);
	assert_int_equal(session_kick(&s, &look), 0);
	assert_int_equal(s.phase, SESSION_WAITING);
}

static void test_sweep_finds_a_start_whose_kick_was_lost(void **state)
{
	struct session s = linked(XARING_STATE_STOPPED);
	struct session_look look = looks(XARING_STATE_RUNNING);

	(void)state;
	assert_int_equal(session_sweep(&s, &look), SESSION_DO_ACTIVATE);
}

static void test_quiet_for_a_while_deactivates(void **state)
{
	static const int quiet[] = {XARING_STATE_STOPPED, XARING_STATE_PAUSED,
				    XARING_STATE_DRAINING};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct session s = linked(XARING_STATE_RUNNING);
		struct session_look look = looks(quiet[i]);

		look.drained = true;
		for (uint32_t n = 1; n < SESSION_QUIET_SWEEPS; n++)
			assert_int_equal(second(&s, &look, true), 0);
		assert_int_equal(second(&s, &look, true), SESSION_DO_DEACTIVATE);
		assert_int_equal(s.phase, SESSION_IDLE);
		assert_int_equal(second(&s, &look, false), 0);
	}
}

static void test_quiet_is_counted_in_a_row(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);
	struct session_look look = looks(XARING_STATE_PAUSED);

	(void)state;
	for (int i = 0; i < 10; i++) {
		look.guest = XARING_STATE_PAUSED;
		assert_int_equal(second(&s, &look, true), 0);
		look.guest = XARING_STATE_RUNNING;
		assert_int_equal(second(&s, &look, true), 0);
	}
	look.guest = XARING_STATE_PAUSED;
	assert_int_equal(second(&s, &look, true), 0);
	session_kick(&s, &look);
	assert_int_equal(second(&s, &look, true), 0);
}

static void test_loss_and_return_of_pipewire(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);
	struct session_look look = looks(XARING_STATE_RUNNING);

	(void)state;
	assert_int_equal(session_lost(&s), SESSION_DO_DESTROY);
	assert_int_equal(session_lost(&s), 0);
	look.linked = false;
	assert_int_equal(session_sweep(&s, &look), 0);
	look.linked = true;
	assert_int_equal(session_linked(&s, &look), SESSION_DO_CREATE | SESSION_DO_ACTIVATE);
}

static void test_failed_node_is_tried_again_by_the_sweep(void **state)
{
	struct session s = linked(XARING_STATE_STOPPED);
	struct session_look look = looks(XARING_STATE_STOPPED);

	(void)state;
	assert_int_equal(session_failed(&s), SESSION_DO_DESTROY);
	assert_int_equal(session_sweep(&s, &look), SESSION_DO_CREATE);
}

static void test_stalled_node_is_made_anew_less_and_less_often(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);
	struct session_look look = looks(XARING_STATE_RUNNING);
	uint32_t anew = SESSION_DO_DESTROY | SESSION_DO_CREATE | SESSION_DO_ACTIVATE;
	uint32_t patience = SESSION_STALL_SWEEPS;

	(void)state;
	for (int round = 0; round < 8; round++) {
		for (uint32_t n = 1; n < patience; n++)
			assert_int_equal(second(&s, &look, false), 0);
		assert_int_equal(second(&s, &look, false), anew);
		if (patience < SESSION_STALL_SWEEPS_MAX)
			patience *= 2;
	}
	assert_int_equal(patience, SESSION_STALL_SWEEPS_MAX);
	assert_int_equal(second(&s, &look, true), 0);
	assert_int_equal(s.patience, SESSION_STALL_SWEEPS);
}

static void test_new_manager_renews_what_is_not_run(void **state)
{
	uint32_t anew = SESSION_DO_DESTROY | SESSION_DO_CREATE;
	struct session idle = linked(XARING_STATE_STOPPED);
	struct session active = linked(XARING_STATE_RUNNING);
	struct session waiting;

	(void)state;
	session_init(&waiting, false);
	assert_int_equal(session_manager_came(&waiting, false), 0);
	assert_int_equal(session_manager_came(&idle, false), anew);
	assert_int_equal(session_manager_came(&active, true), 0);
	assert_int_equal(session_manager_came(&active, false), anew | SESSION_DO_ACTIVATE);
	session_end(&active);
	assert_int_equal(session_manager_came(&active, false), 0);
}

static void test_broken_pump_condemns(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);
	struct session_look look = looks(XARING_STATE_RUNNING);

	(void)state;
	look.reason = XARING_REASON_COUNTER;
	assert_int_equal(session_sweep(&s, &look), SESSION_DO_CONDEMN | SESSION_DO_DESTROY);
	assert_int_equal(s.phase, SESSION_BROKEN);
	assert_int_equal(s.reason, XARING_REASON_COUNTER);
	assert_int_equal(session_sweep(&s, &look), 0);
	assert_int_equal(session_kick(&s, &look), 0);
	assert_int_equal(session_linked(&s, &look), 0);
	assert_int_equal(session_lost(&s), 0);
	assert_int_equal(session_end(&s), SESSION_DO_DETACH | SESSION_DO_FREE);
}

static void test_impossible_word_condemns_without_a_cycle(void **state)
{
	struct session_look look = looks(-EPROTO);
	struct session s;

	(void)state;
	session_init(&s, false);
	look.linked = false;
	assert_int_equal(session_sweep(&s, &look), SESSION_DO_CONDEMN);
	assert_int_equal(s.reason, XARING_REASON_WORD);
}

static void test_guest_that_left_has_no_node(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);
	struct session_look look = looks(XARING_STATE_RUNNING);
	struct session_report report;
	struct session waiting;

	(void)state;
	look.left = true;
	assert_int_equal(session_sweep(&s, &look), SESSION_DO_DESTROY);
	assert_int_equal(session_sweep(&s, &look), 0);
	assert_int_equal(session_kick(&s, &look), 0);
	assert_int_equal(session_linked(&s, &look), 0);
	assert_int_equal(session_lost(&s), 0);
	assert_int_equal(session_manager_came(&s, false), 0);
	/* It is no fault of the guest's. */
	assert_true(session_report(&s, &look, SECOND, &report));
	assert_int_equal(report.backend, XARING_BACKEND_ACCEPTED);
	/* But it records no more: what was allowed until then is over. */
	assert_int_equal(report.state, XARING_STATE_STOPPED);
	assert_int_equal(session_end(&s), SESSION_DO_DETACH | SESSION_DO_FREE);
	session_init(&waiting, false);
	look.linked = false;
	assert_int_equal(session_sweep(&waiting, &look), 0);
	assert_int_equal(session_end(&waiting), SESSION_DO_DETACH | SESSION_DO_FREE);
}

static void test_end_of_active_stream_lingers(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);
	struct session_look look = looks(XARING_STATE_STOPPED);

	(void)state;
	assert_int_equal(session_end(&s), SESSION_DO_DETACH | SESSION_DO_LINGER);
	assert_int_equal(s.phase, SESSION_TAIL);
	assert_int_equal(session_end(&s), 0);
	assert_int_equal(session_sweep(&s, &look), 0);
	assert_int_equal(session_tail_over(&s), SESSION_DO_DESTROY | SESSION_DO_FREE);
	assert_int_equal(session_tail_over(&s), 0);
}

static void test_end_of_tail_when_pipewire_goes(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);

	(void)state;
	session_end(&s);
	assert_int_equal(session_lost(&s), SESSION_DO_DESTROY | SESSION_DO_FREE);
}

static void test_end_of_others_is_at_once(void **state)
{
	struct session idle = linked(XARING_STATE_PAUSED);
	struct session waiting;

	(void)state;
	session_init(&waiting, false);
	assert_int_equal(session_end(&idle),
			 SESSION_DO_DETACH | SESSION_DO_DESTROY | SESSION_DO_FREE);
	assert_int_equal(session_end(&waiting), SESSION_DO_DETACH | SESSION_DO_FREE);
}

/* ---- streams that record ---- */

/* Linked, while the guest is in that state, and may record. */
static struct session recorder(int guest, struct session_look *look)
{
	struct session s;

	*look = looks(guest);
	look->allowed = true;
	session_init(&s, true);
	session_linked(&s, look);
	return s;
}

static void test_recorder_has_a_node_while_it_records_only(void **state)
{
	struct session_look look;
	struct session s = recorder(XARING_STATE_STOPPED, &look);

	(void)state;
	assert_int_equal(s.phase, SESSION_IDLE);
	assert_int_equal(session_manager_came(&s, false), 0);
	assert_int_equal(session_sweep(&s, &look), 0);
	look.guest = XARING_STATE_RUNNING;
	assert_int_equal(session_kick(&s, &look), SESSION_DO_CREATE | SESSION_DO_ACTIVATE);
	assert_int_equal(session_kick(&s, &look), 0);
	look.guest = XARING_STATE_STOPPED;
	assert_int_equal(session_sweep(&s, &look), SESSION_DO_DESTROY);
	assert_int_equal(s.phase, SESSION_IDLE);
	look.guest = XARING_STATE_DRAINING;
	assert_int_equal(session_kick(&s, &look), 0);
	look.guest = XARING_STATE_PAUSED;
	assert_int_equal(session_kick(&s, &look), 0);
	look.guest = XARING_STATE_RUNNING;
	assert_int_equal(session_sweep(&s, &look), SESSION_DO_CREATE | SESSION_DO_ACTIVATE);
	assert_int_equal(session_manager_came(&s, false),
			 SESSION_DO_DESTROY | SESSION_DO_CREATE | SESSION_DO_ACTIVATE);
	assert_int_equal(session_end(&s), SESSION_DO_DETACH | SESSION_DO_DESTROY | SESSION_DO_FREE);
}

static void test_recorder_that_runs_when_pipewire_comes(void **state)
{
	struct session_look look = looks(XARING_STATE_RUNNING);
	struct session s;

	(void)state;
	look.allowed = true;
	session_init(&s, true);
	assert_int_equal(session_linked(&s, &look), SESSION_DO_CREATE | SESSION_DO_ACTIVATE);
	assert_int_equal(session_lost(&s), SESSION_DO_DESTROY);
	assert_int_equal(session_end(&s), SESSION_DO_DETACH | SESSION_DO_FREE);
}

static void test_recorder_without_permission_has_no_node(void **state)
{
	struct session_look look;
	struct session s = recorder(XARING_STATE_RUNNING, &look);

	(void)state;
	assert_int_equal(s.phase, SESSION_ACTIVE);
	look.allowed = false;
	assert_int_equal(session_revoked(&s), SESSION_DO_DESTROY);
	assert_int_equal(session_revoked(&s), 0);
	assert_int_equal(session_kick(&s, &look), 0);
	assert_int_equal(session_sweep(&s, &look), 0);
	look.allowed = true;
	assert_int_equal(session_kick(&s, &look), SESSION_DO_CREATE | SESSION_DO_ACTIVATE);
}

static void test_recorder_that_nobody_reads_lets_go(void **state)
{
	struct session_look look;
	struct session s = recorder(XARING_STATE_RUNNING, &look);

	(void)state;
	look.moved = 1000;
	assert_int_equal(second(&s, &look, true), 0);
	for (uint32_t i = 1; i < SESSION_UNREAD_SWEEPS; i++)
		assert_int_equal(second(&s, &look, true), 0);
	assert_int_equal(second(&s, &look, true), SESSION_DO_DESTROY);
	assert_int_equal(s.phase, SESSION_IDLE);
	assert_int_equal(second(&s, &look, false), 0);
	assert_int_equal(session_kick(&s, &look), 0);
	look.read = 1;
	assert_int_equal(second(&s, &look, false), SESSION_DO_CREATE | SESSION_DO_ACTIVATE);
	/* It counts anew; and where the graph does not run, nothing could be read. */
	for (uint32_t i = 1; i < SESSION_UNREAD_SWEEPS; i++)
		assert_int_equal(second(&s, &look, true), 0);
	assert_int_equal(second(&s, &look, false), 0);
}

static void test_report_at_most_once_in_a_second(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);
	struct session_look look = looks(XARING_STATE_RUNNING);
	struct session_report report;

	(void)state;
	assert_true(session_report(&s, &look, SECOND, &report));
	assert_int_equal(report.backend, XARING_BACKEND_ACCEPTED);
	session_told(&s, &report, SECOND);
	assert_false(session_report(&s, &look, 9 * SECOND, &report));
	look.xruns = 1;
	look.gap = 480;
	look.volume = 77;
	assert_false(session_report(&s, &look, 2 * SECOND - 1, &report));
	assert_true(session_report(&s, &look, 2 * SECOND, &report));
	assert_int_equal(report.xruns, 1);
	assert_int_equal(report.gap, 480);
	assert_int_equal(report.volume, 77);
	assert_int_equal(report.state, XARING_STATE_RUNNING);
}

static void test_report_of_a_recording_is_at_once(void **state)
{
	struct session s = {0};
	struct session_look look = looks(XARING_STATE_PAUSED);
	struct session_report report;

	(void)state;
	session_init(&s, true);
	assert_true(session_report(&s, &look, SECOND, &report));
	session_told(&s, &report, SECOND);
	look.guest = XARING_STATE_RUNNING;
	assert_true(session_report(&s, &look, SECOND + 1, &report));
	session_told(&s, &report, SECOND + 1);
	look.guest = XARING_STATE_PAUSED;
	assert_false(session_report(&s, &look, SECOND + 2, &report));
}

static void test_report_of_broken_is_at_once(void **state)
{
	struct session s = linked(XARING_STATE_RUNNING);
	struct session_look look = looks(XARING_STATE_RUNNING);
	struct session_report report;

	(void)state;
	session_report(&s, &look, SECOND, &report);
	session_told(&s, &report, SECOND);
	look.guest = -EPROTO;
	session_sweep(&s, &look);
	assert_true(session_report(&s, &look, SECOND + 1, &report));
	assert_int_equal(report.backend, XARING_BACKEND_BROKEN);
	assert_int_equal(report.reason, XARING_REASON_WORD);
	assert_int_equal(report.state, XARING_STATE_STOPPED);
}

/* What the glue does, as a model that knows what must never happen. */
struct model {
	struct session s;
	struct session_look look;
	bool records, node, active, pages, tail, freed;
};

static void model_carry_out(struct model *m, uint32_t todo)
{
	if (todo & SESSION_DO_DETACH) {
		assert_true(m->pages);
		m->pages = false;
	}
	if (todo & SESSION_DO_CONDEMN)
		assert_true(m->pages);
	if (todo & SESSION_DO_DESTROY) {
		assert_true(m->node);
		m->node = m->active = false;
	}
	if (todo & SESSION_DO_CREATE) {
		assert_false(m->node);
		assert_true(m->look.linked && m->pages);
		m->node = true;
	}
	if (todo & SESSION_DO_ACTIVATE) {
		assert_true(m->node && !m->active);
		m->active = true;
	}
	if (todo & SESSION_DO_DEACTIVATE) {
		assert_true(m->active);
		m->active = false;
	}
	if (todo & SESSION_DO_LINGER) {
		assert_true(m->active && !m->pages);
		m->tail = true;
	}
	if (todo & SESSION_DO_FREE) {
		assert_false(m->node || m->pages);
		m->freed = true;
	}
	/* People see it while it records, and may, and no longer. */
	assert_true(!m->records || !m->node || (m->active && m->look.allowed));
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

static void model_guest_does_something(struct model *m, uint32_t random)
{
	m->look.guest = random % 200 == 0 ? -EPROTO : (int)(random % 4);
	m->look.drained = random & 0x100;
	m->look.left = m->look.left || random % 307 == 0;
	m->look.reason = random % 97 == 0 ? XARING_REASON_UNSETTLED : XARING_REASON_NONE;
	if (m->active && random & 0x200)
		m->look.cycles++;
	if (random & 0x400)
		m->look.moved++;
	m->look.read += random & 0x800;
}

static uint32_t model_happens(struct model *m, uint32_t random)
{
	switch (random % 9) {
	case 0:
		return m->look.linked ? session_linked(&m->s, &m->look) : 0;
	case 1:
		m->look.linked = false;
		return session_lost(&m->s);
	case 2:
		m->look.linked = true;
		return session_linked(&m->s, &m->look);
	case 3:
		return m->node ? session_failed(&m->s) : 0;
	case 4:
		return session_kick(&m->s, &m->look);
	case 5:
		return m->tail ? session_tail_over(&m->s) : 0;
	case 6:
		return session_manager_came(&m->s, m->active && random & 0x400);
	case 7:
		m->look.allowed = m->records && !m->look.allowed;
		return m->look.allowed || !m->records ? session_kick(&m->s, &m->look)
						      : session_revoked(&m->s);
	default:
		return session_sweep(&m->s, &m->look);
	}
}

static void test_no_sequence_of_events_does_the_impossible(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int life = 0; life < 20000; life++) {
		struct model m = {.records = life % 2,
				  .pages = true,
				  .look = looks(XARING_STATE_STOPPED)};
		uint32_t length = next_random(&seed) % 60;

		session_init(&m.s, m.records);
		for (uint32_t i = 0; i < length && !m.freed; i++) {
			model_guest_does_something(&m, next_random(&seed));
			model_carry_out(&m, model_happens(&m, next_random(&seed)));
		}
		if (!m.freed && m.pages)
			model_carry_out(&m, session_end(&m.s));
		if (!m.freed)
			model_carry_out(&m, session_tail_over(&m.s));
		assert_true(m.freed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_stopped_guest_gets_inactive_node),
		cmocka_unit_test(test_link_running_guest_gets_active_node),
		cmocka_unit_test(test_kick_of_running_guest_activates),
		cmocka_unit_test(test_kick_of_draining_guest_activates_unless_drained),
		cmocka_unit_test(test_kick_without_pipewire_does_nothing),
		cmocka_unit_test(test_sweep_finds_a_start_whose_kick_was_lost),
		cmocka_unit_test(test_quiet_for_a_while_deactivates),
		cmocka_unit_test(test_quiet_is_counted_in_a_row),
		cmocka_unit_test(test_loss_and_return_of_pipewire),
		cmocka_unit_test(test_failed_node_is_tried_again_by_the_sweep),
		cmocka_unit_test(test_stalled_node_is_made_anew_less_and_less_often),
		cmocka_unit_test(test_new_manager_renews_what_is_not_run),
		cmocka_unit_test(test_broken_pump_condemns),
		cmocka_unit_test(test_impossible_word_condemns_without_a_cycle),
		cmocka_unit_test(test_guest_that_left_has_no_node),
		cmocka_unit_test(test_end_of_active_stream_lingers),
		cmocka_unit_test(test_end_of_tail_when_pipewire_goes),
		cmocka_unit_test(test_end_of_others_is_at_once),
		cmocka_unit_test(test_recorder_has_a_node_while_it_records_only),
		cmocka_unit_test(test_recorder_that_runs_when_pipewire_comes),
		cmocka_unit_test(test_recorder_without_permission_has_no_node),
		cmocka_unit_test(test_recorder_that_nobody_reads_lets_go),
		cmocka_unit_test(test_report_at_most_once_in_a_second),
		cmocka_unit_test(test_report_of_a_recording_is_at_once),
		cmocka_unit_test(test_report_of_broken_is_at_once),
		cmocka_unit_test(test_no_sequence_of_events_does_the_impossible),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
