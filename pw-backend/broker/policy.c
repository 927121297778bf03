/* SPDX-License-Identifier: MIT */
/*
 * The limits of a VM and the judgement of its wishes. Decides only; nothing is opened, counted or
 * logged here, so that every rule is tested without a socket.
 */
#include "policy.h"

#include <errno.h>
#include <string.h>

#include <xaring/server.h>

#define STREAMS_DEFAULT      8
#define RECONNECT_MS_DEFAULT 250

void policy_init(struct policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	policy->playback = true;
	policy->microphone = POLICY_MICROPHONE_ASK;
	policy->max_streams = STREAMS_DEFAULT;
	policy->max_pages = XARING_GUEST_PAGES_MAX;
	policy->reconnect_ms = RECONNECT_MS_DEFAULT;
}

static void refuse(struct xaring_refusal *refusal, enum xaring_reason reason, uint32_t value,
		   uint32_t min, uint32_t max)
{
	*refusal =
		(struct xaring_refusal){.reason = reason, .value = value, .min = min, .max = max};
}

static int check_streams(const struct policy *policy, const struct policy_use *use,
			 struct xaring_refusal *refusal)
{
	if (use->streams < policy->max_streams)
		return 0;
	refuse(refusal, XARING_REASON_STREAMS, use->streams + 1, 1, policy->max_streams);
	return -EDQUOT;
}

static int check_pages(const struct policy *policy, const struct policy_use *use, uint32_t pages,
		       struct xaring_refusal *refusal)
{
	uint32_t total = use->pages + pages;

	if (total <= policy->max_pages)
		return 0;
	refuse(refusal, XARING_REASON_PAGES, total, POLICY_PAGES_MIN, policy->max_pages);
	return -EDQUOT;
}

bool policy_allows(const struct policy *policy, uint32_t direction)
{
	/* A program that records is never refused: what it gets is silence while the VM may not hear the room. */
	return !policy->is_disconnected && !policy->is_refused &&
	       (direction == XARING_CAPTURE || policy->playback);
}

int policy_check(const struct policy *policy, const struct policy_use *use,
		 const struct xaring_open *open, struct policy_grant *grant,
		 struct xaring_refusal *refusal)
{
	int res = xaring_server_agree(open, &grant->version, &grant->features, refusal);

	if (res < 0)
		return res;
	res = xaring_params_shape(&open->params, &grant->shape, refusal);
	if (res < 0)
		return res;
	if (!policy_allows(policy, open->params.direction)) {
		refuse(refusal, XARING_REASON_POLICY, 0, 0, 0);
		return -EACCES;
	}
	res = check_streams(policy, use, refusal);
	if (res < 0)
		return res;
	return check_pages(policy, use, grant->shape.pages, refusal);
}
