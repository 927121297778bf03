/* SPDX-License-Identifier: MIT */
/*
 * Grants without Xen: all pages of all domains are one memfd, and a grant reference is the number of
 * a page in it. What /dev/xen/gntalloc and /dev/xen/gntdev hand out are open files of that memfd, so
 * a program that gets one over a socket maps the right memory without knowing of any of this; its
 * size is sealed, as everybody expects of a memfd.
 *
 * Who holds a page is seen by locks of the open files (F_OFD_SETLK): they live as long as the file
 * and its last mapping do, in whichever process, exactly as long as the drivers keep a grant. What
 * the kernel and the hypervisor would do after that is fake_grants_reap(): it clears the bytes of
 * the unmap notifications and takes the pages back.
 *
 * fake-grants.c has three forms:
 *   - a program that holds the memfd and reaps every 5 ms:     fake-grants serve
 *     prints the path to put into FAKE_GRANTS; others of its commands work on that table;
 *   - a library to preload (libfake-grants-preload.so) into xaring-guestd and the broker: open(2) of the two
 *     devices, their ioctl(2)s, and mmap(2), which refuses what gntdev would refuse;
 *   - functions for unit tests, which are linked with --wrap=open,--wrap=open64,--wrap=ioctl.
 *
 * Environment of the preloaded: FAKE_GRANTS, the path. FAKE_DOMID, who it is, 0 by default: pages
 * are granted to a domain, and mapped from a domain, by number; "fake-grants moved OLD NEW" is for
 * what was restored as another domain. FAKE_GRANTS_LIMIT, the pages of gntalloc, 1024 by default,
 * per granting domain.
 *
 * Not like the real ones: gntdev's offsets are not small numbers; a bad reference is seen when it is
 * referenced, and then fails when it is mapped (an offset at which no file can be mapped), in
 * programs without the library as well; the references of one request must be contiguous pages, as
 * this gntalloc makes them, otherwise the request fails with EINVAL; a read-only grant is enforced
 * only where the library is preloaded.
 */
#ifndef XARING_TESTS_FAKE_GRANTS_H
#define XARING_TESTS_FAKE_GRANTS_H

#include <stdbool.h>
#include <stdint.h>

struct fake_grants_count {
	uint32_t granted; /* pages that a domain has granted, or that are kept for who maps them */
	uint32_t mapped;  /* of them, referenced by gntdev */
};

/* Makes the memfd and names it in FAKE_GRANTS, for this process and those that it starts. */
void fake_grants_create(void);
void fake_grants_destroy(void);

/* What the kernel does by itself when nobody holds a page any more. */
void fake_grants_reap(void);

/* As long as it is so, gntdev has no memory for further references. */
void fake_grants_exhaust(bool exhausted);

/* All that a domain granted is over, as after its restore: the memory stays, the references do not. */
void fake_grants_revoke(uint32_t domid);

/* The domain that was started as old is called new from here on. */
void fake_grants_moved(uint32_t old, uint32_t new);

/* Of one domain. */
struct fake_grants_count fake_grants_count(uint32_t domid);

/* The devices. *handled: it was about them; otherwise nothing was done. Return as the calls do. */
int fake_grants_open(const char *path, int flags, bool *handled);
int fake_grants_ioctl(int fd, unsigned long request, void *argument, bool *handled);
bool fake_grants_may_mmap(int fd, uint64_t offset, uint64_t bytes, bool writable);

#endif
