/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a request of the control socket: one that is understood is about a VM whose name is one, or about
 * none, and decides within the limits; one that is not has a reason that can be printed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../control.h"
#include "config.h"
#include "control-request.h"
#include "fuzz.h"

static void demand(int holds)
{
	if (!holds)
		abort();
}

static void check_taken(const struct control_request *r)
{
	const struct permission_decision *d = &r->decision;

	demand(r->verb <= CONTROL_MONITOR);
	demand(memchr(r->vm, 0, sizeof(r->vm)) != NULL);
	demand((r->vm[0] == 0) == (r->verb == CONTROL_LIST || r->verb == CONTROL_MONITOR));
	demand(r->vm[0] == 0 || config_key_is_valid(r->vm));
	demand(d->choice <= CONSENT_DENY && d->span <= PERMISSION_ONCE);
	demand(d->span == PERMISSION_FOR ? d->seconds >= 1 && d->seconds <= CONTROL_SECONDS_MAX
					 : d->seconds == 0);
	demand(r->verb == CONTROL_MIC || d->choice == CONSENT_NONE);
}

static void check_refused(const char error[CONTROL_REQUEST_TEXT_BYTES])
{
	demand(memchr(error, 0, CONTROL_REQUEST_TEXT_BYTES) != NULL && error[0] != 0);
	for (const char *at = error; *at; at++)
		demand((unsigned char)*at >= 0x20 && *at != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char error[CONTROL_REQUEST_TEXT_BYTES] = "";
	struct control_request request;

	if (control_request_read((const char *)bytes, size, &request, error) == 0)
		check_taken(&request);
	else
		check_refused(error);
	return 0;
}
