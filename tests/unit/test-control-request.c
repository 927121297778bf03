/* SPDX-License-Identifier: MIT */
/* What is understood of a request, and what is said of one that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "broker/control-request.h"
#include "control.h"

static char error[CONTROL_REQUEST_TEXT_BYTES];

static struct control_request taken(const char *text)
{
	struct control_request request;

	assert_int_equal(control_request_read(text, strlen(text), &request, error), 0);
	return request;
}

static void refused_bytes(const char *text, size_t bytes, const char *why)
{
	struct control_request request;

	assert_int_equal(control_request_read(text, bytes, &request, error), -EINVAL);
	if (!strstr(error, why))
		fail_msg("\"%s\" does not say \"%s\"", error, why);
}

static void refused(const char *text, const char *why)
{
	refused_bytes(text, strlen(text), why);
}

static void words_are_understood(void **state)
{
	struct control_request r = taken("status work");

	(void)state;
	assert_int_equal(r.verb, CONTROL_STATUS);
	assert_string_equal(r.vm, "work");
	assert_int_equal(taken("list").verb, CONTROL_LIST);
	assert_int_equal(taken("monitor\n").verb, CONTROL_MONITOR);
	assert_int_equal(taken("  disconnect   a.b-c_D ").verb, CONTROL_DISCONNECT);
	assert_int_equal(taken("connect x").verb, CONTROL_CONNECT);
}

static void assert_mic(const char *text, enum consent_choice choice, enum permission_span span,
		       uint32_t seconds)
{
	struct control_request r = taken(text);

	assert_int_equal(r.verb, CONTROL_MIC);
	assert_string_equal(r.vm, "work");
	assert_int_equal(r.decision.choice, choice);
	assert_int_equal(r.decision.span, span);
	assert_int_equal(r.decision.seconds, seconds);
}

static void decisions_are_understood(void **state)
{
	(void)state;
	assert_mic("mic work allow", CONSENT_ALLOW, PERMISSION_ALWAYS, 0);
	assert_mic("mic work deny always", CONSENT_DENY, PERMISSION_ALWAYS, 0);
	assert_mic("mic work allow once", CONSENT_ALLOW, PERMISSION_ONCE, 0);
	assert_mic("mic work deny until-shutdown", CONSENT_DENY, PERMISSION_SHUTDOWN, 0);
	assert_mic("mic work allow for 600", CONSENT_ALLOW, PERMISSION_FOR, 600);
	assert_mic("mic work allow for 31622400", CONSENT_ALLOW, PERMISSION_FOR, 31622400);
	assert_mic("mic work ask", CONSENT_NONE, PERMISSION_ALWAYS, 0);
}

static void what_is_not_is_refused_with_its_name(void **state)
{
	char text[CONTROL_REQUEST_BYTES + 2];

	(void)state;
	refused("", "the request \"\" is refused: list, status");
	refused("  ", "the request \"\" is refused");
	refused("shout", "the request \"shout\" is refused: list, status, mic");
	refused("list all", "list with 2 words is refused: accepted is list");
	refused("status", "status with 1 words is refused: accepted is status VM");
	refused("status a/b", "the VM \"a/b\" is refused: 1 to 63");
	refused("status ..", "the VM \"..\" is refused");
	refused("mic work perhaps", "mic perhaps is refused: allow, deny and ask");
	refused("mic work ask always", "mic ask is accepted alone");
	refused("mic work allow for", "for is refused: always, once");
	refused("mic work allow for 0", "for 0 is refused: 1 to 31622400 seconds");
	refused("mic work allow for -1", "for -1 is refused");
	refused("mic work allow for 31622401", "for 31622401 is refused");
	refused("mic work allow for 99999999999999999999", "is refused: 1 to");
	refused("mic work allow for 5m", "for 5m is refused");
	refused("mic work allow once 5", "5 is refused: nothing is accepted behind once");
	refused("mic work allow for 5 6", "more than 5 words");
	refused("a b c d e f", "more than 5 words");
	refused_bytes("list\0x", 6, "a zero byte");
	memset(text, 'a', sizeof(text));
	refused_bytes(text, sizeof(text) - 1, "1025 bytes is refused: at most 1024");
	refused_bytes(text, sizeof(text) - 2, "the request \"aaaa");
	refused("\x1b[31m\xff list", "the request \"");
	assert_null(strchr(error, '\x1b'));
	assert_null(strchr(error, '\xff'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_understood),
		cmocka_unit_test(decisions_are_understood),
		cmocka_unit_test(what_is_not_is_refused_with_its_name),
	};

	return cmocka_run_group_tests_name("control-request", tests, NULL, NULL);
}
