/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a text in xenstore: an offer that is accepted is of a possible stream and has one
 * form, which is accepted again and is the same stream; one that is refused has its reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/format.h>

#include "fuzz.h"
#include "offer.h"

static void demand(int holds)
{
	if (!holds)
		abort();
}

static void check_refused(const struct xaring_refusal *refusal)
{
	char text[128];

	demand(refusal->reason >= XARING_REASON_MESSAGE && refusal->reason <= XARING_REASON_BUFFER);
	demand(refusal->reason != XARING_REASON_MESSAGE ||
	       (refusal->value == 0 && refusal->min == 0 && refusal->max == 0));
	xaring_refusal_text(refusal, text, sizeof(text));
	demand(memchr(text, 0, sizeof(text)) != NULL && text[0] != 0);
}

static void check_accepted(const struct offer *offer)
{
	char text[OFFER_TEXT_MAX + 1], again[OFFER_TEXT_MAX + 1];
	struct xaring_refusal refusal;
	struct xaring_shape shape;
	struct offer back;
	int length = offer_encode(offer, text);

	demand(offer->open.version_min > 0 && offer->open.version_min <= offer->open.version);
	demand(offer->open.epoch != 0);
	demand(xaring_params_shape(&offer->open.params, &shape, &refusal) == 0);
	demand(offer->data_count == shape.data_pages);
	demand(length > 0 && strlen(text) == (size_t)length);
	demand(offer_decode(text, (size_t)length, &back, &refusal) == 0);
	demand(offer_encode(&back, again) == length && strcmp(text, again) == 0);
	demand(memcmp(back.data, offer->data, sizeof(back.data)) == 0);
	demand(memcmp(&back.open.params, &offer->open.params, sizeof(back.open.params)) == 0);
	demand(memcmp(back.open.name, offer->open.name, sizeof(back.open.name)) == 0);
}

static void check_answer(const char *text, size_t size)
{
	char again[ANSWER_TEXT_MAX + 1];
	struct xaring_refusal refusal, back;

	if (answer_decode(text, size, &refusal) < 0)
		return;
	demand(answer_decode(again, (size_t)answer_encode(&refusal, again), &back) == 0);
	demand(memcmp(&refusal, &back, sizeof(back)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct xaring_refusal refusal = {0};
	struct offer offer;
	uint32_t number;

	if (offer_decode((const char *)bytes, size, &offer, &refusal) < 0)
		check_refused(&refusal);
	else
		check_accepted(&offer);
	check_answer((const char *)bytes, size);
	if (offer_number((const char *)bytes, size, 1000, &number) == 0)
		demand(number <= 1000 && size <= 4);
	return 0;
}
