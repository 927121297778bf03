/* SPDX-License-Identifier: MIT */
/*
 * What a VM may do, and whether a stream that it asks for is within that.
 *
 * Pure: knows neither sockets nor configuration files; times come from the caller.
 * Thread: one per object. Blocks: no. Logs: no.
 */
#ifndef XARING_BROKER_POLICY_H
#define XARING_BROKER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/wire.h>

/* Accepted values of the configuration; the defaults are in policy_init(). */
#define POLICY_STREAMS_MIN      1u
#define POLICY_STREAMS_MAX      128u
#define POLICY_PAGES_MIN        2u
#define POLICY_PAGES_MAX        XARING_GUEST_PAGES_MAX
#define POLICY_RECONNECT_MS_MIN 1u
#define POLICY_RECONNECT_MS_MAX 60000u
#define POLICY_VM_MAX           64 /* bytes, with the NUL */

/* Whether a VM may hear the room. */
enum policy_microphone {
	POLICY_MICROPHONE_DENY, /* what it records is silence */
	POLICY_MICROPHONE_ASK,  /* people decide; until then as DENY */
	POLICY_MICROPHONE_ALLOW
};

struct policy {
	bool playback;
	enum policy_microphone microphone;
	uint32_t max_streams;
	uint32_t max_pages;    /* control pages included */
	uint32_t reconnect_ms; /* new streams in the long run: one in this time */

	bool is_refused; /* no rule: it is no guest (identity_restrict), and may have no streams */

	bool is_disconnected; /* no rule: somebody has disconnected the VM, and it may have no streams */

	/* Which VM a domain is, and not what it may do. */
	bool by_uuid;           /* the key is the UUID, not the name */
	char vm[POLICY_VM_MAX]; /* the key is this; "" = it is not said */
};

/* What the VM's streams take now. */
struct policy_use {
	uint32_t streams;
	uint32_t pages;
};

/* What was agreed on for a stream that is allowed. */
struct policy_grant {
	uint32_t version;
	uint32_t features;
	struct xaring_shape shape;
};

/* What a VM may do of which nothing is said. */
void policy_init(struct policy *policy);

/* Whether it may have streams of that direction (enum xaring_direction) at all. */
bool policy_allows(const struct policy *policy, uint32_t direction);

/*
 * Judges an OPEN: version, shape, direction, streams, pages, in this order.
 *
 * Returns 0 and sets *grant; -EDQUOT when only the streams in use stand in the way, or
 * another negative errno when the stream is never allowed; both set *refusal.
 */
int policy_check(const struct policy *policy, const struct policy_use *use,
		 const struct xaring_open *open, struct policy_grant *grant,
		 struct xaring_refusal *refusal);

#endif
