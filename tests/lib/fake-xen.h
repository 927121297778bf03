/* SPDX-License-Identifier: MIT */
/*
 * A test's own xenstored (fake-xenstored.c): started, told what to do, stopped. What fails here ends
 * the test program.
 */
#ifndef XARING_TESTS_FAKE_XEN_H
#define XARING_TESTS_FAKE_XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fake_xen {
	char folder[64];
	pid_t pid;
};

/* Starts it, with domain 0 only, and makes this process a part of domain 0. */
void fake_xen_start(struct fake_xen *xen);
void fake_xen_stop(struct fake_xen *xen);

/* From here on what connects in this process, and in what it starts, does so as the domain. */
void fake_xen_be(const struct fake_xen *xen, uint32_t domid);

/* A connection of the domain's that watches the path, and has read the first event. A descriptor. */
int fake_xen_watch(const struct fake_xen *xen, uint32_t domid, const char *path);

/* One command (fake-xenstored.c). Returns whether it succeeded; answer, NULL or not, is what it said. */
bool fake_xen_ask(const struct fake_xen *xen, char *answer, size_t bytes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same for a command that must succeed. */
void fake_xen_do(const struct fake_xen *xen, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
