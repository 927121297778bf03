/* SPDX-License-Identifier: MIT */
/*
 * In the place of source-xen.c where there is no Xen to build with: no machine runs on it.
 */
#include "source-xen.h"

#include <errno.h>

bool xen_is_usable(void)
{
	return false;
}

int xen_open(struct broker *broker, struct xen **out)
{
	(void)broker, (void)out;
	return -ENOTSUP;
}

void xen_close(struct xen *xen)
{
	(void)xen;
}

void xen_announce(struct xen *xen)
{
	(void)xen;
}

bool xen_withdraw(struct xen *xen, void (*done)(void *data), void *data)
{
	(void)xen, (void)done, (void)data;
	return false;
}
