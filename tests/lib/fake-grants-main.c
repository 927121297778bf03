/* SPDX-License-Identifier: MIT */
/*
 * Holds the grants of a test (fake-grants.h), or looks at them.
 *
 * Usage: fake-grants serve           prints what FAKE_GRANTS has to be, and works until it is ended
 *        fake-grants count DOMID     pages that the domain has granted, and those that are mapped
 *        fake-grants revoke DOMID    all its grants are over: it was restored
 *        fake-grants moved OLD NEW   what has FAKE_DOMID=OLD is NEW from here on
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake-grants.h"

#define REAP_MS 5

__attribute__((noreturn)) static void serve(void)
{
	fake_grants_create();
	(void)printf("%s\n", getenv("FAKE_GRANTS"));
	(void)fflush(stdout);
	for (;;) {
		poll(NULL, 0, REAP_MS);
		fake_grants_reap();
	}
}

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		serve();
	if (argc == 3 && strcmp(argv[1], "count") == 0) {
		struct fake_grants_count count = fake_grants_count(number(argv[2]));

		(void)printf("%u %u\n", count.granted, count.mapped);
	} else if (argc == 3 && strcmp(argv[1], "revoke") == 0) {
		fake_grants_revoke(number(argv[2]));
	} else if (argc == 4 && strcmp(argv[1], "moved") == 0) {
		fake_grants_moved(number(argv[2]), number(argv[3]));
	} else {
		(void)fprintf(stderr,
			      "Usage: %s serve | count DOMID | revoke DOMID | moved OLD NEW\n",
			      argv[0]);
		return 2;
	}
	return 0;
}
