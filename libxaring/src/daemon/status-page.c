/* SPDX-License-Identifier: MIT */
/*
 * Makes and writes the status page. Never reads it back.
 */
#include "status-page.h"

#include <string.h>
#include <unistd.h>

#include <xaring/shared.h>

int status_page_init(struct status_page *p)
{
	int write, res;

	memset(p, 0, sizeof(*p));
	p->volume = XARING_VOLUME_UNITY;
	res = xaring_memfd_status(&write, &p->fd);
	if (res < 0)
		return res;
	res = xaring_status_map(write, true, &p->page);
	close(write);
	if (res < 0)
		close(p->fd);
	return res;
}

void status_page_finish(struct status_page *p)
{
	if (!p->page)
		return;
	xaring_status_unmap(p->page);
	close(p->fd);
	p->page = NULL;
}

static void raise_serial(struct status_page *p)
{
	xaring_store(&p->page->serial, ++p->serial);
}

void status_page_set(struct status_page *p, uint32_t flag, bool on)
{
	uint32_t flags = on ? p->flags | flag : p->flags & ~flag;

	if (!p->page || flags == p->flags)
		return;
	p->flags = flags;
	xaring_store(&p->page->flags, flags);
	raise_serial(p);
}

void status_page_set_volume(struct status_page *p, uint32_t volume, bool muted)
{
	if (!p->page)
		return;
	/* First what makes it quiet: of both, no moment is louder than before and after. */
	if (muted)
		status_page_set(p, XARING_STATUS_GUEST_MUTED, true);
	if (volume != p->volume) {
		p->volume = volume;
		xaring_store(&p->page->volume, volume);
		raise_serial(p);
	}
	status_page_set(p, XARING_STATUS_GUEST_MUTED, muted);
}
