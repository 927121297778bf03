/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a socket message: what is accepted keeps the promises of wire.h and comes out of the
 * encoder as the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>
#include <xaring/server.h>
#include <xaring/wire.h>

#include "fuzz.h"

static void demand(int holds)
{
	if (!holds)
		abort();
}

static void check_accept(const struct xaring_accept *a)
{
	demand(a->version > 0);
	demand(a->capacity > 0 && (a->capacity & (a->capacity - 1)) == 0);
	demand(a->data_pages > 0 && a->data_pages <= XARING_RING_PAGES_MAX);
	demand(a->control_offset % XARING_PAGE_BYTES == 0 && (int64_t)a->control_offset >= 0);
	demand(a->data_offset % XARING_PAGE_BYTES == 0 && (int64_t)a->data_offset >= 0);
}

static void check_open(const struct xaring_open *open)
{
	struct xaring_refusal refusal;
	uint32_t version, features;
	char name[XARING_NAME_BYTES];

	demand(open->version_min > 0 && open->version_min <= open->version);
	if (xaring_server_agree(open, &version, &features, &refusal) == 0)
		demand(version == XARING_PROTOCOL_VERSION &&
		       (features & ~XARING_FEATURE_SAME_CLOCK) == 0);
	xaring_text_clean(name, sizeof(name), open->name, sizeof(open->name));
	demand(memchr(name, 0, sizeof(name)) != NULL);
}

static void check_refusal(const struct xaring_refusal *refusal)
{
	char text[128];

	demand(xaring_refusal_errno(refusal) < 0);
	xaring_refusal_text(refusal, text, sizeof(text));
	demand(memchr(text, 0, sizeof(text)) != NULL && text[0] != 0);
}

static void check_watch(const struct xaring_watch *watch)
{
	demand(watch->version_min > 0 && watch->version_min <= watch->version);
}

static void check_set_volume(const struct xaring_set_volume *set)
{
	demand(set->what > 0 && (set->what & ~(XARING_SET_VOLUME | XARING_SET_MUTED)) == 0);
	demand(set->volume <= XARING_VOLUME_UNITY && set->muted <= 1);
}

static void check(const struct xaring_message *message)
{
	switch (message->type) {
	case XARING_MESSAGE_OPEN:
		check_open(&message->u.open);
		break;
	case XARING_MESSAGE_ACCEPT:
	case XARING_MESSAGE_RELINK:
		check_accept(&message->u.accept);
		break;
	case XARING_MESSAGE_REFUSE:
		check_refusal(&message->u.refusal);
		break;
	case XARING_MESSAGE_KEEP:
		demand(message->u.keep_epoch != 0);
		break;
	case XARING_MESSAGE_WATCH:
		check_watch(&message->u.watch);
		break;
	case XARING_MESSAGE_STATUS:
		demand(message->u.status_version > 0);
		break;
	case XARING_MESSAGE_SET_VOLUME:
		check_set_volume(&message->u.set_volume);
		break;
	case XARING_MESSAGE_CHANGED:
		demand(message->u.changed_is_answer <= 1);
		break;
	case XARING_MESSAGE_KICK:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t again[XARING_WIRE_MAX_BYTES];
	struct xaring_message message;

	if (size > XARING_WIRE_MAX_BYTES || xaring_wire_decode(bytes, (uint32_t)size, &message) < 0)
		return 0;
	demand(message.fds[0] == -1 && message.fds[1] == -1 && message.fds[2] == -1);
	check(&message);
	demand(xaring_wire_encode(&message, again) == size);
	demand(memcmp(again, bytes, size) == 0);
	return 0;
}
