/* SPDX-License-Identifier: MIT */
/*
 * The texts in xenstore by which guest and backend find each other: xaring-protocol(7), XENSTORE.
 *
 * An offer is one stream of a guest, written by xaring-guestd in one piece; an answer is what the
 * backend says when it refuses one. Both are read as hostile text.
 *
 * Pure: no xenstore, no allocation. Thread: any. Blocks: no. Logs: no.
 */
#ifndef XARING_XEN_OFFER_H
#define XARING_XEN_OFFER_H

#include <stddef.h>
#include <stdint.h>

#include <xaring/wire.h>

#define OFFER_TEXT_MAX   1945 /* bytes of the longest offer */
#define ANSWER_TEXT_MAX  64
#define OFFER_NUMBER_MAX 65535u

#define OFFER_DOMID_MAX 0x7fefu /* DOMID_FIRST_RESERVED - 1: those above are no domains */

/* Where the texts are, below the home of a domain; a stream's is OFFER_STREAMS "/NUMBER". */
#define OFFER_HOME    "data/xaring"
#define OFFER_TOKEN   OFFER_HOME "/token"
#define OFFER_KICK    OFFER_HOME "/kick"
#define OFFER_STREAMS OFFER_HOME "/stream"
#define OFFER_ANSWER  "/answer" /* below a stream */
#define OFFER_BACKEND OFFER_HOME "/backend"

/* In a guest's home, of dom0: the number of the domain that plays for it. Absent: 0. */
#define OFFER_BACKEND_ID "xaring/backend-id"

/* One stream of a guest. */
struct offer {
	struct xaring_open open; /* epoch: of this link, never 0 */
	uint32_t control;        /* grant reference of the control page */
	uint32_t data[XARING_RING_PAGES_MAX];
	uint32_t data_count;
};

/*
 * Writes the text, terminated. Returns its length, or -ENOSPC when it is longer than
 * OFFER_TEXT_MAX, which no offer is.
 */
int offer_encode(const struct offer *offer, char text[OFFER_TEXT_MAX + 1]);

/*
 * Reads a text of so many bytes (need not be terminated). Form is checked, not policy: keys once,
 * numbers in their form and range, as many references as the shape of the stream asks for.
 *
 * Returns 0. Returns -EPROTO and sets *refusal: MESSAGE for a malformed text, the reason of
 * xaring_params_shape() for an impossible stream.
 */
int offer_decode(const char *text, size_t bytes, struct offer *offer,
		 struct xaring_refusal *refusal);

/* The refusal of an offer. Writes the text, terminated; returns its length. */
int answer_encode(const struct xaring_refusal *refusal, char text[ANSWER_TEXT_MAX + 1]);

/* Returns 0, or -EPROTO when it is no answer. */
int answer_decode(const char *text, size_t bytes, struct xaring_refusal *refusal);

/*
 * A decimal number as the protocol writes them: digits only, no leading zeros, at most max.
 * Returns 0 or -EPROTO.
 */
int offer_number(const char *text, size_t bytes, uint32_t max, uint32_t *number);

#endif
