/* SPDX-License-Identifier: MIT */
/*
 * Asks the backend about the microphone. It says that in the pages of a stream only: no stream, no
 * answer. One that records and does not run has no node in the backend's graph, whereas one that
 * plays may have one that people see.
 */
#include "microphone.h"

#include <poll.h>
#include <stdint.h>

#include <xaring/client.h>

#include "now.h"

#define SETUP_MS 250
#define STEP_MS  10
#define STEPS    25 /* for the backend to look at the stream */

enum answer { ANSWER_NONE, ANSWER_DENIED, ANSWER_ALLOWED, ANSWER_NEVER };

static enum answer look(struct xaring_client *client)
{
	struct xaring_client_state state;
	struct xaring_client_view view;

	xaring_client_update(client, clock_now_ns(), &state);
	xaring_client_peek(client, &view);
	if (!state.linked || state.refused || !(view.status_flags & XARING_STATUS_BACKEND))
		return ANSWER_NEVER;
	if (view.backend != XARING_BACKEND_ACCEPTED)
		return ANSWER_NONE;
	return view.flags & XARING_FLAG_CAPTURE_ALLOWED ? ANSWER_ALLOWED : ANSWER_DENIED;
}

/* A no has to be said twice: a backend that has just accepted may be about to say more. */
static bool wait_answer(struct xaring_client *client)
{
	enum answer before = ANSWER_NONE;

	for (int i = 0; i < STEPS; i++) {
		enum answer answer = look(client);

		if (answer == ANSWER_ALLOWED)
			return true;
		if (answer == ANSWER_NEVER || (answer == ANSWER_DENIED && before == answer))
			return false;
		before = answer;
		(void)poll(NULL, 0, STEP_MS);
	}
	return false;
}

bool microphone_is_allowed(const char *socket, const char *name)
{
	const struct xaring_params smallest = {.direction = XARING_CAPTURE,
					       .format = XARING_FORMAT_U8,
					       .rate_hz = XARING_RATE_MIN,
					       .channels = 1,
					       .buffer = 256,
					       .period = 128};
	struct xaring_refusal refusal;
	struct xaring_client *client;
	bool allowed;

	if (xaring_client_create(socket, name, &client) < 0)
		return false;
	allowed = xaring_client_setup(client, &smallest, SETUP_MS, &refusal) == 0 &&
		  wait_answer(client);
	xaring_client_close(client);
	return allowed;
}
