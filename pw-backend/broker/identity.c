/* SPDX-License-Identifier: MIT */
/*
 * Names and keys of VMs. Knows neither where they are read nor what is allowed to whom.
 */
#include "identity.h"

#include <stdio.h>
#include <string.h>

#include <xaring/log.h>

void identity_local(struct identity *id, const char *key, const char *title)
{
	memset(id, 0, sizeof(*id));
	id->domid = -1;
	snprintf(id->key, sizeof(id->key), "%s", key);
	snprintf(id->name, sizeof(id->name), "%s", key);
	xaring_text_clean(id->title, sizeof(id->title), title, strlen(title));
	if (id->title[0] == '\0')
		snprintf(id->title, sizeof(id->title), "%s", key);
}
