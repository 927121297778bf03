/* SPDX-License-Identifier: MIT */
/*
 * What is done with the folder data/xaring in xenstore: jobs for store.h, each with all that it
 * needs and all that it finds. What is wanted, and when, is rendezvous.c's.
 *
 * The work functions run on the store's thread, may block, touch nothing but their job and do not
 * log. They are given to the store by store_run().
 */
#ifndef XARING_GUESTD_FOLDER_H
#define XARING_GUESTD_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "offer.h"
#include "store.h"

#define FOLDER_TOKEN_DIGITS 32
#define FOLDER_STREAMS_MAX  256u /* more than the pages of a guest are enough for */

/* A stream that an earlier guestd has left. */
struct folder_stream {
	uint32_t number;
	struct offer offer;
};

/*
 * Looks whose folder it is, and makes it ours: one with another token than ours is that of another
 * domain (the guest was restored), of another backend, or (first) of an earlier guestd.
 */
struct folder_home {
	struct store_job job;
	/* Ours; taken over from the folder (first), and made to end with the number of the backend. */
	char token[FOLDER_TOKEN_DIGITS + 1];
	bool first;

	uint32_t backend_id;
	bool fresh; /* it was emptied, or is about to be: grants that were made are void */
	uint32_t kick;
	struct folder_stream *streams; /* first: found there; free(3) */
	uint32_t stream_count;
};
int folder_home(struct store_job *job, struct store_link *link);

/* Writes a stream's node, or with text_bytes 0 removes it. */
struct folder_node {
	struct store_job job;
	uint32_t number;
	uint32_t text_bytes;
	char text[OFFER_TEXT_MAX + 1];
};
int folder_node(struct store_job *job, struct store_link *link);

/* Writes the kick counter. */
struct folder_kick {
	struct store_job job;
	uint32_t kick;
};
int folder_kick(struct store_job *job, struct store_link *link);

/*
 * Looks for answers: first at the streams that wait for one, and when there is none at all others.
 * What does not belong to any of ours is removed then. -ESTALE when the folder is not ours (yet):
 * nothing that is said there is for us.
 */
struct folder_answers {
	struct store_job job;
	char token[FOLDER_TOKEN_DIGITS + 1];
	/* Of numbers: the first ones; with those that are looked at next; with those that are only ours. */
	uint32_t waiting_count, asked_count, count;
	uint32_t numbers[FOLDER_STREAMS_MAX];

	bool answered[FOLDER_STREAMS_MAX];
	struct xaring_refusal answers[FOLDER_STREAMS_MAX];
};
int folder_answers(struct store_job *job, struct store_link *link);

/* Looks whether the backend is there. */
struct folder_backend {
	struct store_job job;
	uint32_t backend_id;

	bool present;
};
int folder_backend(struct store_job *job, struct store_link *link);

/* The path of the node that says so. */
#define FOLDER_PATH_BYTES 64
void folder_backend_path(uint32_t backend_id, char path[FOLDER_PATH_BYTES]);

/* What is to be watched, beside OFFER_STREAMS. */
#define FOLDER_DOMID "domid"

#endif
