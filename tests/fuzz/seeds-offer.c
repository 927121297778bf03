/* SPDX-License-Identifier: MIT */
/* What the fuzzing of offers begins with: offers and answers as they are written, and pieces of them. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "offer.h"

const size_t fuzz_input_max = 2048;

static void add_offer(fuzz_add_fn add, const struct xaring_params *params, uint32_t first)
{
	struct offer offer = {.open = {.version_min = 1, .version = 1, .params = *params},
			      .control = first};
	char text[OFFER_TEXT_MAX + 1];
	struct xaring_refusal refusal;
	struct xaring_shape shape;

	if (xaring_params_shape(params, &shape, &refusal) < 0)
		abort();
	offer.open.epoch = UINT64_C(0x123456789abcdef0) + first;
	memset(offer.open.name, first % 2 ? 'n' : ' ', first % XARING_NAME_BYTES);
	offer.data_count = shape.data_pages;
	for (uint32_t i = 0; i < offer.data_count; i++)
		offer.data[i] = first + i;
	add(text, (size_t)offer_encode(&offer, text));
}

static void add_text(fuzz_add_fn add, const char *text)
{
	add(text, strlen(text));
}

static void add_answer(fuzz_add_fn add)
{
	struct xaring_refusal refusal = {XARING_REASON_RATE, 4000, 8000, 192000};
	char text[ANSWER_TEXT_MAX + 1];

	add(text, (size_t)answer_encode(&refusal, text));
}

void fuzz_add_seeds(fuzz_add_fn add)
{
	static const char *const pieces[] = {
		" ",      "=",     ",",    "%",     "%20", "0",           "4294967296", "map=3,4",
		" data=", "name=", "x=y ", "rate=", ",3",  " version=1 ", "\n",         " unknown",
	};

	for (uint32_t i = 0; i < 12; i++) {
		struct xaring_params params = {.direction = i % 2,
					       .format = XARING_FORMAT_U8 + i % 6,
					       .rate_hz = i % 3 ? 48000 : 8000,
					       .channels = 1 + i % 8,
					       .buffer = 256u << i % 4,
					       .period = 64};

		if (i % 4 == 0)
			xaring_map_default(params.channels, params.map);
		add_offer(add, &params, 1u << (2 * i));
	}
	add_answer(add);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		add_text(add, pieces[i]);
}
