/* SPDX-License-Identifier: MIT */
/*
 * Makes sentences, and makes sure that nothing in them is taken for markup.
 */
#include "wording.h"

#include <stdio.h>
#include <string.h>

#include <xaring/log.h>

/* With all of its characters escaped that is no more than fits. */
#define WHY_BYTES (WORDING_BYTES / 5)

static const char *escape(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	default:
		return NULL;
	}
}

static void escape_all(const char *from, char text[WORDING_BYTES])
{
	size_t used = 0;

	text[0] = '\0';
	for (const char *c = from; *c; c++) {
		const char *entity = escape(*c);
		const char plain[] = {*c, '\0'};

		used += (size_t)snprintf(text + used, WORDING_BYTES - used, "%s",
					 entity ? entity : plain);
	}
}

void wording_question_summary(const struct asking_vm *vm, char text[WORDING_BYTES])
{
	snprintf(text, WORDING_BYTES, "%s asks for the microphone", vm->title);
}

static const char *reason_of(enum asking_reason reason)
{
	switch (reason) {
	case ASKING_LOCKED:
		return "the screen was locked";
	case ASKING_INACTIVE:
		return "another session was at the screen";
	case ASKING_UNKNOWN:
		return "it could not be found out whether the screen was locked";
	case ASKING_FAILED:
		return "xaring-pw has not done it";
	case ASKING_NEW:
		break;
	}
	return NULL;
}

/* Keys need no escaping: see asking.h. */
void wording_question_body(const struct asking_vm *vm, const struct wording_server *server,
			   char text[WORDING_BYTES])
{
	const char *reason = reason_of(vm->reason);
	char chosen[128] = "", typed[3 * ASKING_KEY_BYTES + 160] = "";

	if (reason)
		snprintf(chosen, sizeof(chosen), "You chose \"%s\", but %s: nothing was decided. ",
			 asking_label(vm->chosen), reason);
	if (!server->has_actions)
		snprintf(typed, sizeof(typed),
			 " In a terminal: xaringctl mic allow %s (for good; or with --once or "
			 "--until-shutdown), or xaringctl mic deny %s",
			 vm->key, vm->key);
	snprintf(text, WORDING_BYTES, "%sUntil somebody decides, what %s records is silence.%s",
		 chosen, vm->key, typed);
}

void wording_failure_summary(const struct asking_vm *vm, enum asking_choice choice,
			     char text[WORDING_BYTES])
{
	snprintf(text, WORDING_BYTES, "%s: \"%s\" was not done", vm->title, asking_label(choice));
}

void wording_failure_body(const char *why, const struct wording_server *server,
			  char text[WORDING_BYTES])
{
	char clean[WHY_BYTES];

	xaring_text_clean(clean, sizeof(clean), why, strlen(why));
	if (server->has_markup)
		escape_all(clean, text);
	else
		snprintf(text, WORDING_BYTES, "%s", clean);
}
