/* SPDX-License-Identifier: MIT */
/* ALSA's pointers against the ring's indexes: wraps of both, rewinds, drains, stop thresholds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "position.h"

#define BOUNDARY_32 (UINT64_C(24000) << 16)

static struct position made(uint64_t boundary, uint32_t index)
{
	struct position p = {.boundary = boundary, .buffer = 24000};

	position_begin(&p, index);
	return p;
}

static void begin_maps_zero_to_index(void **state)
{
	struct position p = made(BOUNDARY_32, 77);

	(void)state;
	assert_int_equal(p.hw, 0);
	assert_int_equal(position_index(&p, 0), 77);
	assert_int_equal(position_index(&p, 100), 177);
	assert_int_equal(position_fill(&p, 100), 100);
}

static void fill_before_boundary_is_known_is_zero(void **state)
{
	struct position p = {.buffer = 24000};

	(void)state;
	assert_int_equal(position_fill(&p, 100), 0);
	position_advance(&p, 10, 100, false);
	assert_int_equal(p.hw, 0);
}

static void index_wraps_at_32_bits(void **state)
{
	struct position p = made(BOUNDARY_32, 0xffffff00);

	(void)state;
	assert_int_equal(position_index(&p, 0x200), 0x100);
	position_advance(&p, 0x80, 0x200, false);
	assert_int_equal(p.hw, 0x180);
	assert_int_equal(p.index, 0x80);
	assert_int_equal(position_fill(&p, 0x200), 0x80);
}

static void pointers_wrap_at_boundary(void **state)
{
	struct position p = made(BOUNDARY_32, 5);

	(void)state;
	p.hw = BOUNDARY_32 - 10;
	assert_int_equal(position_fill(&p, 20), 30);
	assert_int_equal(position_index(&p, 20), 35);
	position_advance(&p, 5 + 10, 20, false);
	assert_int_equal(p.hw, 0);
	position_advance(&p, 5 + 25, 20, false);
	assert_int_equal(p.hw, 15);
	assert_int_equal(p.total, 25);
	assert_int_equal(position_fill(&p, 20), 5);
}

static void rewind_behind_hardware_is_negative(void **state)
{
	struct position p = made(BOUNDARY_32, 1000);

	(void)state;
	position_advance(&p, 1500, 600, false);
	assert_int_equal(position_fill(&p, 400), -100);
	assert_int_equal(position_index(&p, 400), 1400);
	/* And across zero, where ALSA's pointer wraps to the boundary. */
	p = made(BOUNDARY_32, 1000);
	assert_int_equal(position_fill(&p, BOUNDARY_32 - 100), -100);
}

static void absurd_application_pointer_stays_within_a_buffer(void **state)
{
	struct position p = made(BOUNDARY_32, 1000);

	(void)state;
	assert_int_equal(position_fill(&p, 10000000), 24000);
	assert_int_equal(position_fill(&p, BOUNDARY_32 - 10000000), -24000);
	assert_int_equal(position_index(&p, 10000000), 25000);
}

static void advance_never_goes_back(void **state)
{
	struct position p = made(BOUNDARY_32, 100);

	(void)state;
	position_advance(&p, 200, 1000, false);
	position_advance(&p, 150, 1000, false);
	assert_int_equal(p.index, 200);
	assert_int_equal(p.hw, 100);
	assert_int_equal(p.total, 100);
}

static void drain_holds_the_last_frame_back(void **state)
{
	struct position p = made(BOUNDARY_32, 100);

	(void)state;
	position_advance(&p, 1100, 1000, true);
	assert_int_equal(p.hw, 999);
	position_advance(&p, 1100, 1000, true);
	assert_int_equal(p.hw, 999);
	position_advance(&p, 1100, 1000, false);
	assert_int_equal(p.hw, 1000);
	/* Nothing to hold, and nothing to go back for. */
	position_advance(&p, 1100, 1000, true);
	assert_int_equal(p.hw, 1000);
}

static void boundary_of_64_bits(void **state)
{
	struct position p = made(UINT64_C(24000) << 48, 0);

	(void)state;
	p.hw = (UINT64_C(24000) << 48) - 1;
	assert_int_equal(position_fill(&p, 9), 10);
	position_advance(&p, 10, 9, false);
	assert_int_equal(p.hw, 9);
}

static void xrun_follows_the_stop_threshold(void **state)
{
	struct position p = made(BOUNDARY_32, 0);

	(void)state;
	/* The usual one: the real count decides, an empty buffer alone does not. */
	assert_false(position_is_xrun(&p, 0, 0, 24000));
	assert_true(position_is_xrun(&p, 24000, 1, 24000));
	/* Never. */
	assert_false(position_is_xrun(&p, 0, 1, BOUNDARY_32));
	assert_false(position_is_xrun(&p, 0, 1, 24001));
	/* An application that wants to stop before the end. */
	assert_false(position_is_xrun(&p, 12001, 0, 12000));
	assert_true(position_is_xrun(&p, 12000, 0, 12000));
	assert_true(position_is_xrun(&p, 24000, 1, 12000));
}

static struct position made_capture(void)
{
	struct position p = made(BOUNDARY_32, 500);

	p.is_capture = true;
	return p;
}

static void avail_is_room_or_data(void **state)
{
	struct position p = made(BOUNDARY_32, 500);

	(void)state;
	assert_int_equal(position_avail(&p, 0), 24000);
	assert_int_equal(position_avail(&p, 1000), 23000);
	position_advance(&p, 1000, 1000, false);
	assert_int_equal(position_avail(&p, 1000), 23500);
	p = made_capture();
	assert_int_equal(position_avail(&p, 0), 0);
	position_advance(&p, 1000, 0, false);
	assert_int_equal(position_avail(&p, 0), 500);
	assert_int_equal(position_avail(&p, 100), 400);
	assert_int_equal(position_index(&p, 100), 600);
	/* An application that forwarded beyond what there is. */
	assert_int_equal(position_avail(&p, 700), 0);
}

static void capture_loses_what_is_older_than_a_buffer(void **state)
{
	struct position p = made_capture();

	(void)state;
	position_advance(&p, 500 + 20000, 0, false);
	assert_false(position_is_xrun(&p, 0, 0, 24000));
	position_advance(&p, 500 + 30000, 0, false);
	assert_int_equal(p.hw, 24000);
	assert_int_equal(p.index, 30500);
	assert_true(position_is_xrun(&p, 0, 0, 24000));
	assert_false(position_is_xrun(&p, 0, 0, BOUNDARY_32));
	/* The oldest frame that is left is the next to be read. */
	assert_int_equal(position_index(&p, 0), 30500 - 24000);
	position_advance(&p, 500 + 30100, 24000, false);
	assert_int_equal(position_avail(&p, 24000), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begin_maps_zero_to_index),
		cmocka_unit_test(fill_before_boundary_is_known_is_zero),
		cmocka_unit_test(index_wraps_at_32_bits),
		cmocka_unit_test(pointers_wrap_at_boundary),
		cmocka_unit_test(rewind_behind_hardware_is_negative),
		cmocka_unit_test(absurd_application_pointer_stays_within_a_buffer),
		cmocka_unit_test(advance_never_goes_back),
		cmocka_unit_test(drain_holds_the_last_frame_back),
		cmocka_unit_test(boundary_of_64_bits),
		cmocka_unit_test(xrun_follows_the_stop_threshold),
		cmocka_unit_test(avail_is_room_or_data),
		cmocka_unit_test(capture_loses_what_is_older_than_a_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
