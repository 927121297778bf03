/* SPDX-License-Identifier: MIT */
/*
 * Drift, jitter and every pair of quanta: no underrun, a position that goes forwards in steps of no
 * more than a quantum, and a delay that is true.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "guest.h"
#include "level.h"

static const uint32_t guest_quanta[] = {64, 128, 256, 512, 1024};
static const uint32_t dom0_quanta[] = {256, 512, 1024, 2048};
static const double drifts[] = {-1000, -300, -100, 0, 100, 300, 1000};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One row of tests: which guest, on which clocks, and how true the delay must be. */
struct matrix {
	const char *name;
	enum guest_kind kind;
	bool same_clock;

	/* Found. */
	uint32_t runs, failed, xruns, median;
};

/*
 * On one clock, and for a guest that sleeps until the record it needs, the delay is right. A guest
 * that keeps its own time always looks in the same moment of dom0's cycle, so that the offset of
 * two clocks can only be known as well as the shorter of the two cycles allows.
 */
static uint32_t largest_median(const struct matrix *m, const struct world *w, const struct guest *g)
{
	uint32_t cycle = g->options.period;

	if (m->same_clock || m->kind == GUEST_BLOCKING)
		return 16;
	if (cycle > w->options.quantum)
		cycle = w->options.quantum;
	return 16 + cycle / 2;
}

static void judge(struct matrix *m, const struct world *w, const struct guest *g)
{
	uint32_t quantum = w->options.quantum, limit = largest_median(m, w, g);
	uint32_t median = guest_error(g, 50), p95 = guest_error(g, 95);
	uint32_t xruns = w->xruns + w->pump.xruns;

	m->runs++;
	m->xruns += xruns;
	if (median > m->median)
		m->median = median;
	if (!xruns && g->starts == 1 && g->largest_step <= quantum && median <= limit &&
	    p95 <= limit + quantum / 4 && g->errors_all > 20 && !w->lost)
		return;
	m->failed++;
	print_message(
		"%s: guest %u, dom0 %u, drift %g and %g ppm, jitter %g ms: %u xruns, %u starts, "
		"%llu frames lost, largest step %u, delay off by %u (median), %u (95 %%)\n",
		m->name, g->options.period, quantum, w->options.graph_ppm, w->options.guest_ppm,
		w->options.jitter_ns / MS, xruns, g->starts, (unsigned long long)w->lost,
		g->largest_step, median, p95);
}

static void run_one(struct matrix *m, const struct world_options *wo,
		    const struct guest_options *go)
{
	static struct world w;
	static struct guest g;

	world_create(&w, wo);
	guest_create(&g, &w, go);
	/* anywhere in the cycle */
	w.random += m->runs * UINT64_C(0x9e3779b97f4a7c15);
	guest_run(&g, world_random(&w) * 100 * MS);
	guest_start(&g);
	guest_run(&g, 3 * SECOND);
	guest_forget(&g);
	guest_run(&g, (double)level_count(100) * SECOND);
	judge(m, &w, &g);
	guest_destroy(&g);
	world_destroy(&w);
}

static void run_drifts(struct matrix *m, uint32_t dom0_quantum, uint32_t guest_quantum,
		       double jitter_ns)
{
	struct world_options wo = {.quantum = dom0_quantum,
				   .jitter_ns = jitter_ns,
				   .same_clock = m->same_clock};
	struct guest_options go = {.kind = m->kind,
				   .period = guest_quantum,
				   .buffer = 32768,
				   .headroom = 256,
				   .wake_jitter_ns = jitter_ns,
				   .watch = true,
				   .curious = m->same_clock};

	if (m->kind == GUEST_BLOCKING)
		go.buffer = guest_quantum + 512;
	for (size_t d = 0; d < COUNT(drifts); d++) {
		wo.graph_ppm = drifts[d];
		wo.guest_ppm = m->same_clock ? 0 : -drifts[d] / 2;
		run_one(m, &wo, &go);
	}
}

static void run_matrix(struct matrix *m)
{
	for (size_t q = 0; q < COUNT(dom0_quanta); q++)
		for (size_t p = 0; p < COUNT(guest_quanta); p++) {
			run_drifts(m, dom0_quanta[q], guest_quanta[p], 0);
			run_drifts(m, dom0_quanta[q], guest_quanta[p], 2 * MS);
		}
	print_message("%s: %u runs, %u xruns, the worst median error of the delay is %u frames\n",
		      m->name, m->runs, m->xruns, m->median);
	assert_int_equal(m->failed, 0);
}

static void timer_guest_on_one_clock(void **state)
{
	struct matrix m = {.name = "timer, one clock", .kind = GUEST_TIMER, .same_clock = true};

	(void)state;
	run_matrix(&m);
}

static void blocking_guest_on_one_clock(void **state)
{
	struct matrix m = {.name = "blocking, one clock",
			   .kind = GUEST_BLOCKING,
			   .same_clock = true};

	(void)state;
	run_matrix(&m);
}

static void timer_guest_on_two_clocks(void **state)
{
	struct matrix m = {.name = "timer, two clocks", .kind = GUEST_TIMER, .same_clock = false};

	(void)state;
	run_matrix(&m);
}

static void blocking_guest_on_two_clocks(void **state)
{
	struct matrix m = {.name = "blocking, two clocks",
			   .kind = GUEST_BLOCKING,
			   .same_clock = false};

	(void)state;
	run_matrix(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timer_guest_on_one_clock),
		cmocka_unit_test(blocking_guest_on_one_clock),
		cmocka_unit_test(timer_guest_on_two_clocks),
		cmocka_unit_test(blocking_guest_on_two_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
