/* SPDX-License-Identifier: MIT */
/*
 * Takes a request apart, and says what is wrong with it. Knows no VM and does nothing.
 */
#include "control-request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>

#include "../control.h"
#include "config.h"

#define WORDS_MAX 5

struct words {
	char copy[CONTROL_REQUEST_BYTES + 1];
	const char *word[WORDS_MAX];
	unsigned count;
	char *error;
};

static const struct verb {
	const char *name;
	enum control_verb verb;
	unsigned min, max; /* words, itself included */
	const char *usage;
} verbs[] = {
	{"list", CONTROL_LIST, 1, 1, "list"},
	{"status", CONTROL_STATUS, 2, 2, "status VM"},
	{"mic", CONTROL_MIC, 3, 5,
	 "mic VM allow|deny [always|once|until-shutdown|for SECONDS], or mic VM ask"},
	{"disconnect", CONTROL_DISCONNECT, 2, 2, "disconnect VM"},
	{"connect", CONTROL_CONNECT, 2, 2, "connect VM"},
	{"monitor", CONTROL_MONITOR, 1, 1, "monitor"},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

__attribute__((format(printf, 2, 3))) static int refuse(struct words *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(w->error, CONTROL_REQUEST_TEXT_BYTES, format, args);
	va_end(args);
	return -EINVAL;
}

/* What comes back in an error is to be text, and not longer than it has to be. */
static const char *shown(const char *word, char to[40])
{
	xaring_text_clean(to, 40, word, strlen(word));
	return to;
}

static int split(struct words *w, const char *text, size_t bytes)
{
	char *rest = NULL;

	if (bytes > CONTROL_REQUEST_BYTES)
		return refuse(w, "a request of %zu bytes is refused: at most %u are accepted",
			      bytes, CONTROL_REQUEST_BYTES);
	if (memchr(text, '\0', bytes))
		return refuse(w,
			      "a request with a zero byte is refused: a line of text is accepted");
	memcpy(w->copy, text, bytes);
	for (const char *word = strtok_r(w->copy, " \n", &rest); word;
	     word = strtok_r(NULL, " \n", &rest)) {
		if (w->count == WORDS_MAX)
			return refuse(w, "a request of more than %u words is refused", WORDS_MAX);
		w->word[w->count++] = word;
	}
	return 0;
}

static int find_verb(struct words *w, enum control_verb *out)
{
	char name[40];

	for (unsigned i = 0; i < VERBS && w->count > 0; i++) {
		if (strcmp(verbs[i].name, w->word[0]) != 0)
			continue;
		*out = verbs[i].verb;
		if (w->count >= verbs[i].min && w->count <= verbs[i].max)
			return 0;
		return refuse(w, "%s with %u words is refused: accepted is %s", verbs[i].name,
			      w->count, verbs[i].usage);
	}
	return refuse(w,
		      "the request \"%s\" is refused: list, status, mic, disconnect, connect and "
		      "monitor are accepted",
		      w->count > 0 ? shown(w->word[0], name) : "");
}

static int read_vm(struct words *w, char vm[IPC_VM_NAME_BYTES])
{
	char name[40];

	if (!config_key_is_valid(w->word[1]))
		return refuse(w, "the VM \"%s\" is refused: " CONFIG_KEY_ACCEPTED,
			      shown(w->word[1], name));
	snprintf(vm, IPC_VM_NAME_BYTES, "%s", w->word[1]);
	return 0;
}

static int read_seconds(struct words *w, const char *text, uint32_t *to)
{
	char value[40], *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number == 0 ||
	    number > CONTROL_SECONDS_MAX)
		return refuse(w, "for %s is refused: 1 to %u seconds are accepted",
			      shown(text, value), CONTROL_SECONDS_MAX);
	*to = (uint32_t)number;
	return 0;
}

static int read_choice(struct words *w, enum consent_choice *to)
{
	char word[40];

	if (strcmp(w->word[2], "allow") == 0)
		*to = CONSENT_ALLOW;
	else if (strcmp(w->word[2], "deny") == 0)
		*to = CONSENT_DENY;
	else if (strcmp(w->word[2], "ask") == 0)
		*to = CONSENT_NONE;
	else
		return refuse(w, "mic %s is refused: allow, deny and ask are accepted",
			      shown(w->word[2], word));
	return 0;
}

static int read_span(struct words *w, struct permission_decision *to)
{
	const char *span = w->count > 3 ? w->word[3] : "always";
	char word[40];

	if (strcmp(span, "for") == 0 && w->count == 5) {
		to->span = PERMISSION_FOR;
		return read_seconds(w, w->word[4], &to->seconds);
	}
	if (strcmp(span, "always") == 0)
		to->span = PERMISSION_ALWAYS;
	else if (strcmp(span, "once") == 0)
		to->span = PERMISSION_ONCE;
	else if (strcmp(span, "until-shutdown") == 0)
		to->span = PERMISSION_SHUTDOWN;
	else
		return refuse(w,
			      "%s is refused: always, once, until-shutdown and for SECONDS are "
			      "accepted",
			      shown(span, word));
	return w->count == 5 ? refuse(w, "%s is refused: nothing is accepted behind %s",
				      shown(w->word[4], word), span)
			     : 0;
}

static int read_decision(struct words *w, struct permission_decision *to)
{
	int res = read_choice(w, &to->choice);

	if (res < 0)
		return res;
	if (to->choice == CONSENT_NONE)
		return w->count == 3
			       ? 0
			       : refuse(w,
					"mic ask is accepted alone: it forgets what was decided");
	return read_span(w, to);
}

int control_request_read(const char *text, size_t bytes, struct control_request *out,
			 char error[CONTROL_REQUEST_TEXT_BYTES])
{
	struct words w = {.error = error};
	int res = split(&w, text, bytes);

	*out = (struct control_request){0};
	if (res == 0)
		res = find_verb(&w, &out->verb);
	if (res == 0 && w.count > 1)
		res = read_vm(&w, out->vm);
	if (res == 0 && out->verb == CONTROL_MIC)
		res = read_decision(&w, &out->decision);
	return res;
}
