/* SPDX-License-Identifier: MIT */
/* What the fuzzing of socket messages and of shapes begins with: right ones. */
#include <string.h>

#include <xaring/wire.h>

#include "fuzz.h"

const size_t fuzz_input_max = 512;

static void add_message(fuzz_add_fn add, const struct xaring_message *message)
{
	uint8_t bytes[XARING_WIRE_MAX_BYTES];

	add(bytes, xaring_wire_encode(message, bytes));
}

static void add_params(fuzz_add_fn add, const struct xaring_params *p)
{
	struct xaring_message message = {.type = XARING_MESSAGE_OPEN};
	uint32_t words[6] = {p->direction, p->format, p->rate_hz,
			     p->channels,  p->buffer, p->period};
	uint8_t bytes[sizeof(words) + sizeof(p->map)];

	memcpy(bytes, words, sizeof(words));
	memcpy(bytes + sizeof(words), p->map, sizeof(p->map));
	add(bytes, sizeof(bytes));
	message.u.open =
		(struct xaring_open){.version_min = 1, .version = 1, .params = *p, .name = "seed"};
	add_message(add, &message);
}

void fuzz_add_seeds(fuzz_add_fn add)
{
	static const uint32_t rates[] = {8000, 44100, 48000, 96000, 192000};
	struct xaring_message message = {.type = XARING_MESSAGE_ACCEPT};

	message.u.accept = (struct xaring_accept){.version = 1, .capacity = 8192, .data_pages = 8};
	add_message(add, &message);
	message.type = XARING_MESSAGE_RELINK;
	add_message(add, &message);
	message.type = XARING_MESSAGE_REFUSE;
	message.u.refusal = (struct xaring_refusal){.reason = XARING_REASON_RATE, .max = 5};
	add_message(add, &message);
	message.type = XARING_MESSAGE_KICK;
	message.u.kick = XARING_KICK_START;
	add_message(add, &message);
	message.type = XARING_MESSAGE_KEEP;
	message.u.keep_epoch = 77;
	add_message(add, &message);
	message.type = XARING_MESSAGE_WATCH;
	message.u.watch = (struct xaring_watch){.version_min = 1, .version = 1};
	add_message(add, &message);
	message.type = XARING_MESSAGE_STATUS;
	message.u.status_version = 1;
	add_message(add, &message);
	message.type = XARING_MESSAGE_CHANGED;
	add_message(add, &message);
	message.type = XARING_MESSAGE_SET_VOLUME;
	message.u.set_volume = (struct xaring_set_volume){.what = 3, .volume = 65536, .muted = 1};
	add_message(add, &message);
	for (uint32_t i = 0; i < 20; i++) {
		struct xaring_params p = {.direction = i % 2,
					  .format = XARING_FORMAT_U8 + i % 6,
					  .rate_hz = rates[i % 5],
					  .channels = 1 + i % 8,
					  .buffer = 256u << i % 4,
					  .period = 64};

		add_params(add, &p);
	}
}
