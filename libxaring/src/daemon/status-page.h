/* SPDX-License-Identifier: MIT */
/*
 * The page by which programs learn how things are: xaring-protocol(7), Status page.
 *
 * Thread: one. Blocks: no. Logs: no.
 */
#ifndef XARING_DAEMON_STATUS_PAGE_H
#define XARING_DAEMON_STATUS_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <xaring/pages.h>

struct status_page {
	struct xaring_status_page *page; /* ours alone to write */
	int fd;                          /* what programs get */
	uint32_t flags;
	uint32_t volume; /* a new page's is XARING_VOLUME_UNITY */
	uint32_t serial;
};

/* Returns 0 or a negative errno. Finishing accepts a zeroed object. */
int status_page_init(struct status_page *page);
void status_page_finish(struct status_page *page);

/* Sets or clears a flag, XARING_STATUS_. A zeroed object stays as it is: nobody has its page. */
void status_page_set(struct status_page *page, uint32_t flag, bool on);

/* The guest's own volume: linear, at most XARING_VOLUME_UNITY. A zeroed object likewise. */
void status_page_set_volume(struct status_page *page, uint32_t volume, bool muted);

#endif
